"""The generators, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn

from training.architectures.resnet18_bins import ResNet18Bins

ARCHITECTURES: Mapping[str, Callable[[int], nn.Module]] = MappingProxyType({"resnet18-bins": ResNet18Bins})
