"""What a run leaves when it ends: ledger, report, bag, log, and last the metrics, all of which say the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pipeline.archive.bag import write_bag
from pipeline.archive.ledger import State
from pipeline.archive.parts import Part
from pipeline.errors import AutochromeError
from pipeline.originals import Originals

Write: TypeAlias = Callable[[str, int], None]

SOME_FAILED = 3


@dataclass(frozen=True)
class Step:
    """Something that is written at the end: ``write`` takes the outcome in one word and the exit code.

    One that ``says`` them is written again when a later one makes them others.
    """

    write: Write
    says: bool = True


def write_in_order(steps: Sequence[Step], outcome: str, exit_code: int) -> tuple[str, int]:
    """Do ``steps``, and return the outcome and the exit code in the end.

    What cannot be written makes a run that did all its work one that failed: the later steps say so, and the earlier
    ones are done again. All are tried, then the first error is raised.
    """
    problem: AutochromeError | None = None
    written: list[Write] = []
    for step in steps:
        try:
            step.write(outcome, exit_code)
        except AutochromeError as error:
            problem = problem or error
            if exit_code in (0, SOME_FAILED):
                outcome, exit_code = type(error).__name__, error.exit_code
                for earlier in written:
                    with suppress(AutochromeError):
                        earlier(outcome, exit_code)
        else:
            if step.says:
                written.append(step.write)
    if problem is not None:
        raise problem
    return outcome, exit_code


def complete_bag(output: Path, tree: Path, parts: Sequence[Part], *, originals: Originals) -> None:
    """Write the manifests of the bag ``output``, of which ``tree`` holds the results of ``parts``.

    Call this while no run adds to it. Raises `OutputError`.
    """
    ledgers = [part.ledger for part in parts if part.ledger is not None]
    records = (record for ledger in ledgers for state in (State.DONE, State.GONE) for record in ledger.known_in(state))
    known = {
        record.output: record.result_sha256
        for record in records
        if record.result_sha256 and (output / record.output).is_relative_to(tree)
    }
    write_bag(output, known, originals=originals)
