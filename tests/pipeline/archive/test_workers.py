"""Workers in other processes: the same results, whatever becomes of them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.archive.executors.fence import FencedError, behind, close_all_fences, close_fence, raise_fence
from pipeline.archive.ledger import State
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.color.colorizer import Colorizer
from pipeline.errors import EngineError, UsageError
from pipeline.interruption import StopRequest
from pipeline.options import Options, Quality
from pipeline.progress import Silent
from tests.engines.tiny import write_tiny_model
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
    """Does something when so many items are done."""

    def __init__(self, after: int, act: Callable[[], object]) -> None:
        self._left, self._act = after, act

    def advance(self, item: str, count: int = 1) -> None:
        if item == "archive":
            self._left -= count
            if self._left == 0:
                self._act()


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


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs /proc to find the workers")
def test_workers_that_are_killed_are_replaced_and_their_work_is_done_again(world: World, tmp_path: Path) -> None:
    def kill() -> None:
        os.kill(processes()[0], signal.SIGKILL)

    for number, after in enumerate((1, 9, 20)):
        output = tmp_path / f"out{number}"
        result = world.run(output, progress=Acting(after, kill), quarantine_after=9)
        assert (result.failed, result.exit_code) == (0, 0)
        check_finished(output, world.undisturbed)


def test_a_stop_reaches_the_workers_and_the_next_run_goes_on(world: World, tmp_path: Path) -> None:
    stop = StopRequest()
    result = world.run(tmp_path / "out", progress=Acting(3, stop.make), stop=stop)
    assert (result.outcome, result.exit_code) == ("interrupted", 130)
    assert 0 < result.waiting < 25
    assert State.RUNNING not in states(tmp_path / "out").values()
    assert world.run(tmp_path / "out").exit_code == 0
    check_finished(tmp_path / "out", world.undisturbed)


def test_room_that_must_stay_free_is_watched_by_the_workers(world: World, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="are to stay free"):
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
    with pytest.raises(UsageError, match="cannot be lent"):
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
