from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.color.painter import Painter, open_painter
from pipeline.options import Options
from tests.engines.tiny import write_tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def painter(tiny: Path) -> Iterator[Painter]:
    with open_painter(Options(engine="onnxruntime", model=str(tiny))) as opened:
        yield opened
