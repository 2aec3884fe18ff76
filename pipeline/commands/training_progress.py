"""How far a training run is, on the terminal: a bar with loss and rate, or a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.terminal import duration, error_console, printable
from pipeline.wording import count

if TYPE_CHECKING:
    from training.runlog import Progress

_SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def training_shown() -> Iterator[tuple[Callable[[int], None], Callable[[Progress], None]]]:
    """Give two receivers: of how many photographs were decoded, and of a run's progress; both go to standard error."""
    from rich.markup import escape

    console = error_console()
    console.soft_wrap = True
    with console.status("Starting") as status:
        shown = _Shown(lambda text: console.print(escape(text)), lambda text: status.update(escape(text)))
        yield (
            shown.decoded if console.is_terminal else shown.decoded_line,
            (shown.progress if console.is_terminal else shown.progress_line),
        )


class _Shown:
    """Writes lines, and changes the one at the bottom of a terminal."""

    def __init__(self, line: Callable[[str], None], bottom: Callable[[str], None]) -> None:
        self._line, self._bottom = line, bottom
        self._last = 0.0
        self._said: set[str] = set()

    def decoded(self, pictures: int) -> None:
        self._bottom(f"decoding photographs: {count(pictures, 'picture')}")

    def decoded_line(self, pictures: int) -> None:
        if self._due():
            self._line(f"decoding photographs: {count(pictures, 'picture')}")

    def progress(self, progress: Progress) -> None:
        self._once(progress)
        self._bottom(described(progress))

    def progress_line(self, progress: Progress) -> None:
        self._once(progress)
        if self._due() or progress.step == progress.steps:
            self._line(described(progress))

    def _once(self, progress: Progress) -> None:
        if progress.lacking:
            parts = ", ".join(progress.lacking)
            self._new(f"the backbone has no weights for {parts} of the encoder: they begin random")
        if progress.sheet is not None:
            self._new(f"samples: {printable(str(progress.sheet))}")

    def _new(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._line(text)

    def _due(self) -> bool:
        now = time.monotonic()
        if self._last and now - self._last < _SECONDS_BETWEEN_LINES:
            return False
        self._last = now
        return True


def described(progress: Progress) -> str:
    """Return ``step 120 of 500, loss 0.532, rate 0.001, 9.3 crops/s, 6:48 left``."""
    steps = f"step {progress.step:,}" + (f" of {progress.steps:,}" if progress.steps is not None else "")
    parts = [steps, f"loss {progress.loss:.4g}", f"rate {progress.learning_rate:.3g}"]
    parts.append(f"{progress.crops_per_second:.3g} crops/s")
    if progress.seconds_left is not None:
        parts.append(f"{duration(progress.seconds_left)} left")
    return ", ".join(parts)
