"""A photograph in, the same photograph in colour out; one bad one stops no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from engines.base import F32, Engine, EngineSpec
from engines.registry import open_engine
from pipeline.color.painter import Painter
from pipeline.errors import EngineError
from pipeline.options import Options
from pipeline.photo import PhotoJob, colorize_photo, colorize_photos
from pipeline.results import Failure, PhotoResult
from tests.engines.faults import fault_entries
from tests.photos import exif, save, save_tiff, scene

OPTIONS = Options()


class Counting:
    """A real engine that remembers the batches it was given."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.batches: list[tuple[int, ...]] = []

    @property
    def spec(self) -> EngineSpec:
        return self._engine.spec

    def infer(self, lightness: F32) -> F32:
        self.batches.append(lightness.shape)
        return self._engine.infer(lightness)

    def close(self) -> None:
        self._engine.close()


def jobs(folder: Path, *sources: Path) -> list[PhotoJob]:
    return [PhotoJob(source, folder / "out" / source.name) for source in sources]


def coloured(source: Path, painter: Painter) -> Path:
    result = colorize_photo(source, source.parent / "out" / source.name, painter=painter, options=OPTIONS)
    assert isinstance(result, PhotoResult), result
    return result.output


def luma601(rgb: np.ndarray) -> np.ndarray:
    return np.float64(rgb) @ [0.299, 0.587, 0.114]


def test_a_grey_jpeg_keeps_every_luma_sample(tmp_path: Path, painter: Painter) -> None:
    source = save(tmp_path / "a.jpg", scene(), quality=85)
    with Image.open(source) as before, Image.open(coloured(source, painter)) as after:
        after.draft("YCbCr", None)
        y, cb, cr = after.split()
        assert np.array_equal(np.asarray(before), np.asarray(y))
        assert np.asarray(cb).std() + np.asarray(cr).std() > 1


def test_a_png_keeps_luma_within_rounding(tmp_path: Path, painter: Painter) -> None:
    grey = scene()
    made = np.asarray(Image.open(coloured(save(tmp_path / "a.png", grey), painter)))
    assert made.shape == (*grey.shape, 3)
    assert np.abs(luma601(made) - grey).max() <= 0.5001
    assert np.ptp(made.astype(int), axis=2).max() > 5


def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path, painter: Painter) -> None:
    grey = scene(bits=16)
    made = tifffile.imread(coloured(save_tiff(tmp_path / "a.tif", grey), painter))
    assert made.dtype == np.uint16
    assert np.abs(luma601(made) - grey).max() <= 0.5001


def test_orientation_is_kept_and_the_network_sees_the_picture_upright(tmp_path: Path, tiny: Path) -> None:
    engine = Counting(open_engine("onnxruntime", str(tiny))[0])
    painter = Painter(engine, open_engine("onnxruntime", str(tiny))[1])
    source = save(tmp_path / "a.jpg", scene(width=160, height=96), exif=exif(orientation=6))
    with Image.open(coloured(source, painter)) as made:
        assert made.size == (160, 96)
        assert made.getexif()[274] == 6
    assert engine.batches == [(1, 1, 416, 256)]


def test_photographs_of_one_shape_share_a_batch_whatever_lies_between(tmp_path: Path, tiny: Path) -> None:
    opened, choice = open_engine("onnxruntime", str(tiny))
    engine = Counting(opened)
    wide = [save(tmp_path / f"{n}-wide.png", scene(width=128, height=96)) for n in range(5)]
    tall = [save(tmp_path / f"{n}-tall.png", scene(width=96, height=128)) for n in range(4)]
    mixed = sorted(wide + tall)
    outcomes = list(colorize_photos(jobs(tmp_path, *mixed), painter=Painter(engine, choice), options=OPTIONS))
    assert [outcome.source for outcome in outcomes] == mixed
    assert sorted(engine.batches) == [(4, 1, 352, 256), (5, 1, 256, 352)]


def test_a_photograph_has_the_same_colours_alone_and_in_a_batch(tmp_path: Path, painter: Painter) -> None:
    sources = [save(tmp_path / f"{n}.png", np.roll(scene(), 7 * n, axis=1)) for n in range(4)]
    together = list(colorize_photos(jobs(tmp_path, *sources), painter=painter, options=OPTIONS))
    for source, outcome in zip(sources, together, strict=True):
        assert isinstance(outcome, PhotoResult)
        alone = colorize_photo(source, tmp_path / "alone" / source.name, painter=painter, options=OPTIONS)
        assert isinstance(alone, PhotoResult)
        difference = np.asarray(Image.open(outcome.output), int) - np.asarray(Image.open(alone.output), int)
        assert np.abs(difference).max() <= 1


def test_one_bad_photograph_stops_no_other(tmp_path: Path, painter: Painter) -> None:
    good = [save(tmp_path / f"{n}.png", scene()) for n in range(3)]
    text = tmp_path / "1b.jpg"
    text.write_text("not a picture")
    missing = tmp_path / "2b.jpg"
    outcomes = list(
        colorize_photos(jobs(tmp_path, good[0], text, good[1], missing, good[2]), painter=painter, options=OPTIONS)
    )
    failures = {outcome.source: outcome for outcome in outcomes if isinstance(outcome, Failure)}
    assert set(failures) == {text, missing}
    assert all(str(source) in failure.error and failure.exit_code == 4 for source, failure in failures.items())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in good}


def test_an_existing_result_is_kept(tmp_path: Path, painter: Painter) -> None:
    source = save(tmp_path / "a.png", scene())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_text("mine")
    outcome = colorize_photo(source, tmp_path / "out" / "a.png", painter=painter, options=OPTIONS)
    assert isinstance(outcome, Failure)
    assert outcome.exit_code == 5
    assert (tmp_path / "out" / "a.png").read_text() == "mine"


def test_content_that_belies_its_name_is_refused_with_advice(tmp_path: Path, painter: Painter) -> None:
    source = save(tmp_path / "a.png", scene()).rename(tmp_path / "a.jpg")
    outcome = colorize_photo(source, tmp_path / "out" / "a.jpg", painter=painter, options=OPTIONS)
    assert isinstance(outcome, Failure)
    assert "PNG" in outcome.error
    assert ".png" in outcome.advice


def test_a_failing_engine_ends_the_run_and_leaves_no_half_results(tmp_path: Path, tiny: Path) -> None:
    sources = [save(tmp_path / f"{n}.png", scene()) for n in range(3)]
    engine, choice = open_engine("crashing", str(tiny), extra=fault_entries())
    with pytest.raises(EngineError):
        list(colorize_photos(jobs(tmp_path, *sources), painter=Painter(engine, choice), options=OPTIONS))
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
