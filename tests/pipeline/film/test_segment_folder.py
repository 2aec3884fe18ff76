"""Segments survive the death of the run that made them, and what is joined from them plays as one film."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.film.segment_folder import SegmentFolder, SegmentWriter, segment_folder
from pipeline.originals import Originals
from pipeline.publish import PARTIAL_PREFIX

RECIPE = {"source": "film.mkv", "codec": "h264"}


def open_segments(final: Path, recipe: Mapping[str, str]) -> SegmentFolder:
    folder = SegmentFolder(segment_folder(final), final, recipe, originals=Originals())
    folder.prepare()
    return folder


def claimed(folder: SegmentFolder, number: int, first: int = 0) -> AbstractContextManager[SegmentWriter | None]:
    return folder.claimed(number, first=first, is_owner=True)


def encoder() -> av.VideoCodecContext:
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = 64, 48, "yuv420p"
    context.time_base = Fraction(1, 1000)
    context.options = {"preset": "veryfast", "bf": "3"}
    return context


def make(folder: SegmentFolder, times: list[int]) -> list[bytes]:
    """Encode one segment of noise, a frame per time; return the packets' data."""
    context = encoder()
    rng = np.random.default_rng(len(folder.segments))
    made = []
    number, first = len(folder.segments), folder.frames
    with claimed(folder, number, first) as segment:
        assert segment is not None
        for pts in times:
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (72, 64), np.uint8), format="yuv420p")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            packets = context.encode(frame)
            made += map(bytes, packets)
            segment.add(packets)
        packets = context.encode(None)
        made += map(bytes, packets)
        segment.add(packets)
        segment.finish(frames=len(times), summary={"times": times})
    return made


FIRST = [0, 41, 83, 125, 166, 500, 520, 560, 600, 640]
SECOND = [700, 701, 702, 900, 1300, 1301, 1400]


def test_finished_segments_are_found_again(tmp_path: Path) -> None:
    final = tmp_path / "film.mkv"
    folder = open_segments(final, RECIPE)
    make(folder, FIRST)
    make(folder, SECOND)
    again = open_segments(final, RECIPE)
    assert [segment.first for segment in again.segments.values()] == [0, len(FIRST)]
    assert [segment.frames for segment in again.segments.values()] == [len(FIRST), len(SECOND)]
    assert again.frames == len(FIRST) + len(SECOND)
    assert [segment.summary for segment in again.segments.values()] == [{"times": FIRST}, {"times": SECOND}]


def test_a_segment_that_was_being_written_when_the_run_was_killed_is_thrown_away(tmp_path: Path) -> None:
    folder = open_segments(tmp_path / "film.mkv", RECIPE)
    make(folder, FIRST)
    made = folder.segments[0].path
    half = made.with_name(f"{PARTIAL_PREFIX}0123456789ab.segment")
    half.write_bytes(b"half a segment")
    again = open_segments(tmp_path / "film.mkv", RECIPE)
    assert [segment.path for segment in again.segments.values()] == [made]
    assert not half.exists()


def test_packets_come_back_byte_for_byte_with_rising_decoding_times(tmp_path: Path) -> None:
    folder = open_segments(tmp_path / "film.mkv", RECIPE)
    data = [*make(folder, FIRST), *make(folder, SECOND)]
    packets = list(open_segments(tmp_path / "film.mkv", RECIPE).packets())
    assert [bytes(packet) for packet in packets] == data
    assert sorted(packet.pts for packet in packets) == FIRST + SECOND
    assert all(packet.dts <= packet.pts for packet in packets)
    assert all(earlier.dts < later.dts for earlier, later in itertools.pairwise(packets))


def test_a_segment_without_end_does_not_count(tmp_path: Path) -> None:
    folder = open_segments(tmp_path / "film.mkv", RECIPE)
    make(folder, FIRST)
    with pytest.raises(RuntimeError, match="killed"), claimed(folder, 1) as segment:
        assert segment is not None
        segment.add(encoder().encode(None))
        raise RuntimeError("killed")
    assert len(open_segments(tmp_path / "film.mkv", RECIPE).segments) == 1


@pytest.mark.few(2)
@pytest.mark.parametrize("place", [10, 2000, -3, -20, -34])
def test_a_damaged_segment_is_thrown_away(tmp_path: Path, place: int) -> None:
    folder = open_segments(tmp_path / "film.mkv", RECIPE)
    for times in (FIRST, SECOND, [2000, 2040]):
        make(folder, times)
    damaged = bytearray(folder.segments[1].path.read_bytes())
    damaged[place] ^= 0x10
    folder.segments[1].path.write_bytes(damaged)
    again = open_segments(tmp_path / "film.mkv", RECIPE)
    assert [(number, segment.frames) for number, segment in again.segments.items()] == [(0, len(FIRST)), (2, 2)]
    assert not folder.segments[1].path.exists()


def test_segments_of_another_recipe_are_thrown_away(tmp_path: Path) -> None:
    make(open_segments(tmp_path / "film.mkv", RECIPE), FIRST)
    assert not open_segments(tmp_path / "film.mkv", {**RECIPE, "codec": "ffv1"}).segments
    assert not open_segments(tmp_path / "film.mkv", RECIPE).segments


def test_nothing_is_left_when_the_segments_are_removed(tmp_path: Path) -> None:
    folder = open_segments(tmp_path / "film.mkv", RECIPE)
    make(folder, FIRST)
    folder.remove()
    assert not list(segment_folder(tmp_path / "film.mkv").iterdir())


def test_what_one_process_claims_no_other_writes(tmp_path: Path) -> None:
    one, other = (open_segments(tmp_path / "film.mkv", RECIPE) for _ in range(2))
    with claimed(one, 0) as mine:
        assert mine is not None
        with claimed(other, 0) as not_mine:
            assert not_mine is None
        assert other.is_claimed(0)
        with claimed(other, 1) as next_one:
            assert next_one is not None
            next_one.finish(frames=1, summary={})
        mine.finish(frames=1, summary={})
    assert not other.is_claimed(0)
    with claimed(other, 0) as done:
        assert done is None
    assert other.look() == 1
    assert one.look() == 1


def test_nobody_is_disturbed_at_work_by_one_who_begins(tmp_path: Path) -> None:
    folder = open_segments(tmp_path / "film.mkv", RECIPE)
    with claimed(folder, 3) as segment:
        assert segment is not None
        again = open_segments(tmp_path / "film.mkv", RECIPE)
        segment.finish(frames=1, summary={})
    assert again.look() == 1


def test_nothing_can_be_claimed_once_the_segments_were_removed(tmp_path: Path) -> None:
    one, other = (open_segments(tmp_path / "film.mkv", RECIPE) for _ in range(2))
    make(one, FIRST)
    one.remove()
    with claimed(other, 0) as segment:
        assert segment is None
    assert not other.is_open()
    assert not list(segment_folder(tmp_path / "film.mkv").iterdir())


def test_a_segment_that_is_damaged_while_the_owner_is_at_work_is_made_again(tmp_path: Path) -> None:
    owner, other = (open_segments(tmp_path / "film.mkv", RECIPE) for _ in range(2))
    make(other, FIRST)
    path = other.segments[0].path
    path.write_bytes(b"x" + path.read_bytes()[1:])
    assert owner.look() == 0
    with other.claimed(0, first=0, is_owner=False) as segment:
        assert segment is None
    make(owner, FIRST)
    assert owner.frames == len(FIRST)
