"""What a run computes in is what its device is made for, and is said."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")

from training.device import Machine, open_machine  # noqa: E402

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPUINFO.exists(), reason="the kernel does not tell what the processor can do")
def test_auto_is_bfloat16_where_the_kernel_says_that_the_processor_is_made_for_it() -> None:
    line = "Features" if platform.machine() == "aarch64" else "flags"
    told = next(one for one in CPUINFO.read_text().splitlines() if one.startswith(line)).split()
    made_for_it = not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(told)
    with open_machine("cpu", precision="auto") as machine:
        assert machine.precision == ("bf16" if made_for_it else "f32")


@pytest.mark.parametrize(("precision", "told"), [("f32", "float32"), ("bf16", "bfloat16")])
def test_what_is_asked_for_is_what_networks_compute_in_and_what_is_said(precision: str, told: str) -> None:
    with open_machine("cpu", precision=precision) as machine:
        with machine.autocast():
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert str(product.dtype) == f"torch.{told}"
        threads = torch.get_num_threads()
        assert machine.computes == f"{told} on the CPU, {threads} thread{'s' if threads > 1 else ''}"


def test_one_of_several_processes_says_so() -> None:
    machine = Machine(torch.device("cpu"), "f32", rank=1, ranks=2)
    assert machine.computes.endswith(", one of 2 processes")
