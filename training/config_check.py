"""Check that a configuration fits its architecture, the initial weights and the photographs.

Except for their number nothing here needs photographs: checks run before they are decoded, which may take minutes.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from training.adversary import Adversary
from training.architectures import ARCHITECTURES, Architecture
from training.config import ConfigError, TrainConfig
from training.degrade import SHARES
from training.device import Machine
from training.initial_weights import build_network, check_initial_weights


def check_config(config: TrainConfig, *, ranks: int = 1) -> Architecture:
    """Return the architecture of ``config``, or raise `ConfigError` with everything that does not fit.

    A key that this architecture or this kind of loss does not read is an error: nobody sets one to be ignored.
    """
    if config.architecture not in ARCHITECTURES:
        raise ConfigError(f"{config.name}: architecture must be one of {', '.join(ARCHITECTURES)}")
    architecture = ARCHITECTURES[config.architecture]
    faults = [*_misfits(config, architecture, ranks), *_unread(config, architecture)]
    if faults:
        raise ConfigError(f"{config.name}, {config.architecture}: {'; '.join(faults)}")
    return architecture


def _misfits(config: TrainConfig, architecture: Architecture, ranks: int) -> list[str]:
    faults = {
        "loss.classification must be above 0 for an architecture that predicts bins, 0 for others": (
            architecture.classifies != (config.loss.classification > 0)
        ),
        "loss.regression must be above 0 for an architecture that predicts ab or RGB": (
            not architecture.classifies and config.loss.regression <= 0
        ),
        f"crop must be a multiple of {architecture.multiple}": any(
            s.crop % architecture.multiple for s in config.stages
        ),
        f"batch must be a multiple of the {ranks} processes": any(s.batch % ranks for s in config.stages),
        "frozen_encoder is for an architecture with an encoder": config.frozen_encoder and not architecture.encoder,
        "embeddings are for an architecture that decodes an encoder's features alone": (
            config.embeddings and not architecture.embeddings
        ),
        "embeddings need frozen_encoder, and crops that are always the same: no augment, degraded_share or growth": (
            config.embeddings
            and (not config.frozen_encoder or config.augment or config.degraded_share > 0 or bool(config.growth))
        ),
        "line_art_share is for an architecture that predicts RGB: lines say nothing of lightness": (
            config.line_art_share > 0 and not architecture.rgb
        ),
        "loss.rebalance_power must be 0 for an architecture that predicts RGB": (
            architecture.rgb and config.loss.rebalance_power > 0
        ),
        "loss.divergence is for an architecture with a latent": (
            config.loss.divergence > 0 and not architecture.latent
        ),
        "loss.evidence is for an architecture that tells what each place says by itself": (
            config.loss.evidence > 0 and not architecture.evidence
        ),
        "hinted_share is for an architecture that takes hints": config.hinted_share > 0 and not architecture.hints,
        "evaluate_photos must be at least 1, and at most holdout": (
            config.evaluate_every > 0 and not 1 <= config.evaluate_photos <= config.holdout
        ),
        f"undegraded must be among {', '.join(SHARES)}": not SHARES.keys() >= set(config.undegraded),
    }
    return [fault for fault, there in faults.items() if there]


def _unread(config: TrainConfig, architecture: Architecture) -> list[str]:
    """Return the errors in keys that only some runs read: set where unread, or missing where read."""
    faults = []
    for name, (read, when) in _readers(config, architecture).items():
        value, default = _value_and_default(config, name)
        if not read and value != default:
            faults.append(f"nothing reads {name} without {when}: leave it out")
        elif read and value is None:
            faults.append(f"{name} is missing, and needed for {when}")
    return faults


def _readers(config: TrainConfig, architecture: Architecture) -> dict[str, tuple[bool, str]]:
    """Return, for each key that only some runs read, whether this one does, and what reads it."""
    loss, adversary = config.loss, config.adversary
    measured = (config.evaluate_every > 0, "evaluate_every above 0")
    cropped = (config.augment, "augment")
    rebalanced = (loss.rebalance_power > 0, "loss.rebalance_power above 0")
    compared = loss.regression > 0 and not architecture.rgb and loss.distance != "huber"
    sees_mean = loss.regression > 0 or loss.drift > 0 or loss.hue > 0 or loss.paleness > 0 or adversary is not None
    readers = {
        "encoder_learning_rate": (architecture.encoder and not config.frozen_encoder, "an encoder that learns"),
        "undegraded": (config.degraded_share > 0, "degraded_share above 0"),
        "evaluate_photos": measured,
        "evaluate_crop": measured,
        "min_scale": cropped,
        **{f"growth.{number}.min_scale": cropped for number in range(len(config.growth))},
        "loss.distance": (loss.regression > 0, "loss.regression above 0"),
        "loss.unit": (compared, 'loss.regression above 0 of ab by distance "l1" or "l2"'),
        "loss.annealing": (
            architecture.classifies and sees_mean,
            "bins, and a term or an adversary that sees their mean",
        ),
        "loss.rebalance_uniform": rebalanced,
        "loss.rebalance_by": rebalanced,
        "loss.rebalance_sigma": rebalanced,
    }
    if adversary is not None:
        pretrained = config.has_pretrained_discriminator
        readers["adversary.encoder_learning_rate"] = (pretrained, 'discriminator "pretrained"')
    return readers


def _value_and_default(config: TrainConfig, name: str) -> tuple[Any, Any]:
    """Return the value of ``name``, such as ``loss.unit`` or ``growth.0.min_scale``, and its default."""
    *tables, key = name.split(".")
    table: Any = config
    for one in tables:
        table = table[int(one)] if one.isdigit() else getattr(table, one)
    return getattr(table, key), next(field.default for field in dataclasses.fields(table) if field.name == key)


def check_photo_count(config: TrainConfig, photographs: int) -> None:
    """Raise `ConfigError` if there are fewer ``photographs`` than ``config`` holds out plus one batch."""
    batch = max(stage.batch for stage in config.stages)
    if photographs - config.holdout < batch:
        raise ConfigError(
            f"{config.name}: {photographs} photographs are too few: {config.holdout} are held out to measure on, and a "
            f"batch has {batch}",
            advice="Give more photographs, or lower holdout, evaluate_photos and batch in the configuration.",
        )


def check_weights(
    config: TrainConfig, architecture: Architecture, *, backbone: Path | None, start_from: Path | None
) -> None:
    """Raise `ConfigError` or `WeightsError` for weights that are missing, or of another network.

    The networks that load them are built and discarded.
    """
    if backbone is not None or start_from is not None:
        model, _ = build_network(config, architecture, backbone)
        if start_from is not None:
            check_initial_weights(model, start_from)
    if config.has_pretrained_discriminator:
        assert config.adversary is not None
        Adversary(config.adversary, Machine(torch.device("cpu")), backbone=backbone)
