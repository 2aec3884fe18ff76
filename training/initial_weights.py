"""Initial weights of a run: random, from ImageNet, another run's averages, or an exported network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from engines.errors import WeightsError
from training.architectures import Architecture
from training.architectures.blocks import BinClassifier
from training.architectures.coherent import GROWN, Coherent
from training.backbone import load_backbone
from training.cielab_numpy import rgb_to_lab
from training.config import ConfigError, TrainConfig
from training.data import Photos, middle_crop
from training.files import UNREADABLE
from training.onnx_import import load_exported

_SAME_NETWORK = "Start from a run of the same architecture; ImageNet weights go with --backbone."
_PROBES, _PROBE_BATCH, _PROBE_SIDE = 192, 16, 160


def build_network(
    config: TrainConfig, architecture: Architecture, backbone: Path | None
) -> tuple[nn.Module, tuple[str, ...]]:
    """Return the network, and the parts missing from the backbone. Raises `ConfigError` if the backbone is unused."""
    if backbone is not None and not architecture.encoder and not config.has_pretrained_discriminator:
        raise ConfigError(
            f"{config.name}: {config.architecture} has no encoder for {backbone}", advice="Leave out --backbone."
        )
    model = architecture.build()
    if backbone is None or not architecture.encoder:
        return model, ()
    return model, load_backbone(model.encoder, backbone)


def read_initial_weights(path: Path) -> dict[str, Tensor]:
    """Return the averaged weights in the checkpoint ``path``; empty for an export. Raises `WeightsError`."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such file to start from", advice="Name a checkpoint.pt or an .onnx file.")
    if path.suffix == ".onnx":
        return {}
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)["ema"]
    except UNREADABLE as error:
        raise WeightsError(
            f"{path}: not a checkpoint of a training run ({type(error).__name__})",
            advice="--start-from takes a run's checkpoint.pt or an export; ImageNet weights go with --backbone.",
        ) from error
    return weights


def check_initial_weights(model: nn.Module, start_from: Path) -> None:
    """Raise the errors of `load_initial_weights` that can be found without photographs; ``model`` may change."""
    weights = read_initial_weights(start_from)
    if start_from.suffix == ".onnx":
        _headed(model, start_from)
    else:
        _complete(model, _load(model, weights, start_from), start_from)


def load_initial_weights(model: nn.Module, start_from: Path, photos: Photos) -> None:
    """Load the weights of the checkpoint or export (``*.onnx``) ``start_from`` into ``model``.

    Only the additional parts of a `Coherent` may be missing; they start silent, and its coherence compares features
    unchanged. ``photos`` provide the statistics for an export's normalisations. Raises `WeightsError` for weights of
    another network.
    """
    weights = read_initial_weights(start_from)
    if start_from.suffix == ".onnx":
        missing = load_exported(_headed(model, start_from), start_from, _probes(photos))
    else:
        missing = _load(model, weights, start_from)
    _complete(model, missing, start_from)
    if isinstance(model, Coherent) and "coherence.project.weight" in missing:
        with torch.inference_mode():
            seen = torch.cat([model.eval().evidence(lightness) for lightness in _probes(photos)])
        model.coherence.compare_as_they_are(seen)


def _headed(model: nn.Module, start_from: Path) -> BinClassifier:
    if not isinstance(model, BinClassifier):
        raise WeightsError(f"{start_from}: only a network with a linear head over bins starts from an export")
    return model


def _complete(model: nn.Module, missing: set[str], start_from: Path) -> None:
    grown = frozenset[str]()
    if isinstance(model, Coherent):
        # A part that is present must be complete.
        there = {name.partition(".")[0] for name, _ in model.named_parameters() if name not in missing}
        grown = GROWN - there
    if lost := sorted(name for name in missing if name.partition(".")[0] not in grown):
        raise WeightsError(f"{start_from}: no weights for {', '.join(lost[:5])}", advice="Start from such a network.")


def _load(model: nn.Module, state: dict[str, Tensor], path: Path) -> set[str]:
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except (RuntimeError, AttributeError) as error:
        mismatches = [line.strip() for line in str(error).splitlines() if "size mismatch" in line]
        raise WeightsError(
            f"{path}: weights of another network: {(mismatches or [str(error)])[0]}", advice=_SAME_NETWORK
        ) from error
    if unexpected:
        raise WeightsError(f"{path}: weights of another network: {', '.join(unexpected[:5])}", advice=_SAME_NETWORK)
    return set(missing)


def _probes(photos: Photos) -> Iterator[Tensor]:
    """Yield L* (N, 1, 160, 160) of some photographs."""
    numbers = range(min(_PROBES, len(photos)))
    for first in range(0, len(numbers), _PROBE_BATCH):
        squares = np.stack([middle_crop(photos[n], _PROBE_SIDE) for n in numbers[first : first + _PROBE_BATCH]])
        yield torch.from_numpy(np.asarray(rgb_to_lab(squares)[..., 0], np.float32))[:, None]
