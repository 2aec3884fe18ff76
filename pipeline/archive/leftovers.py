"""What runs that died left behind: files on their way to a name that they never got."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.publish import PARTIAL_PREFIX

_PARTIAL = re.compile(rf"{re.escape(PARTIAL_PREFIX)}[0-9a-f]{{12}}(\..*)?", re.DOTALL)


def sweep(output: Path, *, older_than: float = 0.0) -> int:
    """Delete the unfinished files under ``output`` that were not written for ``older_than`` seconds; return how many.

    The segments of films stay: with them a film goes on where it stopped. Call this only while no other run can be at
    work on ``output``, or with an age beyond doubt. Raises `OutputError`.
    """
    latest, count = time.time() - older_than, 0
    for folder, inner, files in os.walk(output):
        inner[:] = [name for name in inner if not name.startswith(PARTIAL_PREFIX)]
        for name in filter(_PARTIAL.fullmatch, files):
            path = Path(folder, name)
            try:
                if older_than and path.stat().st_mtime > latest:
                    continue
                path.unlink(missing_ok=True)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise OutputError(
                    f"{path}: left by a run that died, cannot be deleted: {error.strerror or error}",
                    advice="Check the permissions of its folder.",
                ) from error
            count += 1
    return count
