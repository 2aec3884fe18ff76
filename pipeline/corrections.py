"""Corrections that a person made to one item, kept so that every later run respects them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from pipeline.documents import from_json, json_text, to_json
from pipeline.errors import InputError, UsageError
from pipeline.options import Hint, Options, Tone, TreatAs, Unit
from pipeline.originals import Originals
from pipeline.os_errors import is_there
from pipeline.publish import HOME, publishing

SUFFIX = ".correction.json"
FORMAT = "autochrome-correction-1"
_MOST_BYTES = 1 << 20
# Fields of the first version, always part of the digest; later fields are included only when set.
_ALWAYS_DIGESTED = {"hints", "references", "saturation", "treat_as", "tone", "accepted"}


@dataclass(frozen=True, kw_only=True)
class Correction:
    """Corrections to one item; None, or no hints, leaves the choice to the run.

    ``saturation`` multiplies the chroma. ``references`` are the names of coloured pictures beside the correction file.
    For photographs they replace the references that a run finds; for films they are used in addition. ``accepted``
    means that a person has looked at the result and is satisfied.
    """

    hints: tuple[Hint, ...] = ()
    references: tuple[str, ...] = ()
    saturation: float | None = None
    treat_as: TreatAs | None = None
    tone: Tone | None = None
    accepted: bool = False

    def __post_init__(self) -> None:
        if self.saturation is not None and not 0 <= self.saturation <= 4:
            raise ValueError(f"saturation {self.saturation} is not between 0 and 4")
        for name in self.references:
            if not name or name.startswith(".") or set(name) & set("/\\:\0"):
                raise ValueError(f"references: {name!r} is not the name of a file beside the correction")

    @property
    def fingerprint(self) -> str:
        """A short digest of everything that affects the result; empty if nothing does."""
        shaping = to_json(replace(self, accepted=False))
        if shaping == to_json(type(self)()):
            return ""
        for name in shaping.keys() - _ALWAYS_DIGESTED:
            if shaping[name] is None:
                del shaping[name]
        for hint in shaping["hints"]:
            # The digest of hints in shares predates the choice of unit; keep it, so that no result is made again.
            if hint["unit"] == Unit.SHARE:
                del hint["unit"]
        return hashlib.blake2b(json.dumps(shaping, sort_keys=True).encode(), digest_size=8).hexdigest()

    def reference_files(self, kept: Path) -> tuple[Path, ...]:
        """Return the paths of the references beside the correction file ``kept``. Raises `InputError` if missing."""
        found = tuple(kept.with_name(name) for name in self.references)
        for path in found:
            if not is_there(path):
                raise InputError(
                    f"{path}: a reference of a correction is missing",
                    advice=f"Restore it, or remove it from {kept}.",
                )
        return found

    def applied(self, options: Options) -> Options:
        """Return ``options`` with the values of this correction in place of theirs; its hints follow theirs."""
        stated = {
            name: value for name in ("saturation", "treat_as", "tone") if (value := getattr(self, name)) is not None
        }
        return replace(options, hints=(*options.hints, *self.hints), **stated)


NO_CORRECTION = Correction()


@dataclass(frozen=True, kw_only=True)
class Revision:
    """An earlier correction and when it was replaced."""

    until: datetime
    correction: Correction


@dataclass(frozen=True, kw_only=True)
class CorrectionFile:
    """The content of a correction file: the current correction, and earlier ones from oldest to newest."""

    correction: Correction = NO_CORRECTION
    history: tuple[Revision, ...] = ()
    format: str = FORMAT

    def revised(self, correction: Correction) -> CorrectionFile:
        """Return the file with ``correction`` as the current one and the previous one added to the history."""
        past = Revision(until=datetime.now(UTC), correction=self.correction)
        return replace(self, correction=correction, history=(*self.history, past))

    def undone(self) -> CorrectionFile:
        """Return the file as it was before the last revision. Raises `ValueError` if there is none."""
        if not self.history:
            raise ValueError("there is nothing to undo")
        *earlier, last = self.history
        return replace(self, correction=last.correction, history=tuple(earlier))

    @property
    def fingerprint(self) -> str:
        """A short digest of the whole content, used to detect changes."""
        return hashlib.blake2b(json.dumps(to_json(self)).encode(), digest_size=8).hexdigest()

    def text(self) -> str:
        """Return the JSON text, dropping the oldest revisions if the history would make it too large to read.

        Raises `UsageError` if the current correction alone is too large.
        """
        kept = self
        while len(text := f"{json_text(to_json(kept))}\n") > _MOST_BYTES:
            if not kept.history:
                raise UsageError(
                    f"a correction of {len(self.correction.hints):,} hints is too large", advice="Give fewer hints."
                )
            kept = replace(kept, history=kept.history[1:])
        return text


class CorrectionTree:
    """The corrections of a tree of sources, keyed by each item's path below the root of that tree."""

    def __init__(self, folder: Path, *, originals: Originals) -> None:
        """Use ``folder``, which need not exist; ``originals`` are never replaced."""
        self.folder = folder
        self._originals = originals

    def items(self) -> frozenset[str]:
        """Return the paths, with ``/``, of all items that have a correction, in a single scan."""
        kept = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob(f"*{SUFFIX}"))
        return frozenset(path.removesuffix(SUFFIX) for path in kept)

    def path_of(self, item: PurePath) -> Path:
        """Return the path of the correction of ``item``, a relative path. Raises `InputError` for other paths."""
        if item.is_absolute() or ".." in item.parts:
            raise InputError(f"{item}: not a path below the sources", advice="Name the item as the report does.")
        return self.folder / f"{item}{SUFFIX}"

    def read(self, item: PurePath) -> CorrectionFile:
        """Return the correction file of ``item``, an empty one if there is none. Raises `InputError` if invalid."""
        return _file_at(self.path_of(item))

    def write(self, item: PurePath, file: CorrectionFile) -> Path:
        """Write ``file``, as given by `CorrectionFile.text`, for ``item`` and return its path.

        Raises `OutputError` if it cannot be written, and the errors of `CorrectionFile.text`.
        """
        path, text = self.path_of(item), file.text()
        with publishing(path, overwrite=True, originals=self._originals) as temporary:
            temporary.write_text(text, encoding="ascii")
        return path

    def keep_reference(self, item: PurePath, content: bytes) -> str:
        """Store an encoded coloured picture beside the correction of ``item`` and return its name.

        The name contains a fingerprint of the content. Raises `OutputError` if it cannot be written.
        """
        digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        path = self.path_of(item)
        path = path.with_name(f"{path.name.removesuffix(SUFFIX)}.reference-{digest}")
        if not is_there(path):
            with publishing(path, overwrite=True, originals=self._originals) as temporary:
                temporary.write_bytes(content)
        return path.name


def corrections_beside(folder: Path, *, originals: Originals) -> CorrectionTree:
    """Return the corrections kept beside the results in ``folder``."""
    return CorrectionTree(folder / HOME / "corrections", originals=originals)


def check_corrections(folder: Path | None) -> None:
    """Raise `InputError` if ``folder``, a folder of corrections named by the user, does not exist."""
    if folder is not None and not (is_there(folder) and folder.is_dir()):
        raise InputError(
            f"{folder}: no such folder of corrections", advice="Check --corrections, or create the folder first."
        )


def correction_of_file(
    source: Path, output: Path, *, originals: Originals, tree: Path | None = None
) -> tuple[CorrectionTree, PurePath]:
    """Return the tree that holds the correction of a single file, beside its result or in ``tree``, and its item there.

    Raises `InputError` if ``tree`` does not exist.
    """
    if tree is None:
        return corrections_beside(output.parent, originals=originals), PurePath(source.name)
    check_corrections(tree)
    return CorrectionTree(tree, originals=originals), PurePath(source.name)


def correction_at(path: Path | None) -> Correction:
    """Return the correction in the file at ``path``, or an empty one if there is no such file. Raises `InputError`."""
    return NO_CORRECTION if path is None else _file_at(path).correction


def _file_at(path: Path) -> CorrectionFile:
    return read_correction(path) if is_there(path) else CorrectionFile()


def read_correction(path: Path) -> CorrectionFile:
    """Read the correction file at ``path``. Raises `InputError` that names the offending key and value."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"larger than {_MOST_BYTES:,} bytes")
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise ValueError(f'"format" is not "{FORMAT}"')
        _refuse_unknown(values, CorrectionFile)
        correction_from_json(values.get("correction", {}))
        return from_json(CorrectionFile, values)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: not a correction: {error}",
            advice="See docs/corrections.md for the format; delete the file to continue without it.",
        ) from error


def correction_from_json(values: Any) -> Correction:
    """Return the correction with the JSON form ``values``. Raises `ValueError`, also for unknown keys."""
    _refuse_unknown(values, Correction)
    hints = values.get("hints", [])
    if not isinstance(hints, list):
        raise ValueError(f"hints: must be a list, not {hints!r}")
    for hint in hints:
        _refuse_unknown(hint, Hint)
    return from_json(Correction, values)


def _refuse_unknown(values: Any, kind: type[Any]) -> None:
    if not isinstance(values, dict):
        raise ValueError(f"{kind.__name__.lower()}: must be an object, not {values!r}")
    if unknown := sorted(values.keys() - {one.name for one in fields(kind)}):
        raise ValueError(f"unknown keys: {', '.join(unknown)}")
