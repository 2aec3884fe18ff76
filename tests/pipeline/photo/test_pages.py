"""A TIFF of several pages: every page is there again, coloured where it had no colour, as it was where it had."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.color.colorizer import Colorizer
from pipeline.options import Options
from pipeline.photo.one import colorize_photo
from pipeline.results import PhotoResult
from tests.photos import rgb_of, scene, sepia, tinted

FRONT, BACK = scene(width=200, height=140), scene(width=120, height=160)[::-1]
COLOURED = rgb_of(FRONT, *tinted(FRONT))


def written(path: Path, pages: list[np.ndarray], *, tiff: dict[str, Any] | None = None, **options: Any) -> Path:
    with tifffile.TiffWriter(path, **(tiff or {})) as file:
        for number, page in enumerate(pages):
            file.write(
                page,
                photometric="rgb" if page.ndim == 3 else "minisblack",
                metadata=None,
                contiguous=False,
                subfiletype=2,
                resolution=(600 + number, 600 + number),
                description=f"page {number + 1}",
                extratags=[(297, 3, 2, (number, len(pages)), True)],
                **options,
            )
    return path


def result_of(source: Path, colorizer: Colorizer) -> PhotoResult:
    result = colorize_photo(source, source.parent / "out" / source.name, colorizer=colorizer, options=Options())
    assert isinstance(result, PhotoResult), result
    return result


def raw(page: tifffile.TiffPage) -> list[bytes]:
    file = page.parent.filehandle
    pieces = []
    for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        pieces.append(file.read(size))
    return pieces


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_every_page_is_coloured_in_its_own_size_and_keeps_its_tags(
    byteorder: str, tmp_path: Path, colorizer: Colorizer
) -> None:
    pages = [FRONT, BACK.astype(np.uint16) * 257, sepia(FRONT)]
    result = result_of(written(tmp_path / "a.tif", pages, tiff={"byteorder": byteorder}), colorizer)
    with tifffile.TiffFile(result.output) as made:
        assert len(made.pages) == 3
        for number, (page, source) in enumerate(zip(made.pages, pages, strict=True)):
            pixels = page.asarray()
            luma = np.rint(np.float64(pixels) @ [0.299, 0.587, 0.114])
            wanted = source if source.ndim == 2 else np.rint(np.float64(source) @ [0.299, 0.587, 0.114])
            assert pixels.dtype == source.dtype
            assert np.abs(luma - wanted).max() <= 1
            assert np.ptp(pixels.astype(int), axis=2).max() > 5
            assert page.tags["ImageDescription"].value == f"page {number + 1}"
            assert page.tags["PageNumber"].value == (number, 3)
            assert page.tags["XResolution"].value == (600 + number, 1)
            assert page.subfiletype == 2
            assert b"compositeWithTrainedAlgorithmicMedia" in page.tags["XMP"].value
    assert [shown.label for shown in result.previews] == ["page 1", "page 2", "page 3"]
    assert result.tones == ("monochrome", "tinted")
    assert any(note.text == "page 3: taken for tinted: colour replaced the tint" for note in result.notes)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("tiff", "options"),
    [
        ({}, {}),
        ({"byteorder": ">"}, {"compression": "lzw", "predictor": True}),
        ({"bigtiff": True}, {"compression": "zlib"}),
        ({}, {"tile": (64, 48), "compression": "jpeg"}),
        ({"bigtiff": True}, {"tile": (64, 48)}),
    ],
)
def test_a_page_in_colour_is_kept_as_it_was_packed(
    tiff: dict[str, Any], options: dict[str, Any], tmp_path: Path, colorizer: Colorizer
) -> None:
    source = written(tmp_path / "a.tif", [FRONT, COLOURED, BACK], tiff=tiff, **options)
    result = result_of(source, colorizer)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(result.output) as after:
        kept, made = before.pages[1], after.pages[1]
        assert raw(made.aspage()) == raw(kept.aspage())
        assert np.array_equal(made.asarray(), kept.asarray())
        assert made.aspage().tags["ImageDescription"].value == "page 2"
        assert 700 not in made.aspage().tags
        assert [page.asarray().shape for page in after.pages] == [(140, 200, 3), (140, 200, 3), (160, 120, 3)]
    assert result.treatment == "coloured"
    assert any("page 2: taken for coloured already" in note.text for note in result.notes)
    with Image.open(result.output) as image:
        assert image.n_frames == 3  # type: ignore[attr-defined]


def test_a_file_of_coloured_pages_alone_is_copied(tmp_path: Path, colorizer: Colorizer) -> None:
    source = written(tmp_path / "a.tif", [COLOURED, COLOURED[::-1]])
    result = result_of(source, colorizer)
    assert result.output.read_bytes() == source.read_bytes()
    assert result.treatment == "kept as it is"


def test_a_page_of_black_and_white_text_stays_one_bit_deep(tmp_path: Path, colorizer: Colorizer) -> None:
    text = Image.fromarray(BACK > 128)
    Image.fromarray(FRONT).save(tmp_path / "a.tif", save_all=True, append_images=[text])
    result = result_of(tmp_path / "a.tif", colorizer)
    with tifffile.TiffFile(result.output) as made:
        assert [page.aspage().bitspersample for page in made.pages] == [8, 1]
        assert np.array_equal(made.pages[1].asarray(), BACK > 128)


def test_pages_whose_directories_run_in_a_circle_are_read_once(tmp_path: Path, colorizer: Colorizer) -> None:
    source = written(tmp_path / "a.tif", [FRONT, BACK])
    data = bytearray(source.read_bytes())
    with tifffile.TiffFile(source) as tiff:
        first, second = (page.offset for page in tiff.pages)
    (count,) = struct.unpack_from("<H", data, second)
    struct.pack_into("<I", data, second + 2 + 12 * count, first)
    source.write_bytes(bytes(data))
    with tifffile.TiffFile(result_of(source, colorizer).output) as made:
        assert len(made.pages) == 2
