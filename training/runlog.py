"""A run's reports: lines of JSON at intervals, the same for TensorBoard, and its progress."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from engines.errors import AutochromeError, MissingDependencyError
from training import DISTRIBUTION
from training.files import writing

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter

LOG = "log.jsonl"
DISCRIMINATOR = "discriminator"
"""The name of a discriminator's loss, which is not part of the generator's loss."""


class TrainingError(AutochromeError):
    """Training failed; the message names the step."""

    exit_code = 9


@dataclass(frozen=True)
class Progress:
    """Progress of a run."""

    step: int
    steps: int | None
    """Total steps; None while the clock has not determined them."""
    loss: float
    learning_rate: float
    crops_per_second: float
    seconds_left: float | None
    sheet: Path | None
    """The most recent sheet of samples."""
    lacking: tuple[str, ...]
    """Parts of the encoder missing from the backbone."""
    computes: str
    """Precision and device of the run."""
    measures: bool = False
    """Whether it is currently evaluating held-out photographs, which may take as long as many steps."""


class RunLog:
    """``log.jsonl`` and the folder ``tensorboard`` of a run."""

    def __init__(self, run: Path, *, first: int, tensorboard: bool) -> None:
        """Continue at step ``first``, discarding what an earlier process wrote for later steps.

        Raises `MissingDependencyError` if TensorBoard is requested and not installed, `WriteError`.
        """
        self._path = run / LOG
        with writing(self._path):
            if self._path.exists():
                lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
                self._path.write_text("".join(line for line in lines if json.loads(line)["step"] <= first), "utf-8")
            self._writer = _open_writer(run / "tensorboard", first) if tensorboard else None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Record ``values`` after ``step`` steps."""
        with writing(self._path), self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": step, **{key: round(value, 6) for key, value in values.items()}}) + "\n")
        if self._writer is not None:
            for key, value in values.items():
                self._writer.add_scalar(key, value, step)
            self._writer.flush()

    def show(self, step: int, sheet: Path) -> None:
        """Show the picture ``sheet`` in TensorBoard."""
        if self._writer is not None:
            with Image.open(sheet) as picture:
                self._writer.add_image("held_out", np.asarray(picture.convert("RGB")), step, dataformats="HWC")
            self._writer.flush()

    def close(self) -> None:
        """Close the files."""
        if self._writer is not None:
            self._writer.close()


def _open_writer(folder: Path, first: int) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError(
            f"TensorBoard cannot be imported: {error}",
            advice=f"Install {DISTRIBUTION}[train], or train with --no-tensorboard.",
        ) from error
    return SummaryWriter(str(folder), purge_step=first + 1)


class LossMeter:
    """Means of the loss's terms, and the rate, since they were last read; also reports progress."""

    def __init__(
        self,
        first: int,
        watch: Callable[[Progress], None],
        *,
        every: float,
        computes: str = "",
        lacking: tuple[str, ...] = (),
    ) -> None:
        """Start at step ``first``; call ``watch`` at most once in ``every`` seconds."""
        self._from, self._watch, self._every = first, watch, every
        self._computes, self._lacking = computes, lacking
        self._began = self._reported = time.monotonic()
        self._all_crops, self._warm = 0, False
        self._sheet: Path | None = None
        self._loss: Mapping[str, Tensor] = {}
        self._clear()

    def _clear(self) -> None:
        self._started, self._steps, self._crops = time.monotonic(), 0, 0
        self._sums: dict[str, Tensor] = {}

    def add(self, terms: Mapping[str, Tensor], *, crops: int) -> None:
        """Add the terms of a step of ``crops`` crops, without waiting for the device."""
        self._steps += 1
        self._crops += crops
        if self._warm:
            self._all_crops += crops
        self._loss = terms
        for name, term in terms.items():
            self._sums[name] = self._sums[name] + term if name in self._sums else term

    def means(self, step: int) -> dict[str, float]:
        """Return the terms by name, the loss and the crops per second. Raises `TrainingError` if one is not finite."""
        terms = {name: float(total) / self._steps for name, total in self._sums.items()}
        rate = self._crops / (time.monotonic() - self._started)
        self._clear()
        if not all(map(math.isfinite, terms.values())):
            raise TrainingError(
                f"the loss is not finite before step {step}: {terms}", advice="Lower the learning rate, or use f32."
            )
        return {"loss": _sum(terms), **{f"loss/{name}": value for name, value in terms.items()}, "rate": rate}

    def drew(self, sheet: Path) -> None:
        """Record the most recent sheet of samples."""
        self._sheet = sheet

    def tell(self, done: int, steps: int | None, *, learning_rate: float, now: bool, measures: bool = False) -> None:
        """Report that ``done`` of ``steps`` steps are done, if it is time or ``now``."""
        moment = time.monotonic()
        if not self._warm:
            # The first step takes far longer: memory is allocated, and kernels are selected.
            self._warm, self._began, self._from = True, moment, done
        if not now and moment - self._reported < self._every:
            return
        self._reported = moment
        spent = max(moment - self._began, 1e-9)
        pace = (done - self._from) / spent
        left = (steps - done) / pace if steps is not None and pace else None
        loss = _sum({name: float(term) for name, term in self._loss.items()})
        rate = self._all_crops / spent
        computes, lacking = self._computes, self._lacking
        self._watch(Progress(done, steps, loss, learning_rate, rate, left, self._sheet, lacking, computes, measures))


def _sum(terms: Mapping[str, float]) -> float:
    return math.fsum(value for name, value in terms.items() if name != DISCRIMINATOR)
