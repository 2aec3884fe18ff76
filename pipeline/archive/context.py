"""What all parts of one run share: where it works, how, what it writes into, what stops it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.archive.ledger import Ledger
from pipeline.archive.run_log import Event, RunLog
from pipeline.archive.run_options import RunOptions
from pipeline.corrections import CorrectionTree, corrections_beside
from pipeline.interruption import StopReason, StopRequest
from pipeline.options import Options
from pipeline.originals import Originals
from pipeline.progress import Progress
from pipeline.results import Note


class Reporter:
    """Passes the events of a run on, one call at a time, and writes what is said into its log. Threads may share it."""

    def __init__(self, progress: Progress, log: RunLog, source: Path, run: int) -> None:
        self._progress, self._log, self._source, self._run = progress, log, source, run
        self._turn = threading.RLock()

    def write(self, event: Event, **fields: Any) -> None:
        """Write ``event`` of this run into the log."""
        with self._turn:
            self._log.write(event, run=self._run, **fields)

    def begin(self, item: str, total: int | None, unit: str) -> None:
        """Pass on."""
        with self._turn:
            self._progress.begin(item, total, unit)

    def advance(self, item: str, count: int = 1) -> None:
        """Pass on."""
        with self._turn:
            self._progress.advance(item, count)

    def end(self, item: str) -> None:
        """Pass on."""
        with self._turn:
            self._progress.end(item)

    def say(self, text: str) -> None:
        """Pass on and write down."""
        with self._turn:
            self._progress.say(text)
            self.write(Event.MESSAGE, text=text)

    def note(self, item: str, note: Note) -> None:
        """Pass on and write down."""
        path = Path(item)
        name = path.relative_to(self._source).as_posix() if path.is_relative_to(self._source) else item
        with self._turn:
            self._progress.note(item, note)
            self.write(Event.NOTE, path=name, kind=note.kind, text=note.text)


class Archive(Protocol):
    """Where an archive is and how it is coloured: what a driver and its workers both know."""

    @property
    def source(self) -> Path:
        """The folder of the sources."""
        ...

    @property
    def output(self) -> Path:
        """The folder of the results."""
        ...

    @property
    def options(self) -> Options:
        """What results look like."""
        ...

    @property
    def run_options(self) -> RunOptions:
        """How the run proceeds."""
        ...


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """One run, number ``run`` of the ledger; ``tree`` is the folder of the results, at or below ``output``."""

    source: Path
    output: Path
    tree: Path
    options: Options
    run_options: RunOptions
    ledger: Ledger
    reporter: Reporter
    stop: StopRequest
    run: int

    @property
    def originals(self) -> Originals:
        """What nothing that is written may replace."""
        return Originals((self.source,))

    @property
    def corrections(self) -> CorrectionTree:
        """What people set right about the items."""
        return correction_tree(self.source, self.output, self.run_options)

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether nothing more is to be planned. When only the time is up, the plan is made: it says what waits."""
        return self.stop.reason not in (None, StopReason.TIME)


def correction_tree(source: Path, output: Path, run_options: RunOptions) -> CorrectionTree:
    """Return the corrections that a run respects: those of the output folder, or of another tree."""
    originals = Originals((source,))
    if run_options.corrections is not None:
        return CorrectionTree(run_options.corrections, originals=originals)
    return corrections_beside(output, originals=originals)
