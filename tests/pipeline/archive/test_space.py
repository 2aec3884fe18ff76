from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.archive.output_folder import as_size, check_space, free_space
from pipeline.errors import OutputError


def test_a_disk_with_room_above_the_floor_passes(tmp_path: Path) -> None:
    check_space(tmp_path, keep_free=1)
    check_space(tmp_path, keep_free=0, needed=1)


def test_a_disk_below_the_floor_is_refused_with_figures(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"free on its disk, 1000.0 PB must stay free") as caught:
        check_space(tmp_path, keep_free=10**18)
    assert caught.value.exit_code == 5
    assert "--keep-free" in caught.value.advice


def test_what_is_needed_counts_as_well(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"1\.0 GB must stay free, and 1000\.0 PB are needed"):
        check_space(tmp_path, keep_free=10**9, needed=10**18)


def test_a_folder_that_is_not_there_yet_counts_as_its_parents_disk(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert abs(free_space(tmp_path / "not" / "yet") - free) < 1 << 30


SIZES = {
    0: "0 bytes",
    999: "999 bytes",
    1000: "1.0 kB",
    5_400_000_000: "5.4 GB",
    999_960: "1.0 MB",
    10**19: "10000.0 PB",
}


@pytest.mark.parametrize("count", SIZES)
def test_sizes_are_said_in_decimal_units(count: int) -> None:
    assert as_size(count) == SIZES[count]
