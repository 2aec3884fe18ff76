"""docs/training.md: its commands, run as they stand, in their order, by someone who has a folder of photographs.

Only what takes long is shortened, see `SHORTER`: minutes become a moment, and the configuration is that of the tests.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.nightly

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")
pytest.importorskip("tensorboard", reason="tensorboard is not installed")

from PIL import Image  # noqa: E402

from engines.library import load_weights  # noqa: E402
from tests.commands import PATIENCE, ROOT  # noqa: E402
from tests.training.conftest import synthetic_photo  # noqa: E402
from tests.training.tiny import CONFIG, as_toml  # noqa: E402
from training.architectures.encoders import WholeResNet18Encoder  # noqa: E402
from training.checkpoint import load_trained  # noqa: E402

TEXT = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", TEXT, re.S) for line in block.splitlines()]
SHORTER = {
    **({} if shutil.which("c++") else {"--compile ": ""}),
    "--total-minutes 60": "--crops 16",
    "--overfit 8": "--overfit 3 --crops 6",
    "--cf-share 0.6": "--cf-share 0",
}
# As many steps as a test has time for are too few to learn by heart: 3.
EXITS = {"--overfit 8": (0, 3)}
PORT = "16067"
CHECKPOINTS = ("mine/checkpoint.pt", "shared/checkpoint.pt", "more/checkpoint.pt", "mean.pt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outsider")
    for name, count in (("photos", 14), ("held-out", 2)):
        (folder / name).mkdir()
        for number in range(count):
            Image.fromarray(synthetic_photo(100 * len(name) + number)).save(folder / name / f"{number}.png")
    (folder / "scans").mkdir()
    grey = np.uint8(synthetic_photo(1).mean(axis=2))
    Image.fromarray(grey).save(folder / "scans" / "one.png")
    weights = {**WholeResNet18Encoder().state_dict(), "conv1.weight": 0.1 * torch.rand(64, 3, 7, 7)}
    torch.save({**weights, "fc.weight": torch.rand(1000, 512)}, folder / "resnet18-f37072fd.pth")
    return folder


@pytest.fixture(scope="module")
def environment(folder: Path) -> dict[str, str]:
    programs = folder / "programs"
    programs.mkdir()
    for name in sorted(set(re.findall(r"\bcolorize-\w+", "\n".join(COMMANDS)))):
        program = programs / name
        entry = name.removeprefix("colorize-")
        program.write_text(f"#!{sys.executable}\nimport sys\nimport cli\nsys.argv[0] = {name!r}\ncli.{entry}()\n")
        program.chmod(0o755)
    others = {
        "tensorboard": f"-m tensorboard.main --port {PORT}",
        "torchrun": "-m torch.distributed.run",
        "python": "",
    }
    for name, words in others.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (programs / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "XDG_DATA_HOME": str(folder / "data"),
    }


def test_every_command_of_the_page_does_what_it_says(folder: Path, environment: dict[str, str]) -> None:
    assert len(COMMANDS) >= 17
    said: dict[str, str] = {}
    for line in COMMANDS:
        shorter = line
        for long, short in SHORTER.items():
            shorter = shorter.replace(long, short)
        if line.startswith("tensorboard"):
            _shows_itself(shorter, folder, environment)
            continue
        done = subprocess.run(
            ["bash", "-c", shorter],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        said[line.partition(" ")[0]] = done.stderr
        allowed = next((codes for word, codes in EXITS.items() if word in line), (0,))
        assert done.returncode in allowed, f"{line}\n{done.stdout}\n{done.stderr}"
        if "--minutes 0" in line:
            assert "step 1 of 4," in done.stderr, done.stderr
        elif "colorize-model train" in line:
            assert re.search(r"step \d+ of \d+, loss \S+, rate \S+, \S+ crops/s, \S+ left", done.stderr), done.stderr
            assert "samples: " in done.stderr
        if "> mine.toml" in line:
            assert (folder / "mine.toml").read_text().startswith("#")
            small = dataclasses.replace(CONFIG, name="mine", crop=64, evaluate_every=1)
            (folder / "mine.toml").write_text(as_toml(small))
    steps = {name: load_trained(folder / "runs" / name).step for name in CHECKPOINTS}
    assert set(steps.values()) == {CONFIG.steps}
    assert "one of 2 processes" in said["torchrun"]
    card = load_weights(str(folder / "mine.onnx")).card
    assert card["licence"] == "CC-BY-4.0"
    training = card["training"]
    assert isinstance(training, dict)
    assert training["photographs"] == 14 - CONFIG.holdout
    made_from = training["made_from"]
    assert made_from["photographs"] == {"count": 14, "left_out": {}}
    assert made_from["backbone"]["file"] == "resnet18.safetensors"
    assert made_from["backbone"]["lacks"] == []
    assert str(folder) not in json.dumps(card)
    assert isinstance(card["evaluation"], dict)
    assert card["evaluation"]["sets"]
    assert (folder / "scans-coloured").is_dir() or list(folder.glob("scans*/**/one*"))


def _shows_itself(line: str, folder: Path, environment: dict[str, str]) -> None:
    server = subprocess.Popen(
        ["bash", "-c", f"exec {line}"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://localhost:{PORT}/data/plugins_listing", timeout=5) as answer:
                    listed = json.load(answer)
                if listed["scalars"]["enabled"] and listed["images"]["enabled"]:
                    return
            except OSError:
                pass
            time.sleep(0.5)
        pytest.fail("TensorBoard shows no curves and pictures")
    finally:
        server.terminate()
        server.wait(20)
