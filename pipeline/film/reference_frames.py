"""Coloured pictures as references for a film: some are frames of it, others apply wherever the film looks like them.

``film.refs/000123.png`` beside ``film.mp4`` is frame 123 of it, counted from 0; so is ``ref_000123.png``, as written
by HAVC and other programs. ``film.ref.jpg``, or any other ``film.ref.*``, belongs to no frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from pipeline.errors import InputError
from pipeline.originals import is_folder
from pipeline.reference_files import ReferenceFiles

SUFFIX = ".refs"
_NUMBERED = re.compile(r"(?:ref_)?(\d{1,9})\.[A-Za-z0-9]+", re.ASCII)


@dataclass(frozen=True)
class FilmReferences:
    """References by frame number, and those of no frame, which apply wherever the film looks like them."""

    numbered: Mapping[int, Path] = field(default_factory=dict)
    anywhere: tuple[Path, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """All references."""
        return (*self.numbered.values(), *self.anywhere)

    def and_of(self, other: FilmReferences) -> FilmReferences:
        """Return both combined; if both have the same frame, ``other`` wins."""
        return FilmReferences({**self.numbered, **other.numbered}, (*self.anywhere, *other.anywhere))

    def of_part(self, first: int) -> FilmReferences:
        """Return them for the part that begins with frame ``first``; earlier ones get numbers below 0."""
        return FilmReferences({number - first: path for number, path in self.numbered.items()}, self.anywhere)


NO_REFERENCES = FilmReferences()


def film_references(
    film: Path, files: ReferenceFiles, *, item: PurePath | None = None, chosen: Iterable[Path] = ()
) -> FilmReferences:
    """Return the references for ``film``: the pictures ``chosen`` for it, and those that a run finds.

    For a film of an archive, ``item`` is its path below the tree of sources: ``film.refs`` and ``film.ref.*`` beside it
    are used, or else those in the folder given to ``files``, in the same tree, or else the picture given to them.
    Without ``item``, a given folder holds frames of this film, and given references precede those beside it. Raises
    `InputError` for a reference that cannot be listed, for one in a folder of frames that is not named after its frame
    and for two of one frame.
    """
    return _found(film, files, item).and_of(_sorted(chosen, film))


def _found(film: Path, files: ReferenceFiles, item: PurePath | None) -> FilmReferences:
    given = files.given
    if item is None and given is not None:
        return _frames_in(given, film) if given.is_dir() else _sorted([given], film)
    beside = _named_after(film, film.parent, files)
    if beside.paths or item is None or given is None:
        return beside
    return _named_after(film, given / item.parent, files) if files.is_tree else FilmReferences(anywhere=(given,))


def _named_after(film: Path, folder: Path, files: ReferenceFiles) -> FilmReferences:
    stem = film.name if is_folder(film) else film.stem
    frames = folder / f"{stem}{SUFFIX}"
    numbered = _frames_in(frames, film) if is_folder(frames) else NO_REFERENCES
    return numbered.and_of(FilmReferences(anywhere=files.named(folder, stem)))


def _frames_in(folder: Path, film: Path) -> FilmReferences:
    try:
        found = _sorted((path for path in sorted(folder.iterdir()) if not path.name.startswith(".")), film)
    except OSError as error:
        raise InputError(
            f"{folder}: no references can be read here: {error.strerror or error}", advice="Check its permissions."
        ) from error
    for path in found.anywhere:
        raise InputError(
            f"{path}: does not say which frame of {film.name} it is a reference for",
            advice="Name it after its frame, counted from 0: 000123.png or ref_000123.png.",
        )
    return found


def _sorted(paths: Iterable[Path], film: Path) -> FilmReferences:
    numbered: dict[int, Path] = {}
    anywhere = []
    for path in paths:
        number = _NUMBERED.fullmatch(path.name)
        if number is None:
            anywhere.append(path)
        elif (other := numbered.setdefault(int(number[1]), path)) != path:
            raise InputError(
                f"{path}: {other.name} is a reference for the same frame of {film.name}",
                advice="Keep only one of them.",
            )
    return FilmReferences(numbered, tuple(anywhere))
