"""The superuser, bound by permissions like everybody else."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_VERSION, _LENGTH = 0x20080522, 6
# To read, write and search whatever the permissions say (capabilities(7)): bits of the effective set.
_OVERRIDING = 1 << 1 | 1 << 2


@contextmanager
def bound() -> Iterator[None]:
    """Take from this thread, and those that it starts, the right to read and write everywhere, where it has that."""
    if sys.platform != "linux" or os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, before = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * _LENGTH)()
    _check(libc.capget(header, before))
    _check(libc.capset(header, (ctypes.c_uint32 * _LENGTH)(before[0] & ~_OVERRIDING, *before[1:])))
    try:
        yield
    finally:
        _check(libc.capset(header, before))


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
