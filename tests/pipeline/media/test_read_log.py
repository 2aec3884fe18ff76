"""What is counted on the way: times, a few frames whole, packets by content."""

from __future__ import annotations

from array import array
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from pipeline.media.read_log import LumaSamples, PacketLog, ReadLog, adts_header

ADTS = bytes([0xFF, 0xF1, 0x50, 0x80, 0x01, 0x7F, 0xFC]) + b"data"


@pytest.mark.parametrize("frames", [1, 3, 4, 5, 16, 17, 1000])
def test_samples_are_few_and_spread_over_the_film(frames: int) -> None:
    samples = LumaSamples()
    for number in range(frames):
        samples.add(number, np.full((2, 2), number % 251, np.uint8))
    kept = list(samples.planes)
    assert 1 <= len(kept) <= 4
    assert kept == sorted(kept)
    assert all((plane == number % 251).all() for number, plane in samples.planes.items())
    if frames > 4:
        assert max(np.diff([0, *kept, frames])) <= frames / 2


def test_samples_of_huge_frames_stay_within_their_memory() -> None:
    samples = LumaSamples()
    plane = np.zeros((5000, 6000), np.uint8)
    for number in range(9):
        samples.add(number, plane)
    assert sum(kept.nbytes for kept in samples.planes.values()) <= 1 << 26


def test_a_sample_is_a_copy() -> None:
    samples, plane = LumaSamples(), np.zeros((2, 2), np.uint8)
    samples.add(0, plane)
    plane[:] = 9
    assert not samples.planes[0].any()


@pytest.mark.parametrize(
    ("times", "missing"),
    [
        (range(0, 400, 40), 0),
        ([*range(0, 400, 40), *range(480, 900, 40)], 2),
        ([*range(0, 4000, 40), *range(4400, 8000, 40), *range(8040, 9000, 40)], 11),
        # Every other frame is shown for longer: a rate of its own kind, not a loss.
        ([n * 33 + n // 2 * 34 for n in range(40)], 0),
        ([0, 40, 400], 0),
    ],
)
def test_pauses_are_told_in_regular_films_only(times: list[int], missing: int) -> None:
    read_log = ReadLog(luma=False)
    read_log.times = array("q", times)
    notes = read_log.pauses(Fraction(1, 1000))
    assert bool(notes) is bool(missing)
    if notes:
        assert f"room for {missing} more" in notes[0].text


def packet(data: bytes, pts: int | None = 0) -> av.Packet[Any]:
    made = av.Packet(data)
    made.pts, made.time_base = pts, Fraction(1, 50)
    return made


def test_packets_are_told_apart_by_content_and_not_by_where_they_are_cut() -> None:
    one, other, wrong = PacketLog(), PacketLog(), PacketLog()
    for data in (b"abc", b"def", b""):
        one.add(packet(data), codec="pcm_s16le")
    for data in (b"abcd", b"ef"):
        other.add(packet(data), codec="pcm_s16le")
    wrong.add(packet(b"abcdeg"), codec="pcm_s16le")
    assert (one.count, other.count) == (2, 2)
    assert one.hexdigest() == other.hexdigest() != wrong.hexdigest()


def test_a_header_before_every_packet_of_aac_does_not_count() -> None:
    with_header, without = PacketLog(), PacketLog()
    with_header.add(packet(ADTS), codec="aac")
    without.add(packet(b"data"), codec="aac")
    assert with_header.hexdigest() == without.hexdigest()
    assert adts_header(ADTS) == 7
    assert adts_header(ADTS + b"more") == 0
    assert adts_header(b"\x21\x10\x05") == 0


def test_times_are_seconds_and_may_be_missing() -> None:
    read_log = PacketLog()
    for pts in (0, None, 25):
        read_log.add(packet(b"x", pts), codec="mp3")
    np.testing.assert_array_equal(read_log.seconds(), [0.0, np.nan, 0.5])
