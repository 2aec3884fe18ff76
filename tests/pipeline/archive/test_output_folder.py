from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.archive.ledger import open_ledger
from pipeline.archive.output_folder import SHARDS, filling_bag, home, locked, shard_count
from pipeline.archive.run_options import Shard
from pipeline.errors import LockedError, OutputError, UsageError
from pipeline.originals import NO_ORIGINALS
from pipeline.publish import publishing
from tests.commands import PATIENCE

HOLD = """
import sys, time
from pathlib import Path
from pipeline.archive.output_folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def other_run(output: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", HOLD, str(output)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout is not None
            assert run.stdout.readline() == "held\n"
            yield run
        finally:
            run.kill()


def test_a_second_run_is_refused_with_the_one_that_holds_the_lock_and_exit_code_75(tmp_path: Path) -> None:
    with other_run(tmp_path / "out") as other:
        with pytest.raises(LockedError) as caught, locked(tmp_path / "out"):
            pass
        assert caught.value.exit_code == 75
        assert f"process {other.pid} on {socket.gethostname()}" in str(caught.value)
        assert str(tmp_path / "out") in str(caught.value)
        with locked(tmp_path / "elsewhere"):
            pass


@pytest.mark.slow
def test_a_run_that_was_killed_blocks_nobody(tmp_path: Path) -> None:
    with other_run(tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait(timeout=PATIENCE)
        note = tmp_path / ".autochrome" / "lock"
        assert json.loads(note.read_text(encoding="utf-8"))["pid"] == other.pid
        with locked(tmp_path):
            assert json.loads(note.read_text(encoding="utf-8"))["pid"] == os.getpid()
        assert note.read_text(encoding="utf-8") == ""


def test_the_lock_is_free_after_its_block_whatever_happened_in_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inside"), locked(tmp_path):
        raise ValueError("inside")
    with locked(tmp_path):
        pass


def test_parts_are_worked_on_side_by_side_but_none_twice_and_not_beside_the_whole(tmp_path: Path) -> None:
    one, two = Shard(index=1, count=2), Shard(index=2, count=2)
    with locked(tmp_path / "a", shard=one), locked(tmp_path / "a", shard=two):
        with pytest.raises(LockedError), locked(tmp_path / "a", shard=one):
            pass
        with pytest.raises(UsageError), locked(tmp_path / "a"):
            pass
    with locked(tmp_path / "b"), pytest.raises(UsageError), locked(tmp_path / "b", shard=one):
        pass


@pytest.mark.parametrize("taken", [".autochrome/lock", ".autochrome/shard-1-of-2/lock"], ids=["the whole", "its own"])
def test_a_shard_notices_that_its_lock_or_the_whole_was_taken_over(taken: str, tmp_path: Path) -> None:
    with locked(tmp_path, shard=Shard(index=1, count=2)) as one, locked(tmp_path, shard=Shard(index=2, count=2)) as two:
        one.check()
        two.check()
        (tmp_path / taken).write_text('{"pid": 7, "host": "elsewhere", "started": 0}')
        with pytest.raises(LockedError, match="process 7 on elsewhere"):
            one.check()
        (tmp_path / taken).write_text("")


def test_no_file_gets_its_name_in_a_folder_that_another_run_took_over(tmp_path: Path) -> None:
    def publish(folder: str) -> None:
        with publishing(tmp_path / folder / "deep" / "a.txt", overwrite=False, originals=NO_ORIGINALS) as temporary:
            temporary.write_text("late")

    with locked(tmp_path / "out"):
        (tmp_path / "out" / ".autochrome" / "lock").write_text("another")
        with pytest.raises(LockedError, match="took it over"):
            publish("out")
        assert not list((tmp_path / "out" / "deep").iterdir())
        publish("elsewhere")
    publish("out")


def test_of_those_that_fill_a_bag_only_the_last_to_end_is_told_so(tmp_path: Path) -> None:
    with filling_bag(tmp_path) as first, filling_bag(tmp_path) as second, filling_bag(tmp_path) as third:
        assert [third(), first(), second()] == [False, False, True]
        assert not third()
    with filling_bag(tmp_path) as again:
        assert again()


def test_who_begins_to_fill_a_bag_waits_for_its_manifests(tmp_path: Path) -> None:
    begun = threading.Event()

    def another() -> None:
        with filling_bag(tmp_path):
            begun.set()

    with filling_bag(tmp_path) as is_last:
        assert is_last()
        waiting = threading.Thread(target=another)
        waiting.start()
        assert not begun.wait(0.2)
    assert begun.wait(30)
    waiting.join()


def test_an_output_that_cannot_be_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    with pytest.raises(OutputError, match="out: cannot be written"), locked(tmp_path / "out"):
        pass


@pytest.mark.usefixtures("bound_by_permissions")
def test_an_output_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"), locked(tmp_path):
        pass


def test_the_number_of_shards_is_told_by_their_ledgers_where_the_file_that_says_it_is_lost(tmp_path: Path) -> None:
    for index in (1, 3):
        with locked(tmp_path, shard=Shard(index=index, count=3)):
            open_ledger(tmp_path, shard=Shard(index=index, count=3)).close()
    pinned = home(tmp_path, None) / SHARDS
    pinned.unlink()
    for other in (None, Shard(index=1, count=2)):
        with pytest.raises(UsageError, match="was begun in 3 shards"), locked(tmp_path, shard=other):
            pytest.fail("it was let in")
    assert shard_count(tmp_path) == 3
    with locked(tmp_path, shard=Shard(index=2, count=3)):
        assert pinned.exists()


def test_ledgers_of_several_divisions_without_the_file_that_says_which_counts_are_refused(tmp_path: Path) -> None:
    for count in (2, 3):
        open_ledger(tmp_path, shard=Shard(index=1, count=count)).close()
    with pytest.raises(OutputError, match=r"shards\.json: is lost, .* 2 and of 3 shards"):
        shard_count(tmp_path)


def test_a_whole_archive_stays_one_where_that_file_is_lost(tmp_path: Path) -> None:
    open_ledger(tmp_path).close()
    with pytest.raises(UsageError, match="without --shard"), locked(tmp_path, shard=Shard(index=1, count=2)):
        pytest.fail("it was let in")
