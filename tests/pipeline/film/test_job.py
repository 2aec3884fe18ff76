"""A film in, the same film in colour out; or nothing at all."""

from __future__ import annotations

import threading
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from engines.networks import open_network
from pipeline.color.colorizer import Colorizer
from pipeline.errors import EngineError, InputError, UsageError
from pipeline.film.job import colorize_video, default_output
from pipeline.media.probe import probe
from pipeline.options import Codec, Options, Quality
from pipeline.results import Note, NoteKind
from tests.commands import python
from tests.engines.faults import fault_entries
from tests.films import (
    Sound,
    frame_times,
    luma_planes,
    make_film,
    moving_luma,
    packets,
    plane,
    write_pictures,
)
from tests.sampled import sampled

MASTER = Options(quality=Quality.MASTER)
ACCESS = Options()


class Log:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.totals: list[tuple[int | None, str]] = []
        self.count = 0
        self.ended = 0
        self.notes: list[Note] = []

    def begin(self, item: str, total: int | None, unit: str) -> None:
        self.totals.append((total, unit))

    def advance(self, item: str, count: int = 1) -> None:
        self.count += count

    def end(self, item: str) -> None:
        self.ended += 1

    def say(self, text: str) -> None:
        pass

    def note(self, item: str, note: Note) -> None:
        self.notes.append(note)


def chroma_planes(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    with av.open(str(path)) as film:
        return [(plane(frame, 1).copy(), plane(frame, 2).copy()) for frame in film.decode(video=0)]


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "pixel_format",
    sampled(["yuv420p", "yuv422p10le", "yuv444p", "gray", "gray10le", "yuv420p12le"], "yuv422p10le", "gray"),
)
def test_a_master_keeps_every_luma_sample_and_gains_colour(
    tmp_path: Path, colorizer: Colorizer, pixel_format: str
) -> None:
    film = make_film(tmp_path / "film.mkv", pixel_format=pixel_format)
    result = colorize_video(film, None, MASTER, colorizer=colorizer)
    assert result.output == tmp_path / "film.colorized.mkv"
    assert result.frames == 15
    for before, after in zip(luma_planes(film), luma_planes(result.output), strict=True):
        assert np.array_equal(before, after)
    assert any(len(np.unique(cb)) > 10 and len(np.unique(cr)) > 10 for cb, cr in chroma_planes(result.output))


@pytest.mark.slow
def test_stages_in_threads_and_in_sequence_give_the_same_film(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(23))
    threaded = colorize_video(film, tmp_path / "a.mkv", MASTER, colorizer=colorizer)
    sequential = colorize_video(film, tmp_path / "b.mkv", replace(MASTER, threads=False), colorizer=colorizer)
    for a, b in zip(chroma_planes(threaded.output), chroma_planes(sequential.output), strict=True):
        assert np.array_equal(a[0], b[0])
        assert np.array_equal(a[1], b[1])


@pytest.mark.slow
def test_sound_and_uneven_times_stay_as_they_are(tmp_path: Path, colorizer: Colorizer) -> None:
    times = [0, 40, 90, 100, 260, 300, 500]
    film = make_film(
        tmp_path / "film.mp4", codec="libx264", times=times, time_base=Fraction(1, 1000), sounds=[Sound(), Sound()]
    )
    result = colorize_video(film, None, ACCESS, colorizer=colorizer)
    assert result.output.name == "film.colorized.mp4"
    assert frame_times(result.output) == frame_times(film)
    for number in (0, 1):
        assert packets(result.output, "audio", number) == packets(film, "audio", number)


def test_what_was_assumed_is_told_and_tagged(tmp_path: Path, colorizer: Colorizer) -> None:
    log = Log()
    film = make_film(tmp_path / "film.mkv", pixel_format="gray")
    result = colorize_video(film, None, MASTER, colorizer=colorizer, progress=log)
    assumed = [note.text for note in result.notes if note.kind is NoteKind.ASSUMED]
    assert any("BT601" in text for text in assumed)
    assert any("full range" in text for text in assumed)
    assert set(assumed) <= {note.text for note in log.notes}
    with av.open(str(result.output)) as made:
        frame = next(made.decode(video=0))
        assert (int(frame.colorspace), int(frame.color_range)) == (6, 2)


@pytest.mark.slow
def test_the_colour_declares_itself(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mkv", film_tags={"title": "Harbour"})
    result = colorize_video(film, None, ACCESS, colorizer=colorizer)
    with av.open(str(result.output)) as made:
        tags = {key.lower(): value for key, value in made.metadata.items()}
    assert tags["title"] == "Harbour"
    assert "artificial intelligence" in tags["comment"]
    assert colorizer.spec.weights_sha256[:12] in tags["comment"]


@pytest.mark.slow
def test_a_comment_of_the_film_is_kept_beside_the_declaration(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mkv", film_tags={"comment": "Segment 4"})
    result = colorize_video(film, None, ACCESS, colorizer=colorizer)
    with av.open(str(result.output)) as made:
        tags = {key.lower(): value for key, value in made.metadata.items()}
    assert tags["comment"] == "Segment 4"
    assert "artificial intelligence" in tags["ai_colour"]


# Prints how often the film is opened, whoever does so.
COUNTING = """
import sys
from pathlib import Path
opened = []
sys.addaudithook(lambda event, seen: event == "open" and str(seen[0]) == sys.argv[1] and opened.append(event))
from pipeline.film.job import colorize_video
from pipeline.options import Options, Quality
colorize_video(sys.argv[1], sys.argv[2], Options(quality=Quality.MASTER, engine="onnxruntime", model=sys.argv[3]))
print(len(opened))
"""


@pytest.mark.few(1)
@pytest.mark.parametrize(("sounds", "opens"), [((), 2), ((Sound(),), 3)], ids=["silent", "with sound"])
@pytest.mark.parametrize("name", ["film.mkv", "film.mov"])
def test_a_source_is_opened_once_for_each_pass_over_it(
    tmp_path: Path, tiny: Path, sounds: tuple[Sound, ...], opens: int, name: str
) -> None:
    """All packets, all frames; and the packets of other streams, to copy them."""
    codec, pixels = {"film.mkv": ("ffv1", "gray"), "film.mov": ("libx264", "yuv420p")}[name]
    film = make_film(
        tmp_path / name, codec=codec, pixel_format=pixels, sounds=sounds, film_tags={"timecode": "10:00:00:00"}
    )
    ended = python(COUNTING, film, tmp_path / "out.mkv", tiny)
    assert (ended.stdout, ended.returncode) == (f"{opens}\n", 0), ended.stderr


@pytest.mark.slow
def test_progress_counts_every_frame(tmp_path: Path, colorizer: Colorizer) -> None:
    log = Log()
    film = make_film(tmp_path / "film.mp4", codec="libx264")
    colorize_video(film, None, ACCESS, colorizer=colorizer, progress=log)
    assert (log.totals, log.count, log.ended) == ([(15, "frames")], 15, 1)


@pytest.mark.few(1)
@pytest.mark.parametrize("fault", ["crashing", "nan", "misshapen"])
def test_an_engine_that_fails_in_the_middle_leaves_nothing(tmp_path: Path, tiny: Path, fault: str) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(40))
    engine, choice = open_network(fault, str(tiny), extra=fault_entries(good_calls=3))
    before = {thread.name for thread in threading.enumerate()}
    with pytest.raises(EngineError):
        colorize_video(film, None, ACCESS, colorizer=Colorizer(engine, choice))
    assert list(tmp_path.iterdir()) == [film]
    assert {thread.name for thread in threading.enumerate()} == before


def test_a_damaged_film_leaves_nothing(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(50), grain=0.2)
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    with pytest.raises(InputError, match=r"film\.mkv"):
        colorize_video(film, None, ACCESS, colorizer=colorizer)
    assert list(tmp_path.iterdir()) == [film]


@pytest.mark.slow
def test_an_existing_result_is_kept(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mkv")
    existing = tmp_path / "film.colorized.mkv"
    existing.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        colorize_video(film, None, ACCESS, colorizer=colorizer)
    assert existing.read_text() == "mine"
    colorize_video(film, None, replace(ACCESS, overwrite=True), colorizer=colorizer)
    assert len(frame_times(existing)) == 15


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_the_name_of_the_result_chooses_its_container(tmp_path: Path, colorizer: Colorizer, suffix: str) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(4))
    result = colorize_video(film, tmp_path / f"result{suffix}", ACCESS, colorizer=colorizer)
    with av.open(str(result.output)) as made:
        assert ("matroska" in made.format.name) == (suffix == ".mkv")
        assert (made.metadata.get("major_brand") == "qt  ") == (suffix == ".mov")


def test_a_name_of_no_container_is_refused(tmp_path: Path, colorizer: Colorizer) -> None:
    film = make_film(tmp_path / "film.mkv")
    with pytest.raises(UsageError, match=r"not written as \.avi"):
        colorize_video(film, tmp_path / "film.avi", ACCESS, colorizer=colorizer)


@pytest.mark.slow
def test_a_folder_of_numbered_pictures_is_a_film(
    tmp_path: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_pictures(tmp_path / "reel.v2")
    result = colorize_video(folder, None, replace(MASTER, frame_rate=Fraction(18)), colorizer=colorizer)
    assert result.output == tmp_path / "reel.v2.colorized.mkv"
    assert result.frames == 6
    assert frame_times(result.output)[-1] == Fraction(278, 1000)
    for number, luma in enumerate(luma_planes(result.output)):
        assert np.array_equal(luma, moving_luma(number, width=96, height=64, bits=10))
    monkeypatch.chdir(folder)
    assert default_output(probe(Path()), ACCESS).name == "reel.v2.colorized.mkv"


def bar(number: int, *, rows: int = 64) -> np.ndarray:
    """A white bar on grey that moves 8 columns from the field of the even lines to that of the odd ones."""
    picture = np.full((rows, 96), 90, np.uint8)
    for field in (0, 1):
        left = 16 * number + 8 * field
        picture[field::2, left : left + 24] = 200
    return picture


@pytest.mark.slow
def test_chroma_of_each_field_follows_the_picture_of_that_field(tmp_path: Path, colorizer: Colorizer) -> None:
    tall: dict[str, Any] = {"width": 96, "height": 128, "times": range(3), "luma": partial(bar, rows=128)}
    marked = make_film(tmp_path / "marked.mkv", fields="tff", field_order=2, **tall)
    whole = make_film(tmp_path / "whole.mkv", **tall)
    fields, frames = (
        chroma_planes(colorize_video(film, None, MASTER, colorizer=colorizer).output) for film in (marked, whole)
    )
    for number in range(3):
        # Here the even lines show the bar and the odd lines do not; every chroma sample is two columns wide.
        only_top = slice(8 * number, 8 * number + 4)
        for of_fields, of_frame in zip(fields[number], frames[number], strict=True):
            assert difference(of_fields[:, only_top]) > 3 * difference(of_frame[:, only_top])


def difference(plane: np.ndarray) -> float:
    """Return how far apart the colours of the two fields are, in codes."""
    return float(abs(np.mean(plane[0::2].astype(float) - plane[1::2])))


@pytest.mark.few(1)
@pytest.mark.parametrize("quality", list(Quality))
def test_deinterlaced_film_has_whole_pictures_and_keeps_their_times(
    tmp_path: Path, colorizer: Colorizer, quality: Quality
) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(5), luma=bar, fields="bff", field_order=3)
    options = Options(quality=quality, deinterlace=True)
    result = colorize_video(film, None, options, colorizer=colorizer)
    assert frame_times(result.output) == frame_times(film)
    assert any(note.kind is NoteKind.CONVERTED and "deinterlaced" in note.text for note in result.notes)
    with av.open(str(result.output)) as made:
        pictures = list(made.decode(video=0))
        assert not any(picture.interlaced_frame for picture in pictures)
        assert made.streams.video[0].codec_context.field_order in (0, 1)


@pytest.mark.slow
def test_in_a_folder_a_result_has_the_name_that_it_has_beside_its_film(tmp_path: Path, colorizer: Colorizer) -> None:
    film, folder = make_film(tmp_path / "film.avi"), tmp_path / "results"
    folder.mkdir()
    assert colorize_video(film, folder, ACCESS, colorizer=colorizer).output == folder / "film.colorized.mkv"
    with pytest.raises(UsageError, match="exists already"):
        colorize_video(film, folder, ACCESS, colorizer=colorizer)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("film.mkv", Options(), "film.colorized.mkv"),
        ("film.avi", Options(), "film.colorized.mkv"),
        ("film.mkv", Options(codec=Codec.PRORES), "film.colorized.mov"),
    ],
)
def test_the_default_name_says_what_it_is(tmp_path: Path, name: str, options: Options, expected: str) -> None:
    assert default_output(probe(make_film(tmp_path / name)), options) == tmp_path / expected
