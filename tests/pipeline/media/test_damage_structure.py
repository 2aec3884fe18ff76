"""A file that is not whole is known by its own structure, before anything is decoded; a whole one never is."""

from __future__ import annotations

import dataclasses
import io
import struct
from pathlib import Path

import av
import pytest

from pipeline.errors import InputError
from pipeline.media.probe import probe
from pipeline.media.source import open_source
from pipeline.media.structure import break_in
from tests.films import Sound, make_film
from tests.pipeline.media.rewriting import rewrite, survey

FILMS = {
    "film.mkv": ("ffv1", "flac"),
    "film.webm": ("libvpx-vp9", "libopus"),
    "film.mp4": ("libx264", "aac"),
    "film.mov": ("mjpeg", "pcm_s16le"),
    "film.avi": ("mpeg4", "mp2"),
    "film.ivf": ("libvpx", ""),
    "film.mxf": ("mpeg2video", "pcm_s16le"),
    "film.mpg": ("mpeg2video", "mp2"),
    "film.ts": ("mpeg2video", "mp2"),
    "film.m2ts": ("mpeg2video", "mp2"),
}


def film_of(folder: Path, name: str, **more: object) -> Path:
    codec, sound = FILMS[name]
    return make_film(
        folder / name,
        codec=codec,
        pixel_format="yuvj420p" if codec == "mjpeg" else "yuv420p",
        times=range(20),
        grain=0.05,
        sounds=[Sound(codec=sound, seconds=0.8)] if sound else [],
        **more,  # type: ignore[arg-type]
    )


def broken(path: Path, data: bytes | None = None) -> str | None:
    with open_source(path) as film:
        container = film.format.name
    if data is not None:
        path.write_bytes(data)
    return found_in(path, container)


def found_in(path: Path, container: str) -> str | None:
    with path.open("rb") as file:
        return break_in(file, container)


@pytest.mark.few(2)
@pytest.mark.parametrize("name", list(FILMS))
def test_whole_films_are_whole(tmp_path: Path, name: str) -> None:
    assert broken(film_of(tmp_path, name)) is None


@pytest.mark.few(2)
@pytest.mark.parametrize("name", list(FILMS))
def test_a_cut_is_found_wherever_it_is(tmp_path: Path, name: str) -> None:
    film = film_of(tmp_path, name)
    data = film.read_bytes()
    # Between two packets a stream made to be cut anywhere is as whole as before.
    unit = {"film.ts": 188, "film.m2ts": 192}.get(name)
    for cut in range(len(data) // 3, len(data), len(data) // 23):
        if unit is None or cut % unit:
            found = found_in(*_written(film, data[:cut], data))
            assert found is not None, cut
            assert "cut off" in found or "breaks at" in found


def _written(path: Path, data: bytes, whole: bytes) -> tuple[Path, str]:
    path.write_bytes(whole)
    with open_source(path) as film:
        container = film.format.name
    path.write_bytes(data)
    return path, container


@pytest.mark.few(2)
@pytest.mark.parametrize("name", [name for name in FILMS if name not in ("film.mp4", "film.mov")])
def test_bytes_lost_in_the_middle_are_found(tmp_path: Path, name: str) -> None:
    film = film_of(tmp_path, name)
    data = film.read_bytes()
    place = len(data) // 2
    assert found_in(*_written(film, data[:place] + data[place + 101 :], data)) is not None


def test_a_matroska_file_written_to_a_pipe_is_whole(tmp_path: Path) -> None:
    # Without seeking, the lengths of segment and clusters stay unknown.
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(data)  # type: ignore[arg-type]

    source, pipe = film_of(tmp_path, "film.mkv"), Pipe()
    with av.open(str(source)) as film, av.open(pipe, "w", format="matroska") as copy:
        made = [copy.add_stream_from_template(stream, opaque=True) for stream in film.streams]
        for packet in film.demux():
            if packet.size:
                packet.stream = made[packet.stream_index]
                copy.mux(packet)
    assert b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" in pipe.data
    place = 0
    while (place := pipe.data.find(b"\x1f\x43\xb6\x75", place) + 4) > 3:
        length = 9 - pipe.data[place].bit_length()
        pipe.data[place : place + length] = ((1 << 7 * length + 1) - 1).to_bytes(length)
    streamed = tmp_path / "streamed.mkv"
    streamed.write_bytes(pipe.data)
    assert broken(streamed) is None
    assert rewrite(streamed).read_log.frames == 20


def test_fragments_are_whole_too(tmp_path: Path) -> None:
    film = film_of(tmp_path, "film.mp4", muxer_options={"movflags": "frag_keyframe+empty_moov"})
    assert broken(film) is None
    assert rewrite(film).read_log.frames == 20


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["film.mp4", "film.mov", "film.avi"])
def test_what_was_appended_to_a_whole_film_is_no_damage(tmp_path: Path, name: str) -> None:
    film = film_of(tmp_path, name)
    assert broken(film, film.read_bytes() + bytes(100)) is None


def test_an_mp4_whose_last_part_claims_bytes_that_hold_no_sample_is_whole(tmp_path: Path) -> None:
    film = film_of(tmp_path, "film.mp4", muxer_options={"movflags": "faststart"})
    data = bytearray(film.read_bytes())
    place = data.index(b"mdat") - 4
    length = int.from_bytes(data[place : place + 4])
    assert place + length == len(data)
    data[place : place + 4] = (length + 8).to_bytes(4)
    film.write_bytes(data)
    assert rewrite(film).read_log.frames == 20
    film.write_bytes(data[:-8])
    assert "is cut off: 16 bytes missing" in str(survey(film).broken)


def test_an_mp4_whose_tables_list_samples_behind_its_end_is_cut_off(tmp_path: Path) -> None:
    film = film_of(tmp_path, "film.mp4", muxer_options={"movflags": "faststart"})
    data = bytearray(film.read_bytes())[:-100]
    place = data.index(b"mdat") - 4
    data[place : place + 4] = (len(data) - place).to_bytes(4)
    film.write_bytes(data)
    assert "is cut off: 100 bytes missing" in str(survey(film).broken)


def test_sound_whose_samples_are_all_in_another_file_is_no_damage(tmp_path: Path) -> None:
    film = film_of(tmp_path, "film.mov")
    data = bytearray(film.read_bytes())
    table = data.rindex(b"stco") + 8
    for number in range(int.from_bytes(data[table : table + 4])):
        data[(place := table + 4 + 4 * number) : place + 4] = (1 << 24).to_bytes(4)
    film.write_bytes(data)
    result = rewrite(film, suffix=".mp4")
    assert result.source.broken is None
    assert any("it holds no packets" in note.text for note in result.notes)


def test_a_program_stream_may_end_in_zeros(tmp_path: Path) -> None:
    film = film_of(tmp_path, "film.mpg")
    assert broken(film, film.read_bytes() + bytes(4096)) is None


def test_avi_of_several_parts_is_whole(tmp_path: Path) -> None:
    film = film_of(tmp_path, "film.avi")
    data = film.read_bytes()
    chunk = b"00dc" + struct.pack("<I", 3) + b"abc\0"
    movi = b"LIST" + struct.pack("<I", 4 + len(chunk)) + b"movi" + chunk
    part = b"RIFF" + struct.pack("<I", 4 + len(movi)) + b"AVIX" + movi
    assert broken(film, data + part) is None
    assert broken(film_of(tmp_path, "film.avi"), data + part[:-6]) is not None


def test_a_block_of_a_track_that_does_not_exist_is_found(tmp_path: Path) -> None:
    film = film_of(tmp_path, "film.mkv")
    data = bytearray(film.read_bytes())
    with av.open(str(film)) as opened:
        place = [p.pos or 0 for p in opened.demux(video=0) if p.size][10]
    # The number of the track stands four bytes before the frame: one byte of it, two of time, one of flags.
    block = data.rindex(b"\xa3", 0, place + 12)
    number = data.index(b"\x81", block)
    data[number] = 0x85
    assert "structure breaks" in str(broken(film, bytes(data)))


def test_unknown_containers_are_taken_as_whole(tmp_path: Path) -> None:
    film = tmp_path / "film.flv"
    film.write_bytes(b"anything")
    assert found_in(film, "flv") is None


def test_a_broken_structure_is_an_error_before_the_first_frame(tmp_path: Path) -> None:
    film = film_of(tmp_path, "film.mkv")
    info = probe(film)
    film.write_bytes(film.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"film\.mkv: is cut off: [\d,]+ bytes missing") as caught:
        rewrite(film)
    assert "--on-damage conceal" in caught.value.advice
    assert dataclasses.is_dataclass(info)
