"""Sources, options and result names of a command, checked before any engine starts.

Checked in this order: the sources, the files named by options, the results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.archive.walk import PHOTO_SUFFIXES
from pipeline.errors import InputError, UsageError
from pipeline.media.film_formats import FILM_SUFFIXES, begins_like_film
from pipeline.options import Options
from pipeline.originals import Originals, is_folder
from pipeline.os_errors import is_there, writing
from pipeline.publish import check_target


def listed(given: Sequence[Path]) -> list[Path]:
    """Return the sources in ``given``, expanding ``@list.txt`` to the paths in that file, one per line, in UTF-8.

    Relative paths are resolved against the current folder. Raises `InputError` for a list that cannot be read or is
    empty.
    """
    found: list[Path] = []
    for path in given:
        if not str(path).startswith("@") or path.exists():
            found.append(path)
            continue
        file = Path(str(path)[1:])
        try:
            lines = file.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
        except OSError as error:
            raise InputError(
                f"{file}: cannot be read: {error.strerror or error}",
                advice=f"{path} is a list of files: check its path.",
            ) from error
        sources = [Path(line.strip()) for line in lines if line.strip()]
        if not sources:
            raise InputError(f"{file}: lists no files", advice="Write one path per line.")
        found += sources
    return found


def check_request(options: Options, corrections: Path | None = None) -> None:
    """Raise an error if anything that ``options`` or ``corrections`` name is missing: weights, references, a folder."""
    from pipeline.color.colorizer import fingerprint
    from pipeline.corrections import check_corrections
    from pipeline.reference_files import ReferenceFiles

    fingerprint(options)
    ReferenceFiles(options.reference)
    check_corrections(corrections)


def targets(
    sources: Sequence[Path],
    output: Path | None,
    default: Callable[[Path], Path],
    *,
    overwrite: bool,
    reference: Path | None = None,
    beside: Callable[[Path], Path] | None = None,
) -> list[Path]:
    """Return the path of each source's result: its ``default``, placed in the folder ``output`` if that is given.

    For a single source, ``output`` may also be a file. ``beside`` names the second file that accompanies a result.
    Raises `UsageError` for two results with one name, for results that would replace a source or the picture
    ``reference``, and for existing files (unless ``overwrite``), `OutputError` for folders that cannot be written.
    """
    folder = output if output is not None and (len(sources) > 1 or is_folder(output)) else None
    if folder is not None and not is_folder(folder):
        _check_may_be_folder(folder)
    found: dict[Path, Path] = {}
    # A folder of references may be that of the results too.
    references = () if reference is None or is_folder(reference) else (reference,)
    originals = Originals((*sources, *references))
    for source in sources:
        target = folder / default(source).name if folder is not None else output or default(source)
        if target in found:
            raise UsageError(
                f"{source} and {found[target]}: both results would be {target}",
                advice="Colour them one by one, with --output for each.",
            )
        for name in (target,) if beside is None else (target, beside(target)):
            check_target(name, overwrite=overwrite, originals=originals)
        found[target] = source
    return list(found)


def _check_may_be_folder(output: Path) -> None:
    with writing(output):
        is_file = output.exists()
    if is_file or _is_named_as_file(output):
        what = "is a file" if is_file else "is the name of a file"
        raise UsageError(f"{output}: {what}, and there are several sources", advice="Name a folder with --output.")


def correction_of(film: Path, target: Path | None, corrections: Path | None) -> Path:
    """Return the path of the correction file of ``film``, beside its result or in ``corrections``."""
    from pipeline.corrections import correction_of_file

    # Without a target, or with a folder, the result is only named when the film is opened.
    beside = film.with_name("result") if target is None else target / "result" if is_folder(target) else target
    tree, item = correction_of_file(film, beside, originals=Originals((film,)), tree=corrections)
    return tree.path_of(item)


def existing(*, overwrite: bool) -> str:
    """Return what a dry run prints below the name of a result that already exists."""
    return "  which exists: " + ("it would be replaced" if overwrite else "this would be an error")


def refuse_photos(sources: Sequence[Path]) -> None:
    """Raise `UsageError` if any of ``sources``, expected to be films, is a photograph, `InputError` if one is missing.

    The content of a file decides, not its name.
    """
    for source in _there(sources):
        if _is_photo(source):
            raise UsageError(f"{source}: is a photograph", advice=f"Use colorize-photo {source}")


def refuse_films_and_folders(sources: Sequence[Path]) -> None:
    """Raise `UsageError` if any of ``sources``, expected to be photographs, is a film or a folder.

    The content of a file decides, not its name. Raises `InputError` if one is missing.
    """
    for source in _there(sources):
        if source.is_dir():
            raise UsageError(f"{source}: is a folder", advice=f"Use colorize-archive {source}")
        if is_film(source):
            raise UsageError(f"{source}: is a film", advice=f"Use colorize-video {source}")


def is_film(path: Path) -> bool:
    """Return whether the file ``path`` contains a film or, if its content does not tell, is named like one."""
    return path.is_file() and not _is_photo(path) and (path.suffix.lower() in FILM_SUFFIXES or _begins_like_film(path))


def _is_photo(path: Path) -> bool:
    from pipeline.media.stills import still_format

    if not path.is_file():
        return False
    try:
        still_format(path)
    except InputError:
        return path.suffix.lower() in PHOTO_SUFFIXES and not _begins_like_film(path)
    return True


def _begins_like_film(path: Path) -> bool:
    try:
        return begins_like_film(path)
    except OSError:
        # The error is reported when the file is opened.
        return False


def _there(sources: Sequence[Path]) -> Iterator[Path]:
    for source in sources:
        if not is_there(source):
            raise InputError(f"{source}: no such file", advice="Check the path.")
        yield source


def _is_named_as_file(path: Path) -> bool:
    return path.suffix.lower() in PHOTO_SUFFIXES | FILM_SUFFIXES
