"""The part of a run that learns: a network, its running average, its optimiser, and the input of every step."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from training.adversary import Adversary
from training.architectures import Architecture
from training.cielab_torch import decode_srgb, linear_to_lab, rgb_to_lab
from training.config import TrainConfig
from training.data import Photos, random_crop
from training.degrade import old_film, some_line_art
from training.device import Machine
from training.embeddings import Embeddings
from training.hints import draw_hints
from training.initial_weights import build_network, load_initial_weights
from training.losses import ColourLoss
from training.quantization import AbBins, ab_bins, class_weights, smoothed
from training.runlog import DISCRIMINATOR

_FREQUENCY_SAMPLE = 2000


class Learner:
    """A network, its running average, its optimiser and, if the config has one, its adversary."""

    lacking: tuple[str, ...]
    """Parts of the encoder missing from the backbone, which are initialised randomly."""

    def __init__(
        self,
        config: TrainConfig,
        architecture: Architecture,
        cache: Photos,
        machine: Machine,
        *,
        backbone: Path | None,
        start_from: Path | None,
    ) -> None:
        """Initialise randomly, or from given weights; see `train`."""
        self.config, self.machine, self.stride = config, machine, architecture.stride
        self._format = architecture.memory_format
        torch.manual_seed(config.seed)
        model, self.lacking = build_network(config, architecture, backbone)
        if start_from is not None:
            load_initial_weights(model, start_from, cache)
        self.model = model.to(machine.device, memory_format=self._format)  # type: ignore[call-overload]  # not in torch's stubs
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = _optimizer(self.model, config)
        self.adversary = Adversary(config.adversary, machine, backbone=backbone) if config.adversary else None
        self.bins = ab_bins(architecture.bins or "gamut260").to(machine.device)
        self.classifies = architecture.classifies
        weights = None
        if config.loss.rebalance_power:
            assert config.loss.rebalance_uniform is not None
            weights = class_weights(
                _frequencies(cache, self.bins, config),
                uniform=config.loss.rebalance_uniform,
                power=config.loss.rebalance_power,
            )
        self._rgb = architecture.rgb
        self.loss = ColourLoss(config.loss, self.bins, weights, classifies=self.classifies)
        self._forward: Any = self.model
        if config.loss.divergence:
            self._forward = self.model.with_divergence
        elif config.loss.evidence:
            self._forward = self.model.with_evidence
        self._embeddings = Embeddings(self.model.encoder, machine) if config.embeddings else None
        if self._embeddings is not None:
            self._forward = self.model.decode
        self.model.train()
        if config.frozen_encoder:
            self.model.encoder.requires_grad_(False).eval()

    def compile(self) -> None:
        """Run the network through ``torch.compile`` from now on."""
        self._forward = torch.compile(self._forward)

    def learn(self, step: int, crops: Tensor, *, factor: float, numbers: Sequence[int] = ()) -> dict[str, Tensor]:
        """Take one step at ``factor`` times the learning rates; crops are sRGB (N, 3, S, S), 0..255.

        ``numbers`` are the crops' photographs; only embeddings need them. Returns the terms of the loss. Every random
        draw is a function of the seed, the step and the rank.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        lightness, truth, hints = self._example(step, crops)
        opponent = self.config.adversary
        waits = opponent is not None and step < opponent.head_start
        with torch.set_grad_enabled(not waits):
            terms, found = self._terms(crops, lightness, truth, hints, numbers)
        others: dict[str, Tensor] = {}
        if self.adversary is not None:
            # The warm-up is the generator's.
            rate = 1.0 if waits else factor
            others[DISCRIMINATOR] = self.adversary.learn(lightness, found, truth, factor=rate)
            if not waits:
                terms["adversarial"] = self.adversary.deceive(lightness, found)
        if not waits:
            self._step(step, terms)
        return {name: term.detach() for name, term in (terms | others).items()}

    def _terms(
        self, crops: Tensor, lightness: Tensor, truth: Tensor, hints: Tensor | None, numbers: Sequence[int]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the terms of the loss except the adversarial one, and the network's ab (N, 2, s, s)."""
        seen = lightness if self._embeddings is None else self._embeddings(numbers, lightness)
        with self.machine.autocast():
            output = self._forward(seen) if hints is None else self._forward(seen, hints)
        terms = {}
        if self.config.loss.divergence:
            output, divergence = output
            terms["divergence"] = self.config.loss.divergence * divergence
        elif self.config.loss.evidence:
            output, evidence = output
            alone = self.loss.entropy(evidence.float(), F.avg_pool2d(truth, truth.shape[-1] // evidence.shape[-1]))
            terms["evidence"] = self.config.loss.evidence * alone
        picture = F.avg_pool2d(crops / 255, self.stride) if self._rgb else None
        coloured, found = self.loss(output.float(), truth, picture)
        return terms | coloured, found

    def _step(self, step: int, terms: dict[str, Tensor]) -> None:
        """Update the weights by the gradient of the terms' sum, then their running average."""
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.machine.average_gradients(self.model.parameters())
        if self.config.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        _average(self.averaged, self.model, min(self.config.ema, (step + 1) / (step + 10)))

    def _example(self, step: int, crops: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return degraded L* (N, 1, S, S), the true ab (N, 2, S / stride, S / stride), and hints if there are any."""
        seed = self.config.seed * 1_000_003 + step + (self.machine.rank << 40)
        # Dropout and latents draw from torch's own generator, degradations from this one.
        torch.manual_seed(seed + (1 << 50))
        rng = torch.Generator(self.machine.device).manual_seed(seed)
        linear = decode_srgb(crops / 255)
        lightness = old_film(linear, rng, share=self.config.degraded_share, without=frozenset(self.config.undegraded))
        if self.config.line_art_share:
            lightness = some_line_art(lightness, rng, share=self.config.line_art_share)
        truth = F.avg_pool2d(linear_to_lab(linear)[:, 1:], self.stride)
        hints = draw_hints(truth, rng, share=self.config.hinted_share) if self.config.hinted_share else None
        return lightness.contiguous(memory_format=self._format), truth, hints

    def state(self) -> dict[str, Any]:
        """Return everything needed to resume, apart from the step and the plan."""
        return {
            "config": dataclasses.asdict(self.config),
            "model": self.model.state_dict(),
            "ema": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "adversary": None if self.adversary is None else self.adversary.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from ``state``."""
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.adversary is not None:
            self.adversary.load_state_dict(state["adversary"])


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    groups: list[dict[str, object]] = []
    decoupled = config.optimizer == "adamw"
    for encoder, rate in ((True, config.encoder_learning_rate or 0.0), (False, config.learning_rate)):
        for decays in (True, False):
            chosen = [
                p for n, p in model.named_parameters() if n.startswith("encoder.") == encoder and (p.ndim > 1) == decays
            ]
            decay = config.weight_decay if decays or not decoupled else 0.0
            groups.append({"params": chosen, "lr": rate, "peak": rate, "weight_decay": decay})
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    return kind([group for group in groups if group["params"]], betas=(config.beta1, config.beta2))


def _frequencies(cache: Photos, bins: AbBins, config: TrainConfig) -> Tensor:
    rng = np.random.default_rng(config.seed)
    numbers = rng.choice(len(cache), min(_FREQUENCY_SAMPLE, len(cache)), replace=False)
    crops = np.stack([random_crop(cache[int(n)], 64, 0.9, rng) for n in numbers])
    pixels = torch.from_numpy(crops).to(bins.centres.device).permute(0, 3, 1, 2)
    # Neighbouring pixels are alike: every fourth one each way gives the same result.
    ab = rgb_to_lab(pixels[:, :, ::4, ::4] / 255)[:, 1:]
    found = bins.frequencies(ab, nearest=config.loss.rebalance_by == "nearest")
    return smoothed(found, bins, sigma=config.loss.rebalance_sigma) if config.loss.rebalance_sigma else found


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average(list(averaged.parameters()), list(model.parameters()), None)
    for held, buffer in zip(averaged.buffers(), model.buffers(), strict=True):
        held.copy_(buffer)
