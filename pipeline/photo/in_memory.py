"""Colour arrays and Pillow images, without files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.color.colorizer import Colorizer, given_or_opened
from pipeline.errors import InputError, UsageError
from pipeline.media.stills import OWN_SYSTEM, AiColour, Page
from pipeline.media.stills.arrays import still_of
from pipeline.options import Options
from pipeline.photo.picture import paint, prepare_picture
from pipeline.photo.reference_pictures import ReferencePictures, predicted_chroma
from pipeline.progress import Progress, announced

NAME = "picture in memory"
"""What a picture without a path is called in errors, and its name for `Progress`."""

_MODES = ("L", "LA", "RGB", "RGBA")


def coloured_array(
    pixels: NDArray[Any], options: Options, colorizer: Colorizer | None, progress: Progress
) -> NDArray[Any]:
    """Return ``pixels`` as `colorize_photo` does. Raises `UsageError` for arrays of other kinds."""
    return _coloured(pixels, options, colorizer, progress)[0]


def coloured_image(
    image: Image.Image, options: Options, colorizer: Colorizer | None, progress: Progress
) -> Image.Image:
    """Return ``image`` as `colorize_photo` does. Raises `UsageError` for other modes, `InputError` if it is damaged."""
    if image.mode not in _MODES:
        # Pillow has no 16-bit colour images.
        instead = "Give it as an array of uint16" if image.mode.startswith("I;16") else "Convert it"
        raise UsageError(
            f"{NAME}: is a Pillow image of mode {image.mode}, not {', '.join(_MODES)}", advice=f"{instead}."
        )
    whole = image
    try:
        if image.mode in ("L", "RGB") and "transparency" in image.info:
            # As in files: a transparent colour becomes alpha, since its pixels may get any colour.
            whole = image.convert("LA" if image.mode == "L" else "RGBA")
        pixels = np.asarray(whole)
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow decodes a file only now; it may be closed by then.
        raise InputError(
            f"{NAME}: cannot be decoded: {error}",
            advice="Open it again if it was closed; else copy its file again from its source or a backup.",
        ) from error
    made, profile = _coloured(pixels, options, colorizer, progress, profile=image.info.get("icc_profile"))
    if made is pixels:
        return image
    result = Image.fromarray(made)
    result.info = {key: value for key, value in whole.info.items() if key != "icc_profile"}
    if profile is not None:
        result.info["icc_profile"] = profile
    return result


def _coloured(
    pixels: NDArray[Any],
    options: Options,
    colorizer: Colorizer | None,
    progress: Progress,
    *,
    profile: bytes | None = None,
) -> tuple[NDArray[Any], bytes | None]:
    """Return R, G and B and alpha, with their ICC profile, or ``pixels`` and ``profile`` if they get no colour."""
    still = still_of(pixels, profile=profile)
    with announced(progress, NAME, 1, "photos"), given_or_opened(colorizer, options, progress=progress) as opened:
        seen = prepare_picture(still, opened, options)
        notes, made = seen.notes, pixels
        if seen.is_coloured:
            references = ReferencePictures(opened).of(() if options.reference is None else (options.reference,))
            predicted = predicted_chroma(opened.examine(seen.model_input), seen, opened, references)
            page = Page(still, paint(seen, predicted, label="picture").strips, AiColour(system=OWN_SYSTEM, version=""))
            made, profile = np.concatenate(list(page.strips_with_alpha())), page.metadata[0].profile
            notes = (*notes, *opened.notes(), *still.notes)
        for note in notes:
            progress.note(NAME, note)
        progress.advance(NAME)
    return made, profile
