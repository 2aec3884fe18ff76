from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.process import before_numpy, prepare_process

# As in the commands, libraries compute in the thread that asks; several workers of pytest share the machine besides.
before_numpy()
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Nobody is told of tests, and without telemetry's thread a process with ONNX Runtime can fork.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
_LEFT_OUT_AS_A_WHOLE = {
    f"not {name}": re.compile(rf"^pytestmark = (?:\[[^\]]*)?pytest\.mark\.(?:{markers})\b", re.MULTILINE)
    for name, markers in {"slow": "slow|nightly", "nightly": "nightly"}.items()
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import files of slow tests only to leave all of them out: many bring PyTorch, in every worker."""
    marked = _LEFT_OUT_AS_A_WHOLE.get(config.getoption("markexpr"))
    if marked is None or collection_path.suffix != ".py":
        return None
    return True if marked.search(collection_path.read_text(encoding="utf-8")) else None


def pytest_itemcollected(item: pytest.Item) -> None:
    """What is nightly is slow as well."""
    if item.get_closest_marker("nightly"):
        item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: the garbage collector need not look at them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def prepared() -> None:
    prepare_process()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep compiled models of test weights out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder
