"""Pages that a command serves until somebody ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from pipeline.interruption import Cancelled

_CTRL_C = 130

NoBrowser = Annotated[
    bool, typer.Option("--no-browser", help="Print the address instead of opening it.", show_envvar=False)
]


def announcing(page: str, *, no_browser: bool, err: bool = False) -> Callable[[str], None]:
    """Return what prints the address of ``page`` and opens it; with ``err`` nothing goes to standard output."""

    def announce(address: str) -> None:
        typer.echo(f"{page}: {address}", err=err)
        typer.echo("Ctrl-C ends it.", err=True)
        if not no_browser:
            typer.launch(address)

    return announce


@contextmanager
def until_ctrl_c() -> Iterator[None]:
    """Leave the block in order on Ctrl-C: that is how a page that is served until somebody ends it ends well."""
    try:
        yield
    except Cancelled as stopped:
        if stopped.exit_code != _CTRL_C:
            raise
