"""What cannot be coloured is refused by name before it costs memory, and never half-read."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.errors import InputError, UnsupportedError
from pipeline.media.stills import read_still
from pipeline.results import NoteKind
from tests import photos
from tests.films import make_film


def _cut(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = photos.save(folder / f"photo{suffix}", photos.scene())
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return path

    return make


def _bytes(name: str, data: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def _tiff(pixels: np.ndarray, **options: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        tifffile.imwrite(folder / "photo.tif", pixels, **options)
        return folder / "photo.tif"

    return make


def _jp2_in_other_order(folder: Path) -> Path:
    path = photos.save_jp2(folder / "photo.jp2", photos.sepia(photos.scene()))
    order = photos.box(b"cdef", struct.pack(">10H", 3, 0, 0, 3, 1, 0, 2, 2, 0, 1))
    data = path.read_bytes()
    at = data.index(b"jp2h") - 4
    (size,) = struct.unpack_from(">I", data, at)
    header = struct.pack(">I", size + len(order)) + data[at + 4 : at + size] + order
    path.write_bytes(data[:at] + header + data[at + size :])
    return path


def _two_numbers(tag: int) -> Callable[[Path], Path]:
    """A TIFF whose ``tag`` holds two numbers in place of one."""

    def make(folder: Path) -> Path:
        path = _tiff(photos.scene())(folder)
        data = bytearray(path.read_bytes())
        with tifffile.TiffFile(path) as read:
            at = read.pages[0].tags[tag].offset
        struct.pack_into("<HI", data, at + 2, 3, 2)
        data[at + 10 : at + 12] = data[at + 8 : at + 10]
        path.write_bytes(data)
        return path

    return make


def _deep_palette(folder: Path) -> Path:
    colours = np.zeros((3, 1 << 16), np.uint16)
    return _tiff(GREY.astype(np.uint16), photometric="palette", colormap=colours)(folder)


def _sequence(folder: Path) -> Path:
    """A film as HEIF has it: in the brand of its sequences, without a still picture."""
    film = make_film(folder / "film.mp4", codec="mpeg4")
    path = film.rename(folder / "photo.heic")
    data = path.read_bytes()
    path.write_bytes(data.replace(data[8:12], b"msf1", 1))
    return path


def _jp2(pixels: np.ndarray, **options: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        coded = imagecodecs.jpeg2k_encode(pixels, codecformat="jp2", level=0, reversible=True, **options)
        (folder / "photo.jp2").write_bytes(coded)
        return folder / "photo.jp2"

    return make


def _cut_after(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    def cut(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(path.read_bytes()[:-3000])
        return path

    return cut


def _image(name: str, image: Image.Image, **options: object) -> Callable[[Path], Path]:
    return lambda folder: photos.save(folder / name, image, **options)


GREY = photos.scene()
IMAGE = Image.fromarray(GREY)
TURNED = Image.fromarray(GREY[::-1])
HUGE_JPEG = bytearray(photos.jpeg_bytes(GREY))
HUGE_JPEG[HUGE_JPEG.index(b"\xff\xc0") + 5 : HUGE_JPEG.index(b"\xff\xc0") + 9] = struct.pack(">HH", 65000, 65000)
TWELVE_BITS = bytearray(photos.jpeg_bytes(GREY))
TWELVE_BITS[TWELVE_BITS.index(b"\xff\xc0") + 4] = 12

PROGRESSIVE = {".jpg": {"progressive": True}}
CMYK_SECOND = {"save_all": True, "append_images": [IMAGE.convert("CMYK")]}
REFUSED = {
    "absent": (lambda folder: folder / "none.jpg", "cannot be read"),
    "text": (_bytes("photo.jpg", b"dear diary"), "is not a picture"),
    "empty": (_bytes("photo.png", b""), "is empty"),
    "zeros": (_bytes("photo.jpg", bytes(5000)), "nothing but zeros"),
    "cut-jpeg": (_cut(".jpg"), "cannot be decoded"),
    "cut-png": (_cut(".png"), "cannot be decoded"),
    "cut-tiff": (_cut(".tif"), "photo.tif"),
    "cut-webp": (_cut(".webp"), "cannot be decoded"),
    "jpeg-head-only": (_bytes("photo.jpg", photos.jpeg_bytes(GREY)[:40]), "not a sound JPEG"),
    "tiff-head-only": (_bytes("photo.tif", b"II*\0\x08\0\0\0"), "photo.tif"),
    "huge-png": (_bytes("photo.png", photos.png_header(100_000, 100_000)), "more than 400 million pixels"),
    "huge-jpeg": (_bytes("photo.jpg", bytes(HUGE_JPEG)), "more than 400 million pixels"),
    "twelve-bit-jpeg": (_bytes("photo.jpg", bytes(TWELVE_BITS)), "12 bits"),
    "cmyk-jpeg": (_image("photo.jpg", IMAGE.convert("CMYK")), "CMYK"),
    "cmyk-tiff": (_image("photo.tif", IMAGE.convert("CMYK")), "CMYK"),
    "float-tiff": (_tiff(GREY.astype(np.float32)), "32-bit floating-point"),
    "wide-tiff": (_tiff(GREY.astype(np.uint32)), "32-bit"),
    "signed-tiff": (_tiff(GREY.astype(np.int16)), "16-bit signed"),
    "twelve-bit-tiff": (_tiff(GREY.astype(np.uint16), bitspersample=12), "12-bit"),
    "one-bit-rgb-tiff": (_tiff(np.dstack((GREY > 128,) * 3), photometric="rgb"), "1-bit samples, 3 for each pixel"),
    "deep-palette-tiff": (_deep_palette, "16-bit palette samples"),
    "page-of-cmyk": (_image("photo.tif", IMAGE, **CMYK_SECOND), r"CMYK samples \(page 2\)"),
    "animated-gif": (_image("photo.gif", IMAGE, save_all=True, append_images=[TURNED]), "animated"),
    "animated-webp": (_image("photo.webp", IMAGE, save_all=True, append_images=[TURNED]), "animated"),
    "animated-png": (_image("photo.png", IMAGE, save_all=True, append_images=[TURNED]), "animated"),
    "jpeg-2000-head-only": (_bytes("photo.jp2", photos.box(b"jP  ", b"\r\n\x87\n")), "JPEG 2000 of 0 pictures"),
    "jpeg-2000-codestream": (_bytes("photo.jp2", b"\xff\x4f\xff\x51"), "bare JPEG 2000 codestream"),
    "jpeg-2000-alpha": (_jp2(np.dstack((GREY,) * 4)), "4 components"),
    "jpeg-2000-signed": (_jp2(GREY.astype(np.int16)), "16-bit signed"),
    "jpeg-2000-other-order": (_jp2_in_other_order, "colours are stored in another order"),
    "jpeg-2000-12-bit": (_jp2(GREY.astype(np.uint16), bitspersample=12), "12-bit"),
    "cut-jpeg-2000": (_cut_after(_jp2(GREY)), "cannot be decoded"),
    **{f"tiff-two-numbers-{tag}": (_two_numbers(tag), "does not hold one number") for tag in (259, 262)},
    "heif-sequence": (_sequence, "is a sequence of HEIF pictures"),
    "pcx-unpacked": (_bytes("photo.pcx", b"\n\5\0\x08" + bytes(200)), "is PCX"),
    "cut-avif": (_cut(".avif"), "cannot be decoded"),
    "animated-avif": (_image("photo.avif", IMAGE, save_all=True, append_images=[TURNED]), "animated"),
    "film": (_bytes("photo.heic", b"\x00\x00\x00\x18ftypisom\0\0\0\0isommp42"), "a film"),
    "dng": (_tiff(GREY, extratags=[(50706, 1, 4, bytes((1, 4, 0, 0)), True)]), "camera raw"),
    "raw-linear": (_tiff(np.dstack((GREY,) * 3), photometric=34892), "camera raw"),
    "raw-canon": (_bytes("photo.cr2", b"II*\0\x10\0\0\0CR\2\0"), "camera raw"),
    "raw-canon-3": (_bytes("photo.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom"), "camera raw"),
    "raw-fujifilm": (_bytes("photo.raf", b"FUJIFILMCCD-RAW 0201"), "camera raw"),
    "raw-olympus": (_bytes("photo.orf", b"IIRO\x08\0\0\0"), "camera raw"),
    "raw-panasonic": (_bytes("photo.rw2", b"IIU\0\x18\0\0\0"), "camera raw"),
    "jpeg-xl": (_bytes("photo.jxl", b"\xff\x0a\0"), "JPEG XL"),
    "photoshop": (_bytes("photo.psd", b"8BPS\0\1"), "Photoshop"),
}


@pytest.mark.few(8)
@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(name: str, tmp_path: Path) -> None:
    make, message = REFUSED[name]
    path = make(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        read_still(path)
    assert str(path) in str(caught.value)
    assert caught.value.advice


@pytest.mark.parametrize("name", [name for name in REFUSED if name.startswith(("cut-", "jpeg-2000-head"))])
def test_damage_is_a_fault_of_the_file_and_says_what_to_do(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_still(REFUSED[name][0](tmp_path))
    assert not isinstance(caught.value, UnsupportedError)
    assert caught.value.advice.startswith("Copy it again")


@pytest.mark.few(7)
@pytest.mark.parametrize(
    "name", [name for name in REFUSED if name.startswith(("dng", "raw-", "animated-", "photoshop"))]
)
def test_a_kind_that_is_not_coloured_is_refused_by_design(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        read_still(REFUSED[name][0](tmp_path))
    assert caught.value.exit_code == 4


def test_the_pixel_limit_is_the_caller_s(tmp_path: Path) -> None:
    for suffix in (".jpg", ".png", ".tif", ".webp", ".bmp"):
        path = photos.save(tmp_path / f"photo{suffix}", GREY)
        assert read_still(path, pixel_limit=GREY.size).luma.size == GREY.size
        with pytest.raises(InputError, match="million pixels"):
            read_still(path, pixel_limit=GREY.size - 1)


def test_a_file_far_longer_than_its_picture_is_refused(tmp_path: Path) -> None:
    path = photos.save(tmp_path / "photo.png", GREY)
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    with pytest.raises(InputError, match="far more"):
        read_still(path)


def test_the_pixel_limit_holds_for_all_pages_together(tmp_path: Path) -> None:
    path = photos.save(tmp_path / "photo.tif", IMAGE, save_all=True, append_images=[TURNED] * 3)
    assert len(read_still(path, pixel_limit=4 * GREY.size).further) == 3
    with pytest.raises(InputError, match="4 pages"):
        read_still(path, pixel_limit=4 * GREY.size - 1)


@pytest.mark.slow
def test_a_tiff_of_endless_pages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    with tifffile.TiffWriter(path) as tiff:
        for _ in range(1001):
            tiff.write(np.zeros((2, 2), np.uint8), photometric="minisblack", metadata=None, contiguous=False)
    with pytest.raises(InputError, match="more than 1000 pages"):
        read_still(path)


def _many_scans(path: Path) -> None:
    coded = photos.jpeg_bytes(GREY, progressive=True)
    last = coded[coded.rindex(b"\xff\xc4") : -2]
    path.write_bytes(coded[:-2] + last * 100 + b"\xff\xd9")


def _idle_png(path: Path) -> None:
    data = zlib.compress(np.random.default_rng(1).bytes(3 << 20), 0)
    chunks = b""
    for kind, part in ((b"IDAT", data), (b"IEND", b"")):
        chunks += struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
    path.write_bytes(photos.png_header(100, 100) + chunks)


def _tiff_strip(packing: int, pack: Callable[[], bytes]) -> Callable[[Path], None]:
    """A TIFF of 100 x 100 pixels with one strip."""

    def write(path: Path) -> None:
        strip = pack()
        shape = ((256, 100), (257, 100), (258, 8), (259, packing), (262, 1))
        tags = (*shape, (273, 8), (277, 1), (278, 100), (279, len(strip)))
        strip += bytes(len(strip) % 2)
        table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
        path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip + table + bytes(4))

    return write


def _black_jpeg() -> bytes:
    return photos.jpeg_bytes(np.zeros((4000, 4000), np.uint8))


def _black_jp2() -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(np.zeros((4000, 4000), np.uint8), level=0, codecformat="j2k"))


BOMBS: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "jpeg-of-endless-scans": (".jpg", _many_scans, "more than 100 scans"),
    "png-that-inflates-for-long": (".png", _idle_png, "far more data"),
    "tiff-deflate": (".tif", _tiff_strip(8, lambda: zlib.compress(bytes(1 << 26))), "cannot be decoded"),
    "tiff-jpeg": (".tif", _tiff_strip(7, _black_jpeg), "4000 x 4000"),
    "tiff-jpeg-2000": (".tif", _tiff_strip(34712, _black_jp2), "4000 x 4000"),
    "tiff-rare-packing": (".tif", _tiff_strip(50002, lambda: b"abcd"), "packed with JPEGXL"),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_claims_to_be_a_small_picture_cannot_take_much_memory(name: str, tmp_path: Path) -> None:
    suffix, write, message = BOMBS[name]
    path = tmp_path / f"bomb{suffix}"
    write(path)
    with pytest.raises(InputError, match=message):
        read_still(path)


@pytest.mark.parametrize("damage", [bytes(400), bytes(range(100, 200)), b"\xff\xd3"])
@pytest.mark.parametrize("toned", [False, True])
def test_damage_inside_a_jpeg_is_named(damage: bytes, toned: bool, tmp_path: Path) -> None:
    grey = photos.scene(width=400, height=300)
    data = bytearray(photos.jpeg_bytes(photos.sepia(grey) if toned else grey, quality=90))
    middle = len(data) // 2
    data[middle : middle + len(damage)] = damage
    path = tmp_path / "photo.jpg"
    path.write_bytes(bytes(data))
    assert [note.kind for note in read_still(path).notes] == [NoteKind.CONCEALED]


def test_a_reduced_copy_in_a_tiff_is_left_behind_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "photo.tif"
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(GREY, photometric="minisblack", metadata=None)
        tiff.write(GREY[::4, ::4], photometric="minisblack", subfiletype=1, metadata=None)
    still = read_still(path)
    assert np.array_equal(still.luma, GREY)
    assert [note.kind for note in still.notes] == [NoteKind.DROPPED]


PYTHONS_OWN = re.compile(r"codec can|index out of|out of bounds|unpack|NoneType|object is|must be|: '\w+'$|: $")


def test_a_png_without_its_picture_is_damaged_and_not_a_decoder_s_slip(tmp_path: Path) -> None:
    path = photos.save(tmp_path / "a.png", photos.scene())
    data = path.read_bytes()
    for _ in range(data.count(b"IDAT")):
        start = data.index(b"IDAT") - 4
        data = data[:start] + data[start + 12 + int.from_bytes(data[start : start + 4]) :]
    path.write_bytes(data)
    with pytest.raises(InputError, match="cannot be decoded") as caught:
        read_still(path)
    assert not PYTHONS_OWN.search(str(caught.value))


def refusals(path: Path, *, times: int, start: int, seed: int) -> int:
    """Return how often a photograph is refused with six random bytes from ``start`` on; all else must be readable.

    What is refused is said in words of ours or of a decoder, not in those of Python.
    """
    rng = np.random.default_rng(seed)
    good = path.read_bytes()
    said: list[str] = []
    for _ in range(times):
        data = bytearray(good)
        for place in rng.integers(start, len(data), 6):
            data[place] = rng.integers(256)
        path.write_bytes(bytes(data))
        try:
            read_still(path)
        except InputError as error:
            said.append(str(error))
    assert not [text for text in said if PYTHONS_OWN.search(text)]
    return len(said)


@pytest.mark.few(2)
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".jp2"])
def test_random_damage_is_refused_or_read_and_nothing_else(suffix: str, tmp_path: Path) -> None:
    pixels = photos.sepia(photos.scene(width=40, height=30))
    path = tmp_path / f"photo{suffix}"
    if suffix == ".jp2":
        photos.save_jp2(path, pixels)
    else:
        photos.save_with_metadata(path, pixels, **PROGRESSIVE.get(suffix, {}))
    assert refusals(path, times=80, start=4, seed=3) > 0
