"""The training loop, all of it: photographs in, a checkpoint out."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import time
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from engines.errors import AutochromeError
from training.adversary import Adversary
from training.architectures import ARCHITECTURES, Architecture
from training.batches import ResidentPhotos, resident, streamed
from training.config import ConfigError, TrainConfig
from training.data import CropStream, PhotoCache, Photos, crops_before, random_crop, stage_at
from training.degrade import SHARES, old_film
from training.device import Machine, fits, open_machine
from training.hints import draw_hints
from training.lab import decode_srgb, linear_to_lab, rgb_to_lab
from training.losses import ColourLoss
from training.photo_zips import open_photos
from training.quantization import AbBins, ab_bins, class_weights
from training.runlog import RunLog
from training.samples import SAMPLES, HeldOut
from training.sitting import Clock, Sitting, planned
from training.start import start

CHECKPOINT = "checkpoint.pt"
DISCRIMINATOR = "discriminator"
_FREQUENCY_SAMPLE = 2000
_LOG_EVERY = 50


class TrainingError(AutochromeError):
    """Training went wrong; the message says at which step."""

    exit_code = 9


def train(
    config: TrainConfig,
    *,
    photos: Path,
    run: Path,
    backbone: Path | None = None,
    start_from: Path | None = None,
    sitting: Sitting | None = None,
) -> Path:
    """Train ``config`` on ``photos`` and return the checkpoint's path.

    ``photos`` is a cache of `training.data.build_cache` or a folder of zip files with an index, see
    `training.photo_zips.index_zips`. A checkpoint found in ``run`` is resumed, step for step as if it had never
    stopped. ``start_from`` is another run's checkpoint, or an exported network (``*.onnx``), whose averaged weights
    this run begins with; parts of a `Coherent` that they lack begin silent. ``backbone`` holds ImageNet weights for
    the encoder. Under ``torchrun`` every process takes its part of each batch, and the first one writes. Raises
    `ConfigError` for a config that does not fit its architecture, the photographs or the run, `WeightsError` for
    weights of another network, `TrainingError` if the loss diverges.
    """
    sitting = sitting or Sitting()
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / CHECKPOINT
    with open_machine(sitting.device, precision=config.precision) as machine:
        clock = Clock(sitting, machine)
        cache = open_photos(photos)
        architecture = check(config, photographs=len(cache), ranks=machine.ranks)
        learner = Learner(config, architecture, cache, machine, backbone=backbone, start_from=start_from)
        state = _saved(checkpoint, config)
        plan = planned(config, sitting, state)
        first = 0
        if state is not None:
            first = state["step"]
            learner.restore(state)
            clock.resume(first, state["seconds"])
        if plan.over(first):
            if state is None:
                _save(checkpoint, {"step": 0, "seconds": 0.0, "plan": dataclasses.asdict(plan), **learner.state()})
            return checkpoint
        if sitting.compile:
            learner.compile()
        log = RunLog(run, first=first, tensorboard=sitting.tensorboard) if machine.writes else None
        bins = learner.bins if learner.classifies else None
        held_out = HeldOut(cache, config, machine, bins=bins, stride=learner.stride)
        tally = Tally()
        with closing(_batches(cache, config, sitting, machine, first)) as batches:
            for step, crops in batches:
                factor = plan.factor(step)
                tally.add(learner.learn(step, crops, factor=factor), crops=stage_at(config.stages, step).batch)
                done = step + 1
                plan = clock.fix(plan, done, share=config.cooldown / config.steps)
                ends = plan.over(done)
                stops = ends or clock.up()
                if log is not None and (done % _LOG_EVERY == 0 or stops):
                    crops_seen = {"crops": crops_before(config.stages, done)}
                    log.write(done, {**crops_seen, **tally.means(done), "lr": factor})
                if log is not None and config.evaluate_every and (done % config.evaluate_every == 0 or ends):
                    sheet = run / SAMPLES / f"{done:07}.png"
                    log.write(done, held_out(learner.averaged, learner.loss, sheet))
                if machine.writes and (done % config.checkpoint_every == 0 or stops):
                    reached = {"step": done, "seconds": clock.seconds, "plan": dataclasses.asdict(plan)}
                    _save(checkpoint, {**reached, **learner.state()})
                if stops:
                    break
        if log is not None:
            log.close()
    return checkpoint


class Learner:
    """A network, its running average, its optimiser and, if the config has one, its adversary."""

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
        """Start at random, or from given weights; see `train`."""
        self.config, self.machine, self.stride = config, machine, architecture.stride
        torch.manual_seed(config.seed)
        model = _network(config, architecture, backbone)
        if start_from is not None:
            start(model, start_from, cache)
        self.model = model.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = _optimizer(self.model, config)
        self.adversary = Adversary(config.adversary, machine) if config.adversary else None
        self.bins = ab_bins(architecture.bins or "gamut260").to(machine.device)
        self.classifies = architecture.classifies
        weights = None
        if config.loss.rebalance_power:
            weights = class_weights(
                _frequencies(cache, self.bins, config),
                uniform=config.loss.rebalance_uniform,
                power=config.loss.rebalance_power,
            )
        self.loss = ColourLoss(config.loss, self.bins, weights, classifies=self.classifies)
        self._forward: Any = self.model
        if config.loss.divergence:
            self._forward = self.model.with_divergence
        elif config.loss.evidence:
            self._forward = self.model.with_evidence
        self.model.train()

    def compile(self) -> None:
        """Run the network through ``torch.compile`` from now on."""
        self._forward = torch.compile(self._forward)

    def learn(self, step: int, crops: Tensor, *, factor: float) -> dict[str, Tensor]:
        """Take one step at ``factor`` times the learning rates; crops are sRGB (N, 3, S, S), 0..255.

        Return the terms of the loss. Every random draw is a function of the seed, the step and the rank.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        lightness, truth, hints = self._example(step, crops)
        with self.machine.autocast():
            answer = self._forward(lightness) if hints is None else self._forward(lightness, hints)
        terms = {}
        if self.config.loss.divergence:
            answer, divergence = answer
            terms["divergence"] = self.config.loss.divergence * divergence
        elif self.config.loss.evidence:
            answer, evidence = answer
            alone = self.loss.entropy(evidence.float(), F.avg_pool2d(truth, truth.shape[-1] // evidence.shape[-1]))
            terms["evidence"] = self.config.loss.evidence * alone
        coloured, found = self.loss(answer.float(), truth)
        terms |= coloured
        if self.adversary is not None:
            seen = F.avg_pool2d(lightness, self.stride)
            told_apart = self.adversary.learn(seen, found, truth, factor=factor)
            terms["adversarial"] = self.adversary.deceive(seen, found)
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.machine.average_gradients(self.model.parameters())
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        _average(self.averaged, self.model, min(self.config.ema, (step + 1) / (step + 10)))
        if self.adversary is not None:
            terms[DISCRIMINATOR] = told_apart
        return {name: term.detach() for name, term in terms.items()}

    def _example(self, step: int, crops: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return degraded L* (N, 1, S, S), the true ab (N, 2, S / stride, S / stride), and hints if there are any."""
        seed = self.config.seed * 1_000_003 + step + (self.machine.rank << 40)
        # Dropout and latents draw from torch's own generator, degradations from this one.
        torch.manual_seed(seed + (1 << 50))
        rng = torch.Generator(self.machine.device).manual_seed(seed)
        linear = decode_srgb(crops / 255)
        lightness = old_film(linear, rng, share=self.config.degraded_share, without=frozenset(self.config.undegraded))
        truth = F.avg_pool2d(linear_to_lab(linear)[:, 1:], self.stride)
        hints = draw_hints(truth, rng, share=self.config.hinted_share) if self.config.hinted_share else None
        return lightness.contiguous(memory_format=torch.channels_last), truth, hints

    def state(self) -> dict[str, Any]:
        """Return all that a resume needs, apart from the step and the plan."""
        return {
            "config": dataclasses.asdict(self.config),
            "model": self.model.state_dict(),
            "ema": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "adversary": None if self.adversary is None else self.adversary.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.adversary is not None:
            self.adversary.load_state_dict(state["adversary"])


class Tally:
    """Means of the loss's terms, and the rate, since they were last asked for."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._started, self._steps, self._crops = time.monotonic(), 0, 0
        self._sums: dict[str, Tensor] = {}

    def add(self, terms: Mapping[str, Tensor], *, crops: int) -> None:
        """Add the terms of a step of ``crops`` crops, without waiting for the device."""
        self._steps += 1
        self._crops += crops
        for name, term in terms.items():
            self._sums[name] = self._sums[name] + term if name in self._sums else term

    def means(self, step: int) -> dict[str, float]:
        """Return the terms by name, the loss and the crops a second. Raises `TrainingError` if one is not finite."""
        terms = {name: float(total) / self._steps for name, total in self._sums.items()}
        rate = self._crops / (time.monotonic() - self._started)
        self._clear()
        if not all(map(math.isfinite, terms.values())):
            raise TrainingError(
                f"the loss is not finite before step {step}: {terms}", advice="Lower the learning rate, or use f32."
            )
        loss = math.fsum(value for name, value in terms.items() if name != DISCRIMINATOR)
        return {"loss": loss, **{f"loss/{name}": value for name, value in terms.items()}, "rate": rate}


def check(config: TrainConfig, *, photographs: int, ranks: int = 1) -> Architecture:
    """Return the architecture of ``config``, or raise `ConfigError` if the two or the photographs do not fit."""
    if config.architecture not in ARCHITECTURES:
        raise ConfigError(f"{config.name}: architecture must be one of {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[config.architecture]
    faults = {
        "loss.classification must be above 0 for an architecture that answers with bins, 0 for others": (
            architecture.classifies != (config.loss.classification > 0)
        ),
        "loss.regression must be above 0 for an architecture that answers with ab": (
            not architecture.classifies and config.loss.regression <= 0
        ),
        f"crop must be a multiple of {architecture.multiple}": any(
            s.crop % architecture.multiple for s in config.stages
        ),
        f"batch must be a multiple of the {ranks} processes": any(s.batch % ranks for s in config.stages),
        f"{config.architecture} takes no hints": config.hinted_share > 0 and not architecture.hints,
        "evaluate_photos must be at least 1, and at most holdout": (
            config.evaluate_every > 0 and not 1 <= config.evaluate_photos <= config.holdout
        ),
        f"undegraded must be among {', '.join(SHARES)}": not SHARES.keys() >= set(config.undegraded),
        f"batch is larger than the {photographs - config.holdout} photographs that are not held out": (
            max(stage.batch for stage in config.stages) > photographs - config.holdout
        ),
    }
    if found := [fault for fault, there in faults.items() if there]:
        raise ConfigError(f"{config.name}, {config.architecture}: {'; '.join(found)}")
    return architecture


def _network(config: TrainConfig, architecture: Architecture, backbone: Path | None) -> nn.Module:
    model = architecture.build()
    if config.loss.divergence and not hasattr(model, "with_divergence"):
        raise ConfigError(f"{config.name}: {config.architecture} has no latent for loss.divergence")
    if config.loss.evidence and not hasattr(model, "with_evidence"):
        raise ConfigError(f"{config.name}: {config.architecture} tells no evidence for loss.evidence")
    if backbone is not None:
        encoder: Any = getattr(model, "encoder", None)
        if encoder is None:
            raise ConfigError(f"{config.name}: {config.architecture} has no encoder for {backbone}")
        encoder.load_imagenet(load_file(backbone))
    return model


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    groups: list[dict[str, object]] = []
    for encoder, rate in ((True, config.encoder_learning_rate), (False, config.learning_rate)):
        for decays in (True, False):
            chosen = [
                p for n, p in model.named_parameters() if n.startswith("encoder.") == encoder and (p.ndim > 1) == decays
            ]
            groups.append(
                {"params": chosen, "lr": rate, "peak": rate, "weight_decay": config.weight_decay if decays else 0.0}
            )
    return torch.optim.AdamW([group for group in groups if group["params"]], betas=(config.beta1, config.beta2))


def _frequencies(cache: Photos, bins: AbBins, config: TrainConfig) -> Tensor:
    rng = np.random.default_rng(config.seed)
    numbers = rng.choice(len(cache), min(_FREQUENCY_SAMPLE, len(cache)), replace=False)
    crops = np.stack([random_crop(cache[int(n)], 64, 0.9, rng) for n in numbers])
    pixels = torch.from_numpy(crops).to(bins.centres.device).permute(0, 3, 1, 2)
    # Neighbours are alike: every fourth pixel each way tells the same.
    return bins.frequencies(rgb_to_lab(pixels[:, :, ::4, ::4] / 255)[:, 1:])


def _batches(
    cache: Photos, config: TrainConfig, sitting: Sitting, machine: Machine, first: int
) -> Generator[tuple[int, Tensor]]:
    stream = CropStream(
        cache,
        stages=config.stages,
        seed=config.seed,
        holdout=config.holdout,
        rank=machine.rank,
        ranks=machine.ranks,
    )
    if isinstance(cache, PhotoCache):
        stays = fits(cache.path.stat().st_size, machine.device) if sitting.resident is None else sitting.resident
        if stays:
            return resident(ResidentPhotos(cache, device=machine.device), stream, first)
    return streamed(stream, first, machine.device)


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    average(list(averaged.parameters()), list(model.parameters()), None)
    for held, buffer in zip(averaged.buffers(), model.buffers(), strict=True):
        held.copy_(buffer)


def _saved(checkpoint: Path, config: TrainConfig) -> dict[str, Any] | None:
    if not checkpoint.exists():
        return None
    # On the CPU: optimisers count steps there, and would ask a GPU for every parameter's count at every step.
    state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    if state["config"] != dataclasses.asdict(config):
        raise ConfigError(f"{checkpoint}: made with another configuration; choose a new run folder")
    return state


def _save(path: Path, state: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    os.replace(partial, path)
