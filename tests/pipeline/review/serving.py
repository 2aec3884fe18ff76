"""Serve a real review in a separate process: ``python -m tests.pipeline.review.serving MODEL PHOTO``."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.archive.catalogue import ArchiveCatalogue
from pipeline.color.colorizer import open_colorizer
from pipeline.options import Options
from pipeline.photo.job import default_output
from pipeline.review.catalogue import FILM, PHOTO, FileCatalogue
from pipeline.review.local import serve_locally
from pipeline.review.server import review_app
from pipeline.review.studio import Studio

ROOT = Path(__file__).parents[3]


@contextmanager
def served(model: str, *photos: Path) -> Iterator[str]:
    """Yield the address of a review of ``photos``, or of the archive in that folder; it is ended with Ctrl-C."""
    command = [sys.executable, "-m", "tests.pipeline.review.serving", model, *map(str, photos)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        try:
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) in (0, -signal.SIGINT, 130)


def main() -> None:
    """Serve the arguments of the command line."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    model, *photos = sys.argv[1:]
    options = Options(engine="onnxruntime", model=model, overwrite=True)
    catalogue = (
        ArchiveCatalogue(Path(photos[0]))
        if Path(photos[0]).is_dir()
        else FileCatalogue(
            [(_kind(Path(photo)), Path(photo), default_output(Path(photo))) for photo in photos], options
        )
    )
    with open_colorizer(options) as colorizer:
        studio = Studio(colorizer, catalogue)
        serve_locally(review_app(catalogue, studio), ready=lambda address: print(address, flush=True))  # noqa: T201


def _kind(path: Path) -> str:
    return FILM if path.suffix == ".mp4" else PHOTO


if __name__ == "__main__":
    main()
