"""What a photograph carries besides pixels is still there, as readers that are not ours see it."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from pipeline.media.stills import Page, read_still, write_still
from pipeline.results import NoteKind
from tests import photos
from tests.commands import PATIENCE
from tests.pipeline.media.test_stills import AUTOCHROME, coloured, decoded, strips_of

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
WITH_METADATA = pytest.mark.parametrize(
    ("suffix", "toned"),
    [
        (".jpg", False),
        (".jpg", True),
        (".png", False),
        (".png", True),
        (".webp", False),
        (".tif", False),
        (".tif", True),
    ],
)


def source(folder: Path, suffix: str, *, toned: bool, icc: bytes | None = None) -> Path:
    pixels = photos.sepia(photos.scene()) if toned else photos.scene()
    if suffix == ".tif":
        block = Image.Exif()
        block.load(photos.exif())
        block[700], block[305] = photos.XMP, "ScanWorks 3"
        return photos.save(folder / "photo.tif", pixels, icc_profile=icc, dpi=(photos.DPI,) * 2, exif=block)
    return photos.save_with_metadata(folder / f"photo{suffix}", pixels, icc=icc)


@pytest.mark.few(3)
@WITH_METADATA
def test_exif_orientation_and_resolution_stay(suffix: str, toned: bool, tmp_path: Path) -> None:
    path = source(tmp_path, suffix, toned=toned)
    still, result = coloured(path)
    assert still.orientation == 6
    with Image.open(path) as before, Image.open(result) as after:
        assert after.getexif()[274] == 6
        assert after.getexif()[271] == "Voigt & Sohn"
        assert after.getexif().get_ifd(34665)[33434] == before.getexif().get_ifd(34665)[33434]
        if suffix != ".webp":
            assert after.info["dpi"] == before.info["dpi"]
        if suffix != ".tif":
            assert after.info["exif"] == before.info["exif"]


@pytest.mark.few(3)
@WITH_METADATA
def test_the_picture_is_stored_as_the_source_was_turned(suffix: str, toned: bool, tmp_path: Path) -> None:
    still, result = coloured(source(tmp_path, suffix, toned=toned))
    assert decoded(result).shape[:2] == (photos.HEIGHT, photos.WIDTH)
    assert still.luma.shape == (photos.HEIGHT, photos.WIDTH)


@pytest.mark.few(3)
@WITH_METADATA
def test_an_rgb_profile_stays_byte_for_byte(suffix: str, toned: bool, tmp_path: Path) -> None:
    profile = photos.srgb_profile()
    _, result = coloured(source(tmp_path, suffix, toned=toned, icc=profile))
    with Image.open(result) as image:
        assert image.info["icc_profile"] == profile


@pytest.mark.few(3)
@WITH_METADATA
def test_a_grey_profile_becomes_one_for_colour(suffix: str, toned: bool, tmp_path: Path) -> None:
    path = source(tmp_path, suffix, toned=toned, icc=photos.grey_profile())
    still = read_still(path)
    notes = write_still(path.with_name(f"out{suffix}"), [Page(still, strips_of(still))])
    with Image.open(path.with_name(f"out{suffix}")) as image:
        assert image.info["icc_profile"][16:20] == b"RGB "
    assert any(note.kind == NoteKind.CONVERTED and "ICC" in note.text for note in notes)


@pytest.mark.few(3)
@WITH_METADATA
def test_ai_colour_is_declared_and_other_xmp_stays(suffix: str, toned: bool, tmp_path: Path) -> None:
    _, result = coloured(source(tmp_path, suffix, toned=toned))
    described = photos.xmp_of(result).decode()
    for text in (SOURCE_TYPE, "Autochrome", "0.1.0", photos.XMP_TITLE, "ScanWorks 3"):
        assert text in described


@pytest.mark.few(3)
@WITH_METADATA
def test_without_a_declaration_xmp_stays_byte_for_byte(suffix: str, toned: bool, tmp_path: Path) -> None:
    path = source(tmp_path, suffix, toned=toned)
    _, result = coloured(path, declared=None)
    assert photos.xmp_of(result) == photos.XMP


def test_a_photo_without_metadata_gains_only_the_declaration(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png", ".webp", ".tif"):
        path = photos.save(tmp_path / f"plain{suffix}", photos.scene())
        still, result = coloured(path)
        assert [note.kind for note in still.notes] == ([NoteKind.CONVERTED] if suffix == ".webp" else [])
        assert SOURCE_TYPE.encode() in photos.xmp_of(result)
        with Image.open(result) as image:
            assert "icc_profile" not in image.info
            assert suffix == ".tif" or not image.getexif()


def test_jpeg_comments_and_photoshop_blocks_stay(tmp_path: Path) -> None:
    iptc = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", 12) + b"\x1c\x02\x69\0\x07Harbour"
    extra = b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc
    path = tmp_path / "photo.jpg"
    path.write_bytes(photos.jpeg_bytes(photos.scene(), extra=extra, comment=b"Box 12, plate 7"))
    _, result = coloured(path)
    with Image.open(result) as image:
        assert image.info["comment"] == b"Box 12, plate 7"
        assert image.info["photoshop"][0x0404] == b"\x1c\x02\x69\0\x07Harbour"


def test_a_grey_jpeg_with_adobe_s_marker_is_not_taken_for_rgb(tmp_path: Path) -> None:
    marker = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\0"
    data = photos.jpeg_bytes(photos.scene())
    without_jfif = data[:2] + marker + data[2 + 2 + struct.unpack(">H", data[4:6])[0] :]
    path = tmp_path / "photo.jpg"
    path.write_bytes(without_jfif)
    still, result = coloured(path, chroma=False)
    with Image.open(result) as image:
        assert np.abs(np.asarray(image)[..., 1].astype(int) - still.luma).max() <= 1


def test_png_text_gamma_and_date_stay(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Description", "Harbour")
    info.add_itxt("Title", "Hafen")
    info.add(b"gAMA", struct.pack(">I", 45455))
    info.add(b"tIME", struct.pack(">HBBBBB", 2024, 5, 1, 10, 0, 0))
    info.add(b"sBIT", b"\x07")
    path = photos.save(tmp_path / "photo.png", photos.scene(), pnginfo=info)
    _, result = coloured(path)
    with Image.open(result) as image:
        image.load()
        assert image.info["Description"] == "Harbour"
        assert image.info["Title"] == "Hafen"
        assert image.info["gamma"] == pytest.approx(0.45455)
    data = result.read_bytes()
    assert b"sBIT\x07\x07\x07" in data
    assert b"tIME" in data


def test_a_png_chunk_that_is_unsafe_to_copy_is_dropped_with_a_note(tmp_path: Path) -> None:
    data = photos.save(tmp_path / "plain.png", photos.scene()).read_bytes()
    chunks = b""
    for kind in (b"scAN", b"scAn"):
        chunks += struct.pack(">I", 4) + kind + b"data" + struct.pack(">I", zlib.crc32(kind + b"data"))
    path = tmp_path / "photo.png"
    path.write_bytes(data[:33] + chunks + data[33:])
    still = read_still(path)
    notes = (*still.notes, *write_still(tmp_path / "out.png", [Page(still, strips_of(still))]))
    result = (tmp_path / "out.png").read_bytes()
    assert b"scAn" in result
    assert b"scAN" not in result
    assert [note.kind for note in notes] == [NoteKind.DROPPED]


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"bigtiff": True}, {"compression": "lzw"}])
def test_tiff_tags_stay(options: dict[str, object], tmp_path: Path) -> None:
    path = photos.save_tiff(tmp_path / "photo.tif", photos.scene(bits=16), **options)
    still, result = coloured(path)
    with tifffile.TiffFile(result) as tiff:
        page = tiff.pages.first
        assert page.tags["Orientation"].value == 6
        assert page.tags["XResolution"].value == (photos.DPI, 1)
        assert page.tags["ResolutionUnit"].value == 2
        assert page.tags["ImageDescription"].value == "Harbour"
        assert page.tags["Software"].value == "ScanWorks 3"
        assert page.tags["DateTime"].value == "2024:05:01 10:00:00"
        assert page.photometric == tifffile.PHOTOMETRIC.RGB
        assert page.compression == (5 if options.get("compression") else 1)
    assert still.orientation == 6


def test_a_tiff_packed_with_jpeg_is_packed_without_loss(tmp_path: Path) -> None:
    path = photos.save(tmp_path / "photo.tif", photos.sepia(photos.scene()), compression="jpeg")
    still, result = coloured(path, chroma=False)
    with tifffile.TiffFile(result) as tiff:
        assert tiff.pages.first.compression == tifffile.COMPRESSION.ADOBE_DEFLATE
    assert [note.kind for note in still.notes] == [NoteKind.CONVERTED]
    assert np.array_equal(decoded(result)[..., 1], still.luma)


def test_a_damaged_exif_directory_of_a_tiff_is_dropped_with_a_note(tmp_path: Path) -> None:
    path = source(tmp_path, ".tif", toned=False)
    with tifffile.TiffFile(path, mode="r+") as tiff:
        place = tiff.pages.first.tags[34665].valueoffset
    data = bytearray(path.read_bytes())
    data[place : place + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(bytes(data))
    still, result = coloured(path)
    assert still.orientation == 6
    assert [note.kind for note in still.notes] == [NoteKind.DROPPED]
    assert np.array_equal(decoded(result).shape, (photos.HEIGHT, photos.WIDTH, 3))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_a_damaged_exif_block_does_not_stop_a_jpeg_and_is_kept(tmp_path: Path) -> None:
    block = b"Exif\0\0II*\0\xff\xff\0\0nonsense"
    path = tmp_path / "photo.jpg"
    path.write_bytes(photos.jpeg_bytes(photos.scene(), exif=block))
    still, result = coloured(path)
    assert still.orientation == 1
    assert [note.kind for note in still.notes] == [NoteKind.ASSUMED]
    assert block in result.read_bytes()


def test_orientation_is_found_where_the_rest_of_exif_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(photos.jpeg_bytes(photos.scene(), exif=photos.exif(orientation=8)[:-12]))
    still = read_still(path)
    assert still.orientation == 8
    assert "damaged" in still.notes[0].text


def with_thumbnail() -> tuple[bytes, range]:
    """EXIF with a maker note and, behind it, a thumbnail, and which of its bytes point to the latter."""
    thumbnail, note = photos.jpeg_bytes(photos.scene(width=16, height=12)), b"the maker's, with offsets of its own"
    pointer = range(8 + 2 + 2 * 12, 8 + 2 + 2 * 12 + 4)
    second_at = pointer.stop + len(note)
    first = struct.pack("<HHHIHHHHIII", 2, 274, 3, 1, 6, 0, 37500, 7, len(note), pointer.stop, second_at)
    longs = ((259, 6), (513, second_at + 2 + 3 * 12 + 4), (514, len(thumbnail)))
    second = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in longs) + bytes(4)
    return b"II*\0\x08\0\0\0" + first + note + second + thumbnail, pointer


def save_with_exif(path: Path, exif: bytes) -> Path:
    if path.suffix == ".jp2":
        photos.save_jp2(path, photos.scene())
        data = path.read_bytes()
        at = data.index(b"uuid") - 4
        path.write_bytes(data[:at] + photos.box(b"uuid", b"JpgTiffExif->JP2" + exif) + data[at:])
        return path
    return photos.save(path, photos.scene(), exif=b"Exif\0\0" + exif)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".jp2"])
def test_the_thumbnail_of_the_former_picture_goes_and_no_other_byte_of_exif(suffix: str, tmp_path: Path) -> None:
    block, pointer = with_thumbnail()
    still, result = coloured(save_with_exif(tmp_path / f"photo{suffix}", block))
    assert ["thumbnail" in note.text for note in still.notes if note.kind is NoteKind.DROPPED] == [True]
    kept = block[: pointer.start] + bytes(4) + block[pointer.stop :]
    assert kept in result.read_bytes()
    assert block not in result.read_bytes()


def test_exif_in_two_segments_loses_its_thumbnail_too(tmp_path: Path) -> None:
    block, pointer = with_thumbnail()
    path = photos.save(tmp_path / "photo.jpg", photos.scene())
    data = path.read_bytes()
    parts = (block[:30], block[30:])
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 8) + b"Exif\0\0" + part for part in parts)
    path.write_bytes(data[:2] + segments + data[2:])
    _, result = coloured(path)
    kept = block[: pointer.start] + bytes(4) + block[pointer.stop :]
    assert b"Exif\0\0" + kept[:30] in result.read_bytes()
    assert b"Exif\0\0" + kept[30:] in result.read_bytes()


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="ExifTool is not installed")
def test_exiftool_sees_no_thumbnail_and_all_else(tmp_path: Path) -> None:
    block, _ = with_thumbnail()
    path = save_with_exif(tmp_path / "photo.jpg", block)
    _, result = coloured(path)

    def read(photo: Path, *what: str) -> bytes:
        return subprocess.run(
            ["exiftool", "-b", *what, photo], capture_output=True, check=True, timeout=PATIENCE
        ).stdout

    assert read(path, "-ThumbnailImage")
    assert not read(result, "-ThumbnailImage")
    assert read(result, "-n", "-Orientation") == b"6"
    assert read(result, "-U", "-MakerNoteUnknownText") == read(path, "-U", "-MakerNoteUnknownText")


def test_an_impossible_orientation_is_upright(tmp_path: Path) -> None:
    still = read_still(photos.save(tmp_path / "photo.png", photos.scene(), exif=photos.exif(orientation=9)))
    assert still.orientation == 1
    assert still.notes[0].kind == NoteKind.ASSUMED


def test_damaged_xmp_gives_way_to_the_declaration_with_a_note(tmp_path: Path) -> None:
    for suffix in (".jpg", ".webp"):
        path = photos.save(tmp_path / f"photo{suffix}", photos.scene(), lossless=True, xmp=b"<x:xmpmeta><rdf:RDF")
        still = read_still(path)
        result = tmp_path / f"out{suffix}"
        notes = write_still(result, [Page(still, strips_of(still), AUTOCHROME)])
        assert [note.kind for note in notes] == [NoteKind.DROPPED]
        assert SOURCE_TYPE.encode() in photos.xmp_of(result)
