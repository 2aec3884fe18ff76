"""Some seconds of a film for the review page: the frames asked for, small, with what is stated about them."""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.errors import InputError, OutputError, UsageError
from pipeline.film.clip import write_clip
from pipeline.film.frame_at import frame_at
from pipeline.film.job import colorize_video
from pipeline.film.reference_frames import NO_REFERENCES
from pipeline.interruption import Cancelled, StopRequest
from pipeline.media import sampling
from pipeline.media.pixels import pixel_format
from pipeline.media.probe import probe
from pipeline.options import Hint, Options, Quality, Span
from pipeline.progress import Silent
from tests.engines.two import write_two_model
from tests.films import frame_times, make_film

SHOT = 12


def in_shots(number: int) -> np.ndarray:
    """Luma of a film of a scene, a bright one and the first again: pictures of blocks that move a little."""
    scene = number // SHOT % 2
    blocks = np.random.default_rng(scene).integers(*((215, 250) if scene else (90, 150)), (6, 8))
    whole = np.roll(np.kron(blocks, np.ones((32, 32))), number % SHOT // 3, axis=1)
    return np.asarray(whole, np.uint8)[:160, :224]


def clip(
    film: Path,
    colorizer: Colorizer,
    *,
    stop: StopRequest | None = None,
    start: float = 1.0,
    seconds: float = 0.5,
    **asked: object,
) -> Path:
    output = film.with_name("clip.mp4")
    write_clip(
        probe(film),
        Span(seconds=Fraction(seconds), start=Fraction(start)),
        output,
        Options(overwrite=True, **asked),  # type: ignore[arg-type]
        NO_REFERENCES,
        colorizer=colorizer,
        progress=Silent(),
        stop=stop or StopRequest(),
    )
    return output


def rgb(film: Path) -> list[np.ndarray]:
    with av.open(str(film)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def check_shows(made: list[np.ndarray], film: Path, first: int, last: int) -> None:
    whole = rgb(film)
    assert len(made) == last - first + 1
    for number, wanted in ((0, first), (-1, last)):
        found = [np.abs(made[number] - frame).mean() for frame in whole]
        assert int(np.argmin(found)) == wanted


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "codec", "interval"),
    [
        ("film.mkv", "libx264", "50"),
        ("film.ts", "mpeg2video", "12"),
        ("film.ts", "libx264", "50"),
        ("film.mpg", "mpeg2video", "12"),
    ],
)
def test_a_clip_has_the_frames_asked_for_whatever_the_key_frames_are(
    tmp_path: Path, colorizer: Colorizer, name: str, codec: str, interval: str
) -> None:
    film = make_film(tmp_path / name, codec=codec, times=range(60), options={"g": interval})
    times = frame_times(film)
    # On the first frame behind the clip.
    hint = Hint(x=0.5, y=0.5, color="#B3272D", reach=0.3, time=float(times[38]))
    made = rgb(clip(film, colorizer, start=float(times[25]), seconds=0.53, hints=(hint,)))
    check_shows(made, film, 25, 37)
    assert np.ptp(made[6], axis=2).mean() > 8
    with pytest.raises(UsageError, match=rf"{name}: has no frames at 60"):
        clip(film, colorizer, start=60)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["film.mkv", "film.mp4"])
@pytest.mark.parametrize(("first", "end"), [(32, 42), (31, 35)])
def test_a_clip_has_the_frames_of_a_shot_whose_times_are_rounded(
    tmp_path: Path, colorizer: Colorizer, name: str, first: int, end: int
) -> None:
    rate = Fraction(30000, 1001)
    film = make_film(tmp_path / name, codec="libx264", times=range(60), time_base=1 / rate, rate=rate)
    start, stop = round(float(first / rate), 3), round(float(end / rate), 3)
    hint = Hint(x=0.5, y=0.5, color="#B3272D", reach=0.3, time=start + float(1 / rate / 2))
    check_shows(rgb(clip(film, colorizer, start=start, seconds=stop - start, hints=(hint,))), film, first, end - 1)


@pytest.mark.slow
def test_a_clip_has_the_times_of_shots_and_hints_where_the_first_frame_is_late(
    tmp_path: Path, colorizer: Colorizer
) -> None:
    film = make_film(tmp_path / "film.mkv", codec="libx264", times=range(50, 98))
    (shot,) = colorize_video(film, tmp_path / "result.mkv", colorizer=colorizer).shots
    assert shot.start_seconds == 2
    hint = Hint(x=0.5, y=0.5, color="#B3272D", reach=0.3, time=3.02)
    plain, made = (rgb(clip(film, colorizer, start=3.0, seconds=0.4, hints=hints)) for hints in ((), (hint,)))
    check_shows(plain, film, 25, 34)
    # Frame 25 is at 3 s, and so is the hint.
    assert np.abs(made[0] - plain[0])[32, 48].max() > 20
    picture = sampling.frame_at(probe(film), pixel_format("yuv420p"), Fraction(3.02))
    assert picture is not None
    assert picture.timestamp.seconds == 3
    assert np.array_equal(frame_at(probe(film), 3.02), rgb(film)[25])


@pytest.mark.slow
def test_hints_for_other_moments_hold_in_a_clip_as_in_the_film(tmp_path: Path) -> None:
    model = write_two_model(tmp_path, temperature=0.5)
    film = make_film(tmp_path / "film.mkv", codec="ffv1", width=224, height=160, times=range(3 * SHOT), luma=in_shots)
    stated = Options(hints=(Hint(x=0.5, y=0.5, color="#6080B0", reach=0.05, time=0.1),), quality=Quality.MASTER)
    with open_colorizer(Options(engine="onnxruntime", model=str(model))) as two:
        whole = {
            bool(options.hints): rgb(colorize_video(film, tmp_path / f"{number}.mkv", options, colorizer=two).output)
            for number, options in enumerate((replace(stated, hints=()), stated))
        }
        for first, holds in ((SHOT + 2, False), (2 * SHOT + 2, True)):
            made = rgb(clip(film, two, start=first / 25, seconds=0.2, hints=stated.hints))
            place = slice(76, 84), slice(108, 116)
            plain, wanted = (whole[is_stated][first + 2][place].mean((0, 1)) for is_stated in (False, True))
            asked, got = wanted - plain, made[2][place].mean((0, 1)) - plain
            assert bool(np.abs(asked).max() > 15) is holds
            assert np.abs(got - asked).max() < (0.6 * np.abs(asked).max() if holds else 4)


def test_interlaced_film_is_looked_at_in_whole_pictures(tmp_path: Path, colorizer: Colorizer) -> None:
    def moving(number: int) -> np.ndarray:
        """Bars that move from one field to the next."""
        across = np.arange(96)
        lines = [np.where((across + 5 * (2 * number + line % 2)) % 32 < 16, 50, 200) for line in range(64)]
        return np.asarray(lines, np.uint8)

    film = make_film(tmp_path / "film.mkv", codec="ffv1", times=range(40), luma=moving, fields="tff", field_order=2)
    pictures = [frame_at(probe(film), 1.0), *rgb(clip(film, colorizer, saturation=0.0))]
    assert len(pictures) == 13
    for picture in pictures:
        made, woven = (np.abs(np.diff(shown.astype(int), axis=0)).mean() for shown in (picture, moving(0)))
        assert made < woven / 2


@pytest.mark.slow
def test_a_clip_is_what_browsers_play_and_hints_hold_in_it(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(
        tmp_path / "film.mkv", pixel_format="yuv422p10le", width=1600, height=96, times=range(40), rotation=90
    )
    hint = Hint(x=0.5, y=0.5, color="#B3272D", reach=0.3, time=1.02)
    asked = {"quality": Quality.MASTER, "hints": (hint,)}
    with av.open(str(clip(film, colorizer, **asked))) as made:
        stream = made.streams.video[0]
        assert (stream.width, stream.height) == (1280, 76)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert made.metadata["description"] == "preview: a part of a film, from 0:00:01.0 on"
        stated = next(made.decode(stream)).to_ndarray(format="rgb24").astype(int)[38, 640]
    assert stated[0] - max(stated[1:]) > 40


@pytest.mark.slow
def test_a_clip_of_a_result_keeps_its_colours_as_the_result_would(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(40))
    result = colorize_video(film, None, colorizer=colorizer).output
    made, there = rgb(clip(result, colorizer, saturation=0.0))[6], rgb(result)[31]
    assert np.ptp(there, axis=2).mean() > 8
    assert np.abs(made - there).mean() < 4


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file size")
def test_a_full_disk_is_told_of_the_copy_not_of_the_film(tmp_path: Path, colorizer: Colorizer) -> None:
    from tests.pipeline.archive.kills import full_disk

    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(40), grain=0.2)
    with full_disk(20_000), pytest.raises(OutputError, match=r"part\.mp4: cannot be written: File too large") as caught:
        clip(film, colorizer)
    assert "film.mp4" not in str(caught.value)
    assert "choose another place" in caught.value.advice


def test_a_film_that_cannot_be_read_is_told_of_itself(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.avi", codec="mjpeg", pixel_format="yuvj420p", times=range(40))
    data = film.read_bytes()
    # All pictures but the first are gone.
    place = data.index(b"\xff\xd8\xff", data.index(b"\xff\xd8\xff") + 3)
    film.write_bytes(data[:place] + bytes(len(data) - place))
    with pytest.raises(InputError, match=r"film\.avi: is not a film|film\.avi: cannot be read"):
        clip(film, colorizer)


def test_a_clip_can_be_stopped(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(40))
    stop = StopRequest()
    stop.make(at_once=True)
    with pytest.raises(Cancelled):
        clip(film, colorizer, stop=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
