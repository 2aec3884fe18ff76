"""Pages that a command serves until the user ends it."""

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
    """Return a function that prints the address of ``page`` and opens it; with ``err``, never on standard output."""

    def announce(address: str) -> None:
        typer.echo(f"{page}: {address}", err=err)
        typer.echo("Ctrl-C ends it.", err=True)
        if not no_browser:
            typer.launch(address)

    return announce


@contextmanager
def until_ctrl_c() -> Iterator[None]:
    """Leave the block normally on Ctrl-C, the regular way to end a served page."""
    try:
        yield
    except Cancelled as stopped:
        if stopped.exit_code != _CTRL_C:
            raise
