from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engines import machine
from tests.commands import python


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Intel(R) Xeon(R) Processor", "Intel Xeon"),
        ("Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz", "Intel Core i7-8550U"),
        ("AMD Ryzen 7 5800X 8-Core Processor", "AMD Ryzen 7 5800X 8-Core"),
        ("Neoverse-N1", "Neoverse-N1"),
        ("Processor", "Processor"),
    ],
)
def test_the_processor_is_named_without_trade_marks(tmp_path: Path, given: str, shown: str) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\nmodel name\t: {given}\nflags\t\t: fpu\n\nprocessor\t: 1\nmodel name\t: other\n")
    assert machine.cpu_name(info) == shown


@pytest.mark.parametrize("content", [None, "processor\t: 0\nBogoMIPS\t: 48.00\n"], ids=["no file", "no name in it"])
def test_a_processor_without_a_name_still_has_one(tmp_path: Path, content: str | None) -> None:
    info = tmp_path / "cpuinfo"
    if content is not None:
        info.write_text(content)
    assert machine.cpu_name(info)


def driver(*, status: int, gpus: int) -> SimpleNamespace:
    def count(target: Any) -> int:
        target._obj.value = gpus
        return 0

    return SimpleNamespace(cuInit=lambda flags: status, cuDeviceGetCount=count)


@pytest.mark.parametrize(("status", "gpus", "expected"), [(0, 2, 2), (0, 0, 0), (100, 2, 0)])
def test_gpus_are_counted_by_the_driver(status: int, gpus: int, expected: int) -> None:
    assert machine.gpu_count(lambda _: driver(status=status, gpus=gpus)) == expected


def test_without_a_driver_there_is_no_gpu() -> None:
    assert machine.gpu_count(lambda name: ctypes.CDLL(f"{name}.not-there")) == 0


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "250000 100000\n"}, 2.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_container_is_read_in_either_version(
    tmp_path: Path, files: dict[str, str], cores: float | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="ascii")
    assert machine._quota(tmp_path) == cores


def test_a_quota_limits_the_cores_and_leaves_one_at_least(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("20000 100000\n", encoding="ascii")
    assert machine.usable_cores(tmp_path) == 1


@pytest.mark.slow
def test_one_of_several_processes_can_be_given_a_share() -> None:
    code = "from engines import machine; machine.limit_cores(1); print(machine.usable_cores())"
    done = python(code)
    assert done.stdout == "1\n", done.stderr
