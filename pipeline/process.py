"""Process-wide settings for commands and archive workers; the library never changes them for its callers."""

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
    """Make NumPy compute in the calling thread; call this before NumPy is imported.

    OpenBLAS's own threads busy-wait for their next small product: pooling took twice the CPU time with them.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def quiet_libraries() -> None:
    """Keep log records of other libraries off the terminal: without a handler, Python prints their warnings."""
    logging.getLogger().addHandler(_NOWHERE)


def prepare_process() -> None:
    """Tune OpenCV and the C library for stages that run in parallel. Commands call this before colouring."""
    import cv2

    quiet_libraries()
    # Stages already run in threads of their own; OpenCV's threads would mostly busy-wait for each other.
    cv2.setNumThreads(1)
    _return_large_blocks()


def _return_large_blocks() -> None:
    """Make glibc return blocks larger than 1 MB to the system as soon as they are freed.

    By default glibc retains ever larger blocks, and frames allocated and freed in several threads fragment them: films
    of 1080 lines used 47 MB more in their sixtieth second than in their fifth, and now use 12. Of smaller blocks, 8 MB
    per thread are retained: with glibc's default of 128 KB, every strip of a picture would be requested from the system
    again.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
