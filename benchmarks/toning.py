"""Make toned prints from colour photographs, for evaluating and fitting tone classification."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.color.spaces import F32

_QUALITIES = (25, 40, 60, 75, 80, 85, 90, 92, 95, 97)

Ab = F32  # a* and b* (h, w, 2)


@dataclass(frozen=True, eq=False)
class _Grey:
    """A print before toning: ``luma`` (h, w), 0..1, and the amount of silver relative to middle greys, 0..1."""

    luma: F32
    middle: F32
    draw: random.Random


def _hue(degrees: float, chroma: F32 | float) -> Ab:
    angle = math.radians(degrees)
    return np.stack([chroma * np.float32(math.cos(angle)), chroma * np.float32(math.sin(angle))], axis=-1)


def _sepia(grey: _Grey) -> Ab:
    paper = _hue(grey.draw.uniform(70, 100), grey.draw.uniform(0, 18) * grey.luma)
    shadows = _hue(grey.draw.uniform(20, 80), grey.draw.uniform(0, 10) * (1 - grey.luma))
    return _hue(grey.draw.uniform(45, 90), grey.draw.uniform(6, 38) * grey.middle) + paper + shadows


def _albumen(grey: _Grey) -> Ab:
    return _hue(grey.draw.uniform(70, 100), grey.draw.uniform(5, 25) * grey.luma) + _hue(
        grey.draw.uniform(0, 60), grey.draw.uniform(3, 20) * grey.middle
    )


def _selenium(grey: _Grey) -> Ab:
    return _hue(grey.draw.uniform(-40, 40), grey.draw.uniform(1.5, 9) * grey.middle) + _hue(
        grey.draw.uniform(70, 100), grey.draw.uniform(0, 6) * grey.luma
    )


def _cyanotype(grey: _Grey) -> Ab:
    paper = _hue(grey.draw.uniform(80, 110), grey.draw.uniform(0, 8) * grey.luma)
    shadows = _hue(grey.draw.uniform(240, 290), grey.draw.uniform(0, 20) * (1 - grey.luma))
    return _hue(grey.draw.uniform(225, 285), grey.draw.uniform(8, 45) * grey.middle) + paper + shadows


def _gold(grey: _Grey) -> Ab:
    return _hue(grey.draw.uniform(20, 70), grey.draw.uniform(4, 18) * grey.middle)


def _warm_paper(grey: _Grey) -> Ab:
    return _hue(
        grey.draw.uniform(40, 100), grey.draw.uniform(2, 12) * (np.float32(0.3) + np.float32(0.7) * grey.middle)
    )


def _green(grey: _Grey) -> Ab:
    return _hue(grey.draw.uniform(120, 170), grey.draw.uniform(3, 18) * grey.middle)


def _copper(grey: _Grey) -> Ab:
    return _hue(grey.draw.uniform(20, 50), grey.draw.uniform(8, 30) * grey.middle)


def _tinted_stock(grey: _Grey) -> Ab:
    return _hue(grey.draw.uniform(0, 360), grey.draw.uniform(8, 40) * grey.luma)


def _split(grey: _Grey) -> Ab:
    shadows = np.clip(1 - grey.luma, 0, 1) ** grey.draw.uniform(0.5, 2) * np.clip(5 * grey.luma, 0, 1)
    lights = np.clip(grey.luma, 0, 1) ** grey.draw.uniform(0.5, 2)
    return _hue(grey.draw.uniform(0, 360), grey.draw.uniform(4, 30) * shadows) + _hue(
        grey.draw.uniform(0, 360), grey.draw.uniform(4, 30) * lights
    )


def _scanner_cast(grey: _Grey) -> Ab:
    return _hue(grey.draw.uniform(0, 360), grey.draw.uniform(2, 10) * np.ones_like(grey.luma))


def _grey(grey: _Grey) -> Ab:
    return _hue(grey.draw.uniform(0, 360), grey.draw.uniform(0, 1) * np.ones_like(grey.luma))


# With their weights.
TONINGS: dict[str, tuple[Callable[[_Grey], Ab], int]] = {
    "sepia": (_sepia, 30),
    "albumen": (_albumen, 15),
    "selenium": (_selenium, 6),
    "cyanotype": (_cyanotype, 10),
    "gold": (_gold, 6),
    "warm paper": (_warm_paper, 12),
    "green": (_green, 2),
    "copper": (_copper, 4),
    "tinted stock": (_tinted_stock, 5),
    "scanner cast": (_scanner_cast, 10),
    "grey": (_grey, 16),
    "split": (_split, 7),
}


def toned_print(photo: F32, draw: random.Random) -> tuple[F32, str]:
    """Return ``photo``, R, G and B (h, w, 3), 0..1, as a scan of a toned print, the same kind, and the toning's name.

    Half of the prints have faded unevenly, a third have stains, a third yellowed edges, an eighth a stamp or writing;
    all have the noise of a scanner and went through JPEG of quality 25 to 97, most with halved chroma.
    """
    names = list(TONINGS)
    name = draw.choices(names, [TONINGS[name][1] for name in names])[0]
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB)[..., 0] / np.float32(100)
    darkest, lightest = draw.uniform(0, 0.2), draw.uniform(0.75, 1)
    grey = (darkest + (lightest - darkest) * grey ** draw.uniform(0.7, 1.4)).astype(np.float32)
    middle = np.sin(np.pi * np.clip(grey, 0, 1) ** draw.uniform(0.6, 1.6)).astype(np.float32)
    ab = _aged(TONINGS[name][0](_Grey(grey, middle, draw)), draw)
    scan = np.clip(cv2.cvtColor(np.dstack([grey * 100, ab]).astype(np.float32), cv2.COLOR_LAB2RGB), 0, 1)
    noise = _random(draw).normal(size=scan.shape) * draw.choice([0, 0.005, 0.01, 0.02, 0.03])
    return through_jpeg(np.clip(scan + noise, 0, 1).astype(np.float32), draw), name


def through_jpeg(picture: F32, draw: random.Random) -> F32:
    """Return ``picture``, R, G and B (h, w, 3), 0..1, after JPEG compression of a random quality."""
    options = [cv2.IMWRITE_JPEG_QUALITY, draw.choice(_QUALITIES)]
    if draw.random() < 0.3:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, data = cv2.imencode(".jpg", np.rint(picture[..., ::-1] * 255).astype(np.uint8), options)
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.float32)
    return decoded[..., ::-1] / np.float32(255)


def _random(draw: random.Random) -> np.random.Generator:
    return np.random.default_rng(draw.getrandbits(32))


def _aged(ab: Ab, draw: random.Random) -> Ab:
    height, width = ab.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    if draw.random() < 0.5:
        away = (x - draw.uniform(-0.7, 0.7)) ** 2 + (y - draw.uniform(-0.7, 0.7)) ** 2
        ab = ab * (1 + draw.uniform(-0.5, 0.3) * away / 2)[..., None]
    if draw.random() < 0.35:
        cells = draw.randint(3, 9)
        field = _random(draw).normal(size=(cells, cells)).astype(np.float32)
        smooth = np.asarray(cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
        blotches = np.clip(smooth - np.float32(draw.uniform(0.3, 1.3)), 0, 1)
        hue = draw.uniform(55, 95) if draw.random() < 0.8 else draw.uniform(230, 280)  # foxing, or silvering
        ab = ab + _hue(hue, draw.uniform(3, 14) * blotches)
    if draw.random() < 0.3:
        edges = 3 * np.clip(np.maximum(abs(x), abs(y)) - draw.uniform(0.6, 0.9), 0, 1)
        ab = ab + _hue(draw.uniform(60, 95), draw.uniform(2, 10) * edges)
    if draw.random() < 0.12:
        ab = ab + _written(height, width, draw)
    return ab


def _written(height: int, width: int, draw: random.Random) -> Ab:
    rows, columns = draw.randint(height // 14, height // 6), draw.randint(width // 12, width // 4)
    top, left = draw.randint(0, height - rows), draw.randint(0, width - columns)
    strokes = _random(draw).random((rows // 3 + 1, columns // 3 + 1)).astype(np.float32)
    ink = np.zeros((height, width), np.float32)
    ink[top : top + rows, left : left + columns] = (
        cv2.resize(strokes, (columns, rows), interpolation=cv2.INTER_NEAREST) > 0.4
    )
    return _hue(draw.uniform(0, 360), draw.uniform(15, 45) * ink)
