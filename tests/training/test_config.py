from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from training.config import ConfigError, TrainConfig, load_config

CONFIGS = sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_project_can_be_read(path: Path) -> None:
    assert load_config(path).name


def _altered(tmp_path: Path, old: str, new: str) -> Path:
    text = CONFIGS[0].read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "altered.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seed =", "sead =", "unknown keys: sead"),
        ("seed =", "#", "missing keys: seed"),
        ("seed = ", "seed = 0.5 #", "seed must be of type int, not float"),
        ("clip = ", 'clip = "much" #', "clip must be of type float, not str"),
        ("clip = ", "clip = true #", "clip must be of type float, not bool"),
        ("seed =", "seed = =", "altered.toml"),
    ],
)
def test_a_wrong_config_is_refused_by_file_and_key(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = _altered(tmp_path, old, new)
    with pytest.raises(ConfigError, match=told) as raised:
        load_config(path)
    assert str(path) in str(raised.value)


def test_a_whole_number_stands_for_a_float(tmp_path: Path) -> None:
    clip = load_config(_altered(tmp_path, "clip = ", "clip = 3 #")).clip
    assert clip == 3
    assert type(clip) is float


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        load_config(tmp_path / "absent.toml")


def test_a_config_cannot_be_changed_after_reading() -> None:
    config = load_config(CONFIGS[0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 2  # type: ignore[misc]
    assert isinstance(config, TrainConfig)
