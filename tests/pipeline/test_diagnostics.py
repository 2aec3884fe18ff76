"""The log holds where every failure arose; the library configures nothing by itself."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from pipeline.diagnostics import logged
from pipeline.errors import OutputError, UsageError
from pipeline.results import Failure
from pipeline.terminal import printable
from tests.commands import ROOT, colorize
from tests.engines.tiny import write_tiny_model


def three() -> None:
    empty: dict[int, str] = {}
    raise KeyError(empty.get(3, 3))


def failure() -> Failure:
    try:
        three()
    except KeyError as error:
        return Failure.of(Path("scan.jpg"), error)
    raise AssertionError


def test_a_failure_keeps_its_traceback_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "new" / "all.log"
    with logged(verbosity=0, file=log):
        found = failure()
    text = log.read_text(encoding="utf-8")
    assert found.exit_code == 1
    assert "scan.jpg: no result" in text
    assert "in three" in text
    assert "KeyError: 3" in text
    assert "Autochrome" in text.splitlines()[1]


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    log = tmp_path / "all.log"
    for _ in range(2):
        with logged(verbosity=0, file=log):
            failure()
    assert log.read_text(encoding="utf-8").count("KeyError: 3") == 2


def test_a_file_that_is_no_log_is_left_alone(tmp_path: Path) -> None:
    photograph = tmp_path / "scan.jpg"
    photograph.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(UsageError, match="not a log"), logged(verbosity=0, file=photograph):
        pass
    assert photograph.read_bytes() == b"\xff\xd8\xff"


def test_a_log_that_cannot_be_written_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match=r"all\.log: cannot be written"),
        logged(verbosity=0, file=tmp_path / "file" / "all.log"),
    ):
        raise AssertionError("work began")


def test_records_are_shown_by_their_level(capsys: pytest.CaptureFixture[str]) -> None:
    for verbosity, shown in ((0, []), (1, ["quite"]), (2, ["quite", "very"])):
        with logged(verbosity=verbosity, file=None):
            logging.getLogger("engines.some").info("quite")
            logging.getLogger("engines.some").debug("very")
        said = capsys.readouterr().err
        assert [word for word in ("quite", "very") if word in said] == shown


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    loggers = [logging.getLogger(), logging.getLogger("pipeline")]
    before = [(list(one.handlers), one.level) for one in loggers]
    with logged(verbosity=2, file=tmp_path / "all.log"):
        pass
    assert [(list(one.handlers), one.level) for one in loggers] == before


@pytest.mark.slow
def test_importing_and_failing_print_and_configure_nothing() -> None:
    program = """
import logging
from pathlib import Path
from pipeline import Failure, Options, colorize_photo
root = logging.getLogger()
assert not root.handlers
Failure.of(Path("a"), ValueError("b"))
assert not root.handlers and root.level == logging.WARNING
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_names_cannot_command_the_terminal() -> None:
    assert printable("a\x1b[31m\r\n\t\x07b\udcff\x9b2J") == r"a\x1b[31m\r\n\t\x07b\udcff\x9b2J"
    assert printable("Größe 日本 \u202e.jpg") == "Größe 日本 \\u202e.jpg"
    assert printable("two\nlines", lines=True) == "two\nlines"


@pytest.mark.slow
def test_what_libraries_log_of_a_damaged_file_stays_off_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, np.zeros((32, 32), np.uint8))
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as read:
        end = read.pages[0].offset + 2 + 12 * len(read.pages[0].tags)
    data[end : end + 4] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    done = colorize("photo", path, "--model", write_tiny_model(tmp_path), "--engine", "onnxruntime")
    assert (done.returncode, "scan.tif" in done.stderr, "tifffile" in done.stderr) == (0, True, False), done.stderr
