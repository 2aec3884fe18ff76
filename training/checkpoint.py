"""A training checkpoint as something that colours: the averaged weights, decoded to ab."""

from __future__ import annotations

import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.base import F32, EngineSpec
from engines.errors import EngineError, WeightsError
from training.architectures import ARCHITECTURES
from training.config import TrainConfig
from training.quantization import AbBins

MULTIPLE = 32
STRIDE = 4
_MAX_BATCH = 16


@dataclass(frozen=True)
class Trained:
    """A network as a checkpoint holds it: averaged weights in evaluation mode, after ``step`` steps of ``config``."""

    path: Path
    sha256: str
    config: TrainConfig
    step: int
    model: nn.Module


def load_trained(path: Path) -> Trained:
    """Read a checkpoint of `training.train.train`. Raises `WeightsError` if it is not one of this version's."""
    try:
        content = path.read_bytes()
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        config = TrainConfig(**state["config"])
        model = ARCHITECTURES[config.architecture](len(AbBins()))
        model.load_state_dict(state["ema"])
        step = int(state["step"])
    except (OSError, EOFError, pickle.UnpicklingError, KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{path}: not a training checkpoint that can be used: {error!r}") from error
    model.eval().requires_grad_(False)
    return Trained(path=path, sha256=hashlib.sha256(content).hexdigest(), config=config, step=step, model=model)


class Generator(nn.Module):
    """L* (N, 1, H, W), 0..100, H and W multiples of 32, to ab (N, 2, H / 4, W / 4): the annealed mean of the bins.

    Zhang 2016, equation 5: a ``temperature`` below 1 leans towards the likeliest colours. ``saturation`` multiplies
    the result, because any mean of colours is paler than they are.
    """

    colours: Tensor

    def __init__(self, model: nn.Module, *, temperature: float, saturation: float) -> None:
        """Decode the logits of ``model``, (N, bins, H / 4, W / 4)."""
        super().__init__()
        self.model = model
        self.sharpness = 1 / temperature
        self.register_buffer("colours", (AbBins().centres.T * saturation).reshape(2, -1, 1, 1).contiguous())

    def forward(self, lightness: Tensor) -> Tensor:
        """Return a* and b*."""
        return F.conv2d(F.softmax(self.model(lightness) * self.sharpness, dim=1), self.colours)


class CheckpointEngine:
    """An `engines.base.Engine` that runs a checkpoint in torch, float32 on the CPU, for measuring while training."""

    def __init__(self, path: Path, *, temperature: float, saturation: float) -> None:
        """Load the checkpoint at ``path``. Raises `WeightsError`."""
        trained = load_trained(path)
        generator = Generator(trained.model, temperature=temperature, saturation=saturation)
        self._generator: nn.Module | None = generator.eval()
        self._spec = EngineSpec(
            name="checkpoint",
            runtime=f"torch {torch.__version__}",
            device="cpu",
            precision="f32",
            model=f"{trained.config.name}, step {trained.step}, T {temperature:g}, saturation {saturation:g}",
            weights_sha256=trained.sha256,
            max_batch=_MAX_BATCH,
            multiple=MULTIPLE,
            stride=STRIDE,
        )

    @property
    def spec(self) -> EngineSpec:
        """Capabilities of this engine."""
        return self._spec

    @torch.inference_mode()
    def infer(self, lightness: F32) -> F32:
        """Return a* and b* for a batch of L*, see `engines.base.Engine`."""
        if self._generator is None:
            raise EngineError("checkpoint: the engine was closed")
        return np.asarray(self._generator(torch.from_numpy(lightness)).numpy(), np.float32)

    def close(self) -> None:
        """Release the network."""
        self._generator = None
