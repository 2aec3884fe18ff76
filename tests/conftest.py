from __future__ import annotations

import gc
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from pipeline.process import before_numpy, prepare_process

# As in the commands, libraries compute in the calling thread; besides, several pytest workers share the machine.
before_numpy()
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests send no telemetry, and without its thread a process with ONNX Runtime can fork.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
_LEFT_OUT_AS_A_WHOLE = {
    f"not {name}": re.compile(rf"^pytestmark = (?:\[[^\]]*)?pytest\.mark\.(?:{markers})\b", re.MULTILINE)
    for name, markers in {"slow": "slow|nightly", "nightly": "nightly"}.items()
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import files of slow tests only to deselect all of them: many import PyTorch, in every worker."""
    marked = _LEFT_OUT_AS_A_WHOLE.get(config.getoption("markexpr"))
    if marked is None or collection_path.suffix != ".py":
        return None
    return True if marked.search(collection_path.read_text(encoding="utf-8")) else None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark nightly tests as slow as well."""
    if item.get_closest_marker("nightly"):
        item.add_marker(pytest.mark.slow)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cases of a test as slow, except as many as its marker "few" says, always the same ones."""
    cases = defaultdict[str, list[pytest.Item]](list)
    for item in items:
        if item.get_closest_marker("few") and not item.get_closest_marker("slow"):
            cases[item.nodeid.partition("[")[0]].append(item)
    for name, found in cases.items():
        marker = found[0].get_closest_marker("few")
        assert marker is not None
        # Chosen by chance: at regular distances they would often have a parameter in common.
        fast = Random(name).sample(found, min(marker.args[0], len(found)))
        for item in found:
            if item not in fast:
                item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """Exclude modules and tests, which live until the end, from further garbage collection."""
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
