"""Coloured frames of a film that lie beside it: ``film.refs/000123.png`` is frame 123 of ``film.mp4``, counted from 0.

``ref_000123.png``, as HAVC and other programs write it, is the same frame.
"""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.errors import InputError

SUFFIX = ".refs"
_NUMBERED = re.compile(r"(?:ref_)?(\d{1,9})\.[A-Za-z0-9]+", re.ASCII)


def reference_frames(film: Path, given: Path | None) -> dict[int, Path]:
    """Return the pictures that state colours of frames of ``film``, by the frame's number.

    They lie in ``film.refs`` beside it, or in the folder ``given``, or ``given`` is the only one. Raises `InputError`
    for a reference that is not there, for one that is not named after its frame and for two of one frame.
    """
    beside = film.with_name(f"{film.name if film.is_dir() else film.stem}{SUFFIX}")
    if given is None and not beside.is_dir():
        return {}
    place = given or beside
    try:
        names = [place.name] if place.is_file() else sorted(path.name for path in place.iterdir())
    except OSError as error:
        raise InputError(
            f"{place}: no references can be read here: {error.strerror or error}", advice="Check --reference."
        ) from error
    folder = place.parent if place.is_file() else place
    found: dict[int, Path] = {}
    for name in names:
        if name.startswith("."):
            continue
        number = _NUMBERED.fullmatch(name)
        if number is None:
            raise InputError(
                f"{folder / name}: does not say which frame of {film.name} it is a reference for",
                advice="Name it after its frame, counted from 0: 000123.png or ref_000123.png.",
            )
        frame = int(number[1])
        if frame in found:
            raise InputError(f"{folder}: two references for frame {frame}", advice="Leave one of them.")
        found[frame] = folder / name
    return found
