from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def bound_by_permissions(tmp_path: Path) -> None:
    """Skip the test for a user, such as root, who may read and write everywhere."""
    barred = tmp_path / "barred"
    barred.touch(mode=0)
    may_everything = os.access(barred, os.R_OK)
    barred.unlink()
    if may_everything:
        pytest.skip("this user may read and write everywhere")
