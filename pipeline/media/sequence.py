"""A folder of numbered pictures as one film: one file per frame, as made by scanners and film restoration."""

from __future__ import annotations

import os
import re
import struct
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from pipeline.errors import InputError, UsageError
from pipeline.media.film_formats import FILM_SUFFIXES
from pipeline.os_errors import unreadable
from pipeline.results import Note, NoteKind

DEFAULT_RATE = Fraction(24)
_SUFFIXES = (".dpx", ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2")
_NUMBERED = re.compile(r"(.*?)(\d+)(\.\w+)", re.DOTALL)
_JUNK = {"thumbs.db", "ehthumbs.db", "desktop.ini"}
_HIGHEST_NUMBER = (1 << 31) - 1
_HIGHEST_RATE = 1000
_NAMED = 8
# SMPTE 268M: offset of the offset of the picture, and of the frame rate in the film and the television header.
_DPX_BYTE_ORDERS = {b"SDPX": ">", b"XPDS": "<"}
_DPX_PICTURE = 4
_DPX_RATES = (1724, 1940)


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """Numbered pictures ``folder / prefix000001suffix`` and so on: ``count`` of them without gaps, from ``first``.

    ``digits`` is the minimum width of the number; ``rate`` in frames per second, ``rate_is_assumed`` if not given;
    ``others`` are the names of files in the folder that are not part of the film.
    """

    folder: Path
    prefix: str
    digits: int
    suffix: str
    first: int
    count: int
    rate: Fraction
    rate_is_assumed: bool
    others: tuple[str, ...]

    @property
    def pattern(self) -> str:
        """The names of all pictures as a pattern for FFmpeg's image2 demuxer."""
        start = str(self.folder.absolute() / self.prefix) if self.prefix else f"{self.folder.absolute()}{os.sep}"
        return f"{start.replace('%', '%%')}%0{self.digits}d{self.suffix}"

    @property
    def notes(self) -> tuple[Note, ...]:
        """Notes on assumptions, and on files of the folder that are not in the film."""
        text = "what the headers of the pictures say beyond size, colour, frame rate and timecode is not written"
        notes = [Note(NoteKind.DROPPED, text)]
        if self.rate_is_assumed:
            notes.append(
                Note(NoteKind.ASSUMED, f"{self.rate} frames a second, as nothing states the rate; --fps sets it")
            )
        if self.others:
            named = _listed(self.others)
            notes.append(Note(NoteKind.DROPPED, f"files in the folder that are not part of the film: {named}"))
        return tuple(notes)


def find_sequence(folder: Path, rate: Fraction | None = None) -> Sequence:
    """Return the only sequence of numbered pictures in ``folder``, at ``rate`` frames per second.

    Without ``rate``, the header of the first DPX picture decides, then `DEFAULT_RATE`. Raises `InputError` if there is
    no sequence or more than one, or if numbers are missing; they are named.
    """
    groups, others = _groups(folder)
    if not groups and (films := sorted(name for name in others if Path(name).suffix.lower() in FILM_SUFFIXES)):
        raise InputError(
            f"{folder}: holds no numbered pictures but films: {_listed(films)}",
            advice="Name the films themselves (of a DVD VTS_01_1.VOB and so on), or use colorize-archive.",
        )
    if not groups:
        raise InputError(
            f"{folder}: holds no numbered pictures (DPX, TIFF, PNG, JPEG)",
            advice="The pictures of a film have names like frame_000001.dpx. For photographs use colorize-archive.",
        )
    if len(groups) > 1:
        named = "; ".join(f"{prefix}...{suffix}" for prefix, suffix in sorted(groups))
        raise InputError(
            f"{folder}: holds {len(groups)} series of numbered pictures: {named}",
            advice="Put each film into a folder of its own. For photographs use colorize-archive.",
        )
    ((prefix, suffix), texts) = groups.popitem()
    first, count, digits = _run(folder, prefix, suffix, texts)
    if count == 1 and any(Path(name).suffix.lower() in _SUFFIXES for name in others):
        # A folder of scans, one of which ends in a number.
        raise InputError(
            f"{folder}: of its pictures only {prefix}{first:0{digits}}{suffix} has a number",
            advice="The pictures of a film have names like frame_000001.dpx. For photographs use colorize-archive.",
        )
    stated = rate or _dpx_rate(folder / f"{prefix}{first:0{digits}}{suffix}")
    return Sequence(
        folder=folder,
        prefix=prefix,
        digits=digits,
        suffix=suffix,
        first=first,
        count=count,
        rate=stated or DEFAULT_RATE,
        rate_is_assumed=stated is None,
        others=tuple(sorted(others)),
    )


def parse_rate(text: str) -> Fraction:
    """Parse frames per second from ``"24"``, ``"24000/1001"`` or ``"23.976"``. Raises `UsageError` for other text."""
    try:
        rate = _exact(Fraction(text))
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= _HIGHEST_RATE:
        raise UsageError(f"{text!r} is not a frame rate", advice="Write 24, 23.976 or 24000/1001.")
    return rate


def _listed(names: Collection[str]) -> str:
    return ", ".join(list(names)[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def _groups(folder: Path) -> tuple[dict[tuple[str, str], list[str]], list[str]]:
    """Return the numbers of all pictures, as written, by prefix and suffix, and the names of all other files."""
    groups = defaultdict[tuple[str, str], list[str]](list)
    others = []
    try:
        with os.scandir(folder) as listing:
            for item in listing:
                match = _NUMBERED.fullmatch(item.name)
                if item.name.startswith(".") or item.name.lower() in _JUNK or item.is_dir():
                    continue
                if match is None or match[3].lower() not in _SUFFIXES:
                    others.append(item.name)
                else:
                    groups[match[1], match[3]].append(match[2])
    except OSError as error:
        raise unreadable(folder, error) from error
    return dict(groups), others


def _run(folder: Path, prefix: str, suffix: str, texts: list[str]) -> tuple[int, int, int]:
    """Return first number, count and minimum number of digits; raise `InputError` if there are gaps."""
    digits = min(map(len, texts))
    numbers = sorted(map(int, texts))
    first, last = numbers[0], numbers[-1]
    if last > _HIGHEST_NUMBER:
        raise InputError(f"{folder}: number {last} is too high", advice="Number the pictures from 1.")
    odd = sorted(text for text in texts if f"{int(text):0{digits}}" != text)
    if odd:
        raise InputError(
            f"{folder}: {prefix}{odd[0]}{suffix} is not numbered like the others, with {digits} digits",
            advice="Use the same number of digits for all pictures.",
        )
    gaps = [(a + 1, b - 1) for a, b in pairwise(numbers) if b - a > 1]
    if gaps:
        raise InputError(
            f"{folder}: pictures are missing: {_named(gaps, prefix, digits, suffix)}",
            advice="Find them, or renumber the pictures without gaps. For photographs use colorize-archive.",
        )
    return first, len(numbers), digits


def _named(gaps: list[tuple[int, int]], prefix: str, digits: int, suffix: str) -> str:
    texts = []
    for a, b in gaps[:_NAMED]:
        name = f"{prefix}{a:0{digits}}{suffix}"
        texts.append(name if a == b else f"{name} to {b:0{digits}}")
    return ", ".join(texts) + (f", and {len(gaps) - _NAMED} more gaps" if len(gaps) > _NAMED else "")


def _dpx_rate(path: Path) -> Fraction | None:
    """Return the frame rate in the header of a DPX file; None if it has none, or is not such a header."""
    if path.suffix.lower() != ".dpx":
        return None
    try:
        with path.open("rb") as file:
            header = file.read(max(_DPX_RATES) + 4)
    except OSError as error:
        raise unreadable(path, error) from error
    order = _DPX_BYTE_ORDERS.get(header[:4])
    if order is None:
        return None
    (picture,) = struct.unpack_from(f"{order}I", header, _DPX_PICTURE)
    for offset in _DPX_RATES:
        if min(picture, len(header)) < offset + 4:
            return None
        (rate,) = struct.unpack_from(f"{order}f", header, offset)
        # Undefined fields are zero, or all bits set, which is not a number.
        if 0 < rate <= _HIGHEST_RATE:
            return _exact(Fraction(rate).limit_denominator(1001))
    return None


def _exact(rate: Fraction) -> Fraction:
    """Return the exact television rate for its usual short form: 24000/1001 for 23.976, 23.98 or 23.97."""
    whole = round(rate)
    television = Fraction(1000 * whole, 1001)
    return television if rate.denominator > 1 and abs(rate - television) < Fraction(1, 100) else rate
