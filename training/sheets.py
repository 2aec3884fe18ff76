"""Contact sheets: grey, ours and, where there is one, the truth side by side, because numbers do not look."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.cielab import U8, rgb_to_lab
from training.evaluate import Colouriser, EvaluationError, find_set, grey, open_model, read_picture

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


def sheet_command(
    model: str,
    folder: Path,
    output: Path,
    *,
    truth: bool,
    rivals: bool = False,
    count: int = 12,
    names: Sequence[str] = (),
    engine: str = "auto",
    size: int = 256,
    upsampling: str = "linear",
    tile_height: int = 200,
    across: int = 2,
    temperature: float = 0.4,
    saturation: float = 1.0,
) -> Path:
    """Write a contact sheet of an evaluation folder to ``output`` (PNG) and return its path.

    Shows the pictures called ``names`` or, without names, ``count`` of them spread over the folder: their L* as grey,
    ``model``'s colours, with ``rivals`` the rivals' results, and with ``truth`` the picture itself (a folder of
    black-and-white photographs has no truth). The other options are those of `training.evaluate.evaluate_command`.
    """
    pictures = find_set(folder)
    chosen = _choose([path.name for path in pictures.truths], names, count, folder)
    network, _ = open_model(model, engine=engine, temperature=temperature, saturation=saturation)
    try:
        colourise = Colouriser(network, size=size, upsampling=upsampling)
        strips = []
        for number in chosen:
            path = pictures.truths[number]
            source = read_picture(path)
            lightness = np.asarray(rgb_to_lab(source)[..., 0], np.float32)
            tiles = [(path.stem, grey(lightness)), (f"{network.spec.model}, {size} px", colourise(lightness))]
            if rivals:
                tiles += [(name, read_picture(paths[number])) for name, paths in pictures.rivals.items()]
            if truth:
                tiles.append(("truth", source))
            strips.append(
                Strip(tuple(_scaled(tile, tile_height) for _, tile in tiles), tuple(label for label, _ in tiles))
            )
    finally:
        network.close()
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.partial")
    draw_sheet(strips, across=across).save(partial, format="PNG")
    os.replace(partial, output)
    return output


def _choose(there: list[str], names: Sequence[str], count: int, folder: Path) -> list[int]:
    if missing := [name for name in names if name not in there]:
        raise EvaluationError(f"{folder}: no picture called {', '.join(missing)}")
    if names:
        return [there.index(name) for name in names]
    return sorted({round(place) for place in np.linspace(0, len(there) - 1, min(count, len(there)))})


def _scaled(picture: U8, height: int) -> U8:
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    shrinks = height < picture.shape[0]
    return np.asarray(
        cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC), np.uint8
    )
