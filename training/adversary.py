"""The opponent of a generator: a discriminator that learns beside it to tell its colours from true ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from training.architectures.encoder_decoder_6 import EncoderDiscriminator
from training.architectures.patchgan import PatchGAN
from training.config import AdversaryConfig
from training.device import Machine
from training.losses import patch_loss

_BETAS = (0.5, 0.999)


class Adversary:
    """A discriminator and its optimiser, after Isola et al. 2017, section 3.3: half its loss, Adam at 0.5.

    L* is what both true and found ab are shown with, (N, 1, H, W) and (N, 2, H, W) of one size.
    """

    def __init__(self, config: AdversaryConfig, machine: Machine) -> None:
        """Start from weights drawn with torch's global generator."""
        self._config, self._machine = config, machine
        critic = PatchGAN() if config.discriminator == "patchgan" else EncoderDiscriminator()
        self._critic = critic.to(machine.device)
        self._optimizer = torch.optim.Adam(self._critic.parameters(), config.learning_rate, _BETAS)

    def learn(self, lightness: Tensor, found: Tensor, truth: Tensor, *, factor: float) -> Tensor:
        """Take one step at ``factor`` times the learning rate towards telling the two apart; return the loss."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * factor
        loss = (self._judge(lightness, truth, real=True) + self._judge(lightness, found.detach(), real=False)) / 2
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._machine.average_gradients(self._critic.parameters())
        self._optimizer.step()
        return loss.detach()

    def deceive(self, lightness: Tensor, found: Tensor) -> Tensor:
        """Return the generator's loss, weighted: how far ``found`` is from being taken for true."""
        return self._config.weight * self._judge(lightness, found, real=True)

    def _judge(self, lightness: Tensor, ab: Tensor, *, real: bool) -> Tensor:
        with self._machine.autocast():
            logits = self._critic(lightness, ab)
        return patch_loss(logits.float(), real=real, objective=self._config.objective)

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resume needs."""
        return {"model": self._critic.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        self._critic.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
