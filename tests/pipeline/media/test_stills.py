"""What every format promises: luma as it was, depth and metadata kept, and only chroma added."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from pipeline.media.stills import AiColour, Page, Still, output_suffix, read_still, verify_still, write_still
from tests import photos

AUTOCHROME = AiColour(system="Autochrome", version="0.1.0")
Writer = Callable[[Path], Path]


@dataclass(frozen=True)
class Case:
    """A source, how to make it, and by how many codes the luma of a coloured result may differ."""

    name: str
    suffix: str
    make: Writer
    bits: int = 8
    luma_error: int = 0
    luma: Callable[[], NDArray[Any]] | None = None


def _grey(**options: Any) -> Writer:
    return lambda path: photos.save_with_metadata(path, photos.scene(), **options)


def _toned(**options: Any) -> Writer:
    return lambda path: photos.save_with_metadata(path, photos.sepia(photos.scene()), **options)


def _tiff(*, bits: int = 8, rgb: bool = False, **options: Any) -> Writer:
    grey = photos.scene(bits=bits)
    return lambda path: photos.save_tiff(path, photos.sepia(grey) if rgb else grey, **options)


def _planar(path: Path) -> Path:
    planes = np.ascontiguousarray(np.moveaxis(photos.sepia(photos.scene()), -1, 0))
    return photos.save_tiff(path, planes, planarconfig="separate")


def _min_is_white(path: Path) -> Path:
    return photos.save_tiff(path, 255 - photos.scene(), photometric="miniswhite")


def _png16(path: Path) -> Path:
    return photos.save_with_metadata(path, photos.scene(bits=16))


def _png16_rgb(path: Path) -> Path:
    path.write_bytes(imagecodecs.png_encode(photos.sepia(photos.scene(bits=16))))
    return path


def _palette(path: Path) -> Path:
    return photos.save(path, Image.fromarray(photos.scene()).convert("P"))


def _jp2(*, bits: int = 8, rgb: bool = False, **options: Any) -> Writer:
    grey = photos.scene(bits=bits)
    return lambda path: photos.save_jp2(path, photos.sepia(grey) if rgb else grey, **options)


def _avif(path: Path) -> Path:
    return photos.save(path, photos.sepia(photos.scene()), quality=90, speed=10)


def _avif_10(path: Path) -> Path:
    codes = photos.sepia(photos.scene(bits=16)) >> 6
    path.write_bytes(imagecodecs.avif_encode(codes, level=95, bitspersample=10, speed=10))
    return path


def _scene16() -> NDArray[Any]:
    return photos.scene(bits=16)


CASES = (
    Case("jpeg-grey", ".jpg", _grey(quality=85)),
    Case("jpeg-grey-restarts", ".jpg", _grey(quality=85, restart_marker_rows=1)),
    Case("jpeg-grey-progressive", ".jpg", _grey(quality=60, progressive=True)),
    Case("jpeg-grey-optimised", ".jpg", _grey(quality=95, optimize=True)),
    Case("jpeg-toned-420", ".jpg", _toned(quality=75)),
    Case("jpeg-toned-422", ".jpg", _toned(quality=90, subsampling=1)),
    Case("jpeg-toned-444", ".jpg", _toned(quality=100, subsampling=0)),
    Case("jpeg-toned-optimised", ".jpg", _toned(quality=30, optimize=True)),
    Case("jpeg-toned-restarts", ".jpg", _toned(quality=75, restart_marker_blocks=3)),
    Case("jpeg-toned-progressive", ".jpg", _toned(quality=75, progressive=True)),
    Case("jpeg-toned-progressive-restarts", ".jpg", _toned(quality=75, progressive=True, restart_marker_rows=1)),
    Case("jpeg-stored-as-rgb", ".jpg", _toned(quality=90, keep_rgb=True), luma_error=14),
    Case("png-grey-8", ".png", _grey(), luma_error=1, luma=photos.scene),
    Case("png-grey-16", ".png", _png16, bits=16, luma_error=1, luma=_scene16),
    Case("png-rgb-8", ".png", _toned(), luma_error=1),
    Case("png-rgb-16", ".png", _png16_rgb, bits=16, luma_error=1),
    Case("png-palette", ".png", _palette, luma_error=1, luma=photos.scene),
    Case("tiff-grey-8", ".tif", _tiff(), luma_error=1, luma=photos.scene),
    Case("tiff-grey-16", ".tif", _tiff(bits=16), bits=16, luma_error=1, luma=_scene16),
    Case("tiff-grey-16-big-endian", ".tif", _tiff(bits=16, byteorder=">"), bits=16, luma_error=1, luma=_scene16),
    Case("tiff-rgb-8", ".tif", _tiff(rgb=True), luma_error=1),
    Case("tiff-rgb-16", ".tif", _tiff(bits=16, rgb=True), bits=16, luma_error=1),
    Case("tiff-rgb-planar", ".tif", _planar, luma_error=1),
    Case("tiff-white-is-zero", ".tif", _min_is_white, luma_error=1, luma=photos.scene),
    Case("tiff-lzw", ".tiff", _tiff(compression="lzw", predictor=True), luma_error=1, luma=photos.scene),
    Case("tiff-packbits", ".tif", _tiff(compression="packbits"), luma_error=1, luma=photos.scene),
    Case("tiff-zstd", ".tif", _tiff(compression="zstd"), luma_error=1, luma=photos.scene),
    Case("tiff-tiled-deflate", ".tif", _tiff(bits=16, compression="zlib", tile=(32, 48)), 16, 1, _scene16),
    Case("tiff-big", ".tif", _tiff(bigtiff=True), luma_error=1, luma=photos.scene),
    Case("jp2-grey-8", ".jp2", _jp2(), luma_error=1, luma=photos.scene),
    Case("jp2-grey-16", ".jp2", _jp2(bits=16), bits=16, luma_error=1, luma=_scene16),
    Case("jp2-rgb-8", ".jp2", _jp2(rgb=True), luma_error=1),
    Case("jp2-rgb-16", ".jp2", _jp2(bits=16, rgb=True), bits=16, luma_error=1),
    Case("jp2-lossy", ".jp2", _jp2(rgb=True, reversible=False, level=40), luma_error=1),
    Case("avif-8", ".avif", _avif, luma_error=1),
    Case("avif-10", ".avif", _avif_10, bits=16, luma_error=1),
    Case("webp-lossless", ".webp", _grey(lossless=True), luma_error=1, luma=photos.scene),
    Case("webp-lossy", ".webp", _grey(quality=80), luma_error=1),
)
EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def _fax(path: Path) -> Path:
    return photos.save(path, Image.fromarray(photos.scene() > 100), compression="group4")


def _four_bits(path: Path) -> Path:
    return photos.save_tiff(path, photos.scene() >> 4, bitspersample=4)


def _interlaced(path: Path) -> Path:
    """A PNG in the seven passes of Adam7."""
    grey = photos.scene()
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = (row for y, x, down, right in passes for row in grey[y::down, x::right])
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", photos.WIDTH, photos.HEIGHT, 8, 0, 0, 0, 1)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    written = b"\x89PNG\r\n\x1a\n"
    for kind, data in chunks:
        written += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(written)
    return path


RARER: dict[str, tuple[str, Writer, Callable[[], NDArray[Any]]]] = {
    "tiff-palette": (".tif", _palette, photos.scene),
    "tiff-lzma": (".tif", _tiff(compression="lzma"), photos.scene),
    "tiff-jpeg-2000": (".tif", _tiff(compression="jpeg2000", compressionargs={"level": 0}), photos.scene),
    "tiff-fax": (".tif", _fax, lambda: np.where(photos.scene() > 100, 255, 0).astype(np.uint8)),
    "tiff-four-bits": (".tif", _four_bits, lambda: (photos.scene() >> 4) * np.uint8(17)),
    "png-interlaced": (".png", _interlaced, photos.scene),
}


@pytest.mark.few(3)
@pytest.mark.parametrize("name", RARER)
def test_rarer_ways_of_storing_are_read_and_written_as_well(name: str, tmp_path: Path) -> None:
    suffix, make, luma = RARER[name]
    still, result = coloured(make(tmp_path / f"photo{suffix}"))
    assert np.array_equal(still.luma, luma())
    assert np.abs(np.rint(decoded(result) @ [0.299, 0.587, 0.114]) - luma()).max() <= 1


def strips_of(still: Still, *, cb: NDArray[Any] | None = None, cr: NDArray[Any] | None = None) -> Iterator[Any]:
    """The strips a colorizer would give, in pieces that fit no block or strip size."""
    if cb is None or cr is None:
        cb = cr = np.zeros(still.luma.shape)
    if still.colour_model == "ycbcr":
        full = np.dstack((still.luma, np.rint(128 + cb), np.rint(128 + cr))).astype(np.uint8)
    else:
        full = photos.rgb_of(still.luma, cb, cr)
    return (full[top : top + 37] for top in range(0, still.height, 37))


def coloured(
    path: Path,
    *,
    chroma: bool = True,
    declared: AiColour | None = AUTOCHROME,
    fine: NDArray[np.bool_] | None = None,
) -> tuple[Still, Path]:
    """Read ``path``, colour it, and write the result beside it."""
    still = read_still(path)
    result = path.with_name(f"coloured{output_suffix(still.path, still.format)}")
    cb, cr = photos.tinted(still.luma) if chroma else (None, None)
    page = Page(still, strips_of(still, cb=cb, cr=cr), declared, fine=fine)
    write_still(result, [page])
    verify_still(result, [page])
    return still, result


def decoded(path: Path) -> NDArray[Any]:
    """RGB, or Y'CbCr of a JPEG, by a reader that is not ours."""
    if path.suffix == ".jpg":
        with Image.open(path) as image:
            image.draft("YCbCr", None)
            return np.asarray(image)
    if path.suffix == ".png":
        pixels: NDArray[Any] = imagecodecs.png_decode(path.read_bytes())
        return pixels
    if path.suffix in (".tif", ".tiff"):
        page: NDArray[Any] = tifffile.imread(path)
        return page
    if path.suffix == ".jp2":
        samples: NDArray[Any] = imagecodecs.jpeg2k_decode(path.read_bytes())
        return samples
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.few(5)
@EVERY
def test_luma_is_the_source_s(case: Case, tmp_path: Path) -> None:
    still = read_still(case.make(tmp_path / f"photo{case.suffix}"))
    assert still.bits == case.bits
    assert still.luma.dtype == (np.uint8 if case.bits == 8 else np.uint16)
    assert still.luma.shape == (photos.HEIGHT, photos.WIDTH)
    if case.luma is not None:
        assert np.array_equal(still.luma, case.luma())


@pytest.mark.few(4)
@EVERY
def test_without_chroma_luma_is_exact(case: Case, tmp_path: Path) -> None:
    still, result = coloured(case.make(tmp_path / f"photo{case.suffix}"), chroma=False)
    pixels = decoded(result)
    error = np.abs(pixels[..., 0].astype(int) - still.luma).max()
    assert error <= (14 if case.name == "jpeg-stored-as-rgb" else 0)
    if case.suffix != ".jpg":
        assert np.array_equal(pixels[..., 0], pixels[..., 1])
        assert np.array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.few(4)
@EVERY
def test_with_chroma_luma_differs_by_rounding_at_most(case: Case, tmp_path: Path) -> None:
    still, result = coloured(case.make(tmp_path / f"photo{case.suffix}"))
    pixels = decoded(result)
    if case.suffix == ".jpg":
        luma = pixels[..., 0].astype(float)
        chroma = pixels[..., 1:].astype(float) - 128
    else:
        assert pixels.dtype == still.luma.dtype
        luma = np.rint(pixels.astype(float) @ [0.299, 0.587, 0.114])
        chroma = np.dstack(((pixels[..., 2] - luma) / 1.772, (pixels[..., 0] - luma) / 1.402))
    assert np.abs(luma - still.luma).max() <= case.luma_error
    wanted = np.dstack(photos.tinted(still.luma))
    codes = 1 << (case.bits - 8)
    assert np.abs(chroma - wanted).mean() < 2 * codes
    assert np.abs(wanted).max() > 10 * codes


@pytest.mark.few(3)
@EVERY
def test_the_result_is_read_again(case: Case, tmp_path: Path) -> None:
    still, result = coloured(case.make(tmp_path / f"photo{case.suffix}"))
    again = read_still(result)
    assert again.orientation == still.orientation
    assert again.bits == still.bits
    assert np.abs(again.luma.astype(int) - still.luma).max() <= case.luma_error


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.name.startswith("jpeg") and case.luma_error == 0],
    ids=lambda case: case.name,
)
def test_jpeg_luma_is_exact_for_every_decoder(case: Case, tmp_path: Path) -> None:
    source = case.make(tmp_path / f"photo{case.suffix}")
    _, result = coloured(source)
    before = imagecodecs.jpeg8_decode(source.read_bytes(), outcolorspace="GRAYSCALE")
    after = imagecodecs.jpeg8_decode(result.read_bytes(), outcolorspace="GRAYSCALE")
    assert np.array_equal(before, after)


@pytest.mark.parametrize("progressive", [False, True])
def test_the_coded_luma_of_a_grey_jpeg_is_carried_byte_for_byte(progressive: bool, tmp_path: Path) -> None:
    source = photos.save(tmp_path / "photo.jpg", photos.scene(), progressive=progressive)
    _, result = coloured(source)
    scans = source.read_bytes().split(b"\xff\xda")[1:]
    coded = [scan[scan[1] :].split(b"\xff\xc4")[0].removesuffix(b"\xff\xd9") for scan in scans]
    assert len(coded) == (6 if progressive else 1)
    assert all(part in result.read_bytes() for part in coded)


@pytest.mark.parametrize("kind", ["sequential", "progressive", "of R, G and B"])
def test_jpeg_has_room_for_noise(kind: str, tmp_path: Path) -> None:
    """Noise, finely quantised in every component, takes more than a byte for each pixel of each."""
    noise = np.random.default_rng(0).integers(0, 256, (301, 517, 3)).astype(np.uint8)
    is_rgb, how = kind == "of R, G and B", {"quality": 100, "progressive": kind == "progressive"}
    source = photos.save(tmp_path / "photo.jpg", noise if is_rgb else noise[..., 0], keep_rgb=is_rgb, **how)
    still, result = read_still(source), tmp_path / "out.jpg"
    cb, cr = (plane - 128.0 for plane in np.moveaxis(noise[::-1, :, :2], -1, 0))
    page = Page(still, strips_of(still, cb=cb, cr=cr), AUTOCHROME, fine=np.ones((38, 65), bool))
    write_still(result, [page])
    verify_still(result, [page])
    assert np.abs(decoded(result)[..., 1] - 128.0 - cb).mean() < 1


@pytest.mark.parametrize("count", [1, 117, 119])
def test_strips_that_do_not_cover_the_picture_are_an_error(count: int, tmp_path: Path) -> None:
    still = read_still(photos.save(tmp_path / "photo.png", photos.scene()))
    strip = np.zeros((count, photos.WIDTH, 3), np.uint8)
    with pytest.raises(ValueError, match="strips"):
        write_still(tmp_path / "out.png", [Page(still, iter([strip]))])


def test_alpha_is_kept(tmp_path: Path) -> None:
    alpha = photos.scene()[::-1]
    for suffix in (".png", ".tif", ".webp"):
        source = photos.save(tmp_path / f"photo{suffix}", np.dstack((photos.scene(), alpha)), **_lossless(suffix))
        still, result = coloured(source)
        assert still.alpha is not None
        with Image.open(result) as image:
            assert image.mode == "RGBA"
            assert np.array_equal(np.asarray(image)[..., 3], alpha)


def _lossless(suffix: str) -> dict[str, Any]:
    return {"lossless": True, "exact": True} if suffix == ".webp" else {}


def test_a_wrong_suffix_does_not_mislead(tmp_path: Path) -> None:
    source = tmp_path / "photo.jpg"
    source.write_bytes(photos.save(tmp_path / "real.png", photos.scene()).read_bytes())
    still = read_still(source)
    assert str(still.format) == "PNG"
    assert output_suffix(still.path, still.format) == ".png"


def test_the_suffix_of_the_source_stays(tmp_path: Path) -> None:
    upper = read_still(photos.save(tmp_path / "A.JPEG", photos.scene()))
    assert output_suffix(upper.path, upper.format) == ".JPEG"


@pytest.mark.parametrize("suffix", [".bmp", ".gif"])
def test_formats_without_metadata_become_png(suffix: str, tmp_path: Path) -> None:
    still, result = coloured(photos.save(tmp_path / f"photo{suffix}", photos.scene()))
    assert np.array_equal(still.luma, photos.scene())
    assert result.suffix == ".png"
    assert decoded(result).shape == (photos.HEIGHT, photos.WIDTH, 3)
    assert any("PNG" in note.text for note in still.notes)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_one_bit_pictures_become_black_and_white(suffix: str, tmp_path: Path) -> None:
    black = photos.scene() < 100
    still = read_still(photos.save(tmp_path / f"photo{suffix}", Image.fromarray(~black)))
    assert np.array_equal(still.luma, np.where(black, 0, 255))
    assert still.bits == 8
    assert any("1-bit" in note.text for note in still.notes)
