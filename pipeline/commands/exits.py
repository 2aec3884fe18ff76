"""How a command exits: its result as text or JSON, errors and signals as exit codes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline.diagnostics import logged
from pipeline.documents import json_text, to_json
from pipeline.errors import NO_MEMORY, AutochromeError, MissingDependencyError
from pipeline.interruption import Cancelled, end_on_signals
from pipeline.os_errors import unwritable
from pipeline.process import quiet_libraries
from pipeline.results import Failure, FilmResult, PhotoResult, shell_line
from pipeline.version import DISTRIBUTION
from pipeline.wording import count

if TYPE_CHECKING:
    from rich.console import RenderableType

_SOME_FAILED = 3
_MISSING = MissingDependencyError.exit_code
_AGAIN = "Run the same command again"
_REPORT = "This is a fault of the program. Please report it, with the file that --log-file FILE writes."

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reporting:
    """How much a command prints, and where: ``verbosity`` 1 and 2 show log records, ``log_file`` gets all of them."""

    json: bool = False
    verbosity: int = 0
    quiet: bool = False
    log_file: Path | None = None


@dataclass(frozen=True)
class CommandResult:
    """The outcome of a command: ``document`` for machines, ``lines`` (rich markup) and ``failures`` for people.

    ``failed`` counts the failures; ``failures`` may contain only the first ones.
    """

    document: Mapping[str, Any]
    lines: Sequence[RenderableType]
    exit_code: int = 0
    failures: tuple[Failure, ...] = ()
    failed: int = 0


def result_for_several(
    outcomes: Sequence[FilmResult | PhotoResult | Failure],
    lines: Sequence[RenderableType],
    *,
    count: int,
    interrupted: int,
) -> CommandResult:
    """Return the result of a command with ``count`` sources; ``interrupted`` is 0 or a signal's exit code."""
    failures = tuple(outcome for outcome in outcomes if isinstance(outcome, Failure))
    code = interrupted or (_SOME_FAILED if failures else 0)
    results = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    document = {"results": to_json(results), "failures": to_json(failures), "exit_code": code}
    if left := count - len(outcomes):
        lines = [f"interrupted: {left:,} of {count:,} left", *lines]
    return CommandResult(document, lines, code, failures=failures, failed=len(failures))


def markup(text: object) -> str:
    """Escape ``text`` for the lines of a `CommandResult`."""
    from rich.markup import escape

    from pipeline.terminal import printable

    return escape(printable(str(text)))


def carry_out(reporting: Reporting, action: Callable[[], CommandResult]) -> NoReturn:
    """Run ``action``, print its result or its error, and exit with the corresponding code."""
    quiet_libraries()
    with _guarded_stdout(reporting) as write:
        end_on_signals()
        try:
            with logged(verbosity=reporting.verbosity, file=reporting.log_file):
                logger.info("%s, in %s", shell_line(sys.argv), Path.cwd())
                result = _result(action)
        except AutochromeError as error:
            # The log itself cannot be written.
            result = _failed(error)
        code = _print(reporting, result, write)
    raise SystemExit(code)


def refuse(reporting: Reporting, error: AutochromeError) -> NoReturn:
    """Print ``error``, raised before there was an action to run, and exit with its code."""
    raise SystemExit(_print(reporting, _failed(error), _write_stdout))


def error_document(kind: str, message: str, advice: str, exit_code: int) -> dict[str, Any]:
    """Return what ``--json`` prints when a command fails."""
    return {"error": {"kind": kind, "message": message, "advice": advice, "exit_code": exit_code}}


def _result(action: Callable[[], CommandResult]) -> CommandResult:
    try:
        return action()
    except AutochromeError as error:
        logger.error("%s", error, exc_info=True)
        return _failed(error)
    except ImportError as error:
        logger.error("a package cannot be imported", exc_info=True)
        advice = f"Install Autochrome again, with everything it needs: pip install {DISTRIBUTION}"
        return _error(type(error).__name__, f"a package cannot be imported: {error}", advice, _MISSING)
    except Cancelled as stopped:
        logger.info("interrupted, exit code %d", stopped.exit_code)
        return _error("Interrupted", *_kept(stopped), stopped.exit_code)
    except MemoryError as error:
        logger.error("not enough memory", exc_info=True)
        return _error(type(error).__name__, "this needs more memory than there is", NO_MEMORY, 1)
    except Exception as error:
        logger.exception("unexpected error")
        return _error(type(error).__name__, f"unexpected {type(error).__name__}: {error}", _REPORT, 1)


def _kept(stopped: Cancelled) -> tuple[str, str]:
    """Return what an interrupted run keeps, and what to do next."""
    resumes = f"{_AGAIN}: it resumes."
    if stopped.frames_kept is None:
        return "interrupted; finished work is kept", resumes
    if not stopped.frames_kept:
        return "interrupted; nothing is kept of the current film", f"{_AGAIN}."
    return f"interrupted; {count(stopped.frames_kept, 'frame')} of the current film are kept", resumes


def _failed(error: AutochromeError) -> CommandResult:
    return _error(type(error).__name__, str(error), error.advice, error.exit_code)


def _error(kind: str, message: str, advice: str, exit_code: int) -> CommandResult:
    from pipeline.terminal import error_console

    console = error_console()
    console.print(f"[bold red]Error:[/bold red] {markup(message)}")
    if advice:
        console.print(f"  {markup(advice)}")
    return CommandResult(error_document(kind, message, advice, exit_code), (), exit_code)


@contextmanager
def _guarded_stdout(reporting: Reporting) -> Iterator[Callable[[str], None]]:
    """Yield a function that writes text to standard output immediately, raising `OSError` on failure.

    With JSON, all other output, including that of native libraries, goes to standard error.
    """
    if not reporting.json:
        yield _write_stdout
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield lambda text: _write_all(kept, text.encode("ascii"))
    finally:
        os.close(kept)


def _write_stdout(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _print(reporting: Reporting, result: CommandResult, write: Callable[[str], None]) -> int:
    """Print ``result`` and return the exit code: 5 if a successful result cannot be written to standard output."""
    code = result.exit_code
    try:
        if reporting.json:
            write(json_text(result.document) + "\n")
        _print_lines(reporting, result)
    except BrokenPipeError:
        # The reader has closed the pipe, as after `| head`.
        _discard_stdout()
    except OSError as error:
        _discard_stdout()
        failure = unwritable("standard output", error)
        _failed(failure)
        code = code or failure.exit_code
    return code


def _discard_stdout() -> None:
    """Discard what is left in the buffer of standard output, so that Python does not fail again at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _print_lines(reporting: Reporting, result: CommandResult) -> None:
    from rich.console import Console

    from pipeline.terminal import error_console

    console = error_console()
    if result.failures:
        console.print(f"[bold red]{result.failed:,} failed:[/bold red]")
    for failed in result.failures:
        console.print(f"  {markup(failed.error)}")
        if failed.advice:
            console.print(f"    [dim]{markup(failed.advice)}[/dim]")
    if result.failed > len(result.failures):
        console.print(f"  ... and {result.failed - len(result.failures):,} more")
    # The last line says where results are.
    if not reporting.quiet:
        out = console if reporting.json else Console(highlight=False, soft_wrap=True)
        for line in result.lines:
            out.print(line)
