"""Settings from a file and from environment variables: what is accepted, and the errors for what is not.

There is one file, in TOML. Its keys are the long names of options (``keep-free = "20 GB"``). Keys at the top level
apply to all commands; those under ``[video]``, ``[archive]`` and so on apply to one and take precedence.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from pipeline.errors import AutochromeError

FILE_NAME = "autochrome.toml"
PREFIX = "AUTOCHROME"
COMMANDS = ("video", "photo", "archive", "review")
Setting: TypeAlias = bool | str | list[str]


class SettingsError(AutochromeError):
    """An invalid settings file or environment variable."""

    exit_code = 9


class Shape(StrEnum):
    """The form a setting has in the file."""

    SWITCH = "true or false"
    ONE = "a text or a number"
    MANY = "a list of texts"
    PATH = "the path of a file or folder"
    WEIGHTS = "a name or the path of an ONNX file"


def find_settings(named: Path | None) -> Path | None:
    """Return ``named``, or the file `FILE_NAME` in the current folder if it exists."""
    here = Path(FILE_NAME)
    return named if named is not None else (here if here.is_file() else None)


def read_settings(
    path: Path, *, command: str, shapes: Mapping[str, Shape], others: Collection[str] = ()
) -> dict[str, Setting]:
    """Return the settings for ``command`` (one of `COMMANDS`) in the file at ``path``, as its parser takes them.

    ``shapes`` are the command's options; ``others``, options of other commands, are ignored at the top level. Relative
    paths are resolved against the file's folder. Raises `SettingsError` for a file that cannot be read, an unknown key
    or a value of the wrong shape.
    """
    document = _load(path)
    own = document.pop(command, {})
    for other in COMMANDS:
        document.pop(other, None)
    if not isinstance(own, dict):
        raise SettingsError(f"{path}: {command} is not a table", advice=f"Write [{command}] and its settings below it.")
    document = {key: value for key, value in document.items() if key in shapes or key not in others}
    where = f"There are [{'], ['.join(COMMANDS)}] for settings of one command."
    settings = dict(_checked(path, document, shapes, where=where))
    return settings | dict(_checked(path, own, shapes, where="See --help for the options there are."))


def unknown_variables(environment: Iterable[str], known: Collection[str]) -> list[str]:
    """Return the variables that start with `PREFIX` but are not in ``known``."""
    return sorted(name for name in environment if name.startswith(f"{PREFIX}_") and name not in known)


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}", advice="Check the path.") from error
    except ValueError as error:
        raise SettingsError(
            f"{path}: is not valid TOML: {error}", advice="See https://toml.io for the format."
        ) from error


def _checked(
    path: Path, table: Mapping[str, Any], shapes: Mapping[str, Shape], *, where: str
) -> Iterator[tuple[str, Setting]]:
    for key, value in table.items():
        if key not in shapes:
            near = difflib.get_close_matches(key.replace("_", "-"), shapes, n=1)
            advice = f"Did you mean {near[0]}?" if near else where
            raise SettingsError(f"{path}: {key}: there is no such setting", advice=advice)
        setting = _setting(value, shapes[key], path)
        if setting is None:
            raise SettingsError(f"{path}: {key} must be {shapes[key]}, not {value!r}", advice="See --help.")
        yield key, setting


def _setting(value: object, shape: Shape, path: Path) -> Setting | None:
    """Return ``value`` as the command line parser takes it, or None if it is not of ``shape``."""
    match shape, value:
        case Shape.SWITCH, bool():
            return value
        case Shape.MANY, list() if all(isinstance(one, str) and one for one in value):
            return value
        case Shape.PATH, str() if value:
            return str(path.parent / Path(value).expanduser())
        case Shape.WEIGHTS, str() if value:
            return str(path.parent / Path(value).expanduser()) if value.endswith(".onnx") else value
        case Shape.ONE, datetime() | date() | time():
            return value.isoformat()
        case Shape.ONE, str() | int() | float() if value != "" and not isinstance(value, bool):
            return str(value)
    return None
