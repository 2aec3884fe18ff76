"""Output folders with a ledger as left by runs, for tests of the report."""

from __future__ import annotations

from pathlib import Path

from pipeline.archive.context import archive_at
from pipeline.archive.fingerprints import FileStat
from pipeline.archive.ledger import Ledger, Planned, RunEnd, RunOutcome, ShardRecord, ShardStatus
from pipeline.archive.report import ROWS, write_report
from pipeline.archive.report.previews import EMBEDDED, Packs
from pipeline.originals import NO_ORIGINALS
from pipeline.results import Failure, FilmResult, PhotoResult

RECIPE = "ab" * 32
BEGUN = 1_780_000_000.0


class Shelf:
    """A source folder, an output folder and the ledger of a run in progress."""

    def __init__(self, source: Path, output: Path, ledger: Ledger, *, sidecars: bool = True) -> None:
        self.source, self.output, self.ledger = source, output, ledger
        self.packs = Packs(ledger.path.parent, originals=NO_ORIGINALS)
        self.run = ledger.begin_run(version="0.1.0", options={"run_options": {"sidecars": sidecars}})

    def plan(self, path: str, *, kind: str = "photo") -> None:
        """Queue one item."""
        planned = Planned(
            path=path, kind=kind, output=path, source=FileStat(24_000_000, 5), recipe=RECIPE, attempts=0, deaths=0,
            weight=0, replaces=False,
        )  # fmt: skip
        self.ledger.plan(self.run, [planned])

    def done(self, path: str, result: PhotoResult | FilmResult, *, kind: str = "photo", mtime_ns: int = 7) -> None:
        """Queue one item and finish it."""
        self.plan(path, kind=kind)
        self.ledger.claim([path])
        packed = self.packs.keep(path, result.previews)
        self.ledger.done(
            path,
            result,
            source=FileStat(24_000_000, 5),
            result=FileStat(25_300_000, mtime_ns),
            started=BEGUN,
            seconds=2.0,
            packed=packed,
        )
        self.ledger.seal(path, source_sha256=RECIPE, result_sha256=RECIPE)

    def failed(
        self, path: str, error: str, *, advice: str = "", exit_code: int = 4, times: int = 1, refused: bool = False
    ) -> None:
        """Queue one item and let it fail ``times`` times, the third time permanently, or be ``refused``."""
        self.plan(path)
        failure = Failure(source=self.source / path, error=error, advice=advice, exit_code=exit_code, refused=refused)
        for _ in range(times):
            self.ledger.failed(path, failure, seconds=0.2, quarantine_after=3)

    def report(self, *, rows: int = ROWS, embedded: int = EMBEDDED) -> Path:
        """Write the report of this ledger only, with limits like those of `write_report`."""
        shard = ShardRecord(
            key=None,
            home=self.ledger.path.parent,
            ledger=self.ledger,
            runs=self.ledger.runs(),
            status=ShardStatus.FINISHED,
        )
        return write_report(archive_at(self.source, self.output), [shard], rows=rows, embedded=embedded)

    def end(self, *, done: int = 0, failed: int = 0, skipped: int = 0) -> None:
        """End the run."""
        self.ledger.end_run(
            self.run,
            RunEnd(outcome=RunOutcome.FINISHED, exit_code=0),
            done=done,
            kept=0,
            failed=failed,
            skipped=skipped,
            left_out={},
        )
