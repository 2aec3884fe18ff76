"""What a person states about one frame of a film comes out there, and holds in its shot and scene."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path, PurePath
from shutil import copy2

import av
import cv2
import numpy as np
import pytest

from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.corrections import Correction, CorrectionFile, CorrectionTree
from pipeline.errors import InputError, UsageError
from pipeline.film.job import colorize_video
from pipeline.options import Hint, Options, Quality
from pipeline.originals import NO_ORIGINALS
from tests.commands import colorize
from tests.engines.two import write_two_model
from tests.films import make_film

SHOT, SHOTS = 12, 3
BLUE = "#6080B0"
Pictures = list[np.ndarray]


def shots(number: int) -> np.ndarray:
    """Luma of a film whose scenes are A, a bright B and A again: pictures of blocks that move a little."""
    scene = number // SHOT % 2
    rng = np.random.default_rng(scene)
    blocks = np.kron(rng.integers(*((215, 250) if scene else (90, 150)), (6, 8)), np.ones((32, 32)))
    return np.roll(blocks, number % SHOT // 3, axis=1).astype(np.uint8)[:160, :224]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Colorizer]:
    model = write_two_model(tmp_path_factory.mktemp("two"), temperature=0.5)
    with open_colorizer(Options(engine="onnxruntime", model=str(model))) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    film = tmp_path_factory.mktemp("film") / "film.mkv"
    return make_film(film, codec="ffv1", width=224, height=160, times=range(SHOT * SHOTS), luma=shots)


@pytest.fixture
def film(shared_film: Path, tmp_path: Path) -> Path:
    return Path(copy2(shared_film, tmp_path / "film.mkv"))


@pytest.fixture(scope="module")
def plain(shared_film: Path, two: Colorizer, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Pictures]:
    """Give the film as it comes out when nothing is stated, with a saturation."""

    @cache
    def make(saturation: float = 1.0) -> Pictures:
        return coloured(shared_film, tmp_path_factory.mktemp("plain") / "film.mkv", two, saturation=saturation)

    return make


def pictures(film: Path) -> Pictures:
    with av.open(str(film)) as opened:
        return [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]


def seconds(film: Path, number: int) -> float:
    with av.open(str(film)) as opened:
        times = [float(frame.time) for frame in opened.decode(video=0) if frame.time is not None]
    return times[number]


def ab(rgb: np.ndarray, x: float, y: float) -> np.ndarray:
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    row, column = int(y * rgb.shape[0]), int(x * rgb.shape[1])
    return np.asarray(lab[row - 2 : row + 3, column - 2 : column + 3, 1:].mean(axis=(0, 1)))


def of_hex(color: str) -> np.ndarray:
    rgb = np.array([[list(bytes.fromhex(color[1:]))]], np.float32) / 255
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[0, 0, 1:])


def coloured(film: Path, output: Path, colorizer: Colorizer, **more: object) -> Pictures:
    options = Options(quality=Quality.MASTER, threads=False, **more)  # type: ignore[arg-type]
    return pictures(colorize_video(film, output, options, colorizer=colorizer).output)


def painted(luma: np.ndarray) -> np.ndarray:
    """Return a picture, B, G and R, of ``luma`` all over of a* -25 and b* 35."""
    lab = cv2.cvtColor(np.repeat(luma[..., None], 3, axis=2).astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    lab[..., 1:] = (-25.0, 35.0)
    return np.rint(cv2.cvtColor(lab, cv2.COLOR_Lab2BGR) * 255).astype(np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("saturation", [1.0, pytest.param(0.5, marks=pytest.mark.slow)])
def test_a_hint_comes_out_at_its_time_and_holds_through_shot_and_scene(
    film: Path, tmp_path: Path, two: Colorizer, plain: Callable[..., Pictures], saturation: float
) -> None:
    x, y, number = 0.5, 0.5, 8
    hint = Hint(x=x, y=y, color=BLUE, reach=0.05, time=seconds(film, number))
    unstated = plain(saturation)
    made = coloured(film, tmp_path / "made.mkv", two, hints=(hint,), saturation=saturation)
    wanted = of_hex(BLUE)
    assert np.linalg.norm(ab(unstated[number], x, y) - wanted) > 15
    assert np.linalg.norm(ab(made[number], x, y) - wanted) < 3
    for other in (0, 4, SHOT - 1, 2 * SHOT + 2):
        before, after = (np.linalg.norm(ab(one[other], x, y) - wanted) for one in (unstated, made))
        assert after < 0.4 * before, other
    other_scene = np.abs(made[SHOT + 5].astype(int) - unstated[SHOT + 5]).mean()
    assert other_scene < 0.5


@pytest.mark.slow
def test_a_hint_at_the_time_of_a_cut_is_for_the_shot_that_begins_there(
    film: Path, tmp_path: Path, two: Colorizer, plain: Callable[..., Pictures]
) -> None:
    unstated, number = plain(), 2 * SHOT
    hint = Hint(x=0.5, y=0.5, color=BLUE, reach=0.05, time=0.96)
    # The nearest float is a little earlier than the frame.
    assert hint.time < Fraction(number, 25)  # type: ignore[operator]
    made = coloured(film, tmp_path / "made.mkv", two, hints=(hint,))
    assert np.linalg.norm(ab(made[number], 0.5, 0.5) - of_hex(BLUE)) < 3
    assert np.abs(made[number - 1].astype(int) - unstated[number - 1]).mean() < 0.5


@pytest.mark.slow
def test_a_preview_has_a_hint_that_is_for_its_very_end(film: Path, tmp_path: Path) -> None:
    model = write_two_model(tmp_path, temperature=0.5)
    missed = {}
    for hints in ((), ("--hint", f"0.5,0.5={BLUE}@0.36")):
        with_this = ("--engine", "onnxruntime", "--model", model, "--overwrite", *hints)
        run = colorize("video", film, "--preview", "0.4s", "--json", *with_this)
        assert run.returncode == 0, run.stderr
        first = pictures(Path(json.loads(run.stdout)["previews"][0]["output"]))[0]
        missed[bool(hints)] = np.linalg.norm(ab(first, 0.5, 0.5) - of_hex(BLUE))
    assert missed[True] < 0.7 * missed[False]


@pytest.mark.slow
def test_a_reference_beside_the_film_gives_its_colours_to_frame_and_scene(
    film: Path, tmp_path: Path, two: Colorizer, plain: Callable[..., Pictures]
) -> None:
    unstated = plain()
    folder = tmp_path / "film.refs"
    folder.mkdir()
    assert cv2.imwrite(str(folder / "ref_000005.png"), painted(shots(5)))
    made = coloured(film, tmp_path / "made.mkv", two)
    for number in (0, 5, 11, 2 * SHOT):
        assert np.linalg.norm(ab(made[number], 0.4, 0.6) - (-25, 35)) < 6, number
    assert np.abs(made[SHOT + 5].astype(int) - unstated[SHOT + 5]).mean() < 0.5


@pytest.mark.slow
def test_a_reference_of_no_frame_lends_wherever_the_film_looks_like_it(
    film: Path, tmp_path: Path, two: Colorizer, plain: Callable[..., Pictures]
) -> None:
    unstated = plain()
    green = painted(shots(5))
    given, beside = tmp_path / "coat.png", tmp_path / "film.ref.png"
    assert cv2.imwrite(str(given), green)
    named = coloured(film, tmp_path / "named.mkv", two, reference=given)
    assert cv2.imwrite(str(beside), green)
    found = coloured(film, tmp_path / "found.mkv", two)
    assert all(np.array_equal(one, other) for one, other in zip(named, found, strict=True))
    for number in (0, 5, 11, 2 * SHOT):
        before, after = (np.linalg.norm(ab(one[number], 0.4, 0.6) - (-25, 35)) for one in (unstated, found))
        assert after < 0.5 * before, number


@pytest.mark.slow
@pytest.mark.parametrize("beside", [True, False])
def test_a_preview_has_the_references_of_the_frames_that_it_shows(film: Path, tmp_path: Path, beside: bool) -> None:
    model = write_two_model(tmp_path, temperature=0.5)
    folder = tmp_path / ("film.refs" if beside else "frames")
    folder.mkdir()
    frame = 2 * SHOT + 6
    assert cv2.imwrite(str(folder / f"ref_{frame:06}.png"), painted(shots(frame)))
    named = () if beside else ("--reference", folder)
    with_this = ("--engine", "onnxruntime", "--model", model, "--quality", "master", *named)
    made = {}
    for what in (f"0.3s@{seconds(film, 2 * SHOT + 2)}", "shots"):
        run = colorize("video", film, "--preview", what, "--json", *with_this)
        assert run.returncode == 0, run.stderr
        (made[what],) = json.loads(run.stdout)["previews"]
    part, sheet = made.values()
    # It begins at a key frame, which has the number 0 there.
    first = round(part["start_seconds"] * 25)
    assert 0 < first <= 2 * SHOT + 2
    missed = [np.linalg.norm(ab(one, 0.4, 0.6) - (-25, 35)) for one in pictures(Path(part["output"]))]
    # What is stated of a frame is exact there, and nowhere more so.
    assert missed[frame - first] == min(missed) < 2
    assert max(missed) < 6
    lab = cv2.cvtColor(cv2.imread(sheet["output"]).astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
    has_references = np.linalg.norm(lab[..., 1:] - (-25, 35), axis=2) < 8
    # Two of three shots, in two columns and rows with text below.
    assert 0.3 < has_references.mean() < 0.6


@pytest.mark.slow
def test_references_of_the_correction_are_used(
    film: Path, tmp_path: Path, two: Colorizer, plain: Callable[..., Pictures]
) -> None:
    tree = CorrectionTree(tmp_path / "corrections", originals=NO_ORIGINALS)
    item, options = PurePath("film.mkv"), Options(quality=Quality.MASTER, threads=False)
    correction = tree.path_of(item)
    made, file = cv2.imencode(".png", painted(shots(5)))
    assert made
    kept = tree.keep_reference(item, file.tobytes())
    numbered = correction.with_name("000005.png")
    numbered.write_bytes(file.tobytes())
    unstated = plain()
    for name, share in ((kept, 0.5), (numbered.name, 0.2)):
        tree.write(item, CorrectionFile(correction=Correction(references=(name,))))
        result = colorize_video(film, tmp_path / f"{name}.mkv", options, correction=correction, colorizer=two)
        before, after = (
            np.linalg.norm(ab(one[5], 0.4, 0.6) - (-25, 35)) for one in (unstated, pictures(result.output))
        )
        assert after < share * before, name
    tree.write(item, CorrectionFile(correction=Correction(references=("gone.png",))))
    with pytest.raises(InputError, match=r"gone\.png"):
        colorize_video(film, tmp_path / "gone.mkv", options, correction=correction, colorizer=two)


def test_networks_that_tell_too_little_refuse_references_of_no_frame(film: Path, tmp_path: Path, tiny: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "film.ref.png"), painted(shots(5)))
    for model in (tiny, write_two_model(tmp_path)):
        with pytest.raises(UsageError, match="cannot use it"):
            colorize_video(film, tmp_path / "made.mkv", Options(engine="onnxruntime", model=str(model)))
    assert not (tmp_path / "made.mkv").exists()


def test_what_cannot_be_followed_is_an_error_that_says_what_to_do(film: Path, tmp_path: Path, two: Colorizer) -> None:
    with pytest.raises(UsageError, match="time") as refused:
        coloured(film, tmp_path / "made.mkv", two, hints=(Hint(x=0.5, y=0.5, color=BLUE),))
    assert "@" in refused.value.advice
    with pytest.raises(InputError, match="no frame"):
        coloured(film, tmp_path / "made.mkv", two, hints=(Hint(x=0.5, y=0.5, color=BLUE, time=1e4),))
    folder = tmp_path / "lent"
    folder.mkdir()
    for name, why in (("coat.png", "which frame"), ("000001.png", "grey")):
        path = folder / name
        assert cv2.imwrite(str(path), shots(1))
        with pytest.raises(InputError, match=why):
            coloured(film, tmp_path / "made.mkv", two, reference=folder)
        path.unlink()
    with pytest.raises(InputError, match="no such reference"):
        coloured(film, tmp_path / "made.mkv", two, reference=tmp_path / "nowhere")
    assert not (tmp_path / "made.mkv").exists()
