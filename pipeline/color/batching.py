"""The only place that forms batches and restores the order afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from engines.network import Network, Prediction
from pipeline.color.model_input import ModelInput
from pipeline.color.spaces import F32, lightness


def predict(pictures: Sequence[ModelInput], network: Network, hints: Sequence[F32] | None = None) -> list[F32]:
    """Return the network's ab (2, h / stride, w / stride) for each of ``pictures``; see `examine`."""
    return [one.ab[0] for one in examine(pictures, network, hints)]


def examine(pictures: Sequence[ModelInput], network: Network, hints: Sequence[F32] | None = None) -> list[Prediction]:
    """Return the network's full prediction for each of ``pictures``, in order, as batches of one.

    Pictures of one shape share batches of up to the network's largest. ``hints`` has one for each picture, see
    `engines.network.Network.predict`.
    """
    by_shape: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, picture in enumerate(pictures):
        by_shape[picture.luma.shape].append(number)
    found: dict[int, Prediction] = {}
    for numbers in by_shape.values():
        for start in range(0, len(numbers), network.spec.max_batch):
            batch = numbers[start : start + network.spec.max_batch]
            luma = np.stack([pictures[number].luma for number in batch])
            beside = None if hints is None else np.stack([hints[number] for number in batch])
            found.update(zip(batch, network.predict(lightness(luma[:, None]), beside).each(), strict=True))
    return [found[number] for number in range(len(pictures))]
