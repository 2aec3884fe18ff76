from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.archive.metrics import Figures, as_text, write_metrics
from pipeline.errors import OutputError
from pipeline.originals import Originals

DOCUMENT = Path(__file__).parents[3] / "docs" / "operations.md"
FIGURES = Figures(
    archive="/archive/scans-colorized",
    version="1.2.3",
    items={"waiting": 3, "done": 50000, "failed": 0},
    shards={"finished": 15, "missing": 1},
    done=120,
    kept=7,
    failed=2,
    skipped=49880,
    started=1_764_000_000.25,
    seconds=3600.5,
    exit_code=3,
    last_success=1_763_913_600.0,
    free_bytes=123_456_789_012_345,
)
# Prometheus text exposition format 0.0.4, as far as gauges with labels go.
SAMPLE = re.compile(r'([a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\\\|\\"|\\n)*",?)*)\} (\S+)')


def samples(text: str) -> dict[tuple[str, str], float]:
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            found[match[1], match[2]] = float(match[3])
    return found


def test_every_figure_is_a_gauge_with_help_and_labels() -> None:
    text = as_text(FIGURES)
    read = samples(text)
    place = 'archive="/archive/scans-colorized"'
    assert read["autochrome_items", f'{place},state="done"'] == 50000
    assert read["autochrome_info", f'{place},version="1.2.3"'] == 1
    assert read["autochrome_run_start_timestamp_seconds", place] == 1_764_000_000.25
    assert read["autochrome_disk_free_bytes", place] == 123_456_789_012_345
    assert read["autochrome_run_exit_code", place] == 3
    names = {name for name, _ in read}
    assert set(re.findall(r"^# HELP (\S+) \S", text, re.MULTILINE)) == names
    assert set(re.findall(r"^# TYPE (\S+) gauge$", text, re.MULTILINE)) == names
    assert text.endswith("\n")
    assert len(set(read)) == len([line for line in text.splitlines() if not line.startswith("#")])


def test_before_the_first_success_its_time_is_left_out() -> None:
    assert "last_success" not in as_text(replace(FIGURES, last_success=None))


def test_shards_are_series_of_their_own() -> None:
    assert 'shard="3/16"' in as_text(replace(FIGURES, shard="3/16"))
    assert 'shard="' not in as_text(FIGURES)


@pytest.mark.parametrize("name", ['q"uote', "back\\slash", "line\nbreak", "caf\u00e9", "not utf-8 \udcff"])
def test_any_name_of_a_folder_survives(name: str) -> None:
    text = as_text(replace(FIGURES, archive=name))
    assert len(samples(text)) == 15
    text.encode("utf-8")


def test_the_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "autochrome.prom"
    write_metrics(path, FIGURES, originals=Originals())
    write_metrics(path, replace(FIGURES, done=121), originals=Originals())
    assert samples(path.read_text(encoding="utf-8"))["autochrome_run_done", 'archive="/archive/scans-colorized"'] == 121
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError):
        write_metrics(tmp_path / "file" / "autochrome.prom", FIGURES, originals=Originals())


def test_every_figure_is_documented() -> None:
    documented = set(re.findall(r"^\| `(autochrome_\w+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    assert documented == {name for name, _ in samples(as_text(FIGURES))}
