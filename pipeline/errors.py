"""Errors of media and disks. Exit codes are those of the documented table."""

from __future__ import annotations

from engines.errors import AutochromeError, EngineError, MissingDependencyError, WeightsError

__all__ = [
    "NO_MEMORY",
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
]

NO_MEMORY = "Free memory by ending other programs, or use a computer with more."
"""The advice where there was not enough."""


class UsageError(AutochromeError):
    """The request itself cannot be met: options that exclude each other, output inside input."""

    exit_code = 2


class InputError(AutochromeError):
    """The source cannot be read, or is not something this program colours."""

    exit_code = 4


class UnreadableError(InputError):
    """The source cannot be read now, which tells nothing of what is in it: its disk, a share, permissions."""


class UnsupportedError(InputError):
    """The source is sound, as far as one looked, but of a kind that this program does not colour, by design."""


class OutputError(AutochromeError):
    """The result cannot be written: disk full, no permission, name taken."""

    exit_code = 5


class VerificationError(AutochromeError):
    """Verification of the finished file failed; it was not given its final name."""

    exit_code = 7


class LockedError(AutochromeError):
    """Another run is at work on the same output folder."""

    exit_code = 75
