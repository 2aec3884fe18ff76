from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.options import Options
from tests.engines.tiny import write_tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def colorizer(tiny: Path) -> Iterator[Colorizer]:
    with open_colorizer(Options(engine="onnxruntime", model=str(tiny))) as opened:
        yield opened
