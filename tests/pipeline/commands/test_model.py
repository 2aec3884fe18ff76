"""``colorize-model`` keeps networks and lists them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data"


def model(*words: str) -> subprocess.CompletedProcess[str]:
    program = "import sys, cli; sys.argv[0] = 'colorize-model'; cli.model()"
    return subprocess.run(
        [sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_DATA_HOME moves the library on Linux alone")
def test_a_network_that_was_added_is_listed_and_found(library: Path, tiny: Path) -> None:
    done = model("add", str(tiny), "--name", "mine", "--licence", "CC0-1.0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"]["licence"] == "CC0-1.0"
    listed = {one["name"]: one for one in json.loads(model("list", "--json").stdout)["models"]}
    assert listed["mine"]["is_added"]
    assert not listed["fast"]["is_added"]
    assert json.loads(model("info", "mine", "--json").stdout)["card"]["licence"] == "CC0-1.0"


def test_what_is_no_network_is_refused(library: Path, tmp_path: Path) -> None:
    other = tmp_path / "letter.onnx"
    other.write_text("Dear Anna", encoding="ascii")
    done = model("add", str(other))
    assert done.returncode == 9
    assert str(other) in done.stderr
    assert not list(library.rglob("*.onnx"))
