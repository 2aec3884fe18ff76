from __future__ import annotations

import zlib
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.media.matroska import PADDING, set_display_size
from pipeline.media.probe import probe
from tests.films import Sound, frame_times, luma_planes, make_film, packets


def tracks_checksum_is_right(data: bytes) -> bool:
    name = b"\x16\x54\xae\x6b"
    start = data.index(name, data.index(name) + 4) + 4  # the seek table names it first
    lead = data[start]
    length = 9 - lead.bit_length()
    size = int.from_bytes(data[start : start + length]) - (1 << 7 * length)
    body = data[start + length : start + length + size]
    assert body[:2] == b"\xbf\x84"
    return zlib.crc32(body[6:]).to_bytes(4, "little") == body[2:6]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "sar", [Fraction(16, 15), Fraction(8, 9), Fraction(59, 54), Fraction(64, 45), Fraction(2), Fraction(1, 2)]
)
@pytest.mark.parametrize("title", ["", "A train", "Z\u00fcge" * 40])
def test_the_ratio_is_written_and_nothing_else_changes(tmp_path: Path, sar: Fraction, title: str) -> None:
    tags = {"title": title + PADDING, "language": "ger"}
    film = make_film(tmp_path / "film.mkv", tags=tags, sounds=[Sound(codec="flac", tags={"title": "Voice"})])
    before, luma, sound = film.read_bytes(), luma_planes(film), packets(film, "audio")
    set_display_size(film, width=96, height=64, sample_aspect_ratio=sar)
    after = film.read_bytes()
    info = probe(film)
    assert info.sample_aspect_ratio == sar
    assert (info.title, info.language) == (title, "ger")
    assert [s.title for s in info.streams] == ["Voice"]
    assert len(after) == len(before)
    assert tracks_checksum_is_right(after)
    first_cluster = before.index(b"\x1f\x43\xb6\x75")
    assert after[first_cluster + 4096 :] == before[first_cluster + 4096 :]
    assert all((a == b).all() for a, b in zip(luma_planes(film), luma, strict=True))
    assert packets(film, "audio") == sound
    assert len(frame_times(film)) == 15


def test_a_track_without_room_is_refused_and_left_alone(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", tags={"title": "A train"})
    before = film.read_bytes()
    with pytest.raises(ValueError, match="no padded name"):
        set_display_size(film, width=96, height=64, sample_aspect_ratio=Fraction(16, 15))
    assert film.read_bytes() == before


def test_another_format_is_refused(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264")
    with pytest.raises(ValueError, match=r"not a Matroska element|no track header"):
        set_display_size(film, width=96, height=64, sample_aspect_ratio=Fraction(16, 15))
