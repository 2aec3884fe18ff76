"""What is in doubt is in ledger, sidecar and report, with one command that decides otherwise for every later run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from markupsafe import Markup

from pipeline.archive.ledger import read_ledger
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.corrections import corrections_beside
from pipeline.errors import UsageError
from pipeline.options import Options, TreatAs
from pipeline.originals import NO_ORIGINALS
from tests.photos import save, scene
from tests.test_cli import colorize

# A name that means something to shells, to patterns and to HTML.
STAMPED, PLAIN = "album [1]/it's <a> *.png", "plain.png"
STAMP = np.s_[180:230, 250:330]


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    rgb = np.repeat(scene(width=352, height=256)[..., None], 3, axis=2)
    folder = tmp_path / "scans"
    (folder / STAMPED).parent.mkdir(parents=True)
    save(folder / PLAIN, rgb)
    rgb[STAMP] = (150, 40, 130)
    save(folder / STAMPED, rgb)
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out"


def night(scans: Path, output: Path, tiny: Path, **run_options: object) -> tuple[int, int]:
    options = Options(engine="onnxruntime", model=str(tiny))
    result = colorize_archive(scans, output, options, run_options=RunOptions(**run_options))  # type: ignore[arg-type]
    assert result.exit_code == 0
    return result.photos + result.kept, result.skipped


def known(output: Path) -> Mapping[str, Any]:
    ledger = read_ledger(output)
    assert ledger is not None
    with ledger:
        record = ledger.get(STAMPED)
    assert record is not None
    assert record.result is not None
    return record.result


def is_the_source(scans: Path, output: Path) -> bool:
    return (scans / STAMPED).read_bytes() == (output / STAMPED).read_bytes()


def test_a_doubt_is_in_ledger_sidecar_and_report_and_one_command_decides_otherwise(
    scans: Path, output: Path, tiny: Path
) -> None:
    night(scans, output, tiny)
    assert not is_the_source(scans, output)
    kept = known(output)
    (doubt,) = kept["doubts"]
    assert kept["verification"]["checks"]["picture"]
    sidecar = json.loads((output / f"{STAMPED}.autochrome.json").read_text(encoding="ascii"))
    assert [one["option"] for one in sidecar["doubts"]] == ["--treat-as colour"]
    assert sidecar["verification"]["checks"]["picture"]
    report = (output / "report.html").read_text(encoding="utf-8")
    assert str(Markup.escape(doubt["command"])) in report

    program, *arguments = shlex.split(doubt["command"])
    assert program == "colorize-archive"
    told = colorize("archive", *arguments, "--engine", "onnxruntime", "--model", tiny)
    assert told.returncode == 0, told.stderr
    assert is_the_source(scans, output)
    assert night(scans, output, tiny) == (0, 2)
    assert is_the_source(scans, output)
    assert doubt["command"] not in (output / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_decision_is_taken_back_by_auto_and_kept_in_the_history(scans: Path, output: Path, tiny: Path) -> None:
    night(scans, output, tiny)
    before = (output / STAMPED).read_bytes()
    include = (STAMPED.replace("[", "[[]").replace("*", "[*]"),)
    assert night(scans, output, tiny, include=include, decide=TreatAs.COLOUR) == (1, 0)
    assert night(scans, output, tiny, include=include, decide=TreatAs.AUTO) == (1, 0)
    assert (output / STAMPED).read_bytes() == before
    file = corrections_beside(output, originals=NO_ORIGINALS).read(PurePosixPath(STAMPED))
    assert [revision.correction.treat_as for revision in file.history] == [None, TreatAs.COLOUR]
    assert night(scans, output, tiny) == (0, 2)


def test_what_is_to_be_decided_must_be_said(scans: Path, output: Path, tiny: Path) -> None:
    with pytest.raises(UsageError, match="--decide"):
        night(scans, output, tiny, decide=TreatAs.COLOUR)
    assert not (output / PLAIN).exists()
