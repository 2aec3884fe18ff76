"""A disk of another machine is known for what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.file_systems import kind_of_device, network_file_system

TABLE = """\
22 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw
28 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
97 28 0:52 / /mnt/scans\\040of\\040ours rw,relatime shared:50 - nfs4 nas:/scans rw,vers=4.2,hard
99 28 0:53 / /mnt/home rw - fuse.sshfs me@nas:/home rw,user_id=0
"""


@pytest.mark.parametrize(("device", "kind"), [("8:1", "ext4"), ("0:52", "nfs4"), ("0:53", "fuse.sshfs"), ("0:99", "")])
def test_the_table_of_mounts_is_read(device: str, kind: str) -> None:
    assert kind_of_device(TABLE, device) == kind


def test_a_disk_of_this_machine_and_a_missing_path_are_none(tmp_path: Path) -> None:
    assert network_file_system(tmp_path) is None
    assert network_file_system(tmp_path / "missing") is None
