from __future__ import annotations

import ctypes
import os
import shutil
import struct
import sys
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest

from pipeline.errors import InputError, UnsupportedError
from pipeline.media.probe import FilmInfo, Probes, probe
from pipeline.media.source import MAX_PIXELS
from tests.films import Sound, Subtitles, make_film, write_pictures
from tests.pipeline.media.rewriting import rewrite


@pytest.fixture
def levels() -> Iterator[tuple[int, int]]:
    """Set the levels of FFmpeg's log and of what PyAV passes on, as a caller might, and return them."""
    av.logging.set_libav_level(av.logging.ERROR)
    av.logging.set_level(av.logging.WARNING)
    yield av.logging.ERROR, av.logging.WARNING
    av.logging.set_libav_level(av.logging.INFO)
    av.logging.set_level(None)


@pytest.mark.skipif(sys.platform == "win32", reason="the level is in a library that has another name in every wheel")
def test_a_callers_levels_of_log_stay(tmp_path: Path, levels: tuple[int, int]) -> None:
    probe(make_film(tmp_path / "film.mkv"))
    ffmpeg = ctypes.CDLL(av.logging.__file__)
    assert (ffmpeg.av_log_get_level(), av.logging.get_level()) == levels


def test_a_film_is_described_as_it_is(tmp_path: Path) -> None:
    film = make_film(
        tmp_path / "film.mkv",
        codec="libx264",
        pixel_format="yuv422p10le",
        options={"chroma_sample_location": "topleft"},
        sar=Fraction(16, 15),
        matrix=6,
        primaries=5,
        transfer=1,
        color_range=1,
        sounds=[Sound(tags={"language": "fre", "title": "Original"}, disposition=1)],
        subtitles=[Subtitles(tags={"language": "eng"})],
        attachments=[("font.ttf", "application/x-truetype-font", b"letters")],
        chapters=[(0, 300, "Arrival"), (300, 600, "Departure")],
        film_tags={"title": "A train"},
    )
    info = probe(film)
    assert (info.codec, info.width, info.height) == ("h264", 96, 64)
    assert (info.pixel_format.name, info.pixel_format.bits, info.pixel_format.layout) == ("yuv422p10le", 10, "4:2:2")
    assert info.sample_aspect_ratio == Fraction(16, 15)
    colors = info.colors
    assert (colors.matrix, colors.primaries, colors.transfer, colors.range, colors.chroma_location) == (6, 5, 1, 1, 3)
    assert [(s.type, s.codec, s.language, s.title) for s in info.streams] == [
        ("audio", "aac", "fre", "Original"),
        ("subtitle", "subrip", "eng", ""),
        ("attachment", "font.ttf", "", ""),
    ]
    assert [(c.start, c.end, c.metadata["title"]) for c in info.chapters] == [
        (0, Fraction(3, 10), "Arrival"),
        (Fraction(3, 10), Fraction(6, 10), "Departure"),
    ]
    assert info.metadata["title"] == "A train"
    assert info.average_rate == 25


def test_another_film_in_the_place_of_one_is_looked_at_even_if_size_and_time_are_the_same(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.y4m", codec="wrapped_avframe", width=96, height=64)
    other = make_film(tmp_path / "other.y4m", codec="wrapped_avframe", width=64, height=96)
    known = Probes()
    assert known.of(film).width == 96
    before = film.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(film)
    assert film.stat().st_size == before.st_size
    assert known.of(film).width == 64


def test_a_film_is_looked_at_again_where_its_file_has_changed(tmp_path: Path) -> None:
    known = Probes()
    first = known.of(make_film(tmp_path / "film.mkv", times=range(3)))
    assert known.of(first.path) is first
    changed = known.of(make_film(first.path, times=range(3), width=64))
    assert (first.width, changed.width) == (96, 64)
    first.path.unlink()
    with pytest.raises(InputError, match="No such file"):
        known.of(first.path)


def test_rotation_is_read_from_the_container(tmp_path: Path) -> None:
    assert probe(make_film(tmp_path / "film.mp4", codec="libx264", rotation=90)).rotation == 90


@pytest.mark.parametrize(("suffix", "from_header"), [("mp4", True), ("mkv", False)])
def test_frame_count_says_where_it_comes_from(tmp_path: Path, suffix: str, from_header: bool) -> None:
    info = probe(make_film(tmp_path / f"film.{suffix}", codec="libx264"))
    assert (info.frame_count, info.frame_count_from_header) == (15, from_header)


def test_cover_art_is_not_the_film(tmp_path: Path) -> None:
    picture = _png(tmp_path)
    film = make_film(tmp_path / "film.mkv", attachments=[("cover.png", "image/png", picture)])
    info = probe(film)
    assert (info.codec, info.width) == ("ffv1", 96)
    assert [s.is_cover for s in info.streams] == [True]


def test_a_file_with_only_cover_art_is_not_a_film(tmp_path: Path) -> None:
    path = tmp_path / "song.mkv"
    with av.open(str(path), "w") as song:
        voice = song.add_stream("pcm_s16le", rate=8000)
        song.add_attachment("cover.png", "image/png", _png(tmp_path))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="stereo")
        frame.sample_rate = 8000
        song.mux(voice.encode(frame))
    with pytest.raises(UnsupportedError, match=r"song\.mkv: holds no moving picture"):
        probe(path)


def _png(folder: Path) -> bytes:
    path = folder / "cover.png"
    with av.open(str(path), "w", format="image2") as file:
        stream = file.add_stream("png")
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgb24"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8))))
        file.mux(stream.encode(None))
    return path.read_bytes()


def test_a_playlist_in_disguise_opens_no_other_file(tmp_path: Path) -> None:
    make_film(tmp_path / "secret.mkv")
    disguised = tmp_path / "film.mp4"
    disguised.write_text("ffconcat version 1.0\nfile secret.mkv\n")
    with pytest.raises(InputError, match=r"film\.mp4: is not a film") as caught:
        probe(disguised)
    assert "playlists" in caught.value.advice


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"To whom it may concern\n" * 99, "is not a film"), (b"\0" * 4096, "is not a film")],
)
def test_what_is_no_film_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "letter.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"letter\.mp4: {message}"):
        probe(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.mkv: cannot be read: No such file"):
        probe(tmp_path / "nowhere.mkv")
    with pytest.raises(InputError, match="holds no numbered pictures"):
        probe(tmp_path)


def test_a_name_that_reads_like_a_protocol_is_only_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(make_film(tmp_path / "film.mkv"), tmp_path / "concat:a.mkv")
    monkeypatch.chdir(tmp_path)
    assert probe(Path("concat:a.mkv")).width == 96


def test_an_encrypted_film_is_refused(tmp_path: Path) -> None:
    key = "0123456789abcdef0123456789abcdef"
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": key, "encryption_kid": key}
    film = make_film(tmp_path / "film.mp4", codec="libx264", muxer_options=options)
    with pytest.raises(InputError, match="is encrypted"):
        probe(film)


@pytest.mark.few(1)
@pytest.mark.parametrize("marks", [b"encvsinf", b"sinf", b"sinf1234schm"])
def test_a_hostile_file_full_of_marks_of_encryption_is_seen_through_at_once(marks: bytes, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42" + marks * ((4 << 20) // len(marks)))
    with pytest.raises(InputError, match="is not a film"):
        probe(path)


def test_parts_of_a_film_in_fragments_are_told_what_is_missing(tmp_path: Path) -> None:
    whole = make_film(tmp_path / "a.mp4", codec="libx264", muxer_options={"movflags": "empty_moov+frag_keyframe"})
    assert probe(whole).width == 96
    data = whole.read_bytes()
    first = data.index(b"moof") - 4
    for name, part, missing in (
        ("init.mp4", data[:first], "without any of them"),
        ("1.m4s", data[first:], "without the header"),
        ("2.m4s", (16).to_bytes(4) + b"stypmsdh\0\0\0\0" + data[first:], "without the header"),
    ):
        (tmp_path / name).write_bytes(part)
        with pytest.raises(InputError, match=missing) as raised:
            probe(tmp_path / name)
        assert "Join" in raised.value.advice


def test_a_film_that_only_refers_to_other_files_is_told_so(tmp_path: Path) -> None:
    path = make_film(tmp_path / "a.mov", codec="mjpeg", pixel_format="yuvj420p")
    data = bytearray(path.read_bytes())
    # The reference to the file itself becomes an alias of the Macintosh, with a path.
    name, way = b"b.jpg", b"/c/b.jpg\0\0"
    alias = bytes(50) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16) + b"\0\1\0\1" + bytes(16)
    alias += struct.pack(">HH", 2, len(way)) + way + b"\xff\xff\0\0"
    at = data.index(b"dref") + 12
    data[at + 4 : at + 12] = b"alis" + bytes(4) + alias
    for place in (at + 4, *(data.index(kind) for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"))):
        data[place - 4 : place] = (int.from_bytes(data[place - 4 : place]) + len(alias)).to_bytes(4)
    path.write_bytes(data)
    with pytest.raises(InputError, match="only refers to other files"):
        probe(path)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_an_encrypted_film_that_cannot_be_decoded_or_opened_is_not_called_damaged(tmp_path: Path, suffix: str) -> None:
    film = protected_matroska(tmp_path) if suffix == "mkv" else fragment_of_protected_mp4(tmp_path)
    with pytest.raises(InputError, match="is encrypted"):
        probe(film)


def protected_matroska(folder: Path) -> Path:
    """A film whose pictures are none, and whose track says that they are encrypted, in the place of its name."""
    name = "x" * 60
    film = make_film(folder / "film.mkv", codec="libx264", tags={"title": name})
    with av.open(str(film)) as read:
        pictures = [bytes(packet) for packet in read.demux(video=0) if packet.size]
    method = b"\x47\xe1\x81\x05" + b"\x47\xe2\x84key1"
    encoding = b"\x50\x31\x81\x00\x50\x32\x81\x01\x50\x33\x81\x01\x50\x35" + bytes([0x80 | len(method)]) + method
    encodings = b"\x62\x40" + bytes([0x80 | len(encoding)]) + encoding
    void = b"\xec" + bytes([0x80 | (len(name) - len(encodings) - 2)])
    encodings += void.ljust(len(name) - len(encodings), b"\0")
    data = film.read_bytes()
    at = data.index(b"\x53\x6e\xbc" + name.encode())
    data = data[:at] + b"\x6d\x80\xbc" + encodings + data[at + 63 :]
    for picture in pictures:
        data = data.replace(picture, b"\xff" * len(picture))
    film.write_bytes(data)
    return film


def fragment_of_protected_mp4(folder: Path) -> Path:
    """A film of fragments, protected, whose boxes FFmpeg cannot make out."""
    key = "0123456789abcdef0123456789abcdef"
    options = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": key, "encryption_kid": key}
    film = make_film(folder / "film.mp4", codec="libx264", muxer_options=options)
    data = film.read_bytes()
    film.write_bytes(data.replace(b"saio", b"senc", 1).replace(b"stsz", b"free", 1))
    return film


def test_absurd_dimensions_are_refused_before_a_picture_is_allocated(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.avi", codec="rawvideo")
    huge = 14000
    assert huge * huge > MAX_PIXELS
    header = struct.pack("<III", 40, huge, huge)
    film.write_bytes(film.read_bytes().replace(struct.pack("<III", 40, 96, 64), header))
    with pytest.raises(InputError, match=r"film\.avi: declares pictures of 14000 x 14000 pixels"):
        probe(film)


def test_samples_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "film.mov"
    with av.open(str(path), "w") as film:
        stream = film.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "monob"
        film.mux(stream.encode(av.VideoFrame(96, 64, "monob")))
        film.mux(stream.encode(None))
    with pytest.raises(InputError, match="pixel format monob holds single bits"):
        probe(path)


@pytest.mark.parametrize(("fields", "said", "order"), [("tff", 2, 2), ("bff", 3, 3), ("bff", 2, 3), ("tff", 0, 2)])
def test_pictures_decide_the_field_order_where_the_container_disagrees(
    tmp_path: Path, fields: str, said: int, order: int
) -> None:
    film = make_film(tmp_path / "film.mkv", times=range(3), fields=fields, field_order=said)
    assert (probe(film).is_interlaced, probe(film).field_order) == (True, order)


W = 1 << 16


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("orientation", "corner", "degrees"),
    [
        *((1, (W, 0, 0, W), 0), (2, (-W, 0, 0, W), 0), (3, (-W, 0, 0, -W), 180), (4, (W, 0, 0, -W), 180)),
        *((5, (0, W, W, 0), 90), (6, (0, W, -W, 0), 270), (7, (0, -W, -W, 0), 270), (8, (0, -W, W, 0), 90)),
    ],
)
def test_orientation_by_exif_is_read_and_kept(
    tmp_path: Path, orientation: int, corner: tuple[int, int, int, int], degrees: int
) -> None:
    folder = write_pictures(tmp_path / "scans", "%d.png", codec="png", pixel_format="gray", numbers=range(3))
    exif = bytes.fromhex(f"4d4d002a00000008000101120003000000010{orientation:03x}000000000000")
    for picture in folder.iterdir():
        data = picture.read_bytes()
        chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
        picture.write_bytes(data[:33] + chunk + data[33:])
    a, b, c, d = corner
    info = probe(folder)
    assert info.display_matrix == (None if orientation == 1 else (a, b, 0, c, d, 0, 0, 0, 1 << 30))
    assert info.rotation % 360 == degrees
    for suffix in (".mp4", ".mkv"):
        assert rewrite(folder, suffix=suffix).info.display_matrix == info.display_matrix


def test_what_is_known_of_a_film_cannot_be_changed(tmp_path: Path) -> None:
    info: FilmInfo = probe(make_film(tmp_path / "film.mkv"))
    with pytest.raises(AttributeError):
        info.width = 1  # type: ignore[misc]


def test_a_film_whose_only_pictures_come_at_its_end_behind_another_stream(tmp_path: Path) -> None:
    """A decoder that reorders frames gives them when it is told of the end, in whatever place the picture stands."""
    film = make_film(tmp_path / "film.mkv", codec="libx264", times=range(2), sounds=[Sound()])
    behind = tmp_path / "behind.mkv"
    with av.open(str(film)) as source, av.open(str(behind), "w") as target:
        picture, sound = source.streams.video[0], source.streams.audio[0]
        made = {stream.index: target.add_stream_from_template(stream) for stream in (sound, picture)}
        for packet in source.demux(picture, sound):
            if packet.size:
                packet.stream = made[packet.stream.index]
                target.mux(packet)
    with av.open(str(behind)) as found:
        assert found.streams.video[0].index == 1
    assert probe(behind).width == 96


def test_the_end_of_another_stream_is_no_part_of_a_picture_that_cannot_be_decoded(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mov", codec="libx264", tags={"timecode": "01:00:00:00"}, times=range(4))
    data = bytearray(film.read_bytes())
    with av.open(str(film)) as read:
        assert [stream.type for stream in read.streams] == ["video", "data"]
        for packet in read.demux(video=0):
            if packet.size:
                data[packet.pos : packet.pos + packet.size] = b"\x55" * packet.size
    film.write_bytes(data)
    with pytest.raises(InputError, match=r"its first picture cannot be decoded: Invalid data found when [a-z ]*$"):
        probe(film)
