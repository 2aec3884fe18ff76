"""Sound pictures in odd files, which common decoders show: they are coloured, and a note says what is odd."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from pipeline.errors import InputError, UnsupportedError
from pipeline.media.stills import read_still
from pipeline.results import NoteKind
from tests import photos
from tests.pipeline.media.test_stills import coloured, decoded
from tests.sampled import sampled

GREY = photos.scene()


def jpeg_luma(data: bytes) -> np.ndarray:
    """Y' as libjpeg-turbo decodes it, called in another way than the product does."""
    luma: np.ndarray = imagecodecs.jpeg8_decode(data, outcolorspace="GRAYSCALE")
    return luma


def before_end(data: bytes, inserted: bytes) -> bytes:
    return data[:-2] + inserted + data[-2:]


def before_scan(data: bytes, inserted: bytes) -> bytes:
    at = data.index(b"\xff\xda")
    return data[:at] + inserted + data[at:]


def segments(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the segments before the first scan, and the rest."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        found.append(data[at:end])
        at = end
    return found, data[at:]


def joined(parts: list[bytes], rest: bytes) -> bytes:
    return b"\xff\xd8" + b"".join(parts) + rest


def frame_first(data: bytes) -> bytes:
    """Put all tables, applications and comments between the frame header and the scan."""
    parts, rest = segments(data)
    return joined(sorted(parts, key=lambda part: part[1] not in (0xC0, 0xC2)), rest)


def turned_round(data: bytes) -> bytes:
    """Put the application segments behind the tables, and what they are themselves in the other order."""
    parts, rest = segments(data)
    return joined(parts[::-1], rest)


def spaced(data: bytes) -> bytes:
    parts, rest = segments(data)
    return joined([b"\xff\xff" + part for part in parts], rest)


EXIF = b"\xff\xe1" + (len(photos.exif()) + 2).to_bytes(2) + photos.exif()
COMMENT = b"\xff\xfe\x00\x08a word"


def between_scans(data: bytes, inserted: bytes) -> bytes:
    """Insert behind the first scan; nothing where there is but one."""
    first = data.index(b"\xff\xda")
    found = re.compile(rb"\xff[\xc4\xda]").search(data, first + 2)
    return data if found is None else data[: found.start()] + inserted + data[found.start() :]


ODD_JPEGS: dict[str, tuple[Callable[[bytes], bytes], bool]] = {
    "a fill byte before the end": (lambda data: before_end(data, b"\xff"), False),
    "many fill bytes before the end": (lambda data: before_end(data, b"\xff" * 40), False),
    "fill bytes before a scan": (lambda data: before_scan(data, b"\xff\xff\xff"), False),
    "stray bytes behind the first marker": (lambda data: data[:2] + b"stray\0\xff\0" + data[2:], True),
    "many bytes behind the first marker": (lambda data: data[:2] + bytes(range(256)) + data[2:], True),
    "an empty segment called JFIF": (lambda data: data[:2] + b"\xff\xe0\0\x07JFIF\0" + data[2:], True),
    "a comment of no length": (lambda data: data[:20] + b"\xff\xfe\0\0" + data[20:], False),
    "stray bytes before a scan": (lambda data: before_scan(data, b"\0\0\0stray"), True),
    "stray bytes before the end": (lambda data: before_end(data, b"\xff\xd0stray"), True),
    "no end marker": (lambda data: data[:-2], True),
    "half an end marker": (lambda data: data[:-1], True),
    "the frame header first": (frame_first, False),
    "all segments in the other order": (turned_round, False),
    "fill bytes before every segment": (spaced, False),
    "metadata before those of JFIF": (lambda data: data[:2] + EXIF + COMMENT + data[2:], False),
    "metadata behind the frame header": (lambda data: before_scan(data, EXIF + COMMENT), False),
    "comments between scans": (lambda data: between_scans(data, COMMENT), False),
    "fill bytes between scans": (lambda data: between_scans(data, b"\xff\xff"), False),
}
BUILDS: dict[str, dict[str, Any]] = {
    "baseline": {"quality": 85},
    "progressive": {"quality": 85, "progressive": True},
    "restarts": {"quality": 85, "restart_marker_rows": 1},
}


@pytest.mark.few(4)
@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("toned", sampled([False, True], False))
@pytest.mark.parametrize("name", ODD_JPEGS)
def test_a_jpeg_with_odd_segments_keeps_its_luma(name: str, toned: bool, build: str, tmp_path: Path) -> None:
    change, is_noted = ODD_JPEGS[name]
    sound = photos.jpeg_bytes(photos.sepia(GREY) if toned else GREY, **BUILDS[build])
    path = tmp_path / "photo.jpg"
    path.write_bytes(change(sound))
    still, result = coloured(path)
    assert np.array_equal(still.luma, jpeg_luma(sound))
    assert np.array_equal(jpeg_luma(result.read_bytes()), still.luma)
    assert [note.kind for note in still.notes] == [NoteKind.CONCEALED] * is_noted


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("toned", [False, True])
def test_a_jpeg_that_breaks_off_is_damaged_with_or_without_an_end_marker_behind(
    toned: bool, build: str, tmp_path: Path
) -> None:
    data = photos.jpeg_bytes(photos.sepia(GREY) if toned else GREY, **BUILDS[build])
    path = tmp_path / "photo.jpg"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="cannot be decoded"):
        read_still(path)


def test_a_lossless_jpeg_is_coded_as_finely_as_jpeg_can(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(imagecodecs.ljpeg_encode(GREY))
    still, result = coloured(path)
    assert np.array_equal(still.luma, GREY)
    assert np.abs(jpeg_luma(result.read_bytes()).astype(int) - GREY).max() <= 1
    with JpegImageFile(result) as image:
        assert set(image.quantization[0]) == {1}
    assert any("lossless" in note.text for note in still.notes)


def two_colours(path: Path, *, dark: int, bright: int) -> Path:
    """A TIFF of one bit with a palette."""
    strip = np.packbits(GREY >= 100, axis=1).tobytes()
    table = struct.pack("<6H", *(dark * 257, bright * 257) * 3)
    places = 8, 8 + len(strip), 8 + len(strip) + len(table)
    tags = ((256, 4, 1, photos.WIDTH), (257, 4, 1, photos.HEIGHT), (258, 3, 1, 1), (259, 3, 1, 1), (262, 3, 1, 3))
    tags += ((273, 4, 1, places[0]), (277, 3, 1, 1), (278, 4, 1, photos.HEIGHT), (279, 4, 1, len(strip)))
    tags += ((320, 3, 6, places[1]),)
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", places[2]) + strip + table + directory)
    return path


def test_a_tiff_whose_palette_lacks_colours_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    colours = np.arange(64, dtype=np.uint16) * 1024
    tifffile.imwrite(path, GREY, photometric="palette", colormap=np.tile(np.arange(256, dtype=np.uint16), (3, 1)))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags["ColorMap"].overwrite(colours.tolist() * 3)
    with pytest.raises(InputError, match="holds 64 colours in its palette and refers to others"):
        read_still(path)


def test_a_tiff_of_one_bit_with_a_palette_is_read(tmp_path: Path) -> None:
    still = read_still(two_colours(tmp_path / "photo.tif", dark=20, bright=230))
    assert np.array_equal(still.luma, np.where(GREY < 100, 20, 230))
    assert still.is_bilevel


EXTRA: dict[str, tuple[np.ndarray, dict[str, Any], tuple[int, ...]]] = {
    "grey and an unknown sample": (np.dstack((GREY, GREY[::-1])), {"extrasamples": ["unspecified"]}, (0,)),
    "grey, alpha and an unknown sample": (
        np.dstack((GREY, GREY[::-1], GREY[:, ::-1])),
        {"extrasamples": ["unassalpha", "unspecified"]},
        (2, 0),
    ),
    "colour and two unknown samples": (
        np.dstack((photos.sepia(GREY), GREY[::-1], GREY[:, ::-1])),
        {"photometric": "rgb", "extrasamples": ["unspecified", "unspecified"]},
        (0, 0),
    ),
}


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("name", EXTRA)
def test_extra_samples_of_a_tiff_are_carried_over_whatever_they_mean(name: str, planes: bool, tmp_path: Path) -> None:
    pixels, options, kinds = EXTRA[name]
    path = tmp_path / "photo.tif"
    stored = np.ascontiguousarray(np.moveaxis(pixels, -1, 0)) if planes else pixels
    layout = {"planarconfig": "separate" if planes else "contig"}
    tifffile.imwrite(path, stored, **({"photometric": "minisblack", "metadata": None} | layout | options))
    still, result = coloured(path)
    colours = pixels.shape[2] - len(kinds)
    assert np.array_equal(decoded(result)[..., 3:], pixels[..., colours:])
    with tifffile.TiffFile(result) as made:
        assert tuple(int(kind) for kind in made.pages.first.extrasamples) == kinds
    assert [note.kind for note in still.notes] == [NoteKind.ASSUMED]


def test_a_tiff_that_does_not_say_what_its_second_sample_is(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    tifffile.imwrite(path, np.dstack((GREY, GREY[::-1])), photometric="minisblack", extrasamples=["unspecified"])
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages.first.tags[338].offset
    # A tag that nobody knows in place of ExtraSamples.
    struct.pack_into("<H", data, at, 65000)
    with tifffile.TiffFile(BytesIO(bytes(data))) as tiff:
        assert 338 not in tiff.pages.first.tags
    path.write_bytes(bytes(data))
    _, result = coloured(path)
    assert np.array_equal(decoded(result)[..., 3], GREY[::-1])


def bitmap(path: Path, *, bits: int, masks: tuple[int, ...], pixels: np.ndarray) -> Path:
    """A BMP with bit fields: ``pixels`` (H, W) are the packed codes, bottom row first in the file."""
    height, width = pixels.shape
    rows = pixels[::-1].astype("<u2" if bits == 16 else "<u4")
    stride = -(-width * bits // 32) * 4
    body = b"".join(row.tobytes().ljust(stride, b"\0") for row in rows)
    # BITMAPV3INFOHEADER has room for four masks.
    header = struct.pack("<IiiHHIIiiII", 56, width, height, 1, bits, 3, len(body), 0, 0, 0, 0)
    header += struct.pack("<4I", *(*masks, 0, 0)[:4])
    path.write_bytes(b"BM" + struct.pack("<IHHI", 14 + 56 + len(body), 0, 0, 14 + 56) + header + body)
    return path


def test_a_bmp_of_sixteen_bits_with_bit_fields_is_read(tmp_path: Path) -> None:
    five, six = GREY.astype(np.uint32) >> 3, GREY.astype(np.uint32) >> 2
    packed = five << 11 | six << 5 | five
    path = bitmap(tmp_path / "photo.bmp", bits=16, masks=(0xF800, 0x07E0, 0x001F), pixels=packed)
    still, result = coloured(path)
    assert np.abs(still.luma.astype(int) - GREY).max() <= 8
    assert result.suffix == ".png"


@pytest.mark.parametrize("is_empty", [False, True])
def test_a_bmp_with_alpha_keeps_it_and_an_empty_one_is_taken_as_opaque(is_empty: bool, tmp_path: Path) -> None:
    grey = GREY.astype(np.uint32)
    alpha = np.zeros_like(grey) if is_empty else grey[::-1]
    masks = (0xFF0000, 0x00FF00, 0x0000FF, 0xFF000000)
    packed = alpha << 24 | grey << 16 | grey << 8 | grey
    still, result = coloured(bitmap(tmp_path / "photo.bmp", bits=32, masks=masks, pixels=packed))
    assert np.array_equal(still.luma, GREY)
    made = decoded(result)
    assert made.shape[2] == (3 if is_empty else 4)
    assert is_empty or np.array_equal(made[..., 3], GREY[::-1])
    assert any("opaque" in note.text for note in still.notes) == is_empty


@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (16, (0x0F00, 0x00F0, 0x000F)),
        (16, (0xF000, 0x0F00, 0x00F0, 0x000F)),
        (16, (0x7C00, 0x03E0, 0x001F, 0x8000)),
        (16, (0x0001, 0x07FE, 0xF800)),
        (32, (0x3FC00000, 0x003FC000, 0x00003FC0)),
        (32, (0x3FF00000, 0x000FFC00, 0x000003FF)),
        (32, (0xE0000000, 0x1FFFFFC0, 0x0000003E, 0x00000001)),
    ],
)
def test_a_bmp_is_read_whatever_bits_its_samples_are(bits: int, masks: tuple[int, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    codes = [rng.integers(0, 1 << mask.bit_count(), (21, 33)).astype(np.uint64) for mask in masks]
    packed = sum(code * np.uint64(mask & -mask) for code, mask in zip(codes, masks, strict=True))
    path = bitmap(tmp_path / "photo.bmp", bits=bits, masks=masks, pixels=np.asarray(packed))
    still = read_still(path)
    white = 65535 if max(mask.bit_count() for mask in masks) > 8 else 255
    samples = [np.rint(code * (white / ((1 << mask.bit_count()) - 1))) for code, mask in zip(codes, masks, strict=True)]
    assert still.own_rgb is not None
    assert np.array_equal(still.own_rgb(), np.stack(samples[:3], axis=2))
    assert (still.alpha is None) == (len(masks) == 3)
    assert still.alpha is None or np.array_equal(still.alpha, samples[3])
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="break off"):
        read_still(path)


def test_a_bmp_of_unknown_bit_fields_is_refused_and_not_called_damaged(tmp_path: Path) -> None:
    path = bitmap(tmp_path / "photo.bmp", bits=16, masks=(0x0500, 0x0070, 0x0007), pixels=GREY >> 5)
    with pytest.raises(UnsupportedError, match="rare kind"):
        read_still(path)


def two_pictures() -> bytes:
    file = BytesIO()
    first, second = Image.fromarray(GREY), Image.fromarray(GREY[::-1])
    first.save(file, "GIF", save_all=True, append_images=[second])
    return file.getvalue()


@pytest.mark.parametrize("cut", [1, 2, 3, 9, 200, 4000])
def test_a_gif_that_breaks_off_in_its_second_picture_shows_the_first(cut: int, tmp_path: Path) -> None:
    whole = two_pictures()
    path = tmp_path / "photo.gif"
    path.write_bytes(whole)
    with pytest.raises(UnsupportedError, match="animated"):
        read_still(path)
    # Where the second picture begins.
    start = whole.rindex(b"\x21\xf9\x04")
    path.write_bytes(whole[: start + cut])
    still = read_still(path)
    assert np.array_equal(still.luma, GREY)
    assert NoteKind.CONCEALED in {note.kind for note in still.notes}


def test_transparency_of_a_gif_becomes_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(GREY).convert("P")
    path = photos.save(tmp_path / "photo.gif", image, transparency=int(image.getpixel((5, 5))))
    still, result = coloured(path)
    assert still.alpha is not None
    made = decoded(result)
    assert made[5, 5, 3] == 0
    assert made[..., 3].max() == 255


def test_jpeg_2000_with_bytes_behind_its_last_box_is_read(tmp_path: Path) -> None:
    path = photos.save_jp2(tmp_path / "photo.jp2", GREY)
    path.write_bytes(path.read_bytes() + b"behind")
    still, _ = coloured(path)
    assert np.array_equal(still.luma, GREY)
    assert "6 bytes after the end" in still.notes[-1].text


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("pixels", "profile"),
    [
        (GREY, photos.grey_profile()),
        (GREY, photos.dot_gain_profile()),
        (np.dstack((GREY,) * 3), photos.working_space("ProPhoto")),
        (photos.scene(bits=16), photos.grey_profile(gamma=2.6)),
    ],
    ids=["gamma", "dot gain", "ProPhoto", "16 bits"],
)
def test_samples_of_jpeg_2000_are_those_that_are_stored_whatever_its_profile(
    pixels: np.ndarray, profile: bytes, tmp_path: Path
) -> None:
    path = photos.save_jp2(tmp_path / "photo.jp2", pixels, icc=profile)
    still, _ = coloured(path)
    assert np.array_equal(still.luma, pixels if pixels.ndim == 2 else GREY)


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


HEADER = struct.pack(">IIBBBBB", photos.WIDTH, photos.HEIGHT, 8, 0, 0, 0, 0)
PIXELS = zlib.compress(b"".join(b"\0" + row.tobytes() for row in GREY))
ODD_PNGS: dict[str, tuple[bytes, str]] = {
    "no end": (png_of((b"IHDR", HEADER), (b"IDAT", PIXELS)), "lacks its end"),
    "transparency cut": (
        png_of((b"IHDR", HEADER), (b"tRNS", b"\0"), (b"IDAT", PIXELS), (b"IEND", b"")),
        "tRNS does not fit",
    ),
    "profile damaged": (
        png_of((b"IHDR", HEADER), (b"iCCP", b"x\0\0junk"), (b"IDAT", PIXELS), (b"IEND", b"")),
        "cannot be inflated",
    ),
    "resolution cut": (png_of((b"IHDR", HEADER), (b"pHYs", b"\0"), (b"IDAT", PIXELS), (b"IEND", b"")), ""),
    "gamma twice": (
        png_of((b"IHDR", HEADER), *[(b"gAMA", struct.pack(">I", 45455))] * 2, (b"IDAT", PIXELS), (b"IEND", b"")),
        "",
    ),
}


@pytest.mark.parametrize("name", ODD_PNGS)
def test_an_odd_png_is_read_and_no_library_speaks_to_the_terminal(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, said = ODD_PNGS[name]
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    still, _ = coloured(path)
    assert np.array_equal(still.luma, GREY)
    assert any(said in note.text for note in still.notes) == bool(said)
    assert capfd.readouterr() == ("", "")


def test_a_lossless_jpeg_of_rgb_is_read(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(imagecodecs.jpeg8_encode(photos.sepia(GREY), lossless=True, outcolorspace="RGB", colorspace="RGB"))
    still, result = coloured(path)
    wanted = np.rint(photos.sepia(GREY).astype(float) @ [0.299, 0.587, 0.114])
    assert np.abs(still.luma - wanted).max() <= 1
    assert np.abs(jpeg_luma(result.read_bytes()).astype(int) - still.luma).max() <= 2


def test_an_avif_too_large_for_its_decoder_is_refused_and_not_called_damaged(tmp_path: Path) -> None:
    path = photos.save(tmp_path / "photo.avif", GREY, speed=10)
    data = path.read_bytes()
    at = data.index(b"ispe") + 8
    path.write_bytes(data[:at] + struct.pack(">II", 17000, 17000) + data[at + 8 :])
    with pytest.raises(UnsupportedError, match="17000 x 17000"):
        read_still(path)


def interlaced(pixels: np.ndarray, *, depth: int, colour: int) -> bytes:
    """A PNG in the seven passes of Adam7; ``pixels`` (H, W, samples) are codes of ``depth`` bits."""
    packed = b""
    for row, column, down, right in (
        *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
    ):
        part = pixels[row::down, column::right]
        if part.size:
            bits = np.unpackbits(part.astype(">u2").reshape(len(part), -1, 1).view(np.uint8), axis=2)[..., 16 - depth :]
            packed += b"".join(b"\0" + np.packbits(line).tobytes() for line in bits.reshape(len(part), -1))
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, colour, 0, 0, 1)
    palette = [(b"PLTE", bytes(range(256)) * 3)] if colour == 3 else []
    return png_of((b"IHDR", header), *palette, (b"IDAT", zlib.compress(packed)), (b"IEND", b""))


@pytest.mark.few(8)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 5), (5, 1), (3, 4), (9, 17), (40, 31)])
@pytest.mark.parametrize(
    ("depth", "colour", "samples"), [(1, 0, 1), (4, 0, 1), (8, 0, 1), (16, 0, 1), (8, 3, 1), (16, 2, 3), (8, 6, 4)]
)
def test_interlaced_png_of_every_kind_is_read(
    height: int, width: int, depth: int, colour: int, samples: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, min(1 << depth, 85 if colour == 3 else 1 << depth), (height, width, samples))
    path = tmp_path / "photo.png"
    path.write_bytes(interlaced(pixels, depth=depth, colour=colour))
    still = read_still(path)
    if colour == 0:
        assert np.array_equal(still.luma, pixels[..., 0] * (255 // ((1 << depth) - 1) if depth < 8 else 1))
    elif colour == 6:
        assert np.array_equal(still.alpha, pixels[..., 3])
    top = 65535 if depth == 16 else 255
    if colour in (2, 6):
        assert np.abs(still.luma - pixels[..., :3] @ [0.299, 0.587, 0.114]).max() <= 0.51
    assert still.luma.max() <= top
    assert capfd.readouterr().err == ""


def test_an_interlaced_png_that_breaks_off_is_damaged(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 40, 40, 8, 0, 0, 0, 1)
    path = tmp_path / "photo.png"
    path.write_bytes(png_of((b"IHDR", header), (b"IDAT", zlib.compress(bytes(500))), (b"IEND", b"")))
    with pytest.raises(InputError, match="not enough image data"):
        read_still(path)
