"""Photographs for training: decoded once into one flat file, from which random crops are cut.

The cache is a single array of uint8 RGB pixels with an index of offsets and sizes; it is memory-mapped, so several runs
share it and the operating system keeps what fits.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, repeat
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from engines.machine import usable_cores
from training.files import check_output, check_place, writing
from training.photo_files import (
    PICTURE_SUFFIXES,
    UNREADABLE,
    PhotosError,
    check_sources,
    contents,
    photos_fingerprint,
    pictures,
)
from training.photo_verdict import MIN_SIDE, photo_verdict

U8 = npt.NDArray[np.uint8]

PIXELS = "pixels.u8"
REPORT = "report.json"
_PARTIAL, _MADE_OF = "pixels.partial", "made-of.json"
# Number of files in memory at a time.
_CHUNK = 64


@dataclass(frozen=True)
class CacheReport:
    """How many photographs went into a cache, and why the others did not."""

    kept: int
    too_small: int
    grey: int
    toned: int
    unreadable: int


def read_report(cache: Path) -> dict[str, int]:
    """Return the counts of the `CacheReport` that `build_cache` left in ``cache``, and the version that made it."""
    counts: dict[str, int] = json.loads((cache / REPORT).read_text(encoding="utf-8"))
    return counts


def is_cache(folder: Path) -> bool:
    """Return whether ``folder`` holds a complete cache of `build_cache`."""
    return (folder / PIXELS).exists()


def check_cache(cache: Path, *, sources: Sequence[Path] | None, short_side: int | None, enough: int | None) -> None:
    """Raise `PhotosError` if ``cache`` does not match what `build_cache` would make from these arguments.

    ``sources`` and ``short_side`` may be None to accept any. ``enough`` None requires all photographs; a number accepts
    a cache with at least as many. A cache without a record of how it was made is accepted, and so is one of whose
    ``sources`` one is gone.
    """
    if not (cache / _MADE_OF).exists():
        return
    made_of = json.loads((cache / _MADE_OF).read_text(encoding="utf-8"))
    if sources is not None and made_of["sources"] != _named(sources):
        raise PhotosError(
            f"{cache}: was made of other photographs: {', '.join(made_of['sources'])}",
            advice="Choose a new run folder, or leave out --photos to continue with those.",
        )
    if sources is not None and "digest" in made_of and all(source.exists() for source in sources):
        _check_unchanged(cache, sources, made_of)
    few = made_of.get("enough")
    if few is not None and (enough is None or enough > few):
        raise PhotosError(
            f"{cache}: holds {few} of the photographs, for a check with --overfit, "
            f"not {'all' if enough is None else enough}",
            advice="Choose a new run folder, and give --photos.",
        )
    if short_side is not None and made_of["short_side"] != short_side:
        raise PhotosError(
            f"{cache}: its photographs have been reduced to {made_of['short_side']} pixels, not {short_side}",
            advice="Choose a new run folder, or leave out --short-side.",
        )


def _check_unchanged(cache: Path, sources: Sequence[Path], made_of: Mapping[str, Any]) -> None:
    now, then = photos_fingerprint(sources), made_of["pictures"]
    if now["digest"] == made_of["digest"]:
        return
    text = f"{now['pictures']:,} pictures, {then:,}" if now["pictures"] != then else f"{then:,} pictures, but not those"
    raise PhotosError(
        f"{', '.join(map(str, sources))}: {text} when {cache} was made of them",
        advice="Choose a new run folder for the current ones, or leave out --photos to continue with the earlier ones.",
    )


def _named(sources: Sequence[Path]) -> list[str]:
    return sorted(str(source.resolve()) for source in sources)


def build_cache(
    sources: list[Path],
    cache: Path,
    *,
    short_side: int,
    limit: int | None = None,
    enough: int | None = None,
    workers: int | None = None,
    watch: Callable[[int, int], None] = lambda _, __: None,
    accept: Callable[[CacheReport], None] = lambda _: None,
) -> CacheReport:
    """Decode every photograph in ``sources`` (folders or zip files), or the first ``limit``, into ``cache``.

    With ``enough``, decoding stops once that many are kept.

    Pictures are scaled down so that the shorter side is ``short_side`` pixels. Pictures with a side under 64 pixels,
    without colour (mean Lab chroma under 3) or toned (their colour is only a function of lightness, as in sepia prints)
    are left out and counted, and so are files that cannot be read. ``workers`` is the number of decoding threads, None
    for one per processor. ``watch`` receives the number of pictures examined and their total; with ``enough``, the
    number kept and ``enough``. ``accept`` may raise an error to reject the result. Raises `PhotosError` for a source
    that is missing, and if no photograph can be used, `WriteError` if ``cache`` cannot be written, `SourceError` if it
    lies among the sources. After an error nothing is left in it.
    """
    check_output(cache, sources)
    check_sources(sources)
    check_place(cache / PIXELS)
    made = not cache.exists()
    try:
        with writing(cache):
            cache.mkdir(parents=True, exist_ok=True)
            report = _decode(
                sources, cache, short_side=short_side, limit=limit, enough=enough, workers=workers, watch=watch
            )
        if not report.kept:
            counted = (
                ", ".join(f"{count} {name}" for name, count in vars(report).items() if count) or "no picture at all"
            )
            raise PhotosError(
                f"{', '.join(map(str, sources))}: no photograph usable for training: {counted.replace('_', ' ')}",
                advice=f"Colour photographs of at least {MIN_SIDE} pixels are needed: "
                f"{', '.join(sorted(PICTURE_SUFFIXES))}.",
            )
        accept(report)
    except BaseException:
        for name in (_PARTIAL, PIXELS, "index.npy", REPORT, _MADE_OF):
            (cache / name).unlink(missing_ok=True)
        if made and cache.exists():
            cache.rmdir()
        raise
    return report


def _decode(
    sources: list[Path],
    cache: Path,
    *,
    short_side: int,
    limit: int | None,
    enough: int | None,
    workers: int | None,
    watch: Callable[[int, int], None],
) -> CacheReport:
    counts = {"kept": 0, "too_small": 0, "grey": 0, "toned": 0, "unreadable": 0}
    index: list[tuple[int, int, int]] = []
    offset = 0
    partial = cache / _PARTIAL
    made_of = {"sources": _named(sources), "short_side": short_side, "enough": enough, **photos_fingerprint(sources)}
    with partial.open("wb") as out, ThreadPoolExecutor(workers or usable_cores()) as pool:
        names = [(source, name) for source in sources for name, _, _ in pictures(source)][:limit]
        files = contents(names)
        while chunk := list(islice(files, _CHUNK if enough is None else min(_CHUNK, enough - counts["kept"]))):
            for verdict, picture in pool.map(_prepare, chunk, repeat(short_side)):
                counts[verdict] += 1
                if picture is not None:
                    index.append((offset, picture.shape[0], picture.shape[1]))
                    offset += out.write(picture.tobytes())
            if enough is None:
                watch(sum(counts.values()), len(names))
            else:
                watch(counts["kept"], enough)
    np.save(cache / "index.npy", np.array(index, np.int64).reshape(-1, 3))
    report = CacheReport(**counts)
    (cache / REPORT).write_text(json.dumps(counts), encoding="utf-8")
    (cache / _MADE_OF).write_text(json.dumps(made_of), encoding="utf-8")
    partial.rename(cache / PIXELS)
    return report


def _prepare(data: bytes | None, short_side: int) -> tuple[str, U8 | None]:
    if data is None:
        return "unreadable", None
    try:
        rgb = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    except UNREADABLE:
        return "unreadable", None
    height, width = rgb.shape[:2]
    if min(height, width) < MIN_SIDE:
        return "too_small", None
    scale = min(1.0, short_side / min(height, width))
    rgb = cv2.resize(rgb, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    picture = np.ascontiguousarray(rgb, np.uint8)
    verdict = photo_verdict(picture)
    return verdict, picture if verdict == "kept" else None


class Photos(Protocol):
    """Random access to photographs. The order is fixed, and the last ones are those that a run holds out."""

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Height and width of every photograph, shape (N, 2)."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> U8:
        """Return photograph ``number`` as uint8 RGB, shape (H, W, 3)."""
        ...


class PhotoCache:
    """Random access to the photographs of a cache made by `build_cache`."""

    def __init__(self, cache: Path) -> None:
        self.index: npt.NDArray[np.int64] = np.load(cache / "index.npy")
        """Offset, height and width of every photograph, shape (N, 3); its pixels (H, W, 3) begin at the offset."""
        self.path = cache / PIXELS
        self._pixels: U8 = np.memmap(self.path, np.uint8, mode="r")

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Height and width of every photograph, shape (N, 2)."""
        return self.index[:, 1:]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> U8:
        """Return photograph ``number`` as uint8 RGB, shape (H, W, 3)."""
        offset, height, width = (int(v) for v in self.index[number])
        return self._pixels[offset : offset + height * width * 3].reshape(height, width, 3)


@dataclass(frozen=True)
class Crop:
    """A square of a photograph of the cache, in pixels, mirrored left to right or not."""

    number: int
    top: int
    left: int
    side: int
    mirrored: bool


def draw_crop(number: int, height: int, width: int, min_scale: float, rng: np.random.Generator) -> Crop:
    """Return a random square; its side is between ``min_scale`` and 1 times the shorter side."""
    side = round(min(height, width) * rng.uniform(min_scale, 1.0))
    top = int(rng.integers(height - side + 1))
    left = int(rng.integers(width - side + 1))
    return Crop(number, top, left, side, bool(rng.random() < 0.5))


def cut(picture: U8, crop: Crop, size: int) -> U8:
    """Return ``crop`` of ``picture`` scaled to (size, size, 3)."""
    square = picture[crop.top : crop.top + crop.side, crop.left : crop.left + crop.side]
    if crop.mirrored:
        square = square[:, ::-1]
    interpolation = cv2.INTER_AREA if crop.side > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (size, size), interpolation=interpolation), np.uint8)


def random_crop(picture: U8, size: int, min_scale: float, rng: np.random.Generator) -> U8:
    """Return a random square of ``picture``, flipped half the time, scaled to (size, size, 3); see `draw_crop`."""
    return cut(picture, draw_crop(0, picture.shape[0], picture.shape[1], min_scale, rng), size)


def middle_crop(picture: U8, size: int) -> U8:
    """Return the largest square in the middle of ``picture``, scaled to (size, size, 3)."""
    return cut(picture, middle(0, picture.shape[0], picture.shape[1]), size)


def middle(number: int, height: int, width: int) -> Crop:
    """Return the largest square in the middle of a photograph."""
    side = min(height, width)
    return Crop(number, (height - side) // 2, (width - side) // 2, side, mirrored=False)


@dataclass(frozen=True)
class Stage:
    """A part of a run: until step ``until`` each step has ``batch`` crops of ``crop`` pixels, see `draw_crop`."""

    until: int
    batch: int
    crop: int
    min_scale: float


class CropStream:
    """Batches of random crops, a pure function of (seed, step): a resumed run sees the same as an uninterrupted one."""

    def __init__(
        self,
        photos: Photos,
        *,
        stages: Sequence[Stage],
        seed: int,
        holdout: int,
        rank: int = 0,
        ranks: int = 1,
        augment: bool = True,
    ) -> None:
        """Use all of ``photos`` except the last ``holdout``; of ``ranks`` processes, ``rank`` gets a share.

        The last of ``stages`` has no end. Without ``augment`` every crop is the largest square in the middle.
        """
        self._augment = augment
        self._photos, self._stages, self._seed = photos, tuple(stages), seed
        self._count = len(photos) - holdout
        self._share = slice(rank, None, ranks)

    def stage(self, step: int) -> Stage:
        """Return the stage of ``step``."""
        return stage_at(self._stages, step)

    def plan(self, step: int) -> list[Crop]:
        """Return this process's crops of ``step``."""
        stage = self.stage(step)
        first = crops_before(self._stages, step)
        rng = np.random.default_rng((self._seed, 2, step))
        chosen = [self._chosen(place) for place in range(first, first + stage.batch)]
        crops = [
            draw_crop(number, height, width, stage.min_scale, rng) if self._augment else middle(number, height, width)
            for number, (height, width) in zip(chosen, self._photos.sizes[chosen].tolist(), strict=True)
        ]
        return crops[self._share]

    def _chosen(self, place: int) -> int:
        epoch, within = divmod(place, self._count)
        return int(_order(self._seed, epoch, self._count)[within])

    def __getitem__(self, step: int) -> U8:
        """Return the crops of ``step`` as uint8 RGB, shape (N, 3, size, size)."""
        size = self.stage(step).crop
        crops = [cut(self._photos[crop.number], crop, size) for crop in self.plan(step)]
        return np.ascontiguousarray(np.stack(crops).transpose(0, 3, 1, 2))


def stage_at(stages: Sequence[Stage], step: int) -> Stage:
    """Return the stage that contains ``step``; after the last stage, the last."""
    return next((stage for stage in stages if step < stage.until), stages[-1])


def crops_before(stages: Sequence[Stage], step: int) -> int:
    """Return the number of crops in the steps before ``step``."""
    total, begun = 0, 0
    for stage in stages[:-1]:
        total += stage.batch * (max(begun, min(step, stage.until)) - begun)
        begun = max(begun, stage.until)
    return total + stages[-1].batch * max(0, step - begun)


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng((seed, 1, epoch)).permutation(count)
