"""What happened, as typed values: the JSON output, the screen and the report are all made from these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

from pipeline.errors import AutochromeError


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


@dataclass(frozen=True, kw_only=True)
class FilmResult:
    """A coloured film under its final name."""

    source: Path
    output: Path
    frames: int
    seconds: float
    codec: str
    engine: str
    model: str
    weights_sha256: str
    streams: tuple[str, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True, kw_only=True)
class PhotoResult:
    """A coloured photograph under its final name."""

    source: Path
    output: Path
    width: int
    height: int
    bits: int
    engine: str
    model: str
    weights_sha256: str
    notes: tuple[Note, ...]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An item that has no result, and why."""

    source: Path
    error: str
    advice: str
    exit_code: int

    @classmethod
    def of(cls, source: Path, error: Exception) -> Self:
        """Return ``error`` as the outcome of ``source``."""
        if isinstance(error, AutochromeError):
            return cls(source=source, error=str(error), advice=error.advice, exit_code=error.exit_code)
        return cls(
            source=source,
            error=f"{source}: unexpected {type(error).__name__}: {error}",
            advice="This is a fault of the program: please report it, with the file if you can.",
            exit_code=1,
        )
