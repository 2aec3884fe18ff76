"""The state of an archive: one row per work item, in an SQLite file beside the results (docs/ledger.md).

An archive divided into shards has one ledger per shard; an undivided one counts as its own only shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.archive.ledger.file import LEDGER, DamagedLedgerError, connect, connect_snapshot
from pipeline.archive.ledger.reader import LedgerReader
from pipeline.archive.ledger.rows import (
    FOLDER_KIND,
    Known,
    Outline,
    Planned,
    Record,
    RunEnd,
    RunOutcome,
    RunRecord,
    State,
    shared_parts,
)
from pipeline.archive.ledger.writer import Ledger
from pipeline.archive.output_folder import OutputLock, home, is_at_rest, shards_of
from pipeline.archive.run_options import MAY_PASS, Shard

__all__ = [
    "FOLDER_KIND",
    "LEDGER",
    "Known",
    "Ledger",
    "LedgerReader",
    "Outline",
    "Planned",
    "Record",
    "RunEnd",
    "RunOutcome",
    "RunRecord",
    "ShardRecord",
    "ShardStatus",
    "State",
    "all_shards",
    "as_ranges",
    "open_ledger",
    "read_ledger",
    "shared_parts",
    "to_run_again",
]


def open_ledger(output: Path, *, shard: Shard | None = None, lock: OutputLock | None = None) -> Ledger:
    """Open the ledger of the output folder ``output``, or of one shard of it, creating it if needed.

    For the run that holds ``lock``, of `pipeline.archive.output_folder.locked`: nothing is written without it. Raises
    `OutputError` if it is damaged, of another version, or cannot be written.
    """
    path = home(output, shard) / LEDGER
    return Ledger(path, connect(path), lock)


def read_ledger(output: Path, *, shard: Shard | None = None) -> LedgerReader | None:
    """Open the ledger of ``output`` read-only, or return None if there is none. Raises `OutputError`.

    While a run is in progress, on any machine, this is the snapshot that it last published, at most minutes old.
    """
    found = connect_snapshot(output, shard)
    return None if found is None else LedgerReader(home(output, shard) / LEDGER, *found)


class ShardStatus(StrEnum):
    """How the last run of a shard ended: FINISHED; STOPPED in order, by deadline or request; FAILED by an error.

    DIED and RUNNING ones have not ended; MISSING means the shard was never run; of a DAMAGED one nothing is known.
    """

    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    DIED = "died"
    RUNNING = "running"
    MISSING = "missing"
    DAMAGED = "damaged"


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """What is known of one shard: its ``ledger`` as its run last published it, and its runs.

    ``key`` is None for an undivided archive. ``damage`` is why an existing ledger cannot be read.
    """

    key: Shard | None
    home: Path
    ledger: LedgerReader | None
    runs: Sequence[RunRecord]
    status: ShardStatus
    damage: DamagedLedgerError | None = None

    @property
    def index(self) -> int:
        """Its number, starting at 1."""
        return self.key.index if self.key else 1

    @property
    def is_to_run_again(self) -> bool:
        """Whether another run of it would have work: it did not finish, or has failures that may be temporary."""
        if self.status is ShardStatus.RUNNING:
            return False
        if self.status is not ShardStatus.FINISHED or self.ledger is None:
            return True
        counts = self.ledger.counts()
        return bool(counts[State.WAITING] or counts[State.RUNNING] or self.ledger.has_failed(MAY_PASS))


@contextmanager
def all_shards(output: Path, *, shard: Shard | None = None, own: Ledger | None = None) -> Iterator[list[ShardRecord]]:
    """Yield all shards of ``output`` in order; ``own`` is the open ledger of the calling run of ``shard``.

    Nothing is written. Other shards' ledgers are read in full to find DAMAGED ones. Raises `OutputError` for temporary
    errors, such as a full temporary disk, and if the number of shards cannot be determined.
    """
    with ExitStack() as stack:
        shards = []
        for one in shards_of(output):
            if own is not None and one == shard:
                shards.append(_record(output, one, own))
                continue
            try:
                with ExitStack() as opening:
                    ledger = read_ledger(output, shard=one)
                    if ledger is not None:
                        opening.enter_context(ledger)
                        ledger.check()
                    shards.append(_record(output, one, ledger, is_running=not is_at_rest(output, shard=one)))
                    stack.enter_context(opening.pop_all())
            except DamagedLedgerError as error:
                shards.append(_record(output, one, None, damage=error))
        yield shards


def _record(
    output: Path,
    key: Shard | None,
    ledger: LedgerReader | None,
    *,
    is_running: bool = False,
    damage: DamagedLedgerError | None = None,
) -> ShardRecord:
    runs = ledger.runs() if ledger is not None else []
    status = ShardStatus.DAMAGED if damage is not None else _status(runs, is_running=is_running)
    return ShardRecord(key=key, home=home(output, key), ledger=ledger, runs=runs, status=status, damage=damage)


def _status(runs: Sequence[RunRecord], *, is_running: bool) -> ShardStatus:
    if is_running:
        return ShardStatus.RUNNING
    if not runs:
        return ShardStatus.MISSING
    if runs[-1].ended is None:
        return ShardStatus.DIED
    outcome = runs[-1].outcome
    if outcome is None:
        return ShardStatus.FAILED
    return ShardStatus.FINISHED if outcome is RunOutcome.FINISHED else ShardStatus.STOPPED


def to_run_again(shards: Iterable[ShardRecord]) -> str:
    """Return the ``shards`` to run again in the form of `as_ranges`; empty if there are none."""
    return as_ranges(shard.index for shard in shards if shard.is_to_run_again)


def as_ranges(numbers: Iterable[int]) -> str:
    """Return ``numbers``, in ascending order, in the syntax of Slurm's ``--array``: ``1,3-5,9``."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)
