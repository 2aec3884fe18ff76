"""What is installed is what we mean to install: the wheel's files, its metadata, its commands."""

from __future__ import annotations

import email
import importlib
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from tests.commands import ROOT


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def contents(wheel: zipfile.ZipFile) -> set[str]:
    return {name for name in wheel.namelist() if ".dist-info/" not in name}


def read(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (inner for inner in wheel.namelist() if inner.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_the_wheel_holds_the_command_and_three_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {PurePosixPath(name).parts[0] for name in contents(wheel)}
    assert tops == {"cli.py", "engines", "pipeline", "training"}
    kinds = {PurePosixPath(name).suffix for name in contents(wheel)}
    assert kinds <= {".py", ".onnx", ".json", ".toml", ".txt", ".html", ".css", ".js", ".typed"}


def test_every_module_of_the_tree_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    modules = {
        str(path.relative_to(ROOT).as_posix())
        for package in ("engines", "pipeline", "training")
        for path in (ROOT / package).rglob("*.py")
    }
    assert {name for name in contents(wheel) if name.endswith(".py")} == modules | {"cli.py"}


def test_type_checkers_are_told_that_the_packages_have_types(wheel: zipfile.ZipFile) -> None:
    assert {f"{package}/py.typed" for package in ("engines", "pipeline", "training")} <= contents(wheel)


def test_the_parts_of_the_report_are_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    report = "pipeline/archive/report/templates/"
    assert {f"{report}page.html", f"{report}page.css", f"{report}page.js"} <= contents(wheel)


def test_weights_travel_with_their_cards(wheel: zipfile.ZipFile) -> None:
    names = {PurePosixPath(name) for name in contents(wheel) if name.startswith("engines/")}
    weights = {path for path in names if path.suffix == ".onnx"}
    assert {PurePosixPath("engines/models/fast.onnx"), PurePosixPath("engines/tone_network.onnx")} <= weights
    assert {path.with_suffix(".json") for path in weights} == {path for path in names if path.suffix == ".json"}


def test_metadata_says_what_it_must(wheel: zipfile.ZipFile) -> None:
    metadata = email.message_from_string(read(wheel, "METADATA"))
    assert (metadata["Name"], metadata["Requires-Python"]) == ("autochrome-archive", ">=3.11")
    assert metadata["License-Expression"] == "Apache-2.0"
    needs = metadata.get_all("Requires-Dist") or []
    assert "av<19,>=18" in needs
    base = [need for need in needs if "extra ==" not in need]
    assert not [need for need in base if need.startswith(("torch", "tensorrt", "imageio-ffmpeg", "opencv-python>="))]
    assert set(metadata.get_all("Provides-Extra") or []) == {"train", "tensorrt", "ray", "ffmpeg", "dev"}
    assert read(wheel, "licenses/LICENSE").lstrip().startswith("Apache License")


def test_the_commands_are_there_and_can_be_called(wheel: zipfile.ZipFile) -> None:
    scripts = dict(line.split(" = ") for line in read(wheel, "entry_points.txt").splitlines() if " = " in line)
    assert scripts == {
        "colorize-archive": "cli:archive",
        "colorize-model": "cli:model",
        "colorize-photo": "cli:photo",
        "colorize-review": "cli:review",
        "colorize-video": "cli:video",
    }
    for target in scripts.values():
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_the_packages_carry_the_mark_of_the_distribution() -> None:
    name = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"]
    for package in ("engines", "pipeline", "training"):
        assert name == importlib.import_module(package).DISTRIBUTION


@pytest.mark.parametrize("name", ["Containerfile", "Containerfile.nvidia"])
def test_images_hold_what_the_wheel_is_made_of_and_do_not_run_as_root(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    copied = {word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]}
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]) <= copied
    assert {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]} <= copied
    allowed = {
        line[1:] for line in (ROOT / ".containerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"
    }
    assert {one for one in copied if not one.startswith("-") and not one.startswith("/")} <= allowed
    assert [line for line in lines if line.startswith("USER ")] == ["USER 1000:1000"]
    assert lines.index("USER 1000:1000") > max(number for number, line in enumerate(lines) if line.startswith("RUN "))


@pytest.mark.slow
def test_no_instruction_installs_the_package_of_a_stranger() -> None:
    # "autochrome" on the public index is not ours.
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    files = [ROOT / name for name in listed.split("\0") if name]
    if not files:
        pytest.skip("not in a git checkout")
    assert {ROOT / "Containerfile", ROOT / ".ci" / "run"} <= set(files)
    pattern = re.compile(r"""((pipx?|tool) install( -\S+)*|run --from) ['"]?autochrome(?![-\w/])|\bautochrome\[""")
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in files
        if path.is_file() and b"autochrome" in (content := path.read_bytes())
        for number, line in enumerate(content.decode(errors="replace").splitlines(), 1)
        if pattern.search(line) and path != Path(__file__)
    ]
    assert not wrong
