"""Make toned prints from colour photographs, for training, fitting and evaluating tone classification."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from engines.tensors import F32

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


def toned_print(photo: F32, draw: random.Random) -> F32:
    """Return ``photo``, R, G and B (h, w, 3), 0..1, as a scan of a toned print.

    Half of the prints have faded unevenly, a third have stains, a third yellowed edges, an eighth a stamp or writing;
    all have the noise of a scanner and went through JPEG of quality 25 to 97, most with halved chroma.
    """
    name = any_toning(draw)
    grey = faded(photo, draw)
    ab = aged(toning(name, grey, draw), draw)
    return through_jpeg(with_noise(rgb_of(grey, ab), draw, (0, 0.005, 0.01, 0.02, 0.03)), draw)


def print_of_any_size(photo: F32, draw: random.Random) -> F32:
    """Return a `toned_print`, three times in ten of a smaller ``photo``."""
    return toned_print(smaller(photo, draw) if draw.random() < 0.3 else photo, draw)


def any_toning(draw: random.Random) -> str:
    """Return the name of one of `TONINGS`, by their weights."""
    names = list(TONINGS)
    return draw.choices(names, [TONINGS[name][1] for name in names])[0]


def faded(photo: F32, draw: random.Random) -> F32:
    """Return the lightness (h, w), 0..1, of a print of ``photo``: of less contrast, lighter or darker."""
    grey = cv2.cvtColor(photo, cv2.COLOR_RGB2LAB)[..., 0] / np.float32(100)
    darkest, lightest = draw.uniform(0, 0.2), draw.uniform(0.75, 1)
    return np.asarray(darkest + (lightest - darkest) * np.clip(grey, 0, 1) ** draw.uniform(0.7, 1.4), np.float32)


def toning(name: str, grey: F32, draw: random.Random) -> Ab:
    """Return the colours of a print with this toning, by its lightness ``grey`` (h, w), 0..1."""
    middle = np.sin(np.pi * np.clip(grey, 0, 1) ** draw.uniform(0.6, 1.6)).astype(np.float32)
    return TONINGS[name][0](_Grey(grey, middle, draw))


def through_jpeg(picture: F32, draw: random.Random) -> F32:
    """Return ``picture``, R, G and B (h, w, 3), 0..1, after JPEG compression of a random quality."""
    options = [cv2.IMWRITE_JPEG_QUALITY, draw.choice(_QUALITIES)]
    if draw.random() < 0.3:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, data = cv2.imencode(".jpg", np.rint(picture[..., ::-1] * 255).astype(np.uint8), options)
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.float32)
    return decoded[..., ::-1] / np.float32(255)


def found_print(photo: F32, draw: random.Random) -> F32:
    """Return ``photo`` as a print as it may be found: more kinds of toning than `toned_print`, and what happens later.

    A third are toned by a free curve or by a program. Some have coloured fringes, were lit unevenly, copied with a
    camera that saw another white, mounted, made smaller, or encoded twice.
    """
    kind = draw.random()
    if kind < 0.35:
        grey = faded(photo, draw)
        scan = toned_freely(grey, draw) if kind < 0.2 else toned_by_program(grey, draw)
        scan = through_jpeg(with_noise(scan, draw, (0, 0, 0.005, 0.01, 0.02, 0.03)), draw)
    else:
        scan = toned_print(photo, draw)
    if draw.random() < 0.25:
        scan = lit_unevenly(scan, draw)
    return _as_found(scan, draw, fringed=0.2, cast=0.25, encoded=0.5)


def found_photo(photo: F32, draw: random.Random) -> F32:
    """Return a colour ``photo`` as it may be found: a part of it, paler, with a cast, faded, mounted, encoded again."""
    if draw.random() < 0.3:
        share = draw.uniform(0.4, 1)
        photo = part_of(photo, draw, share, share)
    if draw.random() < 0.5:
        photo = paler(photo, draw.uniform(0.3, 1))
    if draw.random() < 0.1:
        photo = veiled(photo, draw)
    return _as_found(photo, draw, fringed=0.1, cast=0.4, encoded=1.0)


def smaller(picture: F32, draw: random.Random) -> F32:
    """Return ``picture`` (h, w, 3) at 0.5 to 0.9 of its size."""
    scale = draw.uniform(0.5, 0.9)
    height, width = picture.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)


def _as_found(picture: F32, draw: random.Random, *, fringed: float, cast: float, encoded: float) -> F32:
    """Return ``picture`` with what may happen to it later, by the probabilities given."""
    if draw.random() < fringed:
        picture = with_fringes(picture, draw)
    if draw.random() < cast:
        picture = np.clip(with_cast(picture, draw, 0.08), 0, 1)
    if draw.random() < 0.1:
        picture = mounted_print(picture, draw)
    picture = np.clip(picture, 0, 1).astype(np.float32)
    if draw.random() < encoded:
        for _ in range(draw.choice([1, 1, 2])):
            picture = through_jpeg(smaller(picture, draw) if draw.random() < 0.4 else picture, draw)
    return picture


def toned_freely(grey: F32, draw: random.Random) -> F32:
    """Return ``grey`` toned by a random curve, three times in ten of any hue, else of a brown one."""
    knots = np.linspace(0, 1, draw.randint(3, 6))
    amount = draw.choice([3, 8, 15, 30])
    main = math.radians(draw.uniform(0, 360) if draw.random() < 0.3 else draw.uniform(30, 100))
    strays = amount * draw.uniform(0.05, 0.5)
    curve = np.array(
        [
            [draw.gauss(0, strays) + amount * part * direction for direction in (math.cos(main), math.sin(main))]
            for part in (draw.uniform(0.3, 1) for _ in knots)
        ]
    )
    curve[0] *= draw.random()
    ab = np.stack([np.interp(grey, knots, curve[:, plane]) for plane in range(2)], axis=-1).astype(np.float32)
    return rgb_of(grey, aged(ab, draw))


def toned_by_program(grey: F32, draw: random.Random) -> F32:
    """Return ``grey`` toned as programs and telephones do: by multiplying R, G and B, or by a gradient of colours."""
    if draw.random() < 0.5:
        tint = [1, draw.uniform(0.7, 1), draw.uniform(0.4, 1)]
        if draw.random() < 0.3:
            draw.shuffle(tint)
        scan = grey[..., None] * np.array(tint, np.float32)
    else:
        levels = np.linspace(0, 1, draw.choice([2, 3]))
        hue = draw.uniform(0, 360) if draw.random() < 0.4 else draw.uniform(18, 47)
        hsv = [
            (
                (hue + draw.gauss(0, 10)) % 360,
                draw.uniform(0, 0.8) * (1 - 0.6 * abs(2 * level - 1)),
                min(level * draw.uniform(0.85, 1) + draw.uniform(0, 0.12), 1),
            )
            for level in levels
        ]
        colours = cv2.cvtColor(np.array([hsv], np.float32), cv2.COLOR_HSV2RGB)[0]
        scan = np.stack([np.interp(grey, levels, colours[:, plane]) for plane in range(3)], axis=-1)
    scan = np.clip(scan, 0, 1).astype(np.float32)
    if draw.random() < 0.4:
        lab = cv2.cvtColor(scan, cv2.COLOR_RGB2LAB)
        lab[..., 1:] = aged(np.asarray(lab[..., 1:], np.float32), draw)
        scan = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
    return scan


def lit_unevenly(picture: F32, draw: random.Random) -> F32:
    """Return ``picture`` with every channel lighter on one side."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = [1 + draw.uniform(-0.12, 0.12) * x + draw.uniform(-0.12, 0.12) * y for _ in range(3)]
    return np.asarray(np.clip(picture * np.stack(light, axis=-1), 0, 1), np.float32)


def with_fringes(picture: F32, draw: random.Random) -> F32:
    """Return ``picture`` with red and blue moved by a fraction of a pixel, as by a scanner or a lens."""
    height, width = picture.shape[:2]
    moved = picture.copy()
    for plane in (0, 2):
        step = np.array([[1, 0, draw.gauss(0, 0.5)], [0, 1, draw.gauss(0, 0.5)]], np.float32)
        moved[..., plane] = cv2.warpAffine(
            np.ascontiguousarray(picture[..., plane]), step, (width, height), borderMode=cv2.BORDER_REPLICATE
        )
    return moved


def mounted_print(picture: F32, draw: random.Random) -> F32:
    """Return ``picture`` on a mount, white to brown."""
    margin = round(max(picture.shape[:2]) * draw.uniform(0.03, 0.2))
    paper = draw.uniform(0.5, 1) + np.array([0, -0.03, -0.08]) * draw.uniform(-0.2, 2)
    edges = ((margin, margin), (margin, margin))
    planes = [np.pad(picture[..., plane], edges, constant_values=paper[plane]) for plane in range(3)]
    mounted = np.stack(planes, axis=-1)
    return np.asarray(mounted + noise_of(draw).normal(size=mounted.shape) * 0.01, np.float32)


def with_noise(picture: F32, draw: random.Random, deviations: Sequence[float]) -> F32:
    """Return ``picture`` with noise of one of the standard ``deviations``."""
    noise = noise_of(draw).normal(size=picture.shape) * draw.choice(deviations)
    return np.clip(picture + noise, 0, 1).astype(np.float32)


def with_cast(picture: F32, draw: random.Random, spread: float) -> F32:
    """Return ``picture`` as a camera sees it that takes another white; ``spread`` is the deviation of the channels."""
    gain = np.array([1 + draw.gauss(0, spread) for _ in range(3)], np.float32)
    return np.asarray(picture * gain / gain.max(), np.float32)


def paler(photo: F32, share: float) -> F32:
    """Return ``photo`` with a ``share`` of its colour."""
    grey = photo.mean(axis=2, keepdims=True)
    return np.asarray(grey + np.float32(share) * (photo - grey), np.float32)


def veiled(photo: F32, draw: random.Random) -> F32:
    """Return ``photo`` with lighter blacks, as dyes fade, of any hue."""
    veil = np.array([draw.uniform(0, 0.2) for _ in range(3)], np.float32)
    return np.asarray(veil + (1 - veil) * photo, np.float32)


def rgb_of(grey: F32, ab: Ab) -> F32:
    """Return R, G and B (h, w, 3) for lightness ``grey`` (h, w), 0..1, and colours ``ab``."""
    lab = np.dstack([grey * 100, ab]).astype(np.float32)
    return np.asarray(np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1), np.float32)


def part_of(picture: F32, draw: random.Random, tall: float, wide: float) -> F32:
    """Return a part of ``picture``: the shares ``tall`` and ``wide`` of its sides, anywhere in it."""
    height, width = picture.shape[:2]
    rows, columns = round(height * tall), round(width * wide)
    top, left = draw.randint(0, height - rows), draw.randint(0, width - columns)
    return np.ascontiguousarray(picture[top : top + rows, left : left + columns])


def noise_of(draw: random.Random) -> np.random.Generator:
    """Return NumPy's random numbers, as determined by ``draw``."""
    return np.random.default_rng(draw.getrandbits(32))


def aged(ab: Ab, draw: random.Random) -> Ab:
    """Return a print's colours after some ageing: fading, stains, yellowed edges, a stamp or writing."""
    height, width = ab.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    if draw.random() < 0.5:
        away = (x - draw.uniform(-0.7, 0.7)) ** 2 + (y - draw.uniform(-0.7, 0.7)) ** 2
        ab = ab * (1 + draw.uniform(-0.5, 0.3) * away / 2)[..., None]
    if draw.random() < 0.35:
        cells = draw.randint(3, 9)
        field = noise_of(draw).normal(size=(cells, cells)).astype(np.float32)
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
    strokes = noise_of(draw).random((rows // 3 + 1, columns // 3 + 1)).astype(np.float32)
    ink = np.zeros((height, width), np.float32)
    ink[top : top + rows, left : left + columns] = (
        cv2.resize(strokes, (columns, rows), interpolation=cv2.INTER_NEAREST) > 0.4
    )
    return _hue(draw.uniform(0, 360), draw.uniform(15, 45) * ink)
