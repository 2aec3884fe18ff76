"""The adapter interface: the contract of a network's graph as data, and three small functions around it."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass

import numpy as np

from engines.decoding import confidence
from engines.errors import WeightsError
from engines.signature import Port
from engines.tensors import F32, GraphSpec, InputSize, Tensors
from engines.weights import Weights

# Hints have a quarter of the model input's size: (N, 3, H / 4, W / 4), a* and b* times the mask, then the mask, 0 or 1.
HINT_DIVISOR = 4
# Third-party networks are larger than ours, and so is the memory their batches need.
MAX_BATCH = 4


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a network provides besides its colours, on its own, coarser grid.

    ``logits`` (N, Q, h, w) over the colours ``centres`` (Q, 2), CIELAB a* and b*; ``features`` (N, C, h, w) of the
    picture's content, or None. If ``temperature`` is known, the network's colours are the annealed mean of the
    distributions at that temperature, times ``saturation``, with the chroma above ``knee`` compressed
    (`engines.decoding`).
    """

    logits: F32
    centres: F32
    features: F32 | None = None
    temperature: float | None = None
    saturation: float = 1.0
    knee: float | None = None

    def confidence(self) -> F32:
        """Return the network's confidence in its colours (N, 1, h, w), 0..1, see `engines.decoding.confidence`."""
        return confidence(self.logits)


@dataclass(frozen=True, kw_only=True)
class Adapter(ABC):
    """How to use one network: ``graph`` is what its engine runs, ``stride`` the factor by which its chroma is smaller.

    Adapters are frozen dataclasses whose fields hold JSON values, arrays, and dataclasses of these, so that
    `fingerprint` covers everything an adapter depends on. ``contract`` is the short name used in cards, ``network`` the
    name for people. ``takes_hints`` tells whether hints have an effect. ``is_ours`` is set for networks that were
    trained and evaluated for this program.
    """

    contract: str
    network: str
    graph: GraphSpec
    stride: int = 4
    takes_hints: bool = False
    is_ours: bool = False

    @abstractmethod
    def prepare(self, lightness: F32, hints: F32 | None) -> Tensors:
        """Return the network's inputs by name.

        ``lightness`` (N, 1, H, W) is CIELAB L*, 0..100, H and W as required by ``graph.size``; ``hints`` (N, 3, H / 4,
        W / 4) are a* and b* times the mask, then the mask, 0 or 1. They are None for networks that take no hints.
        """

    @abstractmethod
    def chroma(self, outputs: Tensors, inputs: Tensors) -> F32:
        """Return CIELAB a* and b* (N, 2, H / stride, W / stride) from the network's outputs and inputs."""

    def evidence(self, outputs: Tensors) -> Evidence | None:
        """Return what else the network provides, or None."""
        del outputs
        return None

    def fingerprint(self, weights: Weights) -> str:
        """Return the SHA-256 of everything that determines the colours of ``weights`` with this adapter.

        That is the ONNX file and the parts of its card that are used; other parts of the card, such as the licence, do
        not count. Raises `WeightsError` for an invalid card.
        """
        used = {"weights": weights.sha256, "adapter": asdict(self), "activations": weights.activations()}
        text = json.dumps(used, sort_keys=True, default=np.ndarray.tolist)
        return hashlib.sha256(text.encode()).hexdigest()


def foreign_graph_size(
    port: Port, weights: Weights, *, multiple: int, film: int, photo: int, square: bool
) -> InputSize:
    """Return the sizes that a third-party network takes, from the shape of its picture input (N, C, H, W).

    Raises `WeightsError` for a fixed input that is not square, or whose side the network cannot halve evenly, and for a
    fixed number of pictures other than one.
    """
    count, _, height, width = port.shape
    if count not in (None, 1):
        raise WeightsError(
            f"{weights.path}: was exported for exactly {count} pictures at once",
            advice="Export it for one picture, or for any number.",
        )
    if height is None and width is None:
        return InputSize(multiple=multiple, film=film, photo=photo, square=square)
    if height is None or height != width or height % multiple:
        raise WeightsError(
            f"{weights.path}: takes pictures of {height or 'any'} x {width or 'any'} pixels alone",
            advice=f"Export it for squares of a multiple of {multiple}, or for any size.",
        )
    return InputSize(multiple=multiple, film=height, photo=height, square=True, fixed=height)


def batch_of(port: Port) -> int:
    """Return the batch size for a third-party network."""
    return MAX_BATCH if port.shape[0] is None else 1


def reduced(planes: F32, factor: int) -> F32:
    """Downscale planes (N, C, H, W) by ``factor``, averaging."""
    count, channels, height, width = planes.shape
    blocks = planes.reshape(count, channels, height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(3, 5)), np.float32)
