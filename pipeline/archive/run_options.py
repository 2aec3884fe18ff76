"""How a run over an archive proceeds: what it takes, when it stops, what it records. Not how pictures look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.options import SEGMENT_FRAMES, TreatAs

# Exit codes of failures that may be temporary.
MAY_PASS = (5, 6, 75)
THREADS = "threads"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Shard ``index`` of ``count``, starting at 1."""

    index: int
    count: int

    def __str__(self) -> str:
        """Return it in the form of ``--shard``."""
        return f"{self.index}/{self.count}"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of one run; none of them affects what a result looks like, so none makes finished work stale.

    ``until`` ends the run at a safe boundary. ``retry`` is the number of further attempts at an item whose failure may
    be temporary (exit codes 5 and 6); an item that failed in ``quarantine_after`` runs, or was in progress when as many
    runs died, is quarantined until its source or recipe changes. ``include`` and ``exclude`` are patterns over the path
    below the source folder; ``since`` takes sources changed at or after that time; ``shard`` takes one shard of them.
    ``jobs`` films are done in parallel. ``on`` is where to run: ``threads`` of this process, ``processes`` of this
    machine, ``ray`` or ``ray://HOST`` for a Ray cluster; ``workers`` is the number of processes, None for one per core.
    A film is written in segments of ``segment_frames`` frames; a dead run loses the current one. ``verify_all``
    compares finished work by fingerprint instead of size and time. ``keep_free`` bytes stay free on the output's disk.
    ``log`` is a JSON Lines file, ``metrics`` a Prometheus text file. ``corrections`` is a tree of corrections to use
    instead of that in the output folder; ``decide`` classifies the sources that are taken, and is saved there as their
    correction, which AUTO removes.
    """

    until: datetime | None = None
    retry: int = 1
    quarantine_after: int = 3
    jobs: int = 1
    on: str = THREADS
    workers: int | None = None
    segment_frames: int = SEGMENT_FRAMES
    shard: Shard | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    since: datetime | None = None
    follow_links: bool = False
    verify_all: bool = False
    keep_free: int = 1 << 30
    sidecars: bool = True
    bag: bool = False
    report: bool = True
    log: Path | None = None
    metrics: Path | None = None
    corrections: Path | None = None
    decide: TreatAs | None = None

    def __post_init__(self) -> None:
        """Replace the only shard of one by the whole archive, which it is."""
        if self.shard is not None and self.shard.count == 1:
            object.__setattr__(self, "shard", None)

    @property
    def uses_other_processes(self) -> bool:
        """Whether items are coloured in processes other than this one."""
        return self.on != THREADS
