"""Damage films by number: the same number always gives the same damage. A program, so that a crash is survived."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import AutochromeError
from pipeline.media.decode import frames
from pipeline.media.probe import probe
from pipeline.media.read_log import ReadLog
from pipeline.options import OnDamage
from tests.films import Sound, make_film

FRAMES = 24


@dataclass(frozen=True)
class Kind:
    codec: str
    pixel_format: str = "yuv420p"
    sound: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


FILMS = {
    "a.mp4": Kind("libx264", sound="aac", options={"g": "8"}),
    "b.mkv": Kind("ffv1", options={"level": "3", "slicecrc": "1"}, sound="flac"),
    "c.avi": Kind("mpeg4", sound="mp2", options={"g": "8"}),
    "d.mov": Kind("mjpeg", "yuvj420p", sound="pcm_s16le"),
    "e.ts": Kind("mpeg2video", sound="mp2", options={"bf": "2", "g": "8"}),
    "f.mpg": Kind("mpeg2video", sound="mp2", options={"g": "8"}),
    "g.webm": Kind("libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8", "g": "8"}, sound="libopus"),
    "h.mxf": Kind("mpeg2video", sound="pcm_s16le", options={"g": "8"}),
    "i.ts": Kind("libx264", sound="aac", options={"g": "8", "preset": "veryfast"}),
}


def make_films(folder: Path) -> None:
    for name, kind in FILMS.items():
        make_film(
            folder / name,
            codec=kind.codec,
            pixel_format=kind.pixel_format,
            color_range=2 if kind.pixel_format.startswith("yuvj") else 0,
            width=64,
            height=48,
            times=range(FRAMES),
            grain=0.03,
            options=kind.options,
            sounds=[Sound(codec=kind.sound, seconds=FRAMES / 25)] if kind.sound else [],
        )


def flip_bits(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 3, 20))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def zero_a_run(data: bytearray, chance: random.Random) -> None:
    length = chance.choice((4, 64, 512, 4096))
    start = chance.randrange(len(data))
    length = min(length, len(data) - start)
    data[start : start + length] = bytes(length)


def cut_the_end(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(1, len(data)) :]


def swap_blocks(data: bytearray, chance: random.Random) -> None:
    length = min(chance.choice((188, 512, 2048)), len(data) // 3)
    a, b = sorted(chance.sample(range(len(data) // length), 2))
    one, other = slice(a * length, (a + 1) * length), slice(b * length, (b + 1) * length)
    data[one], data[other] = data[other], data[one]


def edit_the_header(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 4))):
        data[chance.randrange(min(len(data), 1200))] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))


def lose_a_block(data: bytearray, chance: random.Random) -> None:
    length = min(chance.choice((1, 188, 2048)), len(data) // 3)
    start = chance.randrange(len(data) - length)
    del data[start : start + length]


DAMAGES: Sequence[Callable[[bytearray, random.Random], None]] = (
    flip_bits,
    zero_a_run,
    cut_the_end,
    swap_blocks,
    edit_the_header,
    lose_a_block,
)


def describe(number: int) -> tuple[str, Callable[[bytearray, random.Random], None], OnDamage]:
    name = list(FILMS)[number % len(FILMS)]
    number //= len(FILMS)
    damage = DAMAGES[number % len(DAMAGES)]
    return name, damage, list(OnDamage)[number // len(DAMAGES) % len(OnDamage)]


def make_variant(folder: Path, target: Path, number: int) -> tuple[Path, OnDamage]:
    name, damage, policy = describe(number)
    data = bytearray((folder / name).read_bytes())
    damage(data, random.Random(number))
    path = target / f"{number}-{name}"
    path.write_bytes(data)
    return path, policy


def outcome(path: Path, policy: OnDamage) -> dict[str, object]:
    read_log = ReadLog(luma=False)
    try:
        info = probe(path)
        for _ in frames(info, info.pixel_format, read_log=read_log, on_damage=policy):
            pass
    except AutochromeError as error:
        return {"error": str(error), "exit_code": error.exit_code}
    return {"frames": read_log.frames, "notes": [note.text for note in read_log.notes]}


def tell(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main(folder: Path, target: Path, numbers: range) -> None:
    for number in numbers:
        tell({"number": number})
        path, policy = make_variant(folder, target, number)
        started = time.monotonic()
        try:
            found = outcome(path, policy)
        except Exception as error:  # noqa: BLE001 - told to the test, which fails
            found = {"unexpected": f"{type(error).__name__}: {error}"}
        found |= {"number": number, "what": str(describe(number)), "seconds": time.monotonic() - started}
        tell(found)
        path.unlink()


if __name__ == "__main__":
    first, stop, step = map(int, sys.argv[3:])
    main(Path(sys.argv[1]), Path(sys.argv[2]), range(first, stop, step))
