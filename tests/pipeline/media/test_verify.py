from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.errors import VerificationError
from pipeline.media.verify import verify
from pipeline.options import Codec, Quality
from pipeline.results import NoteKind
from tests.films import Sound, Subtitles, make_film, plane
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
    verify(result.source, result.written, output, tally=result.tally, final=Path("final.mkv"))


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


def test_what_only_the_container_lost_is_a_note(tmp_path: Path) -> None:
    sounds = [Sound(codec="aac", tags={"language": "fre"}, disposition=1), Sound(codec="aac", disposition=8)]
    film = make_film(tmp_path / "film.mkv", sounds=sounds, subtitles=[Subtitles()])
    notes = rewrite(film, codec=Codec.PRORES).notes
    dropped = [note.text for note in notes if note.kind is NoteKind.DROPPED]
    assert any("language 'fre'" in text for text in dropped)
    assert any("no longer marked comment" in text for text in dropped)
