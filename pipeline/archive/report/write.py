"""From the ledger to ``report.html``."""

from __future__ import annotations

import time
from itertools import chain
from pathlib import Path

from pipeline.archive.ledger import Ledger, RunRecord
from pipeline.archive.report.items import survey
from pipeline.archive.report.page import page
from pipeline.archive.report.previews import pictures_inside
from pipeline.originals import Originals
from pipeline.publish import publishing

REPORT = "report.html"


def write_report(source: Path, output: Path, ledger: Ledger, *others: Ledger) -> Path:
    """Write the report of the archive ``source`` into ``output``, whole or not at all, and return its path.

    ``others`` are the ledgers of further shards of the same archive, whose items and runs join those of ``ledger``.
    Raises `OutputError` if the ledger cannot be read or the disk refuses.
    """
    ledgers = (ledger, *others)
    found = survey(chain.from_iterable(one.records() for one in ledgers), source, output)
    pictures = pictures_inside(found.items, output)
    runs: list[RunRecord] = sorted((run for one in ledgers for run in one.runs()), key=lambda run: run.started)
    whole = page(found, runs, pictures, source=source, output=output, now=time.time())
    with publishing(output / REPORT, overwrite=True, originals=Originals((source,))) as temporary:
        # Names that are no UTF-8 hold characters that no encoding has; they are shown as signs of replacement.
        temporary.write_bytes(whole.encode(errors="xmlcharrefreplace"))
    return output / REPORT
