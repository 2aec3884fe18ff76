"""The adversary of a generator: a discriminator trained beside it to distinguish its colours from true ones."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.architectures.encoder_decoder_6 import EncoderDiscriminator
from training.architectures.patchgan import PatchGAN
from training.architectures.pretrained import PretrainedDiscriminator
from training.backbone import load_backbone
from training.config import AdversaryConfig, ConfigError
from training.device import Machine
from training.losses import patch_loss

_BETAS = (0.5, 0.999)
_CRITICS = MappingProxyType(
    {"patchgan": PatchGAN, "encoder": EncoderDiscriminator, "pretrained": PretrainedDiscriminator}
)


class Adversary:
    """A discriminator and its optimiser, as in Isola et al. 2017, section 3.3: half its loss, Adam with beta1 0.5.

    It classifies true and predicted ab (N, 2, s, s), each with L* (N, 1, S, S), 0..100; S is a multiple of s, of 2 s
    for a pretrained discriminator.
    """

    def __init__(self, config: AdversaryConfig, machine: Machine, *, backbone: Path | None = None) -> None:
        """Initialise with torch's global generator; a pretrained encoder's weights come from ``backbone``.

        Raises `ConfigError` if a backbone is needed but not given, `WeightsError` for one of another network.
        """
        self._config, self._machine = config, machine
        critic = _CRITICS[config.discriminator]()
        if isinstance(critic, PretrainedDiscriminator):
            if backbone is None:
                raise ConfigError(
                    "a pretrained discriminator needs ImageNet weights", advice="Give them with --backbone."
                )
            load_backbone(critic, backbone)
        self._critic = critic.to(machine.device)
        self._optimizer = torch.optim.Adam(_groups(self._critic, config), betas=_BETAS)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the last step, except for a pretrained encoder."""
        rate: float = self._optimizer.param_groups[0]["lr"]
        return rate

    def learn(self, lightness: Tensor, found: Tensor, truth: Tensor, *, factor: float) -> Tensor:
        """Take one discriminator step at ``factor`` times the learning rate; return the loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        on_real = self._judge(lightness, truth, real=True)
        loss = (on_real + self._judge(lightness, self._shown(found.detach()), real=False)) / 2
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._machine.average_gradients(self._critic.parameters())
        self._optimizer.step()
        return loss.detach()

    def deceive(self, lightness: Tensor, found: Tensor) -> Tensor:
        """Return the generator's weighted adversarial loss: how far ``found`` is from being taken for true."""
        return self._config.weight * self._judge(lightness, self._shown(found), real=True)

    def _shown(self, found: Tensor) -> Tensor:
        return self._config.saturation * found

    def _judge(self, lightness: Tensor, ab: Tensor, *, real: bool) -> Tensor:
        # A pretrained discriminator sees L* at twice the resolution of ab, the others at the same.
        finer = 2 if self._config.discriminator == "pretrained" else 1
        seen = F.avg_pool2d(lightness, lightness.shape[-1] // (finer * ab.shape[-1]))
        with self._machine.autocast():
            logits = self._critic(seen, ab)
        return patch_loss(logits.float(), real=real, objective=self._config.objective)

    def state_dict(self) -> dict[str, Any]:
        """Return everything needed to resume."""
        return {"model": self._critic.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from ``state``."""
        self._critic.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])


def _groups(critic: nn.Module, config: AdversaryConfig) -> list[dict[str, Any]]:
    """Return the optimiser's parameter groups; an encoder with learning rate 0 is frozen and in none of them."""
    encoder: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in critic.named_parameters():
        (encoder if name.startswith("encoder.") else rest).append(parameter)
    if not config.encoder_learning_rate:
        for parameter in encoder:
            parameter.requires_grad_(False)
        encoder = []
    rates = ((rest, config.learning_rate), (encoder, config.encoder_learning_rate))
    return [{"params": parameters, "lr": rate, "peak": rate} for parameters, rate in rates if parameters]
