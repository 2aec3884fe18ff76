from __future__ import annotations

import gc
import os
import re
import signal
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from random import Random

import pytest

from pipeline.process import before_numpy, prepare_process

# As in the commands, libraries compute in the calling thread; besides, several pytest workers share the machine.
before_numpy()
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests send no telemetry, and without its thread a process with ONNX Runtime can fork.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# What nohup, or a shell that starts the tests in the background, ignores would be ignored by all that they start.
for _name, _usual in (("SIGINT", signal.default_int_handler), ("SIGQUIT", signal.SIG_DFL), ("SIGHUP", signal.SIG_DFL)):
    if hasattr(signal, _name) and signal.getsignal(getattr(signal, _name)) is signal.SIG_IGN:
        signal.signal(getattr(signal, _name), _usual)
_LEFT_OUT_AS_A_WHOLE = {
    selection: re.compile(rf"^pytestmark = (?:\[[^\]]*)?pytest\.mark\.(?:{markers})\b", re.MULTILINE)
    for selection, markers in {
        "not slow": "slow|nightly",
        "not nightly": "nightly",
        "slow and not nightly": "nightly",
    }.items()
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
    """Spread the cases of a test over the tiers as its marker "few" says.

    So many stay where the test is; as many fast ones become slow, and the others nightly. They are chosen by
    chance, always the same ones: at regular distances they would often have a parameter in common.
    """
    cases = defaultdict[tuple[str, bool], list[pytest.Item]](list)
    for item in items:
        if item.get_closest_marker("few"):
            cases[item.nodeid.partition("[")[0], item.get_closest_marker("slow") is not None].append(item)
    for (name, is_slow), found in cases.items():
        marker = found[0].get_closest_marker("few")
        assert marker is not None
        (number,) = marker.args
        Random(name).shuffle(found)
        for item in found[number:]:
            item.add_marker(pytest.mark.slow)
        for item in found[number if is_slow else 2 * number :]:
            item.add_marker(pytest.mark.nightly)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude modules and tests, which live until the end, from garbage collection, then and later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


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
