"""What the commands ``python -m training...`` have in common."""

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
    """Return what carries out ``action`` and returns its exit code: errors of this program are told in two lines."""

    @wraps(action)
    def main(arguments: Sequence[str] | None = None) -> int:
        try:
            action(arguments)
        except AutochromeError as error:
            sys.stderr.write(f"Error: {error}\n{error.advice}\n")
            return error.exit_code
        return 0

    return main
