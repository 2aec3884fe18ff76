from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from training.config import AdversaryConfig, ConfigError, TrainConfig, find_config, load_config, read_config, shortened

pytestmark = pytest.mark.slow

CONFIGS = sorted((Path(__file__).parents[2] / "training" / "configs").glob("*.toml"))
GAN = next(path for path in CONFIGS if path.stem == "pix2pix")


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_project_can_be_read_and_fits_its_architecture(path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from training.config_check import check_config

    config = load_config(path)
    assert config.name == path.stem
    check_config(config)


def test_the_smaller_pix2pix_differs_from_the_whole_one_in_what_it_says() -> None:
    whole, small = (dataclasses.asdict(find_config(name)) for name in ("pix2pix", "pix2pix-128"))
    differing = {key for key in whole if whole[key] != small[key]}
    assert differing == {
        *("name", "architecture", "crop", "min_scale", "batch", "steps", "checkpoint_every", "evaluate_every")
    }


def test_a_run_can_be_made_shorter_by_its_crops() -> None:
    config = next(load_config(path) for path in CONFIGS if path.stem == "zhang2016")
    short = shortened(config, crops=8_000)
    assert (short.steps, short.batch, short.cooldown) == (200, 40, 33)
    assert short.evaluate_every == short.checkpoint_every == 50
    growing = next(one for one in map(load_config, CONFIGS) if one.growth)
    with pytest.raises(ConfigError, match="cannot be shortened"):
        shortened(growing, crops=100)


def _altered(tmp_path: Path, old: str, new: str) -> Path:
    text = GAN.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "altered.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
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
        ('"auto"', '"f16"', "precision must be one of auto, bf16, f32, not 'f16'"),
        ("regression =", "regresion =", r"\[loss\]: unknown keys: regresion"),
        ('"vanilla"', '"chocolate"', r"\[adversary\]: objective must be one of vanilla, least-squares"),
        ("weight = 1.0", "", r"\[adversary\]: missing keys: weight"),
        ("[loss]", "loss = 1\n[other]", "unknown keys: other"),
        ("seed = 1", 'seed = 1\nundegraded = "grain"', "undegraded must be a list of texts"),
        ("[adversary]", "[[adversary]]", "adversary must be a table, not list"),
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


def test_tables_are_read_into_their_own_types(tmp_path: Path) -> None:
    config = load_config(_altered(tmp_path, "seed = 1", 'seed = 1\nundegraded = ["grain", "dust"]'))
    assert config.undegraded == ("grain", "dust")
    assert config.adversary == AdversaryConfig(objective="vanilla", weight=1.0, learning_rate=2e-4)
    assert config.loss.distance == "l1"
    assert load_config(CONFIGS[0]).undegraded == ()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_what_a_checkpoint_keeps_of_a_config_gives_it_back(path: Path) -> None:
    config = load_config(path)
    assert read_config(dataclasses.asdict(config), where="checkpoint") == config


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        load_config(tmp_path / "absent.toml")


def test_a_config_cannot_be_changed_after_reading() -> None:
    config = load_config(CONFIGS[0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 2  # type: ignore[misc]
    assert isinstance(config, TrainConfig)
