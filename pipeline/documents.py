"""Typed values to JSON and back, for ``--json``, the ledger, segments and sidecars."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from functools import cache
from pathlib import Path, PurePath
from typing import Any, TypeVar, get_args

from cattrs import BaseValidationError, Converter, transform_error
from cattrs.gen import make_dict_unstructure_fn, override

from pipeline.results import FilmResult, PhotoResult

T = TypeVar("T")

_RESULTS: Mapping[str, type[FilmResult] | type[PhotoResult]] = {"film": FilmResult, "photo": PhotoResult}


def to_json(value: Any) -> Any:
    """Return ``value`` as JSON values: objects, lists, text, numbers, booleans, null.

    Dataclasses become objects keyed by field name, enumerations become their values, paths and fractions text, times
    ISO 8601, bytes Base64. Results of films and photographs include their ``kind`` and omit their previews.
    """
    return _converter().unstructure(value)


def from_json(kind: type[T], values: Any) -> T:
    """Return an instance of the class ``kind`` from its `to_json` form ``values``; unknown keys are ignored.

    Raises `ValueError` if ``values`` has another form; the message gives the place: ``hints[0].x: ...``.
    """
    try:
        return _converter().structure(values, kind)
    except (BaseValidationError, KeyError, TypeError, ValueError) as error:
        found = (line.rpartition(" @ ") for line in transform_error(error, "", format_exception=_wrong))
        raise ValueError("; ".join(_at(path.lstrip("."), wrong) for wrong, _, path in found)) from error


def _wrong(error: BaseException, kind: Any) -> str:
    """Describe what is wrong with a value that should be of type ``kind``."""
    kinds = get_args(kind) or (kind,)
    if isinstance(error, KeyError):
        return "is missing"
    if isinstance(error, TypeError):
        return "is of another kind"
    for one in kinds:
        if isinstance(one, type) and issubclass(one, StrEnum):
            return f"{str(error).partition(' is not')[0]} is none of {', '.join(one)}"
    return f"{str(error).rpartition(': ')[2]} is no number" if {int, float} & set(kinds) else str(error)


def _at(path: str, wrong: str) -> str:
    """Prefix the message ``wrong`` with its location; ``wrong`` may itself begin with the name of a field."""
    names_field = re.match(r"\w+: ", wrong, re.ASCII)
    return f"{path}{'.' if names_field else ': '}{wrong}" if path else wrong


def result_from_json(values: Mapping[str, Any]) -> FilmResult | PhotoResult:
    """Return the result with the `to_json` form ``values``, without previews, which that form omits.

    Raises `ValueError` if ``values`` has another form.
    """
    kind = _RESULTS.get(str(values.get("kind")))
    if kind is None:
        raise ValueError(f"not a result: its kind is {values.get('kind')!r}")
    return from_json(kind, values)


def json_text(document: Mapping[str, Any]) -> str:
    """Return ``document`` as the text of ``--json``, in ASCII, so that every file name survives every terminal."""
    return json.dumps(document, indent=2, allow_nan=False)


@cache
def _converter() -> Converter:
    converter = Converter(unstruct_collection_overrides={tuple: list, frozenset: sorted})
    converter.register_unstructure_hook(StrEnum, str)
    converter.register_unstructure_hook(PurePath, str)
    converter.register_structure_hook(Path, lambda text, _: Path(text))
    converter.register_unstructure_hook(Fraction, str)
    converter.register_structure_hook(Fraction, lambda text, _: Fraction(text))
    converter.register_unstructure_hook(datetime, datetime.isoformat)
    converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
    converter.register_unstructure_hook(bytes, lambda data: b64encode(data).decode("ascii"))
    converter.register_structure_hook(bytes, lambda text, _: b64decode(text, validate=True))
    for name, kind in _RESULTS.items():
        converter.register_unstructure_hook(kind, _result_hook(converter, kind, name))
    return converter


def _result_hook(converter: Converter, kind: type[Any], name: str) -> Callable[[Any], dict[str, Any]]:
    fields = make_dict_unstructure_fn(kind, converter, previews=override(omit=True))
    return lambda result: {"kind": name, **fields(result)}
