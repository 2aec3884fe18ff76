"""Whether a source is monochrome, tinted or coloured already, told from its own chroma.

In a tinted picture chroma is a function of luma: a sepia print has one colour for its shadows and one for its light
parts, whatever they show. So chroma is fitted as a smooth function of luma, plus a slow change over the picture (faded
edges, yellowed paper); what the fit leaves over, compared with the noise in it, tells colour from tint. Stains, stamps
and handwriting may leave more over, on a small part of the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.color.spaces import F32
from pipeline.options import Tone, TreatAs
from pipeline.results import SourceTone, Treatment

Bools = npt.NDArray[np.bool_]

# All thresholds on chroma are in units of Cb and Cr (one 8-bit code is 0.004). They were chosen on 800 colour
# photographs of everyday subjects, 256 pixels high, and on the same ones made grey, then toned in ten ways, stained,
# stamped, written on and mounted in six, and stored as JPEG of quality 30 to 95 with halved chroma; how left-overs
# are measured and judged, on 500 more and on seven films, toned in five ways, as JPEG from quality 15 on and as film
# of six codecs up to the strongest compression they have.
_SIDE = 64  # longer side of the picture that is looked at; smaller ones drown the noise of JPEG and of tape
_DARKEST, _LIGHTEST = 0.04, 0.96  # luma between which a pixel can show colour
_FEWEST_PIXELS = 100
_LUMA_KNOTS = 6
_KEPT = 0.8  # share of the pixels that a fit follows: the others may be stains, stamps, writing or a coloured object
_JUDGED = 0.75  # quantile of what is left over, so that up to a quarter of the picture may deviate
_FITS = 3
_MARGIN = 0.2  # widest margin (part of a mount, an album page, a bar) that is left out, as a share of a side
_MARGIN_ROUGHNESS, _MARGIN_DRIFT = 0.02, 0.03
_FINE, _BROAD = 3, 7  # pixels over which left-overs are averaged: stamps are small, the blocks of a codec are as large
_FAINTEST = 0.006  # left over: one and a half codes of 8 bits, what rounding and a codec's idea of "alike" may cause
# Left over relative to the noise: colour above, in a picture by itself and in a shot, where a high quantile of several
# pictures counts. Of 500 coloured photographs 2.4 % are below, most of them of one hue; of toned ones 0.5 % are above
# as JPEG of quality 60 and 90, and 10 % at 30. Of 70 toned shots none is above as MPEG-2, MPEG-4 and Motion JPEG at
# their coarsest or as H.264 at CRF 35.
_COLOUR_RATIO, _COLOUR_RATIO_OF_SHOTS = 0.52, 0.60
_TINT_STRENGTH = 0.01  # root mean square of the fitted chroma: a tint above, an offset of two codes or less below
_VIVID_PART, _VIVID = 0.97, 0.04  # left over by that quantile of the picture: a stamp, or a small coloured object
_STRONGEST_TINT = 0.17  # of one hue, yet stronger than any toning or tinting: a red flower, a sunset
_FULL_CONTRAST = 0.03  # standard deviation of luma from which on a picture bears full evidence
_LEAST_WEIGHT = 0.1  # below: as good as black, white or flat
_SHOT_QUANTILE = 0.7  # a shot is colour if three tenths of its pictures are: something coloured may come late


@dataclass(frozen=True)
class ToneEvidence:
    """What one picture says about its tone.

    ``weight``, 0..1, is how much it can say: a black, white or flat picture nothing. ``cb`` and ``cr`` are the mean
    chroma, ``strength`` is the root mean square of chroma explained by luma and place, ``left_over`` the unexplained,
    ``noise`` the part of that without structure, ``vivid`` the same at the most deviating 3 % of the picture; all in
    units of Cb and Cr.
    """

    weight: float
    cb: float
    cr: float
    strength: float
    left_over: float
    noise: float
    vivid: float

    @property
    def ratio(self) -> float:
        """What is left over relative to what noise and rounding account for."""
        return self.left_over / (_FAINTEST + self.noise)


_GREY = ToneEvidence(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Verdict:
    """The tone of a picture or shot, how sure that is (0..1), its mean chroma, and why, in plain words."""

    tone: SourceTone
    confidence: float
    cb: float
    cr: float
    reason: str


def evidence(luma: F32, cb: F32 | None, cr: F32 | None) -> ToneEvidence:
    """Return what a picture says about its tone.

    ``luma`` (H, W), 0..1; ``cb`` and ``cr``, -0.5..0.5, of one shape, which may be smaller than luma's (4:2:0); None
    for a source without chroma. Pictures of 64 to 100 pixels are enough, larger ones are reduced here.
    """
    if cb is None or cr is None:
        return _GREY
    height, width = luma.shape
    scale = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    luma, cb, cr = (_resized(plane, size) for plane in (luma, cb, cr))
    shown = (luma > _DARKEST) & (luma < _LIGHTEST) & _inside_margins(luma, cb, cr)
    chroma = np.stack([cb, cr], axis=-1)
    if shown.sum() < _FEWEST_PIXELS:
        strength = float(np.sqrt(np.square(chroma).sum(axis=-1).mean()))
        return ToneEvidence(0.0, float(cb.mean()), float(cr.mean()), strength, 0.0, 0.0, 0.0)
    explained, fine, broad, rough = _explained(luma, chroma, shown)
    weight = min(1.0, 2 * float(shown.mean())) * min(1.0, float(luma[shown].std()) / _FULL_CONTRAST)
    return ToneEvidence(
        weight,
        float(cb[shown].mean()),
        float(cr[shown].mean()),
        float(np.sqrt(np.square(explained).sum(axis=1).mean())),
        float(np.quantile(broad, _JUDGED)),
        float(np.median(rough)),
        float(np.quantile(fine, _VIVID_PART)),
    )


def judge(pictures: Sequence[ToneEvidence]) -> Verdict:
    """Return the tone of a shot from some of its pictures, or of a photograph from its only one.

    Where no picture bears evidence (black, white, flat), the confidence is 0; the tone is then MONOCHROME if there is
    no chroma to speak of, else COLOUR, which leaves the source alone.
    """
    telling = [picture for picture in pictures if picture.weight >= _LEAST_WEIGHT]
    if not telling:
        return _blank(pictures)
    weights = np.array([picture.weight for picture in telling])
    cb, cr, strength = (
        float(np.average([getattr(picture, name) for picture in telling], weights=weights))
        for name in ("cb", "cr", "strength")
    )
    ratio, vivid = (
        _weighted_quantile(np.array([getattr(picture, name) for picture in telling]), weights, _SHOT_QUANTILE)
        for name in ("ratio", "vivid")
    )
    least = _COLOUR_RATIO if len(telling) == 1 else _COLOUR_RATIO_OF_SHOTS
    certainty = 1 - (min(ratio, least) / max(ratio, least)) ** 2
    tint = f"mean Cb {cb:+.3f}, Cr {cr:+.3f}"
    if ratio > least:
        return Verdict(SourceTone.COLOUR, certainty, cb, cr, f"colours differ where brightness does not ({tint})")
    if strength > _STRONGEST_TINT:
        return Verdict(SourceTone.COLOUR, 0.5, cb, cr, f"of one hue, but stronger than a tint ({tint})")
    if strength > _TINT_STRENGTH:
        tone, reason = SourceTone.TINTED, f"chroma follows brightness: one tint ({tint})"
    else:
        tone, reason = SourceTone.MONOCHROME, f"no chroma but noise or a slight offset ({tint})"
    if vivid > _VIVID:
        return Verdict(tone, certainty / 2, cb, cr, f"{reason}, but for something coloured on a small part")
    return Verdict(tone, certainty, cb, cr, reason)


def treatment(verdict: Verdict, *, tone: Tone, treat_as: TreatAs) -> Treatment:
    """Return what a verdict means under the options; ``treat_as``, unless AUTO, stands above the verdict."""
    source = verdict.tone if treat_as is TreatAs.AUTO else SourceTone(treat_as.value)
    if source is SourceTone.COLOUR:
        return Treatment.PASS_THROUGH
    if source is SourceTone.TINTED and tone is Tone.KEEP:
        return Treatment.KEEP_TINT
    return Treatment.COLOUR_IT


def _blank(pictures: Sequence[ToneEvidence]) -> Verdict:
    strongest = max(pictures, key=lambda picture: picture.strength, default=_GREY)
    is_grey = strongest.strength <= _TINT_STRENGTH
    tone = SourceTone.MONOCHROME if is_grey else SourceTone.COLOUR
    return Verdict(tone, 0.0, strongest.cb, strongest.cr, "black, white or flat: nothing to tell the tone from")


def _resized(plane: F32, size: tuple[int, int]) -> F32:
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def _inside_margins(luma: F32, cb: F32, cr: F32) -> Bools:
    """Return where the picture (h, w) is, without margins of one colour along its sides."""
    inside = np.ones(luma.shape, np.bool_)
    planes = np.stack([luma * np.float32(0.5), cb, cr], axis=-1)
    for turned in range(4):
        lines, kept = np.rot90(planes, turned), np.rot90(inside, turned)
        means = lines.mean(axis=1)
        drift = np.abs(means - means[0]).max(axis=1)
        flat = (lines.std(axis=1).max(axis=1) < _MARGIN_ROUGHNESS) & (drift < _MARGIN_DRIFT)
        width = int(np.argmin(np.append(flat[: max(1, int(len(flat) * _MARGIN))], False)))
        kept[: width + 1 if width else 0] = False
    return inside


def _explained(luma: F32, chroma: F32, shown: Bools) -> tuple[F32, F32, F32, F32]:
    """Fit ``chroma`` (h, w, 2) by luma and place where ``shown``; drop the worst pixels and fit again, some times.

    Returns the fit (n, 2), and the sizes (n,) of what it leaves over: averaged over few pixels, over many, and what is
    left of it then.
    """
    height, width = shown.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)[:, shown]
    places = np.clip(luma[shown], 0, 1) * (_LUMA_KNOTS - 1)
    by_luma = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(_LUMA_KNOTS)))
    terms = np.concatenate([by_luma, np.stack([x, y, x * y, x * x, y * y], axis=1)], axis=1).astype(np.float32)
    wanted = chroma[shown]
    residual = np.zeros_like(chroma)
    trusted = np.ones(len(wanted), np.bool_)
    for _ in range(_FITS):
        some = terms[trusted]
        ridge = 1e-3 * len(some) / terms.shape[1] * np.eye(terms.shape[1])
        fit = terms @ np.linalg.solve(some.T @ some + ridge, some.T @ wanted[trusted]).astype(np.float32)
        residual[shown] = wanted - fit
        fine = np.linalg.norm(_averaged(residual, shown, _FINE), axis=1)
        trusted = fine <= np.quantile(fine, _KEPT)
    broad = _averaged(residual, shown, _BROAD)
    return fit, fine, np.linalg.norm(broad, axis=1), np.linalg.norm(residual[shown] - broad, axis=1)


def _averaged(residual: F32, shown: Bools, size: int) -> F32:
    """Return the mean (n, 2) of ``residual`` (h, w, 2) around each pixel ``shown``, over those shown."""
    coverage = _box(shown.astype(np.float32), size)[shown]
    return _box(residual, size)[shown] / coverage[:, None]


def _box(plane: F32, size: int) -> F32:
    return np.asarray(cv2.blur(plane, (size, size), borderType=cv2.BORDER_CONSTANT), np.float32)


def _weighted_quantile(values: F32, weights: F32, share: float) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, share * reached[-1])])
