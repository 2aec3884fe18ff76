"""The page an archivist reads in the morning: ``report.html`` in the output folder (docs/report.md)."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.archive.context import Archive
from pipeline.archive.ledger import ShardRecord, ShardStatus, to_run_again
from pipeline.archive.report.items import Rows
from pipeline.archive.report.page import Contents, ShardLine, Sheet, page
from pipeline.archive.report.previews import EMBEDDED, Packed, inside
from pipeline.archive.report.summary import Summary, records_at, summarise
from pipeline.publish import HOME, publishing

__all__ = ["REPORT", "write_report"]

REPORT = "report.html"
SHEETS = f"{HOME}/report"
_SHEET = re.compile(r"sheet-\d{4,}\.html")
ROWS = 10_000  # items per sheet: some 4 MB, and as much for pictures
_PICTURED = 1000  # with more items than this, their pictures do not fit into the page
_WORDS = {
    ShardStatus.MISSING: "no run yet: its items are missing from this page",
    ShardStatus.RUNNING: "active; its items are up to about a minute old",
    ShardStatus.DIED: "its last run died: run it again, and it resumes",
}
_ENDS = {ShardStatus.FINISHED: "finished", ShardStatus.STOPPED: "stopped cleanly before everything was done"}


def write_report(
    archive: Archive, shards: Sequence[ShardRecord], *, rows: int = ROWS, embedded: int = EMBEDDED
) -> Path:
    """Write the report of ``archive`` into its output folder atomically and return its path.

    It covers all ``shards``, and names those that are missing, in progress or unfinished. Items beyond the first
    ``rows`` are on further sheets, in `SHEETS`. Each contains ``embedded`` bytes of pictures; the others are loaded
    from their packs. Items that a person accepted need no look. Raises `OutputError` if a ledger cannot be read or the
    disk refuses.
    """
    output = archive.output
    homes = {shard.ledger: shard.home for shard in shards if shard.ledger is not None}
    ledgers = list(homes)
    addresses_of = {ledger: home.relative_to(output).as_posix() for ledger, home in homes.items()}
    found, items = summarise(ledgers, archive)
    runs = sorted((run for shard in shards for run in shard.runs), key=lambda run: run.started)
    sheets, left_out = _sheets(found, rows), _left_out(shards)
    lines = [_line(shard) for shard in shards] if len(shards) > 1 else []
    again = to_run_again(shards) if len(shards) > 1 else ""
    # The first sheet last: it must exist only once everything that it links to does.
    for sheet in reversed(sheets):
        items_here, pictured = Rows(), list[tuple[str, Path, Packed, int]]()
        here = slice(sheet.first, sheet.first + rows)
        records = records_at(ledgers, found.order[here])
        for (ledger, record), needs_look in zip(records, found.looks[here], strict=True):
            item = items.shown(record, needs_look=bool(needs_look))
            items_here.add(item, addresses_of[ledger])
            if item.packed is not None and len(pictured) < _PICTURED:
                pictured.append((item.path, homes[ledger], item.packed, len(item.labels)))
        contents = Contents(
            summary=found,
            rows=items_here,
            sheet=sheet,
            sheets=sheets,
            runs=runs,
            left_out=left_out,
            pictures=inside(pictured, room=embedded),
            shards=lines,
            again=again,
            archive=archive,
        )
        with publishing(output / sheet.address, overwrite=True, originals=archive.originals) as temporary:
            # Names that are not UTF-8 contain characters that cannot be encoded; they are shown as replacement
            # characters.
            temporary.write_bytes(page(contents, now=time.time()).encode(errors="xmlcharrefreplace"))
    addresses = {sheet.address for sheet in sheets}
    for path in (output / SHEETS).glob("*.html"):
        if _SHEET.fullmatch(path.name) and path.relative_to(output).as_posix() not in addresses:
            archive.originals.check(path)
            path.unlink()
    return output / REPORT


def _sheets(found: Summary, rows: int) -> list[Sheet]:
    starts = range(0, max(1, found.count), rows)
    return [
        Sheet(
            number=number,
            address=REPORT if number == 1 else f"{SHEETS}/sheet-{number:04}.html",
            first=first,
            last=min(first + rows, found.count),
        )
        for number, first in enumerate(starts, 1)
    ]


def _line(shard: ShardRecord) -> ShardLine:
    if shard.damage is not None:
        words = f"its items are missing from this page: {shard.damage}. {shard.damage.advice}"
    elif shard.status in _WORDS:
        words = _WORDS[shard.status]
    else:
        last = shard.runs[-1]
        end = _ENDS.get(shard.status, f"ended with an error ({last.error})")
        words = f"{end}, {last.done:,} newly done, {last.failed:,} failed"
    name = f"{shard.index} of {shard.key.count}" if shard.key else "whole"
    return ShardLine(name=name, needs_look=shard.status is not ShardStatus.FINISHED, words=words)


def _left_out(shards: Sequence[ShardRecord]) -> Mapping[str, Any]:
    """Return what the last runs that ended found in the source and did not treat as items."""
    ended = [next((run.left_out for run in reversed(shard.runs) if run.ended is not None), {}) for shard in shards]
    ignored: Counter[str] = Counter()
    for one in ended:
        ignored.update(one.get("ignored", {}))
    return {
        "ignored": dict(ignored.most_common()),
        "hidden": sum(one.get("hidden", 0) for one in ended),
        "hidden_names": [name for one in ended for name in one.get("hidden_names", ())],
    }
