"""How a run over an archive proceeds: what it takes, when it stops, what it leaves behind. Not how pictures look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline.options import SEGMENT_FRAMES, TreatAs

# Exit codes of failures that may pass.
MAY_PASS = (5, 6, 75)
THREADS = "threads"


@dataclass(frozen=True, kw_only=True)
class Shard:
    """Shard ``index`` of ``count``, from 1 on."""

    index: int
    count: int

    def __str__(self) -> str:
        """Return it as ``--shard`` takes it."""
        return f"{self.index}/{self.count}"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Choices of one run; none of them changes what a result looks like, so none makes finished work stale.

    ``until`` ends the run at a safe boundary. ``retry`` is the number of further attempts at an item whose failure may
    pass (exit codes 5 and 6); an item that failed in ``quarantine_after`` runs, or was being worked on when so many
    runs died, is quarantined until its source or recipe changes. ``include`` and ``exclude`` are patterns over the path
    below the source folder; ``since`` takes sources changed at or after that time; ``shard`` takes one shard of them.
    ``jobs`` films are done at a time. ``on`` says where: ``threads`` of this process, ``processes`` of this machine,
    ``ray`` or ``ray://HOST`` for a Ray cluster; ``workers`` is how many processes there are, None for one to a core.
    A film is written in segments of ``segment_frames`` frames, the running one of which a dead run loses.
    ``verify_all`` compares finished work by fingerprint instead of size and time.
    ``keep_free`` bytes stay free on the output's disk. ``log`` takes JSON Lines, ``metrics`` a Prometheus text file.
    ``corrections`` is a tree of them to use instead of that in the output folder; ``decide`` says what the sources that
    are taken are, and is kept there as their correction, which AUTO takes back.
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
        """Take the only shard of one for the whole, as it is."""
        if self.shard is not None and self.shard.count == 1:
            object.__setattr__(self, "shard", None)

    @property
    def uses_other_processes(self) -> bool:
        """Whether items are coloured in other processes than the one that was started."""
        return self.on != THREADS
