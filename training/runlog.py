"""What a run says of itself: a line of JSON now and then, and the same as TensorBoard scalars."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engines.errors import MissingDependencyError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG = "log.jsonl"


class RunLog:
    """``log.jsonl`` and the folder ``tensorboard`` of a run."""

    def __init__(self, run: Path, *, first: int, tensorboard: bool) -> None:
        """Go on at step ``first``: what an earlier process wrote of later steps is forgotten.

        Raises `MissingDependencyError` if TensorBoard is wanted and not installed.
        """
        self._path = run / LOG
        if self._path.exists():
            lines = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            self._path.write_text("".join(line for line in lines if json.loads(line)["step"] <= first), "utf-8")
        self._writer = _open_writer(run / "tensorboard", first) if tensorboard else None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Note ``values`` as those after ``step`` steps."""
        with self._path.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": step, **{key: round(value, 6) for key, value in values.items()}}) + "\n")
        if self._writer is not None:
            for key, value in values.items():
                self._writer.add_scalar(key, value, step)
            self._writer.flush()

    def close(self) -> None:
        """Finish the files."""
        if self._writer is not None:
            self._writer.close()


def _open_writer(folder: Path, first: int) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError(
            f"TensorBoard cannot be imported: {error}",
            advice="Install autochrome-archive[train], or train with --no-tensorboard.",
        ) from error
    return SummaryWriter(str(folder), purge_step=first + 1)
