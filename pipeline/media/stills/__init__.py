"""Read and write photographs: luma for the colorizer, and a result that adds chroma and loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import InputError
from pipeline.media.stills.exif import is_taken_by_camera
from pipeline.media.stills.icc import space_for_colour
from pipeline.media.stills.icc_tags import RgbDescription
from pipeline.media.stills.limits import PIXEL_LIMIT
from pipeline.media.stills.refused import RefusedFormat
from pipeline.media.stills.registry import FORMATS, HEAD, format_of, format_of_suffix
from pipeline.media.stills.samples import damaged, refuse
from pipeline.media.stills.still import BLOCK, ColourModel, Page, PageCheck, Plane, Still, StillFormat, Strip
from pipeline.media.stills.xmp import OWN_SYSTEM, AiColour, declare_ai_colour, declares_ai_colour
from pipeline.os_errors import check_is_no_stream, reading, unreadable
from pipeline.results import Note

__all__ = [
    "BLOCK",
    "OWN_SYSTEM",
    "PIXEL_LIMIT",
    "AiColour",
    "ColourModel",
    "Page",
    "PageCheck",
    "Plane",
    "RgbDescription",
    "Still",
    "StillFormat",
    "Strip",
    "converted_suffix",
    "declare_ai_colour",
    "declares_ai_colour",
    "is_taken_by_camera",
    "output_suffix",
    "read_still",
    "space_for_colour",
    "still_format",
    "verify_still",
    "write_still",
]


def read_still(path: Path, *, pixel_limit: int = PIXEL_LIMIT) -> Still:
    """Decode one photograph. The content decides the format, not the name.

    Raises `InputError` for a file that cannot be read, is larger than ``pixel_limit``, or is of a kind that is not
    coloured.
    """
    found = still_format(path)
    with reading(path):
        return found.read(path, pixel_limit=pixel_limit)


def still_format(path: Path) -> StillFormat:
    """Return the format of a photograph from its first bytes. Raises `InputError` if it is not read or not coloured."""
    try:
        check_is_no_stream(path)
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise unreadable(path, error) from error
    found = format_of(head, path.suffix)
    if isinstance(found, RefusedFormat):
        raise refuse(path, f"is {found.name}, which is not coloured", advice=found.advice)
    if found is not None:
        return found
    if not head.strip(b"\0"):
        raise damaged(path, "holds nothing but zeros" if head else "is empty")
    *names, last = (one.name for one in FORMATS)
    raise InputError(
        f"{path}: is not a picture in a supported format",
        advice=f"Leave it out; {', '.join(names)} and {last} are read.",
    )


def write_still(path: Path, pages: Sequence[Page]) -> tuple[Note, ...]:
    """Write the coloured photograph to ``path``, in the format of `output_suffix`, with everything its stills carry.

    ``pages`` are that of the still, and those of its ``further`` ones in order. Returns what had to be converted or
    dropped, in addition to the notes of the stills. Raises OSError when the disk refuses and `OutputError` when the
    format has no room; ValueError if the strips do not fit the photograph.
    """
    return pages[0].still.format.result.write(path, pages)


def verify_still(path: Path, pages: Sequence[Page]) -> tuple[PageCheck, ...]:
    """Decode ``path``, to which ``pages`` were written, and compare it with them.

    Raises `VerificationError` if anything differs from what was handed over, or the file cannot be read.
    """
    return pages[0].still.format.result.verify(path, pages)


def output_suffix(path: Path, found: StillFormat) -> str:
    """Return the suffix of the result of the file at ``path``: its own if that fits the content, else the usual one."""
    suffixes = found.result.suffixes
    return path.suffix if path.suffix.lower() in suffixes else suffixes[0]


def converted_suffix(path: Path) -> str:
    """Return the suffix appended to the name of the result of the file at ``path``; "" if the format stays the same.

    The content is read only if the suffix is that of no format; a file that cannot be read decides nothing.
    """
    source = format_of_suffix(path.suffix)
    if source is not None:
        return "" if source.result is source else source.result.suffixes[0]
    try:
        return still_format(path).result.suffixes[0]
    except InputError:
        return ""
