"""Sound films that headers and time stamps describe badly: all of them come out whole, and what is changed is named."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.media.probe import probe
from pipeline.media.stream_plan import Action
from pipeline.options import Quality
from pipeline.results import NoteKind
from tests.films import Sound, frame_times, luma_planes, make_film, moving_luma, packets
from tests.pipeline.media.rewriting import rewrite, survey

PERIOD = Fraction(1, 25)
TINY = {"width": 64, "height": 48}


def steps(path: Path) -> set[Fraction]:
    """Return the distances between frames, to the millisecond."""
    return {round(b - a, 3) for a, b in pairwise(frame_times(path))}


def shows(path: Path, count: int, **size: int) -> bool:
    """Tell whether the film shows `moving_luma` of 0 to ``count``, in this order: each frame is most like its own."""
    found = luma_planes(path)
    drawn = [moving_luma(number, **(size or TINY)).astype(int) for number in range(count)]
    likest = [min(range(count), key=lambda n: np.abs(plane - drawn[n]).sum()) for plane in found]
    return likest == list(range(count))


# Times of display -----------------------------------------------------------------------------------------------------


@pytest.mark.few(2)
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_avi_with_b_frames_shows_all_frames_in_order_one_period_apart(tmp_path: Path, codec: str, suffix: str) -> None:
    film = make_film(tmp_path / "a.avi", codec=codec, options={"bf": "2"}, times=range(50), **TINY)
    result = rewrite(film, suffix=suffix)
    assert steps(result.output) == {PERIOD}
    assert shows(result.output, 50)


def with_packed_b_frames(path: Path, count: int) -> Path:
    """`moving_luma` as DivX and XviD wrote it: each B-frame in the packet of the frame after it, then a placeholder."""
    options = {"bf": "1", "g": "1000", "sc_threshold": "1000000000"}
    straight = make_film(path.with_suffix(".straight.avi"), codec="mpeg4", options=options, times=range(count), **TINY)
    with av.open(str(straight)) as read, av.open(str(path), "w") as film:
        video = read.streams.video[0]
        stream = film.add_stream_from_template(video)
        first, *rest = (bytes(packet) for packet in read.demux(video) if packet.size)
        assert [vop(data) for data in (first, *rest)] == [INTRA, *[PREDICTED, BETWEEN] * (count // 2)]
        # The letter at the end tells decoders that the stream is packed.
        packed = [first.replace(VOP, USER_DATA + b"DivX503b1393p" + VOP, 1)]
        for later, between in zip(rest[::2], rest[1::2], strict=True):
            # Type P, no further second, marker, time 0 (5 bits, of 25 a second), marker, not coded, stuffing.
            placeholder = VOP + bytes((PREDICTED << 6 | 1 << 4, 0b0100_1111))
            packed += [later + between, placeholder]
        for number, data in enumerate(packed):
            packet = av.Packet(data)
            packet.pts = packet.dts = number
            packet.time_base, packet.duration, packet.stream = PERIOD, 1, stream
            packet.is_keyframe = number == 0
            film.mux(packet)
    return path


VOP, USER_DATA = b"\0\0\1\xb6", b"\0\0\1\xb2"
INTRA, PREDICTED, BETWEEN = 0, 1, 2


def vop(data: bytes) -> int:
    """Return the type of the first picture in a packet of MPEG-4 (ISO/IEC 14496-2, 6.2.5)."""
    return data[data.index(VOP) + len(VOP)] >> 6


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_avi_with_packed_b_frames_shows_all_frames_in_order_one_period_apart(tmp_path: Path, suffix: str) -> None:
    film = with_packed_b_frames(tmp_path / "a.avi", 31)
    result = rewrite(film, suffix=suffix)
    assert steps(result.output) == {PERIOD}
    assert shows(result.output, 31)


def with_realvideo_b_frames(path: Path, count: int) -> Path:
    """`moving_luma` as RealVideo G2: every other frame a B-frame, timed in the container by when it is decoded."""
    straight = make_film(
        path.with_suffix(".straight.rm"),
        codec="rv20",
        times=range(count),
        luma=lambda number: moving_luma(2 * number, **CIF_QUARTER),
        **CIF_QUARTER,
    )
    # Type B, quality 5, no filter, time; block 0, rounding, and each of the 99 blocks the mean of its neighbours.
    between = "11000101" + "0" + "{:013b}" + "0" * 8 + "1" * 99
    with av.open(str(straight)) as read, av.open(str(path), "w") as film:
        stream = film.add_stream_from_template(read.streams.video[0])
        for number, packet in enumerate(one for one in read.demux(video=0) if one.size):
            # Nine bytes on slices, then the picture: its time has 8 bits, of which the later version makes 13.
            bits = "".join(f"{byte:08b}" for byte in bytes(packet)[9:])
            ms = 80 * number
            pictures = [(ms, bits[:8] + "0" + f"{ms:013b}" + bits[16:])]
            if number:
                pictures.append((ms + 1, between.format(ms - 40)))
            for time, text in pictures:
                padded = text.ljust(-(-len(text) // 8) * 8, "0")
                made = av.Packet(int(padded, 2).to_bytes(len(padded) // 8))
                made.pts = made.dts = time
                made.time_base, made.stream, made.is_keyframe = Fraction(1, 1000), stream, time == 0
                film.mux(made)
    path.write_bytes(path.read_bytes().replace(b"\x20\x10\x30\x01", b"\x20\x20\x00\x02"))
    return path


CIF_QUARTER = {"width": 176, "height": 144}


def test_realvideo_with_b_frames_shows_all_frames_at_the_times_that_its_pictures_state(tmp_path: Path) -> None:
    result = rewrite(with_realvideo_b_frames(tmp_path / "a.rm", 5))
    assert steps(result.output) == {PERIOD}
    assert shows(result.output, 9, **CIF_QUARTER)


def crossed(path: Path, order: Sequence[int], codec: str, options: dict[str, str]) -> Path:
    """A film without prediction that stores frames of `moving_luma` in ``order``, each with its time of display."""
    straight = make_film(
        path.with_suffix(".nut"),
        codec=codec,
        pixel_format="yuvj420p" if codec == "mjpeg" else "yuv420p",
        times=range(len(order)),
        luma=lambda number: moving_luma(order[number], **TINY),
        options=options,
        muxer="nut",
        **TINY,
    )
    with av.open(str(straight)) as read, av.open(str(path), "w") as film:
        stream = film.add_stream_from_template(read.streams.video[0])
        for number, packet in enumerate(one for one in read.demux(video=0) if one.size):
            # Later than it is decoded, as MP4 demands.
            packet.pts, packet.dts, packet.time_base = order[number] + len(order), number, PERIOD
            packet.duration, packet.stream = 1, stream
            film.mux(packet)
    return path


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
@pytest.mark.parametrize("codec", ["mjpeg", "libx264"])
def test_frames_stored_in_another_order_than_shown_come_out_as_shown(tmp_path: Path, codec: str, name: str) -> None:
    options = {"g": "1", "bf": "0"} if codec == "libx264" else {}
    order = [0, 2, 1, 5, 3, 4, 9, 8, 7, 6, 10, 11]
    result = rewrite(crossed(tmp_path / name, order, codec, options), suffix=".mkv")
    assert steps(result.output) == {PERIOD}
    assert len(frame_times(result.output)) == len(order)
    assert shows(result.output, len(order))


def test_times_that_have_nothing_to_do_with_the_order_of_the_frames_are_not_followed_and_that_is_said(
    tmp_path: Path,
) -> None:
    order = [*range(20, 40), *range(20)]
    film = crossed(tmp_path / "a.mkv", order, "mjpeg", {})
    result = rewrite(film)
    assert steps(result.output) == {PERIOD}
    assert len(frame_times(result.output)) == 40
    (note,) = [note for note in survey(film).notes if "order in which they are stored" in note.text]
    assert note.kind is NoteKind.ASSUMED


def test_mov_without_composition_times_shows_all_frames_in_order(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mov", codec="mpeg4", options={"bf": "2"}, times=range(30), **TINY)
    data = bytearray(film.read_bytes())
    data[data.index(b"ctts") : data.index(b"ctts") + 4] = b"free"
    film.write_bytes(data)
    result = rewrite(film)
    assert steps(result.output) == {PERIOD}
    assert frame_times(result.output)[0] >= 0
    assert shows(result.output, 30)


@pytest.mark.parametrize("gap", [(7, 8, 15), (27, 28, 29)])
def test_dropped_frames_of_avi_are_no_damage_and_keep_their_time(tmp_path: Path, gap: tuple[int, ...]) -> None:
    times = [number for number in range(60) if number not in gap]
    film = make_film(tmp_path / "a.avi", codec="mpeg4", times=times, **TINY)
    assert frame_times(rewrite(film).output) == [number * PERIOD for number in times]


def test_sound_and_picture_of_a_film_that_begins_before_zero_are_moved_alike(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.avi", codec="libx264", options={"bf": "2"}, sounds=[Sound(codec="mp2")], **TINY)
    result = rewrite(film)
    assert abs(packets(result.output, "audio")[0][0] - packets(film, "audio")[0][0]) < Fraction(1, 20)


# Clocks of MPEG streams -----------------------------------------------------------------------------------------------


@pytest.mark.few(1)
@pytest.mark.parametrize("suffix", [".ts", ".vob"])
def test_joined_recordings_keep_all_pictures_and_all_sound_in_step(tmp_path: Path, suffix: str) -> None:
    parts = [
        make_film(
            tmp_path / f"{name}{suffix}",
            codec="mpeg2video",
            times=range(40),
            sounds=[Sound(codec="mp2", seconds=1.6)],
            **TINY,
        )
        for name in "ab"
    ]
    film = tmp_path / f"joined{suffix}"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    result = rewrite(film)
    times, sound = frame_times(result.output), [float(time) for time, _ in packets(result.output, "audio")]
    assert len(times) == 80
    assert max(b - a for a, b in pairwise(times)) < 2 * PERIOD
    assert len(sound) == sum(len(packets(part, "audio")) for part in parts)
    assert max(b - a for a, b in pairwise(sound)) < 0.1
    assert abs(float(times[-1]) - sound[-1]) < 0.15
    assert any("2 recordings" in note.text and note.kind is NoteKind.CONVERTED for note in result.notes)


@pytest.mark.few(1)
@pytest.mark.parametrize("hours", [10, 26.5119])  # the clock of 33 bits passes its end after 26.51214 hours
def test_a_broadcast_clock_is_not_that_of_the_film(tmp_path: Path, hours: float) -> None:
    start = round(hours * 3600 * 25)
    film = make_film(
        tmp_path / "a.ts",
        codec="mpeg2video",
        times=range(start, start + 60),
        sounds=[Sound(codec="mp2", start=start / 25, seconds=2.4)],
        **TINY,
    )
    result = rewrite(film)
    assert 0 <= frame_times(result.output)[0] < PERIOD
    assert steps(result.output) == {PERIOD}
    assert frame_times(result.output)[-1] - packets(result.output, "audio")[-1][0] < Fraction(1, 10)
    assert any("starts at zero" in note.text for note in result.notes)


# Streams that begin late ----------------------------------------------------------------------------------------------


# More than the 5 MB that FFmpeg reads before it says which streams there are.
HEAVY: Any = {
    "options": {"b": "24000000", "minrate": "24000000", "maxrate": "24000000", "bufsize": "6000000", "qmin": "1"},
    "grain": 0.2,
    "width": 352,
    "height": 288,
}


@pytest.mark.few(1)
@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".ts", ".vob"])
def test_sound_that_begins_late_is_copied(tmp_path: Path, suffix: str) -> None:
    sounds = [Sound(codec="mp2", seconds=5.0), Sound(codec="ac3", start=4.0, seconds=1.0)]
    film = make_film(
        tmp_path / f"a{suffix}",
        codec="mpeg2video",
        times=range(125),
        sounds=sounds,
        **HEAVY,
    )
    with av.open(str(film)) as container:
        found = [stream for stream in container.streams.audio if stream.sample_rate]
        assert len(found) < 2, "FFmpeg should not see the second sound on opening"
    info = survey(film)
    assert [stream.codec for stream in info.streams if stream.type == "audio"] == ["mp2", "ac3"]
    assert all(stream.sample_rate == 48000 for stream in info.streams if stream.type == "audio")


def with_late_subtitles(film: Path, path: Path, codec: str) -> Path:
    """Write ``film`` again, with subtitles of pictures from its fourth second on."""
    with av.open(str(film)) as source, av.open(str(path), "w") as copy:
        video: Any = copy.add_stream_from_template(source.streams.video[0], opaque=True)
        texts: Any = copy.add_stream(codec)
        texts.time_base = texts.codec_context.time_base = Fraction(1, 90000)
        copy.start_encoding()
        is_written = False
        for packet in source.demux(video=0):
            if not packet.size:
                continue
            if not is_written and packet.dts is not None and packet.dts * packet.time_base > 4:
                line = av.Packet(bytes((0, 64, 0, 60)) + bytes(60))
                line.stream, line.time_base, line.duration = texts, Fraction(1, 90000), 9000
                line.pts = line.dts = round(packet.dts * packet.time_base * 90000)
                copy.mux(line)
                is_written = True
            packet.stream = video
            copy.mux(packet)
    return path


@pytest.mark.nightly
@pytest.mark.few(1)
@pytest.mark.parametrize(("suffix", "codec"), [(".vob", "dvdsub"), (".ts", "dvbsub")])
def test_subtitles_that_begin_late_are_copied(tmp_path: Path, suffix: str, codec: str) -> None:
    plain = make_film(tmp_path / f"plain{suffix}", codec="mpeg2video", times=range(125), **HEAVY)
    film = with_late_subtitles(plain, tmp_path / f"a{suffix}", codec)
    result = rewrite(film)
    assert [(plan.stream.type, plan.action) for plan in result.streams] == [("subtitle", Action.COPY)]
    ((time, _),) = packets(result.output, "subtitle")
    assert 3.5 < time < 4.5
    assert len(frame_times(result.output)) == 125


def with_second_picture(film: Path, path: Path, *, late: bool) -> Path:
    """Write ``film`` again with a second picture, which has frames from the fourth second on, or none at all."""
    with av.open(str(film)) as source, av.open(str(path), "w") as copy:
        video: Any = copy.add_stream_from_template(source.streams.video[0], opaque=True)
        other = copy.add_stream("mpeg2video", rate=25)
        other.width, other.height, other.pix_fmt = 96, 64, "yuv420p"
        for packet in source.demux(video=0):
            if not packet.size:
                continue
            seconds = packet.dts * packet.time_base
            packet.stream = video
            copy.mux(packet)
            if late and seconds > 4:
                frame = av.VideoFrame(96, 64, "yuv420p")
                frame.pts, frame.time_base = round(seconds * 25), Fraction(1, 25)
                copy.mux(other.encode(frame))
        if late:
            copy.mux(other.encode(None))
    return path


@pytest.mark.few(1)
@pytest.mark.slow
def test_a_second_picture_that_begins_late_is_copied(tmp_path: Path) -> None:
    plain = make_film(tmp_path / "plain.ts", codec="mpeg2video", times=range(125), **HEAVY)
    film = with_second_picture(plain, tmp_path / "a.ts", late=True)
    with av.open(str(film)) as container:
        assert container.streams.video[1].width == 0, "FFmpeg should not see the second picture on opening"
    result = rewrite(film)
    assert [(plan.stream.type, plan.action) for plan in result.streams] == [("video", Action.COPY)]
    with av.open(str(result.output)) as container:
        assert container.streams.video[1].width == 96


def test_a_second_picture_without_a_packet_is_dropped_for_that_reason(tmp_path: Path) -> None:
    plain = make_film(tmp_path / "plain.ts", codec="mpeg2video")
    result = rewrite(with_second_picture(plain, tmp_path / "a.ts", late=False))
    assert [plan.action for plan in result.streams] == [Action.DROP]
    assert any("video 1 (mpeg2video): drop: it holds no packets" in note.text for note in result.notes)


@pytest.mark.nightly
def test_raw_dv_whose_sound_begins_late_is_known(tmp_path: Path) -> None:
    film = raw_dv(tmp_path / "a.dv", frames=60)
    data = bytearray(film.read_bytes())
    for place in range(0, 45 * 144_000, 80):
        if data[place] >> 5 == 3 and data[place + 3] == 0x50:
            data[place + 3] = 0xFF
    film.write_bytes(data)
    assert [stream.type for stream in survey(film).streams] == ["audio"]


# DV -------------------------------------------------------------------------------------------------------------------


def raw_dv(path: Path, *, frames: int) -> Path:
    return make_film(
        path,
        codec="dvvideo",
        pixel_format="yuv420p",
        width=720,
        height=576,
        times=range(frames),
        sounds=[Sound(codec="pcm_s16le", seconds=frames / 25)],
    )


@pytest.mark.slow
def test_raw_dv_has_its_own_frame_rate_and_number_of_frames(tmp_path: Path) -> None:
    film = raw_dv(tmp_path / "a.dv", frames=6)
    info = survey(film)
    assert (info.average_rate, info.frame_count) == (Fraction(25), 6)
    with av.open(str(rewrite(film).output)) as result:
        assert result.streams.video[0].average_rate == 25
        assert result.streams.video[0].codec_context.profile is not None


@pytest.mark.slow
def test_dv_as_avi_of_type_1_is_no_damage(tmp_path: Path) -> None:
    raw = raw_dv(tmp_path / "a.dv", frames=5).read_bytes()
    film = tmp_path / "a.avi"
    film.write_bytes(type_1([raw[at : at + 144_000] for at in range(0, len(raw), 144_000)]))
    result = rewrite(film)
    assert frame_times(result.output) == [number * PERIOD for number in range(5)]
    assert [plan.action for plan in result.streams] == [Action.COPY]


def type_1(frames: list[bytes]) -> bytes:
    """Return an AVI file with one stream of picture and sound together, as Windows captured it."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)

    size = len(frames[0])
    main = struct.pack("<14I", 40_000, size * 25, 0, 0x10, len(frames), 0, 1, size, 720, 576, 0, 0, 0, 0)
    stream = struct.pack("<4s4s3I5IiI4h", b"iavs", b"dvsd", 0, 0, 0, 1, 25, 0, len(frames), size, -1, 0, 0, 0, 720, 576)
    lists = chunk(b"strh", stream) + chunk(b"strf", bytes(32))
    header = b"hdrl" + chunk(b"avih", main) + chunk(b"LIST", b"strl" + lists)
    movie = b"movi" + b"".join(chunk(b"00__", frame) for frame in frames)
    return chunk(b"RIFF", b"AVI " + chunk(b"LIST", header) + chunk(b"LIST", movie))


# Delays, edit lists, covers -------------------------------------------------------------------------------------------


@pytest.mark.few(1)
@pytest.mark.parametrize("suffix", [".mov", ".mp4"])
def test_a_delay_that_is_no_whole_millisecond_is_kept(tmp_path: Path, suffix: str) -> None:
    film = make_film(
        tmp_path / f"a{suffix}",
        codec="libx264",
        times=range(1, 61),
        time_base=Fraction(1001, 30000),
        rate=Fraction(30000, 1001),
        sounds=[Sound(codec="pcm_s16le", rate=44100, seconds=2)],
        muxer_options={"movie_timescale": "30000"},
        **TINY,
    )
    assert frame_times(film)[0] == Fraction(1001, 30000)
    assert frame_times(rewrite(film).output)[0] == Fraction(1001, 30000)


@pytest.mark.few(1)
@pytest.mark.parametrize("hidden", [0.64, 1.5])
def test_sound_that_an_edit_list_hides_stays_hidden_in_a_master(tmp_path: Path, hidden: float) -> None:
    film = make_film(
        tmp_path / "a.mp4", codec="libx264", times=range(50), sounds=[Sound(start=-hidden, seconds=2 + hidden)], **TINY
    )
    assert packets(film, "audio")[0][0] < -hidden / 2
    result = rewrite(film, quality=Quality.MASTER)
    assert abs(frame_times(result.output)[0] - packets(result.output, "audio")[0][0]) < Fraction(1, 20)
    assert any("edit list hides" in note.text for note in result.notes)


def test_a_cover_that_nobody_marked_is_not_taken_for_the_film(tmp_path: Path) -> None:
    cover = make_film(tmp_path / "cover.mp4", codec="mjpeg", pixel_format="yuvj420p", times=range(1), **TINY)
    motion = make_film(tmp_path / "motion.mp4", codec="libx264", times=range(30), **TINY)
    film = tmp_path / "a.mp4"
    with av.open(str(film), "w") as container, av.open(str(cover)) as one, av.open(str(motion)) as other:
        sources = [(source, container.add_stream_from_template(source.streams.video[0])) for source in (one, other)]
        for source, stream in sources:
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    container.mux(packet)
    result = rewrite(film)
    assert (result.source.codec, result.read_log.frames) == ("h264", 30)
    assert any("without new colour" in note.text for note in result.notes)


# Encryption -----------------------------------------------------------------------------------------------------------


def test_an_encrypted_film_is_called_encrypted(tmp_path: Path) -> None:
    secret = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "0" * 32, "encryption_kid": "1" * 32}
    film = make_film(tmp_path / "a.mp4", codec="libx264", muxer_options=secret, **TINY)
    with pytest.raises(InputError, match="is encrypted"):
        survey(film)


# Streams that nothing here decodes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_of_an_unknown_codec_is_dropped_by_name(tmp_path: Path, suffix: str) -> None:
    film = make_film(tmp_path / "a.mov", codec="libx264", sounds=[Sound(codec="pcm_s16le")], **TINY)
    film.write_bytes(film.read_bytes().replace(b"sowt", b"zzzz"))
    result = rewrite(film, suffix=suffix)
    (plan,) = result.streams
    assert plan.action is Action.DROP
    assert any(note.kind is NoteKind.DROPPED and "audio 1" in note.text for note in result.notes)


def test_codec_tags_beyond_ascii_are_no_obstacle(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.avi", codec="mpeg4", sounds=[Sound()], **TINY)
    with av.open(str(film)) as container, pytest.raises(UnicodeDecodeError):
        _ = container.streams.audio[0].codec_context.codec_tag
    assert [plan.action for plan in rewrite(film).streams] == [Action.COPY]


# Channel layouts ------------------------------------------------------------------------------------------------------

LAYOUTS = ["mono", "stereo", "5.1", "5.1(side)", "6.1", "7.1", "7.1(wide)", "cube", "7.1.4", "hexadecagonal", "22.2"]


def film_with_layout(path: Path, layout: str, codec: str = "pcm_s24le", form: str = "s32") -> Path:
    silent = make_film(path.with_suffix(".avi"), codec="mpeg4", times=range(5), **TINY)
    with av.open(str(path), "w") as film, av.open(str(silent)) as source:
        video = film.add_stream_from_template(source.streams.video[0], opaque=True)
        audio = film.add_stream(codec, rate=48000)
        audio.codec_context.layout, audio.codec_context.format = layout, form
        frame = av.AudioFrame(format=form, layout=layout, samples=9600)
        frame.sample_rate, frame.pts = 48000, 0
        for plane in frame.planes:
            plane.update((np.arange(plane.buffer_size) % 251).astype(np.uint8).tobytes())
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = video
                film.mux(packet)
        for packet in [*audio.encode(frame), *audio.encode(None)]:
            film.mux(packet)
    return path


@pytest.mark.few(2)
@pytest.mark.parametrize("target", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sound_in_any_layout_is_copied_converted_or_dropped_by_name(tmp_path: Path, layout: str, target: str) -> None:
    result = rewrite(film_with_layout(tmp_path / "a.mov", layout), suffix=target)
    (plan,) = result.streams
    if plan.action is Action.COPY:
        assert b"".join(data for _, data in packets(result.output, "audio")) == b"".join(
            data for _, data in packets(result.source.path, "audio")
        )
    kept = [stream.layout for stream in probe(result.output).streams]
    unmistakable = {"mono": ["1 channels"], "stereo": ["2 channels"]}
    was_kept = kept in ([result.source.streams[0].layout], unmistakable.get(layout))
    assert was_kept or any("audio 1" in note.text for note in result.notes)


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("codec", ["libx264", "aac", "flac"])
def test_a_stream_that_holds_nothing_is_kept_or_named(tmp_path: Path, codec: str, suffix: str) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as film:
        picture, other = (
            film.add_stream("libx264", rate=25),
            film.add_stream(codec, rate=25 if codec == "libx264" else 48000),
        )
        for stream in (picture, other):
            if isinstance(stream, av.VideoStream):
                stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(5):
            film.mux(picture.encode(av.VideoFrame(96, 64, "yuv420p")))
        film.mux(picture.encode(None))
    result = rewrite(path, suffix=suffix)
    assert [plan.action for plan in result.streams] == [Action.COPY if suffix == ".mkv" else Action.DROP]
    assert any("it holds no packets" in note.text for note in result.notes) == (suffix != ".mkv")


def test_floating_sound_without_a_layout_becomes_flac_in_mp4(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mkv", codec="libx264", sounds=[Sound(codec="pcm_f32le", layout="mono")], **TINY)
    result = rewrite(film, suffix=".mp4")
    assert [(plan.action, plan.codec) for plan in result.streams] == [(Action.CONVERT, "flac")]
    assert any("rounded to 24 bits" in note.text for note in result.notes)
    source, made = (np.concatenate(list(sound_of(path)), axis=1) for path in (film, result.output))
    assert np.abs(made / 2.0**31 - source).max() <= 2.0**-23


def sound_of(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as film:
        yield from (frame.to_ndarray().reshape(1, -1).astype(np.float64) for frame in film.decode(audio=0))


@pytest.mark.few(2)
@pytest.mark.parametrize("target", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("codec", ["pcm_s24le", "pcm_s16be", "pcm_f32be"])
def test_channels_in_an_order_of_their_own_do_not_end_the_process(tmp_path: Path, codec: str, target: str) -> None:
    form = {"pcm_s24le": "s32", "pcm_s16be": "s16", "pcm_f32be": "flt"}[codec]
    film = film_with_layout(tmp_path / "a.mov", "7.1", codec, form)
    data = bytearray(film.read_bytes())
    place = data.index(b"chan") + 8
    data[place : place + 4] = bytes.fromhex("00800008")  # FL FR FC LFE SL SR BL BR, which is not FFmpeg's own order
    film.write_bytes(data)
    assert probe(film).streams[0].layout == "8 channels (FL+FR+FC+LFE+SL+SR+BL+BR)"
    for _ in range(3):  # memory that is freed twice may hold out once
        result = rewrite(film, suffix=target)
        result.output.unlink()
        if target == ".mkv":
            assert any(
                "which of its channels is which" in n.text or "which channel is which" in n.text for n in result.notes
            )
