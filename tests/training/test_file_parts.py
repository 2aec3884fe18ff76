from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from training.file_parts import split_file

pytestmark = pytest.mark.slow


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, ...]:
    content = np.random.default_rng(0).bytes(2500)
    (tmp_path / "weights.pt").write_bytes(content)
    return split_file(tmp_path / "weights.pt", tmp_path / "parts", limit=1000)


def test_parts_are_small_and_make_up_the_whole(packed: tuple[Path, ...], tmp_path: Path) -> None:
    assert [path.name for path in packed] == [f"weights.pt.{end}" for end in ("001", "002", "003", "sha256")]
    assert [path.stat().st_size for path in packed[:3]] == [1000, 1000, 500]
    assert b"".join(path.read_bytes() for path in packed[:3]) == (tmp_path / "weights.pt").read_bytes()


def test_the_list_is_one_that_sha256sum_reads(packed: tuple[Path, ...], tmp_path: Path) -> None:
    *parts, whole = packed[-1].read_text().splitlines()
    for line, path in zip([*parts, whole], [*packed[:3], tmp_path / "weights.pt"], strict=True):
        assert line == f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"
