"""What pictures and containers carry beside the picture is in the result, or named as missing."""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.media.film_plan import plan_film
from pipeline.media.hdr import Hdr
from pipeline.media.probe import probe
from pipeline.media.stream_plan import Action
from pipeline.media.writer import FilmWriter
from pipeline.options import Codec, Options, Quality
from pipeline.results import NoteKind
from tests.films import Sound, frame_times, luma_planes, make_film, packets
from tests.pipeline.media.rewriting import Rewritten, rewrite, survey

TINY = {"width": 64, "height": 48}
KEY = {"g": "12"}
PQ = {"matrix": 9, "primaries": 9, "transfer": 16, "color_range": 1, "pixel_format": "yuv420p10le"}
MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


def dropped(result: Rewritten, what: str) -> bool:
    return any(note.kind is NoteKind.DROPPED and what in note.text for note in result.notes)


# Captions -------------------------------------------------------------------------------------------------------------


def atsc(text: bytes) -> bytes:
    """Return ``text`` as ATSC A/53 Part 4, 6.2.3, stores it with a picture."""
    odd = bytes(byte | (0x80 if byte.bit_count() % 2 == 0 else 0) for byte in text)
    return b"GA94\3" + bytes((0x41, 0xFF, 0xFC)) + odd + b"\xff"


def captioned(path: Path, captions: bytes) -> Path:
    """Write an MPEG-2 film whose pictures carry ``captions`` as user data."""
    user_data = b"\0\0\1\xb2" + captions
    plain = make_film(path.with_name("plain.ts"), codec="mpeg2video", times=range(15), **TINY)
    with av.open(str(plain)) as source, av.open(str(path), "w") as film:
        stream: Any = film.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                data = bytes(packet)
                first_slice = data.index(b"\0\0\1\1")
                made = av.Packet(data[:first_slice] + user_data + data[first_slice:])
                made.pts, made.dts, made.time_base, made.stream = packet.pts, packet.dts, packet.time_base, stream
                film.mux(made)
    return path


@pytest.mark.few(2)
@pytest.mark.parametrize(("codec", "are_kept"), [(Codec.H264, True), (Codec.HEVC, True), (Codec.AV1, False)])
def test_closed_captions_are_kept_or_named(tmp_path: Path, codec: Codec, are_kept: bool) -> None:
    result = rewrite(captioned(tmp_path / "a.ts", atsc(b"HE")), codec=codec)
    assert survey(result.output).has_captions is are_kept
    assert dropped(result, "closed captions") is not are_kept


def test_a_master_without_captions_says_so_before_any_work(tmp_path: Path) -> None:
    plan = plan_film(captioned(tmp_path / "a.ts", atsc(b"HE")), Options(quality=Quality.MASTER))
    assert any("closed captions" in note.text for note in plan.notes)


@pytest.mark.parametrize("captions", [b"CC\1\xf8\x9e\xff\x14\x2c", b"\3\x81\x0c\x80\x98\x3f\xff"], ids=["DVD", "cable"])
def test_captions_of_discs_and_cable_are_found(tmp_path: Path, captions: bytes) -> None:
    assert survey(captioned(tmp_path / "a.ts", captions)).has_captions


def test_captions_that_are_all_padding_are_none(tmp_path: Path) -> None:
    assert not survey(captioned(tmp_path / "a.ts", atsc(b"\0\0"))).has_captions


# HDR ------------------------------------------------------------------------------------------------------------------


@pytest.mark.few(2)
@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC, Codec.AV1, Codec.FFV1, Codec.PRORES])
def test_hdr_metadata_are_kept_or_named(tmp_path: Path, codec: Codec) -> None:
    parameters = f"log-level=error:master-display={MASTERING}:max-cll=1000,400"
    film = make_film(tmp_path / "a.mp4", codec="libx265", options={"x265-params": parameters}, **PQ, **TINY)
    expected = Hdr(
        mastering=(34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 10_000_000, 1),
        light=(1000, 400),
    )
    assert probe(film).hdr == expected
    result = rewrite(film, codec=codec)
    if codec in (Codec.FFV1, Codec.PRORES):
        assert dropped(result, "HDR metadata")
    else:
        assert result.info.hdr == expected


def test_alpha_that_older_programs_cannot_open_is_named(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mov", codec="prores_ks", pixel_format="yuva444p10le", times=range(2), **TINY)
    info = probe(film)
    result = rewrite(film, quality=Quality.MASTER)
    assert info.pixel_format.has_alpha
    assert any("FFmpeg 6.1" in note.text for note in result.notes) is (result.info.pixel_format.bits == 12)


def test_alpha_beside_the_picture_of_webm_is_named_and_its_mark_not_copied(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.webm", codec="libvpx", times=range(3), tags={"alpha_mode": "1"}, **TINY)
    result = rewrite(film)
    assert dropped(result, "the alpha channel")
    assert "alpha_mode" not in {name.lower() for name in result.info.stream_metadata}


@pytest.mark.parametrize(
    ("mode", "suffix", "said"),
    [
        ("mono", ".mp4", ""),
        ("left_right", ".mkv", ""),
        ("left_right", ".mp4", "the mark as stereoscopic"),
        ("block_lr", ".mp4", "the mark as stereoscopic; of two views in one stream the first is written"),
    ],
)
def test_only_a_stereoscopic_mark_that_is_lost_is_named(tmp_path: Path, mode: str, suffix: str, said: str) -> None:
    film = make_film(tmp_path / "a.mkv", codec="libx264", times=range(3), tags={"stereo_mode": mode}, **TINY)
    result = rewrite(film, suffix=suffix)
    assert [note.text for note in result.notes if "stereo" in note.text] == [said] * bool(said)
    assert result.info.stream_metadata.get("stereo_mode") == (mode if suffix == ".mkv" else None)


# Timecode -------------------------------------------------------------------------------------------------------------


def cameras_timecode(path: Path) -> Path:
    """Write 59.94 frames a second with a timecode of 29.97 and a reel name, as cameras do."""
    film = make_film(
        path,
        codec="libx264",
        times=range(12),
        time_base=Fraction(1001, 60000),
        rate=Fraction(60000, 1001),
        tags={"timecode": "02:04:06;04", "reel_name": "A001"},
        **TINY,
    )
    data = bytearray(film.read_bytes())
    description = rb"tmcd\x00{6}\x00\x01\x00{4}.{4}(?=\x00\x00\xea\x60)"
    entry = next(found.end() for found in re.finditer(description, data, re.DOTALL))
    data[entry : entry + 9] = (30000).to_bytes(4) + (1001).to_bytes(4) + bytes((30,))
    film.write_bytes(data)
    return film


def test_a_timecode_of_another_rate_is_named_and_the_reel_is_kept(tmp_path: Path) -> None:
    result = rewrite(cameras_timecode(tmp_path / "a.mov"))
    assert any("timecode: 60 numbers a second, in the source 30" in note.text for note in result.notes)
    with av.open(str(result.output)) as film:
        assert [stream.metadata.get("reel_name") for stream in film.streams if stream.type == "data"] == ["A001"]


def test_a_timecode_of_the_films_own_rate_needs_no_word(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.mov", codec="libx264", tags={"timecode": "01:00:00:00"}, **TINY)
    assert not [note for note in rewrite(film).notes if "timecode" in note.text]


# Covers and tags ------------------------------------------------------------------------------------------------------


def test_a_cover_and_the_declaration_of_colour_both_reach_an_mp4(tmp_path: Path) -> None:
    cover = make_film(tmp_path / "c.mp4", codec="mjpeg", pixel_format="yuvj420p", times=range(1), **TINY)
    motion = make_film(tmp_path / "m.mp4", codec="libx264", times=range(10), **TINY)
    film = tmp_path / "a.mp4"
    with av.open(str(film), "w") as container, av.open(str(cover)) as still, av.open(str(motion)) as moving:
        container.metadata.update({"title": "A train", "comment": "Nitrate"})
        streams = [container.add_stream_from_template(source.streams.video[0]) for source in (moving, still)]
        streams[1].disposition = av.stream.Disposition.attached_pic
        for source, stream in ((still, streams[1]), (moving, streams[0])):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    container.mux(packet)
    plan = plan_film(film, Options())
    output = tmp_path / "b.mp4"
    with FilmWriter(plan.info, plan.video, plan.streams, output, metadata={"AI_COLOUR": "Colour made"}) as writer:
        writer.append([], frames=0)
        writer.finish()
    with av.open(str(output)) as made:
        assert made.metadata["comment"] == "Nitrate\nColour made"
        assert [bool(s.disposition & av.stream.Disposition.attached_pic) for s in made.streams.video].count(True) == 1


# Refused before any work ----------------------------------------------------------------------------------------------


def test_scrambled_transport_streams_are_called_encrypted(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.ts", codec="mpeg2video", **TINY)
    data = bytearray(film.read_bytes())
    for place in range(0, len(data), 188):
        data[place + 3] |= 0x80
    film.write_bytes(data)
    with pytest.raises(InputError, match="is encrypted"):
        survey(film)


def test_scrambled_discs_are_called_encrypted(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.vob", codec="mpeg2video", grain=0.1, **TINY)
    data = bytearray(film.read_bytes())
    for found in list(re.finditer(rb"\x00\x00\x01\xe0..[\x80-\x8f]", data, re.DOTALL)):
        data[found.end() - 1] |= 0x10
    film.write_bytes(data)
    with pytest.raises(InputError, match="is encrypted"):
        survey(film)


def test_protected_windows_media_is_called_encrypted(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.wmv", codec="wmv2", **TINY)
    data = bytearray(film.read_bytes())
    # Secret data, kind of protection, key and address of the licence, each with its length.
    said = b"".join(len(text).to_bytes(4, "little") + text for text in (b"\0", b"DRM\0", b"\0", b"\0"))
    protection = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e") + (24 + len(said)).to_bytes(8, "little") + said
    data[30:30] = protection
    size, objects = struct.unpack_from("<QI", data, 16)
    struct.pack_into("<QI", data, 16, size + len(protection), objects + 1)
    film.write_bytes(data)
    with pytest.raises(InputError, match="is encrypted"):
        survey(film)


CODERS = pytest.mark.parametrize(
    ("coder", "suffix"),
    [("mpeg2video", ".ts"), ("mpeg2video", ".vob"), ("libx264", ".ts"), ("libx265", ".ts"), ("mpeg4", ".ts")],
)


@pytest.mark.few(2)
@CODERS
def test_another_picture_size_midway_is_refused_before_any_work(tmp_path: Path, coder: str, suffix: str) -> None:
    parts = [
        make_film(tmp_path / f"{width}{suffix}", codec=coder, times=range(50), options=KEY, width=width, height=48)
        for width in (64, 96)
    ]
    film = tmp_path / f"a{suffix}"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(InputError, match="changes its picture size"):
        survey(film)


@pytest.mark.few(2)
@CODERS
def test_another_pixel_aspect_midway_is_named(tmp_path: Path, coder: str, suffix: str) -> None:
    parts = [
        make_film(
            tmp_path / f"{number}{suffix}", codec=coder, times=range(50), options=KEY, sar=sar, width=96, height=64
        )
        for number, sar in enumerate((Fraction(8, 9), Fraction(32, 27)))
    ]
    film = tmp_path / f"a{suffix}"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert any("pixel aspect changes at frame 50" in note.text for note in survey(film).notes)


# Sound that must be converted -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["wmav2", "wmav1"])
def test_windows_media_sound_stays_in_step(tmp_path: Path, codec: str) -> None:
    sounds = [Sound(codec=codec, rate=44100, seconds=2, bit_rate=128_000)]
    film = make_film(tmp_path / "a.wmv", codec="wmv2", times=range(50), sounds=sounds, **TINY)
    result = rewrite(film)
    assert [plan.action for plan in result.streams] == [Action.CONVERT]
    times = [time for time, _ in packets(result.output, "audio")]
    assert times == sorted(times)
    assert abs(times[-1] - 2) < Fraction(1, 5)


# Old pixel formats ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixel_format", ["rgb555be", "rgb24"])
def test_old_quicktime_with_few_bits_a_colour_is_read(tmp_path: Path, pixel_format: str) -> None:
    levels = np.arange(64) // 2
    picture = av.VideoFrame(64, 48, pixel_format)
    rows = (levels * 0x421).astype(">u2") if pixel_format == "rgb555be" else np.repeat(levels * 8, 3).astype(np.uint8)
    picture.planes[0].update(np.tile(rows, (48, 1)).tobytes())
    film = tmp_path / "a.mov"
    with av.open(str(film), "w") as container:
        stream = container.add_stream("qtrle", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
        for number in range(3):
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    result = rewrite(film, quality=Quality.MASTER)
    assert result.read_log.frames == 3
    with av.open(str(film)) as source:
        drawn = next(source.decode(video=0)).reformat(format="rgb24").to_ndarray()[0, :, 1]
    assert luma_planes(result.output)[0][0].tolist() == drawn.tolist()


def test_an_mpeg_elementary_stream_shows_all_its_frames(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.m2v", codec="mpeg2video", options={"bf": "2"}, times=range(30), **TINY)
    times = frame_times(rewrite(film).output)
    assert len(times) == 30
    assert all(abs(time - number * Fraction(1, 25)) <= Fraction(1, 1000) for number, time in enumerate(times))


def test_odd_chunks_among_the_tags_of_an_avi_are_no_damage(tmp_path: Path) -> None:
    data = make_film(tmp_path / "a.avi", codec="mpeg4", **TINY).read_bytes()
    odd = b"INFO" + bytes(4) + (100).to_bytes(4, "little") + b"Compressed with"
    tags = b"LIST" + (len(odd) + 1).to_bytes(4, "little") + odd + b"\0"
    film = tmp_path / "b.avi"
    size = int.from_bytes(data[4:8], "little") + len(tags)
    film.write_bytes(data[:4] + size.to_bytes(4, "little") + data[8:] + tags)
    assert survey(film).broken is None


def without_header(data: bytes, place: int) -> bytes:
    """Damage the header of the first packet of AAC behind ``place``, and whatever looks like one in the packet."""
    first = data.index(b"\xff\xf1", place)
    following = data.index(data[first : first + 3], first + 3)
    return data[:first] + data[first:following].replace(b"\xff", b"\x7f") + data[following:]


def test_sound_cut_within_its_first_packet_is_no_damage(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.ts", codec="mpeg2video", sounds=[Sound(codec="aac", seconds=0.6)])
    data = film.read_bytes()
    sound = data.index(b"\0\0\1\xc0")
    film.write_bytes(without_header(data, sound))
    result = rewrite(film)
    assert any("audio 1 begins within a packet" in note.text for note in result.written.notes)
