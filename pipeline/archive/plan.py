"""From an entry of the tree to a job: where its result goes, whether it is there already, what stands in the way."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipeline.archive.walk import RESULT_MARK, Entry, Kind, walk
from pipeline.errors import InputError, UsageError
from pipeline.options import Options
from pipeline.results import Failure
from pipeline.video import default_output as film_output


@dataclass(frozen=True)
class Job:
    """One source and the name of its result; ``done`` when that result exists and is to be kept."""

    source: Path
    output: Path
    kind: Kind
    done: bool


def default_output(source: Path) -> Path:
    """Return the folder beside ``source`` that takes the results when none is named."""
    whole = source if source.name not in ("", "..") else source.resolve()
    return whole.parent / f"{whole.name}-{RESULT_MARK}"


def check_folders(source: Path, output: Path) -> None:
    """Raise `InputError` unless ``source`` is a folder, `UsageError` if one folder lies in the other."""
    if not source.exists():
        raise InputError(f"{source}: no such folder", advice="Check the path.")
    if not source.is_dir():
        raise UsageError(f"{source}: not a folder", advice="For a single film use colorize-video.")
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output}: not a folder", advice="Name a folder with --output.")
    inside, outside = source.resolve(), output.resolve()
    if inside == outside or inside in outside.parents or outside in inside.parents:
        raise UsageError(
            f"{output}: source and output lie in each other", advice="Name a folder outside the source with --output."
        )


def plan(
    source: Path, output: Path, options: Options, *, kinds: Collection[Kind] = (Kind.PHOTO, Kind.FILM)
) -> Iterator[Job | Failure | Entry]:
    """Yield a `Job` for every source of ``kinds``, a `Failure` where none can be made, an `Entry` for the rest.

    The tree is kept. A result keeps the name of its source; where the container changes, the new suffix is added to
    the whole name (``reel.avi`` gives ``reel.avi.mkv``), so sources of one stem keep apart. Two sources that would
    still share a name on the output's disk are refused, the later of them.
    """
    folds = ignores_case(output)
    folder, taken = Path(), dict[str, Path]()
    for entry in walk(source, folds=folds):
        path = source / entry.path
        if entry.kind is Kind.BARRED:
            yield Failure(
                source=path,
                error=f"{path}: not entered: {entry.reason}",
                advice="Check the name and the permissions of this folder.",
                exit_code=InputError.exit_code,
            )
            continue
        if entry.kind not in kinds:
            yield entry
            continue
        if entry.path.parent != folder:
            folder, taken = entry.path.parent, {}
        try:
            target = output / result_path(entry, source, options)
        except Exception as error:  # noqa: BLE001 - one bad file must not stop the rest
            yield Failure.of(path, error)
            continue
        key = target.name.casefold() if folds else target.name
        if (other := taken.setdefault(key, entry.path)) != entry.path:
            yield Failure(
                source=path,
                error=f"{path}: its result would take the name of that of {other}",
                advice="Rename one of the two.",
                exit_code=UsageError.exit_code,
            )
            continue
        yield Job(path, target, entry.kind, done=target.exists() and not options.overwrite)


def result_path(entry: Entry, source: Path, options: Options) -> Path:
    """Return the path of ``entry``'s result below the output folder."""
    if entry.kind is Kind.PHOTO:
        return entry.path
    suffix = film_output(source / entry.path, options).suffix
    if suffix.lower() == entry.path.suffix.lower():
        return entry.path
    return entry.path.with_name(entry.path.name + suffix)


def ignores_case(folder: Path) -> bool:
    """Say whether the disk that holds ``folder``, or will, takes ``a`` and ``A`` for one name."""
    known = folder.resolve()
    while not known.is_dir():
        known = known.parent
    for path in (*islice(known.iterdir(), 100), known, *known.parents):
        other = path.name.swapcase()
        if path.name.isascii() and other != path.name:
            return path.with_name(other).exists() and path.with_name(other).samefile(path)
    return False
