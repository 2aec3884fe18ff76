"""What a training run is: a small TOML file, read into a frozen dataclass."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path

from engines.errors import AutochromeError


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the outcome of a run, apart from the photographs."""

    name: str
    architecture: str
    seed: int
    steps: int
    batch: int
    crop: int
    min_scale: float
    holdout: int
    learning_rate: float
    encoder_learning_rate: float
    warmup: int
    cooldown: int
    weight_decay: float
    clip: float
    ema: float
    rebalance_uniform: float
    rebalance_power: float
    regression: float
    degraded_share: float
    checkpoint_every: int


class ConfigError(AutochromeError):
    """A training configuration that cannot be used; the message names the file and the key."""

    exit_code = 9


def load_config(path: Path) -> TrainConfig:
    """Read ``path``. Unknown, missing or wrongly typed keys raise `ConfigError`."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    fields = {field.name: field.type for field in dataclasses.fields(TrainConfig)}
    if unknown := sorted(values.keys() - fields.keys()):
        raise ConfigError(f"{path}: unknown keys: {', '.join(unknown)}")
    if missing := sorted(fields.keys() - values.keys()):
        raise ConfigError(f"{path}: missing keys: {', '.join(missing)}")
    for key, value in values.items():
        if fields[key] == "float" and type(value) is int:
            values[key] = float(value)
        elif type(value).__name__ != fields[key]:
            raise ConfigError(f"{path}: {key} must be of type {fields[key]}, not {type(value).__name__}")
    return TrainConfig(**values)
