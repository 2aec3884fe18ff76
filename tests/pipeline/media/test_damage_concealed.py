"""What --on-damage conceal makes of a damaged film: as long as it was, in step, every concealment named."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.media.damage import Damage, Remedy, copy_picture
from pipeline.media.decode import frames
from pipeline.media.expected_frames import ExpectedFrames
from pipeline.media.probe import probe
from pipeline.media.read_log import ReadLog
from pipeline.options import OnDamage, Quality
from pipeline.results import NoteKind
from tests.films import Sound, frame_times, joined, luma_planes, make_film, packets, plane
from tests.pipeline.media.rewriting import rewrite

MJPEG = {"codec": "mjpeg", "pixel_format": "yuvj420p", "color_range": 2}


def spoil(path: Path, numbers: list[int], *, keep: int = 0) -> Path:
    """Overwrite the packets of pictures, by their place in the file, all but the first ``keep`` bytes."""
    with av.open(str(path)) as film:
        places = [(p.pos or 0, p.size) for p in film.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for number in numbers:
        start, size = places[number]
        data[start + keep : start + size] = bytes(size - keep)
    spoiled = path.with_name(f"spoiled{path.suffix}")
    spoiled.write_bytes(data)
    return spoiled


def concealed(path: Path) -> tuple[ReadLog, list[np.ndarray]]:
    info = probe(path)
    read_log = ReadLog(luma=True)
    shown = frames(info, info.pixel_format, read_log=read_log, on_damage=OnDamage.CONCEAL)
    return read_log, [frame.luma.copy() for frame in shown]


def test_undecodable_frames_are_replaced_by_the_one_before_at_their_own_times(tmp_path: Path) -> None:
    times = [0, 1, 2, 5, 6, 9, 10, 11, 12, 13]
    film = make_film(tmp_path / "film.mov", times=times, **MJPEG)
    whole = luma_planes(film)
    read_log, planes = concealed(spoil(film, [3, 4]))
    assert [t * probe(film).time_base for t in read_log.times] == frame_times(film)
    for number, luma in enumerate(planes):
        np.testing.assert_array_equal(luma, whole[2 if number in (3, 4) else number])
    told = [note.text for note in read_log.notes if "replaced by the one before" in note.text]
    assert told == [
        "2 frames are not decodable and replaced by the one before, at their own times: 3 to 4, "
        "between 0.200 s and 0.240 s"
    ]


def test_an_undecodable_start_shows_the_first_frame_that_is_decodable(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mov", times=range(10), **MJPEG)
    whole = luma_planes(film)
    read_log, planes = concealed(spoil(film, [0, 1]))
    assert len(planes) == 10
    for luma in planes[:2]:
        np.testing.assert_array_equal(luma, whole[2])
    assert any("replaced by the first that is" in note.text for note in read_log.notes)


def test_damaged_frames_are_kept_as_the_decoder_conceals_them_and_named(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(30), grain=0.1, options={"bf": "0", "g": "10"})
    spoiled = spoil(film, [14], keep=200)
    with pytest.raises(InputError, match=r"frame \d+ "):
        rewrite(spoiled)
    read_log, planes = concealed(spoiled)
    assert len(planes) == 30
    assert any(note.kind is NoteKind.CONCEALED and "14" in note.text for note in read_log.notes)


def test_a_film_that_was_cut_off_keeps_what_there_is_and_its_sound(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(50), grain=0.1, sounds=[Sound(codec="flac", seconds=2.0)])
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    with pytest.raises(InputError, match="is cut off"):
        rewrite(cut)
    result = rewrite(cut, quality=Quality.MASTER, on_damage=OnDamage.CONCEAL)
    assert 20 < result.read_log.frames < 50
    assert frame_times(result.output) == frame_times(film)[: result.read_log.frames]
    kept = packets(result.output, "audio")
    assert kept == packets(film, "audio")[: len(kept)]
    assert any("is cut off" in note.text for note in result.notes)


def test_lost_frames_keep_sound_and_picture_in_step(tmp_path: Path) -> None:
    film = make_film(
        tmp_path / "film.ts", codec="mpeg2video", times=range(50), grain=0.05, sounds=[Sound(codec="mp2", seconds=2.0)]
    )
    data = film.read_bytes()
    place = len(data) // 2 // 188 * 188
    holed = tmp_path / "holed.ts"
    holed.write_bytes(data[:place] + data[place + 188 * 12 :])
    result = rewrite(holed, on_damage=OnDamage.CONCEAL)
    start = min(frame_times(film)[0], packets(film, "audio")[0][0])  # the clock of a transport stream begins anywhere
    due = [float(time - start) for time in frame_times(film)]
    assert all(min(abs(float(time) - other) for other in due) < 0.001 for time in frame_times(result.output))
    # The hole may cut one packet of sound in two; all others are where they were.
    before = [(time - start, data) for time, data in packets(film, "audio")]
    after = packets(result.output, "audio")
    tick = Fraction(1, 1000)
    same = [any(data == other and abs(time - due) <= tick for due, other in before) for time, data in after]
    assert same.count(False) <= 2
    assert same.count(True) > len(before) // 2
    assert any(note.kind is NoteKind.CONCEALED for note in result.notes)


def test_frames_without_a_usable_time_are_shown_between_their_neighbours(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(20), **MJPEG)
    crooked = tmp_path / "crooked.mkv"
    with av.open(str(film)) as source, av.open(str(crooked), "w") as result:
        stream = result.add_stream_from_template(source.streams.video[0], opaque=True)
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.pts = packet.dts = 40 * (8 if number == 9 else number)
            packet.stream = stream
            result.mux(packet)
    unread = probe(crooked)
    with pytest.raises(InputError, match=r"frame 9 is timed 0\.320 s, not after"):
        list(frames(unread, unread.pixel_format))
    made = rewrite(crooked)
    assert frame_times(made.output) == [40 * n * Fraction(1, 1000) for n in range(20)]
    assert any("1 frame without a time of its own" in note.text for note in made.notes)
    read_log, _ = concealed(crooked)
    assert list(read_log.times) == [40 * n for n in range(20)]
    assert any(Remedy.RETIMED.value in note.text for note in read_log.notes)


def test_a_film_that_changes_its_size_for_good_is_refused_even_then(tmp_path: Path) -> None:
    small = make_film(tmp_path / "small.mkv", **MJPEG)
    large = make_film(tmp_path / "large.mkv", times=range(40), width=128, **MJPEG)
    film = joined(tmp_path / "joined.mkv", small, large, offset=600)
    with pytest.raises(InputError, match="changes the picture format"):
        concealed(film)


def test_concealment_without_a_place_for_its_notes_is_a_mistake(tmp_path: Path) -> None:
    info = probe(make_film(tmp_path / "film.mkv"))
    with pytest.raises(ValueError, match="read log"):
        next(frames(info, info.pixel_format, on_damage=OnDamage.CONCEAL))


def test_a_pause_in_a_regular_film_is_told(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", times=[*range(30), *range(34, 70)], **MJPEG)
    notes = rewrite(film).notes
    assert [note.text for note in notes if "room for" in note.text] == [
        "between frames there is room for 4 more, first after 1.160 s; their times are kept"
    ]
    uneven = make_film(tmp_path / "uneven.mkv", times=[n * n for n in range(30)], **MJPEG)
    assert not [note for note in rewrite(uneven).notes if "room for" in note.text]


def test_notes_stay_short_however_much_is_damaged() -> None:
    damage = Damage(Path("film.mkv"), OnDamage.CONCEAL)
    for number in range(0, 2000, 2):
        damage.met(f"place {number}")
        damage.remedied(Remedy.KEPT, number, Fraction(number, 25))
    notes = damage.notes()
    assert len(notes) < 20
    assert all(len(note.text) < 300 for note in notes)
    assert any("1,000 frames are damaged" in note.text and "988 more" in note.text for note in notes)


def test_fields_with_packets_of_their_own_are_one_picture(tmp_path: Path) -> None:
    info = replace(probe(make_film(tmp_path / "film.mkv", **MJPEG)), is_interlaced=True)
    expected_frames = ExpectedFrames(info)
    for time in (0, 20, 40, 60, 80, 100):
        expected_frames.add(time, 20)
    assert expected_frames.before(0) == []
    assert expected_frames.between(0, 40) == []
    expected_frames.before(40)
    assert expected_frames.between(40, None) == [80]


def test_two_fields_of_a_picture_are_not_two_pictures(tmp_path: Path) -> None:
    info = probe(make_film(tmp_path / "film.mkv", **MJPEG))
    expected_frames = ExpectedFrames(info)
    for time in (0, 20, 40, 60, 120, 160):
        expected_frames.add(time, 0)
    assert expected_frames.before(0) == []
    assert expected_frames.between(0, 40) == []
    expected_frames.before(40)
    assert expected_frames.between(40, 80) == []
    expected_frames.before(80)
    assert expected_frames.between(80, 160) == [120]
    assert expected_frames.between(80, None) == [120, 160]


@pytest.mark.parametrize("pixel_format", ["gray", "yuv420p", "yuv422p10le", "yuv444p16le", "gray12le", "yuva420p"])
def test_a_twin_has_the_same_samples_and_memory_of_its_own(tmp_path: Path, pixel_format: str) -> None:
    with av.open(str(make_film(tmp_path / "film.mkv", pixel_format=pixel_format, width=98, times=range(1)))) as film:
        picture = next(film.decode(video=0))
        copy = copy_picture(picture)
        before = [bytes(part) for part in copy.planes]
        for number in range(len(picture.planes)):
            np.testing.assert_array_equal(plane(picture, number), plane(copy, number))
        assert (copy.pts, copy.color_range, copy.colorspace) == (picture.pts, picture.color_range, picture.colorspace)
        picture.make_writable()
        for number in range(len(picture.planes)):
            plane(picture, number)[:] = 1
        assert [bytes(part) for part in copy.planes] == before


def test_a_film_that_ends_within_its_header_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(3))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(film.read_bytes()[:100])
    with pytest.raises(InputError, match=r"cut\.mkv: ends within its header") as caught:
        rewrite(cut)
    assert "disk" not in caught.value.advice
