"""Convert a trained network to an ONNX graph: traced, with named half-precision weights, without source locations."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.export import Dim

from engines.adapters import autochrome2
from engines.adapters.autochrome1 import CONTRACT, INPUT, OUTPUT
from engines.adapters.base import HINT_DIVISOR
from training.checkpoint import EvidenceGenerator, Generator

OPSET = 18
_SMALLEST_HALVED = 1024


@dataclass(frozen=True)
class Graph:
    """Inputs and outputs of an exported graph by name, and how much smaller each is than the lightness."""

    contract: str
    multiple: int
    inputs: Mapping[str, int]
    outputs: Mapping[str, int]

    @property
    def gives_evidence(self) -> bool:
        """Whether it outputs more than ab."""
        return len(self.outputs) > 1


def graph_of(generator: Generator, *, multiple: int, stride: int) -> Graph:
    """Return the graph as which ``generator`` is exported."""
    if isinstance(generator, EvidenceGenerator):
        outputs = {OUTPUT: stride, autochrome2.LOGITS: 2 * stride, autochrome2.FEATURES: 2 * stride}
        return Graph(autochrome2.CONTRACT, multiple, {INPUT: 1, autochrome2.HINTS: HINT_DIVISOR}, outputs)
    return Graph(CONTRACT, multiple, {INPUT: 1}, {OUTPUT: stride})


def to_onnx(generator: Generator, graph: Graph) -> bytes:
    """Return ``generator`` as a self-contained ONNX graph with float16 weights.

    Inputs and outputs are float32; batch, height and width are dynamic. Batch normalisation is folded into the
    convolutions. Weights are cast to float32 on loading, so that the file is half as large and every runtime can choose
    its precision. They keep the names of the trained network's parameters, with ``.T`` where they are transposed.
    """
    model = _traced(generator, graph)
    stated = {**graph.inputs, **graph.outputs}
    for value in (*model.graph.input, *model.graph.output):
        by = "" if stated[value.name] == 1 else f"/{stated[value.name]}"
        names = ("batch", None, f"height{by}", f"width{by}")
        for dim, dim_name in zip(value.type.tensor_type.shape.dim, names, strict=True):
            if dim_name is not None:
                dim.dim_param = dim_name
    _name_weights(model, generator)
    return _finished(model)


def to_fixed_onnx(network: nn.Module, example: Tensor, *, takes: str, returns: str) -> bytes:
    """Return ``network`` as in `to_onnx`, with one input ``takes`` of the shape of ``example`` and one output."""
    return _finished(_exported(network, (example,), [takes], [returns]))


def _finished(model: onnx.ModelProto) -> bytes:
    """Return the file of ``model``, with float16 weights and without the exporter's notes."""
    _halve_weights(model)
    _forget_origins(model)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _traced(generator: Generator, graph: Graph) -> onnx.ModelProto:
    example = [torch.full((2, 1, 2 * graph.multiple, 3 * graph.multiple), 50.0)]
    rows, columns = Dim("rows"), Dim("columns")
    free: dict[str, dict[int, object]] = {}
    for name, divisor in graph.inputs.items():
        scale = graph.multiple // divisor
        free[name] = {0: Dim("batch"), 2: scale * rows, 3: scale * columns}
        if name != INPUT:
            example.append(torch.zeros(2, 3, 2 * scale, 3 * scale))
    return _exported(generator, tuple(example), list(graph.inputs), list(graph.outputs), free)


def _exported(
    network: nn.Module,
    example: tuple[Tensor, ...],
    takes: list[str],
    returns: list[str],
    free: dict[str, dict[int, object]] | None = None,
) -> onnx.ModelProto:
    """Return ``network`` as traced with the inputs ``example``; ``free`` are the axes of any length, by input."""
    with _quiet():
        program = torch.onnx.export(
            network,
            example,
            input_names=takes,
            output_names=returns,
            opset_version=OPSET,
            dynamic_shapes=free,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


def _name_weights(model: onnx.ModelProto, generator: Generator) -> None:
    """Name constants that are a transposed matrix of the network, for `training.onnx_import`."""
    matrices = {value.T.numpy().tobytes(): name for name, value in generator.state_dict().items() if value.ndim == 2}
    named = {one.name for one in model.graph.initializer}
    for weight in model.graph.initializer:
        name = f"{matrices.get(numpy_helper.to_array(weight).tobytes(), weight.name)}.T"
        if weight.name.startswith("val_") and name.removesuffix(".T") != weight.name and name not in named:
            _rename(model, weight, name)


def _rename(model: onnx.ModelProto, weight: onnx.TensorProto, name: str) -> None:
    for node in model.graph.node:
        for place, source in enumerate(node.input):
            if source == weight.name:
                node.input[place] = name
    weight.name = name


@contextmanager
def _quiet() -> Iterator[None]:
    # The exporter reports on packages that are neither installed nor needed.
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _halve_weights(model: onnx.ModelProto) -> None:
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < _SMALLEST_HALVED:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _forget_origins(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes on where nodes came from, which include source paths."""
    graph = model.graph
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""
