"""Shot detection: ``python -m benchmarks.shots CLIP_OR_FOLDER...`` prints precision and recall on joined clips.

Pieces of 8 to 40 frames are joined at random by cuts, dissolves and fades through black, clean and aged like old film,
and shots are detected. A clip with cuts of its own is named with the first frames of its later shots:
``film.mp4:56,96``.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np

from engines.adapters.autochrome1 import FILM
from pipeline.color.frame_record import FrameRecord, Link
from pipeline.color.model_input import ModelInput
from pipeline.color.shots import find_shots
from pipeline.color.spaces import F32

HEIGHT, WIDTH = FILM, 224
_PIECES_PER_FILM = 12
# A blend may be detected as longer than it is by this many frames at each end.
_MARGIN = 9
_SUFFIXES = {".mp4", ".mkv", ".mov", ".avi", ".webm"}


@dataclass(frozen=True)
class Ageing:
    """The effects of age on a film; all as shares of full scale or of the picture's height.

    ``flicker`` is the largest change of brightness, ``weave`` and ``grain`` are standard deviations, ``dust`` is the
    number of spots per frame, ``flashes`` the probability of a flash or dark gap of 1 to 3 frames in a piece,
    ``exposure`` the minimum brightness of a shot.
    """

    flicker: float = 0.0
    weave: float = 0.0
    grain: float = 0.0
    dust: float = 0.0
    flashes: float = 0.0
    exposure: float = 1.0
    pillars: bool = False


AGEINGS = {
    "as it is": Ageing(),
    "worn": Ageing(flicker=0.1, weave=0.004, grain=0.03, dust=2, flashes=0.1),
    "old": Ageing(flicker=0.2, weave=0.008, grain=0.06, dust=4, flashes=0.3),
    "old and dark": Ageing(flicker=0.2, weave=0.008, grain=0.03, dust=4, flashes=0.3, exposure=0.15),
    "old in pillars": Ageing(flicker=0.2, weave=0.008, grain=0.06, dust=4, flashes=0.3, pillars=True),
}


@dataclass
class Film:
    """Frames (h, w), 0..1; first frames after cuts; first and last frame of dissolves, fades and flashes."""

    frames: list[F32]
    cuts: set[int] = field(default_factory=set)
    dissolves: list[tuple[int, int]] = field(default_factory=list)
    fades: list[tuple[int, int]] = field(default_factory=list)
    flashes: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Count:
    """Sums over films; a blend is found if its middle third is BLEND or the number changes inside it."""

    found: int = 0
    false: int = 0
    missed: int = 0
    dissolves: int = 0
    dissolves_found: int = 0
    fades: int = 0
    fades_found: int = 0
    hard: int = 0
    frames: int = 0
    elsewhere: int = 0
    stray: int = 0
    seconds: float = 0.0

    def add(self, film: Film, placed: Sequence[FrameRecord], seconds: float) -> None:
        """Compare what was detected in ``film`` with the truth."""
        blends = [*film.dissolves, *film.fades]
        inside = _near(blends, 4)
        elsewhere = {*range(len(placed))} - _near(blends, _MARGIN) - _near(film.flashes, 1)
        cuts = {p.index for p in placed if p.link is Link.CUT} - {0}
        self.found += len(cuts & film.cuts)
        self.missed += len(film.cuts - cuts)
        self.false += len(cuts - film.cuts - inside)
        self.hard += len((cuts - film.cuts) & inside)
        self.dissolves += len(film.dissolves)
        self.dissolves_found += sum(_is_found(placed, blend) for blend in film.dissolves)
        self.fades += len(film.fades)
        self.fades_found += sum(_is_found(placed, blend) for blend in film.fades)
        self.frames += len(placed)
        self.elsewhere += len(elsewhere)
        self.stray += sum(placed[n].link is Link.BLEND for n in elsewhere)
        self.seconds += seconds

    def row(self) -> str:
        """Return the sums as a line of the table."""
        precision = self.found / max(self.found + self.false, 1)
        recall = self.found / max(self.found + self.missed, 1)
        return (
            f"{self.found + self.missed:5d} {precision:9.4f} {recall:7.4f}"
            f" {self.dissolves:9d} {self.dissolves_found / max(self.dissolves, 1):6.3f}"
            f" {self.fades:5d} {self.fades_found / max(self.fades, 1):6.3f} {self.hard:5d}"
            f" {self.stray / max(self.elsewhere, 1):7.4f}"
            f" {1000 * self.seconds / max(self.frames, 1):6.2f}"
        )


HEADER = " cuts precision  recall dissolves  found fades  found  hard   stray     ms"


def _near(ranges: Iterable[tuple[int, int]], margin: int) -> set[int]:
    return {n for first, last in ranges for n in range(first - margin, last + margin + 1)}


def _is_found(placed: Sequence[FrameRecord], blend: tuple[int, int]) -> bool:
    first, last = blend
    third = (last - first) // 3
    middle = placed[first + third : last - third + 1]
    return placed[first - 1].shot != placed[last].shot or all(p.link is Link.BLEND for p in middle)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", help="films or folders of films; film.mp4:56,96 for one with cuts")
    parser.add_argument("--films", type=int, default=20, help="joined films for each row")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    clips = [clip for name in arguments.clips for clip in _clips(name)]
    print("whole clips      frames blended shots, and where they are cut")
    for name, film in clips:
        placed, _ = _search(film)
        cuts = sorted({p.index for p in placed if p.link is Link.CUT} - {0})
        blended = sum(p.link is Link.BLEND for p in placed)
        print(f"{name[:16]:16} {len(placed):6d} {blended:7d} {placed[-1].shot + 1:5d} {cuts}")
    print(f"\njoined           {HEADER}")
    shots = [shot for _, film in clips for shot in _shots(film)]
    for name, ageing in AGEINGS.items():
        count = Count()
        for number in range(arguments.films):
            film = joined(shots, ageing, np.random.default_rng((arguments.seed, number)))
            count.add(film, *_search(film))
        print(f"{name:16} {count.row()}", flush=True)


def _clips(name: str) -> Iterator[tuple[str, Film]]:
    path, _, cuts = name.partition(":")
    files = sorted(p for p in Path(path).rglob("*") if p.suffix in _SUFFIXES) if Path(path).is_dir() else [Path(path)]
    for file in files:
        yield file.stem, Film(list(_frames(file)), {int(cut) for cut in cuts.split(",") if cut})


def _frames(path: Path) -> Iterator[F32]:
    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            luma = frame.reformat(format="gray").to_ndarray()
            small = cv2.resize(luma, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
            yield np.asarray(small, np.float32) / np.float32(255)


def _shots(film: Film) -> Iterator[list[F32]]:
    bounds = [0, *sorted(film.cuts), len(film.frames)]
    for first, end in itertools.pairwise(bounds):
        yield film.frames[first:end]


def _search(film: Film) -> tuple[list[FrameRecord], float]:
    frames = [FrameRecord(index=n, model_input=ModelInput(frame)) for n, frame in enumerate(film.frames)]
    before = time.process_time()
    return list(find_shots(frames)), time.process_time() - before


def joined(shots: Sequence[list[F32]], ageing: Ageing, rng: np.random.Generator) -> Film:
    """Join pieces of ``shots``, never two of one shot in a row: half by cuts, the others by dissolves and fades."""
    last = int(rng.integers(len(shots)))
    film = Film(_piece(shots[last], ageing, rng))
    for _ in range(_PIECES_PER_FILM - 1):
        last = int((last + rng.integers(1, len(shots))) % len(shots))
        piece = _piece(shots[last], ageing, rng)
        kind = rng.choice(["cut", "cut", "dissolve", "fade"])
        room = min(len(film.frames), len(piece))
        if kind == "cut" or room < 20:
            film.cuts.add(len(film.frames))
            film.frames += piece
        elif kind == "dissolve":
            _dissolve(film, piece, int(rng.integers(12, min(24, room - 6) + 1)))
        else:
            _fade(film, piece, ramp=int(rng.integers(6, 13)), black=int(rng.integers(0, 13)))
        if rng.random() < ageing.flashes and len(piece) > 12:
            _flash(film, len(film.frames) - int(rng.integers(7, 10)), rng)
    film.frames = list(_aged(film.frames, ageing, rng))
    return film


def _piece(shot: list[F32], ageing: Ageing, rng: np.random.Generator) -> list[F32]:
    length = int(rng.integers(8, 41))
    first = int(rng.integers(0, max(1, len(shot) - length)))
    exposure = np.float32(rng.uniform(ageing.exposure, 1.0))
    return [frame * exposure for frame in shot[first : first + length]]


def _flash(film: Film, first: int, rng: np.random.Generator) -> None:
    level = np.float32(rng.choice([0.02, 0.5, 0.95]))
    last = first + int(rng.integers(0, 3))
    for n in range(first, last + 1):
        film.frames[n] = film.frames[n] * np.float32(0.05) + level
    film.flashes.append((first, last))


def _dissolve(film: Film, piece: list[F32], length: int) -> None:
    start = len(film.frames) - length
    for k in range(length):
        share = np.float32((k + 1) / (length + 1))
        film.frames[start + k] = film.frames[start + k] * (1 - share) + piece[k] * share
    film.frames += piece[length:]
    film.dissolves.append((start, start + length - 1))


def _fade(film: Film, piece: list[F32], *, ramp: int, black: int) -> None:
    start = len(film.frames) - ramp
    for k in range(ramp):
        film.frames[start + k] = film.frames[start + k] * np.float32(1 - (k + 1) / (ramp + 1))
        piece[k] = piece[k] * np.float32((k + 1) / (ramp + 1))
    film.frames += [np.zeros_like(piece[0])] * black + piece
    film.fades.append((start, start + 2 * ramp + black - 1))


def _aged(frames: Iterable[F32], ageing: Ageing, rng: np.random.Generator) -> Iterator[F32]:
    scratch = float(rng.uniform(0, WIDTH))
    columns = np.linspace(-0.5, 0.5, WIDTH, dtype=np.float32)
    for frame in frames:
        flicker = 1 + rng.uniform(-1, 1) * ageing.flicker + rng.uniform(-1, 1) * ageing.flicker * columns
        picture = frame * flicker.astype(np.float32)
        picture += rng.normal(0, 1, frame.shape).astype(np.float32) * np.float32(ageing.grain)
        for _ in range(rng.poisson(ageing.dust)):
            centre = (int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
            cv2.circle(picture, centre, int(rng.integers(1, 6)), float(rng.choice([0.05, 0.95])), -1)
        if ageing.dust:
            scratch = float(np.clip(scratch + rng.normal(0, 3), 0, WIDTH - 2))
            picture[:, int(scratch)] = 0.9
        dx, dy = rng.normal(0, 1, 2) * ageing.weave * HEIGHT
        moved = cv2.warpAffine(
            picture, np.array([[1, 0, dx], [0, 1, dy]]), (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE
        )
        if ageing.pillars:
            moved[:, : WIDTH // 8] = moved[:, -WIDTH // 8 :] = 0
        yield np.clip(np.asarray(moved, np.float32), 0, 1)


if __name__ == "__main__":
    main()
