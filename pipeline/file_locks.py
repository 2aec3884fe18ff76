"""Shared or exclusive locks on open files, released when their process ends; the same on Windows and POSIX.

POSIX: flock(2). Windows: LockFileEx on one byte far beyond the end of any file, because a lock there prevents others
from reading the bytes it covers. Both belong to one open file handle and are released when it is closed.
"""

from __future__ import annotations

import sys
from typing import IO, Any

if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    SHARED, EXCLUSIVE, NO_WAIT, UNLOCK = 0, 2, 1, 8
    _PLACE = 1 << 62
    # ERROR_LOCK_VIOLATION, ERROR_IO_PENDING
    _HELD = {33, 997}

    class _Overlapped(ctypes.Structure):
        _fields_ = (
            ("internal", ctypes.c_void_p),
            ("internal_high", ctypes.c_void_p),
            ("offset", wintypes.DWORD),
            ("offset_high", wintypes.DWORD),
            ("event", wintypes.HANDLE),
        )

    def lock_file(file: IO[Any], how: int) -> None:
        """Lock ``file`` with SHARED or EXCLUSIVE, waiting unless NO_WAIT is given, or UNLOCK it.

        Raises `BlockingIOError` if the lock is held by others and ``how`` does not wait, `OSError` if there are no
        locks.
        """
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = wintypes.HANDLE(msvcrt.get_osfhandle(file.fileno()))
        where = _Overlapped(offset=_PLACE & 0xFFFFFFFF, offset_high=_PLACE >> 32)
        if how == UNLOCK:
            done = kernel.UnlockFileEx(handle, 0, 1, 0, ctypes.byref(where))
        else:
            done = kernel.LockFileEx(handle, how, 0, 1, 0, ctypes.byref(where))
        if not done:
            error = ctypes.get_last_error()
            if error in _HELD:
                raise BlockingIOError(error, "the lock is held")
            raise ctypes.WinError(error)

else:
    import fcntl

    SHARED, EXCLUSIVE, NO_WAIT, UNLOCK = fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_NB, fcntl.LOCK_UN

    def lock_file(file: IO[Any], how: int) -> None:
        """Lock ``file`` with SHARED or EXCLUSIVE, waiting unless NO_WAIT is given, or UNLOCK it.

        Raises `BlockingIOError` if the lock is held by others and ``how`` does not wait, `OSError` if there are no
        locks.
        """
        fcntl.flock(file, how)
