from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.tiny import write_tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty library of added networks, in the place of the user's."""
    folder = tmp_path / "library"
    monkeypatch.setattr("engines.library.library_folder", lambda: folder)
    return folder
