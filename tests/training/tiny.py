"""The smallest training runs: four steps on thumbnails."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from training.config import AdversaryConfig, GrowthConfig, LossConfig, TrainConfig

CONFIG = TrainConfig(
    name="tiny",
    architecture="resnet18-bins",
    seed=1,
    steps=4,
    batch=4,
    crop=32,
    min_scale=0.6,
    holdout=4,
    degraded_share=0.5,
    precision="auto",
    learning_rate=1e-3,
    beta1=0.9,
    beta2=0.98,
    weight_decay=0.02,
    warmup=1,
    cooldown=2,
    clip=1.0,
    ema=0.9,
    checkpoint_every=2,
    evaluate_every=4,
    evaluate_photos=3,
    loss=LossConfig(
        classification=1.0, regression=0.2, distance="huber", rebalance_uniform=0.2, rebalance_power=0.5, hue=0.1
    ),
    encoder_learning_rate=1e-4,
)

REGRESSION = dataclasses.replace(
    CONFIG,
    name="tiny-regression",
    architecture="unet-plain",
    loss=LossConfig(
        classification=0.0, regression=100.0, distance="l1", rebalance_uniform=0.2, rebalance_power=0.5, drift=0.1
    ),
    encoder_learning_rate=None,
)

GAN = dataclasses.replace(
    REGRESSION,
    name="tiny-gan",
    adversary=AdversaryConfig(objective="least-squares", weight=1.0, learning_rate=2e-4),
)

LATENT = dataclasses.replace(
    REGRESSION,
    name="tiny-latent",
    architecture="unet-vae-4",
    loss=dataclasses.replace(REGRESSION.loss, rebalance_uniform=None, rebalance_power=0.0, divergence=0.1),
)

COHERENT = dataclasses.replace(
    CONFIG,
    name="tiny-coherent",
    architecture="coherent-small",
    hinted_share=0.5,
    growth=(GrowthConfig(until=2, batch=4, crop=32, min_scale=0.5),),
    crop=64,
    loss=dataclasses.replace(CONFIG.loss, regression=0.0, distance=None, hue=0.0, evidence=0.25),
)


def as_toml(config: TrainConfig) -> str:
    """Return ``config`` as a file of its own would say it."""
    return _toml(dataclasses.asdict(config))


def _toml(values: dict[str, Any]) -> str:
    tables = {key: value for key, value in values.items() if isinstance(value, dict)}
    plain = [
        f"{key} = {json.dumps(value)}"
        for key, value in values.items()
        if not isinstance(value, dict | tuple) and value is not None
    ]
    return "\n".join(plain + [f"\n[{name}]\n{_toml(table)}" for name, table in tables.items()]) + "\n"
