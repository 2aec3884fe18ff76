"""Transfer of colours from a coloured picture, the reference, to similar places of another picture.

Places of both pictures that are each other's nearest neighbour, by the network's own features, become hints: the
correspondence of He et al. 2018 (Deep Exemplar-based Colorization), limited to matches in both directions. Where
nothing matches, the network's distribution over colours is weighted by their frequency in the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from engines.adapters.base import Evidence
from engines.network import Prediction
from pipeline.color.colorizer import Colorizer
from pipeline.color.hints import ColorHint, Spread
from pipeline.color.model_input import EXIF_TURNS, ModelInput
from pipeline.color.spaces import F32, Codes, RgbSpace, ab_of_rgb, lightness, rgb_of, still_spec
from pipeline.errors import UsageError

# Chosen on five clips (DAVIS 2016), with the first frame as the reference for later frames and for other clips.
# Weights of lightness, 0..100, and of position, in short sides, relative to features of length 1.
_LIGHTNESS, _PLACE = 0.04, 0.2
# Squared distance up to which neighbours are taken for the same object. Within a scene half of them are below a third
# of this; between unrelated pictures hardly any are.
_SAME = 0.15
_MOST = 400
# Matches are at the centres of cells of the feature grid, which has 20 to 32 on its short side.
_REACH = 0.02
# Their colours fade with the difference in lightness (L*) and with distance, in short sides; the residuals left at
# their places are applied close by only.
_SPREAD_LIGHTNESS, _NEAR = 10.0, (0.2, 0.04, 0.01)
# The network's distribution is sharpened before it is weighted, and the result strengthened a little, as when a
# network chooses colours itself.
_TEMPERATURE, _STRENGTH = 0.5, 1.3
_BIN = 8.0  # CIELAB: distance over which a reference's colour counts for its neighbours
_RARE = 1e-3  # share of an even distribution assumed for colours missing in the reference
_NEUTRAL = 3.0  # CIELAB chroma below which a picture has no colour


@dataclass(frozen=True, eq=False)
class Reference:
    """Coloured pictures as a reference: features (n, C) and a* and b* (n, 2), CIELAB, of n places."""

    looks: F32
    ab: F32

    def and_of(self, other: Reference) -> Reference:
        """Return the reference with the places of both."""
        return Reference(np.concatenate([self.looks, other.looks]), np.concatenate([self.ab, other.ab]))


def reference_of(
    colorizer: Colorizer,
    codes: Codes,
    chroma: F32,
    *,
    orientation: int = 1,
    space: RgbSpace | None = None,
) -> Reference:
    """Return the reference made from a coloured picture.

    ``codes`` (H, W), uint8 or uint16, and ``chroma`` (2, h, w), -0.5..0.5, of any size, are full-range BT.601 luma and
    Cb, Cr, stored by ``orientation`` (EXIF, 1 to 8); their R, G and B are in ``space``, sRGB if None. Raises
    `UsageError` for networks without features, ValueError for a picture that has no colour.
    """
    spec, turn = still_spec(8 * codes.dtype.itemsize), EXIF_TURNS[orientation]
    seen = colorizer.model_input(codes, spec, size=colorizer.spec.size.photo, turn=turn)
    rows, columns = chroma.shape[1:]
    luma = spec.luma(np.asarray(cv2.resize(codes, (columns, rows), interpolation=cv2.INTER_AREA), codes.dtype))
    ab = ab_of_rgb(rgb_of(luma, chroma, spec.matrix), space)
    if float(np.hypot(*ab).mean()) < _NEUTRAL:
        raise ValueError("has no colour")
    if space is not None:
        seen = ModelInput(space.seen(seen.luma), turn)
    looks, shape = _looks(colorizer, seen, colorizer.examine(seen))
    return Reference(looks, _cells(turn.upright(ab), shape))


def transferred(colorizer: Colorizer, reference: Reference, picture: ModelInput, prediction: Prediction) -> F32:
    """Apply the colours of ``reference`` to ``prediction`` of ``picture``; return the resulting ab (2, h, w).

    ``prediction`` is that of `Colorizer.examine`. Raises `UsageError` for networks without features.
    """
    ab = prediction.ab[0]
    luma = cv2.resize(picture.luma, (ab.shape[2], ab.shape[1]), interpolation=cv2.INTER_AREA)
    hints = matches(colorizer, reference, picture, prediction)
    shifted = ab if prediction.evidence is None else ab + _palette_shift(reference, prediction.evidence, ab.shape[1:])
    return _spread(shifted, lightness(np.asarray(luma, np.float32)), hints) if hints else shifted


def matches(
    colorizer: Colorizer, reference: Reference, picture: ModelInput, prediction: Prediction
) -> tuple[ColorHint, ...]:
    """Return the colours of ``reference`` for places of ``picture``, as hints, the most certain first."""
    looks, (rows, columns) = _looks(colorizer, picture, prediction)
    apart = np.square(reference.looks).sum(axis=1)[:, None] + np.square(looks).sum(axis=1)
    apart -= 2 * reference.looks @ looks.T
    nearest, back = apart.argmin(axis=0), apart.argmin(axis=1)
    here = np.flatnonzero(back[nearest] == np.arange(len(looks)))
    distances = apart[nearest[here], here]
    sure = here[np.argsort(distances, kind="stable")][: min(_MOST, int((distances < _SAME).sum()))]
    return tuple(
        ColorHint(
            x=(place % columns + 0.5) / columns,
            y=(place // columns + 0.5) / rows,
            ab=(float(reference.ab[nearest[place], 0]), float(reference.ab[nearest[place], 1])),
            reach=_REACH,
        )
        for place in map(int, sure)
    )


def _spread(ab: F32, light: F32, hints: Sequence[ColorHint]) -> F32:
    """Apply ``hints`` to ``ab`` (2, h, w) by weighted means of their residuals.

    They are many and all uncertain, so means are better than exact values at each. ``light`` is L*, (h, w).
    """
    spread = Spread.of(hints, light, None)
    stated = np.array([hint.ab for hint in hints], np.float32)
    beyond = np.square(np.maximum(spread.distance - _REACH, 0))
    for near in _NEAR:
        weights = np.exp(-spread.lightness / _SPREAD_LIGHTNESS**2 - beyond / (2 * near**2))
        weights[spread.distance <= _REACH] = 1
        shares = weights / np.maximum(weights.sum(axis=0), 1)
        ab = ab + np.einsum("nc,nhw->chw", stated - ab[:, *spread.at].T, shares, dtype=np.float32)
    return ab


def _looks(colorizer: Colorizer, picture: ModelInput, prediction: Prediction) -> tuple[F32, tuple[int, int]]:
    """Return the features (n, C) of each place of the feature grid, row by row, and the grid's shape."""
    found = prediction.features
    if found is None:
        raise UsageError(
            f"{colorizer.spec.model}: this network cannot use references: it provides no image features",
            advice="Use --model fast, or leave out the reference.",
        )
    members, channels, rows, columns = found.shape
    features = found / (np.linalg.norm(found, axis=1, keepdims=True) + np.float32(1e-6))
    cells = features.transpose(2, 3, 0, 1).reshape(rows * columns, members * channels) / np.sqrt(np.float32(members))
    down, across = np.mgrid[:rows, :columns].astype(np.float32)
    side = min(rows, columns)
    places = ((down - rows / 2) / side, (across - columns / 2) / side)
    light = _cells(lightness(picture.luma)[None], (rows, columns))
    beside = [light * np.float32(_LIGHTNESS), *(place.reshape(-1, 1) * np.float32(_PLACE) for place in places)]
    return np.concatenate([cells, *beside], axis=1, dtype=np.float32), (rows, columns)


def _palette_shift(reference: Reference, evidence: Evidence, shape: Sequence[int]) -> F32:
    """Return the change of ab (2, h, w), of ``shape``, when the reference's colours are made likelier."""
    centres = evidence.centres
    logits = evidence.logits.mean(axis=0).reshape(len(centres), -1)
    near = np.exp(-np.square(reference.ab[:, None] - centres).sum(axis=-1) / np.float32(2 * _BIN**2))
    wanted = (near / (near.sum(axis=1, keepdims=True) + np.float32(1e-9))).mean(axis=0)
    usual = _softmax(logits).mean(axis=1)
    rare = np.float32(_RARE / len(centres))
    sharp = _softmax(logits / np.float32(_TEMPERATURE))
    weighted = sharp * ((wanted + rare) / (usual + rare))[:, None]
    weighted /= weighted.sum(axis=0)
    rows, columns = evidence.logits.shape[2:]
    shift = (centres.T @ (weighted - sharp) * np.float32(_STRENGTH)).reshape(2, rows, columns)
    size = (shape[1], shape[0])
    return np.stack(
        [np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), np.float32) for plane in shift]
    )


def _softmax(logits: F32) -> F32:
    shares = np.exp(logits - logits.max(axis=0))
    return np.asarray(shares / shares.sum(axis=0), np.float32)


def _cells(planes: F32, shape: tuple[int, int]) -> F32:
    """Return the means of ``planes`` (c, h, w) over the cells of a grid, (n, c)."""
    rows, columns = shape
    small = [cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA).ravel() for plane in planes]
    return np.ascontiguousarray(np.stack(small, axis=1), np.float32)
