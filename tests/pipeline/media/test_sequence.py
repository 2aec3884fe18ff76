from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError, UsageError
from pipeline.media.decode import frames
from pipeline.media.probe import probe
from pipeline.media.sequence import find_sequence, parse_rate
from pipeline.media.source import MAX_PIXELS
from pipeline.options import Quality
from pipeline.results import NoteKind
from tests.films import frame_times, luma_planes, moving_luma, write_pictures
from tests.pipeline.media.rewriting import rewrite


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("pattern", "codec", "pixel_format", "bits"),
    [
        ("frame_%06d.dpx", "dpx", "gbrp10le", 10),
        ("frame_%06d.dpx", "dpx", "gbrp12be", 12),
        ("frame_%06d.DPX", "dpx", "gray", 8),
        ("%d.tif", "tiff", "gray16le", 16),
        ("scan 100%%.%04d.tiff", "tiff", "rgb48le", 16),
        ("segment-2_%03d.png", "png", "gray16be", 16),
        ("%05d.png", "png", "rgb24", 8),
    ],
)
def test_numbered_pictures_become_one_film_with_their_luma(
    tmp_path: Path, pattern: str, codec: str, pixel_format: str, bits: int
) -> None:
    folder = write_pictures(tmp_path / "segment", pattern, codec=codec, pixel_format=pixel_format, numbers=range(8, 14))
    result = rewrite(folder, quality=Quality.MASTER)
    assert (result.source.codec, result.source.frame_count, result.source.pixel_format.bits) == (codec, 6, bits)
    for number, luma in enumerate(luma_planes(result.output)):
        np.testing.assert_array_equal(luma, moving_luma(number, width=96, height=64, bits=bits))


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_the_film_runs_at_the_rate_asked_for_in_every_container(tmp_path: Path, suffix: str) -> None:
    folder = write_pictures(tmp_path / "segment", "%04d.jpg", codec="mjpeg", pixel_format="yuvj420p")
    result = rewrite(folder, suffix=suffix, rate=Fraction(25, 2))
    assert frame_times(result.output) == [Fraction(2 * n, 25) for n in range(6)]
    assert not [note for note in result.notes if note.kind is NoteKind.ASSUMED]


def test_without_a_word_about_the_rate_24_is_assumed_and_told(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "segment", "%04d.png", codec="png", pixel_format="gray")
    sequence = find_sequence(folder)
    assert sequence.rate == 24
    assert any(note.kind is NoteKind.ASSUMED and "24 frames a second" in note.text for note in sequence.notes)


@pytest.mark.parametrize(("offset", "written", "rate"), [(1724, 18.0, 18), (1940, 23.976, Fraction(24000, 1001))])
@pytest.mark.parametrize("order", [">", "<"])
def test_the_rate_stands_in_the_header_of_dpx(
    tmp_path: Path, offset: int, written: float, rate: Fraction, order: str
) -> None:
    folder = tmp_path / "segment"
    folder.mkdir()
    header = bytearray(2048)
    header[:8] = struct.pack(f"{order}II", 0x53445058, 2048)
    header[1724:1728] = b"\xff\xff\xff\xff"
    header[offset : offset + 4] = struct.pack(f"{order}f", written)
    (folder / "a1.dpx").write_bytes(header)
    assert find_sequence(folder).rate == rate
    assert not find_sequence(folder).rate_is_assumed
    assert find_sequence(folder, Fraction(16)).rate == 16


def test_samples_are_not_taken_for_a_rate_where_the_header_is_short(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "segment", pixel_format="rgb48be")
    assert find_sequence(folder).rate_is_assumed


def test_timecode_of_dpx_is_kept(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "segment", pixel_format="gbrp10be")
    for number, path in enumerate(sorted(folder.iterdir())):
        data = path.read_bytes()
        start = struct.unpack_from(">I", data, 4)[0]
        header = bytearray(data[:start].ljust(2048, b"\0"))
        struct.pack_into(">I", header, 4, 2048)
        struct.pack_into(">I", header, 1920, 0x01020300 + number)
        path.write_bytes(header + data[start:])
    for suffix in (".mov", ".mkv"):
        found = rewrite(folder, suffix=suffix).info.stream_metadata
        assert {key.lower(): value for key, value in found.items()}["timecode"] == "01:02:03:00"


def test_missing_numbers_are_named(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "segment", numbers=[1, 2, 5, 6, 8])
    with pytest.raises(InputError, match=r"missing: frame_000003\.dpx to 000004, frame_000007\.dpx$"):
        probe(folder)


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_many_gaps_are_counted(tmp_path: Path) -> None:
    folder = touch(tmp_path / "segment", *(f"a{n}.png" for n in range(0, 60, 2)))
    with pytest.raises(InputError, match=r"a1\.png, .*, and 21 more gaps"):
        find_sequence(folder)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "no numbered pictures"),
        (("sound.wav", "notes.txt"), "no numbered pictures"),
        (("a1.png", "a2.png", "b1.png", "b2.png"), r"2 series of numbered pictures: a\.\.\.\.png; b\.\.\.\.png"),
        (("a1.png", "a2.dpx"), "2 series"),
        (("a1.png", "a02.png"), r"a02\.png is not numbered like the others, with 1 digits"),
        (("a99999999999.png",), "too high"),
        (("Dolores.jpg", "Flowers1910.jpg", "Sphinx.jpg"), "only Flowers1910.jpg has a number"),
    ],
)
def test_a_folder_that_is_not_one_film_is_refused_by_name(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=rf"segment: .*{message}"):
        find_sequence(touch(tmp_path / "segment", *names))


def test_numbers_may_grow_wider_and_other_files_are_named(tmp_path: Path) -> None:
    folder = touch(tmp_path / "segment", "a9.png", "a10.png", "a11.png", ".DS_Store", "Thumbs.db", "sound.wav")
    (folder / "proxies").mkdir()
    sequence = find_sequence(folder)
    assert (sequence.first, sequence.count, sequence.digits, sequence.others) == (9, 3, 1, ("sound.wav",))
    assert any(note.kind is NoteKind.DROPPED and "sound.wav" in note.text for note in sequence.notes)


@pytest.mark.parametrize("left", [0, 5000])
def test_an_empty_or_cut_picture_is_an_error_that_names_the_frame(tmp_path: Path, left: int) -> None:
    folder = write_pictures(tmp_path / "segment")
    broken = folder / "frame_000004.dpx"
    broken.write_bytes(broken.read_bytes()[:left])
    info = probe(folder)
    with pytest.raises(InputError, match=r"segment: frame 3 cannot be "):
        list(frames(info, info.pixel_format, luma_weights=(0.2, 0.1)))


def test_a_picture_of_another_size_is_an_error(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "segment", "%d.png", codec="png", pixel_format="gray", numbers=range(3))
    write_pictures(folder, "%d.png", codec="png", pixel_format="gray", numbers=range(3, 30), width=98)
    info = probe(folder)
    with pytest.raises(InputError, match="frame 3 changes the picture format"):
        list(frames(info, info.pixel_format))


def test_absurd_dimensions_are_refused(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "segment", "%d.dpx", pixel_format="gray", numbers=[1])
    picture = folder / "1.dpx"
    data = bytearray(picture.read_bytes())
    struct.pack_into(">II", data, 772, 16000, 16000)
    assert MAX_PIXELS < 16000 * 16000
    picture.write_bytes(data)
    with pytest.raises(InputError, match="segment"):
        probe(folder)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("24", 24), ("23.976", Fraction(24000, 1001)), ("29.97", Fraction(30000, 1001)), ("50/3", Fraction(50, 3))],
)
def test_rates_are_exact(text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "fast", "0", "-24", "24/0", "nan", "inf", "1e9"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a frame rate"):
        parse_rate(text)


def test_a_file_has_its_own_rate(tmp_path: Path) -> None:
    (tmp_path / "film.mkv").touch()
    with pytest.raises(UsageError, match="rate of its own"):
        probe(tmp_path / "film.mkv", rate=Fraction(24))
