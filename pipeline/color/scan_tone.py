"""Judgement of a photograph's scan: its tone without page and colour target, and the parts that have colour.

For photographs only; films are judged by `pipeline.color.tone`, shot by shot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property

import cv2
import numpy as np
import numpy.typing as npt

from engines.tone_network import tone_network
from pipeline.color.album_page import page
from pipeline.color.colour_target import colour_target
from pipeline.color.model_input import Turn
from pipeline.color.spaces import F32, Matrix, rgb_of
from pipeline.color.tint_fit import LEAST_PIXELS, TintFit, fitted, tint_of
from pipeline.color.tone import (
    LEAST_WEIGHT,
    STRONGEST_TINT,
    Prior,
    ToneEvidence,
    Verdict,
    evidence,
    inside,
    judge,
)
from pipeline.color.tone_edges import edge_figures
from pipeline.color.tone_odds import Figures, log_odds_with_edges
from pipeline.results import SourceTone
from pipeline.sizes import size_within

Bools = npt.NDArray[np.bool_]

Appears = Callable[[F32, F32], float]
"""The tone network's log odds that a scan has colours of its own, for luma (h, w) and chroma (2, h, w)."""

JUDGED_SIDE = 128  # longer side of the picture that is judged
_COARSE_SIDE = 64  # the same for the tone
_MIXED = np.ones((5, 5), np.uint8)  # reach on the coarse picture within which prints mix with the page
_LEAST_ON_PAGE = 0.08  # share of the scan: a page with less on it is a picture's own ground, and counts
_PAGE_TINT = 0.02
_ALIKE, _ALIKE_LUMA = 0.02, 0.06  # from the tone of the page
# A coloured part: residual chroma beyond the tint and beyond noise, on at least this many pixels, 0.1 %.
_COLOURED, _BEYOND_NOISE = 0.03, 4.0
_LEAST_PART = 12
_CLIPPED = 0.96  # luma from which a strong tint is clipped
_STRONGER = 1.5  # times the tint
_AROUND = np.ones((3, 3), np.uint8)
_UNSURE = 0.5
# The tone network is asked if the log odds of chroma are so near the threshold. It sees colours a little too often, and
# its log odds then count more than those of chroma; a decision against chroma is in doubt.
_ASKED, _TOO_OFTEN, _BY_CHROMA, _MOST_AGAINST = 10.0, 1.0, 0.35, 3.9
# A digital camera's picture is rarely of a toned print, unless it is brown like these: blue is sea and sky. A picture
# that keeps its colours, but as a scan would be a toned print, is in doubt.
# Few prints are green, and many lawns and woods are: of 746 photographs and as many prints made from them, this
# recolours one green photograph instead of four and leaves no further print.
_SCAN, _GREEN_SCAN = Prior(0.0, strong=-3.0), Prior(-1.0, strong=-4.0)
_BY_CAMERA, _BROWN_BY_CAMERA = Prior(-8.0, doubt=8.0), Prior(-5.0, doubt=5.0)
_LEAST_HUE = 0.012  # mean chroma of brown (less blue and more red than grey has) and of green (less of both)
# Greatest share of the picture for a coloured part, and least certainty that its surroundings are not coloured.
_SMALL, _SURE = 0.08, 0.6
_MOST = 0.5  # of the picture: what has colour of its own on more than this is no print in one tone


def appearance(turn: Turn) -> Appears:
    """Return what the tone network of this installation says of scans that are shown upright after ``turn``."""

    def appears(luma: F32, chroma: F32) -> float:
        return tone_network().log_odds(turn.upright_rgb(rgb_of(luma, chroma, Matrix.BT601)))

    return appears


@dataclass(frozen=True, eq=False)
class ScanTone:
    """The ``verdict`` on the photograph, and the part of an uncoloured scan that nevertheless has colour.

    ``coloured_part``, float32 (h, w), is 1 there and 0 elsewhere, with soft edges; None if there is no such part.
    """

    verdict: Verdict
    coloured_part: F32 | None = None

    @property
    def coloured_share(self) -> float:
        """The share of the scan, 0..1, that has colour."""
        return 0.0 if self.coloured_part is None else float(self.coloured_part.mean())


def scan_tone(luma: F32, chroma: F32, *, by_camera: bool = False, appears: Appears | None = None) -> ScanTone:
    """Judge a scan by its ``luma`` (h, w), 0..1, and ``chroma`` (2, h, w), -0.5..0.5, of some 128 pixels a side.

    A page on which photographs are mounted and a colour target beside them do not count in the tone, but neutral
    prints on a tinted page make a tinted picture. ``by_camera`` tells that a digital camera took it. ``appears``, the
    tone network, is asked where chroma alone is not certain.
    """
    target = colour_target(luma, chroma)
    coarse, coarse_chroma = _reduced(luma), np.stack([_reduced(plane) for plane in chroma])
    left_out = np.zeros(coarse.shape, np.bool_) if target is None else _reduced(target.astype(np.float32)) > 0
    page_tone: F32 | None = None
    if (mounted := _mounted(coarse, coarse_chroma)) is not None:
        page_tone = mounted.tone
        left_out |= mounted.covered
    around = cv2.resize(left_out.astype(np.uint8), luma.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    shown = inside(luma, *chroma) & ~around
    scan = Scan.of(luma, chroma, shown, by_camera=by_camera, appears=appears)
    verdict = scan.verdict(left_out)
    part = _coloured_part(scan, page_tone, target)
    if verdict.tone is SourceTone.COLOUR:
        if part is None or part[~around].mean() > _SMALL:
            return ScanTone(verdict)
        rest = scan.without(part > 0).verdict(left_out | (_reduced(part) > 0))
        if rest.tone is SourceTone.COLOUR or rest.confidence < _SURE:
            return ScanTone(verdict)
        verdict = rest
    elif part is not None and part[~around].mean() > _MOST:
        reason = f"{verdict.reason}, but most of it has other colours"
        return ScanTone(replace(verdict, tone=SourceTone.COLOUR, confidence=_UNSURE, reason=reason))
    is_neutral = page_tone is None or float(np.hypot(*page_tone)) <= _PAGE_TINT
    if verdict.tone is SourceTone.MONOCHROME and not is_neutral:
        verdict = replace(verdict, tone=SourceTone.TINTED, reason=f"{verdict.reason}, on a tinted page")
    if part is None:
        return ScanTone(verdict)
    unsure = min(verdict.confidence, _UNSURE)
    return ScanTone(replace(verdict, confidence=unsure), part)


@dataclass(frozen=True, eq=False)
class _Mounted:
    """A page: the area ``covered`` (h, w) of the coarse picture, and its ``tone`` (2,), Cb and Cr."""

    covered: Bools
    tone: F32


def _mounted(luma: F32, chroma: F32) -> _Mounted | None:
    found = page(luma, chroma)
    if found is None:
        return None
    tone = np.median(chroma[:, found], axis=1).astype(np.float32)
    if np.hypot(*tone) > _PAGE_TINT:
        # The page also shows between prints that touch.
        as_page = np.linalg.norm(chroma - tone[:, None, None], axis=0) < _ALIKE
        found |= as_page & (np.abs(luma - np.median(luma[found])) < _ALIKE_LUMA)
    covered = cv2.dilate(found.astype(np.uint8), _MIXED) > 0
    return _Mounted(covered, tone) if (inside(luma, *chroma) & ~covered).mean() >= _LEAST_ON_PAGE else None


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan to judge: ``luma`` (h, w) and chroma as ``planes`` (h, w, 2).

    ``fit`` is the tint of the ``fitted`` pixels (h, w); ``shown`` (h, w) are those that count: the same, or fewer.
    ``appearance`` asks the tone network.
    """

    luma: F32
    planes: F32
    fitted: Bools
    fit: TintFit | None
    shown: Bools
    by_camera: bool
    appearance: Callable[[], float] | None = None

    @staticmethod
    def of(luma: F32, chroma: F32, shown: Bools, *, by_camera: bool, appears: Appears | None = None) -> Scan:
        """Fit a tint to the ``shown`` pixels."""
        planes = np.ascontiguousarray(np.moveaxis(chroma, 0, -1))
        fit = fitted(luma, planes, shown) if shown.sum() >= LEAST_PIXELS else None
        appearance = None if appears is None else cache(lambda: appears(luma, chroma))
        return Scan(luma, planes, shown, fit, shown, by_camera, appearance)

    def without(self, part: Bools) -> Scan:
        """Return the same scan without ``part`` (h, w); the tint is kept, as it was fitted to most of it."""
        return replace(self, shown=self.shown & ~part)

    @cached_property
    def edges(self) -> Figures | None:
        """Figures of its chroma at the edges of luma, if it shows enough."""
        if self.fit is None:
            return None
        left_over = self.planes - self._tint(self.fit)
        return edge_figures(self.luma, left_over * self.shown[..., None], self.shown)

    def verdict(self, left_out: Bools) -> Verdict:
        """Judge the coarse picture except what is ``left_out``; black does not count."""
        found, prior = self._found(left_out)
        threshold = prior.threshold(found.strength)
        beyond = found.log_odds - threshold
        is_asked = found.weight >= LEAST_WEIGHT and abs(beyond) <= _ASKED and not self.by_camera
        if not is_asked or self.appearance is None:
            return judge([found], prior=prior)
        odds = _BY_CHROMA * beyond + self.appearance() - _TOO_OFTEN
        is_against = (odds > 0) != (beyond > 0)
        if is_against:
            odds = min(max(odds, -_MOST_AGAINST), _MOST_AGAINST)
        verdict = judge([replace(found, log_odds=threshold + odds)], prior=prior)
        return replace(verdict, reason=f"{verdict.reason}, as the tone network sees it") if is_against else verdict

    def _found(self, left_out: Bools) -> tuple[ToneEvidence, Prior]:
        """Return the evidence of the coarse picture without the network, and the prior of its kind."""
        luma = _reduced(self.luma)
        luma[left_out] = 0
        found = evidence(luma, *(_reduced(plane) for plane in np.moveaxis(self.planes, -1, 0)))
        has_hue = np.hypot(found.cb, found.cr) > _LEAST_HUE
        is_brown, is_green = has_hue and found.cb < 0 < found.cr, has_hue and found.cb < 0 and found.cr <= 0
        by_camera = _BROWN_BY_CAMERA if is_brown else _BY_CAMERA
        prior = by_camera if self.by_camera else _GREEN_SCAN if is_green else _SCAN
        # So strong a tint leaves a large residual at edges, where its curve bends.
        if found.strength <= STRONGEST_TINT and self.edges is not None:
            found = replace(found, log_odds=log_odds_with_edges(found.log_odds, self.edges))
        return found, prior

    def _tint(self, fit: TintFit) -> F32:
        """Return the fitted tint (h, w, 2), the chroma itself where nothing was fitted."""
        tint = self.planes.copy()
        tint[self.fitted] = fit.tint
        return tint


def _reduced(plane: F32) -> F32:
    height, width = plane.shape
    size = size_within(_COARSE_SIDE, width, height)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _coloured_part(scan: Scan, page_tone: F32 | None, target: Bools | None) -> F32 | None:
    part = np.zeros(scan.luma.shape, np.uint8)
    if scan.fit is not None:
        beyond = _beyond(scan.planes, tint_of(scan.luma, scan.fit.curve), page_tone) * (scan.luma < _CLIPPED)
        least = max(_COLOURED, _BEYOND_NOISE * scan.fit.noise)
        count, labels, stats, _ = cv2.connectedComponentsWithStats((beyond > least).astype(np.uint8))
        large = [number for number in range(1, count) if stats[number, cv2.CC_STAT_AREA] >= _LEAST_PART]
        part[np.isin(labels, large)] = 1
    if target is not None:
        part[target] = 1
    if not part.any():
        return None
    return np.asarray(cv2.blur(cv2.dilate(part, _AROUND).astype(np.float32), (3, 3)), np.float32)


def _beyond(chroma: F32, tint: F32, page_tone: F32 | None) -> F32:
    """Return the distance of ``chroma`` (h, w, 2) from the tint, paler or stronger, and its mixtures with the page."""
    chroma, tint = (np.asarray(cv2.blur(plane, (3, 3)), np.float32) for plane in (chroma, tint))
    beyond = _distance(chroma, np.zeros_like(tint), _STRONGER * tint)
    if page_tone is not None:
        beyond = np.minimum(beyond, _distance(chroma, tint, np.broadcast_to(page_tone, tint.shape)))
    return beyond


def _distance(points: F32, first: F32, last: F32) -> F32:
    """Return the distances (h, w) of ``points`` (h, w, 2) from the line segments between two others."""
    line, apart = last - first, points - first
    reached = np.clip((apart * line).sum(axis=2) / (np.square(line).sum(axis=2) + 1e-9), 0, 1)
    return np.asarray(np.linalg.norm(apart - reached[..., None] * line, axis=2), np.float32)
