"""What every engine is: one call, one close, and its capabilities as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from engines.errors import EngineError

F32 = npt.NDArray[np.float32]


def silent(_: str) -> None:
    """Hear a line of progress, and do nothing with it."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How an engine is to be opened.

    ``threads`` is how many CPU threads work on a batch, None as many as the runtime thinks best (for PyTorch it holds
    for the whole process); engines on a GPU take no notice. ``cache`` is a folder for what was compiled, see
    `engines.cache.cache_folder`; None keeps nothing. ``say`` is told what is worth knowing while the engine opens:
    long work under way, a cache that cannot be used.
    """

    threads: int | None = None
    cache: Path | None = None
    say: Callable[[str], None] = silent


PLAIN = Setup()


@dataclass(frozen=True)
class EngineSpec:
    """What an opened engine can take and what it is; everything a result needs to say about it."""

    name: str
    runtime: str
    device: str
    precision: str
    model: str
    weights_sha256: str
    max_batch: int
    multiple: int
    stride: int


class Engine(Protocol):
    """A runtime with weights loaded.

    The tensor contract, guaranteed by `checked`: input is C-contiguous float32 of shape (N, 1, H, W), CIELAB L*
    in 0..100, with N in 1..``spec.max_batch`` and H, W multiples of ``spec.multiple``. The answer is float32 of shape
    (N, 2, H / ``spec.stride``, W / ``spec.stride``): CIELAB a* and b*, all finite.
    """

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        ...

    def infer(self, lightness: F32) -> F32:
        """Return a* and b* for a batch of L*. Raises `EngineError`."""
        ...

    def close(self) -> None:
        """Release the runtime; calling it twice is harmless, and `infer` afterwards raises `EngineError`."""
        ...


def checked(answer: F32, lightness: F32, spec: EngineSpec) -> F32:
    """Return ``answer`` if it keeps the contract, else raise `EngineError`."""
    count, _, height, width = lightness.shape
    expected = (count, 2, height // spec.stride, width // spec.stride)
    if answer.shape != expected:
        raise EngineError(f"{spec.name}: the answer has shape {answer.shape}, not {expected}")
    if answer.dtype != np.float32:
        raise EngineError(f"{spec.name}: the answer is {answer.dtype}, not float32")
    if not np.isfinite(answer).all():
        raise EngineError(
            f"{spec.name}: the answer holds values that are not finite ({spec.precision} on {spec.device})",
            advice="Try --engine onnxruntime; if it happens there too, the weights are damaged.",
        )
    return answer
