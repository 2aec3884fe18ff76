"""BMP and GIF: read as they are, written as PNG, because neither has room for what a result must carry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.media.stills.limits import check_size
from pipeline.media.stills.samples import damaged, luma_of_rgb, refuse, small_chroma
from pipeline.media.stills.still import ColourModel, Still, StillFormat, Strip
from pipeline.results import Note, NoteKind


def read_bitmap(path: Path, file_format: StillFormat, *, pixel_limit: int) -> Still:
    """Decode to luma; palettes and 1-bit pictures become 8-bit samples. Raises `InputError`."""
    try:
        with Image.open(path, formats=(file_format.value,)) as image:
            check_size(path, image.width, image.height, pixel_limit=pixel_limit)
            if getattr(image, "is_animated", False):
                raise refuse(path, f"is an animated {file_format}")
            if image.mode not in ("1", "L", "P", "RGB") or "transparency" in image.info:
                raise refuse(path, f"is a {file_format} with transparency or of a rare kind ({image.mode})")
            is_grey, is_bilevel = image.mode in ("1", "L"), image.mode == "1"
            rgb = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise damaged(path, f"cannot be decoded: {error}") from error
    return Still(
        path=path,
        format=file_format,
        luma=luma_of_rgb(rgb),
        bits=8,
        orientation=1,
        colour_model=ColourModel.RGB,
        alpha=None,
        notes=(Note(NoteKind.CONVERTED, f"{file_format} is written as PNG"),),
        carried=None,
        chroma=None if is_grey else small_chroma(rgb),
        is_bilevel=is_bilevel,
    )


def bitmap_pixels(path: Path) -> Strip:
    """Give R, G and B (H, W, 3) of a file that was read before."""
    with Image.open(path, formats=("BMP", "GIF")) as image:
        return np.asarray(image.convert("RGB"))
