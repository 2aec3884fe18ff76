"""Export networks with random weights as ONNX files like those that users have."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn


def randomised(network: nn.Module, *, seed: int = 0) -> nn.Module:
    """Return ``network`` in evaluation mode with seeded weights, and statistics as if it had been trained."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_uniform_(parameter, nonlinearity="relu")
    return network.eval().requires_grad_(False)


def export(
    network: nn.Module,
    path: Path,
    *,
    channels: Sequence[int],
    inputs: Sequence[str] = ("input",),
    outputs: Sequence[str] = ("output",),
    side: int = 64,
    dynamic: bool = True,
    batch: bool = False,
    opset: int = 17,
) -> Path:
    """Write ``network`` as ONNX by PyTorch's own exporter; ``dynamic`` leaves height and width open, ``batch`` N."""
    kind = next(network.parameters()).dtype
    examples = tuple(torch.rand(1, one, side, side).to(kind) * 50 for one in channels)
    free = {**({0: "batch"} if batch else {}), **({2: "height", 3: "width"} if dynamic else {})}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            examples,
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=dict.fromkeys((*inputs, *outputs), free),
            opset_version=opset,
            dynamo=False,
        )
    return path
