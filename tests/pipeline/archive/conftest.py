from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest

from tests.films import Sound, make_film
from tests.photos import save, save_tiff, scene


@pytest.fixture(scope="session")
def shared_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("archive") / "scans"
    for folder in ("people", "places/far", "segments"):
        (root / folder).mkdir(parents=True)
    save(root / "people" / "a.jpg", scene())
    save(root / "people" / "b.png", scene())
    save_tiff(root / "places" / "far" / "c.tif", scene(bits=16))
    make_film(root / "segments" / "d.mp4", codec="libx264", times=range(4), sounds=[Sound(seconds=0.16)])
    (root / "notes.txt").write_text("shoe box, attic", encoding="utf-8")
    (root / "Thumbs.db").write_bytes(b"junk")
    return root


@pytest.fixture
def archive(shared_archive: Path, tmp_path: Path) -> Path:
    return Path(copytree(shared_archive, tmp_path / "scans"))
