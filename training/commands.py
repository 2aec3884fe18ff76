"""Common parts of the commands ``python -m training...``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import wraps
from typing import Protocol

from engines.errors import AutochromeError


class _Action(Protocol):
    def __call__(self, arguments: Sequence[str] | None = None) -> None: ...


class _Main(Protocol):
    def __call__(self, arguments: Sequence[str] | None = None) -> int: ...


def command(action: _Action) -> _Main:
    """Return a function that runs ``action`` and returns its exit code; this program's errors take two lines."""

    @wraps(action)
    def main(arguments: Sequence[str] | None = None) -> int:
        try:
            action(arguments)
        except AutochromeError as error:
            sys.stderr.write(f"Error: {error}\n{error.advice}\n")
            return error.exit_code
        return 0

    return main
