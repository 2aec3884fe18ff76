"""The smallest training run: four steps on thumbnails."""

from __future__ import annotations

from training.config import TrainConfig

CONFIG = TrainConfig(
    name="tiny",
    architecture="resnet18-bins",
    seed=1,
    steps=4,
    batch=4,
    crop=32,
    min_scale=0.6,
    holdout=4,
    learning_rate=1e-3,
    encoder_learning_rate=1e-4,
    warmup=1,
    cooldown=2,
    weight_decay=0.02,
    clip=1.0,
    ema=0.9,
    rebalance_uniform=0.2,
    rebalance_power=0.5,
    regression=0.2,
    degraded_share=0.5,
    checkpoint_every=2,
)
