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
from shutil import copytree
from typing import Any

import numpy as np
import pytest

import pipeline
from pipeline import (
    ArchiveResult,
    Callback,
    Cancelled,
    Codec,
    Colorizer,
    InputError,
    Note,
    Options,
    PhotoJob,
    Progress,
    Quality,
    RunOptions,
    Silent,
    State,
    UsageError,
    colorize_archive,
    colorize_photo,
    colorize_photos,
    colorize_video,
    read_ledger,
)
from pipeline.errors import OutputError
from tests.films import Sound, make_film
from tests.photos import save, scene
from tests.sampled import sampled

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
SHOT, SHOTS, SEGMENT = 8, 4, 6
FRAMES = 6
NAMES = ("av", "cv2", "ffmpeg", "imagecodecs", "onnx", "onnxruntime", "openvino", "torch")
UNTYPED = ",".join(f"{name}.*" for name in NAMES)
MASTER = Options(codec=Codec.FFV1, quality=Quality.MASTER)


@pytest.fixture(scope="module")
def shared_media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the files that the document speaks of."""
    folder = tmp_path_factory.mktemp("media")
    (folder / "scans").mkdir()
    for path in ("scan.jpg", "scans/a.jpg", "scans/b.png"):
        save(folder / path, scene())
    for path in ("film.mp4", "scans/c.mp4"):
        make_film(folder / path, codec="libx264", times=range(FRAMES), sounds=[Sound()])
    (folder / "letter.jpg").write_text("Dear sister,", encoding="utf-8")
    return folder


@pytest.fixture
def media(shared_media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder of these files, and work there."""
    copytree(shared_media, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def hidden(folder: Path) -> list[str]:
    """Name what a run might have left behind in ``folder``."""
    return [str(path) for path in folder.rglob(".autochrome-*")]


@pytest.mark.slow
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
        _ = pipeline.colourise  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="colourise"):
        exec("from pipeline import colourise")


def test_options_errors_and_results_load_no_codec_and_no_engine() -> None:
    code = """
        import sys, pipeline
        assert not [name for name in sys.modules if name.startswith("pipeline.")]
        from pipeline import Callback, Cancelled, FilmResult, InputError, Options, RunOptions
        heavy = {"av", "cv2", "numpy", "onnxruntime", "openvino", "PIL", "typer"} & set(sys.modules)
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, cwd=ROOT)


@pytest.mark.nightly
def test_type_checkers_see_the_real_signatures(tmp_path: Path) -> None:
    code = """
        import io
        from pathlib import Path
        from typing import Any, assert_type

        import numpy as np
        from numpy.typing import NDArray
        from PIL import Image

        from pipeline import (
            AS_GIVEN, Failure, FilmResult, Options, PhotoResult,
            colorize_archive, colorize_photo, colorize_video, open_colorizer,
        )

        with open_colorizer() as colorizer:
            assert_type(colorize_video("film.mp4", colorizer=colorizer), FilmResult)
        assert_type(colorize_archive("scans").failures, tuple[Failure, ...])
        assert_type(colorize_photo("scan.jpg", options=Options(model="fast")), PhotoResult)
        assert_type(colorize_photo("scan.jpg", AS_GIVEN, correction=Path("scan.json")), PhotoResult)
        assert_type(colorize_photo(Path("scan.jpg"), "result.jpg"), PhotoResult)
        assert_type(colorize_photo(Path("scan.jpg"), None), bytes)
        data, file, image, grey = b"", io.BytesIO(), Image.new("L", (8, 8)), np.zeros((8, 8), np.uint8)
        assert_type(colorize_photo(data), bytes)
        assert_type(colorize_photo(data, None, Options()), bytes)
        assert_type(colorize_photo(file), io.BytesIO)
        assert_type(colorize_photo(open("scan.jpg", "rb"), None), io.BytesIO)
        assert_type(colorize_photo(image), Image.Image)
        assert_type(colorize_photo(image, None), Image.Image)
        assert_type(colorize_photo(grey), NDArray[Any])
        assert_type(colorize_photo(grey, None), NDArray[Any])
        colorize_photo(data, "result.jpg")  # 1
        colorize_photo(grey, correction=Path("scan.json"))  # 2
        colorize_photo("scan.jpg", Options())  # 3
        colorize_photo(io.StringIO())  # 4
        colorize_video()  # 5
        colorize_video(5)  # 6
        from pipeline import colourise  # 7
    """
    (tmp_path / "job.py").write_text(textwrap.dedent(code), encoding="utf-8")
    config = f"[mypy]\nstrict = true\nfollow_imports = silent\n[mypy-{UNTYPED}]\nignore_missing_imports = true\n"
    (tmp_path / "mypy.ini").write_text(config, encoding="utf-8")
    words = ["--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(tmp_path / "cache"), "--no-pretty"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *words, str(tmp_path / "job.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = (tmp_path / "job.py").read_text(encoding="utf-8").splitlines()
    errors = re.findall(r"job\.py:(\d+): error: .*\[(.+)\]$", done.stdout, re.M)
    assert [(lines[int(number) - 1].partition("  # ")[2], kind) for number, kind in errors] == [
        ("1", "call-overload"),
        ("2", "call-overload"),
        ("3", "call-overload"),
        ("4", "arg-type"),
        ("5", "call-arg"),
        ("6", "arg-type"),
        ("7", "attr-defined"),
    ], done.stdout + done.stderr


def test_a_result_prints_without_its_previews(media: Path, colorizer: Colorizer) -> None:
    result = colorize_photo("scan.jpg", colorizer=colorizer)
    assert sum(len(preview.before) + len(preview.after) for preview in result.previews) > 1000
    assert len(repr(result)) < 2000
    assert "Preview(label=" in repr(result.previews)
    assert len(repr(result.previews)) < 200


class Ending(Silent):
    """Progress that raises ``error`` from its ``method`` when that is called for the ``count``-th time."""

    def __init__(self, error: BaseException, *, method: str = "advance", count: int = 1) -> None:
        self._error, self._method, self._left = error, method, count
        self.after = 0

    def _called(self, method: str) -> None:
        self.after += self._left <= 0
        if method == self._method:
            self._left -= 1
            if self._left == 0:
                raise self._error

    def begin(self, item: str, total: int | None, unit: str) -> None:
        self._called("begin")

    def advance(self, item: str, count: int = 1) -> None:
        self._called("advance")

    def end(self, item: str) -> None:
        self._called("end")

    def say(self, text: str) -> None:
        self._called("say")

    def note(self, item: str, note: Note) -> None:
        self._called("note")


class Watched(Silent):
    """Progress that sets ``begun`` with the first frame of a film, and ends the run when ``stop`` is set."""

    def __init__(self) -> None:
        self.begun, self.stop = threading.Event(), threading.Event()
        self.frames = 0

    def advance(self, item: str, count: int = 1) -> None:
        if item.endswith(".mkv"):
            self.frames += count
            self.begun.set()
            # As if frames took long: the film is not through before the other thread had its turn.
            assert self.stop.wait(30)
        if self.stop.is_set():
            raise Cancelled


def states(output: Path) -> dict[str, State]:
    ledger = read_ledger(output)
    assert ledger is not None
    with ledger:
        return {record.path: record.state for record in ledger.records()}


def outcome(output: Path) -> str:
    ledger = read_ledger(output)
    assert ledger is not None
    with ledger:
        return ledger.runs()[-1].outcome


def finish(archive: str, colorizer: Colorizer) -> ArchiveResult:
    """Run again, check that everything is whole now, and return what this run did."""
    result = colorize_archive(archive, colorizer=colorizer)
    assert set(states(result.output).values()) == {State.DONE}
    assert (result.failed, hidden(result.output)) == (0, [])
    return result


@pytest.mark.parametrize(("source", "expected"), [("a.jpg", "a.colorized.jpg"), ("a.bmp", "a.colorized.png")])
def test_a_photograph_gets_a_name_beside_it(
    source: str, expected: str, tmp_path: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(Path(source), scene())
    assert colorize_photo(source, colorizer=colorizer).output == Path(expected)
    assert Path(expected).exists()
    with pytest.raises(UsageError, match="exists already"):
        colorize_photo(source, colorizer=colorizer)


def test_a_callback_is_told_of_every_frame_and_photograph(media: Path, colorizer: Colorizer) -> None:
    calls: list[tuple[str, int, int | None]] = []

    def tell(*call: Any) -> None:
        calls.append(call)

    colorize_video("film.mp4", colorizer=colorizer, progress=Callback(tell))
    assert calls == [("film.mp4", done, FRAMES) for done in range(FRAMES + 1)]
    calls.clear()
    colorize_photo("scan.jpg", colorizer=colorizer, progress=Callback(tell))
    assert calls == [("scan.jpg", 0, 1), ("scan.jpg", 1, 1)]
    calls.clear()
    colorize_archive("scans", colorizer=colorizer, progress=Callback(tell))
    assert [call for call in calls if call[0] == "archive"] == [("archive", done, 3) for done in range(4)]
    assert [call for call in calls if call[0] == "photos"] == [("photos", done, 2) for done in range(3)]
    assert [call for call in calls if call[0] == "scans/c.mp4"] == [
        ("scans/c.mp4", done, FRAMES) for done in range(FRAMES + 1)
    ]


@pytest.mark.few(1)
@pytest.mark.parametrize("method", ["begin", "note", "advance"])
def test_a_cancelled_film_leaves_nothing_behind(method: str, media: Path, colorizer: Colorizer) -> None:
    before = sorted(media.rglob("*"))
    with pytest.raises(Cancelled):
        colorize_video("film.mp4", colorizer=colorizer, progress=Ending(Cancelled(), method=method))
    assert sorted(media.rglob("*")) == before
    assert colorize_video("film.mp4", colorizer=colorizer).frames == FRAMES


def test_a_cancelled_photograph_leaves_nothing_behind(media: Path, colorizer: Colorizer) -> None:
    before = sorted(media.rglob("*"))
    with pytest.raises(Cancelled):
        colorize_photo("scan.jpg", colorizer=colorizer, progress=Ending(Cancelled(), method="begin"))
    assert sorted(media.rglob("*")) == before


@pytest.mark.slow
def test_photographs_that_are_not_asked_for_any_more_are_not_made(media: Path, colorizer: Colorizer) -> None:
    jobs = [PhotoJob(Path("scan.jpg"), Path("out", f"{number}.jpg")) for number in range(40)]
    outcomes = colorize_photos(jobs, colorizer=colorizer)
    next(outcomes)
    outcomes.close()
    # Those that were being written beside the first are whole.
    made = sorted(int(path.stem) for path in Path("out").iterdir())
    assert made == list(range(len(made)))
    assert 1 <= len(made) <= 9


@pytest.mark.slow
def test_a_cancelled_long_film_goes_on_after_its_last_segment(tmp_path: Path, colorizer: Colorizer) -> None:
    def shots(number: int) -> Any:
        blocks = np.random.default_rng(number // SHOT).integers(20, 235, (8, 12))
        return np.kron(blocks, np.ones((8, 8))).astype(np.uint8)

    film = make_film(tmp_path / "film.mkv", times=range(SHOT * SHOTS), luma=shots)
    whole = colorize_video(film, tmp_path / "whole.mkv", MASTER, colorizer=colorizer, segment_frames=SEGMENT)
    output = tmp_path / "cancelled.mkv"
    with pytest.raises(Cancelled):
        colorize_video(
            film, output, MASTER, colorizer=colorizer, progress=Ending(Cancelled(), count=20), segment_frames=SEGMENT
        )
    assert not output.exists()
    assert hidden(tmp_path)
    steps: list[int] = []
    again = Callback(lambda _item, done, _total: steps.append(done))
    colorize_video(film, output, MASTER, colorizer=colorizer, progress=again, segment_frames=SEGMENT)
    assert steps[:3] == [0, 2 * SHOT, 2 * SHOT + 1]
    assert output.read_bytes() == whole.output.read_bytes()
    assert not hidden(tmp_path)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("progress", "done"),
    [
        pytest.param(lambda: Ending(Cancelled(), method="begin"), 0, id="before all"),
        pytest.param(lambda: Ending(Cancelled(), method="advance"), 1, id="after a photograph"),
        pytest.param(lambda: Ending(Cancelled(), method="advance", count=8), 2, id="in a film"),
    ],
)
def test_a_cancelled_archive_keeps_what_is_done_and_goes_on(
    progress: Callable[[], Progress], done: int, media: Path, colorizer: Colorizer
) -> None:
    with pytest.raises(Cancelled):
        colorize_archive("scans", colorizer=colorizer, progress=progress())
    output = Path("scans-colorized")
    found = list(states(output).values())
    assert found.count(State.DONE) == done
    assert set(found) <= {State.DONE, State.WAITING, State.RUNNING}
    assert outcome(output) == "interrupted"
    assert (output / "report.html").exists()
    assert not hidden(output)
    last = finish("scans", colorizer)
    assert (last.photos + last.films, last.skipped) == (3 - done, done)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_archive_is_cancelled_from_another_thread(
    jobs: int, tmp_path: Path, colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scans").mkdir()
    save(Path("scans/a.jpg"), scene())
    for name in ("b", "c", "d"):
        make_film(Path("scans", f"{name}.mkv"), times=range(FRAMES))
    progress, raised = Watched(), []

    def work() -> None:
        try:
            colorize_archive("scans", run_options=RunOptions(jobs=jobs), colorizer=colorizer, progress=progress)
        except BaseException as error:  # noqa: BLE001 - looked at below
            raised.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    assert progress.begun.wait(30)
    progress.stop.set()
    worker.join(30)
    assert [type(error) for error in raised] == [Cancelled]
    assert progress.frames <= jobs
    found = states(Path("scans-colorized"))
    assert found == {"a.jpg": State.DONE, **dict.fromkeys(("b.mkv", "c.mkv", "d.mkv"), State.WAITING)}
    assert not hidden(Path("scans-colorized"))
    assert finish("scans", colorizer).films == 3


@pytest.mark.few(2)
@pytest.mark.parametrize("method", ["begin", "advance", "note", "end"])
def test_a_fault_of_a_callback_is_not_taken_for_one_of_the_film(method: str, media: Path, colorizer: Colorizer) -> None:
    error = BrokenPipeError("nobody listens")
    with pytest.raises(BrokenPipeError) as caught:
        colorize_video("film.mp4", colorizer=colorizer, progress=Ending(error, method=method))
    assert caught.value is error
    assert not hidden(media)


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "told",
    sampled(
        [("begin", 1), ("advance", 1), ("advance", 8), ("say", 1), ("note", 1), ("end", 1), ("end", 3)],
        ("begin", 1),
        ("advance", 8),
        ("end", 3),
    ),
)
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Cancelled(), id="cancelled"),
        pytest.param(BrokenPipeError("nobody listens"), id="fault", marks=pytest.mark.slow),
    ],
)
def test_what_a_callback_raises_ends_an_archive_and_is_no_failure_of_an_item(
    told: tuple[str, int], error: BaseException, media: Path, colorizer: Colorizer
) -> None:
    method, count = told
    Path("scans/d.jpg").write_text("no picture", encoding="utf-8")
    progress = Ending(error, method=method, count=count)
    with pytest.raises(type(error)) as caught:
        colorize_archive("scans", colorizer=colorizer, progress=progress)
    assert caught.value is error
    assert progress.after == 0
    found = states(Path("scans-colorized"))
    assert {path for path, state in found.items() if state is State.FAILED} <= {"d.jpg"}
    Path("scans/d.jpg").unlink()
    finish("scans", colorizer)


def test_a_photograph_that_cannot_be_coloured_is_an_error_with_advice(media: Path, colorizer: Colorizer) -> None:
    with pytest.raises(InputError, match=r"letter\.jpg") as caught:
        colorize_photo("letter.jpg", colorizer=colorizer)
    assert caught.value.advice
    assert not Path("letter.colorized.jpg").exists()


COLORIZE: tuple[Callable[..., Any], ...] = (colorize_photo, colorize_video, colorize_archive)


@pytest.mark.usefixtures("bound_by_permissions")
@pytest.mark.parametrize("function", COLORIZE)
def test_in_a_folder_without_permission_a_source_cannot_be_read_and_a_result_not_written(
    function: Callable[..., Any], tmp_path: Path
) -> None:
    source = save(tmp_path / "a.png", scene()) if function is colorize_photo else make_film(tmp_path / "a.mkv")
    source = tmp_path if function is colorize_archive else source
    sealed = tmp_path.with_name(f"{tmp_path.name}-sealed")
    sealed.mkdir(0)
    try:
        with pytest.raises(InputError, match="Permission denied"):
            function(sealed / source.name, tmp_path.with_name("made"))
        with pytest.raises(OutputError, match="Permission denied"):
            function(source, sealed / "made.mkv")
    finally:
        sealed.chmod(0o700)
