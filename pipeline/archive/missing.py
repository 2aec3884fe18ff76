"""What is no longer there: sources of earlier runs, and folders that look like disks that are not mounted."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.archive.context import RunContext
from pipeline.archive.ledger import FOLDER_KIND, State
from pipeline.archive.plan import Refused, refused_folder
from pipeline.archive.records import Records
from pipeline.errors import InputError
from pipeline.wording import count

_NAMED = 20


def check_missing(context: RunContext, records: Records) -> int:
    """Write down which sources of earlier runs are gone, after all of the tree was planned; return how many.

    A folder that is empty now and held some of them is a failure of this run. Raises `InputError` if nothing is left
    of all sources.
    """
    ledger, counts, source = context.ledger, records.counts, context.source
    states = ledger.counts()
    counts.check_any(source, known=sum(states.values()))
    gone: list[str] = []
    if counts.finished < states[State.DONE] and context.run_options.since is None:
        gone = [path for path in ledger.paths(State.DONE) if _is_gone(source / path)]
        ledger.mark_gone(gone)
    if gone:
        more = f" and {len(gone) - _NAMED:,} more" if len(gone) > _NAMED else ""
        context.reporter.say(
            f"{count(len(gone), 'source')} no longer there; what was made of them is kept: "
            f"{', '.join(gone[:_NAMED])}{more}"
        )
    records.plan(list(emptied_folders(source, ledger.paths(State.GONE))))
    forgotten = [
        record.path
        for record in ledger.not_met(context.run)
        if record.kind == FOLDER_KIND or _is_gone(source / record.path)
    ]
    ledger.forget(forgotten)
    return len(gone)


def emptied_folders(source: Path, gone: Iterable[str]) -> Iterator[Refused]:
    """Yield the folders below ``source`` that are empty now and held some of the sources ``gone``.

    That is how a disk that is not mounted looks; whoever removed the sources on purpose can remove the folder too.
    """
    counts: Counter[str] = Counter()
    nearest: dict[str, str] = {}
    for path in gone:
        folder = path.rpartition("/")[0]
        if folder not in nearest:
            nearest[folder] = _nearest(source, folder)
        counts[nearest[folder]] += 1
    for folder, number in sorted(counts.items()):
        if folder and _is_empty(source / folder):
            error = InputError(
                f"{source / folder}: is empty, but held {count(number, 'source')} in earlier runs",
                advice="Check that its disk is mounted. If they were removed on purpose, remove this folder too.",
            )
            yield refused_folder(folder, source / folder, error)


def _nearest(source: Path, folder: str) -> str:
    """Return ``folder``, or the nearest one above it that exists."""
    while folder and not (source / folder).is_dir():
        folder = folder.rpartition("/")[0]
    return folder


def _is_empty(folder: Path) -> bool:
    try:
        return next(folder.iterdir(), None) is None
    except OSError:
        # The walk names it.
        return False


def _is_gone(path: Path) -> bool:
    """Whether there is nothing at ``path``; what cannot be reached, behind a closed folder or a share, may be there."""
    try:
        path.lstat()
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)
    return False
