"""Inputs and outputs of an ONNX graph, as read by ONNX Runtime; the package onnx is not needed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engines import optional
from engines.errors import WeightsError
from engines.weights import Weights

_TYPES = {"tensor(float)": "float32", "tensor(float16)": "float16"}


@dataclass(frozen=True)
class Port:
    """An input or output of a graph: its shape, None where dynamic, and its NumPy dtype name."""

    name: str
    shape: tuple[int | None, ...]
    type: str = "float32"

    def is_picture(self, *channels: int) -> bool:
        """Return whether this is a float tensor (N, C, H, W) with C one of ``channels``."""
        return len(self.shape) == 4 and self.type in ("float32", "float16") and self.shape[1] in channels

    @property
    def is_half(self) -> bool:
        """Whether its values are float16."""
        return self.type == "float16"

    def __str__(self) -> str:
        return f"{self.name} ({', '.join('any' if side is None else str(side) for side in self.shape)}) {self.type}"


@dataclass(frozen=True)
class Signature:
    """All inputs and outputs of a graph, in order."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    def one_to_one(self, taken: int, returned: int) -> tuple[Port, Port] | None:
        """Return the only input and the only output, if they are pictures with so many channels."""
        if len(self.inputs) != 1 or len(self.outputs) != 1:
            return None
        (picture,), (output,) = self.inputs, self.outputs
        return (picture, output) if picture.is_picture(taken) and output.is_picture(returned) else None

    def __str__(self) -> str:
        return f"it takes {'; '.join(map(str, self.inputs))} and returns {'; '.join(map(str, self.outputs))}"


def signature(weights: Weights) -> Signature:
    """Return the signature in the card of ``weights``, or else the one that ONNX Runtime finds in the graph.

    Raises `WeightsError` for a file that is not an ONNX graph or an invalid card, `MissingDependencyError` if ONNX
    Runtime is needed and does not import.
    """
    stated = weights.card.get("graph")
    return _inspected(weights) if stated is None else _from_card(stated, weights)


def as_card(found: Signature) -> dict[str, object]:
    """Return the card's entry ``graph`` for a signature, read back by `signature`."""
    return {
        side: [{"name": one.name, "shape": list(one.shape), "type": one.type} for one in ports]
        for side, ports in (("inputs", found.inputs), ("outputs", found.outputs))
    }


def require_ports(inputs: Sequence[str], outputs: Sequence[str], expected: Signature | Any, weights: Weights) -> None:
    """Raise `WeightsError` unless a graph has exactly the inputs, and at least the outputs, of ``expected``.

    ``expected`` is anything whose ``inputs`` and ``outputs`` have names, such as an `engines.tensors.GraphSpec`.
    """
    wanted_in, wanted_out = [one.name for one in expected.inputs], [one.name for one in expected.outputs]
    if sorted(inputs) != sorted(wanted_in) or not set(wanted_out) <= set(outputs):
        raise WeightsError(
            f"{weights.path}: the graph takes {', '.join(inputs)} and returns {', '.join(outputs)}, "
            f"not {', '.join(wanted_in)} and {', '.join(wanted_out)}",
            advice="Use weights exported for Autochrome, or correct what their card says of the graph.",
        )


def uses(content: bytes, name: str) -> set[str]:
    """Return the operators in an ONNX file whose nodes read the value ``name``, directly or cast to another type.

    Parses only the few fields of ``ModelProto`` needed, see onnx.proto: graph 7, its nodes 1, of these inputs 1,
    outputs 2 and operator 4. A truncated file gives nothing.
    """
    nodes = [
        (
            set(map(bytes, _fields(node, 1))),
            set(map(bytes, _fields(node, 2))),
            b"".join(_fields(node, 4)).decode(errors="replace"),
        )
        for graph in _fields(memoryview(content), 7)
        for node in _fields(graph, 1)
    ]
    names, known = {name.encode()}, 0
    while len(names) > known:
        known = len(names)
        names.update(*(outputs for inputs, outputs, operator in nodes if operator == "Cast" and inputs & names))
    return {operator for inputs, _, operator in nodes if operator != "Cast" and inputs & names}


def _fields(message: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the length-delimited fields ``number`` of a protobuf message."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 2:
            size, at = _varint(message, at)
            if key >> 3 == number and at + size <= len(message):
                yield message[at : at + size]
            at += size
        elif kind == 0:
            _, at = _varint(message, at)
        else:
            at += {1: 8, 5: 4}.get(kind, len(message))


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message):
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, at


def _inspected(weights: Weights) -> Signature:
    onnxruntime = optional.onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Nothing will run: reading the graph needs no optimisation.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(weights.read(), options, providers=["CPUExecutionProvider"])
    except failures() as error:
        state = onnxruntime.capi.onnxruntime_pybind11_state
        if isinstance(error, state.InvalidProtobuf | state.InvalidArgument):
            raise WeightsError(
                f"{weights.path}: is not a readable ONNX graph: {reason(error)}",
                advice="It is damaged, cut short or something else: download or export it again.",
            ) from error
        raise WeightsError(
            f"{weights.path}: ONNX Runtime cannot run this graph: {reason(error)}",
            advice="Export it again, in float32 or float16, with ONNX's own operators, for opset 17.",
        ) from error
    return Signature(tuple(map(_port, session.get_inputs())), tuple(map(_port, session.get_outputs())))


def _port(found: Any) -> Port:
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in found.shape)
    return Port(found.name, shape, _TYPES.get(found.type, found.type))


def _from_card(stated: object, weights: Weights) -> Signature:
    try:
        return Signature(*(tuple(map(_stated_port, stated[side])) for side in ("inputs", "outputs")))  # type: ignore[index]
    except (TypeError, KeyError, ValueError) as error:
        raise WeightsError(
            f"{weights.card_path}: 'graph' does not describe the inputs and outputs of the network: {error!r}",
            advice="Add the weights again: colorize-model add FILE.",
        ) from error


def _stated_port(stated: dict[str, Any]) -> Port:
    shape = tuple(None if side is None else int(side) for side in stated["shape"])
    return Port(str(stated["name"]), shape, str(stated["type"]))


def failures() -> tuple[type[Exception], ...]:
    """Return the exceptions of ONNX Runtime, which have no base class of their own. Imports it."""
    state = optional.onnxruntime().capi.onnxruntime_pybind11_state
    return (
        state.EPFail,
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoModel,
        state.NotImplemented,
        state.RuntimeException,
        RuntimeError,
    )


def reason(error: Exception) -> str:
    """Return what ONNX Runtime says in an error, without its code and the place in its source."""
    text = re.sub(r"^.*\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip(), flags=re.DOTALL)
    return re.sub(r"^\S+:\d+ .*\) (?=[A-Z])", "", text)
