"""Options of a run, as frozen values."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from pathlib import Path

from pipeline.errors import InputError

# One minute at 25 frames per second: the most work that is lost of a long film when a run dies.
SEGMENT_FRAMES = 1500


class Codec(StrEnum):
    """Video codec of the result; AUTO chooses by quality, bit depth and container."""

    AUTO = "auto"
    H264 = "h264"
    HEVC = "hevc"
    AV1 = "av1"
    FFV1 = "ffv1"
    PRORES = "prores"


class Quality(StrEnum):
    """ACCESS is visually transparent and plays everywhere; MASTER is lossless in luma (FFV1 in Matroska)."""

    ACCESS = "access"
    MASTER = "master"


class Tone(StrEnum):
    """Handling of a tint (sepia, a toned print, tinted stock): NEUTRALISE replaces it with colour, KEEP keeps it."""

    NEUTRALISE = "neutralise"
    KEEP = "keep"


class TreatAs(StrEnum):
    """How a source is classified; AUTO decides from its own chroma, shot by shot."""

    AUTO = "auto"
    MONOCHROME = "monochrome"
    TINTED = "tinted"
    COLOUR = "colour"


class OnDamage(StrEnum):
    """How damaged frames are handled: FAIL ends the film with an error, CONCEAL keeps all frames and reports them."""

    FAIL = "fail"
    CONCEAL = "conceal"


class Layout(StrEnum):
    """Layout of a before-and-after film: SIDE by side, or SPLIT with before in the left half and after in the right."""

    SIDE = "side"
    SPLIT = "split"


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a film, ``seconds`` long, starting ``start`` seconds from its beginning."""

    seconds: Fraction
    start: Fraction = Fraction(0)


class Unit(StrEnum):
    """Unit of positions in a picture."""

    SHARE = "share"
    PIXEL = "px"


@dataclass(frozen=True, kw_only=True)
class Hint:
    """A colour given by a person for a position in the upright picture.

    ``x`` and ``y`` are shares of its width and height, 0..1, from the top left, or, depending on ``unit``, the column
    and row of a pixel, counted from 0 (see `hints_in_shares`). ``color`` is sRGB ``#RRGGBB`` or ``neutral``. The colour
    is exact within ``reach``, a share of the shorter side, as far as the gamut allows, and spreads to similar areas
    beyond it. ``time`` is in seconds, for films; ``page`` counts from 1, for files with several pages.
    """

    x: float
    y: float
    color: str
    reach: float = 0.01
    time: float | None = None
    page: int = 1
    unit: Unit = Unit.SHARE

    def __post_init__(self) -> None:
        if self.unit is Unit.PIXEL and not (self.x >= 0 and self.y >= 0):
            raise ValueError(f"x and y are pixels, counted from 0, not {self.x}, {self.y}")
        most = 1 if self.unit is Unit.SHARE else math.inf
        if not (0 <= self.x <= most and 0 <= self.y <= most and 0 <= self.reach <= 1):
            raise ValueError(f"x, y and reach must lie between 0 and 1, not {self.x}, {self.y}, {self.reach}")
        if self.color != "neutral" and not re.fullmatch("#[0-9A-Fa-f]{6}", self.color):
            raise ValueError(f"color: {self.color} is not a colour; write #RRGGBB, or neutral")
        if self.page < 1 or (self.time is not None and not self.time >= 0):
            raise ValueError(f"page {self.page} at {self.time} s: pages count from 1, times from 0")
        if self.page > 1 and self.time is not None:
            raise ValueError(f"page {self.page} at {self.time} s: films have times, photographs have pages")


def hints_in_shares(hints: Iterable[Hint], sizes: Mapping[int, tuple[int, int]], *, source: Path) -> tuple[Hint, ...]:
    """Return ``hints`` with pixel positions converted to shares, measured at pixel centres.

    ``sizes`` maps page numbers of ``source`` to width and height of the upright page; hints for other pages are
    unchanged. Raises `InputError` for a pixel outside the picture.
    """
    found = []
    for hint in hints:
        size = sizes.get(hint.page) if hint.unit is Unit.PIXEL else None
        if size is not None:
            width, height = size
            if hint.x >= width or hint.y >= height:
                raise InputError(
                    f"{source}: a hint at pixel {hint.x:g}, {hint.y:g} lies outside its {width:,} x {height:,}",
                    advice="Count columns and rows of the upright picture from 0.",
                )
            hint = replace(hint, x=(hint.x + 0.5) / width, y=(hint.y + 0.5) / height, unit=Unit.SHARE)
        found.append(hint)
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options shared by films and photographs.

    ``device`` is what the engine runs on, see `engines.base.Setup`. ``every`` is for films: the network sees every n-th
    frame, or, if None, as many as the motion requires. ``frame_rate`` is for folders of numbered pictures: frames per
    second, or, if None, the rate in their headers. ``verify`` measures the luma error of every frame of a film and has
    the ffmpeg program decode it. ``saturation`` multiplies the chroma; ``hints`` give colours for positions in
    photographs and frames. ``reference`` is a coloured picture whose colours are used, or a folder of them, see
    `pipeline.reference_files` and, for films, `pipeline.film.reference_frames`.
    """

    engine: str = "auto"
    device: str = "auto"
    model: str = "fast"
    codec: Codec = Codec.AUTO
    quality: Quality = Quality.ACCESS
    overwrite: bool = False
    every: int | None = None
    tone: Tone = Tone.NEUTRALISE
    treat_as: TreatAs = TreatAs.AUTO
    deinterlace: bool = False
    frame_rate: Fraction | None = None
    on_damage: OnDamage = OnDamage.FAIL
    verify: bool = False
    threads: bool = True
    saturation: float = 1.0
    hints: tuple[Hint, ...] = ()
    reference: Path | None = None

    @property
    def makes_colour(self) -> bool:
        """Whether any colour can result: a saturation of 0 leaves only the colours of hints, if any."""
        return self.saturation > 0 or any(hint.color != "neutral" for hint in self.hints)
