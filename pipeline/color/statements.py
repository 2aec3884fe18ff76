"""A person's statement about one frame of a film: hints at places, or a coloured picture of it (a reference).

A statement applies exactly in its own frame. From there it is carried along optical flow, with a weight that no
prediction exceeds for some seconds. It also applies at every place of its shot, and of later and earlier shots of its
scene, as far as that place looks like the stated places, and unlike those without a statement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from engines.network import Prediction
from pipeline.color.hints import Adjustments, ColorHint, Features, places_of
from pipeline.color.model_input import ModelInput
from pipeline.color.optical_flow import Follower, Path, View, view
from pipeline.color.prototypes import Prototypes, keys
from pipeline.color.scene_memory import is_alike, is_going_on
from pipeline.color.spaces import F32
from pipeline.color.upsampling import compensated

_CERTAIN = np.float32(1e4)
"""Weight of a statement relative to the network's prediction for one frame."""
_UNLIKE = np.float32(0.3)
"""Number of similar places needed for half of a statement's weight."""
_FADED, _TRUSTED = 1 / 8, 0.5
"""How much weight the exact colour of a hint loses from frame to frame; the trust in motion that it needs."""
_NOTHING = np.float32(1e-6)
"""Share, or difference in CIELAB, that counts as 0."""


@dataclass(frozen=True, eq=False)
class Statement:
    """Colours ``ab`` (2, h, w), CIELAB, on the grid of the network's chroma, and how far each is stated, ``share``.

    ``share`` (h, w) is from 0, not stated there, to 1. ``places`` are the keys of the frame's contents, with sums of a*
    and b* times share, and of share; None if the network gives no features. ``seen`` is the frame as used to find
    motion. A statement that ``is_of_no_frame`` applies to every shot. ``hints`` are exact at full size in its frame.
    """

    ab: F32
    share: F32
    seen: View
    places: Prototypes | None
    is_of_no_frame: bool = False
    hints: tuple[ColorHint, ...] = ()

    def is_of(self, first: View, places: F32, follower: Follower) -> bool:
        """Tell whether a shot that begins with ``first``, with keys ``places``, shows this statement's scene."""
        if self.is_of_no_frame:
            return True
        if self.seen.guide.shape != first.guide.shape:
            return False
        if is_going_on(follower.step(self.seen, first)):
            return True
        return self.places is not None and is_alike(self.places, places)

    def applied(self, ab: F32) -> F32:
        """Apply the statement to ``ab`` (2, h, w) of its own frame."""
        return np.asarray(ab + (self.ab - ab) * self.share, np.float32)

    def weight(self) -> F32:
        """Return the weight of its frame's chroma (h, w, 1); 1 where nothing is stated."""
        return (1 + _CERTAIN * self.share)[..., None]


def statement(seen: ModelInput, prediction: Prediction, ab: F32, share: F32, *, stride: int) -> Statement:
    """Make a statement of ``ab`` (2, h, w) and ``share`` (h, w), 0..1, about the frame ``seen``.

    They are resized to the grid of the network's chroma.
    """
    shape = prediction.ab.shape[2:]
    planes = _resized(np.concatenate([ab * share, share[None]]), shape)
    stated = planes[:2] / np.maximum(planes[2], _NOTHING)
    places = None
    if prediction.features is not None:
        features = np.moveaxis(prediction.features[0], 0, -1)
        sums = _resized(planes, features.shape[:2]).reshape(3, -1).T
        looks = keys(features, seen.luma)
        places = Prototypes(looks, np.ascontiguousarray(sums), np.ones(len(looks), np.float32))
    return Statement(stated, planes[2], view(seen.luma, stride=stride), places)


def hinted(seen: ModelInput, prediction: Prediction, wanted: Adjustments, *, stride: int) -> Statement:
    """Make a statement of the hints in ``wanted``: the prediction as changed by them, with their influence.

    They spread as in photographs. The share of a place is at least its change relative to the greatest change, so that
    no stated colour is farther from the network's prediction than that.
    """
    features = None if prediction.features is None else Features(prediction.features[0])
    made = wanted.applied(prediction.ab[0], seen.luma, features)
    predicted = prediction.ab[0] * np.float32(wanted.saturation)
    change = made.ab - predicted
    size = np.hypot(*change)
    share = np.maximum(made.share, size / np.maximum(size.max(), _NOTHING))
    kept = compensated(seen.luma, made.ab, wanted.hints) - made.ab
    stated = predicted + (change + kept) / np.maximum(share, _NOTHING)
    about = statement(seen, prediction, np.asarray(stated, np.float32), share, stride=stride)
    return replace(about, hints=wanted.hints)


def hints_in(statements: Iterable[Statement]) -> tuple[ColorHint, ...]:
    """Return the hints of a frame's ``statements``."""
    return tuple(hint for one in statements for hint in one.hints)


def carried(hints: Sequence[ColorHint], path: Path) -> tuple[ColorHint, ...]:
    """Return ``hints`` of a frame as they apply, with less weight, in its neighbour, to which ``path`` leads."""
    rows, columns = path.trust.shape[:2]
    moved = []
    for hint, row, column in zip(hints, *places_of(hints, rows, columns), strict=True):
        x, y = (path.places[row, column] - (column, row)) / (columns, rows) + (hint.x, hint.y)
        weight = hint.weight - _FADED
        if weight > 0 and path.trust[row, column] > _TRUSTED and 0 <= x <= 1 and 0 <= y <= 1:
            moved.append(replace(hint, x=float(x), y=float(y), weight=weight))
    return tuple(moved)


def stated_at(statements: Iterable[Statement], places: F32) -> tuple[F32, F32]:
    """Apply ``statements`` to places with keys (n, K): return a* and b* (n, 2), and their share (n, 1), 0..1."""
    sums, weight = np.zeros((len(places), 3), np.float32), np.zeros((len(places), 1), np.float32)
    for made in statements:
        if made.places is not None and made.places.keys.shape[1] == places.shape[1]:
            stated, like = made.places.averaged_at(places)
            sums, weight = sums + stated, weight + like
    ab = sums[:, :2] / np.maximum(sums[:, 2:], _NOTHING)
    return np.asarray(ab, np.float32), np.asarray(sums[:, 2:] / (weight + _UNLIKE), np.float32)


def _resized(planes: F32, shape: Sequence[int]) -> F32:
    rows, columns = shape
    kind = cv2.INTER_AREA if rows <= planes.shape[1] else cv2.INTER_LINEAR
    return np.stack([np.asarray(cv2.resize(one, (columns, rows), interpolation=kind), np.float32) for one in planes])
