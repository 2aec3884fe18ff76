"""The first check of a new network: it must be able to memorise a handful of photographs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.cielab_numpy import rgb_to_lab
from training.config import ConfigError, TrainConfig
from training.data import U8, Photos, middle_crop
from training.evaluate import grey, lightness_of
from training.metrics import ciede2000
from training.photo_files import PhotosError
from training.runlog import LOG, Progress
from training.samples import SAMPLES
from training.train import CHECKPOINT, train
from training.train_options import TrainOptions

STEPS = 500
_LOOKS = 5
# Share of grey's error: a network that has memorised the photographs stays far below.
_LEARNT = 0.5


@dataclass(frozen=True)
class Overfit:
    """The result: mean CIEDE2000 of the photographs as grey and as finally coloured by the network."""

    photographs: int
    steps: int
    grey: float
    reached: float
    sheet: Path

    @property
    def learnt(self) -> bool:
        """Whether the error fell to half of grey's."""
        return self.reached <= _LEARNT * self.grey


def overfit(
    config: TrainConfig,
    *,
    photos: Photos,
    run: Path,
    count: int,
    steps: int = STEPS,
    backbone: Path | None = None,
    start_from: Path | None = None,
    options: TrainOptions | None = None,
    watch: Callable[[Progress], None] = lambda _: None,
) -> Overfit:
    """Train ``config`` for ``steps`` steps on the first ``count`` of ``photos``, whole and clean; evaluate on the same.

    Everything goes to ``run``, which must not contain another run. Raises `PhotosError` for fewer photographs, and the
    errors of `train`.
    """
    check_count(len(photos), count)
    if (run / CHECKPOINT).exists():
        raise ConfigError(f"{run}: holds a run already", advice="Choose a new run folder.")
    batch = min(config.batch, count)
    by_heart = dataclasses.replace(
        config,
        name=f"{config.name}{_suffix(count)}",
        batch=batch,
        steps=steps,
        growth=(),
        holdout=count,
        degraded_share=0.0,
        undegraded=(),
        hinted_share=0.0,
        augment=False,
        min_scale=None,
        warmup=min(config.warmup, steps // 10),
        cooldown=steps // 5,
        ema=min(config.ema, 0.9),
        evaluate_every=max(1, steps // _LOOKS),
        evaluate_photos=count,
        checkpoint_every=steps,
    )
    few = _Few(photos, count)
    train(by_heart, photos=few, run=run, backbone=backbone, start_from=start_from, options=options, watch=watch)
    records = [json.loads(line) for line in (run / LOG).read_text(encoding="utf-8").splitlines()]
    last = [record for record in records if "held_out/ciede2000" in record][-1]
    size = config.evaluate_crop or config.crop
    greys = [_grey_error(middle_crop(few[number], size)) for number in range(count)]
    sheet = run / SAMPLES / f"{last['step']:07}.png"
    return Overfit(count, last["step"], float(np.mean(greys)), last["held_out/ciede2000"], sheet)


def is_overfit(config: TrainConfig) -> bool:
    """Return whether a run of `overfit` had this configuration: what it held out it had learnt by heart."""
    return config.name.endswith(_suffix(config.holdout))


def _suffix(count: int) -> str:
    return f"-overfit-{count}"


def check_count(photographs: int, count: int) -> None:
    """Raise `PhotosError` if there are fewer ``photographs`` than ``count``."""
    if photographs < count:
        raise PhotosError(
            f"{photographs} photographs are too few to overfit {count}", advice="Give more, or a smaller --overfit."
        )


def _grey_error(truth: U8) -> float:
    return float(ciede2000(rgb_to_lab(grey(lightness_of(truth))), rgb_to_lab(truth)).mean())


class _Few:
    """The first photographs, twice: for training, and as those that are held out."""

    def __init__(self, photos: Photos, count: int) -> None:
        self._photos, self._count = photos, count

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        first = self._photos.sizes[: self._count]
        return np.concatenate([first, first])

    def __len__(self) -> int:
        return 2 * self._count

    def __getitem__(self, number: int) -> U8:
        return self._photos[number % self._count]
