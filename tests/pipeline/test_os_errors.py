"""Errors of source, temporary folder and result are told apart, and each says what to do."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from pipeline.errors import AutochromeError, InputError, OutputError
from pipeline.originals import Originals
from pipeline.os_errors import advice_for, reading
from pipeline.publish import publishing


def raised_inside(tmp_path: Path, error: OSError, *, source: Path) -> AutochromeError:
    """What a block that publishes a result makes of ``error``."""
    final = tmp_path / "out" / "a.jpg"
    with (
        pytest.raises(AutochromeError) as caught,
        publishing(final, overwrite=False, originals=Originals((source,))) as temporary,
    ):
        temporary.write_bytes(b"half")
        raise error
    assert not list(final.parent.iterdir())
    return caught.value


def test_a_source_that_vanishes_while_its_result_is_written_is_an_error_of_the_source(tmp_path: Path) -> None:
    source, final = tmp_path / "scan.jpg", tmp_path / "out.jpg"
    source.write_bytes(b"scan")
    with (
        pytest.raises(InputError, match=r"scan\.jpg: cannot be read: No such file") as caught,
        publishing(final, overwrite=False, originals=Originals((source,))) as temporary,
    ):
        temporary.write_bytes(b"half")
        source.unlink()
        source.read_bytes()
    assert caught.value.exit_code == 4
    assert "written" not in str(caught.value)


def test_a_source_in_a_folder_of_originals_is_known(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    missing = tmp_path / "scans" / "b.jpg"
    error = raised_inside(tmp_path, OSError(errno.EIO, "Input/output error", str(missing)), source=tmp_path / "scans")
    assert isinstance(error, InputError)
    assert str(missing) in str(error)


def test_reading_that_fails_without_a_name_is_of_the_source_where_it_is_said_to_be(tmp_path: Path) -> None:
    source, final = tmp_path / "scan.jpg", tmp_path / "out.jpg"
    with (
        pytest.raises(InputError, match=r"scan\.jpg: cannot be read"),
        publishing(final, overwrite=False, originals=Originals((source,))),
        reading(source),
    ):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_full_disk_is_that_of_the_result(tmp_path: Path) -> None:
    error = raised_inside(tmp_path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), source=tmp_path / "scan.jpg")
    assert isinstance(error, OutputError)
    assert "a.jpg: cannot be written: No space left" in str(error)
    assert "space" in error.advice


def test_what_could_be_either_names_both(tmp_path: Path) -> None:
    error = raised_inside(tmp_path, OSError(errno.EIO, os.strerror(errno.EIO)), source=tmp_path / "scan.jpg")
    assert "while reading its source or writing it" in str(error)


def test_the_folder_of_temporary_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "x.mkv"))
    error = raised_inside(tmp_path, full, source=tmp_path / "scan.jpg")
    assert "a temporary file cannot be used" in str(error)
    assert "TMPDIR" in error.advice


def test_a_name_that_is_too_long_gets_advice_that_helps(tmp_path: Path) -> None:
    final = tmp_path / f"{'n' * 300}.jpg"
    with (
        pytest.raises(OutputError, match="name too long") as caught,
        publishing(final, overwrite=False, originals=Originals()) as temporary,
    ):
        temporary.write_bytes(b"done")
    assert caught.value.advice == "Choose a shorter name."


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EMFILE, errno.EIO])
def test_every_error_has_advice(number: int) -> None:
    assert advice_for(OSError(number, "refused")).endswith((".", ")."))
