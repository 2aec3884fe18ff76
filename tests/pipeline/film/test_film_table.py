"""The rows of docs/film.md that no other test keeps: what goes in, what comes out."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
import pytest

from pipeline.color.spaces import resolve_film
from pipeline.errors import UsageError
from pipeline.media.probe import probe
from pipeline.media.stream_plan import Action
from pipeline.options import Codec, Quality
from pipeline.results import NoteKind
from tests.films import Sound, Subtitles, frame_times, luma_planes, make_film, moving_luma, packets
from tests.pipeline.media.rewriting import Rewritten, rewrite
from tests.sampled import sampled

REAL = os.environ.get("AUTOCHROME_FILMS")
QUIET = {"options": {"x265-params": "log-level=none"}}
NTSC = {"time_base": Fraction(1001, 30000), "rate": Fraction(30000, 1001)}
DNXHR_8, DNXHR_10, DNXHR_444 = (
    {"width": 256, "height": 128, "options": {"profile": profile}} for profile in ("dnxhr_sq", "dnxhr_hqx", "dnxhr_444")
)
PAL = {"width": 720, "height": 576}
FULL = {"color_range": 2}

# Name, codec and pixel format of the source; suffix and pixel format of the access copy; pixel format of the master.
CODECS: list[tuple[str, str, str, str, str, str, dict[str, Any]]] = [
    ("a.mp4", "libx264", "yuv420p", ".mp4", "yuv420p", "yuv420p", {}),
    ("a.mov", "libx264", "yuv422p10le", ".mov", "yuv422p10le", "yuv422p10le", {}),
    ("a.mkv", "libx264", "yuv444p", ".mkv", "yuv444p", "yuv444p", {}),
    ("a.mp4", "libx265", "yuv420p10le", ".mp4", "yuv420p10le", "yuv420p10le", QUIET),
    ("a.mp4", "libx265", "gray12le", ".mp4", "yuv420p12le", "yuv420p12le", QUIET),
    ("a.ts", "libx265", "yuv420p", ".mkv", "yuv420p", "yuv420p", QUIET),
    ("a.mkv", "libsvtav1", "yuv420p10le", ".mkv", "yuv420p10le", "yuv420p10le", {}),
    ("a.mp4", "mpeg4", "yuv420p", ".mp4", "yuv420p", "yuv420p", {}),
    ("a.avi", "mpeg4", "yuv420p", ".mkv", "yuv420p", "yuv420p", {}),
    ("a.webm", "libvpx-vp9", "yuv444p", ".mkv", "yuv444p", "yuv444p", {}),
    ("a.mp4", "libvpx-vp9", "yuv420p", ".mp4", "yuv420p", "yuv420p", {}),
    ("a.mpg", "mpeg2video", "yuv420p", ".mkv", "yuv420p", "yuv420p", {}),
    ("a.ts", "mpeg2video", "yuv422p", ".mkv", "yuv422p", "yuv422p", {}),
    ("a.mxf", "mpeg2video", "yuv422p", ".mkv", "yuv422p", "yuv422p", {}),
    ("a.avi", "mjpeg", "yuvj422p", ".mkv", "yuv422p", "yuv422p", FULL),
    ("a.mov", "mjpeg", "yuvj420p", ".mov", "yuv420p", "yuv420p", FULL),
    ("a.avi", "dvvideo", "yuv411p", ".mkv", "yuv420p", "yuv411p", {"width": 720, "height": 480, **NTSC}),
    ("a.mov", "dvvideo", "yuv420p", ".mov", "yuv420p", "yuv420p", PAL),
    ("a.mov", "dvvideo", "yuv422p", ".mov", "yuv422p", "yuv422p", PAL),
    ("a.mxf", "jpeg2000", "yuv422p10le", ".mkv", "yuv422p10le", "yuv422p10le", {}),
    ("a.mov", "jpeg2000", "gray", ".mov", "yuv420p", "yuv420p", {}),
    ("a.mov", "dnxhd", "yuv422p10le", ".mov", "yuv422p10le", "yuv422p10le", DNXHR_10),
    ("a.mov", "dnxhd", "yuv444p10le", ".mov", "yuv444p10le", "yuv444p10le", DNXHR_444),
    ("a.mxf", "dnxhd", "yuv422p", ".mkv", "yuv422p", "yuv422p", DNXHR_8),
    ("a.mov", "prores_ks", "yuv422p10le", ".mov", "yuv422p10le", "yuv422p10le", {}),
    ("a.mov", "prores_ks", "yuv444p10le", ".mov", "yuv444p12le", "yuv444p12le", {}),
    ("a.mkv", "prores_ks", "yuva444p10le", ".mkv", "yuv444p12le", "yuva444p12le", {}),
    ("a.mov", "v210", "yuv422p10le", ".mov", "yuv422p10le", "yuv422p10le", {}),
    ("a.mov", "cfhd", "yuv422p10le", ".mov", "yuv422p10le", "yuv422p10le", {}),
    ("a.wmv", "wmv2", "yuv420p", ".mkv", "yuv420p", "yuv420p", {}),
    ("a.flv", "flv", "yuv420p", ".mkv", "yuv420p", "yuv420p", {}),
    ("a.3gp", "h263", "yuv420p", ".mp4", "yuv420p", "yuv420p", {"width": 176, "height": 144}),
    ("a.avi", "ffv1", "yuv410p", ".mkv", "yuv420p", "yuv410p", {}),
    ("a.mkv", "ffv1", "yuv411p", ".mkv", "yuv420p", "yuv411p", {}),
    ("a.mkv", "ffv1", "yuv440p", ".mkv", "yuv420p", "yuv440p", {}),
    ("a.mkv", "ffv1", "yuv420p9le", ".mkv", "yuv420p10le", "yuv420p9le", {}),
    ("a.mkv", "ffv1", "yuv422p16le", ".mkv", "yuv422p16le", "yuv422p16le", {}),
    ("a.mkv", "ffv1", "gray16le", ".mkv", "yuv420p16le", "yuv420p16le", {}),
    ("a.mkv", "ffv1", "bgr0", ".mkv", "yuv444p", "yuv444p", {}),
    ("a.mkv", "ffv1", "gbrp10le", ".mkv", "yuv444p10le", "yuv444p10le", {}),
    ("a.mkv", "ffv1", "gbrap12le", ".mkv", "yuv444p12le", "yuv444p12le", {}),
    ("a.mkv", "ffv1", "gbrp16le", ".mkv", "yuv444p16le", "yuv444p16le", {}),
    ("a.mov", "png", "rgb24", ".mov", "yuv444p", "yuv444p", {}),
    ("a.mov", "png", "rgb48be", ".mkv", "yuv444p16le", "yuv444p16le", {}),
    ("a.mov", "qtrle", "argb", ".mov", "yuv444p", "yuv444p", {}),
    ("a.mov", "qtrle", "gray", ".mov", "yuv444p", "yuv444p", {}),
    ("a.mov", "jpeg2000", "rgba", ".mov", "yuv444p", "yuv444p", {}),
    ("a.mkv", "libx264rgb", "bgr24", ".mkv", "yuv444p", "yuv444p", {}),
    ("a.mov", "dnxhd", "gbrp10le", ".mov", "yuv444p10le", "yuv444p10le", DNXHR_444),
    ("a.mov", "rawvideo", "uyvy422", ".mov", "yuv422p", "yuv422p", {}),
]  # fmt: skip
LOSSLESS = ("ffv1", "png", "qtrle", "v210", "rawvideo")


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("name", "codec", "pixel_format", "suffix", "access", "master", "more"),
    CODECS,
    ids=[f"{codec}-{pixels}-{name[2:]}" for name, codec, pixels, *_ in CODECS],
)
def test_containers_codecs_and_pixel_formats(
    tmp_path: Path,
    name: str,
    codec: str,
    pixel_format: str,
    suffix: str,
    access: str,
    master: str,
    more: dict[str, Any],
) -> None:
    film = make_film(tmp_path / name, codec=codec, pixel_format=pixel_format, **{"times": range(5), **more})
    copy, exact = rewrite(film), rewrite(film, quality=Quality.MASTER)
    assert (copy.output.suffix, copy.video.pixel_format.name) == (suffix, access)
    assert (exact.output.suffix, exact.video.encoder.name, exact.video.pixel_format.name) == (".mkv", "ffv1", master)
    assert copy.written.frames == exact.written.frames == 5
    if codec in LOSSLESS:
        width, height, bits = exact.source.width, exact.source.height, exact.source.pixel_format.bits
        for number, luma in enumerate(luma_planes(exact.output)):
            np.testing.assert_array_equal(luma, moving_luma(number, width=width, height=height, bits=bits))
    for result in (copy, exact):
        assert says(result, "red, green and blue") == result.source.pixel_format.is_rgb
        assert says(result, "alpha channel is not written") == (
            result.source.pixel_format.has_alpha and not result.video.pixel_format.has_alpha
        )


def says(result: Rewritten, text: str) -> bool:
    return any(text in note.text for note in result.notes)


@pytest.mark.few(2)
@pytest.mark.parametrize("fields", ["tff", "bff"])
@pytest.mark.parametrize("codec", [Codec.H264, Codec.FFV1, Codec.PRORES])
@pytest.mark.parametrize(("name", "said"), [("a.mov", True), ("a.mkv", True), ("a.mkv", False)])
def test_pictures_and_container_keep_the_field_order(
    tmp_path: Path, name: str, said: bool, codec: Codec, fields: str
) -> None:
    order = 2 if fields == "tff" else 3
    film = make_film(
        tmp_path / name,
        codec="prores_ks" if name == "a.mov" else "ffv1",
        pixel_format="yuv422p10le",
        flags=0x40000,
        fields=fields,
        field_order=order if said else 0,
        times=range(4),
    )
    found = rewrite(film, codec=codec).info
    assert (found.is_interlaced, found.field_order) == (True, order)
    assert first_field(found.path) == fields


def first_field(path: Path) -> str:
    """Return which field FFmpeg takes for the first of the first picture."""
    with av.open(str(path)) as film:
        picture = next(film.decode(video=0))
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 25)
    )
    graph.link_nodes(source, graph.add("separatefields"), graph.add("buffersink")).configure()
    graph.push(picture)
    field: Any = graph.pull()
    whole = picture.to_ndarray(format="gray16le")
    lines = field.to_ndarray(format="gray16le")
    return "tff" if np.array_equal(whole[0::2], lines) else "bff" if np.array_equal(whole[1::2], lines) else "?"


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    "rate", [Fraction(50, 3), Fraction(18), Fraction(24000, 1001), Fraction(25, 2), Fraction(60000, 1001)]
)
def test_odd_frame_rates(tmp_path: Path, suffix: str, rate: Fraction) -> None:
    film = make_film(tmp_path / f"a.{suffix}", codec="libx264", time_base=1 / rate, rate=rate, times=range(8))
    result = rewrite(film)
    assert frame_times(result.output) == frame_times(film)
    assert result.info.average_rate == result.source.average_rate


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("quality", list(Quality))
def test_what_an_edit_list_hides_stays_hidden(tmp_path: Path, suffix: str, quality: Quality) -> None:
    film = make_film(tmp_path / f"a.{suffix}", codec="libx264", times=range(-5, 15), options={"bf": "0"})
    assert len(frame_times(film)) == 15
    assert frame_times(rewrite(film, quality=quality).output) == [Fraction(n, 25) for n in range(15)]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_timecode_with_dropped_numbers(tmp_path: Path, suffix: str) -> None:
    film = make_film(tmp_path / "a.mov", codec="libx264", tags={"timecode": "01:00:00;02"}, **NTSC)
    found = rewrite(film, suffix=suffix).info.stream_metadata
    assert {key.lower(): value for key, value in found.items()}["timecode"] == "01:00:00;02"


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_everything_beside_the_picture_reaches_the_container_asked_for_or_is_named(tmp_path: Path, suffix: str) -> None:
    film = make_film(
        tmp_path / "a.mkv",
        codec="libx264",
        sounds=[Sound(codec="flac", tags={"language": "ger"}), Sound(codec="pcm_s24le"), Sound(codec="libopus")],
        subtitles=[Subtitles(tags={"language": "eng"})],
        attachments=[("font.ttf", "application/x-truetype-font", b"letters")],
        chapters=[(0, 300, "Arrival"), (300, 600, "Departure")],
    )
    result = rewrite(film, suffix=suffix)
    found = [stream for stream in result.info.streams if stream.type in ("audio", "subtitle")]
    assert [stream.type for stream in found] == ["audio", "audio", "audio", "subtitle"]
    assert [stream.language for stream in found] == ["ger", "", "", "eng"]
    assert len(result.info.chapters) == 2
    for plan in result.streams:
        told = any(str(plan) in note.text for note in result.notes)
        assert told == (plan.action in (Action.CONVERT, Action.DROP))
        if plan.action is Action.COPY and plan.stream.type == "audio":
            number = plan.stream.index - 1
            assert [data for _, data in packets(film, "audio", number)] == [
                data for _, data in packets(result.output, "audio", number)
            ]


SOUNDS = [
    *((codec, "", "", "") for codec in ("aac", "mp2", "libmp3lame", "ac3", "eac3", "alac")),
    *((codec, "", "", "pcm_s32le") for codec in ("flac", "libopus")),
    ("pcm_s24le", "", "flac", ""),
    ("wavpack", "", "flac", "pcm_s32le"),
]


@pytest.mark.few(2)
@pytest.mark.parametrize("place", sampled([0, 1, 2], 0, 1), ids=[".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("converted", SOUNDS, ids=[codec for codec, *_ in SOUNDS])
def test_sound_is_copied_or_becomes_a_lossless_codec(
    tmp_path: Path, converted: tuple[str, str, str, str], place: int
) -> None:
    codec, becomes = converted[0], converted[1 + place]
    film = make_film(tmp_path / "a.mkv", codec="libx264", sounds=[Sound(codec=codec)])
    result = rewrite(film, suffix=(".mkv", ".mp4", ".mov")[place])
    (plan,) = result.streams
    assert plan.action is (Action.CONVERT if becomes else Action.COPY)
    assert result.info.streams[0].codec == becomes or not becomes
    if becomes:
        before, after = heard(film), heard(result.output)
        assert len(after) >= len(before)
        assert np.abs(after[: len(before)] - before).max() <= 2**-23
    else:
        assert [data for _, data in packets(film, "audio")] == [data for _, data in packets(result.output, "audio")]


def heard(path: Path) -> np.ndarray:
    """Return the samples of the first channel, -1..1."""
    parts = []
    with av.open(str(path)) as film:
        to_float = av.AudioResampler(format="fltp", layout="stereo")
        for frame in film.decode(audio=0):
            parts += [part.to_ndarray()[0] for part in to_float.resample(frame)]
    return np.concatenate(parts)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("suffix", "codec", "action"),
    [
        *((suffix, codec, Action.CONVERT) for suffix in (".mp4", ".mov") for codec in ("subrip", "ass", "webvtt")),
        *((".mkv", codec, Action.COPY) for codec in ("subrip", "ass", "webvtt")),
    ],
)
def test_subtitles_of_text(tmp_path: Path, suffix: str, codec: str, action: Action) -> None:
    film = make_film(tmp_path / "a.mkv", codec="libx264", subtitles=[Subtitles(codec=codec)])
    result = rewrite(film, suffix=suffix)
    assert [plan.action for plan in result.streams] == [action]
    shown = [(time, data) for time, data in packets(result.output, "subtitle") if len(data) > 2]
    assert [time for time, _ in shown] == [Fraction(1, 10), Fraction(3, 10)]
    assert b"Good evening" in shown[0][1]


def test_cue_points_of_flash_are_left_out_by_name(tmp_path: Path) -> None:
    film = make_film(tmp_path / "a.flv", codec="flv")
    cue = b"\x02\x00\x0aonCuePoint\x08\x00\x00\x00\x01\x00\x04name\x02\x00\x04Cue1\x00\x00\x09"
    tag = b"\x12" + len(cue).to_bytes(3) + (39).to_bytes(3) + bytes(4) + cue + (11 + len(cue)).to_bytes(4)
    data = film.read_bytes()
    behind = 13 + 11 + int.from_bytes(data[14:17]) + 4
    film.write_bytes(data[:behind] + tag + data[behind:])
    result = rewrite(film, suffix=".mkv")
    assert [str(plan) for plan in result.streams] == ["subtitle 0 (text): drop"]
    assert "scripts of Flash" in result.streams[0].reason


@pytest.mark.few(2)
@pytest.mark.parametrize(("suffix", "action"), [(".mkv", Action.COPY), (".mp4", Action.COPY), (".mov", Action.DROP)])
def test_subtitles_of_pictures(tmp_path: Path, suffix: str, action: Action) -> None:
    film = make_film(tmp_path / "a.mkv", codec="libx264", times=range(4))
    subtitled = tmp_path / "subtitled.mkv"
    with av.open(str(film)) as source, av.open(str(subtitled), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0], opaque=True)
        texts: Any = copy.add_stream("dvdsub")
        texts.time_base = texts.codec_context.time_base = Fraction(1, 1000)
        copy.start_encoding()
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
        line = av.Packet(bytes(range(64)))
        line.stream, line.pts, line.dts, line.duration, line.time_base = texts, 80, 80, 50, Fraction(1, 1000)
        copy.mux(line)
    result = rewrite(subtitled, suffix=suffix)
    assert [plan.action for plan in result.streams] == [action]
    if action is Action.COPY:
        assert packets(result.output, "subtitle") == [(Fraction(80, 1000), bytes(range(64)))]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_a_mirrored_display_is_kept(tmp_path: Path, suffix: str) -> None:
    mirrored = (-1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    film = make_film(tmp_path / "a.mp4", codec="libx264", display_matrix=mirrored, times=range(3))
    assert probe(film).display_matrix == mirrored
    assert rewrite(film, suffix=suffix).info.display_matrix == mirrored


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_second_picture_stream(tmp_path: Path, suffix: str) -> None:
    film = make_film(tmp_path / "a.mp4", codec="libx264", times=range(4))
    double = tmp_path / "double.mp4"
    with av.open(str(film)) as source, av.open(str(double), "w") as copy:
        for stream in [copy.add_stream_from_template(source.streams.video[0], opaque=True) for _ in range(2)]:
            source.seek(0)
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    copy.mux(packet)
    result = rewrite(double, suffix=suffix)
    assert [str(plan) for plan in result.streams] == ["video 1 (h264): copy"]
    before, after = packets(double, "video", 1), packets(result.output, "video", 1)
    assert [data for _, data in before] == [data for _, data in after]


@pytest.mark.parametrize(("suffix", "action"), [(".mp4", Action.COPY), (".mkv", Action.COPY), (".mov", Action.DROP)])
def test_cover_art_of_mp4(tmp_path: Path, suffix: str, action: Action) -> None:
    film = make_film(tmp_path / "a.mp4", codec="libx264", times=range(4))
    picture = make_film(tmp_path / "cover.mov", codec="png", pixel_format="rgb24", times=range(1))
    png = packets(picture, "video")[0][1]
    covered = tmp_path / "covered.mp4"
    with av.open(str(film)) as source, av.open(str(covered), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0], opaque=True)
        cover: Any = copy.add_stream("png")
        cover.width, cover.height, cover.pix_fmt = 96, 64, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        copy.start_encoding()
        packet = av.Packet(png)
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 25)
        copy.mux(packet)
        for moving in source.demux(video=0):
            if moving.size:
                moving.stream = stream
                copy.mux(moving)
    result = rewrite(covered, suffix=suffix)
    assert [plan.action for plan in result.streams] == [action]
    if action is Action.COPY:
        assert packets(result.output, "video", 1)[0][1] == png
    else:
        assert any(note.kind is NoteKind.DROPPED and "cover art" in note.text for note in result.notes)


@pytest.mark.parametrize(
    ("pixel_format", "suffix", "codec", "quality", "held"),
    [
        ("gray16le", ".mp4", Codec.AUTO, Quality.ACCESS, "FFV1"),
        ("yuv420p", ".mov", Codec.AUTO, Quality.MASTER, "FFV1"),
        ("yuv420p", ".mov", Codec.AV1, Quality.ACCESS, "AV1"),
        ("yuv420p", ".mp4", Codec.PRORES, Quality.ACCESS, "ProRes"),
    ],
)
def test_a_container_that_cannot_hold_the_codec_is_refused_with_the_reason(
    tmp_path: Path, pixel_format: str, suffix: str, codec: Codec, quality: Quality, held: str
) -> None:
    film = make_film(tmp_path / "a.mkv", pixel_format=pixel_format, times=range(2))
    with pytest.raises(UsageError, match=rf"becomes {held}, which {suffix} cannot hold") as caught:
        rewrite(film, suffix=suffix, codec=codec, quality=quality)
    assert ".mkv" in caught.value.advice or ".mov" in caught.value.advice


@pytest.mark.parametrize("pixel_format", ["gray", "gbrp10le", "yuvj420p"])
def test_full_range_is_refused_for_prores(tmp_path: Path, pixel_format: str) -> None:
    codec = "mjpeg" if pixel_format == "yuvj420p" else "ffv1"
    film = make_film(tmp_path / "a.mkv", codec=codec, pixel_format=pixel_format, times=range(2))
    with pytest.raises(UsageError, match="full range"):
        rewrite(film, codec=Codec.PRORES)


def real(folder: str, name: str) -> Path:
    if REAL is None or not (Path(REAL) / folder / name).exists():
        pytest.skip(f"no {folder}/{name} in the folder that AUTOCHROME_FILMS names")
    return Path(REAL) / folder / name


@pytest.mark.few(7)
@pytest.mark.parametrize(
    ("name", "pixel_format", "size", "matrix", "full"),
    [
        ("ffv1-gray.mkv", "gray", (640, 480), "BT601", True),
        ("apple-prores-422.mov", "yuv422p10le", (320, 240), "BT601", False),
        ("bt601_full_range.mp4", "yuvj420p", (320, 240), "BT601", True),
        ("dv-pal-interlaced.mov", "yuv420p", (720, 576), "BT601", False),
        ("h264_10bits.mp4", "yuv420p10le", (200, 200), "BT601", False),
        ("jpeg2000.mov", "rgba", (320, 240), "BT601", True),
        ("nasa_13013_rotated.mp4", "yuv420p", (480, 270), "BT709", False),
        ("photo-jpeg.mov", "yuvj422p", (320, 240), "BT601", True),
        ("testsrc2_odd_height_and_width_mpeg2.mp4", "yuv420p", (121, 81), "BT601", False),
        ("xdcam-hd-1080i50.mov", "yuv420p", (1440, 1080), "BT709", False),
        ("dpx-sequence", "rgb24", (176, 144), "BT601", True),
    ],
)
def test_real_films(
    tmp_path: Path, name: str, pixel_format: str, size: tuple[int, int], matrix: str, full: bool
) -> None:
    original = real("formats", name)
    info = probe(original)
    assert (info.pixel_format.name, info.width, info.height) == (pixel_format, *size)
    spec = resolve_film(
        matrix_tag=info.colors.matrix,
        range_tag=info.colors.range,
        width=info.width,
        height=info.height,
        bits=info.pixel_format.bits,
        is_grey=info.pixel_format.is_grey,
        is_full_format=info.pixel_format.is_full_range,
    )
    assert (spec.matrix.name, spec.full_range) == (matrix, full)
    film = tmp_path / name
    film.symlink_to(original)
    result = rewrite(film)
    assert result.written.frames == info.frame_count
    assert result.info.sample_aspect_ratio == info.sample_aspect_ratio
    assert result.info.rotation == info.rotation
    assert result.info.is_interlaced == info.is_interlaced


@pytest.mark.parametrize("name", ["chaplin-sound.mp4", "street.mp4"])
def test_real_black_and_white_films_keep_their_sound(tmp_path: Path, name: str) -> None:
    original = real("bw", name)
    short = tmp_path / name
    with av.open(str(original)) as source, av.open(str(short), "w") as copy:
        made = {stream.index: copy.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        for packet in source.demux():
            if packet.size and packet.dts is not None and packet.dts * packet.time_base < 1:
                packet.stream = made[packet.stream_index]
                copy.mux(packet)
    result = rewrite(short)
    assert result.written.frames >= 24
    if result.streams:
        assert packets(result.output, "audio") == packets(short, "audio")
