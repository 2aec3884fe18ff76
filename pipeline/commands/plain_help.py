"""Help that refers to files and numbers instead of the types of a programming language."""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

# Placeholders for an option's value, by type name; switches take no value.
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
    """Behaviour common to both kinds of commands, as a mixin placed before them."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return all parameters, including ``--help``, with plain words for their values."""
        return _plain(super().get_params(ctx), ctx)  # type: ignore[misc]  # that of the class it stands before


class PlainCommand(_Plain, TyperCommand):
    """A command whose ``--help`` shows no types: an option's value is its metavar, or a plain word."""


class PlainGroup(_Plain, TyperGroup):
    """A command group whose own ``--help`` shows no types."""


def _plain(params: list[Any], ctx: Any) -> list[Any]:
    for param in params:
        if isinstance(param, TyperArgument):
            param.display_type_rich = lambda ctx: None  # type: ignore[method-assign]  # noqa: ARG005
        elif isinstance(param, TyperOption) and param.metavar is None:
            kind = str(param.display_type(ctx) or "").strip("<>")
            param.metavar = _WORDS.get(kind, kind)
    return params
