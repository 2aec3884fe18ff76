"""Colour photographs in memory: arrays, Pillow images and encoded files, each returned in the form it was given in."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.callbacks import guarded
from pipeline.color.colorizer import Colorizer, given_or_opened
from pipeline.errors import InputError, Renamed, UsageError
from pipeline.interruption import StopRequest
from pipeline.media.stills import OWN_SYSTEM, AiColour, Page, StillFormat
from pipeline.media.stills.arrays import still_of
from pipeline.media.stills.registry import HEAD, format_of
from pipeline.options import Options
from pipeline.photo.job import colorize_photo
from pipeline.photo.picture import paint, prepare_picture
from pipeline.photo.reference_pictures import ReferencePictures, answer_of
from pipeline.progress import Progress, Silent
from pipeline.results import Note

_MODES = ("L", "LA", "RGB", "RGBA")
_NAME = "picture in memory"
_Opening: TypeAlias = Callable[[], AbstractContextManager[Colorizer]]


@overload
def colorize_picture(
    picture: bytes,
    options: Options | None = None,
    *,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> bytes: ...


@overload
def colorize_picture(
    picture: IO[bytes],
    options: Options | None = None,
    *,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> BytesIO: ...


@overload
def colorize_picture(
    picture: Image.Image,
    options: Options | None = None,
    *,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> Image.Image: ...


@overload
def colorize_picture(
    picture: NDArray[Any],
    options: Options | None = None,
    *,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> NDArray[Any]: ...


def colorize_picture(
    picture: bytes | IO[bytes] | Image.Image | NDArray[Any],
    options: Options | None = None,
    *,
    colorizer: Colorizer | None = None,
    progress: Progress | None = None,
) -> bytes | BytesIO | Image.Image | NDArray[Any]:
    """Colour a photograph in memory and return it as the same kind of object.

    An array is (H, W) grey or (H, W, 3) R, G and B, uint8 or uint16, full range, in sRGB, optionally with alpha as a
    further channel; the result is (H, W, 3), or 4 with alpha, of the same dtype. A Pillow image keeps its ICC profile,
    or gets one derived from it for colour. ``bytes`` are an encoded file of any readable format; the result is a file
    as `colorize_photo` writes it, verified, with its metadata. A binary file object is read to its end, and the result
    is one in memory. A picture that is already coloured is returned as it is. An engine is opened for it, unless
    ``colorizer`` is given, which is left open. ``progress`` receives the notes that a result of `colorize_photo` has.
    Raises the errors of `pipeline.errors`: `UsageError` for arrays and images of other kinds.
    """
    options = options or Options()
    with guarded(progress or Silent(), StopRequest()) as told:
        # Opened only once the picture is known to be one.
        opening = partial(given_or_opened, colorizer, options, progress=told)
        if isinstance(picture, bytes):
            return _encoded(picture, options, opening, told)
        if isinstance(picture, Image.Image):
            return _image(picture, options, opening, told)
        if isinstance(picture, np.ndarray):
            return _array(picture, options, opening, told)[0]
        if hasattr(picture, "read") and isinstance(data := picture.read(), bytes):
            return BytesIO(_encoded(data, options, opening, told))
    raise UsageError(
        f"{_NAME}: is a {type(picture).__name__}",
        advice="Give an array, a Pillow image, bytes or a file open for reading bytes; for a path use colorize_photo.",
    )


def _array(
    pixels: NDArray[Any], options: Options, opening: _Opening, progress: Progress, *, profile: bytes | None = None
) -> tuple[NDArray[Any], bytes | None]:
    """Return R, G, B and alpha, and their ICC profile."""
    still = still_of(pixels, profile=profile)
    with opening() as colorizer:
        seen = prepare_picture(still, colorizer, options)
        _tell(progress, seen.notes)
        if not seen.is_coloured:
            return pixels, profile
        lending = ReferencePictures(colorizer).of(() if options.reference is None else (options.reference,))
        answer = answer_of(colorizer.examine(seen.model_input), seen, colorizer, lending)
        page = Page(still, paint(seen, answer, label="picture").strips, AiColour(system=OWN_SYSTEM, version=""))
        _tell(progress, (*colorizer.notes(), *still.notes))
        made = np.concatenate(list(page.strips_with_alpha()))
        return made, page.metadata[0].profile


def _image(image: Image.Image, options: Options, opening: _Opening, progress: Progress) -> Image.Image:
    if image.mode not in _MODES:
        # Pillow has no 16-bit colour images.
        instead = "Give it as an array of uint16" if image.mode.startswith("I;16") else "Convert it"
        raise UsageError(
            f"{_NAME}: is a Pillow image of mode {image.mode}, not {', '.join(_MODES)}", advice=f"{instead}."
        )
    profile = image.info.get("icc_profile")
    pixels = np.asarray(image)
    made, now = _array(pixels, options, opening, progress, profile=profile)
    if made is pixels:
        return image
    result = Image.fromarray(made)
    result.info = {key: value for key, value in image.info.items() if key != "icc_profile"}
    if now is not None:
        result.info["icc_profile"] = now
    return result


def _encoded(data: bytes, options: Options, opening: _Opening, progress: Progress) -> bytes:
    found = format_of(data[:HEAD])
    if not isinstance(found, StillFormat):
        raise InputError(f"{_NAME}: is not in a supported format", advice="See docs/photos.md.")
    with tempfile.TemporaryDirectory() as folder, opening() as colorizer:
        source = Path(folder) / f"picture{found.suffixes[0]}"
        output = Path(folder) / f"coloured{found.result.suffixes[0]}"
        source.write_bytes(data)
        with Renamed(source, _NAME).errors():
            result = colorize_photo(source, output, options, colorizer=colorizer)
        _tell(progress, result.notes)
        return result.output.read_bytes()


def _tell(progress: Progress, notes: Iterable[Note]) -> None:
    for note in notes:
        progress.note(_NAME, note)
