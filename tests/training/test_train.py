from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from tests.training.tiny import CONFIG  # noqa: E402
from training import train as train_module  # noqa: E402
from training.config import ConfigError  # noqa: E402
from training.train import CHECKPOINT, train  # noqa: E402


class Killed(BaseException):
    """Stands for a process that dies right after a checkpoint was written."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def uninterrupted(photo_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    checkpoint = train(CONFIG, photos=photo_cache, run=tmp_path_factory.mktemp("straight"))
    return torch.load(checkpoint, weights_only=True)


def _assert_equal(first: object, second: object) -> None:
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            _assert_equal(first[key], second[key])
    elif isinstance(first, list):
        for one, other in zip(first, second, strict=True):
            _assert_equal(one, other)
    else:
        assert first == second


def test_a_run_leaves_a_checkpoint_with_all_that_a_resume_needs(uninterrupted: dict[str, Any]) -> None:
    assert uninterrupted["step"] == CONFIG.steps
    assert uninterrupted["config"] == dataclasses.asdict(CONFIG)
    assert uninterrupted["optimizer"]["state"]
    for weights in (uninterrupted["model"], uninterrupted["ema"]):
        assert all(torch.isfinite(value).all() for value in weights.values())


def test_training_moves_the_weights_and_the_average_follows(
    uninterrupted: dict[str, Any], photo_cache: Path, tmp_path: Path
) -> None:
    shorter = dataclasses.replace(CONFIG, steps=1)
    start = torch.load(train(shorter, photos=photo_cache, run=tmp_path), weights_only=True)
    name = "head.weight"
    assert not torch.equal(start["model"][name], uninterrupted["model"][name])
    assert not torch.equal(uninterrupted["model"][name], uninterrupted["ema"][name])


def test_killed_and_resumed_equals_uninterrupted_bit_for_bit(
    uninterrupted: dict[str, Any], photo_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = train_module._save

    def save_and_die(path: Path, *rest: Any) -> None:
        save(path, *rest)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(train_module, "_save", save_and_die)
        train(CONFIG, photos=photo_cache, run=tmp_path)
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"] == CONFIG.checkpoint_every < CONFIG.steps
    resumed = torch.load(train(CONFIG, photos=photo_cache, run=tmp_path), weights_only=True)
    _assert_equal(resumed, uninterrupted)


def test_a_finished_run_is_left_as_it_is(photo_cache: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, steps=1)
    before = train(config, photos=photo_cache, run=tmp_path).read_bytes()
    assert train(config, photos=photo_cache, run=tmp_path).read_bytes() == before


def test_another_configuration_may_not_resume_a_run(photo_cache: Path, tmp_path: Path) -> None:
    train(dataclasses.replace(CONFIG, steps=1), photos=photo_cache, run=tmp_path)
    with pytest.raises(ConfigError, match="another configuration"):
        train(CONFIG, photos=photo_cache, run=tmp_path)


def test_a_run_begins_with_the_averaged_weights_it_is_given(photo_cache: Path, tmp_path: Path) -> None:
    still = dataclasses.replace(CONFIG, steps=1, learning_rate=0.0, encoder_learning_rate=0.0)
    first = train(CONFIG, photos=photo_cache, run=tmp_path / "first")
    second = train(still, photos=photo_cache, run=tmp_path / "second", start_from=first)
    begun, given = (torch.load(path, weights_only=True) for path in (second, first))
    for name, value in given["ema"].items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(begun["model"][name], value)
