"""Small synthetic scenes with known motion and known colours."""

from __future__ import annotations

import cv2
import numpy as np

from engines.adapters.base import Evidence
from engines.decoding import annealed_mean
from engines.network import Prediction
from pipeline.color.model_input import ModelInput
from pipeline.color.spaces import ab_of_rgb, rgb_of, still_spec
from pipeline.color.upsampling import upsample

HEIGHT, WIDTH, STRIDE = 128, 192, 4
ROWS, COLUMNS = HEIGHT // STRIDE, WIDTH // STRIDE


def texture(seed: int, *, height: int = HEIGHT, width: int = 2 * WIDTH) -> np.ndarray:
    """Return luma (height, width) about 0.2..0.8 with detail of several sizes."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((height, width)).astype(np.float32)
    layers = [cv2.GaussianBlur(noise, (0, 0), sigma) * sigma for sigma in (2.0, 5.0)]
    return np.clip(0.5 + 0.2 * sum(layers), 0.05, 0.95).astype(np.float32)


def pan(count: int, *, speed: int, seed: int = 0) -> list[np.ndarray]:
    """Return the frames of a camera that moves ``speed`` pixels per frame to the right."""
    wide = texture(seed, width=WIDTH + abs(speed) * count)
    return [np.ascontiguousarray(wide[:, speed * n : speed * n + WIDTH]) for n in range(count)]


def box(number: int, *, speed: int, side: int = 48) -> tuple[slice, slice]:
    """Return the position of an object that moves to the right over a static background, in model input pixels."""
    left = 8 + speed * number
    return slice(40, 40 + side), slice(left, left + side)


def passing(count: int, *, speed: int) -> list[np.ndarray]:
    """Return frames in which a textured `box` moves over a static background."""
    ground, thing = texture(1, width=WIDTH), texture(2)
    frames = []
    for number in range(count):
        frame = ground.copy()
        place = box(number, speed=speed)
        frame[place] = 0.3 + 0.7 * thing[:48, :48]
        frames.append(frame)
    return frames


def box_chroma(number: int, *, speed: int, inside: float, outside: float) -> np.ndarray:
    """Return ab (2, ROWS, COLUMNS): a* is ``inside`` within the `box` and ``outside`` elsewhere, b* is 0."""
    ab = np.zeros((2, HEIGHT, WIDTH), np.float32)
    ab[0] = outside
    ab[0][box(number, speed=speed)] = inside
    return np.stack([cv2.resize(plane, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA) for plane in ab])


CENTRES = np.stack(np.meshgrid(np.arange(-80, 81, 10), np.arange(-80, 81, 10)), axis=-1).reshape(-1, 2).astype("f4")


def told(luma: np.ndarray, *colours: tuple[np.ndarray, float]) -> Prediction:
    """Return the prediction of a network that thinks each of ``colours``, ab (2, ROWS, COLUMNS), likely by its share.

    Its ab is their annealed mean; its features describe blocks of 8 x 8 pixels of ``luma``.
    """
    rows, columns = luma.shape[0] // 8, luma.shape[1] // 8
    shares = np.zeros((len(CENTRES), rows, columns))
    for ab, share in colours:
        small = np.stack([cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA) for plane in ab])
        bump = np.exp(-np.square(CENTRES[:, :, None, None] - small).sum(axis=1) / (2 * 8**2))
        shares += share * bump / bump.sum(axis=0)
    logits = np.log(shares + 1e-6).astype(np.float32)
    blocks = luma.reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3).reshape(rows, columns, 64)
    features = np.concatenate([blocks - blocks.mean(axis=-1, keepdims=True), np.full((rows, columns, 1), 0.1)], axis=-1)
    evidence = Evidence(
        logits=logits[None],
        centres=CENTRES,
        features=np.ascontiguousarray(features.transpose(2, 0, 1)[None], np.float32),
        temperature=0.5,
    )
    mean = annealed_mean(logits.transpose(1, 2, 0), CENTRES, temperature=0.5)
    ab = cv2.resize(mean, (luma.shape[1] // STRIDE, luma.shape[0] // STRIDE), interpolation=cv2.INTER_LINEAR)
    return Prediction(np.ascontiguousarray(ab.transpose(2, 0, 1)[None]), evidence)


def flat(a: float, b: float) -> np.ndarray:
    """Return ab (2, ROWS, COLUMNS) of one colour."""
    return np.stack([np.full((ROWS, COLUMNS), value, np.float32) for value in (a, b)])


def shown(luma: np.ndarray, ab: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return a* and b* (2,) at a position of the picture that upsampling makes from ``ab``."""
    spec = still_spec(8)
    chroma = upsample(ModelInput(luma), ab, spec).small(luma, spec.matrix)
    row, column = int(y * luma.shape[0]), int(x * luma.shape[1])
    return ab_of_rgb(rgb_of(luma, chroma, spec.matrix))[:, row, column]
