from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.training.evaluation_sets import score_rivals, write_rivals
from training.cost import Cost
from training.scores import EvaluationReport, ModelInfo, ReportError, as_card, read_report

pytestmark = pytest.mark.slow

INFO = ModelInfo(
    name="perfect",
    runtime="Runtime 1.0",
    device="Some CPU",
    precision="f32",
    weights_sha256="ab" * 32,
    cost=Cost(parameters=5_508_164, flops=6_226_132_992, milliseconds=8.26, machine="Some CPU, 2 CPU cores"),
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> EvaluationReport:
    folder = write_rivals(tmp_path_factory.mktemp("sets") / "set")
    return EvaluationReport(
        models=(INFO,),
        network_size=256,
        chroma_upsampling="linear",
        scores=tuple(score_rivals(folder)),
        notes=("LPIPS was left out.",),
    )


def test_markdown_has_whole_tables_of_models_scores_and_faults(report: EvaluationReport) -> None:
    blocks = report.as_markdown().strip().split("\n\n")
    models, _, scores, faults, note = blocks
    for table in (models, scores, faults):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert models.splitlines()[2].startswith("| perfect | 5.51 M | 6.23 | 8.3 | f32 |")
    assert scores.splitlines()[3].startswith("| set | perfect | 3 | 100.00 | 0.00 |")
    assert faults.splitlines()[2].startswith("| set | grey | - |")
    assert faults.splitlines()[3] == "| set | perfect | 0.000 | +0.0, +0.0 | +0.00 | 0.000 | 1.00 | 0.0 % | 0.00 % |"
    assert note == "LPIPS was left out."


def test_the_terminal_shows_what_decides_within_80_characters(report: EvaluationReport) -> None:
    output = io.StringIO()
    for table in report.for_terminal():
        Console(file=output, width=80).print(table)
    shown = output.getvalue()
    for word in ("perfect", "5.51 M", "6.23", "8.3", "CIEDE2000", "blotches", "spill", "Some CPU, 2 CPU cores"):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_report_reads_back_as_it_was_written(report: EvaluationReport, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(report.as_json(), encoding="utf-8")
    assert read_report(path) == report


def test_json_has_every_picture_and_null_for_what_does_not_exist(report: EvaluationReport) -> None:
    values = json.loads(report.as_json())
    grey = values["scores"][0]
    assert (grey["system"], grey["faults"]["hue_bias"], grey["lpips"]) == ("grey", None, None)
    assert [len(one["pictures"]) for one in values["scores"]] == [3, 3, 3]
    assert set(grey["pictures"][0]["faults"]) == set(grey["faults"])


@pytest.mark.parametrize("text", ["", "[]", '{"models": []}', '{"models": [{"name": 1}]}', "\x00"])
def test_what_is_no_report_is_refused_by_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ReportError, match=r"report\.json: not an evaluation report"):
        read_report(path)
    with pytest.raises(ReportError, match="cannot be read"):
        read_report(tmp_path / "absent.json")


def test_a_card_gets_the_models_rounded_numbers_and_what_made_them(report: EvaluationReport) -> None:
    card = as_card(report)
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert (card["engine"], card["network_size"], card["weights_sha256"]) == ("Runtime 1.0, f32", 256, "ab" * 32)
    assert (card["flops_256"], card["milliseconds_256"]) == (6_226_132_992, 8.3)
    sets = card["sets"]
    assert isinstance(sets, dict)
    assert list(sets) == ["set"]
    assert (sets["set"]["pictures"], sets["set"]["ciede2000"], sets["set"]["argmax_ab"]) == (3, 0, 100)
    assert (sets["set"]["lpips"], sets["set"]["sharpness"], sets["set"]["blotches"]) == (None, 1, 0)


def test_a_card_of_one_of_several_models_must_be_asked_for_by_name(report: EvaluationReport) -> None:
    other = dataclasses.replace(INFO, name="swapped", runtime="Another")
    both = dataclasses.replace(report, models=(INFO, other))
    assert as_card(both, model="swapped")["engine"] == "Another, f32"
    with pytest.raises(ReportError, match="which model is meant"):
        as_card(both)
    with pytest.raises(ReportError, match="absent is not in it"):
        as_card(both, model="absent")
    with pytest.raises(ReportError, match="no scores of unseen"):
        as_card(dataclasses.replace(report, models=(dataclasses.replace(INFO, name="unseen"),)))
