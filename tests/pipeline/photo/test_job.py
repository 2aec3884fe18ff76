"""A photograph in, the same photograph in colour out; one bad one stops no other."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from engines.network import Network, NetworkSpec, Prediction
from engines.networks import open_network
from engines.tensors import F32
from pipeline.archive.walk import PHOTO_SUFFIXES
from pipeline.color.colorizer import Colorizer
from pipeline.errors import EngineError, InputError, UsageError
from pipeline.media.stills.registry import SUFFIXES
from pipeline.options import Options, Tone, TreatAs
from pipeline.photo.job import PhotoJob, colorize_photos, default_output, result_name
from pipeline.photo.one import colorize_photo
from pipeline.results import Failure, NoteKind, PhotoResult
from tests.engines.faults import fault_entries
from tests.photos import exif, rgb_of, save, save_jp2, save_tiff, save_with_metadata, scene, sepia, tinted

OPTIONS = Options()


class Counting:
    """A real network that remembers the batches it was given."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.batches: list[tuple[int, ...]] = []

    @property
    def spec(self) -> NetworkSpec:
        return self._network.spec

    def predict(self, lightness: F32, hints: F32 | None = None) -> Prediction:
        self.batches.append(lightness.shape)
        return self._network.predict(lightness, hints)

    def close(self) -> None:
        self._network.close()


def jobs(folder: Path, *sources: Path) -> list[PhotoJob]:
    return [PhotoJob(source, folder / "out" / source.name) for source in sources]


def result_of(source: Path, colorizer: Colorizer, options: Options = OPTIONS) -> PhotoResult:
    output = source.parent / "out" / result_name(source)
    result = colorize_photo(source, output, colorizer=colorizer, options=options)
    assert isinstance(result, PhotoResult), result
    return result


def coloured(source: Path, colorizer: Colorizer) -> Path:
    return result_of(source, colorizer).output


def colour_scene(*, bits: int = 8) -> np.ndarray:
    """The scene in colours of its own."""
    grey = scene(bits=bits)
    return rgb_of(grey, *tinted(grey))


def luma601(rgb: np.ndarray) -> np.ndarray:
    return np.float64(rgb) @ [0.299, 0.587, 0.114]


def test_a_grey_jpeg_keeps_every_luma_sample(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.jpg", scene(), quality=85)
    with Image.open(source) as before, Image.open(coloured(source, colorizer)) as after:
        after.draft("YCbCr", None)
        y, cb, cr = after.split()
        assert np.array_equal(np.asarray(before), np.asarray(y))
        assert np.asarray(cb).std() + np.asarray(cr).std() > 1


def test_a_png_keeps_luma_within_rounding(tmp_path: Path, colorizer: Colorizer) -> None:
    grey = scene()
    made = np.asarray(Image.open(coloured(save(tmp_path / "a.png", grey), colorizer)))
    assert made.shape == (*grey.shape, 3)
    assert np.abs(luma601(made) - grey).max() <= 0.5001
    assert np.ptp(made.astype(int), axis=2).max() > 5


def test_sixteen_bits_stay_sixteen_bits(tmp_path: Path, colorizer: Colorizer) -> None:
    grey = scene(bits=16)
    made = tifffile.imread(coloured(save_tiff(tmp_path / "a.tif", grey), colorizer))
    assert made.dtype == np.uint16
    assert np.abs(luma601(made) - grey).max() <= 0.5001


def test_orientation_is_kept_and_the_network_sees_the_picture_upright(tmp_path: Path, tiny: Path) -> None:
    engine = Counting(open_network("onnxruntime", str(tiny))[0])
    colorizer = Colorizer(engine, open_network("onnxruntime", str(tiny))[1])
    source = save(tmp_path / "a.jpg", scene(width=160, height=96), exif=exif(orientation=6))
    with Image.open(coloured(source, colorizer)) as made:
        assert made.size == (160, 96)
        assert made.getexif()[274] == 6
    assert engine.batches == [(1, 1, 416, 256)]


def test_photographs_of_one_shape_share_a_batch_whatever_lies_between(tmp_path: Path, tiny: Path) -> None:
    opened, choice = open_network("onnxruntime", str(tiny))
    engine = Counting(opened)
    wide = [save(tmp_path / f"{n}-wide.png", scene(width=128, height=96)) for n in range(5)]
    tall = [save(tmp_path / f"{n}-tall.png", scene(width=96, height=128)) for n in range(4)]
    mixed = sorted(wide + tall)
    outcomes = list(colorize_photos(jobs(tmp_path, *mixed), colorizer=Colorizer(engine, choice), options=OPTIONS))
    assert [outcome.source for outcome in outcomes] == mixed
    assert sorted(engine.batches) == [(4, 1, 352, 256), (5, 1, 256, 352)]


@pytest.mark.slow
def test_a_photograph_has_the_same_colours_alone_and_in_a_batch(tmp_path: Path, colorizer: Colorizer) -> None:
    sources = [save(tmp_path / f"{n}.png", np.roll(scene(), 7 * n, axis=1)) for n in range(4)]
    together = list(colorize_photos(jobs(tmp_path, *sources), colorizer=colorizer, options=OPTIONS))
    for source, outcome in zip(sources, together, strict=True):
        assert isinstance(outcome, PhotoResult)
        alone = colorize_photo(source, tmp_path / "alone" / source.name, colorizer=colorizer, options=OPTIONS)
        assert isinstance(alone, PhotoResult)
        difference = np.asarray(Image.open(outcome.output), int) - np.asarray(Image.open(alone.output), int)
        assert np.abs(difference).max() <= 1


def test_one_bad_photograph_stops_no_other(tmp_path: Path, colorizer: Colorizer) -> None:
    good = [save(tmp_path / f"{n}.png", scene()) for n in range(3)]
    text = tmp_path / "1b.jpg"
    text.write_text("not a picture")
    missing = tmp_path / "2b.jpg"
    outcomes = list(
        colorize_photos(jobs(tmp_path, good[0], text, good[1], missing, good[2]), colorizer=colorizer, options=OPTIONS)
    )
    failures = {outcome.source: outcome for outcome in outcomes if isinstance(outcome, Failure)}
    assert set(failures) == {text, missing}
    assert all(str(source) in failure.error and failure.exit_code == 4 for source, failure in failures.items())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in good}


def test_an_existing_result_is_kept(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", scene())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        colorize_photo(source, tmp_path / "out" / "a.png", colorizer=colorizer, options=OPTIONS)
    assert (tmp_path / "out" / "a.png").read_text() == "mine"


def test_content_that_belies_its_name_is_refused_with_advice(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", scene()).rename(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="PNG") as caught:
        colorize_photo(source, tmp_path / "out" / "a.jpg", colorizer=colorizer, options=OPTIONS)
    assert ".png" in caught.value.advice


def test_a_failing_engine_ends_the_run_and_leaves_no_half_results(tmp_path: Path, tiny: Path) -> None:
    sources = [save(tmp_path / f"{n}.png", scene()) for n in range(3)]
    engine, choice = open_network("crashing", str(tiny), extra=fault_entries())
    with pytest.raises(EngineError):
        list(colorize_photos(jobs(tmp_path, *sources), colorizer=Colorizer(engine, choice), options=OPTIONS))
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_a_colour_photograph_is_copied_byte_for_byte(suffix: str, tmp_path: Path, colorizer: Colorizer) -> None:
    source = save_with_metadata(tmp_path / f"a{suffix}", colour_scene())
    result = result_of(source, colorizer)
    assert result.output.read_bytes() == source.read_bytes()
    assert (result.tones, result.treatment) == (("colour",), "kept as it is")
    assert [note.kind for note in result.notes] == [NoteKind.ASSUMED]
    assert "coloured already" in result.notes[0].text


@pytest.mark.parametrize("suffix", [".bmp", ".gif"])
def test_a_colour_photograph_in_a_format_that_changes_keeps_every_sample(
    suffix: str, tmp_path: Path, colorizer: Colorizer
) -> None:
    source = save(tmp_path / f"a{suffix}", Image.fromarray(colour_scene()).quantize(200).convert("RGB"))
    result = result_of(source, colorizer)
    assert result.output.name == f"a{suffix}.png"
    with Image.open(source) as before, Image.open(result.output) as after:
        assert np.array_equal(np.asarray(before.convert("RGB")), np.asarray(after))
    assert {note.kind for note in result.notes} == {NoteKind.ASSUMED, NoteKind.CONVERTED}


@pytest.mark.slow
def test_a_colour_photograph_never_reaches_the_network(tmp_path: Path, tiny: Path) -> None:
    opened, choice = open_network("onnxruntime", str(tiny))
    engine = Counting(opened)
    sources = [save(tmp_path / f"{n}.png", colour_scene() if n % 2 else scene()) for n in range(5)]
    outcomes = list(colorize_photos(jobs(tmp_path, *sources), colorizer=Colorizer(engine, choice), options=OPTIONS))
    assert [outcome.source for outcome in outcomes] == sources
    assert [batch[0] for batch in engine.batches] == [3]


def test_a_sepia_jpeg_loses_its_tint_and_keeps_every_luma_sample(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.jpg", sepia(scene()), quality=85)
    result = result_of(source, colorizer)
    assert (result.tones, result.treatment) == (("tinted",), "coloured")
    assert any("colour replaced the tint" in note.text for note in result.notes)
    with Image.open(source) as before, Image.open(result.output) as after:
        for image in (before, after):
            image.draft("YCbCr", None)
        (was, *_), (luma, cb, cr) = before.split(), after.split()
        assert np.array_equal(np.asarray(was), np.asarray(luma))
        assert np.asarray(cb).std() + np.asarray(cr).std() > 1


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_a_tint_that_is_wanted_is_kept_with_every_byte(suffix: str, tmp_path: Path, colorizer: Colorizer) -> None:
    # What has an exposure in its EXIF was taken by a camera, and its tint would count as colours.
    written = save if suffix == ".jpg" else save_with_metadata
    source = written(tmp_path / f"a{suffix}", sepia(scene()))
    result = result_of(source, colorizer, Options(tone=Tone.KEEP))
    assert result.output.read_bytes() == source.read_bytes()
    assert (result.tones, result.treatment) == (("tinted",), "tint kept")
    assert "tint was kept" in result.notes[0].text


def test_the_user_s_word_stands_above_the_verdict(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.png", colour_scene())
    result = result_of(source, colorizer, Options(treat_as=TreatAs.MONOCHROME))
    assert result.treatment == "coloured"
    assert result.measures is not None
    assert result.measures.doubt == 0
    grey = save(tmp_path / "b.png", scene())
    assert result_of(grey, colorizer, Options(treat_as=TreatAs.COLOUR)).output.read_bytes() == grey.read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_black_and_white_without_greys_is_copied(suffix: str, tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / f"a{suffix}", Image.fromarray(scene() > 100))
    result = result_of(source, colorizer)
    assert result.output.read_bytes() == source.read_bytes()
    assert "no room for colour" in result.notes[0].text


def test_the_mount_around_a_photograph_stays_neutral(tmp_path: Path, colorizer: Colorizer) -> None:
    page = np.full((400, 520), 225, np.uint8)
    page[80:320, 100:420] = scene(width=320, height=240)
    made = np.asarray(Image.open(coloured(save(tmp_path / "a.png", page), colorizer)), int)
    assert np.ptp(made[:30], axis=2).max() <= 1
    assert np.ptp(made[:, -40:], axis=2).max() <= 1
    assert np.ptp(made[120:280, 140:380], axis=2).mean() > 3


@pytest.mark.slow
def test_a_result_is_measured_and_shown_upright(tmp_path: Path, colorizer: Colorizer) -> None:
    source = save(tmp_path / "a.jpg", sepia(scene(width=400, height=300)), exif=exif(orientation=6))
    result = result_of(source, colorizer)
    assert result.measures is not None
    assert result.measures.colourfulness > 1
    assert 0 <= result.measures.doubt < 1
    (shown,) = result.previews
    assert shown.label == "a.jpg"
    before, after = (np.asarray(Image.open(BytesIO(data)), int) for data in (shown.before, shown.after))
    assert before.shape == after.shape == (256, 192, 3)
    assert (before[..., 0] - before[..., 2])[60:120, 40:160].mean() > 20
    assert np.abs(before.mean(axis=2) - after.mean(axis=2)).mean() < 8


def test_a_photograph_passed_through_has_measures_and_one_preview(tmp_path: Path, colorizer: Colorizer) -> None:
    result = result_of(save(tmp_path / "a.png", colour_scene()), colorizer)
    assert result.measures is not None
    assert result.measures.colourfulness > 10
    assert result.previews[0].before == result.previews[0].after


def test_the_walk_over_an_archive_misses_no_format_that_is_read() -> None:
    assert SUFFIXES <= PHOTO_SUFFIXES


def test_the_name_of_a_result_follows_from_the_source_s(tmp_path: Path) -> None:
    same = ("a.jpg", "b.TIFF", "c.png", "d.webp", "e.jp2")
    assert [result_name(tmp_path / name) for name in same] == list(same)
    changed = ("a.bmp", "b.GIF", "c.heic", "d.avif")
    assert [result_name(tmp_path / name) for name in changed] == [f"{name}.png" for name in changed]


@pytest.mark.few(2)
@pytest.mark.parametrize(("suffix", "name"), [(".tif", "scan"), (".jpg", "scan.jpg.bak"), (".gif", "f3a0.7c")])
def test_a_photograph_of_an_unknown_suffix_gets_the_one_of_its_content(
    suffix: str, name: str, tmp_path: Path, colorizer: Colorizer
) -> None:
    source = save(tmp_path / f"a{suffix}", scene()).rename(tmp_path / name)
    expected = ".png" if suffix == ".gif" else suffix
    assert coloured(source, colorizer).name == f"{name}{expected}"
    assert default_output(source).suffix == expected


@pytest.mark.few(2)
@pytest.mark.parametrize("size", [(1, 1), (5, 5), (2, 300), (9, 12), (300, 2)])
def test_the_smallest_pictures_are_coloured_or_kept(
    size: tuple[int, int], tmp_path: Path, colorizer: Colorizer
) -> None:
    for number, pixels in enumerate((scene(), sepia(scene()), colour_scene())):
        small = np.ascontiguousarray(np.resize(pixels, (*size, *pixels.shape[2:])))
        with Image.open(coloured(save(tmp_path / f"{number}.png", small), colorizer)) as result:
            assert result.size == size[::-1]


@pytest.mark.few(1)
@pytest.mark.parametrize("quality", [30, 75, 92, 100])
def test_a_jpeg_result_has_the_quality_of_its_source(quality: int, tmp_path: Path, colorizer: Colorizer) -> None:
    grey = save(tmp_path / "grey.jpg", scene(), quality=quality)
    toned = save(tmp_path / "toned.jpg", sepia(scene()), quality=quality)
    for source in (grey, toned):
        with JpegImageFile(source) as before, JpegImageFile(coloured(source, colorizer)) as after:
            assert after.quantization[0] == before.quantization[0]
            former = before.quantization.get(1, after.quantization[1])
            assert all(new <= old for new, old in zip(after.quantization[1], former, strict=True))


@pytest.mark.parametrize("suffix", [".jp2", ".avif"])
def test_further_formats_are_coloured_and_passed_through_as_well(
    suffix: str, tmp_path: Path, colorizer: Colorizer
) -> None:
    grey, own = (tmp_path / f"{name}{suffix}" for name in ("grey", "own"))
    for path, pixels in ((grey, scene()), (own, colour_scene())):
        save_jp2(path, pixels) if suffix == ".jp2" else save(path, pixels, quality=95, speed=10)
    made = result_of(grey, colorizer)
    assert (made.treatment, made.output.name) == ("coloured", result_name(grey))
    kept = result_of(own, colorizer)
    assert kept.treatment == "kept as it is"
    with Image.open(own) as before, Image.open(kept.output) as after:
        assert np.abs(np.asarray(before, int) - np.asarray(after, int)).max() <= 1
    assert (kept.output.read_bytes() == own.read_bytes()) == (suffix == ".jp2")
