from __future__ import annotations

import gc
import sys
import textwrap
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Any

import av
import numpy as np
import pytest

from pipeline.errors import InputError, OutputError
from pipeline.media.decode import frames
from pipeline.media.film_plan import plan_film
from pipeline.media.native_files import ResultFile
from pipeline.media.probe import ColorTags, probe
from pipeline.media.stream_plan import Action
from pipeline.media.video_plan import plan_video
from pipeline.media.writer import FilmWriter
from pipeline.options import Codec, Options, Quality
from pipeline.results import NoteKind
from tests.commands import python
from tests.films import (
    INTERLACED,
    Sound,
    Subtitles,
    frame_times,
    luma_planes,
    make_film,
    moving_luma,
    packets,
    positions,
)
from tests.pipeline.media.rewriting import neutral_chroma, rewrite
from tests.sampled import sampled

UNEVEN = (0, 40, 55, 100, 340, 345, 400, 1000, 1001, 1100)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "pixel_format",
    [
        "yuv420p",
        "yuv422p",
        "yuv444p",
        "yuv411p",
        "yuv420p10le",
        "yuv422p10le",
        "yuv444p10le",
        "yuv420p12le",
        "yuv422p12le",
        "yuv444p16le",
        "gray",
        "gray10le",
        "gray12le",
        "gray16le",
        "yuva420p",
    ],
)
def test_a_master_holds_every_bit_of_luma(tmp_path: Path, pixel_format: str) -> None:
    film = make_film(tmp_path / "film.mkv", pixel_format=pixel_format, times=range(10))
    result = rewrite(film, quality=Quality.MASTER, tint=20)
    bits = result.source.pixel_format.bits
    planes = luma_planes(result.output)
    assert len(planes) == 10
    for number, luma in enumerate(planes):
        np.testing.assert_array_equal(luma, moving_luma(number, width=96, height=64, bits=bits))


@pytest.mark.few(2)
@pytest.mark.parametrize(("width", "height"), [(121, 81), (98, 66), (33, 47), (16, 16)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "gray10le"])
def test_odd_sizes_keep_every_pixel(tmp_path: Path, width: int, height: int, pixel_format: str) -> None:
    film = make_film(tmp_path / "film.mkv", pixel_format=pixel_format, width=width, height=height, times=range(6))
    for quality in Quality:
        result = rewrite(film, quality=quality)
        assert (result.info.width, result.info.height) == (width, height)
    planes = luma_planes(result.output)
    for number, luma in enumerate(planes):
        expected = moving_luma(number, width=width, height=height, bits=result.source.pixel_format.bits)
        np.testing.assert_array_equal(luma, expected)


@pytest.mark.slow
def test_access_copies_of_grainy_film_are_close_to_transparent(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", width=320, height=240, grain=0.04, times=range(12))
    result = rewrite(film)
    assert result.video.encoder.name == "libx264"
    for number, luma in enumerate(luma_planes(result.output)):
        error = luma.astype(float) - moving_luma(number, width=320, height=240, grain=0.04)
        assert 10 * np.log10(255**2 / np.mean(error**2)) > 40


def test_painted_chroma_is_what_comes_out(tmp_path: Path) -> None:
    result = rewrite(make_film(tmp_path / "film.mkv", pixel_format="gray"), quality=Quality.MASTER, tint=30)
    with av.open(str(result.output)) as film:
        picture = next(film.decode(video=0))
        assert (picture.to_ndarray()[64:80] == 128).all()
        assert (picture.to_ndarray()[80:96] == 158).all()


@pytest.mark.few(3)
@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC, Codec.AV1, Codec.FFV1, Codec.PRORES])
def test_uneven_frame_times_survive_every_codec(tmp_path: Path, codec: Codec) -> None:
    film = make_film(tmp_path / "film.mkv", times=UNEVEN, time_base=Fraction(1, 1000))
    result = rewrite(film, codec=codec)
    assert frame_times(result.output) == [Fraction(t, 1000) for t in UNEVEN]


def test_uneven_frame_times_survive_from_mp4_to_mp4(tmp_path: Path) -> None:
    times = [t * 90 + 7 for t in UNEVEN]
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=times, time_base=Fraction(1, 90000))
    result = rewrite(film)
    assert frame_times(result.output) == frame_times(film)
    assert len(times) == result.read_log.frames
    assert picture_seconds(result.output) == picture_seconds(film)


def picture_seconds(path: Path) -> Fraction:
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        return (stream.duration or 0) * (stream.time_base or Fraction(0))


def test_television_rates_stay_exact_in_mp4(tmp_path: Path) -> None:
    film = make_film(
        tmp_path / "film.mp4",
        codec="libx264",
        times=range(0, 20020, 1001),
        time_base=Fraction(1, 30000),
        rate=Fraction(30000, 1001),
    )
    result = rewrite(film)
    assert frame_times(result.output) == [Fraction(1001 * n, 30000) for n in range(20)]
    assert result.info.average_rate == Fraction(30000, 1001)


def test_matroska_rounds_times_to_milliseconds_and_says_so(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", times=range(0, 20020, 1001), time_base=Fraction(1, 30000))
    result = rewrite(film, quality=Quality.MASTER)
    for number, moment in enumerate(frame_times(result.output)):
        assert abs(moment - Fraction(1001 * number, 30000)) <= Fraction(1, 2000)
    assert any("rounded to 1/1000 s" in note.text for note in result.notes)


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_film_that_starts_late_still_starts_late(tmp_path: Path, suffix: str) -> None:
    film = make_film(
        tmp_path / f"film.{suffix}",
        codec="libx264",
        times=range(10, 25),
        sounds=[Sound(codec="aac", start=0.4)],
    )
    result = rewrite(film)
    assert frame_times(result.output) == [Fraction(n, 25) for n in range(10, 25)]
    assert packets(result.output, "audio") == packets(film, "audio")


@pytest.mark.few(3)
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
@pytest.mark.parametrize("codec", [Codec.H264, Codec.FFV1, Codec.AV1])
@pytest.mark.parametrize("sar", [Fraction(16, 15), Fraction(59, 54), Fraction(8, 9)])
def test_sample_aspect_ratio_is_kept(tmp_path: Path, suffix: str, codec: Codec, sar: Fraction) -> None:
    film = make_film(tmp_path / f"film.{suffix}", codec="libx264", sar=sar, times=range(4))
    result = rewrite(film, codec=codec)
    assert result.info.sample_aspect_ratio == sar


@pytest.mark.few(3)
@pytest.mark.parametrize("quality", list(Quality))
@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_kept(tmp_path: Path, quality: Quality, rotation: int) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", rotation=rotation, times=range(4))
    result = rewrite(film, quality=quality)
    assert result.info.rotation % 360 == rotation % 360


@pytest.mark.few(2)
@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC, Codec.AV1, Codec.FFV1])
@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize(("matrix", "primaries", "transfer"), [(1, 1, 1), (6, 5, 6), (9, 9, 14)])
def test_range_and_colour_tags_are_kept(
    tmp_path: Path, codec: Codec, color_range: int, matrix: int, primaries: int, transfer: int
) -> None:
    film = make_film(
        tmp_path / "film.mp4",
        codec="libx264",
        matrix=matrix,
        primaries=primaries,
        transfer=transfer,
        color_range=color_range,
        options={"chroma_sample_location": "topleft"},
        times=range(3),
    )
    colors = rewrite(film, codec=codec).info.colors
    assert colors == ColorTags(
        matrix=matrix, primaries=primaries, transfer=transfer, range=color_range, chroma_location=3
    )


def test_prores_keeps_colour_tags(tmp_path: Path) -> None:
    film = make_film(
        tmp_path / "film.mov", codec="prores_ks", pixel_format="yuv422p10le", matrix=6, primaries=5, transfer=1
    )
    colors = rewrite(film, codec=Codec.PRORES).info.colors
    assert (colors.matrix, colors.primaries, colors.transfer, colors.range) == (6, 5, 1, 1)


def test_tags_can_be_given_where_the_source_has_none(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", pixel_format="gray")
    info = probe(film)
    video = plan_video(info, Codec.AUTO, Quality.ACCESS)
    chosen = ColorTags(matrix=6, primaries=6, transfer=6, range=2, chroma_location=1)
    output = tmp_path / "result.mkv"
    with FilmWriter(info, video, (), output, colors=chosen, metadata={"colourised_by": "a program"}) as writer:
        for frame in frames(info, video.pixel_format):
            frame.paint(neutral_chroma(frame), neutral_chroma(frame))
            writer.write(frame)
        writer.finish()
    assert probe(output).colors == chosen
    assert probe(output).metadata["COLOURISED_BY"] == "a program"


@pytest.mark.few(2)
@pytest.mark.parametrize("codec", [Codec.H264, Codec.FFV1, Codec.PRORES])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p"])
def test_interlaced_film_stays_interlaced(tmp_path: Path, codec: Codec, pixel_format: str) -> None:
    film = make_film(
        tmp_path / "film.mov",
        codec="libx264",
        pixel_format=pixel_format,
        height=128,
        flags=INTERLACED,
        field_order=2,
        times=range(6),
    )
    assert probe(film).is_interlaced
    with av.open(str(rewrite(film, codec=codec).output)) as result:
        assert all(frame.interlaced_frame for frame in result.decode(video=0))


@pytest.mark.few(2)
@pytest.mark.parametrize("codec", [Codec.H264, Codec.FFV1, Codec.PRORES])
@pytest.mark.parametrize(("first", "second", "order"), [("tff", "bff", 2), ("bff", "tff", 3)])
def test_the_first_picture_decides_which_field_is_first_in_a_film_that_changes_it(
    tmp_path: Path, first: str, second: str, order: int, codec: Codec
) -> None:
    parts = [
        make_film(tmp_path / f"{fields}.m2v", codec="mpeg2video", fields=fields, flags=INTERLACED, times=range(4))
        for fields in (first, second)
    ]
    film = tmp_path / "film.m2v"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert probe(film).field_order == order
    assert rewrite(film, codec=codec).info.field_order == order


@pytest.mark.few(3)
@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv"])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC])
def test_films_of_few_frames_are_decoded_in_time(tmp_path: Path, codec: Codec, count: int, suffix: str) -> None:
    film = make_film(tmp_path / "film.avi", codec="ffv1", times=range(count))
    result = rewrite(film, codec=codec, suffix=suffix)
    with av.open(str(result.output)) as written:
        packets = [packet for packet in written.demux(video=0) if packet.size]
        assert all(packet.dts is None or -3 / 25 <= packet.dts * packet.time_base <= 3 / 25 for packet in packets)
    assert frame_times(result.output) == [Fraction(number, 25) for number in range(count)]


TWO_VOICES = [
    Sound(codec="aac", tags={"language": "fre", "title": "Original"}, disposition=1),
    Sound(codec="flac", pitch=300.0, tags={"language": "ger", "title": "Commentary"}, disposition=8),
]


@pytest.mark.few(2)
@pytest.mark.parametrize("quality", list(Quality))
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_audio_is_copied_bit_for_bit(tmp_path: Path, suffix: str, quality: Quality) -> None:
    codec = "ffv1" if suffix == "mkv" else "libx264"
    film = make_film(tmp_path / f"film.{suffix}", codec=codec, sounds=TWO_VOICES)
    result = rewrite(film, quality=quality)
    assert [plan.action for plan in result.streams] == [Action.COPY, Action.COPY]
    for number in range(2):
        before, after = packets(film, "audio", number), packets(result.output, "audio", number)
        assert [data for _, data in before] == [data for _, data in after]
    assert [s.language for s in result.info.streams] == ["fre", "ger"]


def test_language_title_and_disposition_of_audio_are_kept(tmp_path: Path) -> None:
    result = rewrite(make_film(tmp_path / "film.mkv", sounds=TWO_VOICES))
    assert [(s.language, s.title, s.disposition) for s in result.info.streams] == [
        ("fre", "Original", 1),
        ("ger", "Commentary", 8),
    ]
    assert result.notes == ()


def test_sound_and_picture_stay_together(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", sounds=[Sound()], options={"bf": "3"})
    for quality in Quality:
        result = rewrite(film, quality=quality)
        before = packets(film, "audio")[1][0] - frame_times(film)[0]
        after = packets(result.output, "audio")[1][0] - frame_times(result.output)[0]
        assert abs(before - after) <= Fraction(1, 1000)


def test_a_shift_away_from_negative_times_is_the_same_for_all_and_named(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", sounds=[Sound()])
    assert packets(film, "audio")[0][0] < 0
    result = rewrite(film, quality=Quality.MASTER)
    assert packets(result.output, "audio")[0][0] == 0
    assert [note.text for note in result.notes if "later" in note.text] == [
        "everything starts 0.021 s later: Matroska has no negative times"
    ]


def test_sound_that_the_container_lacks_is_converted_without_loss(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.avi", sounds=[Sound(codec="pcm_mulaw", rate=16000)])
    result = rewrite(film)
    assert [(plan.action, plan.codec) for plan in result.streams] == [(Action.CONVERT, "flac")]
    assert any(note.kind is NoteKind.CONVERTED and "pcm_mulaw" in note.text for note in result.notes)
    np.testing.assert_array_equal(samples(film), samples(result.output))


def samples(path: Path) -> np.ndarray:
    with av.open(str(path)) as film:
        return np.concatenate([frame.to_ndarray().reshape(-1) for frame in film.decode(audio=0)])


def test_subtitles_are_copied_in_matroska(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", subtitles=[Subtitles(tags={"language": "eng", "title": "Full"})])
    result = rewrite(film)
    assert packets(result.output, "subtitle") == packets(film, "subtitle")
    assert [(s.language, s.title) for s in result.info.streams] == [("eng", "Full")]


def test_subtitles_change_their_format_between_containers_and_keep_text_and_times(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", subtitles=[Subtitles(codec="mov_text")])
    result = rewrite(film, quality=Quality.MASTER)
    assert [(plan.action, plan.codec) for plan in result.streams] == [(Action.CONVERT, "subrip")]
    assert packets(result.output, "subtitle") == [
        (Fraction(100, 1000), b"Good evening"),
        (Fraction(300, 1000), b"The train\narrives"),
    ]


def test_matroska_subtitles_become_quicktime_text(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", subtitles=[Subtitles(tags={"language": "eng"})])
    result = rewrite(film, codec=Codec.PRORES)
    assert [(s.codec, s.language) for s in result.info.streams] == [("mov_text", "eng")]
    shown = [(time, data[2:]) for time, data in packets(result.output, "subtitle") if len(data) > 2]
    assert shown == [(Fraction(100, 1000), b"Good evening"), (Fraction(300, 1000), b"The train\narrives")]


def test_subtitles_of_mp4_are_copied_once(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", subtitles=[Subtitles(codec="mov_text")])
    assert packets(rewrite(film).output, "subtitle") == packets(film, "subtitle")


@pytest.mark.few(2)
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize("quality", list(Quality))
def test_chapters_are_kept(tmp_path: Path, suffix: str, quality: Quality) -> None:
    chapters = [(0, 240, "Arrival"), (240, 600, "Departure")]
    film = make_film(tmp_path / f"film.{suffix}", codec="libx264", chapters=chapters)
    result = rewrite(film, quality=quality)
    found = [(c.start, c.end, c.metadata["title"]) for c in result.info.chapters]
    assert found == [(Fraction(a, 1000), Fraction(b, 1000), title) for a, b, title in chapters]
    assert not [note for note in result.notes if note.kind is NoteKind.DROPPED]


def test_attachments_are_copied_in_matroska(tmp_path: Path) -> None:
    font = ("font.ttf", "application/x-truetype-font", b"letters" * 100)
    result = rewrite(make_film(tmp_path / "film.mkv", attachments=[font]))
    with av.open(str(result.output)) as film:
        (attached,) = film.streams.attachments
        assert (attached.name, attached.mimetype, attached.data) == font


def test_attachments_that_mp4_cannot_hold_are_dropped_and_named(tmp_path: Path) -> None:
    font = ("font.ttf", "application/x-truetype-font", b"letters" * 100)
    result = rewrite(make_film(tmp_path / "film.mkv", attachments=[font]), codec=Codec.PRORES)
    assert [plan.action for plan in result.streams] == [Action.DROP]
    assert any(note.kind is NoteKind.DROPPED and "font.ttf" in note.text for note in result.notes)


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_tags_of_the_film_are_kept(tmp_path: Path, suffix: str) -> None:
    tags = {"title": "Arrival of a train", "artist": "Lumi\u00e8re", "comment": "35 mm"}
    film = make_film(tmp_path / f"film.{suffix}", codec="libx264", film_tags=tags)
    found = {key.lower(): value for key, value in rewrite(film).info.metadata.items()}
    assert {key: found.get(key) for key in tags} == tags


def test_tags_with_names_of_their_own_survive_from_matroska_to_quicktime(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", film_tags={"title": "A train", "scanner": "Number 4"})
    found = rewrite(film, codec=Codec.PRORES).info.metadata
    assert (found["title"], found["SCANNER"]) == ("A train", "Number 4")


@pytest.mark.parametrize(
    ("suffix", "quality"), [("mov", Quality.ACCESS), ("mp4", Quality.ACCESS), ("mov", Quality.MASTER)]
)
def test_timecode_is_kept(tmp_path: Path, suffix: str, quality: Quality) -> None:
    film = make_film(tmp_path / f"film.{suffix}", codec="libx264", tags={"timecode": "01:00:00:00"})
    result = rewrite(film, quality=quality)
    assert [plan.action for plan in result.streams] == [Action.REBUILD]
    found = {key.lower(): value for key, value in result.info.stream_metadata.items()}
    assert found["timecode"] == "01:00:00:00"


@pytest.mark.parametrize("quality", list(Quality))
def test_cover_art_travels_in_matroska(tmp_path: Path, quality: Quality) -> None:
    picture = next(iter(_encoded_png()))
    film = make_film(tmp_path / "film.mkv", attachments=[("cover.png", "image/png", picture)])
    result = rewrite(film, quality=quality)
    (cover,) = result.info.streams
    assert cover.is_cover
    assert packets(result.output, "video", 1)[0][1] == picture


def _encoded_png() -> list[bytes]:
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = 32, 32, "rgb24"  # type: ignore[attr-defined]
    context.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8))
    return [bytes(packet) for packet in (*context.encode(frame), *context.encode(None))]  # type: ignore[attr-defined]


def test_sound_lies_beside_its_picture_in_the_file_even_with_rare_subtitles(tmp_path: Path) -> None:
    film = make_film(
        tmp_path / "film.mkv",
        times=range(0, 1500, 15),
        sounds=[Sound(codec="flac", rate=8000, seconds=60.0)],
        subtitles=[Subtitles(lines=[(59000, 500, "The end")])],
    )
    result = rewrite(film)
    latest = [Fraction(0), Fraction(0)]
    for index, moment in positions(result.output):
        if index < 2:
            latest[index] = moment
            assert abs(latest[0] - latest[1]) < 3


def test_an_unreadable_source_beside_the_picture_is_an_input_error(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", sounds=[Sound()])
    plan = plan_film(film, Options())
    film.unlink()
    with pytest.raises(InputError), FilmWriter(plan.info, plan.video, plan.streams, tmp_path / "result.mkv"):
        pass


def test_a_taken_name_or_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    info = probe(make_film(tmp_path / "film.mkv"))
    video = plan_video(info, Codec.AUTO, Quality.ACCESS)
    final = tmp_path / "final.mkv"
    for output in (tmp_path / "film.mkv", tmp_path / "missing" / "result.mkv"):
        with pytest.raises(OutputError, match=r"final\.mkv: cannot be written"):
            FilmWriter(info, video, (), output, final=final).__enter__()


@pytest.mark.few(1)
@pytest.mark.parametrize("codec", sampled([Codec.H264, Codec.FFV1, Codec.HEVC, Codec.AV1], Codec.H264, Codec.FFV1))
def test_an_abort_leaves_no_threads_and_no_open_files(tmp_path: Path, codec: Codec) -> None:
    if not Path("/proc/self/task").exists():
        pytest.skip("needs /proc to see threads and open files")
    film = make_film(tmp_path / "film.mkv", sounds=[Sound()], times=range(30))

    def abort(number: int) -> None:
        plan = plan_film(film, Options(codec=codec))
        output = tmp_path / f"aborted-{number}.mkv"
        with pytest.raises(KeyboardInterrupt), FilmWriter(plan.info, plan.video, plan.streams, output) as writer:
            for count, frame in enumerate(frames(plan.info, plan.video.pixel_format)):
                frame.paint(neutral_chroma(frame), neutral_chroma(frame))
                writer.write(frame)
                if count == 12:
                    raise KeyboardInterrupt
        gc.collect()

    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/task").iterdir())), len(list(Path("/proc/self/fd").iterdir()))

    abort(0)  # the first run loads what stays loaded
    before = held()
    abort(1)
    assert held() == before


@pytest.mark.few(1)
@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file size")
@pytest.mark.parametrize(("suffix", "quality"), [("mkv", "master"), ("mp4", "access")])
def test_a_full_disk_is_an_output_error_that_names_the_result(tmp_path: Path, suffix: str, quality: str) -> None:
    film = make_film(tmp_path / f"film.{suffix}", codec="libx264", times=range(60), grain=0.2, options={"crf": "10"})
    script = f"""
        import resource
        from pathlib import Path
        from pipeline.errors import OutputError
        from pipeline.publish import publishing
        from tests.pipeline.media import rewriting
        from pipeline.media import writer
        from pipeline.options import Quality

        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
        try:
            rewriting.rewrite(Path({str(film)!r}), quality=Quality({quality!r}))
        except OutputError as error:
            print(type(error).__name__, error)
    """
    run = python(textwrap.dedent(script))
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("OutputError")
    assert "File too large" in run.stdout
    assert "film-auto-" in run.stdout


def test_cover_art_that_quicktime_cannot_hold_is_dropped_and_named(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", attachments=[("cover.png", "image/png", _encoded_png()[0])])
    result = rewrite(film, codec=Codec.PRORES)
    assert [plan.action for plan in result.streams] == [Action.DROP]
    assert any("cover art" in note.text for note in result.notes)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "codec", "sound", "options"),
    [
        ("film.ts", "mpeg2video", "mp2", {"bf": "2"}),
        ("film.ts", "libx264", "aac", {}),
        ("film.mpg", "mpeg2video", "mp2", {"bf": "2"}),
        ("film.flv", "libx264", "aac", {}),
        ("film.avi", "mpeg4", "mp2", {"bf": "2"}),
        ("film.mxf", "mpeg2video", "pcm_s16le", {}),
    ],
)
def test_old_containers_keep_times_and_sound_in_matroska(
    tmp_path: Path, name: str, codec: str, sound: str, options: dict[str, str]
) -> None:
    rate = 44100 if name.endswith("flv") else 48000
    film = make_film(
        tmp_path / name,
        codec=codec,
        options=options,
        times=range(20),
        sounds=[Sound(codec=sound, rate=rate, seconds=0.8)],
    )
    result = rewrite(film)
    assert result.output.suffix == ".mkv"
    assert any("the result is .mkv" in note.text for note in result.notes)
    assert result.read_log.frames >= 19
    steps = {b - a for a, b in zip(frame_times(result.output), frame_times(result.output)[1:], strict=False)}
    assert steps == {Fraction(1, 25)}
    # Transport streams put a small header before every AAC packet, which Matroska keeps once.
    before, after = packets(film, "audio"), packets(result.output, "audio")
    assert all(a.endswith(b) for (_, a), (_, b) in zip(before, after, strict=True))


def test_a_second_picture_stream_is_carried_along(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", codec="libx264")
    double = tmp_path / "double.mkv"
    with av.open(str(film)) as source, av.open(str(double), "w") as copy:
        twice = [copy.add_stream_from_template(source.streams.video[0], opaque=True) for _ in range(2)]
        for stream in twice:
            source.seek(0)
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    copy.mux(packet)
    result = rewrite(double)
    assert [str(plan) for plan in result.streams] == ["video 1 (h264): copy"]
    assert packets(result.output, "video", 1) == packets(double, "video", 1)


@pytest.mark.parametrize("write", [0, 1, 5])
def test_ctrl_c_of_a_caller_is_not_dropped_by_ffmpeg_that_writes(tmp_path: Path, write: int) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(3))
    plan = plan_film(film, Options(codec=Codec.FFV1, quality=Quality.MASTER), suffix=".mkv")
    writes = 0

    def interrupting(frame: FrameType, event: str, _: object) -> None:
        nonlocal writes
        if event == "call" and frame.f_code is ResultFile._write.__code__:
            writes += 1
            if writes > write:
                raise KeyboardInterrupt

    sys.setprofile(interrupting)
    try:
        with (
            pytest.raises(KeyboardInterrupt),
            FilmWriter(plan.info, plan.video, (), tmp_path / "out.mkv") as writer,
        ):
            writer.append(large_packets(), frames=64)
    finally:
        sys.setprofile(None)
    assert writes == write + 1


def large_packets() -> Iterator[av.Packet[Any]]:
    """Yield packets of 1 MB, of which FFmpeg writes each as it comes."""
    for number in range(64):
        packet: av.Packet[Any] = av.Packet(bytes(1 << 20))
        packet.pts = packet.dts = number
        packet.is_keyframe = True
        yield packet
