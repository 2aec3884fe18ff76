"""Check reduced precision or another device before use, by comparing colours with those of ONNX Runtime in float32."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np

from engines.adapters.base import Adapter
from engines.base import Engine, Model
from engines.errors import EngineError
from engines.onnxruntime import open_reference
from engines.tensors import F32
from engines.weights import Weights

logger = logging.getLogger(__name__)

# In units of a* and b*, over all probes: mean and maximum. The float16 graph of the first generator differs by 0.009
# and 0.07 from float32 in ONNX Runtime; a GPU rounds differently, and where two colours are equally likely small
# differences decide.
TOLERANCE = {"bf16": (0.5, 6.0)}
_USUAL_TOLERANCE = (0.25, 4.0)
_FOREIGN_SHARE = 0.999


def model_for(weights: Weights, adapter: Adapter) -> Model:
    """Return what engines open: ``weights`` as used by ``adapter``, with `require_parity` as their check."""
    model = Model(
        weights, adapter.graph, lambda engine: require_parity(engine, model, adapter), is_ours=adapter.is_ours
    )
    return model


def require_parity(engine: Engine, model: Model, adapter: Adapter) -> None:
    """Raise `EngineError` unless ``engine`` colours as ONNX Runtime does, on batches of several sizes and shapes.

    Also raises the errors of ONNX Runtime when it opens the weights or runs.
    """
    reference = open_reference(model)
    try:
        differences = [_difference(engine, reference, adapter, probe) for probe in probes(adapter)]
    finally:
        reference.close()
    apart = np.concatenate(differences)
    # For third-party networks it is unknown how far a single pixel jumps where two colours are equally likely.
    share = 1.0 if adapter.is_ours else _FOREIGN_SHARE
    mean, greatest = float(apart.mean()), float(np.quantile(apart, share))
    logger.info(
        "%s in %s on %s: %.3f from float32 on average, %.2f at most (%.1f %% of the picture)",
        engine.spec.name,
        engine.spec.precision,
        engine.spec.device,
        mean,
        greatest,
        100 * share,
    )
    allowed = TOLERANCE.get(engine.spec.precision, _USUAL_TOLERANCE)
    # Written so that NaN is rejected too.
    if not (mean <= allowed[0] and greatest <= allowed[1]):
        raise EngineError(
            f"{engine.spec.name}: in {engine.spec.precision} on {engine.spec.device} its colours are {mean:.3f} from "
            f"ONNX Runtime's on average and {greatest:.2f} at most ({share:.1%} of the picture); {allowed[0]} and "
            f"{allowed[1]} are allowed",
            advice="Use --engine openvino or --engine onnxruntime, and report it.",
        )


def _difference(engine: Engine, reference: Engine, adapter: Adapter, probe: F32) -> F32:
    inputs = adapter.prepare(probe, None)
    output, expected = (adapter.chroma(one.infer(inputs), inputs) for one in (engine, reference))
    if output.shape != expected.shape:
        raise EngineError(f"{engine.spec.name}: the output has shape {output.shape}, not {expected.shape}")
    return np.asarray(np.abs(output - expected).ravel(), np.float32)


def probes(adapter: Adapter) -> Iterator[F32]:
    """Yield synthetic scenes as L*: large shapes with edges and grain, in batches that get split and others."""
    size, most = adapter.graph.size, adapter.graph.max_batch
    rng = np.random.default_rng(0)
    shapes = ((1, 64, 64), (8, 192, 256), (3, 256, 160)) if adapter.is_ours else ((2, 256, 256),)
    for count, height, width in shapes:
        rows, columns = (size.rounded(side) for side in (height, width))
        yield scenes(rng, min(count, most), rows, columns)


def scenes(rng: np.random.Generator, count: int, height: int, width: int) -> F32:
    """Return ``count`` pictures of L* (N, 1, H, W): blocks of 16 pixels, each with its own grey, plus grain."""
    blocks = rng.uniform(5, 95, (count, 1, -(-height // 16), -(-width // 16))).repeat(16, axis=2).repeat(16, axis=3)
    grainy = blocks[:, :, :height, :width] + rng.normal(0, 2, (count, 1, height, width))
    return np.ascontiguousarray(grainy.clip(0, 100), np.float32)
