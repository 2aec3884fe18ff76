"""What kind of file system a path is on, as far as the system says: a disk of this machine, or of another one.

Linux: the table of mounts. Windows: the kind of the drive. Elsewhere nothing is known.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
# As Linux calls them, without the "fuse." of those that are a program's.
_NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "moosefs", "nfs", "nfs4", "orangefs",
    "rclone", "s3fs", "smb3", "sshfs",
}  # fmt: skip
_DRIVE_REMOTE = 4


def network_file_system(path: Path) -> str | None:
    """Return the kind of the network file system that the existing ``path`` is on, such as ``nfs4``; None for others.

    None too where the system does not say.
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
    """Return the kind of file system on ``device`` ("8:1") by Linux's ``mountinfo`` (proc(5)), "" if not there."""
    for line in table.splitlines():
        fields, _, about = line.partition(" - ")
        if fields.split(" ")[2:3] == [device]:
            return about.split(" ")[0]
    return ""
