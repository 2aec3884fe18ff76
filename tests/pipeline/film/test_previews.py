"""Looking before a long run: a part of a film, a sheet of its shots, and before and after in one picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from pipeline.color.colorizer import Colorizer
from pipeline.commands.values import parse_preview
from pipeline.errors import InputError, UsageError
from pipeline.film.comparison import comparison_output, write_comparison
from pipeline.film.contact_sheet import sheet_output, write_contact_sheet
from pipeline.film.excerpt import excerpt, frame_number
from pipeline.film.job import colorize_video
from pipeline.media.probe import probe
from pipeline.media.stills import OWN_SYSTEM, declares_ai_colour, read_still
from pipeline.options import Layout, Options, Quality, Span, TreatAs
from pipeline.progress import Progress, Silent
from pipeline.results import Note, Treatment
from tests.films import Sound, make_film


def frames(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Four seconds with a key frame every half second."""
    return make_film(tmp_path / "film.mp4", codec="libx264", times=range(100), options={"g": "12"})


@pytest.mark.slow
def test_an_excerpt_holds_the_very_pictures_from_a_key_frame_on(tmp_path: Path, film: Path) -> None:
    (tmp_path / "part").mkdir()
    found = excerpt(film, Span(seconds=Fraction(1), start=Fraction(2)), tmp_path / "part")
    assert Fraction(3, 2) < found.start <= 2
    whole, part = frames(film), frames(found.path)
    first = frame_number(probe(film), found.start)
    assert first == round(found.start * 25)
    assert 25 <= len(part) <= 25 + 12
    for number in range(20):
        assert np.array_equal(part[number], whole[first + number])


@pytest.mark.slow
def test_an_excerpt_has_its_part_of_the_sound(tmp_path: Path) -> None:
    folder = tmp_path / "part"
    folder.mkdir()
    film = make_film(
        tmp_path / "film.mkv", codec="libx264", times=range(100), options={"g": "10"}, sounds=[Sound(seconds=4.0)]
    )
    found = excerpt(film, Span(seconds=Fraction(1), start=Fraction(1)), folder)
    with av.open(str(found.path)) as container:
        heard = list(container.decode(audio=0))
        seconds = sum(frame.samples / frame.sample_rate for frame in heard)
    assert 0.8 < seconds < 1.5


@pytest.mark.slow
def test_an_excerpt_of_a_result_is_known_as_one(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264")
    result = colorize_video(film, None, colorizer=colorizer).output
    (tmp_path / "part").mkdir()
    part = excerpt(result, Span(seconds=Fraction(1, 2)), tmp_path / "part").path
    again = colorize_video(part, tmp_path / "again.mp4", Options(saturation=0), colorizer=colorizer)
    assert {shot.treatment for shot in again.shots} == {Treatment.KEPT}


def test_what_lies_behind_the_end_is_an_error(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(10))
    pictures, empty = tmp_path / "pictures", tmp_path / "empty"
    pictures.mkdir()
    empty.mkdir()
    for number in range(10):
        Image.new("L", (64, 48), 100 + number).save(pictures / f"frame_{number:04}.png")
    part = excerpt(pictures, Span(seconds=Fraction(1, 6), start=Fraction(1, 12)), empty, rate=Fraction(24))
    assert [path.name for path in sorted(part.path.iterdir())] == [f"frame_{n:04}.png" for n in range(2, 6)]
    assert frame_number(probe(pictures, rate=Fraction(24)), part.start) == 2
    with pytest.raises(UsageError, match="no frames at 60"):
        excerpt(pictures, Span(seconds=Fraction(1), start=Fraction(60)), empty, rate=Fraction(24))
    text = tmp_path / "text.mp4"
    text.write_text("no film", encoding="ascii")
    with pytest.raises(InputError, match=r"text\.mp4"):
        excerpt(text, Span(seconds=Fraction(1)), tmp_path)
    assert excerpt(film, Span(seconds=Fraction(9)), empty).start == 0
    # A search beyond the end finds a key frame before it.
    with pytest.raises(UsageError, match="no frames at 3600"):
        excerpt(film, Span(seconds=Fraction(1), start=Fraction(3600)), empty)


@pytest.mark.slow
def test_a_sheet_shows_every_shot_and_takes_no_name_that_is_taken(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=[*range(20), *range(4000, 4020)])
    sheet = write_contact_sheet(film, sheet_output(film), Options(), colorizer=colorizer)
    assert sheet.output == tmp_path / "film.preview.jpg"
    assert sheet.shots == sheet.shown >= 1
    picture = np.asarray(Image.open(sheet.output).convert("RGB"), int)
    assert np.ptp(picture, axis=2).max() > 30
    with pytest.raises(UsageError, match="exists already"):
        write_contact_sheet(film, sheet_output(film), Options(), colorizer=colorizer)


@pytest.mark.few(1)
@pytest.mark.parametrize("layout", list(Layout))
def test_before_and_after_are_in_one_picture(tmp_path: Path, colorizer: Colorizer, layout: Layout) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(20))
    result = colorize_video(film, None, colorizer=colorizer)
    output = comparison_output(result.output)
    write_comparison(probe(film), result.output, output, layout=layout, overwrite=False, progress=Silent())
    with av.open(str(output)) as container:
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert len(pictures) == 20
    height, width = pictures[0].shape[:2]
    assert (height, width) == (64, 192 if layout is Layout.SIDE else 96)
    colour = np.ptp(pictures[10], axis=2)
    assert colour[:, : width // 2 - 8].mean() < 2
    assert colour[:, width // 2 + 8 :].mean() > 8
    with pytest.raises(UsageError, match="exists already"):
        write_comparison(probe(film), result.output, output, layout=layout, overwrite=False, progress=Silent())


def compared(source: Path, colorizer: Colorizer, tell: Progress | None = None, **asked: Any) -> Path:
    result = colorize_video(source, None, Options(**asked), colorizer=colorizer)
    output = comparison_output(result.output)
    progress = tell or Silent()
    write_comparison(probe(source), result.output, output, layout=Layout.SIDE, overwrite=False, progress=progress)
    return output


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("sound", "rate"),
    [
        (Sound(codec="aac"), 48000),
        pytest.param(Sound(codec="pcm_s16le"), 48000, marks=pytest.mark.slow),
        pytest.param(Sound(codec="flac", rate=96000), 96000, marks=pytest.mark.slow),
        # Rates that AAC does not know: old QuickTime's, and others.
        (Sound(codec="pcm_s16le", rate=22254), 24000),
        pytest.param(Sound(codec="pcm_s16le", rate=11127), 12000, marks=pytest.mark.slow),
        pytest.param(Sound(codec="pcm_s16le", rate=18000), 22050, marks=pytest.mark.slow),
        pytest.param(Sound(codec="pcm_s16le", rate=6000), 7350, marks=pytest.mark.slow),
        (Sound(codec="pcm_s16le", rate=192000), 96000),
    ],
)
def test_a_comparison_can_be_heard(tmp_path: Path, colorizer: Colorizer, sound: Sound, rate: int) -> None:
    film, told = make_film(tmp_path / "film.mkv", codec="libx264", times=range(15), sounds=[sound]), Told()
    with av.open(str(compared(film, colorizer, told, quality=Quality.MASTER))) as made:
        heard = made.streams.audio[0]
        assert (heard.codec_context.name, heard.codec_context.sample_rate) == ("aac", rate)
        samples = np.concatenate([frame.to_ndarray()[0] for frame in made.decode(heard)])
    # Frames of AAC are whole, and at slow rates long.
    assert len(samples) / rate == pytest.approx(sound.seconds, abs=0.04 + 1024 / rate)
    assert pitch(samples[rate // 10 : rate // 2], rate) == pytest.approx(sound.pitch, abs=5)
    assert told.notes == []


def test_sound_that_a_comparison_cannot_have_is_named(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(3), sounds=[Sound(codec="flac", layout="quad")])
    told = Told()
    with av.open(str(compared(film, colorizer, told))) as made:
        assert not made.streams.audio
    dropped = "dropped: the comparison has no sound: flac with quad has no place in AAC"
    assert told.notes == [f"film.colorized.comparison.mp4: {dropped}"]


class Told(Silent):
    """Keeps the notes that it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, item: str, note: Note) -> None:
        self.notes.append(f"{Path(item).name}: {note.kind}: {note.text}")


def pitch(samples: np.ndarray, rate: int) -> float:
    """The frequency of a pure tone, in Hz: how often it crosses zero upwards."""
    return float(np.count_nonzero((samples[:-1] < 0) & (samples[1:] >= 0)) * rate / len(samples))


def test_a_comparison_is_upright_and_says_what_it_is(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(3), rotation=90, sar=Fraction(4, 3))
    with av.open(str(compared(film, colorizer))) as made:
        stream = made.streams.video[0]
        assert (stream.width, stream.height, stream.sample_aspect_ratio) == (2 * 64, 96, Fraction(3, 4))
        picture = next(made.decode(stream)).to_ndarray(format="gray").astype(int)
        comment = made.metadata["comment"]
    upright = np.rot90(frames(film)[0].astype(int))
    assert np.abs(picture[:, :64] - upright).mean() < 6
    assert comment.startswith("Colour made by artificial intelligence: Autochrome, model ")
    assert comment.endswith("; comparison, before and after")


def test_a_comparison_of_what_kept_its_colours_declares_none(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(3))
    with av.open(str(compared(film, colorizer, treat_as=TreatAs.COLOUR))) as made:
        assert made.metadata["comment"] == "comparison, before and after"


@pytest.mark.slow
def test_a_sheet_declares_colour_where_some_was_made(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(5))
    for asked, declares in ((Options(), True), (Options(saturation=0), False)):
        sheet = write_contact_sheet(film, tmp_path / f"{declares}.jpg", asked, colorizer=colorizer)
        with Image.open(sheet.output) as made:
            assert b"one frame of every shot" in made.info["comment"]
        assert declares_ai_colour(read_still(sheet.output).metadata.xmp, OWN_SYSTEM) is declares


@pytest.mark.parametrize(
    ("text", "seconds", "start"),
    [("10s", 10, 0), ("1m30s@0:05:00", 90, 300), ("0.5s@1:02:03.5", 0.5, 3723.5), ("2m@90", 120, 90)],
)
def test_previews_are_asked_for_in_words(text: str, seconds: float, start: float) -> None:
    assert parse_preview(text) == Span(seconds=Fraction(seconds), start=Fraction(start))
    assert parse_preview("shots") == "shots"


@pytest.mark.parametrize("text", ["", "10", "0s", "@5", "s", "10s@", "10s@1:2:3:4", "ten"])
def test_other_words_are_refused(text: str) -> None:
    import typer

    with pytest.raises(typer.BadParameter, match="10s"):
        parse_preview(text)
