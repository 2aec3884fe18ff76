"""The public interface: what is documented runs, what is typed checks, and a caller can end what it began."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pipeline
from pipeline import (
    ArchiveResult,
    Callback,
    Cancelled,
    Codec,
    InputError,
    Note,
    Options,
    Orders,
    OutputError,
    Painter,
    PhotoJob,
    Progress,
    Quality,
    Silent,
    State,
    colorize_archive,
    colorize_photo,
    colorize_photos,
    colorize_video,
    read_ledger,
)
from tests.films import Sound, make_film
from tests.photos import save, scene

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
SHOT, FRAMES, REEL = 20, 100, 15
MASTER = Options(codec=Codec.FFV1, quality=Quality.MASTER)


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the files that the document speaks of, and work where they are."""
    (tmp_path / "scans").mkdir()
    for path in ("scan.jpg", "scans/a.jpg", "scans/b.png"):
        save(tmp_path / path, scene())
    for path in ("film.mp4", "scans/c.mp4"):
        make_film(tmp_path / path, codec="libx264", times=range(12), sounds=[Sound()])
    (tmp_path / "letter.jpg").write_text("Dear sister,", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hidden(folder: Path) -> list[str]:
    """Name what a run might have left behind in ``folder``."""
    return [str(path) for path in folder.rglob(".autochrome-*")]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: str(DOCUMENT[: DOCUMENT.index(block)].count("\n") + 1))
def test_what_is_documented_runs_and_prints_what_its_comments_say(
    block: str, media: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(block, "docs/api.md", "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out.splitlines()
    promised = re.findall(r"^ *print\(.*\)  # (.+)$", block, re.MULTILINE)
    assert [line for line in printed if line in promised] == promised
    assert not hidden(media)


def test_every_public_name_is_documented() -> None:
    assert not [name for name in pipeline.__all__ if name != "DISTRIBUTION" and f"`{name}`" not in DOCUMENT]


def test_public_names_are_those_of_the_modules_and_what_type_checkers_see() -> None:
    homes = {name: home for home, names in pipeline._HOMES.items() for name in names}
    assert sorted(["DISTRIBUTION", *homes]) == sorted(pipeline.__all__)
    for name, home in homes.items():
        assert getattr(pipeline, name) is getattr(importlib.import_module(home), name)
    tree = ast.walk(ast.parse(Path(pipeline.__file__).read_text(encoding="utf-8")))
    told = [node for node in tree if isinstance(node, ast.ImportFrom) and str(node.module).startswith("pipeline.")]
    assert {alias.name: node.module for node in told for alias in node.names} == homes


def test_a_name_that_is_not_there_is_an_error_as_usual() -> None:
    with pytest.raises(AttributeError, match="no attribute 'colourise'"):
        _ = pipeline.colourise
    with pytest.raises(ImportError, match="colourise"):
        exec("from pipeline import colourise")


def test_options_errors_and_results_load_no_codec_and_no_engine() -> None:
    code = """
        import sys, pipeline
        assert not [name for name in sys.modules if name.startswith("pipeline.")]
        from pipeline import Callback, Cancelled, FilmResult, InputError, Options, Orders
        heavy = {"av", "cv2", "numpy", "onnxruntime", "openvino", "PIL", "typer"} & set(sys.modules)
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=ROOT)


def test_type_checkers_see_the_real_signatures(tmp_path: Path) -> None:
    code = """
        from pipeline import Options, colorize_archive, colorize_photo, colorize_video, open_painter

        with open_painter() as painter:
            reveal_type(colorize_video("film.mp4", painter=painter))
        reveal_type(colorize_photo("scan.jpg", None, Options(model="fast")))
        reveal_type(colorize_archive("scans").failures)
        colorize_video()
        colorize_video(5)
        from pipeline import colourise
    """
    (tmp_path / "job.py").write_text(textwrap.dedent(code), encoding="utf-8")
    words = ["--strict", "--follow-imports=silent", "--no-error-summary", "--hide-error-context", "--no-pretty"]
    cache = ["--config-file=", f"--cache-dir={ROOT / '.mypy_cache'}", "--python-version=3.11"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words, *cache, str(tmp_path / "job.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"job\.py:(\d+): (?:note: Revealed type is \"(.+)\"|error: .*\[(.+)\])$", done.stdout, re.M)
    assert found == [
        ("5", "pipeline.results.FilmResult", ""),
        ("6", "pipeline.results.PhotoResult", ""),
        ("7", "tuple[pipeline.results.Failure, ...]", ""),
        ("8", "", "call-arg"),
        ("9", "", "arg-type"),
        ("10", "", "attr-defined"),
    ], done.stdout + done.stderr
