"""Where the blocks of a JPEG lie is found at many places at once, and never otherwise than code by code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.media.stills.jpeg.bits import counted, joined, sixteen_bits, windows
from pipeline.media.stills.jpeg.graft import luma_alone
from pipeline.media.stills.jpeg.huffman import STANDARD_DC, read_tables
from pipeline.media.stills.jpeg.lockstep import Chunking, walk_in_lockstep
from pipeline.media.stills.jpeg.luma import luma_scans
from pipeline.media.stills.jpeg.segments import DRI, DamagedJpegError, parse
from pipeline.media.stills.jpeg.walk import Blocks, BlockTables, Intervals, walk_in_turn
from tests import photos
from tests.sampled import sampled

Walk = tuple[NDArray[np.uint32], Intervals, list[BlockTables]]

GREY = photos.scene(width=301, height=203)
TONED = photos.sepia(GREY)
NOISE = np.random.default_rng(3).integers(0, 256, (96, 128, 3), np.uint8)
FLAT = np.full((1200, 1600, 3), (255, 20, 30), np.uint8)
FILES: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {
    "grey": (GREY, {"quality": 92}),
    "grey-coarse": (GREY, {"quality": 10}),
    "grey-finest-optimised": (GREY, {"quality": 100, "optimize": True}),
    "grey-restarts": (GREY, {"quality": 92, "restart_marker_rows": 1}),
    "grey-restart-at-every-block": (GREY, {"quality": 92, "restart_marker_blocks": 1}),
    "420": (TONED, {"quality": 92}),
    "420-coarse-optimised": (TONED, {"quality": 20, "optimize": True}),
    "420-restarts": (TONED, {"quality": 85, "restart_marker_blocks": 7}),
    "422": (TONED, {"quality": 90, "subsampling": 1}),
    "422-restarts-optimised": (TONED, {"quality": 90, "subsampling": 1, "restart_marker_rows": 2, "optimize": True}),
    "444": (TONED, {"quality": 92, "subsampling": 0}),
    "444-finest": (TONED, {"quality": 100, "subsampling": 0}),
    "444-as-rgb": (TONED, {"quality": 90, "keep_rgb": True}),
    "one-block": (GREY[:3, :5], {"quality": 92}),
    "one-mcu": (TONED[:9, :9], {"quality": 92}),
}
# A reader that begins anywhere in these hardly ever finds its way.
ASTRAY = {
    "noise-of-full-blocks": (NOISE, {"quality": 100}),
    "flat": (FLAT, {"quality": 95}),
    "flat-optimised": (FLAT, {"quality": 95, "subsampling": 0, "optimize": True}),
}


@pytest.fixture(params=[pytest.param("long-chunks", marks=pytest.mark.nightly), "short-chunks"])
def chunking(request: pytest.FixtureRequest) -> Chunking:
    return Chunking(bits=300, run_up=40, together=50) if request.param == "short-chunks" else Chunking()


def walk_of(file: bytes, *, coded: bytes | None = None) -> Walk:
    """What the walks are given for a sequential file of one scan, or for other ``coded`` data in it."""
    jpeg = parse(file)
    (scan,) = jpeg.scans
    luma, tables = jpeg.frame.components[0], read_tables(scan.tables)
    single = len(jpeg.frame.components) == 1
    places = []
    for (_, dc, ac), part in zip(scan.selectors, jpeg.frame.components, strict=True):
        places += [BlockTables(tables[0, dc], tables[1, ac])] * (1 if single else part.across * part.down)
    across, down = (8, 8) if single else (8 * luma.across, 8 * luma.down)
    total = -(-jpeg.frame.width // across) * -(-jpeg.frame.height // down)
    interval = next((int.from_bytes(table.payload, "big") for table in scan.tables if table.marker == DRI), total)
    parts = [part.replace(b"\xff\0", b"\xff") for part in re.split(rb"\xff[\xd0-\xd7]", coded or scan.data)]
    last = 8 * np.cumsum([len(part) for part in parts])
    mcus = np.clip(total - interval * np.arange(len(parts)), 0, interval)
    return windows(b"".join(parts)), Intervals(np.append(0, last[:-1]), last, mcus), places


def assert_same(found: Blocks | None, expected: Blocks) -> None:
    assert found is not None
    np.testing.assert_array_equal(found.first, expected.first)
    np.testing.assert_array_equal(found.last, expected.last)
    np.testing.assert_array_equal(found.ends, expected.ends)


@pytest.mark.few(2)
@pytest.mark.parametrize("name", FILES)
def test_lockstep_finds_the_blocks_that_are_found_in_turn(name: str, chunking: Chunking) -> None:
    pixels, options = FILES[name]
    walk = walk_of(photos.jpeg_bytes(pixels, **options))
    expected = walk_in_turn(*walk)
    assert len(expected.first) == walk[1].mcus.sum() * len(walk[2])
    assert (walk[1].last - expected.ends < 8).all()
    assert_same(walk_in_lockstep(*walk, chunking), expected)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ASTRAY)
def test_data_that_does_not_synchronise_is_followed_all_the_same(name: str) -> None:
    pixels, options = ASTRAY[name]
    walk = walk_of(photos.jpeg_bytes(pixels, **options))
    assert_same(walk_in_lockstep(*walk), walk_in_turn(*walk))


def test_a_scan_of_dc_alone_is_followed() -> None:
    jpeg = parse(photos.jpeg_bytes(TONED, quality=92, progressive=True))
    scan = jpeg.scans[0]
    assert scan.spectrum[:2] == (0, 0)
    tables = read_tables(scan.tables)
    places = [BlockTables(tables[0, dc], None) for dc in (0, 0, 0, 0, 1, 1)]
    data = scan.data.replace(b"\xff\0", b"\xff")
    mcus = -(-TONED.shape[0] // 16) * -(-TONED.shape[1] // 16)
    intervals = Intervals(np.array([0]), np.array([8 * len(data)]), np.array([mcus]))
    expected = walk_in_turn(windows(data), intervals, places)
    assert 0 <= 8 * len(data) - expected.ends[0] < 8
    assert_same(walk_in_lockstep(windows(data), intervals, places), expected)


def damaged(data: bytes, seeds: range) -> Iterator[bytes]:
    """Coded data with flipped bits, lost, added and repeated bytes, or without its end."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        made, at = bytearray(data), int(rng.integers(len(data)))
        some = rng.integers(0, 255, int(rng.integers(1, 400)), np.uint8).tobytes()
        match seed % 5:
            case 0:
                made[at] ^= 1 << int(rng.integers(8))
            case 1:
                del made[at : at + int(rng.integers(1, 30))]
            case 2:
                made[at:at] = some[:9]
            case 3:
                del made[at:]
            case 4:
                made += some
        yield bytes(made)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "name", sampled(["grey", "grey-restarts", "420", "420-restarts", "422", "444"], "grey", "420-restarts")
)
def test_damage_is_left_to_the_walk_in_turn_and_all_else_is_the_same(name: str, chunking: Chunking) -> None:
    pixels, options = FILES[name]
    file = photos.jpeg_bytes(pixels[:48, :64], **options)
    outcomes = {"sound": 0, "damaged": 0}
    for coded in damaged(parse(file).scans[0].data, range(40)):
        walk = walk_of(file, coded=coded)
        try:
            expected = walk_in_turn(*walk)
        except DamagedJpegError:
            outcomes["damaged"] += 1
            assert walk_in_lockstep(*walk, chunking) is None
        else:
            outcomes["sound"] += 1
            assert_same(walk_in_lockstep(*walk, chunking), expected)
    assert min(outcomes.values()) > 4


BIG = photos.scene(width=1100, height=800)


@pytest.mark.few(2)
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"progressive": True}])
def test_the_luma_taken_out_of_a_big_file_decodes_as_before(options: dict[str, Any]) -> None:
    file = photos.jpeg_bytes(photos.sepia(BIG), quality=92, **options)
    jpeg = parse(file)
    found = luma_scans(jpeg)
    assert found.sound
    alone = luma_alone(jpeg.frame, found.scans, jpeg.quantisation[0])
    before = imagecodecs.jpeg8_decode(file, outcolorspace="GRAYSCALE")
    np.testing.assert_array_equal(imagecodecs.jpeg8_decode(alone), before)


def test_restart_markers_behind_the_last_block_of_a_refining_scan_are_passed_over() -> None:
    options = {"quality": 75, "progressive": True, "restart_marker_rows": 1}
    jpeg = parse(photos.jpeg_bytes(TONED, **options))
    expected = luma_scans(jpeg)
    (refining,) = [scan for scan in jpeg.scans if scan.spectrum[:3] == (0, 0, 1)]
    more = replace(refining, data=refining.data + b"\xff\xd0\x5a\xff\xd1")
    scans = tuple(more if scan is refining else scan for scan in jpeg.scans)
    assert luma_scans(replace(jpeg, scans=scans)) == expected


def test_damage_in_a_big_file_is_named() -> None:
    file = photos.jpeg_bytes(BIG, quality=92)
    end = len(file) - 2
    assert len(parse(file).scans[0].data) > 100_000
    with pytest.raises(DamagedJpegError, match="breaks off"):
        luma_scans(parse(file[: end - 1000] + file[end:]))
    assert not luma_scans(parse(file[:end] + bytes(1000) + file[end:])).sound
    assert luma_scans(parse(file)).sound


def test_every_sixteen_bits_name_the_code_they_begin_with() -> None:
    lengths, symbols = STANDARD_DC.by_window()
    assert len(lengths) == len(symbols) == 65536
    for code, length, symbol in STANDARD_DC.codes():
        span = slice(code << 16 - length, code + 1 << 16 - length)
        assert (lengths[span] == length).all()
        assert (symbols[span] == symbol).all()
    # The code of ones alone is never given away.
    assert (lengths == 0).sum() == 1 << 16 - STANDARD_DC.codes()[-1][1]


def test_bits_are_read_from_anywhere_and_joined_anywhere() -> None:
    rng = np.random.default_rng(5)
    data = rng.integers(0, 256, 300, np.uint8).tobytes()
    text = "".join(f"{byte:08b}" for byte in data) + "1" * 16
    assert [f"{value:016b}" for value in sixteen_bits(windows(data), np.arange(2400))] == [
        text[at : at + 16] for at in range(2400)
    ]
    begins, ends = np.sort(rng.integers(0, 2401, (2, 500)), axis=0)
    ends[::3] = begins[::3]
    head_bits = rng.integers(1, 26, 500)
    heads = rng.integers(0, 1 << head_bits)
    expected = "".join(
        f"{head:0{bits}b}" + text[begin:end]
        for head, bits, begin, end in zip(heads, head_bits, begins, ends, strict=True)
    )
    expected += "1" * (-len(expected) % 8)
    made = joined(heads, head_bits, windows(data), begins, ends)
    assert "".join(f"{byte:08b}" for byte in made) == expected


def test_counting_begins_anew_for_every_number() -> None:
    assert counted(np.array([2, 0, 3])).tolist() == [0, 1, 0, 1, 2]


def test_a_table_of_impossible_categories_is_refused() -> None:
    image = Image.fromarray(GREY[:64, :64])
    file = bytearray(photos.jpeg_bytes(image, quality=92))
    # The symbols of the first table, which is that of DC, begin behind marker, length, name and sixteen counts.
    at = file.index(b"\xff\xc4") + 21
    file[at + 11] = 69
    with pytest.raises(DamagedJpegError, match="DC category 69"):
        luma_scans(parse(bytes(file)))
