"""What the commands, and workers of an archive, set for their whole process; the library never does for its callers."""

from __future__ import annotations

import ctypes
import logging
import os
import sys

# Parameters of mallopt(3).
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_LARGE, _KEPT = 1 << 20, 8 << 20
_NOWHERE = logging.NullHandler()


def before_numpy() -> None:
    """Have NumPy compute in the thread that asks; to be called before it is imported.

    OpenBLAS's own threads wait for their next small product at full load: pooling took twice the CPU time with them.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def quiet_libraries() -> None:
    """Keep off the terminal what other libraries log: Python prints their warnings where nobody takes them."""
    logging.getLogger().addHandler(_NOWHERE)


def prepare_process() -> None:
    """Tune OpenCV and the C library for stages that run side by side. Commands call this before they colour."""
    import cv2

    quiet_libraries()
    # Stages run in threads of their own already: OpenCV's would mostly wait for each other, at full load.
    cv2.setNumThreads(1)
    _return_large_blocks()


def _return_large_blocks() -> None:
    """Have glibc give blocks beyond 1 MB back to the system as soon as they are free.

    By itself it keeps ever larger ones, and frames that come and go in several threads leave holes in them: films of
    1080 lines took 47 MB more in their sixtieth second than in their fifth, and now take 12. Of smaller blocks it keeps
    8 MB in every thread: with its own 128 KB every strip of a picture would be asked of the system anew.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
