"""Optional packages."""

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
    """Return the command that installs this program with the extra ``extra``."""
    return f"pip install {DISTRIBUTION}[{extra}]" if extra else f"pip install {DISTRIBUTION}"


def require(package: str, *, install: str) -> None:
    """Raise `MissingDependencyError` with the command ``install`` if ``package`` is missing; does not import it."""
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
    """Import ONNX Runtime with its telemetry disabled. Raises `MissingDependencyError` if it does not import.

    On import, version 1.32 starts to keep an identifier below the home folder, and a database of data to send to its
    maker, unless an environment variable disables it.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    with importing("onnxruntime", install=install()):
        import onnxruntime as module
    return module


def openvino() -> Any:
    """Import OpenVINO with its telemetry disabled. Raises `MissingDependencyError` if it does not import.

    The telemetry is a separate package, which writes an identifier to the home folder and reports every import to
    Intel; OpenVINO works without it.
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
