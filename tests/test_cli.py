from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copy2
from typing import Any

import av
import pytest

from pipeline.archive.ledger import State, read_ledger
from pipeline.archive.output_folder import locked
from pipeline.archive.run_log import FIELDS, Event
from pipeline.publish import PARTIAL_PREFIX
from tests.commands import PATIENCE, ROOT, colorize, command, environment, python, terminal
from tests.engines.tiny import tiny_model, write_model, write_tiny_model
from tests.films import Sound, make_film
from tests.photos import save, scene, sepia

HEAVY = ("av", "numpy", "cv2", "openvino", "onnxruntime", "torch", "PIL", "tifffile", "onnx")
COMMON = (
    *(
        "--output",
        "-o",
        "--engine",
        "--device",
        "--model",
        "--codec",
        "--quality",
        "--overwrite",
        "--dry-run",
        "--json",
    ),
    *("--verbose", "-v", "--quiet", "-q", "--version", "--config", "--log-file", "-h"),
)
ARCHIVE = (
    *("--include", "--exclude", "--since", "--shard", "--follow-links", "--verify-all", "--until", "--jobs", "--retry"),
    *("--quarantine-after", "--keep-free", "--no-sidecars", "--bag", "--no-report", "--log", "--metrics", "--decide"),
)


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    """Return the one JSON document that makes up the whole of standard output."""
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def shared_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "reel.mp4"
    return make_film(path, codec="libx264", times=range(12), sounds=[Sound()])


@pytest.fixture
def film(shared_film: Path, tmp_path: Path) -> Path:
    return Path(copy2(shared_film, tmp_path))


@pytest.fixture(scope="session")
def long_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("long") / "long.mp4", codec="libx264", times=range(1500))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    root = tmp_path / "scans"
    (root / "deep").mkdir(parents=True)
    save(root / "a.jpg", scene())
    save(root / "deep" / "b.png", scene())
    (root / "notes.txt").write_text("attic", encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(2):
        save(folder / f"{number}.png", sepia(scene(width=173 - number)))
    return folder


def listing(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.mark.parametrize("name", ["video", "archive"])
def test_help_names_every_common_option_and_fits_80_columns(name: str) -> None:
    done = colorize(name, "--help")
    assert done.returncode == 0
    options = COMMON + (ARCHIVE if name == "archive" else ())
    assert not [option for option in options if f"{option} " not in done.stdout]
    assert not [line for line in done.stdout.splitlines() if len(line.rstrip()) > 80]


def test_help_of_the_model_command_names_what_it_can_do() -> None:
    done = colorize("model", "--help")
    assert done.returncode == 0
    assert not [
        word for word in ("add", "list", "info", "train", "evaluate", "export") if f" {word} " not in done.stdout
    ]


@pytest.mark.few(1)
@pytest.mark.parametrize("words", ["photo", "video", "review", "model", "model info", "model evaluate", "model quiz"])
def test_help_speaks_of_no_types(words: str) -> None:
    done = colorize(*words.split(), "--help")
    assert done.returncode == 0
    assert not [line for line in done.stdout.splitlines() if re.search(r"<(?!=)[a-z]", line)]


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, cli\n"
        "sys.argv = ['colorize-video', '--help']\n"
        "try:\n    cli.video()\nexcept SystemExit:\n    pass\n"
        f"sys.stderr.write(' '.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert "Usage" in done.stdout
    assert done.stderr == ""


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["video", "archive", "model"])
def test_version_is_said(name: str) -> None:
    done = colorize(name, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("autochrome")


def test_a_film_becomes_a_coloured_film_and_one_document(film: Path, model: Path) -> None:
    done = colorize("video", film, "--model", model, "--json")
    assert done.returncode == 0, done.stderr
    result = answer(done)
    assert result["kind"] == "film"
    assert result["source"] == str(film)
    assert result["output"] == str(film.with_name("reel.colorized.mp4"))
    assert result["frames"] == 12
    assert result["model"] == "tiny"
    assert Path(result["output"]).stat().st_size > 0
    assert "reel.mp4" in done.stderr


def test_an_archive_becomes_a_coloured_archive_and_one_document(scans: Path, model: Path) -> None:
    (scans / "bad.tif").write_text("no picture", encoding="utf-8")
    done = colorize("archive", scans, "--model", model, "--engine", "onnxruntime", "--json")
    assert done.returncode == 3
    result = answer(done)
    assert (result["photos"], result["films"], result["failed"]) == (2, 0, 1)
    ledger = read_ledger(Path(result["output"]))
    assert ledger is not None
    with ledger:
        assert [(one.path, one.engine) for one in ledger.records(State.DONE)] == [
            ("a.jpg", "onnxruntime"),
            ("deep/b.png", "onnxruntime"),
        ]
    assert [(Path(one["source"]).name, one["exit_code"]) for one in result["failures"]] == [("bad.tif", 4)]
    assert (result["skipped"], result["ignored"]) == (0, 1)
    assert "bad.tif" in done.stderr
    again = colorize("archive", scans, "--model", model, "--engine", "onnxruntime", "--json")
    assert (again.returncode, answer(again)["skipped"]) == (3, 2)


@pytest.mark.slow
def test_without_json_the_summary_is_on_standard_output_and_progress_on_standard_error(
    scans: Path, model: Path
) -> None:
    done = colorize("archive", scans, "--model", model)
    assert done.returncode == 0
    assert "2 photos and 0 films" in done.stdout
    assert "1 other file ignored" in done.stdout
    assert "2 photos" in done.stderr


@pytest.mark.slow
def test_the_last_line_says_where_results_and_report_are(scans: Path, film: Path, model: Path) -> None:
    (scans / "bad.tif").write_text("no picture", encoding="utf-8")
    output = scans.with_name("scans-colorized")
    cases = {
        ("archive", scans): f"results: {output}; report: {output / 'report.html'}",
        ("archive", scans, "--report-only"): f"report: {output / 'report.html'}",
        ("video", film, "--compare", "side"): str(film.with_name("reel.colorized.mp4")),
        ("photo", scans / "a.jpg", scans / "bad.tif"): f"coloured: {scans / 'a.colorized.jpg'}",
    }
    for (name, *rest), last in cases.items():
        more = () if "--report-only" in rest else ("--model", model)
        done = terminal(name, *rest, *more)
        assert done.returncode in (0, 3), done.stdout
        assert done.stdout.splitlines()[-1].endswith(last)


@pytest.mark.slow
def test_quiet_says_nothing_but_failures(scans: Path, model: Path) -> None:
    (scans / "bad.tif").write_text("no picture", encoding="utf-8")
    done = colorize("archive", scans, "--model", model, "-q")
    assert done.returncode == 3
    assert done.stdout == ""
    assert [line.split(":")[0] for line in done.stderr.splitlines()][:2] == ["1 failed", f"  {scans / 'bad.tif'}"]


@pytest.mark.slow
def test_dry_runs_write_nothing(film: Path, scans: Path, model: Path) -> None:
    before = listing(film.parent)
    words = ("--dry-run", "--model", model, "--engine", "onnxruntime")
    done = colorize("archive", scans, *words, "--json")
    assert done.returncode == 0
    assert (answer(done)["photos"], answer(done)["films"], answer(done)["ignored"]) == (2, 0, 1)
    done = colorize("video", film, "--dry-run", "--json")
    assert done.returncode == 0
    assert answer(done)["output"] == str(film.with_name("reel.colorized.mp4"))
    assert answer(done)["frames"] == 12
    assert not answer(done)["notes"]
    (other,) = answer(colorize("video", make_film(film.with_name("old.avi")), "--dry-run", "--json"))["notes"]
    assert other["text"] == "the result is .mkv, not .avi"
    before = listing(film.parent)
    assert "2 photos and 0 films to colour" in colorize("archive", scans, *words).stdout
    assert "96 x 64" in colorize("video", film, "--dry-run").stdout
    assert listing(film.parent) == before


@pytest.mark.slow
def test_a_dry_run_foretells_time_and_room(scans: Path, model: Path) -> None:
    words = ("--model", model, "--engine", "onnxruntime", "--dry-run")
    done = colorize("archive", scans, *words, "--json")
    document = answer(done)
    assert document["forecast"]["photos"] == 2
    assert document["forecast"]["seconds"] > 0
    assert document["forecast"]["size"] > 0
    assert document["free_bytes"] > 0
    assert "estimated from 2 photos and 0 films" in done.stderr
    short = colorize("archive", scans, *words, "--keep-free", "900PB")
    assert "too little, with 900.0 PB to stay free" in short.stdout


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_device_for_the_metrics_is_refused_before_any_work(scans: Path, model: Path) -> None:
    place = scans.parent / "null"
    os.mkfifo(place)
    done = colorize("archive", scans, "--model", model, "--metrics", place)
    assert (done.returncode, place.is_fifo()) == (2, True), done.stderr
    assert "is a device, pipe or socket, not a file" in done.stderr
    assert not list(scans.parent.rglob("*.autochrome.json"))


@pytest.mark.slow
def test_the_log_and_the_metrics_of_a_run_are_as_documented(scans: Path, model: Path) -> None:
    (scans / "bad.tif").write_text("no picture", encoding="utf-8")
    log, metrics = scans.parent / "night.jsonl", scans.parent / "a.prom"
    words = ("--model", model, "--engine", "onnxruntime", "--log", log, "--metrics", metrics)
    assert colorize("archive", scans, *words).returncode == 3
    lines = [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()]
    assert all(line.keys() == {"ts", "event", *FIELDS[Event(line["event"])]} for line in lines)
    counted = Counter(line["event"] for line in lines)
    assert (counted["item_started"], counted["item_done"], counted["item_failed"]) == (3, 2, 1)
    assert (lines[-1]["event"], lines[-1]["outcome"], lines[-1]["exit_code"]) == ("run_ended", "finished", 3)
    assert {line["run"] for line in lines} == {1}
    figures = metrics.read_text(encoding="utf-8")
    assert f'autochrome_items{{archive="{scans}-colorized",state="done"}} 2.0\n' in figures
    assert f'autochrome_run_exit_code{{archive="{scans}-colorized"}} 3.0\n' in figures
    assert "last_success" not in figures


@pytest.mark.slow
def test_a_run_takes_what_its_options_say(scans: Path, model: Path) -> None:
    os.utime(scans / "a.jpg", (0, 0))
    words = ("--dry-run", "--json", "--model", model, "--engine", "onnxruntime")
    since = colorize("archive", scans, *words, "--since", "7d", "--shard", "1/1")
    assert answer(since)["photos"] == 1
    patterns = colorize("archive", scans, *words, "--include", "*.png", "--include", "a*", "--exclude", "deep")
    assert answer(patterns)["photos"] == 1


def test_two_runs_in_one_output_folder_exclude_each_other(scans: Path, model: Path) -> None:
    with locked(scans.with_name("scans-colorized")):
        done = colorize("archive", scans, "--model", model, "--engine", "onnxruntime", "--json")
    assert done.returncode == 75
    assert answer(done)["error"]["kind"] == "LockedError"
    assert colorize("archive", scans, "--model", model, "--engine", "onnxruntime").returncode == 0


@pytest.mark.slow
def test_a_disk_below_its_floor_ends_the_run(scans: Path, model: Path) -> None:
    done = colorize("archive", scans, "--model", model, "--json", "--keep-free", "900PB")
    assert done.returncode == 5
    assert "--keep-free" in answer(done)["error"]["advice"]


ERRORS = {
    "no argument": (2, "video"),
    "unknown engine": (2, "video {film} --engine crystal"),
    "unknown device": (2, "photo {scans}/a.jpg --device abacus"),
    "a device that is not here": (6, "photo {scans}/a.jpg --device directml --model {model}"),
    "a part of no whole": (2, "archive {scans} --shard 17/16"),
    "a time that is over": (2, "archive {scans} --until 2020-01-31T06:00"),
    "no settings file": (9, "archive {scans} --config {folder}/none.toml"),
    "folder without a film": (4, "video {scans}"),
    "film given for a folder": (2, "archive {film}"),
    "output inside input": (2, "archive {scans} -o {scans}/out"),
    "suffix of another container": (2, "video {film} -o {folder}/x.avi --model {model}"),
    "no such film": (4, "video {folder}/none.mp4"),
    "no such folder": (4, "archive {folder}/none"),
    "not a film": (4, "video {folder}/text.mp4 --model {model}"),
    "output exists": (2, "video {film} -o {folder}/taken.mp4 --model {model}"),
    "no TensorRT": (8, "video {film} --engine tensorrt --model {model}"),
    "unknown weights": (9, "video {film} --model no-such-weights"),
    "no weights file": (9, "model info {folder}/none.onnx"),
    "a link that leads nowhere": (2, "video {film} -o {folder}/nowhere.mp4 --model {model} --engine tensorrt"),
    "the same for a photograph": (2, "photo {scans}/a.jpg -o {folder}/nowhere.jpg --model {model} --engine tensorrt"),
    "a pipe": (4, "video {folder}/pipe.mp4 --model {model} --engine tensorrt"),
    "a pipe for a photograph": (4, "photo {folder}/pipe.mp4 --model {model} --engine tensorrt"),
    "the folder of a DVD": (4, "video {folder}/VIDEO_TS --model {model} --engine tensorrt"),
}


@pytest.mark.few(2)
@pytest.mark.parametrize("case", ERRORS)
def test_errors_have_their_exit_code_and_are_one_document(case: str, film: Path, scans: Path, model: Path) -> None:
    code, line = ERRORS[case]
    film.with_name("taken.mp4").write_bytes(b"something else")
    film.with_name("text.mp4").write_text("ffconcat version 1.0\nfile reel.mp4\n", encoding="utf-8")
    film.with_name("nowhere.mp4").symlink_to("gone")
    film.with_name("nowhere.jpg").symlink_to("gone")
    os.mkfifo(film.with_name("pipe.mp4"))
    film.with_name("VIDEO_TS").mkdir()
    film.with_name("VIDEO_TS").joinpath("VTS_01_1.VOB").touch()
    before = listing(film.parent)
    words = [word.format(film=film, scans=scans, folder=film.parent, model=model) for word in line.split()]
    done = colorize(*words, "--json")
    assert done.returncode == code
    error = answer(done)["error"]
    assert error["exit_code"] == code
    assert error["message"]
    assert error["advice"]
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert listing(film.parent) == before


@pytest.mark.few(1)
@pytest.mark.parametrize(("case", "words"), [("a pipe", "is a pipe"), ("the folder of a DVD", "VTS_01_1.VOB")])
def test_what_is_no_film_is_called_what_it_is(case: str, words: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "VIDEO_TS").mkdir()
    (tmp_path / "VIDEO_TS" / "VTS_01_1.VOB").touch()
    line = ERRORS[case][1].format(folder=tmp_path, model="fast")
    assert words in answer(colorize(*line.split(), "--json"))["error"]["message"]


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["photo", "video", "archive"])
def test_only_opening_a_source_shows_whether_it_can_be_read(name: str, film: Path, scans: Path, model: Path) -> None:
    source = {"photo": next(scans.rglob("*.jpg")), "video": film, "archive": scans}[name]
    # As on network file systems, where the system answers questions about permissions wrongly.
    denied = "import os; os.access = lambda path, mode, **options: mode != os.R_OK"
    code = f"{denied}; import sys, cli; sys.argv[0] = 'colorize-{name}'; cli.{name}()"
    done = python(code, source, "--model", model, "--dry-run")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_names_beyond_the_encoding_of_the_output_are_escaped(film: Path, model: Path) -> None:
    done = subprocess.run(
        command("video", film, "-o", film.with_name("Фильм.mkv"), "--model", model),
        env=environment(PYTHONIOENCODING="latin-1"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, film.with_name("Фильм.mkv").exists()) == (0, True), done.stderr
    assert "\\u0424" in done.stdout


@pytest.mark.slow
def test_a_terminal_that_cannot_draw_gets_lines(film: Path, model: Path) -> None:
    controller, terminal = os.openpty()
    done = subprocess.run(
        command("video", film, "--model", model),
        env=environment(TERM="dumb"),
        stderr=terminal,
        timeout=PATIENCE,
        check=False,
    )
    os.close(terminal)
    said = b""
    # A terminal gives what it has piece by piece; once it is closed and empty it gives an error.
    with os.fdopen(controller, "rb") as shown, suppress(OSError):
        while piece := os.read(shown.fileno(), 65536):
            said += piece
    assert done.returncode == 0
    assert b"reel.mp4: 12 frames in" in said


@pytest.mark.slow
def test_the_device_can_be_set_in_the_environment_and_is_said(
    scans: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOCHROME_DEVICE", "cpu")
    done = colorize("photo", scans / "a.jpg", "--model", model, "--json")
    origin = answer(done)["origin"]
    assert (origin["contract"], origin["licence"]) == ("autochrome-1", "CC0-1.0")
    assert f"on {origin['device']}" in done.stderr
    monkeypatch.setenv("AUTOCHROME_DEVICE", "npu")
    done = colorize("photo", scans / "a.jpg", "--model", model, "--overwrite", "--json")
    assert done.returncode == 6
    assert "no engine works on device 'npu'" in answer(done)["error"]["message"]


@pytest.mark.slow
def test_a_traceback_is_shown_only_when_asked_for(film: Path) -> None:
    assert "Traceback" not in colorize("video", film, "--model", "none").stderr
    assert "Traceback" in colorize("video", film, "--model", "none", "-v").stderr


@contextmanager
def at_work(film: Path, folder: Path, model: Path) -> Iterator[subprocess.Popen[str]]:
    """Start ``colorize-video`` and wait until it writes; signals that are ignored around us are not for it.

    The lock of the result, in a folder, comes before the last look at whether to begin; its file comes after it.
    """
    with subprocess.Popen(
        command("video", film, "-o", folder / "result.mp4", "--model", model, "--json"),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in (1, 2, 15)],
    ) as running:
        while running.poll() is None and not list(folder.glob(f"{PARTIAL_PREFIX}*.mp4")):
            time.sleep(0.01)
        yield running


@pytest.mark.few(1)
@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("numbers", "code"),
    [((2, 2), 130), ((15, 15), 143), ((15, 2), 130), ((1,), 129)],
    ids=["INT", "TERM", "both", "HUP"],
)
def test_a_hangup_or_a_second_signal_ends_a_run_and_leaves_no_temporary_file(
    numbers: tuple[int, ...], code: int, tmp_path: Path, long_film: Path, model: Path
) -> None:
    with at_work(long_film, tmp_path, model) as running:
        assert running.stderr is not None
        for number in numbers[:-1]:
            running.send_signal(number)
            assert any("finishing work in progress" in line for line in running.stderr)
        running.send_signal(numbers[-1])
        stdout, stderr = running.communicate(timeout=PATIENCE)
    assert running.returncode == code, stderr
    error = json.loads(stdout)["error"]
    assert (error["exit_code"], error["advice"]) == (code, "Run the same command again.")
    assert error["message"] == "interrupted; nothing is kept of the current film"
    assert listing(tmp_path) == []


@pytest.mark.nightly
@pytest.mark.few(1)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_a_film_without_segments_be_finished(
    number: signal.Signals, tmp_path: Path, model: Path
) -> None:
    film, out = make_film(tmp_path / "film.mp4", codec="libx264", times=range(200)), tmp_path / "out"
    out.mkdir()
    with at_work(film, out, model) as running:
        running.send_signal(number)
        stdout, stderr = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, stderr
    assert json.loads(stdout)["frames"] == 200
    assert listing(out) == ["result.mp4"]


@pytest.mark.slow
def test_the_card_of_weights_is_shown_without_torch(model: Path) -> None:
    done = colorize("model", "info", model, "--json")
    assert done.returncode == 0
    assert answer(done)["card"]["licence"] == "CC0-1.0"
    assert "CC0-1.0" in colorize("model", "info", model).stdout


def test_a_card_is_shown_with_what_is_nested_on_lines_of_its_own(tmp_path: Path) -> None:
    evaluation = {"protocol": "p", "sets": {"small": {"ciede2000": 8.123456, "lpips": None}}}
    told = {"evaluation": evaluation, "parameters": 5508164, "activations": {"first.weight": [0.0, 2.9]}}
    path = write_model(tmp_path / "nested.onnx", tiny_model(), **told)
    lines = [" ".join(line.split()) for line in colorize("model", "info", path).stdout.splitlines()]
    assert {"evaluation", "sets", "small ciede2000 8.123, lpips None", "parameters 5508164"} <= set(lines)
    assert "activations 1 value: see --json" in lines


@pytest.mark.nightly
def test_models_are_evaluated_and_compared(model: Path, photos: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    options = ["--sets", photos, "--size", 64, "--engine", "onnxruntime", "--rivals"]
    evaluated = colorize("model", "evaluate", model, *options, "--worst", 1, "--sheet", sheet, "--json")
    document = answer(evaluated)
    assert [score["system"] for score in document["scores"]] == ["tiny", "grey"]
    assert document["sheets"] == [str(sheet)]
    assert sheet.read_bytes().startswith(b"\x89PNG")
    compared = colorize("model", "evaluate", model, "fast", *options, "--markdown")
    assert (evaluated.returncode, compared.returncode) == (0, 0)
    assert f"| {photos.name} | tiny | 2 |" in compared.stdout
    shown = colorize("model", "evaluate", model, *options)
    assert "CIEDE2000" in shown.stdout


@pytest.mark.few(1)
@pytest.mark.parametrize("options", [[], ["--old", "{photos}"], ["--sets", "{photos}", "--worst", 3]])
def test_nothing_to_measure_and_a_sheet_without_a_name_are_usage_errors(
    options: list[object], model: Path, photos: Path
) -> None:
    words = [str(word).format(photos=photos) for word in options]
    done = colorize("model", "evaluate", model, *words, "--json")
    assert done.returncode == 2
    assert answer(done)["error"]["kind"] == "UsageError"


@pytest.mark.slow
def test_a_sheet_of_an_evaluation_takes_the_place_of_no_photograph(model: Path, photos: Path) -> None:
    before = {path: path.read_bytes() for path in photos.iterdir()}
    sheet = next(path for path in sorted(before) if path.suffix in (".png", ".jpg"))
    done = colorize("model", "evaluate", model, "--sets", photos, "--sheet", sheet, "--json")
    assert done.returncode == 2, done.stderr
    assert str(sheet) in answer(done)["error"]["message"]
    assert {path: path.read_bytes() for path in photos.iterdir()} == before


@pytest.mark.slow
def test_training_without_torch_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("", encoding="utf-8")
    program = (
        "import sys\nsys.modules['torch'] = None\nimport cli\nsys.argv = ['colorize-model', *sys.argv[1:]]\ncli.model()"
    )
    arguments = ("train", tmp_path / "config.toml", "--photos", tmp_path, "--run", tmp_path / "run", "--json")
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 8, done.stderr
    assert "pip install 'autochrome-archive[train]'" in answer(done)["error"]["advice"]


@pytest.mark.slow
def test_a_package_of_the_same_name_by_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("", encoding="utf-8")
    shadowed = environment(PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    done = subprocess.run(
        command("video", "--help"),
        env=shadowed,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 8
    assert f"'pipeline' in {tmp_path} is not Autochrome's" in done.stderr


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_answer_that_cannot_be_written_is_no_success(scans: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("archive", scans, "--dry-run", "--json"),
            env=environment(),
            stdout=full,
            timeout=PATIENCE,
            check=False,
        )

    assert done.returncode == 5


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", [["--json"], []])
def test_a_full_standard_output_is_an_error_without_a_traceback(words: list[str], model: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("model", "info", model, *words),
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 5, done.stderr
    assert "standard output: cannot be written: No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_standard_error_does_not_stop_the_work(scans: Path, model: Path) -> None:
    with Path("/dev/full").open("w") as full:
        subprocess.run(
            command("archive", scans, "--model", model), env=environment(), stderr=full, timeout=PATIENCE, check=False
        )
    assert (scans.with_name("scans-colorized") / "deep" / "b.png").exists()


def test_photographs_get_names_beside_them_and_several_make_one_document(scans: Path, model: Path) -> None:
    done = colorize("photo", scans / "a.jpg", "--model", model, "--engine", "onnxruntime", "--json")
    assert done.returncode == 0, done.stderr
    assert answer(done)["output"] == str(scans / "a.colorized.jpg")
    (scans / "c.jpg").write_text("no picture", encoding="utf-8")
    out = scans / "out"
    done = colorize(
        "photo",
        scans / "a.jpg",
        scans / "c.jpg",
        scans / "deep" / "b.png",
        "-o",
        out,
        "--model",
        model,
        "--engine",
        "onnxruntime",
        "--json",
    )
    assert done.returncode == 3, done.stderr
    document = answer(done)
    assert [result["output"] for result in document["results"]] == [
        str(out / "a.colorized.jpg"),
        str(out / "b.colorized.png"),
    ]
    assert [failure["source"] for failure in document["failures"]] == [str(scans / "c.jpg")]


@pytest.mark.slow
def test_a_list_stands_for_the_files_in_it(scans: Path, film: Path, model: Path) -> None:
    many, out = scans / "many.txt", scans / "out"
    many.write_text(f"\ufeff{scans / 'a.jpg'}\n\n  {scans / 'deep' / 'b.png'}\r\n", encoding="utf-8")
    done = colorize("photo", f"@{many}", "-o", out, "--model", model, "--json")
    assert done.returncode == 0, done.stderr
    assert listing(out) == ["a.colorized.jpg", "b.colorized.png"]
    many.write_text(f"{film}\n", encoding="utf-8")
    assert colorize("video", f"@{many}", "--dry-run").returncode == 0
    many.write_text("\n", encoding="utf-8")
    for name, words in ((many, "lists no files"), (scans / "none.txt", "cannot be read")):
        done = colorize("photo", f"@{name}", "--json")
        assert (done.returncode, words in answer(done)["error"]["message"]) == (4, True)


def test_several_films_are_coloured_and_a_bad_one_stops_no_other(film: Path, model: Path) -> None:
    bad, other = film.with_name("bad.mp4"), film.with_name("other.mp4")
    bad.write_text("no film", encoding="utf-8")
    other.write_bytes(film.read_bytes())
    out = film.with_name("out")
    out.mkdir()
    done = colorize("video", film, bad, other, "-o", out, "--model", model, "--json")
    assert done.returncode in (3, 4), done.stderr
    if done.returncode == 3:
        assert len(answer(done)["results"]) == 2


@pytest.mark.few(2)
@pytest.mark.parametrize(("name", "what", "advice"), [
    ("video", "a.jpg", "colorize-photo"), ("photo", "reel.mp4", "colorize-video"), ("photo", "", "colorize-archive"),
])  # fmt: skip
def test_the_other_kind_of_source_is_sent_to_its_command(
    name: str, what: str, advice: str, film: Path, scans: Path
) -> None:
    source = film if what == film.name else scans / what
    done = colorize(name, source, "--json")
    assert done.returncode == 2
    assert answer(done)["error"]["advice"] == f"Use {advice} {source}"


# Longer than any file system takes: the operating system does not tell whether there is anything.
TOO_LONG = "x" * 300


@pytest.mark.parametrize("name", ["photo", "video", "archive", "review"])
def test_a_source_that_the_system_refuses_to_look_at_is_an_unusable_input(name: str) -> None:
    done = colorize(name, TOO_LONG)
    assert (done.returncode, TOO_LONG in done.stderr) == (4, True), done.stderr
    assert "unexpected" not in done.stderr


@pytest.mark.few(3)
@pytest.mark.parametrize("more", [("--reference", TOO_LONG), ("--corrections", TOO_LONG), ("--output", TOO_LONG)])
@pytest.mark.parametrize("name", ["photo", "video", "archive"])
def test_so_is_what_an_option_names(name: str, more: tuple[str, str], film: Path, tmp_path: Path) -> None:
    source = {"photo": save(tmp_path / "a.png", scene()), "video": film, "archive": tmp_path}[name]
    done = colorize(name, source, *more)
    assert done.returncode == (5 if "--output" in more else 4), done.stderr
    assert "unexpected" not in done.stderr


# An engine that is not there: whoever gets as far as opening it ends with exit code 8.
NO_ENGINE = ("--engine", "tensorrt")


@pytest.mark.slow
def test_what_is_cheap_to_know_is_said_before_an_engine_starts(scans: Path, model: Path) -> None:
    (scans / "c.jpg").write_text("no picture", encoding="utf-8")
    (scans / "taken.jpg").touch()
    film = make_film(scans / "film.mp4", times=range(2))
    make_film(scans / "taken.mp4", times=range(2))
    (scans / "taken.comparison.mp4").touch()
    photo, new = scans / "a.jpg", scans / "new.jpg"
    for line, code, words in (
        (("photo", photo, "-o", scans / "taken.jpg"), 2, "exists already"),
        (("photo", photo, "-o", photo, "--overwrite"), 2, ""),
        (("photo", photo, "-o", scans / "new.png"), 4, "holds JPEG"),
        (("photo", scans / "c.jpg"), 4, "is not a picture"),
        (("photo", photo, "-o", new, "--reference", scans / "none.jpg"), 4, "no such reference"),
        (("photo", photo, photo, "-o", scans / "out", "--reference", scans / "none.jpg"), 4, "no such reference"),
        (("photo", photo, photo, "-o", new), 2, "is the name of a file"),
        (("photo", photo, "--corrections", scans / "none"), 4, "no such folder of corrections"),
        (("video", film, "-o", scans / "other.avi"), 2, ""),
        (("video", film, "-o", film), 2, ""),
        (("video", film, "-o", scans / "new.mp4", "--reference", scans / "none.jpg"), 4, "no such reference"),
        (("video", film, "-o", scans / "taken.mp4", "--compare", "side"), 2, "exists already"),
        (("video", film, "--preview", "shots", "-o", scans / "new.mp4"), 2, "is a JPEG picture"),
        (("video", film, "--preview", "shots", "--compare", "side"), 2, "--compare is for films"),
        (("archive", scans, "--reference", scans / "none.jpg"), 4, "no such reference"),
    ):
        done = colorize(*map(str, line), "--model", model, *NO_ENGINE, "--json")
        assert done.returncode == code, (line, done.stderr)
        assert words in answer(done)["error"]["message"]
    assert not new.exists()


@pytest.mark.slow
def test_of_two_faults_the_one_that_comes_first_is_told(scans: Path) -> None:
    """What the sources are, what the options name, where the results go."""
    (scans / "a.colorized.jpg").touch()
    for line, words in (
        (("photo", scans / "none.jpg", "--model", "none", "--reference", "none.jpg"), "none.jpg: no such file"),
        (("photo", scans / "a.jpg", "--model", "none", "--reference", "none.jpg"), "no weights named 'none'"),
        (("photo", scans / "a.jpg", "--reference", "none.jpg"), "no such reference"),
        (("photo", scans / "a.jpg"), "exists already"),
    ):
        assert words in answer(colorize(*map(str, line), "--json"))["error"]["message"]


@pytest.mark.slow
def test_a_wrong_suffix_sends_nobody_in_circles(scans: Path, film: Path, model: Path) -> None:
    photo, moving = film.with_name("photo.mp4"), film.with_name("film.jpg")
    photo.write_bytes((scans / "a.jpg").read_bytes())
    moving.write_bytes(film.read_bytes())
    done = colorize("video", photo, "--json")
    assert answer(done)["error"]["advice"] == f"Use colorize-photo {photo}"
    done = colorize("photo", photo, "--model", model, "--json")
    assert Path(answer(done)["output"]) == photo.with_name("photo.colorized.jpg")
    done = colorize("photo", moving, "--json")
    assert answer(done)["error"]["advice"] == f"Use colorize-video {moving}"
    done = colorize("video", moving, "--model", model, "--json")
    assert done.returncode == 0, done.stderr
    for name in ("text.jpg", "text.mp4"):
        text = film.with_name(name)
        text.write_text("neither", encoding="utf-8")
        ends = [answer(colorize(command, text, "--model", model, "--json"))["error"] for command in ("photo", "video")]
        assert sum(end["kind"] == "InputError" for end in ends) == 1, ends


@pytest.mark.slow
def test_a_result_is_not_coloured_again(scans: Path, film: Path, model: Path) -> None:
    words = ("--model", model, "--json")
    first = Path(answer(colorize("photo", scans / "a.jpg", *words))["output"])
    again = answer(colorize("photo", first, *words))
    assert again["treatment"] == "kept as it is"
    assert "a result of Autochrome" in again["notes"][0]["text"]
    assert Path(again["output"]).read_bytes() == first.read_bytes()
    anew = answer(colorize("photo", first, "--treat-as", "monochrome", "--overwrite", *words))
    assert anew["treatment"] == "coloured"
    made = Path(answer(colorize("video", film, *words))["output"])
    again = answer(colorize("video", made, *words))
    assert [shot["treatment"] for shot in again["shots"]] == ["kept as it is"]
    assert "a result of Autochrome" in again["notes"][0]["text"]


@pytest.mark.slow
def test_what_was_left_grey_is_not_declared_as_coloured(scans: Path, film: Path, model: Path) -> None:
    scans.joinpath("reel.mp4").write_bytes(film.read_bytes())
    done = colorize("archive", scans, "--saturation", "0", "--model", model)
    assert done.returncode == 0, done.stderr
    assert "0 photos and 0 films coloured" in done.stdout
    assert "3 items without new colour" in done.stdout
    out = scans.with_name("scans-colorized")
    assert b"trainedAlgorithmicMedia" not in (out / "a.jpg").read_bytes()
    assert b"artificial intelligence" not in (out / "reel.mp4").read_bytes()
    for name in ("a.jpg", "reel.mp4"):
        assert json.loads((out / f"{name}.autochrome.json").read_text())["digital_source_type"] is None
    hinted = colorize("photo", scans / "a.jpg", "--saturation", "0", "--hint", "0.5,0.5=#B3272D", "--model", model)
    assert hinted.returncode == 0, hinted.stderr
    assert b"trainedAlgorithmicMedia" in (scans / "a.colorized.jpg").read_bytes().replace(b"TrainedA", b"trainedA")


@pytest.mark.slow
def test_what_is_quarantined_is_named_and_no_success(scans: Path, model: Path) -> None:
    (scans / "bad.tif").write_text("no picture", encoding="utf-8")
    words = ("--model", model, "--quarantine-after", "1", "--no-report")
    assert colorize("archive", scans, *words).returncode == 3
    for more in ((), ("--dry-run",)):
        done = colorize("archive", scans, *words, *more)
        assert done.returncode == 3, done.stderr
        assert "1 item quarantined without a result" in done.stdout
        assert "bad.tif" in done.stdout
    assert answer(colorize("archive", scans, *words, "--json"))["quarantined_sources"] == ["bad.tif"]
    assert colorize("archive", scans, *words, "--exclude", "bad.tif").returncode == 0


@pytest.mark.slow
def test_a_preview_speaks_of_the_film_and_not_of_a_part_of_it(film: Path, model: Path) -> None:
    hint = ("--hint", "0.5,0.5=#B3272D@0.1")
    done = colorize("video", film, "--preview", "0.2s", "--model", model, *hint)
    assert done.returncode == 0, done.stderr
    assert "reel.mp4" in done.stderr
    assert ".mkv" not in done.stdout + done.stderr
    done = colorize("video", film, "--preview", "0.2s", "--model", model, "--codec", "prores", "--dry-run")
    assert "preview of a part" in done.stdout


@pytest.mark.slow
def test_control_characters_of_names_do_not_reach_the_terminal(scans: Path, model: Path) -> None:
    evil = scans / "a\x1b[31m\x07.jpg"
    evil.write_text("no picture", encoding="utf-8")
    for done in (colorize("photo", evil, "--model", model), colorize("archive", scans, "--model", model)):
        assert "\x1b" not in done.stdout + done.stderr
        assert "\x07" not in done.stdout + done.stderr
        assert r"a\x1b[31m\x07.jpg" in done.stderr


def test_the_log_file_has_the_traceback_of_every_failure(scans: Path, model: Path) -> None:
    (scans / "c.jpg").write_text("no picture", encoding="utf-8")
    log = scans.with_name("all.log")
    assert colorize("archive", scans, "--model", model, "--engine", "onnxruntime", "--log-file", log).returncode == 3
    text = log.read_text(encoding="utf-8")
    assert f"{scans / 'c.jpg'}: no result" in text
    assert "Traceback" in text
    assert "InputError" in text


@pytest.mark.slow
def test_the_log_tells_a_maintainer_what_was_decided_and_why(scans: Path, film: Path, model: Path) -> None:
    """What one looks for in the morning: the command, the engine and what it passed over, decisions, endings."""
    film.rename(scans / "reel.mp4")
    log = scans.with_name("all.log")
    assert colorize("archive", scans, "--model", model, "--log-file", log).returncode == 0
    text = log.read_text(encoding="utf-8")
    for part in (
        "colorize-archive",
        "opening openvino for device auto",
        "network NetworkSpec(",
        "a new ledger",
        "2 photo, 1 film to do",
        "a.jpg: JPEG, 173 x 118, 8 bits; monochrome, confidence",
        "reel.mp4: to libx264, yuv420p, in .mp4",
        "shot 0, from frame 0: monochrome, confidence",
        "a shot ends after 12 frames, ",
        "reel.mp4: verified in",
        "reel.mp4: published, ",
        "deep/b.png: done in",
        "run finished, exit code 0",
    ):
        assert part in text, text


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["video", "photo", "archive", "review", "model"])
def test_the_short_form_of_help_works(name: str) -> None:
    done = colorize(name, "-h")
    assert done.returncode == 0
    assert "Usage" in done.stdout


@pytest.mark.slow
def test_a_network_is_added_listed_and_found_by_name(
    model: Path, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert colorize("model", "add", model, "--name", "mine", "--licence", "CC0-1.0", "--json").returncode == 0
    found = {one["name"]: one for one in answer(colorize("model", "list", "--json"))["models"]}
    assert {"fast", "mine"} <= set(found)
    assert (found["mine"]["licence"], found["mine"]["is_added"]) == ("CC0-1.0", True)
    done = colorize("photo", scans / "a.jpg", "--model", "mine", "--json")
    assert done.returncode == 0, done.stderr
    assert answer(done)["model"] == "mine"


@pytest.mark.slow
def test_a_review_needs_an_archive_or_files(tmp_path: Path) -> None:
    for what, code, words in (
        (tmp_path, 4, "holds no results of colorize-archive"),
        (tmp_path / "none.jpg", 4, "no such file"),
    ):
        done = colorize("review", "--no-browser", what)
        assert (done.returncode, words in done.stderr) == (code, True), done.stderr


@pytest.mark.slow
def test_a_preview_is_a_part_of_the_film_under_a_name_that_says_so(film: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "previews"
    out.mkdir()
    compare = ("--compare", "side")
    for wanted, name, more in (("0.2s", "reel.preview.mp4", compare), ("shots", "reel.preview.jpg", ())):
        done = colorize("video", film, "--preview", wanted, *more, "-o", out, "--model", model, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["preview"] is True
        assert name in {path.name for path in out.iterdir()}
        assert "converted: the result" not in done.stderr
    assert {path.name for path in out.iterdir()} == {
        "reel.preview.mp4",
        "reel.preview.comparison.mp4",
        "reel.preview.jpg",
    }
    for name in ("reel.preview.mp4", "reel.preview.comparison.mp4"):
        with av.open(str(out / name)) as made:
            assert "artificial intelligence" in made.metadata["comment"]
            assert made.metadata["description"] == "preview: a part of a film, from 0:00:00.0 on"


@pytest.mark.slow
def test_what_a_person_set_right_about_a_film_holds(film: Path, model: Path) -> None:
    kept = film.parent / ".autochrome" / "corrections" / f"{film.name}.correction.json"
    kept.parent.mkdir(parents=True)
    kept.write_text('{"format": "autochrome-correction-1", "correction": {"saturation": 0}}', encoding="ascii")
    assert answer(colorize("video", film, "--model", model, "--json"))["measures"]["colourfulness"] < 1
    done = colorize("video", film, "--corrections", film.parent / "none", "--json")
    assert done.returncode == 4
    assert "no such folder of corrections" in done.stderr
