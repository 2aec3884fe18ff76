"""ONNX operators as PyTorch calls: one table, with the meaning that each has from opset 13 on.

Every operator takes its inputs in ONNX's order, None for one left out, and its attributes by name.
See https://onnx.ai/onnx/operators/ for what each must do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor

from engines.errors import EngineError

Attributes = dict[str, Any]
Inputs = Sequence[Any]
Operator = Callable[[Inputs, Attributes], Tensor]


def _integers(values: Tensor) -> list[int]:
    return [int(value) for value in values.flatten().tolist()]


def _refuse(operator: str, what: str) -> EngineError:
    return EngineError(
        f"the torch engine cannot run {operator} with {what}", advice="Use --engine openvino or --engine onnxruntime."
    )


def _pads(operator: str, attributes: Attributes) -> tuple[int, int, int, int]:
    """Return padding as (left, right, top, bottom), which is how `torch.nn.functional.pad` wants it."""
    kind = attributes.get("auto_pad", b"NOTSET")
    if kind not in (b"NOTSET", b"VALID"):
        raise _refuse(operator, f"auto_pad {kind.decode()}")
    if len(attributes.get("kernel_shape", (0, 0))) != 2:
        raise _refuse(operator, "other than two dimensions")
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    return left, right, top, bottom


def _conv(inputs: Inputs, attributes: Attributes) -> Tensor:
    left, right, top, bottom = _pads("Conv", attributes)
    even = (left, top) == (right, bottom)
    return F.conv2d(
        inputs[0] if even else F.pad(inputs[0], (left, right, top, bottom)),
        inputs[1],
        inputs[2] if len(inputs) > 2 else None,
        stride=attributes.get("strides", 1),
        padding=(top, left) if even else 0,
        dilation=attributes.get("dilations", 1),
        groups=attributes.get("group", 1),
    )


def _conv_transpose(inputs: Inputs, attributes: Attributes) -> Tensor:
    left, right, top, bottom = _pads("ConvTranspose", attributes)
    if (left, top) != (right, bottom) or "output_shape" in attributes:
        raise _refuse("ConvTranspose", "uneven padding")
    return F.conv_transpose2d(
        inputs[0],
        inputs[1],
        inputs[2] if len(inputs) > 2 else None,
        stride=attributes.get("strides", 1),
        padding=(top, left),
        output_padding=attributes.get("output_padding", 0),
        dilation=attributes.get("dilations", 1),
        groups=attributes.get("group", 1),
    )


def _max_pool(inputs: Inputs, attributes: Attributes) -> Tensor:
    if attributes.get("ceil_mode", 0):
        raise _refuse("MaxPool", "ceil_mode")
    padded = F.pad(inputs[0], _pads("MaxPool", attributes), value=-math.inf)
    return F.max_pool2d(
        padded,
        attributes["kernel_shape"],
        attributes.get("strides", 1),
        dilation=attributes.get("dilations", 1),
    )


def _average_pool(inputs: Inputs, attributes: Attributes) -> Tensor:
    left, right, top, bottom = _pads("AveragePool", attributes)
    if (left, top) != (right, bottom) or attributes.get("ceil_mode", 0) or "dilations" in attributes:
        raise _refuse("AveragePool", "uneven padding, ceil_mode or dilations")
    return F.avg_pool2d(
        inputs[0],
        attributes["kernel_shape"],
        attributes.get("strides", 1),
        (top, left),
        count_include_pad=bool(attributes.get("count_include_pad", 0)),
    )


def _resize(inputs: Inputs, attributes: Attributes) -> Tensor:
    mode = attributes.get("mode", b"nearest")
    place = attributes.get("coordinate_transformation_mode", b"half_pixel")
    rounding = attributes.get("nearest_mode", b"round_prefer_floor")
    linear = (mode, place) in ((b"linear", b"half_pixel"), (b"linear", b"pytorch_half_pixel"))
    nearest = (mode, place, rounding) == (b"nearest", b"asymmetric", b"floor")
    if not (linear or nearest) or attributes.get("antialias", 0) or "axes" in attributes:
        raise _refuse("Resize", f"mode {mode.decode()}, {place.decode()}, {rounding.decode()}")
    picture = inputs[0]
    if len(inputs) > 3 and inputs[3] is not None:
        size = _integers(inputs[3])
    else:
        exact = [side * scale for side, scale in zip(picture.shape, inputs[2].tolist(), strict=True)]
        size = [round(side) for side in exact]
        # ONNX places samples by the scale as given, PyTorch by the ratio of the sizes: one only if no side is cut off.
        if any(abs(side - whole) > 1e-3 for side, whole in zip(exact, size, strict=True)):
            raise _refuse("Resize", f"scales that give broken sizes {exact}")
    if tuple(size[:2]) != tuple(picture.shape[:2]):
        raise _refuse("Resize", "a change of batch or channels")
    if nearest:
        return F.interpolate(picture, size=size[2:], mode="nearest")
    return F.interpolate(picture, size=size[2:], mode="bilinear", align_corners=False)


def _batch_normalization(inputs: Inputs, attributes: Attributes) -> Tensor:
    picture, scale, shift, mean, variance = inputs
    return F.batch_norm(picture, mean, variance, scale, shift, training=False, eps=attributes.get("epsilon", 1e-5))


def _gemm(inputs: Inputs, attributes: Attributes) -> Tensor:
    left = inputs[0].T if attributes.get("transA", 0) else inputs[0]
    right = inputs[1].T if attributes.get("transB", 0) else inputs[1]
    product: Tensor = attributes.get("alpha", 1.0) * (left @ right)
    if len(inputs) > 2 and inputs[2] is not None:
        product = product + attributes.get("beta", 1.0) * inputs[2]
    return product


def _layer_normalization(inputs: Inputs, attributes: Attributes) -> Tensor:
    source, scale, shift = (*inputs, None)[:3]
    shape = list(source.shape[attributes.get("axis", -1) :])
    # Scale and shift may be smaller than what they are applied to; PyTorch wants them whole.
    even: Tensor = F.layer_norm(source, shape, eps=attributes.get("epsilon", 1e-5)) * scale
    return even if shift is None else even + shift


def _reduce_mean(inputs: Inputs, attributes: Attributes) -> Tensor:
    # The axes moved from an attribute to an input in opset 18.
    axes = _integers(inputs[1]) if len(inputs) > 1 and inputs[1] is not None else attributes.get("axes", [])
    picture: Tensor = inputs[0]
    if not axes:
        if attributes.get("noop_with_empty_axes", 0):
            return picture
        axes = list(range(picture.ndim))
    return picture.mean(dim=axes, keepdim=bool(attributes.get("keepdims", 1)))


def _clip(inputs: Inputs, _: Attributes) -> Tensor:
    lowest, highest = (*inputs[1:], None, None)[:2]
    if lowest is None and highest is None:
        return torch.as_tensor(inputs[0])
    return torch.clamp(
        inputs[0], None if lowest is None else lowest.item(), None if highest is None else highest.item()
    )


def _constant(_: Inputs, attributes: Attributes) -> Tensor:
    (name, value), *_rest = attributes.items()
    if name == "value":
        return torch.from_numpy(np.array(numpy_helper.to_array(value)))
    if name not in ("value_float", "value_floats", "value_int", "value_ints"):
        raise _refuse("Constant", name)
    return torch.tensor(value, dtype=torch.float32 if "float" in name else torch.int64)


def _cast(inputs: Inputs, attributes: Attributes) -> Tensor:
    kind = onnx.helper.tensor_dtype_to_np_dtype(attributes["to"])
    return torch.as_tensor(inputs[0]).to(torch.from_numpy(np.empty(0, kind)).dtype)


def _shape(inputs: Inputs, attributes: Attributes) -> Tensor:
    return torch.tensor(inputs[0].shape[attributes.get("start", 0) : attributes.get("end")], dtype=torch.int64)


def _gather(inputs: Inputs, attributes: Attributes) -> Tensor:
    source, places = inputs
    axis = attributes.get("axis", 0) % source.ndim
    size = source.shape[axis]
    chosen = torch.where(places < 0, places + size, places).to(source.device)
    picked: Tensor = source.index_select(axis, chosen.flatten())
    return picked.reshape((*source.shape[:axis], *places.shape, *source.shape[axis + 1 :]))


def _slice(inputs: Inputs, _: Attributes) -> Tensor:
    source, starts, ends = inputs[0], _integers(inputs[1]), _integers(inputs[2])
    axes = _integers(inputs[3]) if len(inputs) > 3 and inputs[3] is not None else range(len(starts))
    steps = _integers(inputs[4]) if len(inputs) > 4 and inputs[4] is not None else [1] * len(starts)
    if min(steps) < 1:
        raise _refuse("Slice", "negative steps")
    cut = [slice(None)] * source.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        cut[axis] = slice(start, end, step)
    return torch.as_tensor(source[tuple(cut)])


def _squeeze(inputs: Inputs, _: Attributes) -> Tensor:
    source: Tensor = inputs[0]
    if len(inputs) < 2 or inputs[1] is None:
        return source.squeeze()
    return source.squeeze(tuple(_integers(inputs[1])))


def _unsqueeze(inputs: Inputs, _: Attributes) -> Tensor:
    source: Tensor = inputs[0]
    axes = _integers(inputs[1])
    for axis in sorted(axis % (source.ndim + len(axes)) for axis in axes):
        source = source.unsqueeze(axis)
    return source


def _reshape(inputs: Inputs, attributes: Attributes) -> Tensor:
    source: Tensor = inputs[0]
    shape = _integers(inputs[1])
    if not attributes.get("allowzero", 0):
        shape = [source.shape[axis] if side == 0 else side for axis, side in enumerate(shape)]
    return source.reshape(shape)


def _flatten(inputs: Inputs, attributes: Attributes) -> Tensor:
    source: Tensor = inputs[0]
    axis = attributes.get("axis", 1)
    return source.reshape(math.prod(source.shape[:axis]), -1)


def _transpose(inputs: Inputs, attributes: Attributes) -> Tensor:
    source: Tensor = inputs[0]
    return source.permute(attributes.get("perm", list(range(source.ndim))[::-1]))


def _divide(inputs: Inputs, _: Attributes) -> Tensor:
    # Whole numbers divide as in C; shapes, the only ones here, are positive.
    whole = not inputs[0].is_floating_point()
    return torch.div(inputs[0], inputs[1], rounding_mode="trunc" if whole else None)


OPERATORS: dict[str, Operator] = {
    "Add": lambda i, _: i[0] + i[1],
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda i, a: torch.cat(list(i), dim=a["axis"]),
    "Constant": _constant,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Div": _divide,
    "Exp": lambda i, _: torch.exp(i[0]),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda i, _: i[0].mean(dim=(2, 3), keepdim=True),
    "Identity": lambda i, _: i[0],
    "LayerNormalization": _layer_normalization,
    "LeakyRelu": lambda i, a: F.leaky_relu(i[0], a.get("alpha", 0.01)),
    "MatMul": lambda i, _: i[0] @ i[1],
    "MaxPool": _max_pool,
    "Mul": lambda i, _: i[0] * i[1],
    "ReduceMean": _reduce_mean,
    "Relu": lambda i, _: F.relu(i[0]),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _shape,
    "Sigmoid": lambda i, _: torch.sigmoid(i[0]),
    "Slice": _slice,
    "Softmax": lambda i, a: F.softmax(i[0], dim=a.get("axis", -1)),
    "Squeeze": _squeeze,
    "Sub": lambda i, _: i[0] - i[1],
    "Tanh": lambda i, _: torch.tanh(i[0]),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
