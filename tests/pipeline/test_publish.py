"""A result has its final name only when it is complete, and nothing is ever overwritten unasked."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import OutputError, UsageError
from pipeline.originals import Originals
from pipeline.publish import PARTIAL_PREFIX, check_target, publishing


def test_the_final_name_appears_only_at_the_end(tmp_path: Path) -> None:
    final = tmp_path / "new" / "a.jpg"
    with publishing(final, overwrite=False, originals=Originals()) as temporary:
        temporary.write_bytes(b"done")
        assert temporary.suffix == ".jpg"
        assert temporary.name.startswith(PARTIAL_PREFIX)
        assert not final.exists()
    assert final.read_bytes() == b"done"
    assert list(final.parent.iterdir()) == [final]


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    final = tmp_path / "a.jpg"
    with pytest.raises(ZeroDivisionError), publishing(final, overwrite=False, originals=Originals()) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_an_error_leaves_the_old_result(tmp_path: Path) -> None:
    final = tmp_path / "a.jpg"
    final.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), publishing(final, overwrite=True, originals=Originals()) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError
    assert final.read_bytes() == b"old"


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    final = tmp_path / "a.jpg"
    final.write_bytes(b"old")
    with pytest.raises(UsageError, match="exists already"), publishing(final, overwrite=False, originals=Originals()):
        pass
    with publishing(final, overwrite=True, originals=Originals()) as temporary:
        temporary.write_bytes(b"new")
    assert final.read_bytes() == b"new"


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    final = tmp_path / "a.jpg"
    with (
        pytest.raises(UsageError, match="appeared"),
        publishing(final, overwrite=False, originals=Originals()) as temporary,
    ):
        temporary.write_bytes(b"ours")
        final.write_bytes(b"theirs")
    assert final.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [final]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_name_that_no_disk_holds_is_an_error_before_anything_is_written(tmp_path: Path, overwrite: bool) -> None:
    final = tmp_path / f"{'n' * 300}.jpg"
    with (
        pytest.raises(OutputError, match="cannot be written: File name too long"),
        publishing(final, overwrite=overwrite, originals=Originals()),
    ):
        pytest.fail("it was begun")
    assert not list(tmp_path.iterdir())


def test_a_target_that_takes_no_file_is_found_before_any_work(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"no folder")
    # What may be run looks like a folder that may be entered.
    file.chmod(0o755)
    for final in (file / "a.mp4", file / "below" / "a.mp4"):
        with pytest.raises(OutputError, match=r"a\.mp4: cannot be written: Not a directory"):
            check_target(final, overwrite=False, originals=Originals())
    check_target(tmp_path / "new" / "folder" / "a.mp4", overwrite=False, originals=Originals())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    final, elsewhere = tmp_path / "a.jpg", tmp_path / "elsewhere.jpg"
    final.symlink_to(elsewhere)
    with pytest.raises(UsageError, match="is a broken link"), publishing(final, overwrite=True, originals=Originals()):
        pytest.fail("it was begun")
    assert (final.is_symlink(), elsewhere.exists()) == (True, False)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize(("late", "overwrite"), [(False, True), (True, True), (False, False)])
def test_a_pipe_or_device_is_not_replaced_by_a_file(tmp_path: Path, *, late: bool, overwrite: bool) -> None:
    final = tmp_path / "null.jpg"
    if not late:
        os.mkfifo(final)
    with (
        pytest.raises(UsageError, match=r"null\.jpg: is a device, pipe or socket, not a file"),
        publishing(final, overwrite=overwrite, originals=Originals()) as temporary,
    ):
        assert late
        temporary.write_bytes(b"result")
        os.mkfifo(final)
    assert (final.is_fifo(), list(tmp_path.iterdir())) == (True, [final])


def test_a_disk_error_names_the_file(tmp_path: Path) -> None:
    final = tmp_path / "a.jpg"
    with (
        pytest.raises(OutputError, match=r"a\.jpg: cannot be written: No space left"),
        publishing(final, overwrite=False, originals=Originals()),
    ):
        raise OSError(28, "No space left on device")


def test_a_killed_process_leaves_no_final_name(tmp_path: Path) -> None:
    final = tmp_path / "a.jpg"
    code = (
        "import sys, time; from pathlib import Path; from pipeline.originals import Originals\n"
        "from pipeline.publish import check_target, publishing\n"
        "with publishing(Path(sys.argv[1]), overwrite=False, originals=Originals()) as t:\n"
        "    t.write_bytes(b'half'); print('ready', flush=True); time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(final)], stdout=subprocess.PIPE, cwd=root, env={**os.environ}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
    assert not final.exists()
    assert all(path.name.startswith(PARTIAL_PREFIX) for path in tmp_path.iterdir())
