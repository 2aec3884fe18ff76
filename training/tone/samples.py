"""Samples for the tone network: photographs in colour and prints in one tone, both with the same signs of age.

What happens to both kinds alike (stains, casts, mounts, tears, noise, JPEG) tells nothing about the kind, so that the
network has to learn what colours of their own look like.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engines.tensors import F32
from engines.tone_network import squeezed_for_tone
from training.tone.prints import (
    aged,
    any_toning,
    faded,
    lit_unevenly,
    mounted_print,
    noise_of,
    paler,
    part_of,
    rgb_of,
    through_jpeg,
    toned_by_program,
    toned_freely,
    toning,
    veiled,
    with_cast,
    with_fringes,
    with_noise,
)

U8 = npt.NDArray[np.uint8]

_ON_PAGES = 0.15  # share of samples


@dataclass(frozen=True, eq=False)
class Pictures:
    """Small pictures, uint8 (h, w, 3), to make samples of.

    ``hard`` are photographs that hardly differ from one tone, and ``hardness`` the running sums of how often they are
    drawn; ``plain`` are other photographs, ``found`` some as they may be found, ``made`` prints made from photographs.
    ``real_prints`` and ``real_colour``, which may be empty, were classified by eye.
    """

    hard: Sequence[U8]
    hardness: Sequence[float]
    plain: Sequence[U8]
    found: Sequence[U8]
    made: Sequence[U8]
    real_prints: Sequence[U8] = ()
    real_colour: Sequence[U8] = ()


def sample(pictures: Pictures, draw: random.Random) -> tuple[F32, bool]:
    """Return a picture, sRGB (3, 112, 112), 0..1, and whether it has colours of its own; one in two has."""
    is_coloured = draw.random() < 0.5
    if draw.random() < _ON_PAGES:
        picture = album_page(pictures, draw, is_coloured=is_coloured)
    else:
        picture = _coloured(pictures, draw) if is_coloured else _print(pictures, draw)
    squeezed = squeezed_for_tone(np.clip(picture, 0, 1).astype(np.float32))
    if draw.random() < 0.5:
        squeezed = squeezed[:, :, ::-1]
    return np.ascontiguousarray(squeezed), is_coloured


def _coloured(pictures: Pictures, draw: random.Random) -> F32:
    kind = draw.random()
    if pictures.real_colour and kind < 0.06:
        picture = draw.choice(pictures.real_colour)
    elif kind < 0.72:
        (picture,) = draw.choices(pictures.hard, cum_weights=pictures.hardness)
    else:
        picture = draw.choice(pictures.found if kind < 0.85 else pictures.plain)
    return _photo(_as_float(picture), draw) if draw.random() < 0.75 else _as_float(picture)


def _print(pictures: Pictures, draw: random.Random) -> F32:
    kind = draw.random()
    if kind >= 0.5:
        return _toned(_as_float(draw.choice(pictures.hard if draw.random() < 0.7 else pictures.plain)), draw)
    is_real = bool(pictures.real_prints) and kind < 0.12
    picture = _as_float(draw.choice(pictures.real_prints if is_real else pictures.made))
    if draw.random() < 0.6:
        picture = _cut(picture, draw)
    return _handled(picture, draw) if draw.random() < (0.5 if is_real else 0.4) else picture


def album_page(pictures: Pictures, draw: random.Random, *, is_coloured: bool) -> F32:
    """Return a page of an album with one to four photographs; seven in ten pages of prints have one kind of toning."""
    height, width = draw.choice([(96, 128), (128, 96), (104, 128)])
    lightness, chroma = draw.uniform(8, 85), draw.choice([0, 4, 10, 18, 28]) * draw.random()
    hue = np.radians(draw.uniform(0, 360) if draw.random() < 0.5 else draw.uniform(40, 150))
    tone = np.array([[[lightness, chroma * np.cos(hue), chroma * np.sin(hue)]]], np.float32)
    grain = 0.01 * noise_of(draw).normal(size=(height, width, 1))
    page = np.asarray(cv2.cvtColor(tone, cv2.COLOR_LAB2RGB) + grain, np.float32)
    count, toning_seed = draw.choice([1, 2, 3, 4, 4]), draw.random() if draw.random() < 0.7 else None
    columns = 1 if count == 1 else 2
    rows = -(-count // columns)
    room_y, room_x = height // rows - 2, width // columns - 2
    for number in range(count):
        if is_coloured:
            picture = _coloured(pictures, draw)
        elif toning_seed is None:
            picture = _print(pictures, draw)
        else:
            picture = _toned(_as_float(draw.choice(pictures.hard)), random.Random(toning_seed))
        scale = draw.uniform(0.75, 0.98) * min(room_y / picture.shape[0], room_x / picture.shape[1])
        size = max(8, int(picture.shape[1] * scale)), max(8, int(picture.shape[0] * scale))
        small = np.clip(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), 0, 1)
        if draw.random() < 0.6:
            small[:1], small[-1:], small[:, :1], small[:, -1:] = (np.float32(0.93),) * 4
        row, column = divmod(number, columns)
        top = row * (height // rows) + draw.randint(0, max(0, room_y - size[1]))
        left = column * (width // columns) + draw.randint(0, max(0, room_x - size[0]))
        page[top : top + size[1], left : left + size[0]] = small
    return _handled(page, draw)


def _photo(photo: F32, draw: random.Random) -> F32:
    """Return ``photo`` in colour with signs of age."""
    if draw.random() < 0.6:
        photo = _cut(photo, draw)
    if draw.random() < 0.3:
        photo = np.clip(paler(photo, draw.uniform(0.35, 1.1)), 0, 1)
    if draw.random() < 0.3:
        ab = np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2LAB)[..., 1:], np.float32)
        grey = faded(photo, draw)
        photo = rgb_of(grey, aged(ab, draw) if draw.random() < 0.6 else ab)
    if draw.random() < 0.08:
        photo = veiled(photo, draw)
    return _handled(photo.astype(np.float32), draw)


def _toned(photo: F32, draw: random.Random) -> F32:
    """Return a print in one tone of ``photo``, with signs of age."""
    if draw.random() < 0.6:
        photo = _cut(photo, draw)
    grey = faded(photo, draw)
    kind = draw.random()
    if kind < 0.25:
        return _handled(toned_freely(grey, draw), draw)
    if kind < 0.4:
        return _handled(toned_by_program(grey, draw), draw)
    ab = toning(any_toning(draw), grey, draw)
    if draw.random() < 0.25:
        ab = ab * np.float32(draw.uniform(1, 1.6))
    if draw.random() < 0.7:
        ab = aged(ab, draw)
    if draw.random() < 0.06:
        ab = _tinted_by_hand(ab, photo, draw)
    return _handled(rgb_of(grey, ab), draw)


def _tinted_by_hand(ab: F32, photo: F32, draw: random.Random) -> F32:
    """Return a print's colours ``ab`` (h, w, 2) with one thing coloured by hand, as it is in ``photo``."""
    height, width = ab.shape[:2]
    own = np.clip(np.asarray(cv2.cvtColor(photo, cv2.COLOR_RGB2LAB)[..., 1:], np.float32), -30, 30)
    y, x = np.mgrid[0:height, 0:width]
    middle_y, middle_x = draw.uniform(0.2, 0.8) * height, draw.uniform(0.2, 0.8) * width
    radius = draw.uniform(0.04, 0.14) * max(height, width)
    near = np.exp(-((y - middle_y) ** 2 + (x - middle_x) ** 2) / (2 * radius**2))[..., None].astype(np.float32)
    return np.asarray(ab + near * own * draw.uniform(0.3, 0.8), np.float32)


def _handled(picture: F32, draw: random.Random) -> F32:
    """Return ``picture`` after what happens to prints in colour and in one tone alike."""
    if draw.random() < 0.3:
        picture = lit_unevenly(picture, draw)
    if draw.random() < 0.15:
        picture = with_fringes(picture, draw)
    if draw.random() < 0.35:
        picture = with_cast(picture, draw, 0.07)
    if draw.random() < 0.12:
        picture = mounted_print(np.clip(picture, 0, 1).astype(np.float32), draw)
    if draw.random() < 0.1:
        picture = _torn(picture, draw)
    picture = np.clip(picture, 0, 1).astype(np.float32)
    if draw.random() < 0.25:
        picture = with_noise(picture, draw, (0.005, 0.01, 0.02))
    return through_jpeg(picture, draw) if draw.random() < 0.25 else picture


def _torn(picture: F32, draw: random.Random) -> F32:
    """Return ``picture`` with one to four white creases and patches."""
    picture = np.ascontiguousarray(picture, np.float32).copy()
    height, width = picture.shape[:2]
    for _ in range(draw.randint(1, 4)):
        points = [(draw.randint(0, width), draw.randint(0, height))]
        for _ in range(draw.randint(2, 5)):
            x, y = points[-1]
            points.append((x + draw.randint(-width // 5, width // 5), y + draw.randint(-height // 5, height // 5)))
        white = [float(one) for one in draw.uniform(0.75, 1) + np.array([0, -0.02, -0.05]) * draw.random()]
        if draw.random() < 0.6:
            cv2.polylines(picture, [np.array(points)], False, white, draw.randint(1, 2), cv2.LINE_AA)
        else:
            cv2.fillPoly(picture, [np.array(points)], white, cv2.LINE_AA)
    return picture


def _cut(picture: F32, draw: random.Random) -> F32:
    """Return a part of ``picture``, at least 55 % of its sides and of nearly its shape."""
    share = draw.uniform(0.55, 1)
    return part_of(picture, draw, share, min(draw.uniform(max(0.55, 0.8 * share), 1.2 * share), 1))


def _as_float(picture: U8) -> F32:
    return picture.astype(np.float32) / np.float32(255)
