"""Convert ImageNet weights from torchvision, timm or Keras into the encoders' own files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from engines.errors import MissingDependencyError, WeightsError
from training.architectures.encoders import (
    GREY_MEAN,
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    VGG16Encoder,
    WholeResNet18Encoder,
)
from training.files import UNREADABLE, check_output, replacing

_VGG16_PLACES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_KERAS_VGG16 = tuple(
    f"block{block}_conv{number}"
    for block, (_, count) in enumerate(VGG16Encoder.BLOCKS, 1)
    for number in range(1, count + 1)
)
_FIRST_BLOCK = {"0.weight": (64, 3, 3, 3), "2.weight": (64, 64, 3, 3)}
_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Backbone:
    """The result of `convert_backbone`: the encoder, the source of the file, and the tensors that were left out."""

    path: Path
    encoder: Literal["resnet18", "vgg16"]
    origin: Literal["torchvision", "keras"]
    lacking: tuple[str, ...]
    """Stages or convolutions missing from the file; they are initialised randomly."""
    ignored: tuple[str, ...]


def convert_backbone(source: Path, output: Path | None = None) -> Backbone:
    """Write the encoder's part of ``source`` as ``output`` (safetensors, half precision), for ``train --backbone``.

    The default ``output`` is ``resnet18.safetensors`` or ``vgg16.safetensors`` in the current folder.

    ``source`` is a PyTorch state dict (.pth, .pt, .bin) or safetensors with torchvision's names, which timm uses too,
    of ResNet-18 or VGG-16; or Keras's VGG-16 (.h5, .keras, .weights.h5). The classifier is left out. A file may stop
    early, at ResNet-18's layer3 or within VGG-16's last two blocks; nothing else of the encoder may be missing.
    torchvision's VGG-16 expects 0..1 minus mean over deviation; its first convolution is adapted to the encoder's
    input. Raises `WeightsError` for any other file, `MissingDependencyError` without h5py for Keras's, `WriteError`.
    """
    if not source.is_file():
        raise WeightsError(
            f"{source}: no such file", advice="Name torchvision's, timm's or Keras's file of ResNet-18 or VGG-16."
        )
    if output is not None and output.suffix != ".safetensors":
        raise WeightsError(f"{output}: the name must end in .safetensors")
    keras = _is_keras(source)
    tensors = _read_keras(source) if keras else _read_torch(source)
    model: WholeResNet18Encoder | VGG16Encoder
    if not keras and _is_resnet18(tensors):
        encoder: Literal["resnet18", "vgg16"] = "resnet18"
        model = WholeResNet18Encoder()
        parts = dict(model.named_children())
        own = {name: name for name in tensors if name.partition(".")[0] in parts}
    else:
        encoder = "vgg16"
        model = VGG16Encoder()
        places = _keras_places(tensors) if keras else {name.removeprefix("features."): name for name in tensors}
        own = {name: places[name] for name in model.state_dict() if name in places}
        if any(name not in own or tensors[own[name]].shape != shape for name, shape in _FIRST_BLOCK.items()):
            raise WeightsError(
                f"{source}: neither ResNet-18 nor VGG-16 with torchvision's, timm's or Keras's names",
                advice=f"It holds {', '.join(sorted(tensors)[:4]) or 'nothing'}. VGG-16 with batch normalisation and "
                "larger ResNets have no encoder here.",
            )
    kept = {name: tensors[theirs] for name, theirs in own.items() if not name.endswith("num_batches_tracked")}
    try:
        lacking = model.load_imagenet(kept)
    except WeightsError as error:
        raise WeightsError(
            f"{source}: begins like {encoder}, but is {error}",
            advice="Give a whole file, or one that ends with ResNet-18's layer3 or within VGG-16's last two blocks.",
        ) from error
    if "0.weight" in kept and not keras and any(name.startswith("features.") for name in tensors):
        kept |= _for_grey(kept["0.weight"].float(), kept["0.bias"].float())
    output = output or Path(f"{encoder}.safetensors")
    check_output(output, [source])
    with replacing(output) as partial:
        save_file({name: value.half().contiguous() for name, value in kept.items()}, partial)
    ignored = tuple(sorted(tensors.keys() - set(own.values())))
    return Backbone(output, encoder, "keras" if keras else "torchvision", lacking, ignored)


def load_backbone(encoder: Any, path: Path) -> tuple[str, ...]:
    """Load the weights at ``path`` into ``encoder``, one of `training.architectures.encoders`; return what is missing.

    Raises `WeightsError` for a file that cannot be read, and for weights of another encoder.
    """
    weights = read_backbone(path)
    try:
        lacking: tuple[str, ...] = encoder.load_imagenet(weights)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}", advice=error.advice) from error
    return lacking


def read_backbone(path: Path) -> dict[str, Tensor]:
    """Return the tensors in a file written by `convert_backbone`. Raises `WeightsError`."""
    advice = "Make one of torchvision's, timm's or Keras's file with: colorize-model backbone FILE."
    if not path.is_file():
        raise WeightsError(f"{path}: no such file", advice=advice)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: not a readable backbone (safetensors): {error}", advice=advice) from error


def _is_resnet18(tensors: Mapping[str, Tensor]) -> bool:
    if not {"conv1.weight", "layer1.0.conv1.weight"} <= tensors.keys():
        return False
    # ResNet-34 has more blocks, ResNet-50 a third convolution in each.
    return "layer1.2.conv1.weight" not in tensors and "layer1.0.conv3.weight" not in tensors


def _for_grey(weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """Return torchvision's first convolution for an input of 0..255 minus 114.8 in every channel."""
    deviation, mean = torch.tensor(IMAGENET_DEVIATION), torch.tensor(IMAGENET_MEAN)
    return {
        "0.weight": weight / (255 * deviation).view(1, 3, 1, 1),
        "0.bias": bias + weight.sum(dim=(2, 3)) @ ((GREY_MEAN / 255 - mean) / deviation),
    }


def _read_torch(source: Path) -> dict[str, Tensor]:
    try:
        if source.suffix == ".safetensors":
            return load_file(source)
        state: Any = torch.load(source, map_location="cpu", weights_only=True)
    except (*UNREADABLE, SafetensorError) as error:
        raise WeightsError(
            f"{source}: not a readable weights file ({type(error).__name__})",
            advice="Give a state dict (.pth, .safetensors) or Keras's weights (.h5, .keras).",
        ) from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not any(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{source}: holds no state dict", advice="Save one with torch.save(model.state_dict(), ...)")
    return {str(name).removeprefix("module."): one for name, one in state.items() if isinstance(one, Tensor)}


def _is_keras(source: Path) -> bool:
    try:
        with source.open("rb") as file:
            if file.read(8) == _HDF5:
                return True
        return zipfile.is_zipfile(source) and "model.weights.h5" in zipfile.ZipFile(source).namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{source}: cannot be read: {error}") from error


def _read_keras(source: Path) -> dict[str, Tensor]:
    """Return the tensors in a Keras file by their paths in it, kernels in torch's order of axes."""
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError(
            f"{source}: reading Keras's files needs h5py", advice="Install it: pip install h5py"
        ) from error
    content: Path | BinaryIO = source
    if zipfile.is_zipfile(source):
        content = BytesIO(zipfile.ZipFile(source).read("model.weights.h5"))
    try:
        with h5py.File(content, "r") as file:
            arrays = dict(_datasets(file, ""))
    except OSError as error:
        raise WeightsError(f"{source}: a damaged Keras file: {error}") from error
    return {
        path: torch.from_numpy(np.array(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array))
        for path, array in arrays.items()
        if np.issubdtype(array.dtype, np.number)
    }


def _keras_places(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the paths of VGG-16's convolutions by their names in torchvision's ``features``."""
    found = {}
    for order, (place, name) in enumerate(zip(_VGG16_PLACES, _KERAS_VGG16, strict=True)):
        # Keras 3 discards names: the layers are conv2d, conv2d_1, ... in order.
        anonymous = f"layers/conv2d{f'_{order}' if order else ''}/"
        for path, tensor in tensors.items():
            if name in path.split("/") or path.startswith((anonymous, f"layers/{name}/")):
                found[f"{place}.{'weight' if tensor.ndim == 4 else 'bias'}"] = path
    return found


def _datasets(group: Any, path: str) -> Iterator[tuple[str, np.ndarray[Any, np.dtype[Any]]]]:
    for name, value in group.items():
        if hasattr(value, "items"):
            yield from _datasets(value, f"{path}{name}/")
        else:
            yield f"{path}{name}", np.asarray(value)
