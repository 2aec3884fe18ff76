"""Score a network given some true colours as hints: ``python -m training.hint_scores MODEL SET``.

Points are drawn uniformly over the picture, the same for every network; each gives the truth's mean a* and b* at one
position of the hints' grid, a quarter of the model input. All else is as in `docs/evaluation.md`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from engines.adapters.base import HINT_DIVISOR
from engines.errors import EngineError
from engines.network import Network
from engines.tensors import F32
from training.cielab_numpy import F64, lab_to_rgb, rgb_to_lab
from training.evaluate import EvaluationSet, find_set, network_input, open_model
from training.metrics import ciede2000

POINTS = (0, 1, 5, 10, 50)


def hint_scores(network: Network, pictures: EvaluationSet, *, size: int, points: Sequence[int]) -> dict[int, float]:
    """Return mean CIEDE2000 over ``pictures`` for every number of ``points``. Raises `EngineError` without hints."""
    if not network.spec.takes_hints:
        raise EngineError(f"{network.spec.model}: this network has not learned what hints mean")
    errors = dict.fromkeys(points, 0.0)
    for number in range(len(pictures.truths)):
        lab = rgb_to_lab(pictures.truth(number))
        lightness = network_input(np.asarray(lab[..., 0], np.float32), size=size, multiple=network.spec.size.multiple)
        rows, columns = (side // HINT_DIVISOR for side in lightness.shape)
        truth = cv2.resize(np.asarray(lab[..., 1:], np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
        places = np.random.default_rng(number).permutation(rows * columns)
        for count in points:
            hints = _hints(np.asarray(truth, np.float32), places[:count])
            ab = network.predict(np.ascontiguousarray(lightness[None, None]), hints[None]).ab[0]
            errors[count] += _error(ab, lab) / len(pictures.truths)
    return errors


def _hints(truth: F32, places: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> F32:
    """Return hints (3, h, w): the true ab (h, w, 2) at ``places``, numbered along rows, and the mask."""
    mask = np.zeros(truth.shape[:2], np.float32)
    mask.flat[places] = 1
    return np.ascontiguousarray(np.concatenate([truth.transpose(2, 0, 1) * mask, mask[None]]))


def _error(ab: F32, lab: F64) -> float:
    height, width = lab.shape[:2]
    enlarged = cv2.resize(ab.transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_LINEAR)
    coloured = lab_to_rgb(np.concatenate([lab[..., :1], enlarged], axis=-1))
    return float(ciede2000(rgb_to_lab(coloured), lab).mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: print a row of a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m training.hint_scores", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("model", help="exported model, or a checkpoint (*.pt)")
    add("set", type=Path, help="evaluation folder")
    add("--points", type=int, nargs="+", default=POINTS)
    add("--size", type=int, default=256)
    add("--temperature", type=float, default=0.4, help="of a checkpoint")
    add("--saturation", type=float, default=1.0, help="of a checkpoint")
    args = parser.parse_args(arguments)
    network, _ = open_model(args.model, engine="auto", temperature=args.temperature, saturation=args.saturation)
    try:
        scores = hint_scores(network, find_set(args.set), size=args.size, points=args.points)
    finally:
        network.close()
    sys.stdout.write(f"points {' / '.join(map(str, scores))}: {' / '.join(f'{one:.2f}' for one in scores.values())}\n")


if __name__ == "__main__":
    main()
