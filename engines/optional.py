"""Packages that an installation may lack."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from engines import DISTRIBUTION
from engines.errors import MissingDependencyError


def install(extra: str = "") -> str:
    """Return the command that installs this program, with what the extra ``extra`` brings."""
    return f"pip install {DISTRIBUTION}[{extra}]" if extra else f"pip install {DISTRIBUTION}"


def require(package: str, *, install: str) -> None:
    """Raise `MissingDependencyError` with the command ``install`` if ``package`` is not there; does not import it."""
    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(f"the package {package} is not installed", advice=f"Install it: {install}")


@contextmanager
def importing(package: str, *, install: str) -> Iterator[None]:
    """Turn a failing import of ``package`` into `MissingDependencyError` with the command ``install``.

    A package can be installed and still not import: a system library is missing, or it was built for another CPU.
    """
    try:
        yield
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            f"the package {package} cannot be imported: {error}", advice=f"Install it: {install}"
        ) from error


def onnxruntime() -> Any:
    """Return the module ONNX Runtime, told to keep to itself. Raises `MissingDependencyError` if it does not import.

    Version 1.32 begins at its import to keep an identifier below the home folder, and a database of what to send to its
    maker, unless the environment says otherwise.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with importing("onnxruntime", install=install()):
        import onnxruntime as module
    return module


def openvino() -> Any:
    """Return the module OpenVINO without its telemetry. Raises `MissingDependencyError` if it does not import.

    The telemetry is a package of its own, which writes an identifier to the home folder and reports every import to
    Intel; OpenVINO works where it is missing.
    """
    telemetry = "openvino_telemetry"
    hide = "openvino" not in sys.modules and telemetry not in sys.modules
    if hide:
        sys.modules[telemetry] = None  # type: ignore[assignment] # what Python's import system takes for "is not there"
    try:
        with importing("openvino", install=install()):
            import openvino as module
    finally:
        if hide:
            del sys.modules[telemetry]
    return module
