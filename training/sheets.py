"""Contact sheets: the truth, grey, and each system's colours side by side, because numbers do not show everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.cielab_numpy import U8
from training.evaluate import EvaluationSet, Paint, grey, lightness_of
from training.files import replacing
from training.scores import SetScore

_GAP = 6
_LABEL_HEIGHT = 18
_FONT_SIZE = 12
_PAPER = (24, 24, 24)
_INK = (220, 220, 220)


@dataclass(frozen=True)
class Strip:
    """One picture's tiles, uint8 RGB of one height, from left to right, each with its label."""

    tiles: tuple[U8, ...]
    labels: tuple[str, ...]

    @property
    def width(self) -> int:
        """Width in pixels, gaps included."""
        return sum(tile.shape[1] + _GAP for tile in self.tiles)


def draw_sheet(strips: Sequence[Strip], *, across: int) -> Image.Image:
    """Return a sheet of ``strips``, ``across`` side by side, in reading order; all tiles have the same height."""
    height = strips[0].tiles[0].shape[0]
    widths = [max(strip.width for strip in strips[column::across]) for column in range(min(across, len(strips)))]
    row_height = _LABEL_HEIGHT + height + _GAP
    sheet = Image.new("RGB", (sum(widths) + _GAP, row_height * -(-len(strips) // across) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_FONT_SIZE)
    for number, strip in enumerate(strips):
        row, column = divmod(number, across)
        x, y = _GAP + sum(widths[:column]), _GAP + row * row_height
        for tile, label in zip(strip.tiles, strip.labels, strict=True):
            width = tile.shape[1]
            draw.text((x, y), _shortened(label, draw, font, width), fill=_INK, font=font)
            sheet.paste(Image.fromarray(tile), (x, y + _LABEL_HEIGHT))
            x += width + _GAP
    return sheet


def _shortened(
    label: str, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> str:
    while len(label) > 1 and draw.textlength(label, font=font) > width:
        label = label[:-1]
    return label


def draw_strip(
    pictures: EvaluationSet,
    number: int,
    systems: Mapping[str, Paint],
    *,
    truth: bool,
    scores: Sequence[SetScore] = (),
    height: int = 200,
) -> Strip:
    """Return one picture of a set as its truth, its L* as grey, and the result of each of ``systems``.

    Without ``truth`` the picture is black-and-white and shown as grey alone. Labels name the picture and the systems
    and, if in ``scores`` of the set, each system's CIEDE2000.
    """
    source = pictures.truth(number)
    lightness = lightness_of(source)
    path = pictures.truths[number]
    named = f"{pictures.name}/{path.stem}"
    tiles = [(named, source), ("grey", grey(lightness))] if truth else [(named, grey(lightness))]
    errors = {one.system: one.pictures[number].ciede2000 for one in scores if one.set_name == pictures.name}
    for name, paint in systems.items():
        if name != "grey":
            label = f"{errors[name]:.1f}  {name}" if name in errors else name
            tiles.append((label, paint(number, lightness)))
    return Strip(tuple(_scaled(tile, height) for _, tile in tiles), tuple(label for label, _ in tiles))


def spread(count: int, most: int) -> list[int]:
    """Return at most ``most`` of the numbers below ``count``, evenly spaced."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))})


def worst(scores: Iterable[SetScore], count: int) -> list[tuple[str, int]]:
    """Return set and number of the ``count`` pictures with the largest CIEDE2000, largest first; of one system."""
    errors = [
        (picture.ciede2000, score.set_name, number) for score in scores for number, picture in enumerate(score.pictures)
    ]
    errors.sort(key=lambda error: (-error[0], error[1:]))
    return [(name, number) for _, name, number in errors[:count]]


def save_sheet(strips: Sequence[Strip], output: Path, *, across: int = 2) -> Path:
    """Write ``strips`` as the PNG file ``output``, atomically, and return its path."""
    with replacing(output) as partial:
        draw_sheet(strips, across=across).save(partial, format="PNG")
    return output


def _scaled(picture: U8, height: int) -> U8:
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    shrinks = height < picture.shape[0]
    return np.asarray(
        cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC), np.uint8
    )
