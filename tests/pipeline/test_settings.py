from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command

from cli import CONFIGURED
from pipeline.archive.run_options import Shard
from pipeline.commands import archive, photo, review, video
from pipeline.settings import COMMANDS, FILE_NAME, SettingsError, Shape, read_settings, unknown_variables
from tests.commands import ROOT, colorize

DOCUMENT = ROOT / "docs" / "operations.md"
APPS = {"video": video.commands, "photo": photo.commands, "archive": archive.commands, "review": review.commands}
HOME = Path("~").expanduser()


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AUTOCHROME_")]:
        monkeypatch.delenv(name)


def parsed(command: str, *words: str) -> dict[str, Any]:
    """Return the values that ``command`` would work with."""
    with get_command(APPS[command]).make_context(f"colorize-{command}", ["there", *words], obj=CONFIGURED) as context:
        return context.params


def settings(text: str, name: str = FILE_NAME) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.slow
def test_the_command_line_wins_over_the_environment_and_the_environment_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert parsed("video")["engine"] == "auto"
    settings('engine = "tensorrt"')
    assert parsed("video")["engine"] == "tensorrt"
    monkeypatch.setenv("AUTOCHROME_ENGINE", "openvino")
    assert parsed("video")["engine"] == "openvino"
    assert parsed("video", "--engine", "onnxruntime")["engine"] == "onnxruntime"


@pytest.mark.slow
def test_the_command_line_takes_back_what_others_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    settings("overwrite = true\n[archive]\nno-report = true")
    assert parsed("video")["overwrite"] is True
    assert parsed("video", "--no-overwrite")["overwrite"] is False
    assert parsed("archive")["no_report"] is True
    assert parsed("archive", "--report")["no_report"] is False
    monkeypatch.setenv("AUTOCHROME_OVERWRITE", "0")
    assert parsed("video")["overwrite"] is False
    assert parsed("video", "--overwrite")["overwrite"] is True


@pytest.mark.slow
def test_a_table_is_for_one_command_and_wins_over_the_top() -> None:
    settings('quality = "master"\n[video]\nfps = 23.976\n[archive]\nquality = "access"\nuntil = 06:00:00')
    assert parsed("video")["quality"] == "master"
    assert parsed("archive")["quality"] == "access"
    assert float(parsed("video")["fps"]) == 24000 / 1001
    assert parsed("archive")["until"].strftime("%H:%M") == "06:00"


FULL = {
    "output": ('"out"', Path("out")),
    "engine": ('"tensorrt"', "tensorrt"),
    "model": ('"fast"', "fast"),
    "codec": ('"hevc"', "hevc"),
    "quality": ('"master"', "master"),
    "every": ("3", 3),
    "tone": ('"keep"', "keep"),
    "treat-as": ('"tinted"', "tinted"),
    "deinterlace": ("true", True),
    "on-damage": ('"conceal"', "conceal"),
    "verify": ("true", True),
    "overwrite": ("true", True),
    "include": ('["*.tif", "with space/**"]', ["*.tif", "with space/**"]),
    "exclude": ('["thumbs"]', ["thumbs"]),
    "since": ("2026-01-31", datetime(2026, 1, 31).astimezone()),
    "shard": ('"3/16"', Shard(index=3, count=16)),
    "follow-links": ("true", True),
    "verify-all": ("true", True),
    "until": ("2036-01-31T06:00:00", datetime(2036, 1, 31, 6).astimezone()),
    "jobs": ("2", 2),
    "retry": ("0", 0),
    "quarantine-after": ("5", 5),
    "keep-free": ('"20 GB"', 20_000_000_000),
    "no-sidecars": ("true", True),
    "bag": ("true", True),
    "no-report": ("true", True),
    "log": ('"night.jsonl"', Path("night.jsonl")),
    "metrics": ('"a.prom"', Path("a.prom")),
    "saturation": ("0.8", 0.8),
    "corrections": ('"set-right"', Path("set-right")),
    "reference": ('"coloured"', Path("coloured")),
    "decide": ('"colour"', "colour"),
    "device": ('"cpu"', "cpu"),
    "on": ('"processes"', "processes"),
    "workers": ("3", 3),
    "report-only": ("true", True),
    "dry-run": ("true", True),
    "json": ("true", True),
    "log-file": ('"all.log"', Path("all.log")),
    "verbose": ("2", 2),
    "quiet": ("true", True),
}


def test_every_option_can_stand_in_the_file() -> None:
    settings("\n".join(f"{key} = {text}" for key, (text, _) in FULL.items()))
    found = parsed("archive")
    plural = {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
    assert {key: plural[key.replace("-", "_")] for key in FULL} == {key: value for key, (_, value) in FULL.items()}
    assert {name.replace("_", "-") for name in found} == FULL.keys() | {"folder", "config", "version"}


def test_every_option_can_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    lists = {"include": "*.tif people/**", "exclude": "thumbs"}
    for key, (text, _) in FULL.items():
        monkeypatch.setenv(f"AUTOCHROME_{key.upper().replace('-', '_')}", lists.get(key, text.strip('"')))
    found = parsed("archive")
    expected = {key: value for key, (_, value) in FULL.items()} | {key: text.split() for key, text in lists.items()}
    plural = {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
    assert {key: plural[key.replace("-", "_")] for key in FULL} == expected


def test_a_named_file_is_read_in_place_of_the_one_in_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    settings('engine = "tensorrt"')
    other = settings('model = "fast"', "conf/other.toml")
    assert parsed("video", "--config", str(other))["engine"] == "auto"
    monkeypatch.setenv("AUTOCHROME_CONFIG", str(other))
    assert parsed("video")["engine"] == "auto"
    assert parsed("video", "--config", os.devnull)["engine"] == "auto"


def test_paths_in_the_file_are_below_its_folder() -> None:
    text = 'output = "out"\nmodel = "mine/w.onnx"\n[archive]\nlog = "/var/log/a.jsonl"\nmetrics = "~/a.prom"'
    found = parsed("archive", "--config", str(settings(text, "conf/other.toml")))
    assert found["output"] == Path("conf/out")
    assert found["model"] == str(Path("conf/mine/w.onnx"))
    assert (found["log"], found["metrics"]) == (Path("/var/log/a.jsonl"), HOME / "a.prom")


WRONG = {
    "engin = 'tensorrt'": r"engin: there is no such setting",
    "keep_free = '5GB'": r"keep_free: there is no such setting",
    "[video]\nuntil = '06:00'": r"until: there is no such setting",
    "folder = 'x'": r"folder: there is no such setting",
    "version = true": r"version: there is no such setting",
    "config = 'x.toml'": r"config: there is no such setting",
    "[film]\nfps = 24": r"film: there is no such setting",
    "video = 3": r"video is not a table",
    "overwrite = 1": r"overwrite must be true or false, not 1",
    "engine = true": r"engine must be a text or a number, not True",
    "engine = ''": r"engine must be a text or a number, not ''",
    "output = 3": r"output must be the path of a file or folder, not 3",
    "engine = 'crystal'": r"engine: 'crystal' is not one of 'auto'",
    "every = 0": r"every: '0' is neither auto nor a whole number",
    "[video]\nfps = 'fast'": r"fps: 'fast' is not a frame rate",
    "engine = ": r"is not valid TOML: Invalid value",
    "engine = 'a'\nengine = 'b'\n": r"is not valid TOML: .*line 2",
}


@pytest.mark.few(3)
@pytest.mark.parametrize("text", WRONG)
def test_what_cannot_be_followed_is_named_with_its_file(text: str) -> None:
    settings(text)
    with pytest.raises(SettingsError, match=rf"^autochrome\.toml: {WRONG[text]}") as caught:
        parsed("video")
    assert caught.value.exit_code == 9
    assert caught.value.advice


def test_a_near_miss_is_told_what_was_meant() -> None:
    settings("[archive]\nkeep_free = '5GB'")
    with pytest.raises(SettingsError) as caught:
        parsed("archive")
    assert caught.value.advice == "Did you mean keep-free?"


def test_lists_must_be_lists_of_texts() -> None:
    for wrong in ("'*.tif'", "[1]", "['']"):
        settings(f"[archive]\ninclude = {wrong}")
        with pytest.raises(SettingsError, match="include must be a list of texts"):
            parsed("archive")


def test_a_file_that_is_named_must_be_there() -> None:
    with pytest.raises(SettingsError, match=r"none\.toml: cannot be read: No such file"):
        parsed("video", "--config", "none.toml")


def test_a_variable_that_cannot_be_followed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOCHROME_SHARD", "17/16")
    with pytest.raises(SettingsError, match="AUTOCHROME_SHARD: '17/16' is not a shard") as caught:
        parsed("archive")
    assert caught.value.exit_code == 9
    assert parsed("video")["engine"] == "auto"
    assert parsed("archive", "--shard", "1/2")["shard"] == Shard(index=1, count=2)


def test_a_fault_of_the_command_line_stays_one() -> None:
    with pytest.raises(typer.BadParameter, match="17/16"):
        parsed("archive", "--shard", "17/16")


def test_variables_of_no_option_are_found_out() -> None:
    environment = {"AUTOCHROME_ENGIN": "tensorrt", "AUTOCHROME_MODEL": "fast", "AUTOCHROMES": "", "PATH": ""}
    assert unknown_variables(environment, {"AUTOCHROME_MODEL"}) == ["AUTOCHROME_ENGIN"]


@pytest.mark.slow
def test_no_variable_shows_the_version_or_the_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOCHROME_VERSION", "1")
    monkeypatch.setenv("AUTOCHROME_HELP", "1")
    assert parsed("video")["engine"] == "auto"


def test_other_commands_tables_are_left_to_them() -> None:
    path = settings("[archive]\nnonsense = 1")
    assert read_settings(path, command="video", shapes={"engine": Shape.ONE}) == {}


@pytest.mark.slow
def test_which_file_was_read_is_said_and_so_are_variables_of_no_option() -> None:
    settings("[archive]\ndry-run = true")
    Path("scans").mkdir()
    Path("scans", "a.pgm").write_bytes(b"P5 64 64 255 " + bytes(range(64)) * 64)
    done = colorize("archive", "scans", AUTOCHROME_ENGIN="tensorrt", AUTOCHROME_FPS="24")
    assert done.returncode == 0, done.stderr
    assert "1 photo and 0 films to colour" in done.stdout
    assert done.stderr.splitlines() == [
        "settings: autochrome.toml",
        "ignored: the variable AUTOCHROME_ENGIN names no option",
    ]
    assert colorize("archive", "scans", "--quiet", AUTOCHROME_ENGIN="tensorrt").stderr == ""


@pytest.mark.parametrize("words", [["--json"], []])
def test_a_wrong_file_ends_the_command_with_exit_code_9(words: list[str]) -> None:
    settings("engin = 'tensorrt'")
    done = colorize("archive", "scans", *words)
    assert done.returncode == 9
    assert "Error: autochrome.toml: engin: there is no such setting" in done.stderr
    assert "Did you mean engine?" in done.stderr
    assert "Traceback" not in done.stderr
    if words:
        assert json.loads(done.stdout)["error"]["kind"] == "SettingsError"


def test_json_asked_for_by_the_environment_holds_for_errors_too() -> None:
    done = colorize("archive", "--engine", "crystal", AUTOCHROME_JSON="1")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["kind"] == "UsageError"


def test_the_documented_tables_are_those_of_the_program() -> None:
    assert tuple(APPS) == COMMANDS
    text = DOCUMENT.read_text(encoding="utf-8")
    assert all(f"[{command}]" in text for command in COMMANDS)
