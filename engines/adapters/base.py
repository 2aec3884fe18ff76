"""What an adapter is: the contract of a network's graph as data, and three small functions around it."""

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

# Hints come at a quarter of the model input: (N, 3, H / 4, W / 4), a* and b* times the mask, then the mask, 0 or 1.
HINT_DIVISOR = 4
# Networks of other people are larger than ours, and their batches take memory accordingly.
MAX_BATCH = 4


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a network knows beside its colours, on a grid of its own, smaller than theirs.

    ``logits`` (N, Q, h, w) over the colours ``centres`` (Q, 2), CIELAB a* and b*; ``features`` (N, C, h, w) of the
    picture's content, or None. Where ``temperature`` is known, the network's colours are the annealed mean of the
    distributions at it, times ``saturation``, with the chroma above ``knee`` compressed (`engines.decoding`).
    """

    logits: F32
    centres: F32
    features: F32 | None = None
    temperature: float | None = None
    saturation: float = 1.0
    knee: float | None = None

    def confidence(self) -> F32:
        """Return how sure the network is of its colours (N, 1, h, w), 0..1, see `engines.decoding.confidence`."""
        return confidence(self.logits)


@dataclass(frozen=True, kw_only=True)
class Adapter(ABC):
    """How to use one network: ``graph`` is what its engine runs, ``stride`` how much smaller its chroma is.

    Adapters are frozen dataclasses, whose fields hold values as JSON has them, arrays, and dataclasses of these: so
    `fingerprint` covers all that an adapter goes by. ``contract`` is the short name that cards use, ``network`` the
    name for people. ``takes_hints`` says whether hints make a difference. ``is_ours`` is for networks that were trained
    and measured for this program.
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

        ``lightness`` (N, 1, H, W) is CIELAB L*, 0..100, H and W as ``graph.size`` wants them; ``hints``
        (N, 3, H / 4, W / 4) are a* and b* times the mask, then the mask, 0 or 1. Networks that take none are given
        None.
        """

    @abstractmethod
    def chroma(self, outputs: Tensors, inputs: Tensors) -> F32:
        """Return CIELAB a* and b* (N, 2, H / stride, W / stride) for the network's outputs, and what it was given."""

    def evidence(self, outputs: Tensors) -> Evidence | None:
        """Return what else the network knows, None if it tells nothing."""
        del outputs
        return None

    def fingerprint(self, weights: Weights) -> str:
        """Return the SHA-256 of all that decides the colours of ``weights`` under this adapter.

        That is the ONNX file and whatever their card says that is used; a card's other words, such as the licence, do
        not count. Raises `WeightsError` for a card that is broken.
        """
        used = {"weights": weights.sha256, "adapter": asdict(self), "activations": weights.activations()}
        text = json.dumps(used, sort_keys=True, default=np.ndarray.tolist)
        return hashlib.sha256(text.encode()).hexdigest()


def foreign_graph_size(
    port: Port, weights: Weights, *, multiple: int, film: int, photo: int, square: bool
) -> InputSize:
    """Return the sizes that a network of other people takes, from the shape of its picture input (N, C, H, W).

    Raises `WeightsError` for a fixed input that is not square, or of a side that the network cannot halve evenly, and
    for a fixed number of pictures beyond one.
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
    """Return how many pictures at once a network of other people is given."""
    return MAX_BATCH if port.shape[0] is None else 1


def reduced(planes: F32, factor: int) -> F32:
    """Return planes (N, C, H, W) at 1 / ``factor`` of their size, averaged."""
    count, channels, height, width = planes.shape
    blocks = planes.reshape(count, channels, height // factor, factor, width // factor, factor)
    return np.asarray(blocks.mean(axis=(3, 5)), np.float32)
