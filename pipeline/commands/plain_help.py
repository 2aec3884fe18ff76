"""Help that speaks of files and numbers, not of the types of a programming language."""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

# What is given to an option, by the name of its type; switches are given nothing.
_WORDS = {
    "bool": " ",
    "path": "PATH",
    "list[Path]": "PATH",
    "int": "N",
    "int range": "N",
    "float": "NUMBER",
    "float range": "NUMBER",
    "str": "TEXT",
    "list[str]": "TEXT",
}


class _Plain:
    """What both kinds of commands have, to stand before them."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters, ``--help`` among them, with plain words for what they are given."""
        return _plain(super().get_params(ctx), ctx)  # type: ignore[misc]  # that of the class it stands before


class PlainCommand(_Plain, TyperCommand):
    """A command whose ``--help`` shows no types: what an option is given is its metavar, or a plain word."""


class PlainGroup(_Plain, TyperGroup):
    """A group of commands whose own ``--help`` shows no types."""


def _plain(params: list[Any], ctx: Any) -> list[Any]:
    for param in params:
        if isinstance(param, TyperArgument):
            param.display_type_rich = lambda ctx: None  # type: ignore[method-assign]  # noqa: ARG005
        elif isinstance(param, TyperOption) and param.metavar is None:
            kind = str(param.display_type(ctx) or "").strip("<>")
            param.metavar = _WORDS.get(kind, kind)
    return params
