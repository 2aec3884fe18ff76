"""Lock files: what stands in them while they are held, and afterwards, whatever comes between."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from pipeline import locks
from pipeline.errors import LockedError
from pipeline.interruption import Interruption
from pipeline.locks import held


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), Interruption(signal.SIGTERM)], ids=["Ctrl-C", "SIGTERM"])
def test_an_interruption_while_the_lock_is_written_comes_out_and_no_name_stays(
    interruption: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network disk takes seconds to sync."""

    def interrupted(handle: int) -> None:
        monkeypatch.undo()
        raise interruption

    monkeypatch.setattr(locks.os, "fsync", interrupted)
    with pytest.raises(type(interruption)), held(tmp_path / "lock", tmp_path):
        pytest.fail("it was let in")
    assert (tmp_path / "lock").read_text() == ""


def test_a_disk_that_does_not_sync_is_told_who_holds_the_lock_and_that_nobody_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(locks.os, "fsync", refused)
    path = tmp_path / "lock"
    with held(path, tmp_path) as lock:
        assert f'"pid": {os.getpid()}' in path.read_text()
        lock.check()
        path.write_text("another")
        with pytest.raises(LockedError, match="another run took it over"):
            lock.check()
        path.unlink()
    with held(path, tmp_path):
        pass
    assert path.read_text() == ""


def test_on_a_disk_that_does_not_take_the_name_the_lock_holds_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "lock"
    path.write_text("one that died")
    monkeypatch.setattr(locks.os, "write", full)
    with held(path, tmp_path) as lock:
        lock.check()
        with pytest.raises(LockedError), held(path, tmp_path):
            pytest.fail("it was let in")
