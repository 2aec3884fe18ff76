"""The whole training loop: photographs in, a checkpoint out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engines.errors import WeightsError
from training.batches import ResidentPhotos, resident, streamed
from training.checkpoint import save_state
from training.config import ConfigError, TrainConfig, read_config
from training.config_check import check_config, check_photo_count
from training.data import CropStream, PhotoCache, Photos, crops_before, stage_at
from training.device import Machine, fits, open_machine
from training.files import UNREADABLE, check_output, check_place, reason, writing
from training.learner import Learner
from training.origins import origins
from training.photo_zips import open_photos
from training.runlog import LossMeter, Progress, RunLog
from training.samples import SAMPLES, HeldOut
from training.train_options import RunClock, TrainOptions, plan_run

CHECKPOINT = "checkpoint.pt"
# Seconds between progress reports: often enough to see that it is running.
_TELL_EVERY = 2.0
# Maximum seconds between checkpoints, however slow the steps.
_SAVE_EVERY = 600.0


def train(
    config: TrainConfig,
    *,
    photos: Path | Photos,
    run: Path,
    backbone: Path | None = None,
    start_from: Path | None = None,
    options: TrainOptions | None = None,
    watch: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Train ``config`` on ``photos`` and return the checkpoint's path.

    ``photos`` is a cache of `training.data.build_cache` or a folder of zip files with an index, see
    `training.photo_zips.index_zips`. A checkpoint found in ``run`` is resumed, step for step as if it had never
    stopped. ``start_from`` is another run's checkpoint, or an exported network (``*.onnx``), whose averaged weights
    this run starts from; parts of a `Coherent` that they lack start silent. ``backbone`` holds ImageNet weights for the
    encoder. ``watch`` receives the progress of the run. Under ``torchrun`` every process takes its part of each batch,
    and the first one writes. Raises `ConfigError` for a config that does not fit its architecture, the photographs or
    the run, `PhotosError` for missing photographs, `WeightsError` for weights of another network, `TrainingError` if
    the loss diverges, `WriteError` for a location that cannot be written to, `SourceError` if ``run`` lies among the
    photographs; ``run`` is then unchanged.
    """
    if isinstance(photos, Path):
        check_output(run, [photos])
    options = options or TrainOptions()
    checkpoint = run / CHECKPOINT
    check_place(checkpoint)
    state = _saved(checkpoint, config)
    made_from: Any = None if state is None else state.get("made_from")
    # A run keeps its initial precision on any device.
    precision = config.precision if made_from is None else made_from.get("precision", config.precision)
    with open_machine(options.device, precision=precision) as machine:
        clock = RunClock(options, machine)
        cache = open_photos(photos) if isinstance(photos, Path) else photos
        architecture = check_config(config, ranks=machine.ranks)
        check_photo_count(config, len(cache))
        learner = Learner(config, architecture, cache, machine, backbone=backbone, start_from=start_from)
        plan = plan_run(config, options, state)
        first = 0
        if state is not None:
            first = state["step"]
            learner.restore(state)
            clock.resume(first, state["seconds"])
        else:
            made_from = origins(
                photos,
                cache,
                backbone=backbone,
                lacking=learner.lacking,
                start_from=start_from,
                precision=machine.precision,
            )
        with writing(run):
            run.mkdir(parents=True, exist_ok=True)

        def save(step: int) -> None:
            reached = {"step": step, "seconds": clock.seconds, "plan": dataclasses.asdict(plan)}
            save_state({**reached, **learner.state(), "made_from": made_from}, checkpoint)

        if plan.over(first):
            if state is None:
                save(0)
            return checkpoint
        if options.compile:
            learner.compile()
        log = RunLog(run, first=first, tensorboard=options.tensorboard) if machine.writes else None
        bins = learner.bins if learner.classifies else None
        held_out = HeldOut(cache, config, machine, bins=bins, stride=learner.stride)
        meter = LossMeter(first, watch, every=_TELL_EVERY, computes=machine.computes, lacking=learner.lacking)
        stream = _stream(cache, config, machine)
        kept = time.monotonic()
        with closing(_batches(cache, stream, options, machine, first)) as batches:
            for step, crops in batches:
                factor = plan.factor(step)
                numbers = [crop.number for crop in stream.plan(step)] if config.embeddings else ()
                terms = learner.learn(step, crops, factor=factor, numbers=numbers)
                done = step + 1
                meter.add(terms, crops=stage_at(config.stages, step).batch)
                plan = clock.fix(plan, done, share=config.cooldown / config.steps)
                ends = plan.over(done)
                stops = ends or clock.up()
                if log is not None and (done % options.log_every == 0 or stops):
                    rates = _rates(learner, factor)
                    log.write(done, {"crops": crops_before(config.stages, done), **meter.means(done), **rates})
                if log is not None and config.evaluate_every and (done % config.evaluate_every == 0 or ends):
                    meter.tell(done, plan.steps, learning_rate=config.learning_rate * factor, now=True, measures=True)
                    sheet = run / SAMPLES / f"{done:07}.png"
                    log.write(done, held_out(learner.averaged, learner.loss, sheet))
                    log.show(done, sheet)
                    meter.drew(sheet)
                due = time.monotonic() - kept > _SAVE_EVERY
                if machine.writes and (done % config.checkpoint_every == 0 or stops or due):
                    save(done)
                    kept = time.monotonic()
                meter.tell(done, plan.steps, learning_rate=config.learning_rate * factor, now=stops)
                if stops:
                    break
        if log is not None:
            log.close()
    return checkpoint


def _rates(learner: Learner, factor: float) -> dict[str, float]:
    """Return the learning rates of a step at ``factor`` times the configuration's; a discriminator has its own."""
    config = learner.config
    rates = {"lr": config.learning_rate * factor}
    if config.encoder_learning_rate is not None:
        rates["lr/encoder"] = config.encoder_learning_rate * factor
    if learner.adversary is not None:
        rates["lr/discriminator"] = learner.adversary.learning_rate
    return rates


def _stream(cache: Photos, config: TrainConfig, machine: Machine) -> CropStream:
    return CropStream(
        cache,
        stages=config.stages,
        seed=config.seed,
        holdout=config.holdout,
        rank=machine.rank,
        ranks=machine.ranks,
        augment=config.augment,
    )


def _batches(
    cache: Photos, stream: CropStream, options: TrainOptions, machine: Machine, first: int
) -> Generator[tuple[int, Tensor]]:
    if isinstance(cache, PhotoCache):
        stays = fits(cache.path.stat().st_size, machine.device) if options.resident is None else options.resident
        if stays:
            return resident(ResidentPhotos(cache, device=machine.device), stream, first)
    return streamed(stream, first, machine.device)


def _saved(checkpoint: Path, config: TrainConfig) -> dict[str, Any] | None:
    if not checkpoint.exists():
        return None
    try:
        # On the CPU: optimisers count steps there, and would query a GPU for every parameter's count at every step.
        state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        made_with = read_config(state["config"], where=str(checkpoint))
    except (*UNREADABLE, ConfigError) as error:
        raise WeightsError(
            f"{checkpoint}: not a checkpoint that can be resumed ({reason(error)})",
            advice="Choose a new run folder.",
        ) from error
    if made_with != config:
        differing = [
            field.name
            for field in dataclasses.fields(config)
            if getattr(made_with, field.name) != getattr(config, field.name)
        ]
        raise ConfigError(
            f"{checkpoint}: made with another configuration: {', '.join(differing)}",
            advice="Choose a new run folder.",
        )
    return state
