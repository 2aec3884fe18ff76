"""Start training from an exported network: ONNX weights, with batch normalisation unfolded again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper
from torch import Tensor, nn

from engines.errors import WeightsError
from engines.weights import read_weights
from training.architectures.blocks import BinClassifier

_PREFIX = "model."


def load_exported(model: BinClassifier, path: Path, probes: Iterable[Tensor]) -> set[str]:
    """Load the weights of the export ``path``, its card beside it, into ``model``; return what is missing and kept.

    A convolution gets the weights that its batch normalisation was folded into. The normalisation gets mean and
    variance of the convolution's output on ``probes``, batches of L* (N, 1, H, W), and the scale and shift that undo
    them: in evaluation mode the network's output equals the export's, and in training nearly so. Raises `WeightsError`
    if the file is not an export of such a network.
    """
    weights = read_weights(path)
    try:
        graph = onnx.load_from_string(weights.read()).graph
    except DecodeError as error:
        raise WeightsError(f"{path}: not an ONNX file: {error}") from error
    found = dict(_parameter(one) for one in graph.initializer)
    found |= _scalars(weights.card)
    with torch.no_grad():
        _load_head(model.head, found, path, weights.card)
        biases, missing = _load_body(model, found, path)
        _measure(model, biases, probes)
    return missing


def _parameter(weight: onnx.TensorProto) -> tuple[str, Tensor]:
    """Return the trained network's name for an exported tensor, and its values; see `training.onnx_graph.to_onnx`."""
    name = weight.name.removesuffix(".half").removeprefix(_PREFIX)
    value = torch.from_numpy(numpy_helper.to_array(weight).copy())
    return (name.removesuffix(".T"), value.T) if name.endswith(".T") else (name, value)


def _scalars(card: dict[str, object]) -> dict[str, Tensor]:
    """Return the trained network's scalars, of which an exporter stores equal ones only once."""
    stated = card.get("scalars", {})
    assert isinstance(stated, dict)
    return {name: torch.tensor([float(value)]) for name, value in stated.items()}


def _load_head(head: nn.Conv2d, found: dict[str, Tensor], path: Path, card: dict[str, object]) -> None:
    """Load the head unchanged; an export of ab alone holds it transposed and divided by the temperature."""
    if "head.weight" in found and "head.bias" in found and head.bias is not None:
        head.weight.copy_(found["head.weight"])
        head.bias.copy_(found["head.bias"])
        return
    shape = (head.out_channels, head.in_channels)
    # Exports made before transposed matrices had names have exactly one of this shape.
    matrices = [found["weight"]] if "weight" in found else [value.T for value in found.values() if value.ndim == 2]
    matrices = [matrix for matrix in matrices if matrix.shape == shape]
    if len(matrices) != 1 or "bias" not in found or head.bias is None:
        raise WeightsError(f"{path}: no head of {shape[1]} features and {shape[0]} colours in it")
    divided = card.get("temperature")
    if not isinstance(divided, int | float):
        raise WeightsError(f"{path}: its card names no temperature")
    head.weight.copy_(matrices[0][:, :, None, None] * divided)
    head.bias.copy_(found["bias"] * divided)


def _load_body(model: nn.Module, found: dict[str, Tensor], path: Path) -> tuple[dict[nn.BatchNorm2d, Tensor], set[str]]:
    """Copy everything in the export except the head.

    Return the bias folded into each batch normalisation's convolution, and what is missing.
    """
    folded = dict(_normalised(model))
    biases: dict[nn.BatchNorm2d, Tensor] = {}
    missing = set()
    for name, parameter in model.named_parameters():
        if name.startswith("head.") or isinstance(_owner(model, name), nn.BatchNorm2d):
            continue
        if name not in found:
            missing.add(name)
            continue
        if found[name].shape != parameter.shape:
            raise WeightsError(f"{path}: {name} is {tuple(found[name].shape)}, not {tuple(parameter.shape)}")
        parameter.copy_(found[name])
        convolution = name.removesuffix(".weight")
        if convolution in folded:
            biases[folded[convolution]] = found[f"{name}_bias"]
    for name, _ in model.named_parameters():
        owner = _owner(model, name)
        if isinstance(owner, nn.BatchNorm2d) and owner not in biases:
            missing.add(name)
    return biases, missing


def _owner(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name.rpartition(".")[0])


def _normalised(model: nn.Module) -> Iterable[tuple[str, nn.BatchNorm2d]]:
    """Yield every convolution's name with the batch normalisation that follows it."""
    modules = dict(model.named_modules())
    for name, module in modules.items():
        if not isinstance(module, nn.Conv2d):
            continue
        parent, _, last = name.rpartition(".")
        after = (
            re.sub(r"^conv", "bn", last) if last.startswith("conv") else str(int(last) + 1) if last.isdigit() else ""
        )
        follower = modules.get(f"{parent}.{after}" if parent else after)
        if isinstance(follower, nn.BatchNorm2d):
            yield name, follower


def _measure(model: nn.Module, biases: dict[nn.BatchNorm2d, Tensor], probes: Iterable[Tensor]) -> None:
    """Set every normalisation to the statistics of its input on ``probes`` when each only adds its ``biases``."""
    sums: dict[nn.BatchNorm2d, list[Tensor]] = {norm: [] for norm in biases}

    def note(norm: nn.BatchNorm2d, _: nn.Module, inputs: tuple[Tensor]) -> None:
        seen = inputs[0].double()
        sums[norm].append(torch.stack([seen.mean(dim=(0, 2, 3)), seen.square().mean(dim=(0, 2, 3))]))

    for norm, bias in biases.items():
        _set(norm, mean=torch.zeros_like(bias), variance=torch.ones_like(bias) - norm.eps, bias=bias)
    handles = [norm.register_forward_pre_hook(partial(note, norm)) for norm in biases]
    model.eval()
    try:
        for lightness in probes:
            model(lightness)
    finally:
        for handle in handles:
            handle.remove()
    for norm, bias in biases.items():
        mean, square = torch.stack(sums[norm]).mean(dim=0)
        _set(norm, mean=mean.float(), variance=(square - mean.square()).clamp(min=0).float(), bias=bias)


def _set(norm: nn.BatchNorm2d, *, mean: Tensor, variance: Tensor, bias: Tensor) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.copy_(mean + bias)
