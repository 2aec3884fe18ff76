from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from engines.errors import WeightsError
from training.parts import join_parts, split_file

pytestmark = pytest.mark.slow


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, ...]:
    content = np.random.default_rng(0).bytes(2500)
    (tmp_path / "weights.pt").write_bytes(content)
    return split_file(tmp_path / "weights.pt", tmp_path / "parts", limit=1000)


def test_parts_are_small_and_make_up_the_whole(packed: tuple[Path, ...], tmp_path: Path) -> None:
    assert [path.name for path in packed] == [f"weights.pt.{end}" for end in ("001", "002", "003", "sha256")]
    assert [path.stat().st_size for path in packed[:3]] == [1000, 1000, 500]
    joined = join_parts(packed[-1], tmp_path / "joined.pt")
    assert joined.read_bytes() == (tmp_path / "weights.pt").read_bytes()


def test_the_list_is_one_that_sha256sum_reads(packed: tuple[Path, ...], tmp_path: Path) -> None:
    *parts, whole = packed[-1].read_text().splitlines()
    for line, path in zip([*parts, whole], [*packed[:3], tmp_path / "weights.pt"], strict=True):
        assert line == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"


def test_a_damaged_or_missing_part_is_named_and_nothing_is_written(packed: tuple[Path, ...], tmp_path: Path) -> None:
    content = packed[1].read_bytes()
    packed[1].write_bytes(content[:-1] + b"!" if content[-1:] != b"!" else content[:-1] + b"?")
    with pytest.raises(WeightsError, match=r"weights\.pt\.002: the part was altered"):
        join_parts(packed[-1], tmp_path / "joined.pt")
    packed[1].unlink()
    with pytest.raises(WeightsError, match=r"weights\.pt\.002: a part is missing"):
        join_parts(packed[-1], tmp_path / "joined.pt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["parts", "weights.pt"]


def test_a_list_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.sha256").write_text("")
    with pytest.raises(WeightsError, match="no list of parts"):
        join_parts(tmp_path / "empty.sha256", tmp_path / "joined.pt")
