"""The name of this machine's processor."""

from __future__ import annotations

import platform
import re
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def cpu_name() -> str:
    """Return the processor's name as its maker gives it, without trade marks, such as "Intel Xeon"."""
    return _plain(_from_kernel() or platform.processor() or platform.machine() or "CPU")


def _from_kernel() -> str:
    if not _CPUINFO.is_file():
        return ""
    found = re.search(r"^model name\s*:\s*(.+)$", _CPUINFO.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    return found[1] if found else ""


def _plain(name: str) -> str:
    bare = re.sub(r"\((?:R|TM|C)\)|\bProcessor\b|\bCPU\b|@.*$", " ", name, flags=re.IGNORECASE)
    return " ".join(bare.split()) or name
