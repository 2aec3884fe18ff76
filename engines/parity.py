"""Before half precision is believed: its answers beside those of ONNX Runtime in float32."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from engines.base import F32, Engine
from engines.errors import EngineError
from engines.onnxruntime import open_onnxruntime
from engines.weights import Weights

# In units of a* and b*, over all probes. The float16 graph of the first generator is 0.005 and 0.05 from float32 in
# ONNX Runtime; a GPU rounds elsewhere, and where two colours are equally likely little decides.
MEAN_TOLERANCE = 0.25
MAX_TOLERANCE = 4.0


def require_parity(engine: Engine, weights: Weights) -> None:
    """Raise `EngineError` unless ``engine`` answers as ONNX Runtime does, on batches of several sizes and shapes.

    Raises also what ONNX Runtime raises when it opens ``weights`` or colours.
    """
    reference = open_onnxruntime(weights)
    try:
        differences = [_difference(engine, reference, probe) for probe in _probes(weights.multiple)]
    finally:
        reference.close()
    apart = np.concatenate(differences)
    mean, greatest = float(apart.mean()), float(apart.max())
    # Written so that a NaN is refused too.
    if not (mean <= MEAN_TOLERANCE and greatest <= MAX_TOLERANCE):
        raise EngineError(
            f"{engine.spec.name}: in {engine.spec.precision} its colours are {mean:.3f} from ONNX Runtime's on average "
            f"and {greatest:.2f} at most; {MEAN_TOLERANCE} and {MAX_TOLERANCE} are allowed",
            advice="Use --engine openvino or --engine onnxruntime, and report it.",
        )


def _difference(engine: Engine, reference: Engine, probe: F32) -> F32:
    answer, expected = engine.infer(probe), reference.infer(probe)
    if answer.shape != expected.shape:
        raise EngineError(f"{engine.spec.name}: the answer has shape {answer.shape}, not {expected.shape}")
    return np.asarray(np.abs(answer - expected).ravel(), np.float32)


def _probes(multiple: int) -> Iterator[F32]:
    """Yield made-up scenes: large shapes with edges and grain, of batches that are cut into pieces and that are not."""
    rng = np.random.default_rng(0)
    for count, height, width in ((1, 64, 64), (8, 192, 256), (3, 256, 160)):
        height, width = (-(-side // multiple) * multiple for side in (height, width))
        blocks = rng.uniform(5, 95, (count, 1, -(-height // 16), -(-width // 16))).repeat(16, axis=2).repeat(16, axis=3)
        scene = blocks[:, :, :height, :width] + rng.normal(0, 2, (count, 1, height, width))
        yield np.ascontiguousarray(scene.clip(0, 100), np.float32)
