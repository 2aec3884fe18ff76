"""Workers in other processes: the same results, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.archive.executors.fence import FencedError, behind, close_all_fences, close_fence, raise_fence
from pipeline.archive.ledger import State
from pipeline.archive.output_folder import folders_below
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.color.colorizer import Colorizer
from pipeline.errors import EngineError, LockedError, UsageError, WeightsError
from pipeline.interruption import StopRequest
from pipeline.options import Options, Quality
from pipeline.progress import Silent
from tests.commands import PATIENCE, ROOT, environment
from tests.engines.tiny import write_tiny_model
from tests.engines.two import write_two_model
from tests.films import make_film
from tests.pipeline.archive.kills import check_finished, make_archive
from tests.pipeline.archive.runs import Listener, last_run, states

pytestmark = pytest.mark.slow


class World:
    """Two dozen photographs and a film, and what an undisturbed run in threads makes of them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source, self.model = folder, make_archive(folder), write_tiny_model(folder)
        self.undisturbed = folder / "undisturbed"
        assert self.run(self.undisturbed, on="threads").exit_code == 0

    def run(self, output: Path, *, progress: Silent | None = None, stop: StopRequest | None = None, **choices: object):  # type: ignore[no-untyped-def]
        options = Options(engine="onnxruntime", model=str(self.model), quality=Quality.MASTER)
        chosen = {"on": "processes", "workers": 2, "keep_free": 0, "report": False, **choices}
        return colorize_archive(
            self.source, output, options, run_options=RunOptions(**chosen), progress=progress, stop=stop
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


class Acting(Silent):
    """Does something when so many items are done, and so does the one that is told of them ``then``."""

    def __init__(self, after: int, act: Callable[[], object], *, then: Acting | None = None) -> None:
        self._left, self._act, self._then = after, act, then

    def advance(self, item: str, count: int = 1) -> None:
        if item == "archive":
            self._left -= count
            if self._left == 0:
                self._act()
        if self._then is not None:
            self._then.advance(item, count)


def processes() -> list[int]:
    """Return the workers that this process started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            is_worker = b"spawn_main" in (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and is_worker:
            found.append(int(path.parent.name))
    return found


@pytest.mark.nightly
def test_processes_make_what_threads_make_and_tell_the_same(world: World, tmp_path: Path) -> None:
    heard = Listener()
    result = world.run(tmp_path / "out", progress=heard)
    assert (result.photos, result.films, result.failed) == (24, 1, 0)
    check_finished(tmp_path / "out", world.undisturbed)
    assert heard.counts["archive"] == [25, 25]
    assert heard.counts[str(world.source / "reel.mp4")] == [24, 24]
    assert not heard.open
    assert not list((tmp_path / "out" / ".autochrome" / "workers").iterdir())
    assert world.run(tmp_path / "out").skipped == 25


# Prints which runtimes the driver has imported at the end.
DRIVING = """
import sys
from pathlib import Path
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.options import Options, Quality
source, output, model = sys.argv[1:]
options = Options(engine="onnxruntime", model=model, quality=Quality.MASTER)
chosen = RunOptions(on="processes", workers=2, keep_free=0, report=False)
assert colorize_archive(Path(source), Path(output), options, run_options=chosen).exit_code == 0
print({"onnxruntime", "openvino"} & set(sys.modules))
"""


@pytest.mark.nightly
def test_the_driver_opens_no_engine(world: World, tmp_path: Path) -> None:
    driver = [sys.executable, "-c", DRIVING, world.source, tmp_path / "out", world.model]
    ended = subprocess.run(
        list(map(str, driver)), env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert ended.stdout == "set()\n", ended.stderr
    check_finished(tmp_path / "out", world.undisturbed)


@pytest.mark.nightly
def test_workers_stop_when_time_is_up_and_the_next_run_does_the_rest(world: World, tmp_path: Path) -> None:
    output, stop = tmp_path / "out", StopRequest()
    result = world.run(output, until=datetime.now() - timedelta(hours=1))
    assert (result.outcome, result.exit_code, result.photos, result.waiting) == ("until", 0, 0, 25)

    def end_night() -> None:
        stop.until = datetime.now()

    result = world.run(output, stop=stop, progress=Acting(3, end_night))
    assert (result.outcome, result.exit_code, result.films) == ("until", 0, 0)
    assert 3 <= result.photos < 24
    assert result.photos + result.waiting == 25
    assert world.run(output).exit_code == 0
    check_finished(output, world.undisturbed)


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to find the workers")
def test_workers_that_are_killed_are_replaced_and_their_work_is_done_again(world: World, tmp_path: Path) -> None:
    def kill() -> None:
        os.kill(processes()[0], signal.SIGKILL)

    for number, after in enumerate((1, 9, 20)):
        output = tmp_path / f"out{number}"
        result = world.run(output, progress=Acting(after, kill), quarantine_after=9)
        assert (result.failed, result.exit_code) == (0, 0)
        check_finished(output, world.undisturbed)


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to find the workers")
def test_a_run_that_lost_a_worker_and_its_lock_leaves_the_files_of_the_run_that_took_over(
    world: World, tmp_path: Path
) -> None:
    output, planted = tmp_path / "out", ".autochrome-0123456789ab.jpg"

    def kill() -> None:
        os.kill(processes()[0], signal.SIGKILL)

    def take_over() -> None:
        (output / ".autochrome" / "lock").write_text('{"pid": 7, "host": "elsewhere", "started": 0}')
        for folder in folders_below(output):
            (folder / planted).write_bytes(b"half")

    both = Acting(1, kill, then=Acting(24, take_over))
    with pytest.raises(LockedError, match="process 7 on elsewhere"):
        world.run(output, progress=both, workers=1, quarantine_after=9)
    assert all((folder / planted).exists() for folder in folders_below(output))


TAKEN_OVER = """
import sys
from pathlib import Path
from pipeline.archive.executors.fence import raise_fence
from pipeline.archive.executors.worker import WorkerSettings, Worker
from pipeline.archive.output_folder import locked
from pipeline.archive.run_options import RunOptions
from pipeline.options import Options
from pipeline.originals import NO_ORIGINALS
from pipeline.publish import publishing

folder = Path(sys.argv[1])
with locked(folder / "out") as lock:
    shared = {"until": None, "level": 30, "cores": None, "network": "", "version": "", "lock": lock}
    archive = {"source": folder, "output": folder / "out", "options": Options(), "run_options": RunOptions()}
    Worker(WorkerSettings(**archive, **shared), raise_fence(folder))
    for name in ("before", "after"):
        with publishing(folder / name, overwrite=False, originals=NO_ORIGINALS) as temporary:
            temporary.write_text(name)
        (folder / "out" / ".autochrome" / "lock").write_text("another")
"""


def test_a_worker_publishes_nothing_once_another_run_took_over(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TAKEN_OVER, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "LockedError" in done.stderr
    assert (tmp_path / "before").read_text() == "before"
    assert not (tmp_path / "after").exists()


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to find the workers")
def test_a_worker_that_finds_another_card_of_the_network_colours_nothing(world: World, tmp_path: Path) -> None:
    options = Options(engine="onnxruntime", model=str(write_two_model(tmp_path, temperature=0.5)))

    def change() -> None:
        write_two_model(tmp_path, temperature=0.4)
        os.kill(processes()[0], signal.SIGKILL)

    chosen = RunOptions(on="processes", workers=1, keep_free=0, report=False, quarantine_after=9)
    with pytest.raises(WeightsError, match="not the network that this run began with"):
        colorize_archive(world.source, tmp_path / "out", options, run_options=chosen, progress=Acting(1, change))
    assert last_run(tmp_path / "out").exit_code == 9
    assert (again := colorize_archive(world.source, tmp_path / "out", options, run_options=chosen)).exit_code == 0
    assert again.photos + again.films == len(states(tmp_path / "out")), "what was done is done again"


@pytest.mark.nightly
def test_a_stop_reaches_the_workers_and_the_next_run_goes_on(world: World, tmp_path: Path) -> None:
    stop = StopRequest()
    result = world.run(tmp_path / "out", progress=Acting(3, stop.make), stop=stop)
    assert (result.outcome, result.exit_code) == ("interrupted", 130)
    assert 0 < result.waiting < 25
    assert State.RUNNING not in states(tmp_path / "out").values()
    assert world.run(tmp_path / "out").exit_code == 0
    check_finished(tmp_path / "out", world.undisturbed)


def test_room_that_must_stay_free_is_watched_by_the_workers(world: World, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="must stay free"):
        world.run(tmp_path / "out", keep_free=1 << 60)
    assert last_run(tmp_path / "out").exit_code == 5


def test_an_engine_that_no_worker_can_open_ends_the_run(world: World, tmp_path: Path) -> None:
    options = Options(engine="tensorrt", model=str(world.model))
    with pytest.raises(Exception, match=r"(?i)tensorrt|GPU") as caught:
        colorize_archive(
            world.source, tmp_path / "out", options, run_options=RunOptions(on="processes", workers=2, keep_free=0)
        )
    assert isinstance(caught.value, EngineError) or getattr(caught.value, "exit_code", 0) == 8


def test_an_engine_that_is_open_here_cannot_be_lent(world: World, tmp_path: Path, colorizer: Colorizer) -> None:
    with pytest.raises(UsageError, match="cannot be passed"):
        colorize_archive(
            world.source, tmp_path / "out", run_options=RunOptions(on="processes", keep_free=0), colorizer=colorizer
        )


def test_a_worker_that_was_given_up_publishes_nothing_more(tmp_path: Path) -> None:
    fence = raise_fence(tmp_path)
    with behind(fence):
        pass
    assert close_fence(fence)
    with pytest.raises(FencedError), behind(fence):
        pytest.fail("it was let in")
    assert close_fence(fence)


def test_who_gives_a_worker_up_waits_until_it_has_published(tmp_path: Path) -> None:
    fence = raise_fence(tmp_path)
    seen = []

    def give_up() -> None:
        close_fence(fence)
        seen.append("closed")

    thread = threading.Thread(target=give_up)
    with behind(fence):
        assert not close_fence(fence, patience=0.0)
        thread.start()
        time.sleep(0.2)
        seen.append("published")
    thread.join()
    assert seen == ["published", "closed"]


def test_the_workers_of_a_dead_run_are_given_up_by_the_next(tmp_path: Path) -> None:
    fences = [raise_fence(tmp_path) for _ in range(3)]
    assert close_all_fences(tmp_path)
    for fence in fences:
        with pytest.raises(FencedError), behind(fence):
            pytest.fail("it was let in")


PAUSED = """
import sys
from pathlib import Path
from pipeline.archive.executors.fence import behind
from pipeline.originals import Originals
from pipeline.publish import guard_names, publishing

fence, final, where = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def wait():
    print("there", flush=True)
    sys.stdin.readline()

guard_names(lambda: behind(fence))
if where == "before":
    with publishing(final, overwrite=False, originals=Originals()) as temporary:
        temporary.write_text("late")
        wait()
else:
    with behind(fence):
        wait()
        final.write_text("in time")
"""


@contextmanager
def paused(fence: Path, final: Path, where: str) -> Iterator[subprocess.Popen[str]]:
    """Start a worker that is stopped before, or while, it gives ``final`` its name."""
    command = [sys.executable, "-c", PAUSED, str(fence), str(final), where]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as worker:
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "there\n"
            worker.send_signal(signal.SIGSTOP)
            yield worker
        finally:
            worker.send_signal(signal.SIGCONT)
            worker.kill()


def woken(worker: subprocess.Popen[str]) -> tuple[int, str]:
    """Let a worker go on; return its exit code and what it said."""
    worker.send_signal(signal.SIGCONT)
    _, said = worker.communicate("\n", timeout=60)
    return worker.returncode, said


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals that stop processes")
def test_a_worker_that_was_stopped_for_a_while_and_given_up_publishes_nothing(tmp_path: Path) -> None:
    fence, final = raise_fence(tmp_path), tmp_path / "results" / "a.txt"
    with paused(fence, final, "before") as worker:
        assert close_fence(fence, patience=0.0)
        code, said = woken(worker)
    assert code != 0
    assert "FencedError" in said
    assert not list(final.parent.iterdir())


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals that stop processes")
def test_a_worker_that_was_stopped_amid_publishing_is_not_taken_for_one_that_is_safe(tmp_path: Path) -> None:
    fence, final = raise_fence(tmp_path), tmp_path / "a.txt"
    with paused(fence, final, "while") as worker:
        assert not close_fence(fence, patience=0.5)
        assert woken(worker)[0] == 0
    assert final.read_text() == "in time"
    assert close_fence(fence, patience=0.0)


SHOT, SEGMENT, LONG = 50, 150, 1200


def long_film(number: int) -> np.ndarray:
    """Luma of unlike shots, each of which moves a little."""
    scene = np.random.default_rng(number // SHOT).integers(20, 235, (9, 12))
    return np.roll(np.kron(scene, np.ones((10, 10))), number % SHOT // 4, axis=1).astype(np.uint8)[:72, :96]


class Frames(Silent):
    """Counts the frames of a film, and acts when so many are done."""

    def __init__(self, film: Path, after: int = 0, act: Callable[[], object] = lambda: None) -> None:
        self._film, self._after, self._act = str(film), after, act
        self.count = self.most_at_once = 0

    def advance(self, item: str, count: int = 1) -> None:
        if item == self._film:
            if self.count < self._after <= self.count + count:
                self._act()
            self.count += count
            self.most_at_once = max(self.most_at_once, count)


@dataclass(frozen=True)
class LongFilm:
    """An archive of one film of more than two segments; each `run` has an output of its own."""

    folder: Path
    film: Path
    options: Options

    @classmethod
    def made(cls, folder: Path) -> LongFilm:
        """Make the archive below ``folder``."""
        (folder / "films").mkdir()
        film = make_film(
            folder / "films" / "film.mkv", codec="ffv1", width=96, height=72, times=range(LONG), luma=long_film
        )
        model = str(write_two_model(folder, temperature=0.5))
        return cls(folder, film, Options(engine="onnxruntime", model=model, quality=Quality.MASTER))

    def run(self, name: str, progress: Silent, **choices: Any) -> bytes:
        """Return the bytes of the coloured film."""
        chosen = RunOptions(keep_free=0, report=False, quarantine_after=9, segment_frames=SEGMENT, **choices)
        output = self.folder / name
        result = colorize_archive(self.film.parent, output, self.options, run_options=chosen, progress=progress)
        assert (result.films, result.failed, result.exit_code) == (1, 0, 0)
        assert not list(output.glob(".autochrome-*"))
        return (output / "film.mkv").read_bytes()

    def assert_shared(self, on: str) -> bytes:
        """Colour it alone and by two workers, compare, and return the bytes."""
        alone = self.run("alone", Silent())
        heard = Frames(self.film)
        assert self.run("shared", heard, on=on, workers=2) == alone
        assert heard.count == LONG
        assert heard.most_at_once >= SEGMENT, "the other worker made no segment"
        return alone


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to find the workers")
def test_one_long_film_is_shared_by_two_workers_and_is_the_film_that_one_makes(tmp_path: Path) -> None:
    long = LongFilm.made(tmp_path)
    alone = long.assert_shared("processes")
    dying = Frames(long.film, 200, lambda: os.kill(processes()[0], signal.SIGKILL))
    assert long.run("killed", dying, on="processes", workers=2) == alone
