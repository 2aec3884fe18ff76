"""What a person set right about one item, kept so that every later run respects it.

A correction is a small JSON file (docs/correction.schema.json) in a tree of its own that mirrors the tree of sources:
``album/1931.jpg`` has ``album/1931.jpg.correction.json``. Archives keep theirs in ``OUTPUT/.autochrome/corrections``;
``--corrections`` names another tree, such as one under version control. Sources are never touched.
"""

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
from pipeline.publish import HOME, publishing

SUFFIX = ".correction.json"
FORMAT = "autochrome-correction-1"
_MOST_BYTES = 1 << 20
# Those that the first digests had, stated or not; another is in a digest only where it is stated.
_ALWAYS_DIGESTED = {"hints", "references", "saturation", "treat_as", "tone", "accepted"}


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What holds for one item; None, and no hints, leave the choice to the run.

    ``saturation`` multiplies the chroma. ``references`` are names of coloured pictures beside the correction's file,
    which lend their colours instead of those that a run finds, to films beside them. ``accepted`` says that a person
    looked at the result and is content.
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
        """A short digest of all that shapes the result; empty where nothing does."""
        shaping = to_json(replace(self, accepted=False))
        if shaping == to_json(type(self)()):
            return ""
        for name in shaping.keys() - _ALWAYS_DIGESTED:
            if shaping[name] is None:
                del shaping[name]
        for hint in shaping["hints"]:
            # As it was before there was a choice: nothing is made again for that.
            if hint["unit"] == Unit.SHARE:
                del hint["unit"]
        return hashlib.blake2b(json.dumps(shaping, sort_keys=True).encode(), digest_size=8).hexdigest()

    def reference_files(self, kept: Path) -> tuple[Path, ...]:
        """Return the files of its references; ``kept`` is its own. Raises `InputError` for one that is not there."""
        found = tuple(kept.with_name(name) for name in self.references)
        for path in found:
            if not path.exists():
                raise InputError(
                    f"{path}: a reference of a correction is missing",
                    advice=f"Restore it, or remove it from {kept}.",
                )
        return found

    def applied(self, options: Options) -> Options:
        """Return ``options`` with what this correction says in their place; its hints come after theirs."""
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
    """The content of a correction's file: what holds now, and what held before, the latest last."""

    correction: Correction = NO_CORRECTION
    history: tuple[Revision, ...] = ()
    format: str = FORMAT

    def revised(self, correction: Correction) -> CorrectionFile:
        """Return the file in which ``correction`` holds now and what held goes into the history."""
        past = Revision(until=datetime.now(UTC), correction=self.correction)
        return replace(self, correction=correction, history=(*self.history, past))

    def undone(self) -> CorrectionFile:
        """Return the file as it was before the last revision. Raises `ValueError` if there was none."""
        if not self.history:
            raise ValueError("there is nothing to undo")
        *earlier, last = self.history
        return replace(self, correction=last.correction, history=tuple(earlier))

    @property
    def fingerprint(self) -> str:
        """A short digest of all of it, by which a change is noticed."""
        return hashlib.blake2b(json.dumps(to_json(self)).encode(), digest_size=8).hexdigest()

    def text(self) -> str:
        """Return it as it is kept, without the oldest revisions of a history that would make it too large to read.

        Raises `UsageError` if what holds now is too large by itself.
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
    """The corrections of a tree of sources, by the path of the item below that tree's root."""

    def __init__(self, folder: Path, *, originals: Originals) -> None:
        """Use ``folder``, which need not exist; ``originals`` are never replaced."""
        self.folder = folder
        self._originals = originals

    def items(self) -> frozenset[str]:
        """Return the paths of the items that have a correction, with ``/``: one look for very many."""
        kept = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob(f"*{SUFFIX}"))
        return frozenset(path.removesuffix(SUFFIX) for path in kept)

    def path_of(self, item: PurePath) -> Path:
        """Return where the correction of ``item``, a relative path, is kept. Raises `InputError` for other paths."""
        if item.is_absolute() or ".." in item.parts:
            raise InputError(f"{item}: not a path below the sources", advice="Name the item as the report does.")
        return self.folder / f"{item}{SUFFIX}"

    def read(self, item: PurePath) -> CorrectionFile:
        """Return the file of ``item``, an empty one where there is none. Raises `InputError` if it is broken."""
        return _file_at(self.path_of(item))

    def write(self, item: PurePath, file: CorrectionFile) -> Path:
        """Keep ``file`` for ``item``, as `CorrectionFile.text` has it, and return its path.

        Raises `OutputError` when the disk refuses, and the errors of that.
        """
        path, text = self.path_of(item), file.text()
        with publishing(path, overwrite=True, originals=self._originals) as temporary:
            temporary.write_text(text, encoding="ascii")
        return path

    def keep_reference(self, item: PurePath, content: bytes) -> str:
        """Keep the file of a coloured picture beside the correction of ``item``, and return its name.

        The name holds a fingerprint of the content. Raises `OutputError` when the disk refuses.
        """
        digest = hashlib.blake2b(content, digest_size=8).hexdigest()
        path = self.path_of(item)
        path = path.with_name(f"{path.name.removesuffix(SUFFIX)}.reference-{digest}")
        if not path.exists():
            with publishing(path, overwrite=True, originals=self._originals) as temporary:
                temporary.write_bytes(content)
        return path.name


def corrections_beside(folder: Path, *, originals: Originals) -> CorrectionTree:
    """Return the corrections that are kept with the results in ``folder``."""
    return CorrectionTree(folder / HOME / "corrections", originals=originals)


def check_corrections(folder: Path | None) -> None:
    """Raise `InputError` if a ``folder`` of corrections that a person named is not there."""
    if folder is not None and not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder of corrections", advice="Check --corrections, or create the folder first."
        )


def correction_of_file(
    source: Path, output: Path, *, originals: Originals, tree: Path | None = None
) -> tuple[CorrectionTree, PurePath]:
    """Return where the correction of a single file is kept, beside its result or in ``tree``, and its item there.

    Raises `InputError` if ``tree`` is not there.
    """
    if tree is None:
        return corrections_beside(output.parent, originals=originals), PurePath(source.name)
    check_corrections(tree)
    return CorrectionTree(tree, originals=originals), PurePath(source.name)


def correction_at(path: Path | None) -> Correction:
    """Return the correction in the file at ``path``, none where there is no such file. Raises `InputError`."""
    return NO_CORRECTION if path is None else _file_at(path).correction


def _file_at(path: Path) -> CorrectionFile:
    return read_correction(path) if path.exists() else CorrectionFile()


def read_correction(path: Path) -> CorrectionFile:
    """Read the correction at ``path``. Raises `InputError` that says what is wrong with it, key and value."""
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
    """Return the correction of which ``values`` is the JSON form. Raises `ValueError`, for unknown keys too."""
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
