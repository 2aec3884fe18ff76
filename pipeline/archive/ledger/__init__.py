"""The memory of an archive: one row for every work item, in an SQLite file beside the results (docs/ledger.md).

An archive that is worked on in parts has a ledger for each of them; the whole is one of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.archive.ledger.file import LEDGER, connect, connect_snapshot
from pipeline.archive.ledger.reader import FOLDER_KIND, Known, LedgerReader, Planned, Record, RunRecord, State
from pipeline.archive.ledger.writer import Ledger
from pipeline.archive.output_folder import home, is_at_rest, shards_of
from pipeline.archive.run_options import MAY_PASS, Shard

__all__ = [
    "FOLDER_KIND",
    "Known",
    "Ledger",
    "LedgerReader",
    "Part",
    "Planned",
    "Record",
    "RunRecord",
    "Standing",
    "State",
    "all_parts",
    "as_ranges",
    "open_ledger",
    "read_ledger",
]


def open_ledger(output: Path, *, shard: Shard | None = None) -> Ledger:
    """Open the ledger of the output folder ``output``, or of one part of it; it is made if there is none.

    Raises `OutputError` if it is damaged, of another version, or cannot be written. For the run that holds the lock of
    `pipeline.archive.output_folder` alone.
    """
    path = home(output, shard) / LEDGER
    return Ledger(path, connect(path))


def read_ledger(output: Path, *, shard: Shard | None = None) -> LedgerReader | None:
    """Open the ledger of ``output`` for reading only, or return None if there is none. Raises `OutputError`.

    While a run is at work, on whatever machine, this is the snapshot that it published last, at most minutes old.
    """
    found = connect_snapshot(output, shard)
    return None if found is None else LedgerReader(home(output, shard) / LEDGER, *found)


class Standing(StrEnum):
    """How the last run of a part ended: FINISHED; STOPPED in order, for the time or a person; FAILED by an error.

    DIED and RUNNING ones have not ended; MISSING is a part that no run was made of.
    """

    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    DIED = "died"
    RUNNING = "running"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part, ``shard`` None for the whole, its ``ledger`` as its run published it last, and its runs."""

    shard: Shard | None
    home: Path
    ledger: LedgerReader | None
    runs: Sequence[RunRecord]
    standing: Standing

    @property
    def index(self) -> int:
        """Its number, from 1 on."""
        return self.shard.index if self.shard else 1

    @property
    def is_to_run_again(self) -> bool:
        """Whether another run of it has work: it did not finish, or a failure may pass."""
        if self.standing is Standing.RUNNING:
            return False
        if self.standing is not Standing.FINISHED or self.ledger is None:
            return True
        counts = self.ledger.counts()
        return bool(counts[State.WAITING] or counts[State.RUNNING] or self.ledger.has_failed(MAY_PASS))


@contextmanager
def all_parts(output: Path, *, shard: Shard | None = None, own: Ledger | None = None) -> Iterator[list[Part]]:
    """Give all parts of ``output`` in order; ``own`` is the ledger of the run of ``shard`` that asks.

    Nothing is written. Raises `OutputError` if a ledger cannot be read.
    """
    with ExitStack() as stack:
        parts = []
        for one in shards_of(output):
            is_own = own is not None and one == shard
            ledger = own if is_own else read_ledger(output, shard=one)
            if ledger is not None and not is_own:
                stack.enter_context(ledger)
            runs = ledger.runs() if ledger is not None else []
            standing = _standing(runs, is_running=not is_own and not is_at_rest(output, shard=one))
            parts.append(Part(shard=one, home=home(output, one), ledger=ledger, runs=runs, standing=standing))
        yield parts


def _standing(runs: Sequence[RunRecord], *, is_running: bool) -> Standing:
    if is_running:
        return Standing.RUNNING
    if not runs:
        return Standing.MISSING
    if runs[-1].ended is None:
        return Standing.DIED
    ends = {"finished": Standing.FINISHED, "until": Standing.STOPPED, "interrupted": Standing.STOPPED}
    return ends.get(runs[-1].outcome, Standing.FAILED)


def as_ranges(numbers: Iterable[int]) -> str:
    """Return ``numbers``, which rise, as Slurm's ``--array`` takes them: ``1,3-5,9``."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)
