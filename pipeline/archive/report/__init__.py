"""The page an archivist reads in the morning: ``report.html`` in the output folder (docs/report.md)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from pipeline.archive.context import Part
from pipeline.archive.ledger import Ledger, RunRecord
from pipeline.archive.report.items import survey
from pipeline.archive.report.page import Contents, PartStatus, page
from pipeline.archive.report.previews import inside
from pipeline.archive.run_options import Shard
from pipeline.corrections import CorrectionTree
from pipeline.originals import Originals
from pipeline.publish import publishing

__all__ = ["REPORT", "write_report"]

REPORT = "report.html"
_ENDS = {"finished": "finished", "until": "stopped at the time set", "interrupted": "interrupted"}


def write_report(
    source: Path,
    output: Path,
    ledger: Ledger,
    *,
    corrections: CorrectionTree | None = None,
    shard: Shard | None = None,
    others: Sequence[Part] = (),
) -> Path:
    """Write the report of the archive ``source`` into ``output``, whole or not at all, and return its path.

    ``shard`` is the part that ``ledger`` is of; the items and runs of the ``others`` join it, and those of them that
    are missing are named. What was accepted in ``corrections`` asks for no look. Raises `OutputError` if a ledger
    cannot be read or the disk refuses.
    """
    ledgers = [ledger, *(part.ledger for part in others if part.ledger is not None)]
    records = chain.from_iterable(one.records() for one in ledgers)
    found = survey(records, source, output, corrections=corrections)
    contents = Contents(
        survey=found,
        runs=sorted((run for one in ledgers for run in one.runs()), key=lambda run: run.started),
        pictures=inside(((item.path, len(item.labels)) for item in found.items), output),
        parts=[] if shard is None else _statuses([Part(shard, ledger), *others]),
        source=source,
        output=output,
    )
    text = page(contents, now=time.time())
    with publishing(output / REPORT, overwrite=True, originals=Originals((source,))) as temporary:
        # Names that are no UTF-8 hold characters that no encoding has; they are shown as signs of replacement.
        temporary.write_bytes(text.encode(errors="xmlcharrefreplace"))
    return output / REPORT


def _statuses(parts: Sequence[Part]) -> list[PartStatus]:
    return [_status(part) for part in sorted(parts, key=lambda part: part.shard.index)]


def _status(part: Part) -> PartStatus:
    name = f"{part.shard.index} of {part.shard.count}"
    runs: list[RunRecord] = part.ledger.runs() if part.ledger is not None else []
    if not runs:
        return PartStatus(name=name, needs_look=True, words="no run yet: its items are missing from this page")
    last = runs[-1]
    if last.ended is None:
        return PartStatus(name=name, needs_look=True, words=f"run {last.number} is at work, or it died")
    words = (
        f"{_ENDS.get(last.outcome, f'ended by an error ({last.outcome})')}, {last.done:,} done, {last.failed:,} failed"
    )
    return PartStatus(name=name, needs_look=last.outcome != "finished", words=words)
