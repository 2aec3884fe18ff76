"""Results as the ledger keeps them, made into typed values again."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pipeline.results import FilmResult, PhotoResult

_KINDS: dict[str, type[PhotoResult] | type[FilmResult]] = {"photo": PhotoResult, "film": FilmResult}


def revived(document: Mapping[str, Any]) -> PhotoResult | FilmResult:
    """Return the result of which ``document`` is the `plain` form; its previews, which are not in it, are none."""
    result: PhotoResult | FilmResult = _value(_KINDS[document["kind"]], document)
    return result


def _value(kind: Any, plain: Any) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        known = {field.name for field in dataclasses.fields(kind)}
        return kind(**{name: _value(hints[name], value) for name, value in plain.items() if name in known})
    arguments = typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not types.NoneType)
        return None if plain is None else _value(inner, plain)
    if typing.get_origin(kind) is tuple:
        return tuple(_value(arguments[0], inner) for inner in plain)
    return kind(plain) if isinstance(kind, type) and issubclass(kind, Path | Enum) else plain
