"""Colours of hints at full size: within a hint's reach, every pixel gets the stated colour at its own luma.

Upsampled chroma is a linear function of luma in each small window; it cannot give one colour to pixels of very
different luma, nor a strong colour to a thing smaller than the window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.color.hints import ColorHint, places_of
from pipeline.color.model_input import ModelInput
from pipeline.color.spaces import F32, Matrix, RgbSpace, chroma_from_ab

# Around the reach, in short sides of the picture: width of its soft edge, and of the fading on the thing, which has the
# same luma within ``_SAME``.
_SOFT, _FADE, _SAME = 0.006, 0.036, 0.08
# Luma levels at which the chroma of a colour is computed; it is interpolated between them.
_LEVELS = np.linspace(0, 1, 256, dtype=np.float32)
_NEVER_ONE = 1.0001

Patch = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class ExactColours:
    """The colours of n hints on a picture as stored.

    ``at`` (n, 2) are rows and columns as shares of height and width; ``reach`` and the picture's ``sides``, height and
    width, are in short sides; ``weight`` (n,) is 0..1; ``luma`` (n,) is that at the hints, ``chroma`` (n, 2, levels) Cb
    and Cr of their colours.
    """

    at: F32
    reach: F32
    weight: F32
    luma: F32
    chroma: F32
    sides: tuple[float, float]

    @classmethod
    def of(
        cls, hints: Sequence[ColorHint], picture: ModelInput, guide: F32, matrix: Matrix, space: RgbSpace | None = None
    ) -> ExactColours:
        """Return the colours of ``hints`` on ``picture``, whose upright luma is ``guide`` (h, w), in ``space``."""
        ab = np.array([one.ab for one in hints], np.float32).reshape(-1, 2)
        colours = np.broadcast_to(ab.T[..., None], (2, len(ab), len(_LEVELS)))
        levels = np.broadcast_to(_LEVELS, colours.shape[1:])
        places = [picture.turn.stored_place(one.x, one.y)[::-1] for one in hints]
        return cls(
            at=np.array(places, np.float32).reshape(-1, 2),
            reach=np.array([one.reach for one in hints], np.float32),
            weight=np.array([one.weight for one in hints], np.float32),
            luma=guide[places_of(hints, *guide.shape)],
            chroma=np.moveaxis(chroma_from_ab(levels, colours, matrix, space), 1, 0),
            sides=picture.stored_sides,
        )

    def applied(self, luma: F32, cb: F32, cr: F32, *, first: int, rows: int) -> None:
        """Change ``cb`` and ``cr`` where the hints' colours apply.

        They are rows from ``first`` of planes with ``rows`` rows, for ``luma`` of their shape, all as stored. Of
        several hints of full weight that reach a pixel, the nearest decides, of equally near ones the later. Elsewhere
        hints share a pixel by their influence, which fades around the reach and is that of their weight within.
        """
        patches = list(self._patches(luma, first, rows))
        if not patches:
            return
        nearest, most, total = np.full(luma.shape, np.inf, np.float32), *np.zeros((2, *luma.shape), np.float32)
        decided, mixed = np.zeros((2, 2, *luma.shape), np.float32)
        for number, patch, distance in patches:
            reach, weight = self.reach[number], self.weight[number]
            there = luma[patch]
            made = np.stack([np.interp(there, _LEVELS, plane) for plane in self.chroma[number]])
            influence = weight * _influence(distance - reach, there - self.luma[number])
            share = influence / (np.float32(_NEVER_ONE) - influence)
            mixed[:, *patch] += share * made
            total[patch] += share
            np.maximum(most[patch], influence, out=most[patch])
            is_nearer = (influence == 1) & (distance <= nearest[patch])
            nearest[patch][is_nearer] = distance[is_nearer]
            decided[:, *patch][:, is_nearer] = made[:, is_nearer]
        stated = np.where(np.isfinite(nearest), decided, mixed / np.maximum(total, np.float32(1e-6)))
        for plane, colour in zip((cb, cr), stated, strict=True):
            plane += most * (colour - plane)

    def squares(self, side: int, rows: int, columns: int) -> npt.NDArray[np.bool_]:
        """Return which squares of ``side`` pixels the reach of a hint touches, on a picture of ``rows`` x ``columns``.

        It is stored as the planes are; the last squares may be narrower.
        """
        found = np.zeros((-(-rows // side), -(-columns // side)), np.bool_)
        for (y, x), reach in zip(self.at, self.reach, strict=True):
            # From the hint to the nearest point of each square, in short sides.
            down, across = (
                np.maximum(np.abs((np.arange(squares) + 0.5) * side - place * pixels) - side / 2, 0) * length / pixels
                for squares, place, pixels, length in zip(found.shape, (y, x), (rows, columns), self.sides, strict=True)
            )
            found |= np.hypot(down[:, None], across) <= reach
        return found

    def _patches(self, luma: F32, first: int, rows: int) -> Iterator[tuple[int, Patch, F32]]:
        """Yield (number of a hint, rows and columns it affects, distance from it in short sides)."""
        height, columns = luma.shape
        down, across = self.sides[0] / rows, self.sides[1] / columns
        for number, (y, x) in enumerate(self.at):
            radius = float(self.reach[number]) + _FADE
            top, bottom = (math.floor(y * rows - first + sign * radius / down) for sign in (-1, 1))
            left, right = (math.floor(x * columns + sign * radius / across) for sign in (-1, 1))
            patch = slice(max(top, 0), min(bottom + 1, height)), slice(max(left, 0), min(right + 1, columns))
            if patch[0].start >= patch[0].stop or patch[1].start >= patch[1].stop:
                continue
            vertical = (np.arange(patch[0].start, patch[0].stop) + (first + 0.5 - y * rows)) * down
            level = (np.arange(patch[1].start, patch[1].stop) + (0.5 - x * columns)) * across
            distance = np.hypot(vertical[:, None], level).astype(np.float32)
            # A hint's own pixel always counts as its place.
            is_own = np.maximum(np.abs(vertical)[:, None] / down, np.abs(level) / across) <= 0.5
            yield number, patch, np.where(is_own, np.float32(0), distance)


def _influence(beyond: F32, lighter: F32) -> F32:
    """Return the influence of a hint, 0..1, by the distance ``beyond`` its reach and the difference of luma."""
    alike = np.exp(-np.square(lighter / np.float32(_SAME)))
    soft, fading = (np.clip(1 - beyond / np.float32(width), 0, 1) for width in (_SOFT, _FADE))
    return np.asarray(np.maximum(soft, fading * alike), np.float32)
