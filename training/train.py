"""The training loop, all of it: photographs in, a checkpoint out."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from training.architectures import ARCHITECTURES
from training.config import ConfigError, TrainConfig
from training.data import CropStream, PhotoCache, random_crop
from training.degrade import old_film
from training.lab import decode_srgb, linear_to_lab
from training.quantization import AbBins, class_weights
from training.schedule import warmup_stable_decay

CHECKPOINT = "checkpoint.pt"
_FREQUENCY_SAMPLE = 2000


def train(
    config: TrainConfig, *, photos: Path, run: Path, backbone: Path | None = None, start_from: Path | None = None
) -> Path:
    """Train ``config`` on the cache ``photos`` (see `training.data.build_cache`) and return the checkpoint's path.

    A checkpoint found in ``run`` is resumed, step for step as if it had never stopped. ``start_from`` is another
    run's checkpoint whose averaged weights this run begins with; ``backbone`` holds ImageNet weights for the encoder.
    """
    run.mkdir(parents=True, exist_ok=True)
    bins = AbBins()
    torch.manual_seed(config.seed)
    model = ARCHITECTURES[config.architecture](len(bins))
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
    if backbone is not None:
        model.encoder.load_imagenet(load_file(backbone))
    if start_from is not None:
        model.load_state_dict(torch.load(start_from, weights_only=True)["ema"])
    averaged = copy.deepcopy(model).requires_grad_(False)
    optimizer = _optimizer(model, config)
    cache = PhotoCache(photos)
    stream = CropStream(
        cache,
        batch=config.batch,
        size=config.crop,
        min_scale=config.min_scale,
        seed=config.seed,
        holdout=config.holdout,
    )
    weights = class_weights(
        _frequencies(cache, bins, config), uniform=config.rebalance_uniform, power=config.rebalance_power
    )
    first = 0
    checkpoint = run / CHECKPOINT
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["config"] != dataclasses.asdict(config):
            raise ConfigError(f"{checkpoint}: made with another configuration; choose a new run folder")
        model.load_state_dict(state["model"])
        averaged.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]

    model.train()
    started, seen, total = time.monotonic(), 0, 0.0
    for step, crops in _prefetch(stream, first, config.steps):
        factor = warmup_stable_decay(step, steps=config.steps, warmup=config.warmup, cooldown=config.cooldown)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        lightness, ab = _inputs(crops, torch.Generator().manual_seed(config.seed * 1_000_003 + step), config)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(lightness)
        loss = _loss(logits.float(), ab, bins, weights, config)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        _average(averaged, model, min(config.ema, (step + 1) / (step + 10)))
        seen, total = seen + 1, total + float(loss.detach())
        if (step + 1) % 50 == 0:
            record = {
                "step": step + 1,
                "loss": round(total / seen, 4),
                "rate": round(seen * config.batch / (time.monotonic() - started), 1),
                "lr": factor,
            }
            with (run / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(record) + "\n")
            started, seen, total = time.monotonic(), 0, 0.0
        if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
            _save(checkpoint, config, step + 1, model, averaged, optimizer)
    return checkpoint


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
    return torch.optim.AdamW([group for group in groups if group["params"]], betas=(0.9, 0.98))


def _frequencies(cache: PhotoCache, bins: AbBins, config: TrainConfig) -> Tensor:
    rng = np.random.default_rng(config.seed)
    numbers = rng.choice(len(cache), min(_FREQUENCY_SAMPLE, len(cache)), replace=False)
    crops = np.stack([random_crop(cache[int(n)], 64, 0.9, rng) for n in numbers])
    lab = linear_to_lab(decode_srgb(torch.from_numpy(crops).permute(0, 3, 1, 2) / 255))
    return bins.frequencies(lab[:, 1:])


def _prefetch(stream: CropStream, first: int, steps: int) -> Iterator[tuple[int, Tensor]]:
    with ThreadPoolExecutor(1) as pool:
        ahead = {step: pool.submit(stream.__getitem__, step) for step in range(first, min(first + 3, steps))}
        for step in range(first, steps):
            if step + 3 < steps:
                ahead[step + 3] = pool.submit(stream.__getitem__, step + 3)
            yield step, torch.from_numpy(ahead.pop(step).result())


def _inputs(crops: Tensor, rng: torch.Generator, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Return degraded L* (N, 1, S, S) and the true ab at a quarter of the size (N, 2, S / 4, S / 4)."""
    linear = decode_srgb(crops / 255)
    lightness = old_film(linear, rng, share=config.degraded_share)
    ab = F.avg_pool2d(linear_to_lab(linear)[:, 1:], 4)
    return lightness.contiguous(memory_format=torch.channels_last), ab


def _loss(logits: Tensor, ab: Tensor, bins: AbBins, weights: Tensor, config: TrainConfig) -> Tensor:
    """Rebalanced cross-entropy with soft labels, plus a Huber term on the mean colour."""
    numbers, shares = (part.permute(0, 2, 3, 1).reshape(-1, 4) for part in bins.soft_labels(ab))
    logarithms = F.log_softmax(logits.permute(0, 2, 3, 1).reshape(-1, len(bins)), dim=1)
    pixel_weight = (weights[numbers] * shares).sum(dim=1)
    entropy = -((logarithms.gather(1, numbers) * shares).sum(dim=1) * pixel_weight).mean()
    mean = logarithms.exp() @ bins.centres
    error = F.smooth_l1_loss(mean / 10, ab.permute(0, 2, 3, 1).reshape(-1, 2) / 10)
    return entropy + config.regression * error


@torch.no_grad()
def _average(averaged: nn.Module, model: nn.Module, decay: float) -> None:
    for mean, value in zip(averaged.parameters(), model.parameters(), strict=True):
        mean.lerp_(value, 1 - decay)
    for held, buffer in zip(averaged.buffers(), model.buffers(), strict=True):
        held.copy_(buffer)


def _save(
    path: Path,
    config: TrainConfig,
    step: int,
    model: nn.Module,
    averaged: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "config": dataclasses.asdict(config),
            "step": step,
            "model": model.state_dict(),
            "ema": averaged.state_dict(),
            "optimizer": optimizer.state_dict(),
        },
        partial,
    )
    os.replace(partial, path)
