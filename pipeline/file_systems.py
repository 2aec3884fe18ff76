"""Detect whether a path is on a local or a network file system, as far as the operating system says.

Linux: from the mount table. Windows: from the drive type. On other systems nothing is known.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
# Linux names; for FUSE file systems without the "fuse." prefix.
_NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "moosefs", "nfs", "nfs4", "orangefs",
    "rclone", "s3fs", "smb3", "sshfs",
}  # fmt: skip
_DRIVE_REMOTE = 4


def network_file_system(path: Path) -> str | None:
    """Return the type of the network file system that holds the existing ``path``, such as ``nfs4``, else None.

    Also None if the operating system does not say.
    """
    if sys.platform == "win32":
        import ctypes

        drive = os.path.splitdrive(path.resolve())[0] + os.sep
        return "a network drive" if ctypes.windll.kernel32.GetDriveTypeW(drive) == _DRIVE_REMOTE else None
    try:
        device = path.stat().st_dev
        table = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    kind = kind_of_device(table, f"{os.major(device)}:{os.minor(device)}").removeprefix("fuse.")
    return kind if kind in _NETWORK else None


def kind_of_device(table: str, device: str) -> str:
    """Return the file system type of ``device`` ("8:1") in Linux's ``mountinfo`` (proc(5)), "" if it is not listed."""
    for line in table.splitlines():
        fields, _, about = line.partition(" - ")
        if fields.split(" ")[2:3] == [device]:
            return about.split(" ")[0]
    return ""
