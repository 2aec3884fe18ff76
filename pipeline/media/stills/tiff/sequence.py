"""The pages of a TIFF: which are pictures, which are kept unchanged, and which are left behind."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import tifffile

from pipeline.media.stills.ifd import TiffHeader
from pipeline.media.stills.samples import damaged, refuse, undecodable
from pipeline.media.stills.tiff.checks import check_whole
from pipeline.media.stills.tiff.extent import reaches_beyond
from pipeline.results import Note, NoteKind

_REDUCED, _MASK = 1, 4
_MOST_PAGES = 1000
_OLD_JPEG = 6
# Exceptions that tifffile was seen to raise on damaged directories, besides its own errors.
_PARSER_ERRORS = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, OSError, AssertionError),
    struct.error,
)


@dataclass(frozen=True)
class StoredPage:
    """Location of a page in its file: its directory, and (offset, size) of every strip or tile."""

    directory: TiffHeader
    segments: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, page: tifffile.TiffPage) -> StoredPage:
        """Return the location of ``page``."""
        header = TiffHeader(page.parent.byteorder, bool(page.parent.is_bigtiff), page.offset)
        return cls(header, tuple(zip(page.dataoffsets, page.databytecounts, strict=True)))


@dataclass(frozen=True)
class Pages:
    """The pictures of a file in order, each with the pages after it that are kept unchanged; and notes."""

    pictures: tuple[tuple[tifffile.TiffPage, tuple[StoredPage, ...]], ...]
    notes: tuple[Note, ...]


@contextmanager
def opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF. Raises `InputError` if tifffile cannot parse it."""
    with _parsing(path):
        tiff = tifffile.TiffFile(path)
    with tiff:
        yield tiff


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        # Damaged files request more memory than any computer has; sound ones may still request too much.
        if not reaches_beyond(path):
            raise
        raise undecodable(path, error) from error
    except _PARSER_ERRORS as error:
        raise undecodable(path, error) from error


def pages_of(path: Path, tiff: tifffile.TiffFile) -> Pages:
    """Classify the pages of a file. Raises `InputError`."""
    pictures: list[tuple[tifffile.TiffPage, list[StoredPage]]] = []
    notes: list[Note] = []
    is_reduced = False
    seen: set[int] = set()
    for number, page in enumerate(parsed(path, tiff)):
        if page.offset in seen:
            notes.append(Note(NoteKind.CONCEALED, "the pages of the TIFF form a loop: each was read once"))
            break
        seen.add(page.offset)
        if number >= _MOST_PAGES:
            raise refuse(path, f"is a TIFF of more than {_MOST_PAGES} pages")
        is_reduced |= bool(page.subfiletype & _REDUCED) or bool(page.subifds)
        if page.subfiletype & _REDUCED:
            if number == 0:
                raise refuse(path, "is a TIFF that begins with a reduced picture (camera raw or the like)")
        elif page.subfiletype & _MASK and pictures:
            pictures[-1][1].append(_stored(path, page, number))
            notes.append(Note(NoteKind.ASSUMED, f"page {number + 1} is a mask (infrared or the like): kept as it is"))
        else:
            pictures.append((page, []))
    else:
        notes += _end_of_chain(path, tiff, last=page.offset, number=len(seen)) if seen else ()
    if not pictures:
        raise damaged(path, "is a TIFF without a page")
    if is_reduced:
        notes.append(Note(NoteKind.DROPPED, "reduced copies inside the TIFF are not carried over"))
    return Pages(tuple((page, tuple(followers)) for page, followers in pictures), tuple(notes))


def stored_pieces(file: BinaryIO, stored: StoredPage) -> Iterator[bytes]:
    """Read the compressed strips or tiles of a page."""
    for offset, size in stored.segments:
        file.seek(offset)
        yield file.read(size)


def _stored(path: Path, page: tifffile.TiffPage, number: int) -> StoredPage:
    if int(page.compression) == _OLD_JPEG:
        raise refuse(path, f"is a TIFF with a mask in old-style JPEG (page {number + 1})")
    check_whole(path, page)
    return StoredPage.of(page)


def _end_of_chain(path: Path, tiff: tifffile.TiffFile, *, last: int, number: int) -> tuple[Note, ...]:
    """Check whether the directory at ``last``, of page ``number``, is marked as the last one; tifffile does not.

    Raises `InputError` for a truncated file of several pages; after a single page the mark may be wrong.
    """
    layout, file = tiff.tiff, tiff.filehandle
    file.seek(last)
    tags = struct.unpack(layout.tagnoformat, file.read(layout.tagnosize))[0]
    file.seek(last + layout.tagnosize + tags * layout.tagsize)
    following = file.read(layout.offsetsize)
    if len(following) < layout.offsetsize:
        return (Note(NoteKind.CONCEALED, "the TIFF breaks off after its last page, which is complete"),)
    if any(following) and number > 1:
        raise damaged(path, f"breaks off: page {number + 1} is not there")
    if any(following):
        return (Note(NoteKind.CONCEALED, "the TIFF announces a second page, which is missing"),)
    return ()


def parsed(path: Path, tiff: tifffile.TiffFile) -> Iterator[tifffile.TiffPage]:
    """Parse one page after the other; tifffile returns pages similar to the first one in a shorter form.

    Raises `InputError`.
    """
    pages = iter(tiff.pages)
    while True:
        with _parsing(path):
            page = next(pages, None)
            page = page if page is None or isinstance(page, tifffile.TiffPage) else page.aspage()
        if page is None:
            return
        yield page
