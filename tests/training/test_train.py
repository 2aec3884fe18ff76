from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")
pytest.importorskip("tensorboard", reason="tensorboard is not installed")

from PIL import Image  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402

from engines.errors import WeightsError  # noqa: E402
from tests.commands import PATIENCE  # noqa: E402
from tests.training.tiny import COHERENT, CONFIG, GAN, LATENT, REGRESSION  # noqa: E402
from training.config import ConfigError, TrainConfig  # noqa: E402
from training.device import open_machine  # noqa: E402
from training.runlog import Progress, TrainingError  # noqa: E402
from training.train import CHECKPOINT, train  # noqa: E402
from training.train_options import TrainOptions  # noqa: E402

PLAIN = TrainOptions(tensorboard=False)


class Killed(BaseException):
    """Stands for a process that dies some steps after a checkpoint was written."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _load(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint, weights_only=True)


@pytest.fixture(scope="module")
def run(photo_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(CONFIG, photos=photo_cache, run=tmp_path_factory.mktemp("straight")).parent


@pytest.fixture(scope="module")
def uninterrupted(run: Path) -> dict[str, Any]:
    return _load(run / CHECKPOINT)


def _assert_equal(first: Any, second: Any) -> None:
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first.keys() - {"seconds"}:
            _assert_equal(first[key], second[key])
    elif isinstance(first, list):
        for one, other in zip(first, second, strict=True):
            _assert_equal(one, other)
    else:
        assert first == second


@pytest.mark.nightly
def test_a_run_leaves_a_checkpoint_with_all_that_a_resume_needs(uninterrupted: dict[str, Any]) -> None:
    assert uninterrupted["step"] == CONFIG.steps
    assert uninterrupted["config"] == dataclasses.asdict(CONFIG)
    assert uninterrupted["plan"] == {"warmup": 1, "cooldown": 2, "steps": 4, "since": 0, "risen": 0.0}
    assert uninterrupted["optimizer"]["state"]
    for weights in (uninterrupted["model"], uninterrupted["ema"]):
        assert all(torch.isfinite(value).all() for value in weights.values())


def test_training_moves_the_weights_and_the_average_follows(
    uninterrupted: dict[str, Any], photo_cache: Path, tmp_path: Path
) -> None:
    shorter = dataclasses.replace(CONFIG, steps=1)
    start = _load(train(shorter, photos=photo_cache, run=tmp_path, options=PLAIN))
    name = "head.weight"
    assert not torch.equal(start["model"][name], uninterrupted["model"][name])
    assert not torch.equal(uninterrupted["model"][name], uninterrupted["ema"][name])


def _train_and_die(config: TrainConfig, photos: Path, run: Path) -> None:
    def die(progress: Progress) -> None:
        if progress.step > config.checkpoint_every:
            raise Killed

    with pytest.raises(Killed):
        train(config, photos=photos, run=run, options=PLAIN, watch=die)


@pytest.mark.parametrize(
    "config",
    [CONFIG, *(pytest.param(config, marks=pytest.mark.nightly) for config in (COHERENT, GAN, LATENT))],
    ids=lambda config: config.name,
)
def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(
    config: TrainConfig, photo_cache: Path, tmp_path: Path
) -> None:
    # It is told of a step between the checkpoints.
    config = dataclasses.replace(config, evaluate_every=config.checkpoint_every + 1)
    straight = _load(train(config, photos=photo_cache, run=tmp_path / "straight", options=PLAIN))
    _train_and_die(config, photo_cache, tmp_path / "killed")
    assert _load(tmp_path / "killed" / CHECKPOINT)["step"] == config.checkpoint_every < config.steps
    resumed = _load(train(config, photos=photo_cache, run=tmp_path / "killed", options=PLAIN))
    _assert_equal(resumed, straight)
    assert (resumed["adversary"] is None) == (config.adversary is None)


@pytest.mark.nightly
def test_a_slice_stops_cleanly_and_the_next_goes_on_to_the_same_end(
    uninterrupted: dict[str, Any], photo_cache: Path, tmp_path: Path
) -> None:
    instant = TrainOptions(minutes=0.0, tensorboard=False)
    for step in range(1, CONFIG.steps + 1):
        assert _load(train(CONFIG, photos=photo_cache, run=tmp_path, options=instant))["step"] == step
    _assert_equal(_load(tmp_path / CHECKPOINT), uninterrupted)


@pytest.mark.nightly
def test_a_run_goes_on_in_the_precision_that_it_began_in(photo_cache: Path, tmp_path: Path) -> None:
    train(CONFIG, photos=photo_cache, run=tmp_path, options=TrainOptions(minutes=0.0, device="cpu", tensorboard=False))
    state = _load(tmp_path / CHECKPOINT)
    began = state["made_from"]["precision"]
    with open_machine("cpu", precision="auto") as machine:
        assert machine.precision == began
    elsewhere = {"f32": "bf16", "bf16": "f32"}[began]
    state["made_from"]["precision"] = elsewhere
    torch.save(state, tmp_path / CHECKPOINT)
    watched: list[Progress] = []
    options = TrainOptions(device="cpu", tensorboard=False)
    ended = _load(train(CONFIG, photos=photo_cache, run=tmp_path, options=options, watch=watched.append))
    told = {"f32": "float32", "bf16": "bfloat16"}[elsewhere]
    assert {progress.computes.split(",")[0] for progress in watched} == {f"{told} on the CPU"}
    assert ended["made_from"]["precision"] == elsewhere


def test_photographs_on_the_device_teach_the_same_as_streamed_ones(
    run: Path, photo_cache: Path, tmp_path: Path
) -> None:
    train(CONFIG, photos=photo_cache, run=tmp_path, options=TrainOptions(resident=True, tensorboard=False))
    streamed, resident = (json.loads((of / "log.jsonl").read_text().splitlines()[0]) for of in (run, tmp_path))
    for term in ("loss/classification", "loss/regression"):
        assert resident[term] == pytest.approx(streamed[term], rel=0.03)


@pytest.mark.nightly
def test_a_run_fixed_by_the_clock_keeps_its_steps_in_the_next_slice(photo_cache: Path, tmp_path: Path) -> None:
    open_ended = dataclasses.replace(REGRESSION, evaluate_every=0, evaluate_photos=0)
    first = TrainOptions(total_minutes=0.01, pace_seconds=0.0, tensorboard=False)
    steps = _load(train(open_ended, photos=photo_cache, run=tmp_path, options=first))["plan"]["steps"]
    assert steps > 10
    longer = dataclasses.replace(first, total_minutes=99.0)
    state = _load(train(open_ended, photos=photo_cache, run=tmp_path, options=longer))
    assert state["step"] == state["plan"]["steps"] == steps


@pytest.mark.nightly
def test_a_run_can_be_brought_to_an_early_end(photo_cache: Path, tmp_path: Path) -> None:
    endless = dataclasses.replace(REGRESSION, steps=10**6, cooldown=1, evaluate_every=0, evaluate_photos=0)
    train(endless, photos=photo_cache, run=tmp_path, options=TrainOptions(minutes=0.0, tensorboard=False))
    finish = TrainOptions(finish_minutes=0.02, tensorboard=False)
    state = _load(train(endless, photos=photo_cache, run=tmp_path, options=finish))
    assert state["step"] == state["plan"]["steps"] == state["plan"]["cooldown"] + 1 < 10**6


def test_a_finished_run_is_left_as_it_is(photo_cache: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, steps=1)
    before = train(config, photos=photo_cache, run=tmp_path, options=PLAIN).read_bytes()
    assert train(config, photos=photo_cache, run=tmp_path, options=PLAIN).read_bytes() == before


def test_another_configuration_may_not_resume_a_run(photo_cache: Path, tmp_path: Path) -> None:
    train(dataclasses.replace(CONFIG, steps=1), photos=photo_cache, run=tmp_path, options=PLAIN)
    with pytest.raises(ConfigError, match="another configuration: steps"):
        train(CONFIG, photos=photo_cache, run=tmp_path, options=PLAIN)


def test_a_run_begins_with_the_averaged_weights_it_is_given(run: Path, photo_cache: Path, tmp_path: Path) -> None:
    still = dataclasses.replace(CONFIG, steps=1, learning_rate=0.0, encoder_learning_rate=0.0)
    given = _load(run / CHECKPOINT)
    # Of another run's file nothing but the averaged weights is needed.
    torch.save({"ema": given["ema"]}, tmp_path / "old.pt")
    begun = _load(train(still, photos=photo_cache, run=tmp_path / "run", start_from=tmp_path / "old.pt", options=PLAIN))
    for name, value in given["ema"].items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(begun["model"][name], value)


def test_weights_of_another_architecture_are_refused_by_name(run: Path, photo_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=CHECKPOINT):
        train(REGRESSION, photos=photo_cache, run=tmp_path, start_from=run / CHECKPOINT, options=PLAIN)


def test_the_discriminators_rate_is_logged_beside_the_generators(photo_cache: Path, tmp_path: Path) -> None:
    waits = dataclasses.replace(GAN.adversary, head_start=1, learning_rate=3e-4)
    config = dataclasses.replace(
        GAN, steps=3, warmup=3, cooldown=1, evaluate_every=0, evaluate_photos=0, adversary=waits
    )
    train(config, photos=photo_cache, run=tmp_path, options=TrainOptions(tensorboard=False, log_every=1))
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    factors = [record["lr"] / config.learning_rate for record in records]
    rates = [record["lr/discriminator"] for record in records]
    # While the generator waits, its warm-up is not the discriminator's.
    assert factors == pytest.approx([1 / 3, 2 / 3, 1], abs=0.01)
    assert rates == pytest.approx([3e-4, 2e-4, 3e-4], abs=1e-6)


def test_log_and_tensorboard_say_the_same(run: Path) -> None:
    records = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [4, 4]
    assert {"loss", "loss/classification", "rate", "lr"} <= records[0].keys()
    assert {"held_out/loss", "held_out/ciede2000", "held_out/cf", "held_out/cf_truth"} <= records[1].keys()
    # The third step of four is half-way down: 1 - sqrt(1 / 2) of the rate.
    assert records[0]["lr"] == pytest.approx(CONFIG.learning_rate * (1 - 0.5**0.5), abs=1e-6)
    assert records[0]["lr/encoder"] == pytest.approx(CONFIG.encoder_learning_rate * (1 - 0.5**0.5), abs=1e-6)
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    (shown,) = events.Images("held_out")
    with Image.open(run / "samples" / "0000004.png") as sheet:
        assert (shown.step, shown.width, shown.height) == (4, *sheet.size)
    for key, value in {**records[0], **records[1]}.items():
        if key != "step":
            (point,) = events.Scalars(key)
            assert (point.step, point.value) == (4, pytest.approx(value, abs=1e-5, rel=1e-4))


def test_the_log_has_a_line_as_often_as_asked_and_whoever_watches_is_told(photo_cache: Path, tmp_path: Path) -> None:
    watched: list[Progress] = []
    often = TrainOptions(tensorboard=False, log_every=1)
    train(CONFIG, photos=photo_cache, run=tmp_path, options=often, watch=watched.append)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "loss" in record] == [1, 2, 3, 4]
    last = watched[-1]
    assert (last.step, last.steps, last.seconds_left) == (4, 4, 0)
    assert last.loss > 0
    assert last.crops_per_second > 0
    assert last.sheet == tmp_path / "samples" / "0000004.png"


def test_an_evaluation_draws_the_held_out_photographs_beside_their_truth(run: Path, photo_cache: Path) -> None:
    with Image.open(run / "samples" / "0000004.png") as sheet:
        pixels = np.asarray(sheet)
    tile = CONFIG.crop
    assert pixels.shape[0] > tile
    assert pixels.shape[1] > 3 * CONFIG.evaluate_photos * tile


@pytest.mark.nightly
def test_a_log_forgets_what_was_written_after_the_checkpoint(photo_cache: Path, tmp_path: Path) -> None:
    short = dataclasses.replace(CONFIG, evaluate_every=1)
    train(short, photos=photo_cache, run=tmp_path, options=TrainOptions(minutes=0.0, tensorboard=False))
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 2, "loss": 99.0}\n')
    train(short, photos=photo_cache, run=tmp_path, options=PLAIN)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records if "held_out/loss" in record] == [1, 2, 3, 4]
    assert 99.0 not in [record.get("loss") for record in records]


def test_a_loss_that_diverges_stops_the_run(photo_cache: Path, tmp_path: Path) -> None:
    wild = dataclasses.replace(REGRESSION, loss=dataclasses.replace(REGRESSION.loss, regression=float("inf")))
    with pytest.raises(TrainingError, match="not finite before step 4"):
        train(wild, photos=photo_cache, run=tmp_path, options=PLAIN)


def test_too_few_photographs_are_refused_with_what_they_are_needed_for(photo_cache: Path, tmp_path: Path) -> None:
    greedy = dataclasses.replace(CONFIG, batch=64)
    with pytest.raises(ConfigError, match="12 photographs are too few: 4 are held out to measure on, and a batch has"):
        train(greedy, photos=photo_cache, run=tmp_path / "run", options=PLAIN)
    assert not (tmp_path / "run").exists()


TWO_PROCESSES = """
import sys
from pathlib import Path
import torch
from tests.training.tiny import CONFIG
from training.device import open_machine
from training.train_options import TrainOptions
from training.train import train

torch.set_num_threads(1)
with open_machine("cpu", precision="f32") as machine:
    weight = torch.nn.Parameter(torch.zeros(3))
    weight.grad = torch.full((3,), float(machine.rank))
    machine.average_gradients([weight])
    assert machine.ranks == 2 and torch.equal(weight.grad, torch.full((3,), 0.5))
    assert machine.agreed(machine.rank + 7.0) == 7.0
    options = TrainOptions(device="cpu", tensorboard=False)
    train(CONFIG, photos=Path(sys.argv[1]), run=Path(sys.argv[2]), options=options)
"""


@pytest.mark.nightly
def test_two_processes_share_every_batch_and_one_writes(photo_cache: Path, tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO_PROCESSES)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*command, str(photo_cache), str(tmp_path / "run")],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert _load(tmp_path / "run" / CHECKPOINT)["step"] == CONFIG.steps
    records = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(record)["step"] for record in records] == [4, 4]
