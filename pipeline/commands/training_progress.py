"""Progress of a training run on the terminal: one line that is updated, or occasional lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.terminal import duration, error_console, printable
from pipeline.wording import count

if TYPE_CHECKING:
    from training.data import CacheReport
    from training.runlog import Progress

_SECONDS_BETWEEN_LINES = 10.0


class TrainingShown:
    """Shows a training run to the user: news in lines that stay, progress in one that is updated."""

    def __init__(self, line: Callable[[str], None], bottom: Callable[[str], None] | None) -> None:
        """Write lines with ``line``; ``bottom`` updates the last line of a terminal, and is None without one."""
        self._line, self._bottom = line, bottom
        self._last = 0.0
        self._printed: set[str] = set()

    def decoded(self, pictures: int, total: int) -> None:
        """Show how many pictures were decoded, out of how many."""
        self._tell(f"decoding photographs: {pictures:,} of {count(total, 'picture')}", last=pictures == total)

    def kept(self, report: CacheReport) -> None:
        """Show which of them were kept."""
        left_out = {why: number for why, number in vars(report).items() if why != "kept" and number}
        reasons = [f"{number:,} {why.replace('_', ' ')}" for why, number in left_out.items()]
        self._new(f"photographs: {report.kept:,}" + (f"; left out: {', '.join(reasons)}" if reasons else ""))

    def starting(self) -> None:
        """Show that the network is being prepared, until the end of its first step."""
        self._tell("starting", last=True)

    def doing(self, text: str) -> None:
        """Show the current activity."""
        self._tell(text, last=False)

    def progress(self, progress: Progress) -> None:
        """Show the progress of the run."""
        self._new(f"computing in {progress.computes}")
        if progress.lacking:
            parts = ", ".join(progress.lacking)
            self._new(f"the backbone has no weights for {parts} of the encoder: they begin random")
        if progress.sheet is not None:
            self._new(f"samples: {printable(str(progress.sheet))}")
        self._tell(described(progress), last=progress.step == progress.steps and not progress.measures)

    def _tell(self, text: str, *, last: bool) -> None:
        if self._bottom is not None:
            self._bottom(text)
        elif last or self._due():
            self._line(text)

    def _new(self, text: str) -> None:
        if text not in self._printed:
            self._printed.add(text)
            self._line(text)

    def _due(self) -> bool:
        now = time.monotonic()
        if self._last and now - self._last < _SECONDS_BETWEEN_LINES:
            return False
        self._last = now
        return True


@contextmanager
def training_shown() -> Iterator[TrainingShown]:
    """Yield the display of a run on standard error."""
    with _shown("reading weights") as shown:
        yield shown


@contextmanager
def working_shown(text: str) -> Iterator[Callable[[str], None]]:
    """Yield a function that shows the current activity on standard error, initially ``text``."""
    with _shown(text) as shown:
        yield shown.doing


@contextmanager
def _shown(text: str) -> Iterator[TrainingShown]:
    from rich.markup import escape

    console = error_console()
    console.soft_wrap = True
    with console.status(text) as status:
        bottom = (lambda text: status.update(escape(text))) if console.is_terminal else None
        yield TrainingShown(lambda text: console.print(escape(text)), bottom)


def described(progress: Progress) -> str:
    """Return ``step 120 of 500, loss 0.532, rate 0.001, 9.3 crops/s, 6:48 left``, omitting what is unknown."""
    steps = f"step {progress.step:,}" + (f" of {progress.steps:,}" if progress.steps is not None else "")
    parts = [steps, f"loss {progress.loss:.4g}", f"rate {progress.learning_rate:.3g}"]
    if progress.crops_per_second:
        parts.append(f"{progress.crops_per_second:.3g} crops/s")
    if progress.measures:
        parts.append("measuring on held-out photographs")
    elif progress.seconds_left is not None:
        parts.append(f"{duration(progress.seconds_left)} left")
    return ", ".join(parts)
