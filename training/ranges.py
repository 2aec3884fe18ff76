"""The ranges of a network's activations, stated in its card for engines that compute in INT8 (`engines.int8`).

``python -m training.ranges WEIGHTS.onnx --photos DIR`` measures them for exported weights and adds them to their card;
``colorize-model export`` does so itself if photographs are available.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from engines import optional
from engines.adapters import autochrome2
from engines.adapters.autochrome1 import INPUT
from engines.adapters.base import HINT_DIVISOR
from engines.int8 import layers
from engines.openvino import leave_signal_stack
from engines.tensors import F32
from engines.weights import read_weights
from training.card import ACTIVATIONS, write_card
from training.cielab_numpy import rgb_to_lab
from training.commands import command
from training.data import Photos
from training.evaluate import network_input
from training.photo_zips import open_photos

_PHOTOS = 100
# Short sides of model inputs in pixels, for films and for photographs.
_SIZES = (160, 256)
# Share of the positions with hints, and the largest a* or b* there.
_HINTED, _STRONGEST = 0.05, 60.0
# Share of the photographs whose extremes the range includes; values beyond are clipped, so that the usual ones are
# finer.
_SHARE = 0.9


def activation_ranges(content: bytes, photos: Photos, *, bins: int, count: int = _PHOTOS) -> dict[str, list[float]]:
    """Return the minimum and maximum input of every layer to compute in INT8, by the name of its weights.

    ``content`` is an ONNX file of the contract ``autochrome-2``. It runs in OpenVINO, in float32 on the CPU, on at most
    ``count`` of ``photos``, half of them with hints. Layers with ``bins`` output channels, the classifier's, are left
    out: small errors there change which colour is chosen. Raises `MissingDependencyError` without OpenVINO.
    """
    core = optional.openvino().Core()
    graph = core.read_model(content)
    chosen = [layer for layer in layers(graph) if layer.outputs != bins]
    # Several layers may share one input.
    inputs = {layer.name: min(layer.node.input_value(0).get_names()) for layer in chosen}
    graph.add_outputs(sorted(set(inputs.values())))
    compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for feeds in _feeds(photos, count):
        output = compiled(feeds)
        leave_signal_stack()
        for name, tensor in inputs.items():
            found[name].append((float(output[tensor].min()), float(output[tensor].max())))
    return {name: _usual(spans) for name, spans in found.items()}


def _usual(spans: Sequence[tuple[float, float]]) -> list[float]:
    least, greatest = np.transpose(spans)
    usual = np.quantile(least, 1 - _SHARE), np.quantile(greatest, _SHARE)
    return [float(f"{reach:.4g}") for reach in usual]


def _feeds(photos: Photos, count: int) -> Iterator[dict[str, F32]]:
    rng = np.random.default_rng(0)
    for turn, number in enumerate(range(0, len(photos), max(1, len(photos) // count))[:count]):
        lightness = np.asarray(rgb_to_lab(photos[number])[..., 0], np.float32)
        seen = network_input(lightness, size=_SIZES[turn % len(_SIZES)], multiple=32)[None, None]
        hints = np.zeros((1, 3, *(side // HINT_DIVISOR for side in seen.shape[2:])), np.float32)
        if turn // len(_SIZES) % 2:
            hints[:, 2] = rng.random(hints.shape[2:]) < _HINTED
            hints[:, :2] = rng.uniform(-_STRONGEST, _STRONGEST, hints[:, :2].shape) * hints[:, 2:]
        yield {INPUT: seen, autochrome2.HINTS: hints}


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.ranges", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--photos", type=Path, required=True, help="photo cache, or folder of zip files with an index")
    args = parser.parse_args(arguments)
    weights = read_weights(args.weights)
    bins = len(autochrome2.centres_of(weights))
    ranges = activation_ranges(weights.read(), open_photos(args.photos), bins=bins)
    write_card(weights.path, {**weights.card, ACTIVATIONS: ranges})


if __name__ == "__main__":
    raise SystemExit(main())
