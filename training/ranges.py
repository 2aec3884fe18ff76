"""How large a network's activations become: what its card tells an engine that computes in INT8 (`engines.int8`).

``python -m training.ranges WEIGHTS.onnx --photos DIR`` measures them for weights that were exported before, and puts
them into their card; ``colorize-model export`` does it by itself.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from engines.adapters import autochrome2
from engines.adapters.autochrome1 import INPUT
from engines.adapters.base import HINT_DIVISOR
from engines.errors import AutochromeError
from engines.int8 import layers
from engines.tensors import F32
from engines.weights import read_weights
from training.card import ACTIVATIONS, write_card
from training.cielab import rgb_to_lab
from training.data import Photos
from training.evaluate import network_input
from training.photo_zips import open_photos

_PHOTOS = 100
# Sizes of model inputs, short sides: that of films and that of photographs.
_SIZES = (160, 256)
_HINTED, _STRONGEST = 0.05, 60.0
# Of a hundred photographs' extremes ten are beyond it, and cut: levels go to what is usual.
_SHARE = 0.9


def activation_ranges(content: bytes, photos: Photos, *, bins: int, count: int = _PHOTOS) -> dict[str, list[float]]:
    """Return the least and greatest input of every layer that can be computed in INT8, by the name of its weights.

    ``content`` is the ONNX file of a network of our second contract, run on ``count`` of ``photos``, half of them with
    hints. Layers that answer with ``bins`` channels, the classifier, are left out: little decides between two colours.
    """
    import openvino

    core = openvino.Core()
    graph = core.read_model(content)
    chosen = [layer for layer in layers(graph) if layer.outputs != bins]
    # Several layers may have one input.
    inputs = {layer.name: min(layer.node.input_value(0).get_names()) for layer in chosen}
    graph.add_outputs(sorted(set(inputs.values())))
    compiled = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for feeds in _feeds(photos, count):
        answer = compiled(feeds)
        for name, tensor in inputs.items():
            found[name].append((float(answer[tensor].min()), float(answer[tensor].max())))
    return {name: [_usual(spans, 0, -1), _usual(spans, 1, 1)] for name, spans in found.items()}


def _usual(spans: Sequence[tuple[float, float]], side: int, sign: int) -> float:
    reach = sign * np.quantile([sign * span[side] for span in spans], _SHARE)
    return float(f"{reach:.4g}") + 0.0


def _feeds(photos: Photos, count: int) -> Iterator[dict[str, F32]]:
    rng = np.random.default_rng(0)
    for turn, number in enumerate(range(0, len(photos), max(1, len(photos) // count))):
        lightness = np.asarray(rgb_to_lab(photos[number])[..., 0], np.float32)
        seen = network_input(lightness, size=_SIZES[turn % len(_SIZES)], multiple=32)[None, None]
        hints = np.zeros((1, 3, *(side // HINT_DIVISOR for side in seen.shape[2:])), np.float32)
        if turn // len(_SIZES) % 2:
            hints[:, 2] = rng.random(hints.shape[2:]) < _HINTED
            hints[:, :2] = rng.uniform(-_STRONGEST, _STRONGEST, hints[:, :2].shape) * hints[:, 2:]
        yield {INPUT: seen, autochrome2.HINTS: hints}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.ranges", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--photos", type=Path, required=True, help="photo cache, or folder of zip files with an index")
    asked = parser.parse_args(arguments)
    try:
        weights = read_weights(asked.weights)
        bins = len(autochrome2.centres_of(weights))
        ranges = activation_ranges(weights.read(), open_photos(asked.photos), bins=bins)
        write_card(weights.path, {**weights.card, ACTIVATIONS: ranges})
    except AutochromeError as error:
        sys.stderr.write(f"Error: {error}\n{error.advice}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
