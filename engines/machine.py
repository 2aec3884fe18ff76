"""The current machine's hardware: the processor's name and cores, and whether there is an NVIDIA GPU."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CGROUPS = Path("/sys/fs/cgroup")
_CPUINFO = Path("/proc/cpuinfo")
_limit: int | None = None


def cpu_name(info: Path = _CPUINFO) -> str:
    """Return the processor's name as given by its maker, without trade marks, such as "Intel Xeon".

    ``info`` is the kernel's description of it.
    """
    return _plain(_from_kernel(info) or platform.processor() or platform.machine() or "CPU")


def usable_cores(groups: Path = _CGROUPS) -> int:
    """Return the number of CPU cores this process may use: its affinity, its container's quota, and `limit_cores`.

    ``groups`` is the folder of the kernel's control groups.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(groups)
    return min(allowed, _limit or allowed, max(1, math.ceil(quota)) if quota else allowed)


def limit_cores(count: int) -> None:
    """Limit this process to ``count`` cores, as one of several processes that share a machine."""
    global _limit
    _limit = count


def _quota(root: Path) -> float | None:
    """Return the number of cores granted by a control group below ``root``; None without a limit.

    Inside a container its own group is the root (cgroup v2: ``cpu.max``; v1: ``cpu.cfs_quota_us``).
    """
    try:
        granted, period = (root / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:
            folder = root / "cpu"
            granted = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii")
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii")
        except (OSError, ValueError):
            return None
    try:
        return int(granted) / int(period) if int(granted) > 0 else None
    except ValueError:
        return None


def gpu_count(load: Callable[[str], Any] = ctypes.CDLL) -> int:
    """Return the number of NVIDIA GPUs this process may use, as the driver says: ``CUDA_VISIBLE_DEVICES`` holds."""
    try:
        driver = load("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def _from_kernel(info: Path) -> str:
    if not info.is_file():
        return ""
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    return found[1] if found else ""


def _plain(name: str) -> str:
    bare = re.sub(r"\((?:R|TM|C)\)|\bProcessor\b|\bCPU\b|@.*$", " ", name, flags=re.IGNORECASE)
    return " ".join(bare.split()) or name
