"""Results as typed values, from which JSON output, the screen and the report are all made."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from subprocess import list2cmdline
from typing import Self

from pipeline.errors import NO_MEMORY, AutochromeError, UnreadableError, UnsupportedError
from pipeline.options import Codec

logger = logging.getLogger(__name__)


class NoteKind(StrEnum):
    """Why a note was made."""

    ASSUMED = "assumed"
    CONVERTED = "converted"
    DROPPED = "dropped"
    FALLBACK = "fallback"
    CONCEALED = "concealed"


@dataclass(frozen=True)
class Note:
    """One thing the user should know about a result: never a silent guess, drop or fall-back."""

    kind: NoteKind
    text: str


class SourceTone(StrEnum):
    """What the chroma of a source contains: nothing, a tint over the whole picture, or the colours of objects."""

    MONOCHROME = "monochrome"
    TINTED = "tinted"
    COLOUR = "colour"


class Treatment(StrEnum):
    """How a source was treated: given new chroma, or left with its own because it is coloured or its tint is wanted.

    GREY means new but neutral chroma: a saturation of 0 was requested, so no colour was made.
    """

    COLOURED = "coloured"
    GREY = "left grey"
    KEPT = "kept as it is"
    TINT_KEPT = "tint kept"

    @property
    def is_new(self) -> bool:
        """Whether new chroma is written."""
        return self in (Treatment.COLOURED, Treatment.GREY)


def has_new_colour(treatments: Iterable[str]) -> bool:
    """Return whether colour was made in a result whose parts had these treatments; assumed so if none are known."""
    known = set(treatments)
    return not known or Treatment.COLOURED in known


class Proof(StrEnum):
    """How luma was compared: EXACT by fingerprint of every sample, MEASURED in all frames, SAMPLED in a few."""

    EXACT = "exact"
    MEASURED = "measured"
    SAMPLED = "sampled"


@dataclass(frozen=True, kw_only=True)
class LumaCheck:
    """Difference between the luma of a result and its source over ``frames`` frames, in codes of ``bits`` bits.

    For a photograph, ``frames`` counts its pages, and ``unit`` says so.

    ``psnr_db`` is 10 log10(peak^2 / mean squared error) over all samples of these frames with a peak of 2^bits - 1,
    ``worst_psnr_db`` that of the worst frame; both are None if nothing differs.
    """

    proof: Proof
    frames: int
    bits: int
    psnr_db: float | None = None
    worst_psnr_db: float | None = None
    max_error: int = 0
    unit: str = "frames"

    def __str__(self) -> str:
        """Return one line for people."""
        count = f"{self.frames:,} {self.unit if self.frames != 1 else self.unit.removesuffix('s')}"
        if self.proof is Proof.EXACT:
            return f"bit for bit that of the source, {count}"
        if self.psnr_db is None or self.worst_psnr_db is None:
            return f"{self.proof} in {count}: no difference"
        error = f"greatest error {self.max_error} of {(1 << self.bits) - 1}"
        return f"{self.proof} in {count}: PSNR {self.psnr_db:.1f} dB, {self.worst_psnr_db:.1f} in the worst, {error}"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was verified in a finished film or photograph; a file that fails never gets its name.

    ``checks`` maps the name of each check to its finding, ``not_checked`` names what was not checked, and why.
    """

    checks: Mapping[str, str]
    not_checked: Mapping[str, str]
    luma: LumaCheck
    seconds: float

    def lines(self) -> tuple[str, ...]:
        """Return one line per check, for people."""
        return (
            *(f"{name}: {found}" for name, found in self.checks.items()),
            f"luma: {self.luma}",
            *(f"{name}: not checked: {why}" for name, why in self.not_checked.items()),
            f"verified in {self.seconds:.1f} s",
        )


@dataclass(frozen=True, kw_only=True)
class Measures:
    """Measures of a result's appearance, for deciding what to look at first.

    All are computed on the small picture that the network saw. ``colourfulness`` is that of Hasler and Suesstrunk
    (2003), ``strong`` the share of pixels whose CIELAB chroma exceeds 60, or 40 for red and purple ones, ``clipped``
    the share whose colour had to be moved into the gamut, ``doubt`` the uncertainty, from 0 (sure) to 1, of the
    classification of the source's tone, and ``flicker``, for films, the mean change of (a, b) between adjacent frames
    of a shot.
    """

    colourfulness: float
    strong: float
    clipped: float
    doubt: float
    flicker: float | None = None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """Small pictures before and after, both JPEG files of at most 256 pixels a side; ``label`` identifies them.

    A photograph has one; a film has one per shot, or for enough of its shots to give an overview.
    """

    label: str
    before: bytes = field(repr=False)
    after: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class ShotRecord:
    """A shot of a film: where it begins, how long it is, how it was classified and how it was treated."""

    first_frame: int
    frames: int
    start_seconds: float
    tone: SourceTone
    treatment: Treatment


@dataclass(frozen=True, kw_only=True)
class ModelOrigin:
    """Origin of the network: its usual name, its ``contract`` (docs/networks.md) and its ``licence``.

    The licence of third-party networks is as stated by the user, else "not stated". ``device`` is what it ran on.
    ``fingerprint`` is the SHA-256 of everything that determines the network's colours, weights and card; "" in older
    records.
    """

    network: str = "Autochrome"
    contract: str = ""
    licence: str = ""
    device: str = ""
    fingerprint: str = ""


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """A classification of a source's tone that a person should check: why, and what it may be ``instead``.

    ``command`` makes the result again with the other classification.
    """

    reason: str
    instead: SourceTone
    command: str = ""

    @property
    def reverse(self) -> str:
        """Return the option, common to all commands, that reverses the decision."""
        return f"--treat-as {self.instead}"


@dataclass(frozen=True, kw_only=True)
class FilmResult:
    """A coloured film under its final name; ``references`` are the pictures whose colours it used.

    ``doubts`` are the classifications of its shots that a person should check, at most one of each kind.
    """

    source: Path
    output: Path
    frames: int
    seconds: float
    codec: Codec
    engine: str
    model: str
    weights_sha256: str
    streams: tuple[str, ...]
    notes: tuple[Note, ...]
    verification: Verification
    shots: tuple[ShotRecord, ...] = ()
    measures: Measures | None = None
    previews: tuple[Preview, ...] = field(default=(), repr=False)
    origin: ModelOrigin = ModelOrigin()
    doubts: tuple[Doubt, ...] = ()
    references: tuple[Path, ...] = ()

    @property
    def has_new_colour(self) -> bool:
        """Whether colour was made in any of its shots."""
        return has_new_colour(shot.treatment for shot in self.shots)


def shell_line(command: Sequence[str]) -> str:
    """Return ``command`` as one line to copy, quoted for the shell of this system."""
    return list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


@dataclass(frozen=True, kw_only=True)
class PhotoResult:
    """A photograph's result under its final name.

    ``tones`` are those of its pages, each listed once, in order; ``treatment`` is COLOURED if any page got new chroma.
    ``doubts`` are the classifications that a person should check, at most one per page. ``references`` are the coloured
    pictures whose colours it used.
    """

    source: Path
    output: Path
    width: int
    height: int
    bits: int
    engine: str
    model: str
    weights_sha256: str
    notes: tuple[Note, ...]
    tones: tuple[SourceTone, ...]
    treatment: Treatment
    verification: Verification
    measures: Measures | None = None
    previews: tuple[Preview, ...] = field(default=(), repr=False)
    origin: ModelOrigin = ModelOrigin()
    doubts: tuple[Doubt, ...] = ()
    references: tuple[Path, ...] = ()

    @property
    def has_new_colour(self) -> bool:
        """Whether colour was made on any of its pages."""
        return has_new_colour([self.treatment])


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An item without a result, and why.

    ``refused`` if it is of a kind that is deliberately not coloured; ``unreadable`` if its disk, a share or its
    permissions prevent reading it at present, which says nothing about its content.
    """

    source: Path
    error: str
    advice: str
    exit_code: int
    refused: bool = False
    unreadable: bool = False

    @classmethod
    def of(cls, source: Path, error: Exception) -> Self:
        """Return the failure of ``source`` with ``error``; the traceback goes to the log."""
        logger.error("%s: no result", source, exc_info=error)
        if isinstance(error, AutochromeError):
            return cls(
                source=source,
                error=str(error),
                advice=error.advice,
                exit_code=error.exit_code,
                refused=isinstance(error, UnsupportedError),
                unreadable=isinstance(error, UnreadableError),
            )
        if isinstance(error, MemoryError):
            return cls(
                source=source,
                error=f"{source}: needs more memory than there is",
                advice=NO_MEMORY,
                exit_code=1,
            )
        return cls(
            source=source,
            error=f"{source}: unexpected {type(error).__name__}: {error}",
            advice="This is a fault of the program: please report it, with what --log-file says of it.",
            exit_code=1,
        )
