"""The tone network: how likely a picture has colours of its own, rather than being a print in one tone."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from engines.base import Model, Setup
from engines.guard import GuardedEngine
from engines.onnxruntime import open_reference
from engines.tensors import F32, GraphSpec, InputSize, TensorSpec
from engines.weights import read_weights

SIDE = 112
"""Side in pixels of the square that pictures are squeezed to."""

INPUT, OUTPUT = "picture", "log_odds"
SHIPPED = Path(__file__).with_name("tone_network.onnx")

_GRAPH = GraphSpec(
    inputs=(TensorSpec(name=INPUT, channels=3, low=0.0, high=1.0),),
    outputs=(TensorSpec(name=OUTPUT, channels=1, divisor=SIDE),),
    size=InputSize(multiple=SIDE, film=SIDE, photo=SIDE, fixed=SIDE),
    max_batch=1,
)


class ToneNetwork:
    """An opened tone network, on the CPU in float32 and in one thread: the same everywhere, whatever else computes."""

    def __init__(self, path: Path = SHIPPED) -> None:
        """Open the ONNX file at ``path``. Raises `WeightsError` and the errors of ONNX Runtime's engine."""
        model = Model(read_weights(path), _GRAPH, lambda _: None, is_ours=True)
        self._engine = GuardedEngine(open_reference(model, Setup(threads=1)))

    def log_odds(self, picture: F32) -> float:
        """Return the log odds that ``picture``, upright sRGB (h, w, 3), 0..1, has colours of its own.

        The mean for the picture and its mirror image, which are equally likely.
        """
        squeezed = squeezed_for_tone(picture)[None]
        both = (self._engine.infer({INPUT: one})[OUTPUT] for one in (squeezed, squeezed[..., ::-1].copy()))
        return float(np.mean([one.item() for one in both]))


@cache
def tone_network() -> ToneNetwork:
    """Return the tone network of this installation, opened at the first call."""
    return ToneNetwork()


def squeezed_for_tone(picture: F32) -> F32:
    """Return ``picture`` (h, w, 3) as the network takes it, C-contiguous (3, 112, 112)."""
    by_area = min(picture.shape[:2]) > SIDE
    resized = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA if by_area else cv2.INTER_LINEAR)
    return np.ascontiguousarray(np.moveaxis(resized, -1, 0), np.float32)
