"""How a command ends: its answer as words or as JSON, errors and signals as exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from pipeline.documents import json_text
from pipeline.errors import AutochromeError, MissingDependencyError
from pipeline.interruption import Cancelled, end_on_signals
from pipeline.results import Failure

if TYPE_CHECKING:
    from rich.console import RenderableType

_MISSING = MissingDependencyError.exit_code
_AGAIN = "Run the same command again."
_ISSUES = "This is a fault of the program; --verbose shows where. Please report it."


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How much a command says, and whether its answer is for a machine."""

    json: bool = False
    verbose: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Answer:
    """What a command found or made: ``document`` for machines, ``lines`` (rich markup) and ``failures`` for people.

    ``failed`` counts the failures, of which ``failures`` may name only the first.
    """

    document: Mapping[str, Any]
    lines: Sequence[RenderableType]
    exit_code: int = 0
    failures: tuple[Failure, ...] = ()
    failed: int = 0


def carry_out(manner: Manner, action: Callable[[], Answer]) -> NoReturn:
    """Run ``action``, tell its answer or its error in ``manner``, and leave with the exit code it stands for."""
    with _guarded_stdout(manner) as stdout:
        end_on_signals()
        try:
            answer = action()
        except AutochromeError as error:
            answer = _told(manner, type(error).__name__, str(error), error.advice, error.exit_code)
        except ImportError as error:
            advice = "Install Autochrome again, with everything it needs: pip install autochrome"
            answer = _told(manner, type(error).__name__, f"a package cannot be imported: {error}", advice, _MISSING)
        except Cancelled as ending:
            answer = _told(manner, "Interrupted", "told to stop; what was finished is kept", _AGAIN, ending.exit_code)
        except Exception as error:  # noqa: BLE001 - the last line before the user
            answer = _told(manner, type(error).__name__, f"unexpected {type(error).__name__}: {error}", _ISSUES, 1)
        _tell(manner, answer, stdout)
    raise SystemExit(answer.exit_code)


def refuse(manner: Manner, error: AutochromeError) -> NoReturn:
    """Tell ``error``, which came before there was anything to carry out, and leave with its exit code."""
    answer = _told(manner, type(error).__name__, str(error), error.advice, error.exit_code)
    _tell(manner, answer, sys.stdout)
    raise SystemExit(answer.exit_code)


def error_document(kind: str, message: str, advice: str, exit_code: int) -> dict[str, Any]:
    """Return what ``--json`` prints when a command fails."""
    return {"error": {"kind": kind, "message": message, "advice": advice, "exit_code": exit_code}}


@contextmanager
def _guarded_stdout(manner: Manner) -> Iterator[TextIO]:
    """Give standard output; with JSON, lead everything else that is printed, by native libraries too, to stderr."""
    if not manner.json:
        yield sys.stdout
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    with open(kept, "w", encoding="utf-8") as stdout:  # noqa: PTH123 - a descriptor, not a path
        yield stdout


def _told(manner: Manner, kind: str, message: str, advice: str, exit_code: int) -> Answer:
    from rich.markup import escape

    from pipeline.terminal import error_console

    console = error_console()
    if manner.verbose:
        traceback.print_exc()
    console.print(f"[bold red]Error:[/bold red] {escape(message)}")
    if advice:
        console.print(f"  {escape(advice)}")
    return Answer(error_document(kind, message, advice, exit_code), (), exit_code)


def _tell(manner: Manner, answer: Answer, stdout: TextIO) -> None:
    from rich.console import Console
    from rich.markup import escape

    from pipeline.terminal import error_console

    if manner.json:
        stdout.write(json_text(answer.document) + "\n")
    console = error_console()
    if not manner.quiet:
        out = console if manner.json else Console(highlight=False, soft_wrap=True)
        for line in answer.lines:
            out.print(line)
    if answer.failures:
        console.print(f"[bold red]{answer.failed:,} failed:[/bold red]")
    for failed in answer.failures:
        console.print(f"  {escape(failed.error)}")
        if failed.advice:
            console.print(f"    [dim]{escape(failed.advice)}[/dim]")
    if answer.failed > len(answer.failures):
        console.print(f"  ... and {answer.failed - len(answer.failures):,} more")
