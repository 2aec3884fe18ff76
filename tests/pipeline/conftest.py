from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.options import Options
from tests.engines.tiny import FILM_SIZE, write_tiny_model
from tests.engines.two import write_two_model
from tests.permissions import bound


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def colorizer(tiny: Path) -> Iterator[Colorizer]:
    with open_colorizer(Options(engine="onnxruntime", model=str(tiny))) as opened:
        yield opened


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with features, which references need."""
    return write_two_model(tmp_path_factory.mktemp("two"), film_size=FILM_SIZE)


@pytest.fixture(scope="session")
def opened(two: Path) -> Iterator[Colorizer]:
    """A colorizer for `two`."""
    with open_colorizer(Options(engine="onnxruntime", model=str(two))) as colorizer:
        yield colorizer


@pytest.fixture
def bound_by_permissions() -> Iterator[None]:
    """Let permissions bind the superuser too. Skipped on Windows, which has others."""
    if sys.platform == "win32":
        pytest.skip("needs POSIX permissions")
    with bound():
        yield
