"""Lock files: what stands in them while they are held, and afterwards, whatever comes between."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

import pytest

from pipeline.errors import LockedError, OutputError
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

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(type(interruption)), held(tmp_path / "lock", tmp_path):
        pytest.fail("it was let in")
    assert (tmp_path / "lock").read_text() == ""


def test_a_disk_that_does_not_sync_is_told_who_holds_the_lock_and_that_nobody_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refused)
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


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file size")
def test_on_a_disk_that_does_not_take_the_name_the_lock_holds_all_the_same(tmp_path: Path) -> None:
    from tests.pipeline.archive.kills import full_disk

    path = tmp_path / "lock"
    path.write_text("one that died")
    with full_disk(0), held(path, tmp_path) as lock:
        lock.check()
        with pytest.raises(LockedError), held(path, tmp_path):
            pytest.fail("it was let in")


def test_a_folder_that_goes_while_the_lock_is_made_in_it_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = os.mkdir

    def made_late(path: Path, mode: int = 0o777) -> None:
        try:
            make(path, mode)
        except FileExistsError:
            monkeypatch.undo()
            Path(path).rmdir()
            raise

    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setattr(os, "mkdir", made_late)
    with held(folder / "lock", tmp_path):
        assert (folder / "lock").read_text()


def test_a_file_in_the_place_of_the_folder_of_a_lock_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"")
    with pytest.raises(OutputError, match="File exists"), held(tmp_path / "folder" / "lock", tmp_path / "result"):
        pytest.fail("it was let in")
