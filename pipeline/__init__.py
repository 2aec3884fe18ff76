"""Colour films and photographs: the public interface (docs/api.md).

Names are imported on first use, so that a command that only shows its help does not wait for codecs and engines.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

# The application decides where log records go; without a handler, Python would print warnings itself.
logging.getLogger(__name__).addHandler(logging.NullHandler())

DISTRIBUTION = "autochrome-archive"

_HOMES = {
    "pipeline.archive.ledger": ("Record", "RunOutcome", "State", "read_ledger"),
    "pipeline.archive.run_options": ("RunOptions", "Shard"),
    "pipeline.archive.run": ("ArchiveResult", "colorize_archive"),
    "pipeline.archive.dry_run": ("Survey", "survey_archive"),
    "pipeline.color.colorizer": ("Colorizer", "open_colorizer"),
    "pipeline.errors": (
        "AutochromeError",
        "EngineError",
        "InputError",
        "LockedError",
        "MissingDependencyError",
        "OutputError",
        "UnreadableError",
        "UnsupportedError",
        "UsageError",
        "VerificationError",
        "WeightsError",
    ),
    "pipeline.interruption": ("Cancelled", "StopRequest"),
    "pipeline.options": ("Codec", "Hint", "OnDamage", "Options", "Quality", "Tone", "TreatAs", "Unit"),
    "pipeline.photo.job": ("PhotoJob", "colorize_photos"),
    "pipeline.photo.one": ("AS_GIVEN", "AsGiven", "colorize_photo"),
    "pipeline.progress": ("Callback", "Progress", "Silent"),
    "pipeline.results": (
        "Doubt",
        "Failure",
        "FilmResult",
        "LumaCheck",
        "Measures",
        "ModelOrigin",
        "Note",
        "NoteKind",
        "PhotoResult",
        "Preview",
        "Proof",
        "ShotRecord",
        "SourceTone",
        "Treatment",
        "Verification",
    ),
    "pipeline.film.job": ("colorize_video",),
    "pipeline.film.in_memory": ("colorize_frames",),
}

__all__ = [
    "AS_GIVEN",
    "DISTRIBUTION",
    "ArchiveResult",
    "AsGiven",
    "AutochromeError",
    "Callback",
    "Cancelled",
    "Codec",
    "Colorizer",
    "Doubt",
    "EngineError",
    "Failure",
    "FilmResult",
    "Hint",
    "InputError",
    "LockedError",
    "LumaCheck",
    "Measures",
    "MissingDependencyError",
    "ModelOrigin",
    "Note",
    "NoteKind",
    "OnDamage",
    "Options",
    "OutputError",
    "PhotoJob",
    "PhotoResult",
    "Preview",
    "Progress",
    "Proof",
    "Quality",
    "Record",
    "RunOptions",
    "RunOutcome",
    "Shard",
    "ShotRecord",
    "Silent",
    "SourceTone",
    "State",
    "StopRequest",
    "Survey",
    "Tone",
    "TreatAs",
    "Treatment",
    "Unit",
    "UnreadableError",
    "UnsupportedError",
    "UsageError",
    "Verification",
    "VerificationError",
    "WeightsError",
    "colorize_archive",
    "colorize_frames",
    "colorize_photo",
    "colorize_photos",
    "colorize_video",
    "open_colorizer",
    "read_ledger",
    "survey_archive",
]

if TYPE_CHECKING:
    from pipeline.archive.dry_run import Survey, survey_archive
    from pipeline.archive.ledger import Record, RunOutcome, State, read_ledger
    from pipeline.archive.run import ArchiveResult, colorize_archive
    from pipeline.archive.run_options import RunOptions, Shard
    from pipeline.color.colorizer import Colorizer, open_colorizer
    from pipeline.errors import (
        AutochromeError,
        EngineError,
        InputError,
        LockedError,
        MissingDependencyError,
        OutputError,
        UnreadableError,
        UnsupportedError,
        UsageError,
        VerificationError,
        WeightsError,
    )
    from pipeline.film.in_memory import colorize_frames
    from pipeline.film.job import colorize_video
    from pipeline.interruption import Cancelled, StopRequest
    from pipeline.options import Codec, Hint, OnDamage, Options, Quality, Tone, TreatAs, Unit
    from pipeline.photo.job import PhotoJob, colorize_photos
    from pipeline.photo.one import AS_GIVEN, AsGiven, colorize_photo
    from pipeline.progress import Callback, Progress, Silent
    from pipeline.results import (
        Doubt,
        Failure,
        FilmResult,
        LumaCheck,
        Measures,
        ModelOrigin,
        Note,
        NoteKind,
        PhotoResult,
        Preview,
        Proof,
        ShotRecord,
        SourceTone,
        Treatment,
        Verification,
    )
else:

    def __getattr__(name: str) -> object:
        """Import ``name`` on first access."""
        from importlib import import_module

        for home, names in _HOMES.items():
            if name in names:
                return globals().setdefault(name, getattr(import_module(home), name))
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        """Return all public names, imported yet or not."""
        return sorted({*globals(), *__all__})
