"""What a file holds beside its picture is kept, or named: nothing is lost in silence, nothing says what is untrue."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.media.stills import read_still
from pipeline.media.stills.photoshop import without_thumbnail
from pipeline.results import NoteKind
from tests import photos
from tests.pipeline.media.test_stills import coloured, decoded

GREY = photos.scene()


def behind(suffix: str, **options: object) -> Callable[[Path], Path]:
    """A file with a record of 68 bytes behind its end."""

    def make(folder: Path) -> Path:
        path = folder / f"photo{suffix}"
        if suffix == ".jp2":
            photos.save_jp2(path, GREY)
        else:
            photos.save(path, GREY, **options)
        path.write_bytes(path.read_bytes() + b"SEFT" + bytes(range(64)))
        return path

    return make


@pytest.mark.few(4)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".avif", ".jp2", ".bmp", ".tif"])
def test_bytes_behind_the_end_of_a_file_are_named(suffix: str, tmp_path: Path) -> None:
    still = read_still(behind(suffix)(tmp_path))
    dropped = [note.text for note in still.notes if note.kind is NoteKind.DROPPED]
    assert len(dropped) == 1
    assert "68 bytes after the end" in dropped[0]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".webp", ".bmp", ".tif"])
def test_zeros_behind_the_end_of_a_file_are_no_loss(suffix: str, tmp_path: Path) -> None:
    path = photos.save(tmp_path / f"photo{suffix}", GREY)
    path.write_bytes(path.read_bytes() + bytes(2000))
    assert NoteKind.DROPPED not in {note.kind for note in read_still(path).notes}


@pytest.mark.few(6)
@pytest.mark.parametrize("bits", [1, 4, 8, 24, 32])
@pytest.mark.parametrize("width", [29, 31, 32])
def test_the_end_of_a_bmp_is_that_of_its_rows_whatever_its_header_says(bits: int, width: int, tmp_path: Path) -> None:
    mode = {1: "1", 4: "P", 8: "L", 24: "RGB", 32: "RGBA"}[bits]
    image = Image.fromarray(GREY[:20, :width])
    image = image.quantize(16) if mode == "P" else image.convert(mode)
    path = tmp_path / "photo.bmp"
    image.save(path, bits=bits)
    data = path.read_bytes()
    for said in (0, len(data), len(data) + 5):
        path.write_bytes(data[:2] + struct.pack("<I", said) + data[6:] + b"\0trail")
        assert behind_notes(path) == ["6 bytes after the end of the BMP not carried over"]
    path.write_bytes(data)
    assert behind_notes(path) == []


def behind_notes(path: Path) -> list[str]:
    return [note.text for note in read_still(path).notes if "after the end" in note.text]


TIFFS: dict[str, dict[str, object]] = {
    "strips": {"rowsperstrip": 7},
    "tiles": {"tile": (16, 16)},
    "deflate": {"compression": "deflate"},
    "big": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "description": {"description": "a long description behind the pixels " * 9},
}


@pytest.mark.few(6)
@pytest.mark.parametrize("kind", TIFFS)
@pytest.mark.parametrize("pages", [1, 3])
def test_the_end_of_a_tiff_is_that_of_all_it_tells_of(kind: str, pages: int, tmp_path: Path) -> None:
    options = dict(TIFFS[kind])
    path = tmp_path / "photo.tif"
    with tifffile.TiffWriter(
        path, bigtiff=bool(options.pop("bigtiff", False)), byteorder=str(options.pop("byteorder", "<"))
    ) as tiff:
        for _ in range(pages):
            tiff.write(GREY, photometric="minisblack", metadata=None, **options)
    assert behind_notes(path) == []
    path.write_bytes(path.read_bytes() + b"tail")
    assert behind_notes(path) == ["4 bytes after the end of the TIFF not carried over"]


@pytest.mark.parametrize("place", [1 << 30, 1 << 62, (1 << 63) - 1, (1 << 64) - 1])
def test_a_tag_that_points_beyond_a_tiff_is_named_and_the_picture_coloured(place: int, tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    tags = [(65000, 7, 9, b"catalogue", True)]
    tifffile.imwrite(path, GREY, photometric="minisblack", metadata=None, bigtiff=True, extratags=tags)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages.first.tags[65000].offset
    struct.pack_into("<Q", data, at + 12, place)
    path.write_bytes(data)
    still, result = coloured(path)
    assert np.array_equal(still.luma, GREY)
    damaged = f"TIFF tag 65000 is damaged (9 bytes at {place} are not in the file)"
    assert [note.text for note in still.notes if note.kind is NoteKind.DROPPED] == [damaged]
    with tifffile.TiffFile(result) as made:
        assert 65000 not in made.pages.first.tags


def test_sub_pictures_of_a_tiff_are_named_as_such_and_lie_not_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(GREY, photometric="minisblack", metadata=None, subifds=2)
        for step in (2, 4):
            tiff.write(GREY[::step, ::step], photometric="minisblack", metadata=None, subfiletype=1)
    notes = read_still(path).notes
    assert any("reduced copies" in note.text for note in notes)
    assert not any("after the end" in note.text for note in notes)


def test_pictures_that_only_imagej_finds_in_a_tiff_are_named(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack([GREY, GREY]), imagej=True)
    data = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        first, second = tiff.pages[0], tiff.pages[1]
        assert isinstance(first, tifffile.TiffPage)
        # As ImageJ writes stacks of more than 4 GB: one directory, the other pictures behind its own.
        link = first.offset + 2 + 12 * len(first.tags)
        assert second.offset > 0
    path.write_bytes(data[:link] + bytes(4) + data[link + 4 :])
    assert any("after the end of the TIFF" in note.text for note in read_still(path).notes)


def test_an_unknown_webp_chunk_is_named(tmp_path: Path) -> None:
    path = photos.save(tmp_path / "photo.webp", GREY, lossless=True, exif=photos.exif())
    data = path.read_bytes() + b"ABCD" + struct.pack("<I", 4) + b"data"
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    assert any("'ABCD'" in note.text for note in read_still(path).notes)


def test_an_unknown_box_of_avif_is_named(tmp_path: Path) -> None:
    path = photos.save(tmp_path / "photo.avif", GREY, speed=10)
    path.write_bytes(path.read_bytes() + photos.box(b"sefd", b"record"))
    assert any("'sefd'" in note.text for note in read_still(path).notes)


def bmp_v5(path: Path, profile: bytes | None) -> Path:
    """A BMP of 24 bits with BITMAPV5HEADER and 600 dpi."""
    rows = np.repeat(GREY[::-1, :, None], 3, axis=2)
    stride = -(-photos.WIDTH * 24 // 32) * 4
    body = b"".join(row.tobytes().ljust(stride, b"\0") for row in rows)
    per_metre = round(photos.DPI / 0.0254)
    header = struct.pack(
        "<IiiHHIIiiII", 124, photos.WIDTH, photos.HEIGHT, 1, 24, 0, len(body), per_metre, per_metre, 0, 0
    )
    header += bytes(16) + (b"DEBM" if profile else b"BGRs") + bytes(36 + 12) + struct.pack("<I", 4)
    header += struct.pack("<III", 124 + len(body), len(profile or b""), 0)
    assert len(header) == 124
    path.write_bytes(
        b"BM" + struct.pack("<IHHI", 14 + 124 + len(body), 0, 0, 14 + 124) + header + body + (profile or b"")
    )
    return path


def test_resolution_and_profile_of_a_bmp_go_into_the_png(tmp_path: Path) -> None:
    _, result = coloured(bmp_v5(tmp_path / "photo.bmp", photos.working_space("Adobe RGB")))
    with Image.open(result) as image:
        image.load()
        assert image.info["dpi"] == pytest.approx((photos.DPI, photos.DPI), abs=0.1)
        assert image.info["icc_profile"] == photos.working_space("Adobe RGB")


def test_comments_of_a_gif_go_into_the_png(tmp_path: Path) -> None:
    _, result = coloured(photos.save(tmp_path / "photo.gif", GREY, comment=b"Harbour, f\xfcnf"))
    with Image.open(result) as image:
        image.load()
        assert image.info["Comment"] == "Harbour, fünf"


# --- TIFF ---


def hdri(path: Path) -> Path:
    """A scan with a reduced copy and an infrared page, as SilverFast writes it."""
    infrared = photos.scene(bits=16)[::-1]
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(photos.scene(bits=16), photometric="minisblack", metadata=None)
        tiff.write(GREY[::4, ::4], photometric="minisblack", subfiletype=1, metadata=None)
        tiff.write(infrared, photometric="minisblack", subfiletype=2, metadata=None, description="infrared")
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[2].aspage().tags[254].overwrite(4)
    return path


def test_an_infrared_page_is_kept_as_it_is(tmp_path: Path) -> None:
    still, result = coloured(hdri(tmp_path / "photo.tif"))
    assert not still.further
    with tifffile.TiffFile(result) as made:
        first, second = (page.aspage() for page in made.pages)
        assert first.photometric == tifffile.PHOTOMETRIC.RGB
        assert second.subfiletype == 4
        assert second.description == "infrared"
        assert np.array_equal(second.asarray(), photos.scene(bits=16)[::-1])
    assert any("mask" in note.text for note in still.notes)


def test_photoshop_layers_are_left_behind_and_named(tmp_path: Path) -> None:
    layers = b"Adobe Photoshop Document Data Block\0MIB8ryaL" + struct.pack("<I", 4) + bytes(4)
    annotations = b"notes"
    tags = [(37724, 7, len(layers), layers, True), (50255, 7, len(annotations), annotations, True)]
    tifffile.imwrite(tmp_path / "photo.tif", GREY, photometric="minisblack", extratags=tags, metadata=None)
    still, result = coloured(tmp_path / "photo.tif")
    with tifffile.TiffFile(result) as made:
        assert 37724 not in made.pages.first.tags
        assert made.pages.first.tags[50255].value == annotations
    assert ["layers" in note.text for note in still.notes] == [True]


def with_maker_note(path: Path, *, order: str = "<", at: int | None = None) -> tuple[Path, int, bytes]:
    """A TIFF whose EXIF holds a maker note with an offset, from the beginning of the file, to a text inside of it."""
    text = b"COLOR SETTING A\0"
    pixels = GREY.tobytes()
    note_at = 8 if at is None else at
    note = struct.pack(order + "HI", 1, note_at + 6) + text
    body = bytes((0x49, 0x49) if order == "<" else (0x4D, 0x4D)) + struct.pack(order + "HI", 42, 0)
    body = (body + note if at is None else body).ljust(max(8, note_at + len(note) if at is None else 8), b"\0")
    pixels_at = len(body)
    body += pixels + bytes(len(pixels) % 2)
    if at is not None:
        assert at >= len(body)
        body = body.ljust(at, b"\0") + note
    body += bytes(len(body) % 2)
    exif_at = len(body)
    body += struct.pack(order + "HHHIII", 1, 37500, 7, len(note), note_at, 0)
    first_at = len(body)
    tags = ((256, 4, photos.WIDTH), (257, 4, photos.HEIGHT), (258, 4, 8), (259, 4, 1), (262, 4, 1), (273, 4, pixels_at))
    tags += ((277, 4, 1), (278, 4, photos.HEIGHT), (279, 4, len(pixels)), (34665, 4, exif_at))
    body += struct.pack(order + "H", len(tags))
    body += b"".join(struct.pack(order + "HHII", tag, kind, 1, value) for tag, kind, value in tags) + bytes(4)
    path.write_bytes(body[:4] + struct.pack(order + "I", first_at) + body[8:])
    return path, note_at, note


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("at", [None, 30_000, 500_000])
def test_a_maker_note_stays_where_its_offsets_lead(order: str, at: int | None, tmp_path: Path) -> None:
    path, place, note = with_maker_note(tmp_path / "photo.tif", order=order, at=at)
    still, result = coloured(path)
    data = result.read_bytes()
    assert data[place : place + len(note)] == note
    with tifffile.TiffFile(result) as made:
        assert made.pages.first.tags["ExifTag"].value["MakerNote"] == note
    assert np.array_equal(np.rint(decoded(result) @ [0.299, 0.587, 0.114]), still.luma)
    assert not still.notes


@pytest.mark.parametrize("kind", [4, 13])
def test_a_directory_that_is_not_followed_is_left_behind_and_named(kind: int, tmp_path: Path) -> None:
    tag = 33424 if kind == 4 else 51000
    tifffile.imwrite(
        tmp_path / "photo.tif", GREY, photometric="minisblack", extratags=[(tag, kind, 1, 8, True)], metadata=None
    )
    still, result = coloured(tmp_path / "photo.tif")
    with tifffile.TiffFile(result) as made:
        assert tag not in made.pages.first.tags
    assert any(f"tag {tag}" in note.text for note in still.notes)


# --- thumbnails of the former picture ---


def resources() -> tuple[bytes, bytes]:
    """Photoshop's records with a thumbnail and without it."""

    def record(number: int, data: bytes, name: bytes = b"\0\0") -> bytes:
        return b"8BIM" + struct.pack(">H", number) + name + struct.pack(">I", len(data)) + data + bytes(len(data) % 2)

    first, last = record(1028, photos.IPTC), record(1061, bytes(16), b"\x04name\0")
    thumbnail = record(1036, struct.pack(">7I", 1, 16, 12, 48, 576, 300, 24) + photos.jpeg_bytes(GREY[:12, :16]))
    return first + thumbnail + last, first + last


def test_only_the_thumbnail_is_taken_out_of_photoshop_s_records() -> None:
    former, kept = resources()
    assert without_thumbnail(former) == kept
    assert without_thumbnail(kept) == kept
    assert without_thumbnail(former[:40]) == former[:40]


def test_a_jpeg_loses_the_thumbnails_in_photoshop_s_and_jfif_s_records(tmp_path: Path) -> None:
    former, kept = resources()
    data = photos.jpeg_bytes(GREY)
    assert data[6:11] == b"JFIF\0"
    small = bytes(range(48))
    jfif = b"\xff\xe0" + struct.pack(">H", 16 + len(small)) + data[6:18] + b"\4\4" + small
    jfxx = b"\xff\xe0" + struct.pack(">H", 8 + 2) + b"JFXX\0\x13" + b"\0\0"
    photoshop = b"Photoshop 3.0\0" + former
    app13 = b"\xff\xed" + struct.pack(">H", len(photoshop) + 2) + photoshop
    path = tmp_path / "photo.jpg"
    path.write_bytes(data[:2] + jfif + jfxx + app13 + data[20:])
    still, result = coloured(path)
    made = result.read_bytes()
    assert b"Photoshop 3.0\0" + kept in made
    assert small not in made
    assert b"JFXX" not in made
    with Image.open(result) as image:
        assert image.info["jfif"]
        assert image.info["photoshop"][1028] == photos.IPTC
    assert ["thumbnail" in note.text for note in still.notes] == [True]


def test_a_tiff_loses_the_thumbnail_in_photoshop_s_records(tmp_path: Path) -> None:
    former, kept = resources()
    path = tmp_path / "photo.tif"
    tifffile.imwrite(
        path, GREY, photometric="minisblack", extratags=[(34377, 7, len(former), former, True)], metadata=None
    )
    still, result = coloured(path)
    with tifffile.TiffFile(result) as made:
        assert made.pages.first.tags[34377].value == kept
    assert ["thumbnail" in note.text for note in still.notes] == [True]


# --- XMP ---


def with_xmp(path: Path, properties: str) -> Path:
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
        'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
        'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        f"{properties}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()
    return photos.save(path, GREY, xmp=packet, icc_profile=photos.grey_profile())


UNTRUE = {
    "film": 'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1" xmp:Rating="4">',
    "container": 'xmp:Rating="4"><Container:Directory><rdf:Seq><rdf:li>4000</rdf:li></rdf:Seq></Container:Directory>',
    "gain-map": 'hdrgm:Version="1.0" hdrgm:GainMapMax="3.1" xmp:Rating="4">',
    "mode": 'photoshop:ColorMode="1" photoshop:ICCProfile="Dot Gain 20%" xmp:Rating="4">',
    "samples": 'tiff:SamplesPerPixel="1" tiff:PhotometricInterpretation="1" xmp:Rating="4">',
    "thumbnail": 'xmp:Rating="4"><xmp:Thumbnails><rdf:Alt><rdf:li>AAAA</rdf:li></rdf:Alt></xmp:Thumbnails>',
}


@pytest.mark.few(4)
@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
@pytest.mark.parametrize("name", UNTRUE)
def test_xmp_does_not_say_what_is_no_longer_true(name: str, suffix: str, tmp_path: Path) -> None:
    _, result = coloured(with_xmp(tmp_path / f"photo{suffix}", UNTRUE[name]))
    text = photos.xmp_of(result).decode()
    gone = ("MotionPhoto", "Directory", "GainMap", 'ColorMode="', "ICCProfile", "SamplesPerPixel", "Thumbnails")
    assert not [word for word in gone if word in text]
    assert 'Rating="4"' in text


def test_png_text_that_is_unsafe_is_not_lost_in_silence(tmp_path: Path) -> None:
    data = photos.save(tmp_path / "plain.png", GREY).read_bytes()
    chunk = struct.pack(">I", 4) + b"zzZZ" + b"data" + struct.pack(">I", zlib.crc32(b"zzZZdata"))
    path = tmp_path / "photo.png"
    path.write_bytes(data[:33] + chunk + data[33:])
    assert any("zzZZ" in note.text for note in read_still(path).notes)
