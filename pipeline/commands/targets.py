"""Where the results of several sources go, checked before any engine starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.archive.walk import PHOTO_SUFFIXES
from pipeline.errors import InputError, OutputError, UsageError
from pipeline.media.film_formats import FILM_SUFFIXES
from pipeline.originals import Originals
from pipeline.publish import check_target


def targets(
    sources: Sequence[Path], output: Path | None, default: Callable[[Path], Path], *, overwrite: bool
) -> list[Path]:
    """Return the name of every source's result: ``default`` of it, in the folder ``output`` if that is given.

    Of a single source ``output`` may be a file as well. Raises `InputError` for sources that are not there,
    `UsageError` for two results of one name and for results that would replace a source, `OutputError` for names that
    are taken (unless ``overwrite``) and folders that cannot be written.
    """
    for source in sources:
        if not source.exists():
            raise InputError(f"{source}: no such file", advice="Check the path.")
    folder = output if output is not None and (len(sources) > 1 or output.is_dir()) else None
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file, and there are several sources", advice="Name a folder with --output.")
    found: dict[Path, Path] = {}
    originals = Originals(tuple(sources))
    for source in sources:
        target = folder / default(source).name if folder is not None else output or default(source)
        if target in found:
            raise UsageError(
                f"{source} and {found[target]}: both results would be {target}",
                advice="Colour them one by one, with --output for each.",
            )
        check_target(target, overwrite=overwrite, originals=originals)
        _check_folder(target)
        found[target] = source
    return list(found)


def existing(*, overwrite: bool) -> str:
    """Return what a dry run says below the name of a result that exists."""
    return "  which exists: " + ("it would be replaced" if overwrite else "this would be an error")


def refuse_photos(sources: Sequence[Path]) -> None:
    """Raise `UsageError` for photographs among ``sources``, which are to be films."""
    for source in sources:
        if source.suffix.lower() in PHOTO_SUFFIXES and source.is_file():
            raise UsageError(f"{source}: is a photograph", advice=f"Use colorize-photo {source}")


def refuse_films_and_folders(sources: Sequence[Path]) -> None:
    """Raise `UsageError` for films and folders among ``sources``, which are to be photographs."""
    for source in sources:
        if source.is_dir():
            raise UsageError(f"{source}: is a folder", advice=f"Use colorize-archive {source}")
        if is_film(source):
            raise UsageError(f"{source}: is a film", advice=f"Use colorize-video {source}")


def is_film(path: Path) -> bool:
    """Say whether the name of the file ``path`` is that of a film."""
    return path.suffix.lower() in FILM_SUFFIXES and path.is_file()


def _check_folder(target: Path) -> None:
    folder = target.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f"{target}: cannot be written: {folder} is not a folder", advice="Name another place.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{target}: cannot be written: no permission in {folder}", advice="Name another place.")
