"""Use a training checkpoint for colouring: the averaged weights, decoded to ab."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.adapters.autochrome1 import CONTRACT, FILM, PHOTO
from engines.adapters.base import HINT_DIVISOR
from engines.decoding import KNEE_SLOPE
from engines.errors import EngineError, WeightsError
from engines.network import NetworkSpec, Prediction
from engines.tensors import F32, InputSize
from training.architectures import ARCHITECTURES, Architecture
from training.architectures.blocks import BinClassifier, double
from training.architectures.coherent import Coherent
from training.cielab_torch import rgb_to_lab
from training.config import ConfigError, TrainConfig, read_config
from training.files import UNREADABLE, reason, replacing
from training.quantization import ab_bins

REFERENCE_CHROMA = 10.0
"""Mean chroma of a picture, before saturation, at which adaptation leaves colours unchanged."""
GAINS = (0.7, 1.5)
"""Minimum and maximum factor of adaptation."""

_MAX_BATCH = 16
_LEAST = 1e-4


@dataclass(frozen=True)
class Decoding:
    """How colours are chosen from a network's output."""

    temperature: float | None = None
    """Temperature of the annealed mean (Zhang 2016, equation 5): below 1 it favours the likeliest colours. None: the
    network outputs colours, not bins."""
    saturation: float = 1.0
    """Factor on a* and b*, because any mean of colours is paler than they are."""
    adaptation: float = 0.0
    """How far pale pictures, for which the network is unsure, get more of it, and vivid ones less, 0..1."""
    knee: float | None = None
    """Chroma in CIELAB units above which it is compressed, see `engines.decoding.compressed`. None: no compression."""


@dataclass(frozen=True)
class Trained:
    """A network from a checkpoint: averaged weights in evaluation mode, after ``step`` steps of ``config``."""

    path: Path
    sha256: str
    config: TrainConfig
    step: int
    model: nn.Module
    made_from: dict[str, Any] | None = None
    """See `training.origins.origins`; None: not known."""

    @property
    def architecture(self) -> Architecture:
        """The architecture of the network."""
        return ARCHITECTURES[self.config.architecture]


def load_trained(path: Path) -> Trained:
    """Read a checkpoint of `training.train.train`. Raises `WeightsError` if it is not one of this version's."""
    advice = "Name what a training run wrote: RUN/checkpoint.pt."
    if not path.is_file():
        raise WeightsError(f"{path}: no such file", advice=advice)
    try:
        content = path.read_bytes()
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        config = read_config(state["config"], where=str(path))
        model = ARCHITECTURES[config.architecture].build()
        model.load_state_dict(state["ema"])
        step, made_from = int(state["step"]), state.get("made_from")
    except (*UNREADABLE, ConfigError) as error:
        why = str(error) if isinstance(error, ConfigError) else reason(error)
        raise WeightsError(f"{path}: not a usable training checkpoint ({why})", advice=advice) from error
    model.eval().requires_grad_(False)
    sha256 = hashlib.sha256(content).hexdigest()
    return Trained(path=path, sha256=sha256, config=config, step=step, model=model, made_from=made_from)


def keep_weights(checkpoint: Path, output: Path) -> Path:
    """Write the checkpoint's part needed to evaluate, export or start from it: no optimiser, half-precision weights."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    averaged = {name: value.half() if value.ndim > 1 else value for name, value in state["ema"].items()}
    kept = {name: state.get(name) for name in ("config", "step", "made_from")}
    save_state({**kept, "ema": averaged}, output)
    return output


def save_state(state: Mapping[str, Any], output: Path) -> None:
    """Write the content of a checkpoint atomically, replacing an existing file."""
    with replacing(output) as partial:
        torch.save(dict(state), partial)


class Generator(nn.Module):
    """L* (N, 1, H, W), 0..100, to ab (N, 2, H / stride, W / stride), whatever the architecture outputs.

    H and W are multiples of the architecture's ``multiple``. Colours are chosen according to ``decoding``.
    """

    colours: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, trained: Trained, decoding: Decoding) -> None:
        """Colour with ``trained``. Raises `WeightsError` if it outputs bins and there is no temperature."""
        super().__init__()
        self.model, self.decoding = trained.model, decoding
        self._rgb = trained.architecture.rgb
        bins = trained.architecture.bins
        if bins is not None:
            if decoding.temperature is None:
                raise WeightsError(f"{trained.path}: {trained.config.architecture} needs a temperature")
            assert isinstance(trained.model, BinClassifier)
            head = trained.model.head
            assert head.bias is not None
            self.register_buffer("weight", head.weight.flatten(1) / decoding.temperature)
            self.register_buffer("bias", head.bias / decoding.temperature)
            self.register_buffer("colours", ab_bins(bins).centres * decoding.saturation)

    def forward(self, lightness: Tensor) -> Tensor:
        """Return a* and b*."""
        if not isinstance(self.model, BinClassifier):
            output: Tensor = self.model(lightness)
            ab = rgb_to_lab(output)[:, 1:] if self._rgb else output
            return self.compressed(self.adapted(ab * self.decoding.saturation))
        return self.decode(self.model.features(lightness))

    def decode(self, features: Tensor) -> Tensor:
        """Return a* and b* for the input of the head."""
        # With the bins last, runtimes sum over adjacent memory: it saves OpenVINO a fifth of its total time.
        shares = F.softmax(F.linear(features.permute(0, 2, 3, 1), self.weight, self.bias), dim=-1)
        return self.compressed(self.adapted((shares @ self.colours).permute(0, 3, 1, 2)))

    def adapted(self, ab: Tensor) -> Tensor:
        """Return ``ab`` (N, 2, h, w) with the chroma of pale pictures raised and that of vivid ones lowered.

        The factor is (r / m) to the power of ``adaptation``, where m is the picture's mean chroma and r the reference,
        both including saturation, limited to `GAINS`.
        """
        if not self.decoding.adaptation:
            return ab
        mean = _chroma(ab).mean(dim=(2, 3), keepdim=True)
        gain = (REFERENCE_CHROMA * self.decoding.saturation / mean) ** self.decoding.adaptation
        return ab * gain.clamp(*GAINS)

    def compressed(self, ab: Tensor) -> Tensor:
        """Return ``ab`` (N, 2, h, w) with its chroma compressed above the decoding's knee."""
        if self.decoding.knee is None:
            return ab
        chroma = _chroma(ab)
        excess = (chroma - self.decoding.knee).clamp(min=0)
        return ab * (1 - (1 - KNEE_SLOPE) * excess / chroma)


class EvidenceGenerator(Generator):
    """A `Generator` for a `Coherent`: it takes hints, and also outputs its evidence."""

    def forward(self, lightness: Tensor, hints: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]  # it takes hints too
        """Return a* and b* and, at half their size, each position's own logits and its features.

        They are ab (N, 2, H / 4, W / 4), logits (N, Q, H / 8, W / 8) whose softmax gives the probabilities of the bins,
        and unit vectors (N, 64, H / 8, W / 8). ``hints`` are those of `training.architectures.coherent.Hints`.
        """
        model = self.model
        assert isinstance(model, Coherent)
        evidence = model.evidence(lightness, hints)
        places, vectors, change = model.coherence.averaged(evidence, lightness)
        return self.decode(evidence + double(change)), model.head(places), vectors


def _chroma(ab: Tensor) -> Tensor:
    return (ab.square().sum(dim=1, keepdim=True) + _LEAST).sqrt()


def generator_for(trained: Trained, decoding: Decoding) -> Generator:
    """Return the `Generator` of ``trained`` with the most outputs. Raises `WeightsError`, see there."""
    kind = EvidenceGenerator if isinstance(trained.model, Coherent) else Generator
    return kind(trained, decoding)


class CheckpointEngine:
    """An `engines.network.Network` that runs a checkpoint in torch and float32, for evaluation during training."""

    def __init__(self, path: Path, *, temperature: float, saturation: float, device: str = "cpu") -> None:
        """Load the checkpoint at ``path``. Raises `WeightsError`."""
        trained = load_trained(path)
        architecture = trained.architecture
        generator = generator_for(trained, Decoding(temperature, saturation))
        self._device = torch.device(device)
        self._generator: nn.Module | None = generator.eval().to(self._device)
        decoding = f"T {temperature:g}, " if architecture.bins else ""
        self._spec = NetworkSpec(
            engine="checkpoint",
            runtime=f"torch {torch.__version__}",
            device=device,
            precision="f32",
            model=f"{trained.config.name}, step {trained.step}, {decoding}saturation {saturation:g}",
            weights_sha256=trained.sha256,
            fingerprint=trained.sha256,
            licence="",
            contract=CONTRACT,
            size=InputSize(multiple=architecture.multiple, film=FILM, photo=PHOTO),
            stride=architecture.stride,
            max_batch=_MAX_BATCH,
            takes_hints=isinstance(generator, EvidenceGenerator),
        )

    @property
    def spec(self) -> NetworkSpec:
        """What it takes, and what it is."""
        return self._spec

    @torch.inference_mode()
    def predict(self, lightness: F32, hints: F32 | None = None) -> Prediction:
        """Return the chroma of a batch, see `engines.network.Network`; hints only if the network takes them."""
        if self._generator is None:
            raise EngineError("checkpoint: was closed")
        if hints is not None and not self._spec.takes_hints:
            raise EngineError("checkpoint: takes no hints")
        seen = torch.from_numpy(lightness).to(self._device)
        if self._spec.takes_hints:
            count, _, height, width = seen.shape
            no_hints = seen.new_zeros(count, 3, height // HINT_DIVISOR, width // HINT_DIVISOR)
            output = self._generator(seen, no_hints if hints is None else torch.from_numpy(hints).to(self._device))[0]
        else:
            output = self._generator(seen)
        return Prediction(np.asarray(output.cpu().numpy(), np.float32))

    def close(self) -> None:
        """Release the network."""
        self._generator = None
