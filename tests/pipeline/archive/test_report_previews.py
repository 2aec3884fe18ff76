from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.archive.report import previews
from pipeline.errors import OutputError
from pipeline.results import Preview


def shots(count: int, mark: bytes = b"") -> list[Preview]:
    return [Preview(label=str(n), before=b"before%d" % n + mark, after=b"after%d" % n + mark) for n in range(count)]


def files(output: Path) -> list[Path]:
    return sorted(path for path in output.rglob("*") if path.is_file())


def test_pictures_are_found_again_by_the_path_of_their_source(tmp_path: Path) -> None:
    previews.keep(tmp_path, "people/a.mp4", shots(2))
    previews.keep(tmp_path, "caf\udce9.mp4", shots(1, b"!"))
    assert previews.read(tmp_path, "people/a.mp4", 1) == (b"before1", b"after1")
    assert previews.read(tmp_path, "caf\udce9.mp4", 0) == (b"before0!", b"after0!")
    assert previews.read(tmp_path, "people/a.mp4", 2) is None
    assert all(path.is_relative_to(tmp_path / ".autochrome" / "previews") for path in files(tmp_path))


def test_new_pictures_take_the_place_of_all_older_ones(tmp_path: Path) -> None:
    previews.keep(tmp_path, "a.mp4", shots(5))
    previews.keep(tmp_path, "b.mp4", shots(3))
    previews.keep(tmp_path, "a.mp4", shots(2, b"new"))
    assert previews.read(tmp_path, "a.mp4", 1) == (b"before1new", b"after1new")
    assert len(files(tmp_path)) == 2 * (2 + 3)
    previews.drop(tmp_path, "a.mp4")
    previews.drop(tmp_path, "never.mp4")
    assert len(files(tmp_path)) == 2 * 3


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / ".autochrome").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(OutputError, match="small pictures") as caught:
        previews.keep(tmp_path, "a.jpg", shots(1))
    assert caught.value.advice
