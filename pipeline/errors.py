"""Errors of media and disks, with the documented exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.errors import AutochromeError, EngineError, MissingDependencyError, WeightsError

__all__ = [
    "NO_MEMORY",
    "AutochromeError",
    "EngineError",
    "InputError",
    "LockedError",
    "MissingDependencyError",
    "OutputError",
    "Renamed",
    "UnreadableError",
    "UnsupportedError",
    "UsageError",
    "VerificationError",
    "WeightsError",
]

NO_MEMORY = "Free memory by ending other programs, or use a computer with more."
"""Advice when there was not enough memory."""


class UsageError(AutochromeError):
    """The request itself cannot be met: mutually exclusive options, output inside input."""

    exit_code = 2


class InputError(AutochromeError):
    """The source cannot be read, or is not something this program colours."""

    exit_code = 4


class UnreadableError(InputError):
    """The source cannot be read at present (disk, share, permissions), which says nothing about its content."""


class UnsupportedError(InputError):
    """The source is intact as far as it was checked, but of a kind that this program deliberately does not colour."""


class OutputError(AutochromeError):
    """The result cannot be written: disk full, no permission, name taken."""

    exit_code = 5


class VerificationError(AutochromeError):
    """Verification of the finished file failed; it was not given its final name."""

    exit_code = 7


class LockedError(AutochromeError):
    """Another run is working on the same output folder."""

    exit_code = 75


class Renamed:
    """Changes texts to name the user's ``file`` instead of the ``temporary`` one, whose name means nothing to users."""

    def __init__(self, temporary: Path, file: Path | str) -> None:
        self._temporary, self._file = str(temporary), str(file)

    def __call__(self, text: str) -> str:
        """Return ``text`` with the name of the user's file."""
        return text.replace(self._temporary, self._file)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Change the texts of errors raised in the block."""
        try:
            yield
        except AutochromeError as error:
            raise type(error)(self(str(error)), advice=self(error.advice)) from error
