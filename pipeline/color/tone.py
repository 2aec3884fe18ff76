"""Judgement from a source's own chroma whether it is monochrome, tinted or already coloured.

`pipeline.color.tint_fit` measures how far a picture is from one tint, `pipeline.color.tone_odds` how likely such a
picture is coloured. The more likely tone is chosen, and the confidence tells how certain that is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.color.spaces import F32
from pipeline.color.tint_fit import LEAST_PIXELS, fitted
from pipeline.color.tone_odds import log_odds_of_colour
from pipeline.options import Options, Tone, TreatAs
from pipeline.results import SourceTone, Treatment
from pipeline.sizes import size_within

Bools = npt.NDArray[np.bool_]

# All thresholds on chroma are in units of Cb and Cr (one 8-bit code is 0.004).
_SIDE = 64  # longer side of the picture that is judged; small pictures suppress the noise of JPEG and of tape
_DARKEST, _LIGHTEST = 0.04, 0.96  # luma range in which a pixel can show colour
_MARGIN = 0.2  # widest margin (part of a mount, an album page, a bar) that is left out, as a share of a side
_MARGIN_ROUGHNESS, _MARGIN_DRIFT = 0.02, 0.03
_TINT_STRENGTH = 0.01  # root mean square of the fitted chroma: a tint above, an offset of two codes or less below
_VIVID_PART, _VIVID = 0.97, 0.04  # residual at that quantile of the picture: a mark, or a small coloured object
STRONGEST_TINT = 0.17  # of one hue, and stronger than most toning and tinting: a red flower, a sunset, a cyanotype
_FULL_CONTRAST = 0.03  # standard deviation of luma from which a picture gives full evidence
LEAST_WEIGHT = 0.1  # below: as good as black, white or flat
_SHOT_QUANTILE = 0.7  # a shot is colour if three tenths of its pictures are: coloured objects may appear late
# Log odds beyond which a frame is coloured, and a shot, for which a high quantile of several frames counts.
_COLOUR, _COLOUR_OF_SHOTS = -2.0, 2.0
DOUBT = 4.0  # difference of log odds from there at which the confidence is 0.5
_NO_CHROMA = -1000.0  # log odds of a picture without chroma


@dataclass(frozen=True)
class ToneEvidence:
    """The evidence of one picture on its tone.

    ``weight``, 0..1, is how much it counts: 0 for a black, white or flat picture. ``cb`` and ``cr`` are the mean
    chroma, ``strength`` is the root mean square of chroma explained by luma and place, ``vivid`` the residual at the
    most deviating 3 % of the picture; all in units of Cb and Cr. ``log_odds`` are those of a coloured picture.
    """

    weight: float
    cb: float
    cr: float
    strength: float
    vivid: float
    log_odds: float


_GREY = ToneEvidence(1.0, 0.0, 0.0, 0.0, 0.0, _NO_CHROMA)


@dataclass(frozen=True)
class Prior:
    """Log odds beyond which a kind of picture is judged coloured, and the distance at which the confidence is 0.5.

    A picture of one hue, but stronger than `STRONGEST_TINT`, is tinted below the log odds ``strong``, never if None.
    """

    colour: float
    doubt: float = DOUBT
    strong: float | None = None

    def threshold(self, strength: float) -> float:
        """Return the log odds beyond which a picture with a tint of this ``strength`` is judged coloured."""
        return self.strong if self.strong is not None and strength > STRONGEST_TINT else self.colour


@dataclass(frozen=True)
class Verdict:
    """The tone of a picture or shot, its confidence (0..1), its mean chroma, and the reason, in plain words."""

    tone: SourceTone
    confidence: float
    cb: float
    cr: float
    reason: str


def evidence(luma: F32, cb: F32 | None, cr: F32 | None) -> ToneEvidence:
    """Return a picture's evidence on its tone.

    ``luma`` (H, W), 0..1; ``cb`` and ``cr``, -0.5..0.5, of one shape, which may be smaller than luma's (4:2:0); None
    for a source without chroma. Pictures of 64 to 100 pixels are enough, larger ones are reduced here.
    """
    if cb is None or cr is None:
        return _GREY
    height, width = luma.shape
    size = size_within(_SIDE, width, height)
    luma, cb, cr = (_resized(plane, size) for plane in (luma, cb, cr))
    shown = inside(luma, cb, cr)
    chroma = np.stack([cb, cr], axis=-1)
    if shown.sum() < LEAST_PIXELS:
        strength = float(np.sqrt(np.square(chroma).sum(axis=-1).mean()))
        return ToneEvidence(0.0, float(cb.mean()), float(cr.mean()), strength, 0.0, 0.0)
    fit = fitted(luma, chroma, shown)
    weight = min(1.0, 2 * float(shown.mean())) * min(1.0, float(luma[shown].std()) / _FULL_CONTRAST)
    return ToneEvidence(
        weight,
        float(cb[shown].mean()),
        float(cr[shown].mean()),
        float(np.sqrt(np.square(fit.tint).sum(axis=1).mean())),
        float(np.quantile(fit.left_over, _VIVID_PART)),
        log_odds_of_colour(fit.figures),
    )


def judge(pictures: Sequence[ToneEvidence], *, prior: Prior | None = None) -> Verdict:
    """Return the tone of a shot from some of its pictures, or of a photograph from its only one.

    ``prior`` is the prior for its kind, by default that for frames of a film.

    If no picture gives evidence (black, white, flat), the confidence is 0; the tone is then MONOCHROME if there is
    hardly any chroma, else COLOUR, which leaves the source unchanged.
    """
    telling = [picture for picture in pictures if picture.weight >= LEAST_WEIGHT]
    if not telling:
        return _blank(pictures)
    weights = np.array([picture.weight for picture in telling])
    cb, cr, strength = (
        float(np.average([getattr(picture, name) for picture in telling], weights=weights))
        for name in ("cb", "cr", "strength")
    )
    odds, vivid = (
        _weighted_quantile(np.array([getattr(picture, name) for picture in telling]), weights, _SHOT_QUANTILE)
        for name in ("log_odds", "vivid")
    )
    prior = prior or Prior(_COLOUR if len(telling) == 1 else _COLOUR_OF_SHOTS)
    beyond = odds - prior.threshold(strength)
    certainty = math.tanh(abs(beyond) / (prior.doubt if beyond > 0 else DOUBT) * math.atanh(0.5))
    tint = f"mean Cb {cb:+.3f}, Cr {cr:+.3f}"
    if beyond > 0:
        return Verdict(SourceTone.COLOUR, certainty, cb, cr, f"colours differ where brightness does not ({tint})")
    if strength > STRONGEST_TINT and prior.strong is None:
        return Verdict(SourceTone.COLOUR, 0.5, cb, cr, f"of one hue, but stronger than a tint ({tint})")
    if strength > _TINT_STRENGTH:
        tone, reason = SourceTone.TINTED, f"chroma follows brightness: one tint ({tint})"
    else:
        tone, reason = SourceTone.MONOCHROME, f"no chroma but noise or a slight offset ({tint})"
    if vivid > _VIVID:
        return Verdict(tone, certainty / 2, cb, cr, f"{reason}, but for something coloured on a small part")
    return Verdict(tone, certainty, cb, cr, reason)


def treatment(verdict: Verdict, options: Options, *, has_references: bool = False) -> Treatment:
    """Return the treatment for a verdict under ``options``; their ``treat_as``, unless AUTO, overrides the verdict.

    ``has_references`` tells that references, such as coloured frames of a film, give colours at any saturation.
    """
    source = verdict.tone if options.treat_as is TreatAs.AUTO else SourceTone(options.treat_as.value)
    if source is SourceTone.COLOUR:
        return Treatment.KEPT
    if source is SourceTone.TINTED and options.tone is Tone.KEEP:
        return Treatment.TINT_KEPT
    return Treatment.COLOURED if options.makes_colour or has_references else Treatment.GREY


def inside(luma: F32, cb: F32, cr: F32) -> Bools:
    """Return where a picture (h, w) can show colour: not in black, white, or a margin along its sides."""
    return np.asarray((luma > _DARKEST) & (luma < _LIGHTEST) & _inside_margins(luma, cb, cr))


def _blank(pictures: Sequence[ToneEvidence]) -> Verdict:
    strongest = max(pictures, key=lambda picture: picture.strength, default=_GREY)
    is_grey = strongest.strength <= _TINT_STRENGTH
    tone = SourceTone.MONOCHROME if is_grey else SourceTone.COLOUR
    return Verdict(tone, 0.0, strongest.cb, strongest.cr, "black, white or flat: nothing to tell the tone from")


def _resized(plane: F32, size: tuple[int, int]) -> F32:
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _inside_margins(luma: F32, cb: F32, cr: F32) -> Bools:
    """Return the area of the picture (h, w) without margins of one colour along its sides."""
    inside = np.ones(luma.shape, np.bool_)
    planes = np.stack([luma * np.float32(0.5), cb, cr], axis=-1)
    for turned in range(4):
        kept = np.rot90(inside, turned)
        lines = np.rot90(planes, turned)[: max(1, int(len(kept) * _MARGIN))]
        means = lines.mean(axis=1)
        drift = np.abs(means - means[0]).max(axis=1)
        flat = (lines.std(axis=1).max(axis=1) < _MARGIN_ROUGHNESS) & (drift < _MARGIN_DRIFT)
        width = int(np.argmin(np.append(flat, False)))
        kept[: width + 1 if width else 0] = False
    return inside


def _weighted_quantile(values: F32, weights: F32, share: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, share * reached[-1])])
