"""Identify a file by size and time or by SHA-256, and a result by its recipe."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from pipeline.archive.walk import Kind
from pipeline.corrections import Correction
from pipeline.documents import to_json
from pipeline.errors import InputError
from pipeline.options import Options
from pipeline.reference_files import reference_fingerprint
from pipeline.version import program_version

# Largest value of an SQLite column. Disks hold times beyond it: 2^63 nanoseconds after 1970 is in April 2262.
_LATEST = (1 << 63) - 1
# Not part of a recipe: every engine computes the same colours, up to rounding; the others affect how the work is done,
# not its result. The network is included by its fingerprint, not by name. References are included in the recipe of the
# items that have any, see `for_item`.
_NEVER = {"engine", "device", "model", "overwrite", "reference", "threads", "verify"}
FILMS_ONLY = {"codec", "quality", "every", "deinterlace", "frame_rate", "on_damage"}


class FileStat(NamedTuple):
    """Size in bytes and modification time in nanoseconds since 1970, clipped to 64 bits."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path | str) -> Self:
        """Return the values for the file at ``path``. Raises `OSError`."""
        found = os.stat(path)
        changed = found.st_mtime_ns
        if not -_LATEST <= changed <= _LATEST:
            changed = _LATEST if changed > 0 else -_LATEST
        return cls(found.st_size, changed)

    @classmethod
    def found(cls, path: Path | str) -> Self | None:
        """Return the values for the file at ``path``, or None if it cannot be reached."""
        try:
            return cls.of(path)
        except OSError:
            return None


def fingerprint(path: Path | str) -> str:
    """Return the SHA-256 of the file at ``path`` as 64 hexadecimal digits. Raises `InputError`."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}", advice="Check its permissions."
        ) from error


def is_same(
    path: Path | str, found: FileStat, known: FileStat | None, sha256: str | None, *, thorough: bool = False
) -> bool:
    """Return whether the file at ``path``, with the size and time ``found``, is still the ``known`` one.

    Compares size and time; if only the time differs, or always if ``thorough``, also the fingerprint, if there is one.
    Raises `InputError` if the file cannot be read.
    """
    if known is None or found.size != known.size:
        return False
    if found == known and not (thorough and sha256):
        return True
    return bool(sha256) and fingerprint(path) == sha256


def for_item(recipe: str, correction: Correction, references: Sequence[Path] = ()) -> str:
    """Return the recipe of an item, including its correction and the ``references`` whose colours it uses.

    It is ``recipe`` unchanged if neither affects the result. Raises `InputError` for references that cannot be reached.
    """
    found = " ".join(filter(None, (correction.fingerprint, reference_fingerprint(references))))
    return hashlib.sha256(f"{recipe} {found}".encode(errors="surrogateescape")).hexdigest() if found else recipe


def recipe(kind: Kind, options: Options, *, network: str, version: str | None = None) -> str:
    """Return the SHA-256 of what affects results of ``kind``: options, program version and network.

    ``network`` is its fingerprint, `engines.network.NetworkSpec.fingerprint`; ``version`` defaults to this program's.

    When it changes, finished work is stale. An option counts unless it is known not to affect ``kind``. Options that
    only concern films do not make photographs stale.
    """
    without = _NEVER if kind is Kind.FILM else _NEVER | FILMS_ONLY
    chosen = {name: value for name, value in to_json(options).items() if name not in without}
    parts = {"kind": kind.value, "options": chosen, "network": network, "version": version or program_version()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def recipes(options: Options, network: str) -> Mapping[Kind, str]:
    """Return the `recipe` for photographs and the one for films."""
    return {kind: recipe(kind, options, network=network) for kind in (Kind.PHOTO, Kind.FILM)}
