"""Errors that carry an exit code and advice; `pipeline.errors` adds those of media and disks."""

from __future__ import annotations


class AutochromeError(Exception):
    """An error meant for the user: what is wrong, in which file, and what to do about it."""

    exit_code = 1
    usual_advice = ""

    def __init__(self, message: str, *, advice: str = "") -> None:
        """Store ``message`` (names the file and the fault) and ``advice`` (what the user can do; a default if "")."""
        super().__init__(message)
        self.advice = advice or self.usual_advice


class EngineError(AutochromeError):
    """The engine could not start, failed on a batch or returned invalid output."""

    exit_code = 6
    usual_advice = "Run it again; if it fails again, try another --engine (onnxruntime works everywhere)."


class MissingDependencyError(AutochromeError):
    """An optional package or driver that the request needs is not installed."""

    exit_code = 8


class WeightsError(AutochromeError):
    """Weights that are missing, altered, or not what their card says."""

    exit_code = 9
