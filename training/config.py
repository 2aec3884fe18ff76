"""The configuration of a training run: a small TOML file, read into frozen dataclasses."""

from __future__ import annotations

import dataclasses
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from engines.errors import AutochromeError
from training.data import Stage

T = TypeVar("T")

CONFIGS = Path(__file__).parent / "configs"
_ADVICE = "colorize-model config NAME prints a whole configuration to start from."


@dataclass(frozen=True)
class LossConfig:
    """The terms of the loss and their weights; 0 leaves a term out. `training.losses` describes each one."""

    classification: float
    """Cross-entropy over the bins with soft labels: for architectures that output bins, and only for them."""
    regression: float
    """Distance of ab from the truth; of the bins' mean, for architectures that output bins."""
    distance: Literal["l1", "l2", "huber"] | None = None
    """The distance that ``regression`` uses."""
    rebalance_uniform: float | None = None
    rebalance_power: float = 0.0
    """Weights of rare colours, see `training.quantization.class_weights`; power 0 weights all colours equally."""
    rebalance_by: Literal["soft", "nearest"] = "soft"
    """A pixel has the mean weight of the bins around its colour, or that of the nearest bin (Zhang 2016, eq. 3)."""
    rebalance_sigma: float = 0.0
    """Standard deviation, in CIELAB units, of the Gaussian that smooths the frequencies of colours; 0: no smoothing."""
    unit: float = 110.0
    """Divisor of ab before L1 and L2; an RGB output, 0..1, is compared unscaled."""
    annealing: float = 1.0
    """Temperature of the mean of the bins used by ``regression`` and the terms below."""
    drift: float = 0.0
    """Against a dominant colour: distance of the batch's mean ab from the truth's."""
    hue: float = 0.0
    """Against a dominant colour: how much of the batch's colour lies in other hues than the truth's."""
    paleness: float = 0.0
    """Difference between the batch's mean chroma and the truth's."""
    evidence: float = 0.0
    """Cross-entropy of each position's own prediction: for architectures with it, see `training.architectures`."""
    divergence: float = 0.0
    """Kullback-Leibler divergence of the latent: for architectures that have one, and only for them."""


@dataclass(frozen=True)
class AdversaryConfig:
    """A discriminator trained beside the generator."""

    objective: Literal["vanilla", "least-squares"]
    weight: float
    learning_rate: float
    discriminator: Literal["patchgan", "encoder", "pretrained"] = "patchgan"
    """`PatchGAN`, `training.architectures.encoder_decoder_6.EncoderDiscriminator` or `PretrainedDiscriminator`."""
    encoder_learning_rate: float = 0.0
    """Learning rate of a pretrained discriminator's encoder; 0: it is frozen."""
    saturation: float = 1.0
    """Factor on the generator's ab before it is classified, like the one on an exported network's output."""
    head_start: int = 0
    """Initial steps in which only the discriminator is trained."""


@dataclass(frozen=True)
class GrowthConfig:
    """An earlier part of a run: until step ``until`` crops are smaller, and batches larger."""

    until: int
    batch: int
    crop: int
    min_scale: float | None = None


@dataclass(frozen=True)
class TrainConfig:
    """Everything that determines the outcome of a run, except the photographs.

    Keys with a default are for some runs only; `training.config_check` rejects them where nothing would read them.
    """

    name: str
    architecture: str
    seed: int
    steps: int
    batch: int
    crop: int
    holdout: int
    degraded_share: float
    """Share of the crops that imitate old film, see `training.degrade.old_film`."""
    precision: Literal["auto", "bf16", "f32"]
    """Precision of the networks. auto: bfloat16 if the device on which the run starts has hardware for it, else
    float32; a resumed run keeps its precision on any device; see `training.device`."""
    learning_rate: float
    beta1: float
    beta2: float
    weight_decay: float
    warmup: int
    cooldown: int
    clip: float
    """Maximum norm of all gradients together; 0: unlimited."""
    ema: float
    """Decay of the weights' running average, which is the result of a run; 0: the weights themselves."""
    checkpoint_every: int
    evaluate_every: int
    """0: never."""
    loss: LossConfig
    min_scale: float | None = None
    """The minimum side of a crop, as a share of the photograph's shorter side."""
    evaluate_photos: int = 0
    """Number of held-out photographs that are evaluated."""
    encoder_learning_rate: float | None = None
    """Learning rate of an encoder with initial ImageNet weights: for architectures with one, unless it is frozen."""
    adversary: AdversaryConfig | None = None
    undegraded: tuple[str, ...] = ()
    """Degradations of `training.degrade.SHARES` to leave out."""
    growth: tuple[GrowthConfig, ...] = ()
    """Earlier parts of the run with smaller crops, in order; ``batch``, ``crop`` and ``min_scale`` are for the last."""
    hinted_share: float = 0.0
    """Share of the crops with hints, see `training.hints`: for architectures that take them."""
    evaluate_crop: int = 0
    """Size at which held-out photographs are evaluated; 0: ``crop``."""
    optimizer: Literal["adamw", "adam"] = "adamw"
    """adamw: weight decay outside the gradient (Loshchilov and Hutter 2019), of matrices; adam: inside it, of all."""
    frozen_encoder: bool = False
    """Keep the encoder, including its normalisation, unchanged."""
    embeddings: bool = False
    """Cache each photograph's features from a frozen encoder in memory: for architectures that ``decode`` them."""
    augment: bool = True
    """Random squares, mirrored half the time; if false, always the largest square in the middle."""
    line_art_share: float = 0.0
    """Share of the crops reduced to lines, see `training.degrade.lines.line_art`: for RGB architectures."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The parts of the run, in order."""
        grown = (Stage(one.until, one.batch, one.crop, one.min_scale or 1.0) for one in self.growth)
        return (*grown, Stage(self.steps, self.batch, self.crop, self.min_scale or 1.0))

    @property
    def has_pretrained_discriminator(self) -> bool:
        """Whether the adversary uses the features of an encoder with ImageNet weights."""
        return self.adversary is not None and self.adversary.discriminator == "pretrained"


class ConfigError(AutochromeError):
    """An invalid training configuration; the message names the file and the key."""

    exit_code = 9


def load_config(path: Path) -> TrainConfig:
    """Read ``path``. Unknown, missing or wrongly typed keys raise `ConfigError`."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{path}: {why}", advice="colorize-model config lists what there is.") from error
    return read_config(values, where=str(path))


def find_config(name: str) -> TrainConfig:
    """Return the config in the TOML file ``name``, or the project's config of this name. Raises `ConfigError`."""
    path = Path(name)
    return load_config(path if path.suffix == ".toml" or path.exists() else _named(name))


def config_text(name: str) -> str:
    """Return the TOML text of the project's config ``name``. Raises `ConfigError`."""
    return _named(name).read_text(encoding="utf-8")


def _named(name: str) -> Path:
    names = list_configs()
    if name not in names:
        raise ConfigError(f"{name}: no such configuration", advice=f"There are {', '.join(names)}.")
    return CONFIGS / f"{name}.toml"


def list_configs() -> dict[str, str]:
    """Return the first comment of each of the project's configs, by name."""
    found = {}
    for path in sorted(CONFIGS.glob("*.toml")):
        lines = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
        found[path.stem] = " ".join(line.lstrip("# ") for line in lines)
    return found


def read_config(values: Mapping[str, Any], *, where: str) -> TrainConfig:
    """Return the config from nested ``values``, in the form of TOML or `dataclasses.asdict`; see `load_config`."""
    return _read(TrainConfig, values, where)


def _read(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    types_by_key = get_type_hints(kind)
    required = {
        field.name
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]  # every kind here is a dataclass
        if field.default is dataclasses.MISSING
    }
    if unknown := sorted(values.keys() - types_by_key.keys()):
        raise ConfigError(f"{where}: unknown keys: {', '.join(unknown)}", advice=_ADVICE)
    if missing := sorted(required - values.keys()):
        raise ConfigError(f"{where}: missing keys: {', '.join(missing)}", advice=_ADVICE)
    return kind(**{key: _value(types_by_key[key], value, where, key) for key, value in values.items()})


def _value(kind: Any, value: Any, where: str, key: str) -> Any:
    if get_origin(kind) in (types.UnionType, Union):
        if value is None:
            return None
        kind = next(one for one in get_args(kind) if one is not types.NoneType)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ConfigError(f"{where}: {key} must be one of {', '.join(get_args(kind))}, not {value!r}")
        return value
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: {key} must be a table, not {type(value).__name__}")
        return _read(kind, value, f"{where}: [{key}]")
    if get_origin(kind) is tuple and dataclasses.is_dataclass(get_args(kind)[0]):
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: {key} must be a list of tables")
        return tuple(_value(get_args(kind)[0], item, where, f"{key}.{number}") for number, item in enumerate(value))
    if get_origin(kind) is tuple:
        if not isinstance(value, list | tuple) or not all(type(item) is str for item in value):
            raise ConfigError(f"{where}: {key} must be a list of texts")
        return tuple(value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(f"{where}: {key} must be of type {kind.__name__}, not {type(value).__name__}")
    return value


def shortened(config: TrainConfig, *, crops: int) -> TrainConfig:
    """Return ``config`` for a run of ``crops`` crops; warm-up and decay keep their shares of it.

    Raises `ConfigError` for a run that grows: its parts have no common measure.
    """
    if config.growth:
        raise ConfigError(f"{config.name}: a run whose crops grow cannot be shortened", advice="Train without --crops.")
    steps = max(1, round(crops / config.batch))
    share = steps / config.steps
    return dataclasses.replace(
        config,
        steps=steps,
        warmup=round(config.warmup * share),
        cooldown=round(config.cooldown * share),
        checkpoint_every=min(config.checkpoint_every, max(1, steps // 4)),
        evaluate_every=min(config.evaluate_every, max(1, steps // 4)),
    )
