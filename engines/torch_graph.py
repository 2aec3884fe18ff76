"""An ONNX graph that PyTorch runs: constants folded once, every value dropped after its last use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper
from torch import Tensor

from engines.base import F32
from engines.errors import EngineError
from engines.torch_ops import OPERATORS, Attributes, Operator

_OLDEST_OPSET = 13
_NUMBERS = {"Clip", "Resize"}


@dataclass(frozen=True)
class _Step:
    operator: Operator
    attributes: Attributes
    inputs: tuple[str, ...]
    output: str
    finished: tuple[str, ...] = ()


class TorchGraph:
    """An ONNX graph on one device, in the precision of its types.

    Integer values, which are shapes and indices, stay on the CPU, and so do numbers that PyTorch takes as such: the
    scales of a Resize, the bounds of a Clip. So nothing waits for a GPU, and what runs there can be recorded.
    """

    def __init__(self, content: bytes, device: torch.device) -> None:
        """Read the ONNX file ``content``.

        Raises `EngineError` for a file that is not ONNX, one older than opset 13, and an operator not in the table.
        """
        try:
            model = onnx.load_from_string(content)
        except DecodeError as error:
            raise EngineError(f"the weights are not an ONNX file: {error}", advice="Export them again.") from error
        _require_opset(model)
        self.device = device
        self._numbers = {name for node in model.graph.node if node.op_type in _NUMBERS for name in node.input[1:]}
        self._constants = {
            one.name: self._place(one.name, torch.from_numpy(np.array(numpy_helper.to_array(one))))
            for one in model.graph.initializer
        }
        self.inputs = tuple(one.name for one in model.graph.input if one.name not in self._constants)
        self.outputs = tuple(one.name for one in model.graph.output)
        with torch.inference_mode():
            self._steps = self._drop_early(self._fold(model.graph.node))

    def run(self, feeds: dict[str, F32]) -> dict[str, F32]:
        """Return the outputs by name for the inputs by name. Raises `RuntimeError` where PyTorch does."""
        answers = self.forward({name: torch.from_numpy(np.array(array)) for name, array in feeds.items()})
        return {name: answer.cpu().numpy() for name, answer in answers.items()}

    def forward(self, feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the outputs by name, on the graph's device, for the inputs by name. Raises `RuntimeError`."""
        values = {**self._constants, **{name: self._place(name, tensor) for name, tensor in feeds.items()}}
        # TF32 keeps 10 bits of each factor; a reference needs them all.
        strict = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), strict:
            for step in self._steps:
                values[step.output] = _apply(step, values)
                for name in step.finished:
                    del values[name]
        return {name: values[name] for name in self.outputs}

    def _place(self, name: str, tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point() or name in self._numbers:
            return tensor
        # Tensor cores want channels last; a CPU is told nothing, and answers as it always did.
        kind = torch.channels_last if self.device.type == "cuda" and tensor.ndim == 4 else torch.preserve_format
        return tensor.to(self.device, memory_format=kind)

    def _fold(self, nodes: Iterable[onnx.NodeProto]) -> list[_Step]:
        steps = []
        for node in nodes:
            step = _step(node)
            if all(name in self._constants for name in step.inputs if name):
                self._constants[step.output] = self._place(step.output, _apply(step, self._constants))
            else:
                steps.append(step)
        used = {name for step in steps for name in step.inputs} | set(self.outputs)
        self._constants = {name: value for name, value in self._constants.items() if name in used}
        return steps

    def _drop_early(self, steps: list[_Step]) -> list[_Step]:
        needed = {*self._constants, *self.outputs, ""}
        backwards = []
        for step in reversed(steps):
            last_used = {*step.inputs, step.output} - needed
            needed |= last_used
            backwards.append(_Step(step.operator, step.attributes, step.inputs, step.output, tuple(sorted(last_used))))
        return backwards[::-1]


def _require_opset(model: onnx.ModelProto) -> None:
    versions = {one.domain: one.version for one in model.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    if version < _OLDEST_OPSET:
        raise EngineError(
            f"the weights use ONNX opset {version}, and the torch engine reads {_OLDEST_OPSET} and newer",
            advice="Export them again with a newer opset.",
        )


def _step(node: onnx.NodeProto) -> _Step:
    operator = OPERATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if operator is None or len(node.output) != 1:
        full = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise EngineError(
            f"the torch engine has no operator {full} with {len(node.output)} outputs (node {node.name!r})",
            advice="Use --engine openvino or --engine onnxruntime.",
        )
    attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    return _Step(operator, attributes, tuple(node.input), node.output[0])


def _apply(step: _Step, values: dict[str, Tensor]) -> Tensor:
    return step.operator([values[name] if name else None for name in step.inputs], step.attributes)
