"""The small pictures of an archive, for its report: two JPEG files for each, in OUTPUT/.autochrome/previews.

Those of the items that deserve a look most are inside the page; it finds the others beside it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import TypeAlias

from pipeline.errors import OutputError
from pipeline.publish import HOME
from pipeline.results import Preview

PREVIEWS = f"{HOME}/previews"
_INSIDE = 6_000_000  # bytes of pictures inside the page, where they grow by a third

Pictures: TypeAlias = dict[str, list[tuple[str, str]]]


def stem(path: str) -> str:
    """Return what the names of the pictures of the source at ``path`` begin with."""
    return sha256(path.encode(errors="surrogateescape")).hexdigest()[:20]


def keep(output: Path, path: str, previews: Sequence[Preview]) -> None:
    """Write the pictures of a new result of the source at ``path`` in the place of older ones. Raises `OutputError`.

    They are not forced onto the disk one by one, as results are: nothing depends on them.
    """
    with _reporting(output):
        for number, preview in enumerate(previews):
            before, after = _files(output, path, number)
            before.parent.mkdir(parents=True, exist_ok=True)
            before.write_bytes(preview.before)
            after.write_bytes(preview.after)
        _drop_from(output, path, len(previews))


def drop(output: Path, path: str) -> None:
    """Delete the pictures of the source at ``path``, if there are any. Raises `OutputError`."""
    with _reporting(output):
        _drop_from(output, path, 0)


def read(output: Path, path: str, number: int) -> tuple[bytes, bytes] | None:
    """Return picture ``number`` before and after, None if it is gone. Raises `OutputError`."""
    before, after = _files(output, path, number)
    with _reporting(output):
        try:
            return before.read_bytes(), after.read_bytes()
        except FileNotFoundError:
            return None


def inside(items: Iterable[tuple[str, int]], output: Path) -> Pictures:
    """Return the pictures of the first of ``items``, up to some 6 MB: base64 of before and after, by `stem`.

    Items are paths of sources and how many pictures each has. Raises `OutputError`.
    """
    found, room = Pictures(), _INSIDE
    for path, number in items:
        pairs = [pair for index in range(number) if (pair := read(output, path, index)) is not None]
        if not pairs or len(pairs) < number:
            continue
        room -= sum(len(before) + len(after) for before, after in pairs)
        if room < 0:
            break
        found[stem(path)] = [(_base64(before), _base64(after)) for before, after in pairs]
    return found


def _base64(content: bytes) -> str:
    return b64encode(content).decode("ascii")


def _files(output: Path, path: str, number: int) -> tuple[Path, Path]:
    # 256 folders: file managers and network shares are slow with very many files in one.
    name = stem(path)
    folder = output / PREVIEWS / name[:2]
    return folder / f"{name}-{number}-before.jpg", folder / f"{name}-{number}-after.jpg"


def _drop_from(output: Path, path: str, first: int) -> None:
    for number in count(first):
        files = _files(output, path, number)
        if not any(file.exists() for file in files):
            return
        for file in files:
            file.unlink(missing_ok=True)


@contextmanager
def _reporting(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{error.filename or output / PREVIEWS}: small pictures for the report cannot be kept: "
            f"{error.strerror or error}",
            advice="Check free space and permissions.",
        ) from error
