"""Progress for people: bars on a terminal, plain lines elsewhere. Everything goes to standard error."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID
from rich.table import Column
from rich.text import Text

from pipeline.progress import Progress as Receiver
from pipeline.progress import Silent
from pipeline.results import Note, NoteKind
from pipeline.wording import count

_SECONDS_BETWEEN_LINES = 10.0
_LABELS = {
    NoteKind.ASSUMED: "assumed",
    NoteKind.CONVERTED: "converted",
    NoteKind.DROPPED: "dropped",
    NoteKind.FALLBACK: "fall-back",
    NoteKind.CONCEALED: "concealed",
}


def error_console() -> Console:
    """Return a console on standard error that does not highlight numbers, and does not wrap lines in a log."""
    console = Console(file=cast(TextIO, _BestEffort(sys.stderr)), highlight=False)
    if not console.is_terminal:
        console.soft_wrap = True
    return console


class _BestEffort:
    """A stream that ignores write errors: a full disk under a log must not end the work.

    Otherwise rich would also keep what it could not write, and retry it with every line.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def shown(console: Console, *, quiet: bool, root: Path | None = None) -> Iterator[Receiver]:
    """Yield a receiver that draws on ``console``: bars on a terminal, lines elsewhere, nothing if ``quiet``.

    A terminal that cannot move its cursor (``TERM=dumb``) gets lines too.

    Items that are paths are shown relative to ``root``, or by their name.
    """
    if quiet:
        yield Silent()
        return
    can_draw = console.is_terminal and not console.is_dumb_terminal
    drawing = Bars(console, root) if can_draw else Lines(console, root)
    with drawing:
        yield drawing


def printable(text: str, *, lines: bool = False) -> str:
    """Return ``text`` with control characters, which file names may contain, as backslash escapes.

    Characters that no terminal can show (lone surrogates, from names that are not UTF-8) are escaped as well. With
    ``lines``, newlines and tabs are kept.
    """
    kept = "\n\t" if lines else ""
    return "".join(
        one if one.isprintable() or one in kept else one.encode("unicode_escape", "surrogatepass").decode("ascii")
        for one in text
    )


def duration(seconds: float) -> str:
    """Return ``seconds`` as hours, minutes and seconds: ``0:07``, ``1:02:03``."""
    text = str(timedelta(seconds=round(seconds)))
    return text.removeprefix("0:").removeprefix("0") if text.startswith("0:0") else text.removeprefix("0:")


def amount(done: float, total: float | None, unit: str) -> str:
    """Return a count and its total: ``12 of 144 frames``, or ``12 frames`` if the total is unknown."""
    if total is None:
        return count(int(done), unit.removesuffix("s"))
    return f"{int(done):,} of {count(int(total), unit.removesuffix('s'))}"


class _Notices:
    """Lines common to both displays. A note shared by many items is written once and counted at the end."""

    def __init__(self, console: Console, root: Path | None) -> None:
        self._console = console
        self._root = root
        self._seen: Counter[Note] = Counter()

    def say(self, text: str) -> None:
        """Show a line."""
        self._write(escape(printable(text)))

    def note(self, item: str, note: Note) -> None:
        """Show a note, once for all items that share it."""
        self._seen[note] += 1
        if self._seen[note] == 1:
            self._show(note, self._name(item))

    def _show(self, note: Note, remark: str) -> None:
        label = f"[yellow]{_LABELS[note.kind]}:[/yellow]"
        self._write(f"{label} {escape(printable(note.text))} [dim]({escape(remark)})[/dim]")

    def _write(self, markup: str) -> None:
        self._console.print(markup)

    def _repeats(self) -> None:
        for note, times in self._seen.items():
            if times > 1:
                self._show(note, f"as well for {times - 1:,} more")

    def _name(self, item: str) -> str:
        path = Path(item)
        if self._root is not None and path.is_relative_to(self._root) and path != self._root:
            return printable(str(path.relative_to(self._root)))
        return printable(path.name)


class Bars(_Notices):
    """Live bars, one for each item in progress; a finished film leaves one line above them."""

    def __init__(
        self, console: Console, root: Path | None = None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Take the time, in seconds, from ``monotonic``."""
        super().__init__(console, root)
        self._monotonic = monotonic
        self._tasks: dict[str, TaskID] = {}
        self._first_film: tuple[float, float] | None = None
        name_width = min(40, max(12, console.width - 58))
        self._progress = Progress(
            _Column(lambda task: _shortened(task.description, name_width), Column(min_width=name_width)),
            BarColumn(bar_width=None, table_column=Column(ratio=1), complete_style="cyan", finished_style="green"),
            _Column(_count, Column(min_width=15, no_wrap=True, justify="right")),
            _Column(_speed, Column(min_width=8, no_wrap=True, justify="right")),
            _Column(self._left, Column(min_width=9, no_wrap=True, justify="right"), style="dim"),
            console=console,
            transient=True,
            expand=True,
            refresh_per_second=8,
            speed_estimate_period=60,
        )

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self._repeats()

    def begin(self, item: str, total: int | None, unit: str) -> None:
        """Show that ``item`` starts."""
        self._forget(item)
        if unit == "frames" and self._first_film is None:
            done = sum(task.completed for task in self._progress.tasks if task.fields["unit"] == "items")
            self._first_film = (self._monotonic(), done)
        self._tasks[item] = self._progress.add_task(self._name(item), total=total, unit=unit)

    def advance(self, item: str, count: int = 1) -> None:
        """Count ``count`` more units of ``item``."""
        self._progress.advance(self._tasks[item], count)

    def end(self, item: str) -> None:
        """Show that ``item`` is over."""
        if item not in self._tasks:
            return
        task = next(task for task in self._progress.tasks if task.id == self._tasks[item])
        if task.fields["unit"] == "frames" and task.completed:
            line = _done(task.description, task.completed, task.total, task.elapsed or 0, "frames")
            self._write(f"[dim]{escape(line)}[/dim]")
        self._forget(item)

    def _forget(self, item: str) -> None:
        if item in self._tasks:
            self._progress.remove_task(self._tasks.pop(item))

    def _left(self, task: Task) -> str:
        remaining = self._items_left(task) if task.fields["unit"] == "items" else task.time_remaining
        return f"{duration(remaining)} left" if remaining else ""

    def _items_left(self, whole: Task) -> float | None:
        """Return the seconds left for a mix of photographs and films, or None while it cannot be estimated.

        A film takes as long as a thousand photographs, so the pace of one kind says nothing about the other.
        """
        others = [task for task in self._progress.tasks if task is not whole and task.total]
        if self._first_film is None:
            return next((task.time_remaining for task in others if task.total == whole.total), None)
        since, before = self._first_film
        begun = sum(task.completed / (task.total or 1) for task in others if task.fields["unit"] == "frames")
        films = whole.completed - before + begun
        if films < 0.01 or whole.total is None:
            return None
        return (whole.total - before - films) * (self._monotonic() - since) / films


class Lines(_Notices):
    """A line when an item starts and ends, and one every ten seconds in between: for logs."""

    def __init__(self, console: Console, root: Path | None = None) -> None:
        super().__init__(console, root)
        self._counts: dict[str, _Count] = {}
        self._written = time.monotonic()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self._repeats()

    def begin(self, item: str, total: int | None, unit: str) -> None:
        """Show that ``item`` starts."""
        self._counts[item] = _Count(total, unit)
        size = f": {count(total, unit.removesuffix('s'))}" if total is not None else ""
        self._write(escape(f"{self._name(item)}{size}"))

    def advance(self, item: str, count: int = 1) -> None:
        """Count ``count`` more units of ``item``."""
        current = self._counts[item]
        current.done += count
        if time.monotonic() - self._written >= _SECONDS_BETWEEN_LINES:
            self._written = time.monotonic()
            for name, counted in self._counts.items():
                self._write(escape(f"{self._name(name)}: {counted}"))

    def end(self, item: str) -> None:
        """Show that ``item`` is over."""
        counted = self._counts.pop(item, None)
        if counted is None:
            return
        seconds = time.monotonic() - counted.started
        self._write(escape(_done(self._name(item), counted.done, counted.total, seconds, counted.unit)))


@dataclass
class _Count:
    total: int | None
    unit: str
    done: int = 0
    started: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        if self.unit == "items":
            # Photographs and films together: the pace of one kind says nothing about the other.
            return amount(self.done, self.total, self.unit)
        seconds = max(time.monotonic() - self.started, 1e-3)
        text = f"{amount(self.done, self.total, self.unit)}, {self.done / seconds:.1f} {self.unit}/s"
        if self.total is not None and self.done:
            text += f", {duration((self.total - self.done) * seconds / self.done)} left"
        return text


def _done(name: str, done: float, total: float | None, seconds: float, unit: str) -> str:
    reached = amount(done, total if total != done else None, unit)
    return f"{name}: {reached} in {duration(seconds)}, {done / max(seconds, 1e-3):.1f} {unit}/s"


class _Column(ProgressColumn):
    """A column whose text is computed from the task."""

    max_refresh = 0.25

    def __init__(self, text: Callable[[Task], str], column: Column, *, style: str = "") -> None:
        super().__init__(table_column=column)
        self._text, self._style = text, style

    def render(self, task: Task) -> Text:
        return Text(self._text(task), style=self._style)


def _shortened(name: str, width: int) -> str:
    # The end of a path says more than its beginning.
    return name if len(name) <= width else f"...{name[3 - width :]}"


def _count(task: Task) -> str:
    total = f"/{int(task.total):,}" if task.total is not None else ""
    of = task.completed if task.total is None else task.total
    return f"{int(task.completed):,}{total} {task.fields['unit'].removesuffix('s')}{'' if of == 1 else 's'}"


def _speed(task: Task) -> str:
    if task.fields["unit"] == "items" or not task.speed:
        return ""
    return f"{task.speed:.1f} fps" if task.fields["unit"] == "frames" else f"{task.speed:.1f}/s"
