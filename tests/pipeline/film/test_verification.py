from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.documents import to_json
from pipeline.errors import VerificationError
from pipeline.film.verification import verify
from pipeline.options import Codec, Quality
from pipeline.results import NoteKind, Proof
from tests.films import INTERLACED, Sound, Subtitles, luma_planes, make_film, plane
from tests.pipeline.media.rewriting import Rewritten, rewrite

Packet = Any


def tamper(path: Path, change: Callable[[Packet, int], Packet | None], *, without: str = "") -> Path:
    """Remux ``path``, passing every picture's packet with its number through ``change``."""
    result = path.with_name(f"tampered{path.suffix}")
    with av.open(str(path)) as source, av.open(str(result), "w") as copy:
        kept = [stream for stream in source.streams if stream.type != without]
        made = {stream.index: copy.add_stream_from_template(stream, opaque=True) for stream in kept}
        number = -1
        for packet in source.demux(*kept):
            if not packet.size:
                continue
            if packet.stream.type == "video":
                number += 1
                if change(packet, number) is None:
                    continue
            packet.stream = made[packet.stream.index]
            copy.mux(packet)
    return result


def untouched(packet: Packet, _: int) -> Packet:
    return packet


def check(result: Rewritten, output: Path) -> None:
    verify(result.source, result.written, output, read_log=result.read_log, final=Path("final.mkv"))


@pytest.fixture
def result(tmp_path: Path) -> Rewritten:
    film = make_film(tmp_path / "film.mkv", sounds=[Sound(codec="flac")], times=range(12))
    return rewrite(film, quality=Quality.MASTER)


def test_a_good_copy_passes(result: Rewritten) -> None:
    check(result, tamper(result.output, untouched))


def test_a_missing_frame_is_found(result: Rewritten) -> None:
    output = tamper(result.output, lambda packet, number: None if number == 5 else packet)
    with pytest.raises(VerificationError, match=r"final\.mkv: number of frames is 11, must be 12"):
        check(result, output)


def test_a_shifted_frame_time_is_found(result: Rewritten) -> None:
    def late(packet: Packet, number: int) -> Packet:
        if number == 7:
            packet.pts += 3
            packet.dts += 3
        return packet

    with pytest.raises(VerificationError, match=r"time of frame 7, .* is 283, must be 280"):
        check(result, tamper(result.output, late))


def test_a_missing_sound_is_found(result: Rewritten) -> None:
    with pytest.raises(VerificationError, match=r"audio 1 \(flac\): copy is missing"):
        check(result, tamper(result.output, untouched, without="audio"))


def test_a_missing_sound_packet_is_found(result: Rewritten) -> None:
    packets = dict(result.written.packets)
    packets[1].count += 1
    more = dataclasses.replace(result, written=dataclasses.replace(result.written, packets=packets))
    with pytest.raises(VerificationError, match="number of packets of audio 1"):
        check(more, result.output)


def test_one_wrong_luma_sample_is_found(tmp_path: Path, result: Rewritten) -> None:
    altered = tmp_path / "altered.mkv"
    with av.open(str(result.output)) as source, av.open(str(altered), "w") as copy:
        video, sound = source.streams.video[0], source.streams.audio[0]
        stream = copy.add_stream("ffv1", rate=25, options=dict(result.video.options))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        other = copy.add_stream_from_template(sound, opaque=True)
        for number, frame in enumerate(source.decode(video)):
            frame.make_writable()
            plane(frame, 0)[20, 30] ^= number == 8
            copy.mux(stream.encode(frame))
        copy.mux(stream.encode(None))
        source.seek(0)
        for packet in source.demux(sound):
            if packet.size:
                packet.stream = other
                copy.mux(packet)
    with pytest.raises(VerificationError, match="not that of the source, bit for bit"):
        check(result, altered)


def test_damage_on_disk_is_found(result: Rewritten) -> None:
    data = bytearray(result.output.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(64)
    result.output.write_bytes(data)
    with pytest.raises(VerificationError):
        check(result, result.output)


@pytest.mark.parametrize(
    ("field", "value"),
    [("sample_aspect_ratio", Fraction(16, 15)), ("rotation", 90), ("width", 98), ("chapters", (1,))],
)
def test_a_lost_property_of_the_picture_is_found(result: Rewritten, field: str, value: object) -> None:
    other = dataclasses.replace(result, source=dataclasses.replace(result.source, **{field: value}))
    with pytest.raises(VerificationError, match="must be"):
        check(other, result.output)


@pytest.mark.parametrize(("tag", "value"), [("matrix", 1), ("primaries", 9), ("transfer", 16), ("range", 2)])
def test_a_lost_colour_tag_is_found(result: Rewritten, tag: str, value: int) -> None:
    colors = dataclasses.replace(result.written.colors, **{tag: value})
    other = dataclasses.replace(result, written=dataclasses.replace(result.written, colors=colors))
    with pytest.raises(VerificationError, match=tag):
        check(other, result.output)


def test_a_file_that_cannot_be_read_is_not_verified(result: Rewritten) -> None:
    result.output.write_bytes(b"nothing")
    with pytest.raises(VerificationError, match=r"final\.mkv: the finished file cannot be read"):
        check(result, result.output)


@pytest.mark.slow
def test_what_only_the_container_lost_is_a_note(tmp_path: Path) -> None:
    sounds = [Sound(codec="aac", tags={"language": "fre"}, disposition=1), Sound(codec="aac", disposition=8)]
    film = make_film(tmp_path / "film.mkv", sounds=sounds, subtitles=[Subtitles()])
    notes = rewrite(film, codec=Codec.PRORES).notes
    dropped = [note.text for note in notes if note.kind is NoteKind.DROPPED]
    assert any("language 'fre'" in text for text in dropped)
    assert any("no longer marked comment" in text for text in dropped)


def redone(result: Rewritten, **changes: Any) -> Rewritten:
    return dataclasses.replace(result, source=dataclasses.replace(result.source, **changes))


def change_packets(path: Path, kind: str, change: Callable[[Packet, int], Packet]) -> Path:
    """Remux ``path`` with every packet of ``kind``, numbered, passed through ``change``."""
    changed = path.with_name(f"changed{path.suffix}")
    with av.open(str(path)) as source, av.open(str(changed), "w") as copy:
        made = [copy.add_stream_from_template(stream, opaque=True) for stream in source.streams]
        number = -1
        for packet in source.demux():
            if not packet.size:
                continue
            target = made[packet.stream_index]
            if packet.stream.type == kind:
                number += 1
                packet = change(packet, number)
            packet.stream = target
            copy.mux(packet)
    return changed


def test_one_wrong_byte_of_sound_is_found(result: Rewritten) -> None:
    def spoiled(packet: Packet, number: int) -> Packet:
        if number != 3:
            return packet
        data = bytearray(bytes(packet))
        data[-1] ^= 1
        other: Packet = av.Packet(bytes(data))
        other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
        return other

    with pytest.raises(
        VerificationError, match=r"audio 1 \(flac\): copy: its packets differ from those that were written"
    ):
        check(result, change_packets(result.output, "audio", spoiled))


def test_sound_that_is_out_of_step_is_found(result: Rewritten) -> None:
    def late(packet: Packet, _: int) -> Packet:
        packet.pts += 90
        packet.dts += 90
        return packet

    with pytest.raises(VerificationError, match=r"audio 1 .*: packet 0, due at 0\.000 s, is \+0\.090 s out of step"):
        check(result, change_packets(result.output, "audio", late))


def test_a_moved_chapter_and_a_lost_attachment_are_found(tmp_path: Path) -> None:
    font = ("font.ttf", "application/x-truetype-font", b"letters" * 100)
    chapters = [(0, 240, "Arrival"), (240, 600, "Departure")]
    result = rewrite(make_film(tmp_path / "film.mkv", attachments=[font], chapters=chapters))
    assert result.verification is not None
    assert result.verification.checks["chapters"] == "2, with their times and titles"
    assert result.verification.checks["attachments"] == "1, bit for bit"
    moved = (result.source.chapters[0], dataclasses.replace(result.source.chapters[1], start=Fraction(1, 2)))
    with pytest.raises(VerificationError, match=r"chapter 2 starts at 0\.240 s, must at 0\.500 s"):
        check(redone(result, chapters=moved), result.output)
    renamed = (result.source.chapters[0], dataclasses.replace(result.source.chapters[1], metadata={"title": "End"}))
    _, notes = verify(redone(result, chapters=renamed).source, result.written, result.output, read_log=result.read_log)
    assert "chapter 2: its title 'End'" in [note.text for note in notes]
    other = make_film(tmp_path / "other.mkv", attachments=[(*font[:2], b"other letters")], chapters=chapters)
    with pytest.raises(VerificationError, match="attachments are not those of the source"):
        check(redone(result, path=other), result.output)


def test_a_changed_tag_is_told(tmp_path: Path) -> None:
    result = rewrite(make_film(tmp_path / "film.mkv", film_tags={"title": "A train"}))
    other = redone(result, metadata={"title": "A bus"})
    _, notes = verify(other.source, result.written, result.output, read_log=result.read_log)
    assert [note.text for note in notes] == ["the tag title 'A bus' became 'A train'"]


def test_the_other_field_first_is_found(tmp_path: Path) -> None:
    film = make_film(
        tmp_path / "film.mov", codec="libx264", height=128, flags=INTERLACED, field_order=2, times=range(6)
    )
    result = rewrite(film)
    video = dataclasses.replace(result.written.video, field_order=5 - result.source.field_order)
    other = dataclasses.replace(result, written=dataclasses.replace(result.written, video=video))
    with pytest.raises(VerificationError, match=r"first field is (top|bottom), must be "):
        check(other, result.output)


def test_a_last_frame_that_is_shown_for_another_time_is_told(result: Rewritten) -> None:
    result.read_log.last_duration = 2000
    _, notes = verify(result.source, result.written, result.output, read_log=result.read_log)
    assert [note.text for note in notes] == ["the last frame is shown for 0.040 s, in the source for 2.000 s"]


def test_a_master_is_proved_exact_and_everything_is_told(result: Rewritten) -> None:
    verification = result.verification
    assert verification is not None
    assert verification.luma.proof is Proof.EXACT
    assert verification.checks["frames"] == "12, each at its time in units of 1/1000 s"
    assert "in step" in verification.checks["audio 1 (flac): copy"]
    assert verification.checks["duration"] == "0.480 s"
    assert set(verification.not_checked) == {"ffmpeg program"}
    assert len(verification.lines()) == len(verification.checks) + 3
    json.dumps(to_json(verification), allow_nan=False)


@pytest.mark.few(1)
@pytest.mark.parametrize("full", [False, True])
def test_the_luma_error_of_an_access_copy_is_what_it_is(tmp_path: Path, full: bool) -> None:
    film = make_film(tmp_path / "film.mkv", width=160, height=96, grain=0.04, times=range(14))
    result = rewrite(film, full=full)
    assert result.verification is not None
    measured = result.verification.luma
    before, after = luma_planes(film), luma_planes(result.output)
    # Of 14 frames, every fourth is kept as a sample.
    shown = range(14) if full else (3, 7, 11)
    errors = np.array([before[n].astype(float) - after[n] for n in shown])
    worst = max(float(np.mean(error**2)) for error in errors)
    assert (measured.frames, measured.proof) == (len(shown), Proof.MEASURED if full else Proof.SAMPLED)
    assert measured.psnr_db == pytest.approx(10 * np.log10(255**2 / np.mean(errors**2)), abs=0.01)
    assert measured.worst_psnr_db == pytest.approx(10 * np.log10(255**2 / worst), abs=0.01)
    assert measured.max_error == int(np.abs(errors).max())


def test_a_frame_that_is_not_there_to_be_measured_fails_the_film(tmp_path: Path) -> None:
    result = rewrite(make_film(tmp_path / "film.mkv", times=range(12)))
    with pytest.raises(VerificationError, match="decodes to another number of frames"):
        verify(result.source, result.written, result.output, read_log=result.read_log, again=lambda: iter(()))


@pytest.mark.parametrize(("packet_frames", "quality"), [(1000, Quality.ACCESS), (2000, Quality.MASTER)])
def test_uncompressed_sound_may_be_cut_into_packets_anew(tmp_path: Path, packet_frames: int, quality: Quality) -> None:
    film = make_film(tmp_path / "film.mkv", sounds=[Sound(codec="pcm_s16le", rate=packet_frames * 20)])
    codec = Codec.PRORES if quality is Quality.ACCESS else Codec.AUTO
    verification = rewrite(film, codec=codec, quality=quality).verification
    assert verification is not None
    assert "bit for bit" in verification.checks["audio 1 (pcm_s16le): copy"]
