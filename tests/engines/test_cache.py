from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engines.base import Engine, Setup
from engines.cache import CompiledCache, cache_folder
from engines.errors import EngineError
from engines.openvino import open_openvino
from tests.commands import ROOT
from tests.engines.opening import ab_of, model_of, open_model
from tests.engines.test_library import write_foreign

KEY = {"weights": "aa", "runtime": "1"}
BODY = bytes(range(256)) * 40
GREY = np.full((2, 1, 64, 32), 50, dtype=np.float32)
GREY[:, :, ::7] = 80


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, said: list[str]) -> CompiledCache:
    return CompiledCache(tmp_path / "deep" / "cache", said.append)


def only_file(folder: Path) -> Path:
    (path,) = folder.rglob("*.compiled")
    return path


def kept(cache: CompiledCache, key: Mapping[str, str]) -> bytes | None:
    body = cache.get(key)
    return None if body is None else body.tobytes()


def flip(path: Path, place: float) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 0x40
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "the seal": lambda path: flip(path, 0),
    "the middle": lambda path: flip(path, 0.5),
    "the last byte": lambda path: flip(path, 1),
    "cut short": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
}


def test_what_was_kept_comes_back(cache: CompiledCache, said: list[str]) -> None:
    assert cache.get(KEY) is None
    cache.put(KEY, BODY)
    assert kept(cache, KEY) == BODY
    assert kept(cache, dict(reversed(KEY.items()))) == BODY
    assert cache.get({**KEY, "runtime": "2"}) is None
    assert said == []
    assert cache.folder.stat().st_mode & 0o077 == 0 or os.name == "nt"


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_never_returned(
    cache: CompiledCache, said: list[str], damage: Callable[[Path], object]
) -> None:
    cache.put(KEY, BODY)
    damage(only_file(cache.folder))
    assert cache.get(KEY) is None
    assert len(said) == 1
    assert "damaged" in said[0]
    cache.put(KEY, BODY)
    assert kept(cache, KEY) == BODY


def test_a_file_under_another_ones_name_is_not_taken_for_it(cache: CompiledCache) -> None:
    cache.put(KEY, BODY)
    path = only_file(cache.folder)
    cache.put({"weights": "bb"}, b"other")
    (other,) = (one for one in cache.folder.glob("*.compiled") if one != path)
    other.replace(path)
    assert cache.get(KEY) is None


def test_the_models_used_last_are_kept(cache: CompiledCache) -> None:
    for number in range(12):
        cache.put({"weights": str(number)}, BODY)
        os.utime(max(cache.folder.glob("*.compiled"), key=lambda one: one.stat().st_ctime_ns), (number, number))
        if number == 8:
            assert kept(cache, {"weights": "1"}) == BODY
    left = [number for number in range(12) if cache.get({"weights": str(number)}) is not None]
    assert len(left) == 8
    assert {1, 11} <= set(left)


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, tiny: Path, said: list[str]) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "file").write_text("in the way")
    engine, _ = open_model("openvino", str(tiny), setup=Setup(cache=tmp_path / "file", say=said.append))
    engine.close()
    assert any("cannot be kept" in line for line in said)


def test_the_cache_is_where_the_user_wants_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "autochrome"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder().is_relative_to(Path.home())


@pytest.mark.slow
def test_nothing_is_kept_unless_asked_for(tiny: Path, own_cache: Path) -> None:
    pytest.importorskip("openvino")
    before = set(own_cache.rglob("*"))
    open_model("openvino", str(tiny))[0].close()
    assert set(own_cache.rglob("*")) == before


@pytest.mark.few(1)
@pytest.mark.parametrize("damage", [None, *DAMAGE.values()], ids=["whole", *DAMAGE])
def test_a_model_from_the_cache_colours_like_a_fresh_one(
    tiny: Path, tmp_path: Path, said: list[str], damage: Callable[[Path], object] | None
) -> None:
    pytest.importorskip("openvino")
    setup = Setup(cache=tmp_path, say=said.append)
    model = model_of(tiny)
    fresh = open_openvino(model, setup)
    expected = ab_of(fresh, GREY).copy()
    if damage is not None:
        damage(only_file(tmp_path))
    again = open_openvino(model, setup)
    np.testing.assert_array_equal(ab_of(again, GREY), expected)
    assert again.spec == fresh.spec
    assert [("damaged" in line) for line in said] == ([] if damage is None else [True])


@pytest.mark.slow
def test_a_sealed_file_that_openvino_refuses_is_compiled_again(tiny: Path, tmp_path: Path, said: list[str]) -> None:
    pytest.importorskip("openvino")
    setup = Setup(cache=tmp_path, say=said.append)
    model = model_of(tiny)
    expected = ab_of(open_openvino(model, setup), GREY).copy()
    path = only_file(tmp_path)
    content = path.read_bytes()
    key, _ = json.JSONDecoder().raw_decode(content[content.index(b"{") : 4096].decode())
    CompiledCache(path.parent, said.append).put(key, b"no model")
    np.testing.assert_array_equal(ab_of(open_openvino(model, setup), GREY), expected)
    assert any("cannot be used" in line for line in said)


def test_precisions_and_weights_do_not_share_a_file(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    model = model_of(tiny)
    first = open_openvino(model, Setup(cache=tmp_path), precision="f32")
    second = open_openvino(model, Setup(cache=tmp_path))
    assert len(list(tmp_path.rglob("*.compiled"))) == len({first.spec.precision, second.spec.precision})


@pytest.mark.slow
def test_one_process_at_a_time_compiles(tmp_path: Path) -> None:
    code = """
        import sys
        from functools import partial
        from pathlib import Path
        from engines.cache import CompiledCache
        say = partial(print, flush=True)
        with CompiledCache(Path(sys.argv[1]), say).alone():
            say("in")
            sys.stdin.read()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
        )

    with start() as first, start() as second:
        lines = {}
        try:
            assert first.stdout
            assert second.stdout
            lines = {id(one): one.stdout.readline() for one in (first, second) if one.stdout}
            inside, waiting = sorted((first, second), key=lambda one: lines[id(one)] != "in\n")
            assert lines[id(inside)] == "in\n"
            assert "another run is compiling" in lines[id(waiting)]
            assert inside.stdin
            inside.stdin.close()
            assert waiting.stdout
            assert waiting.stdout.readline() == "in\n"
        finally:
            first.kill()
            second.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="alternate signal stacks as Linux has them")
def test_no_signal_is_handled_in_memory_that_goes_with_the_model(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    engine = open_openvino(model_of(tiny), Setup(cache=tmp_path))
    ab_of(engine, GREY)

    class Stack(ctypes.Structure):
        _fields_ = [("memory", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

    stack = Stack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    assert stack.flags & 2, "an alternate signal stack is still set"


def test_other_peoples_networks_are_judged_once_and_the_verdict_is_kept(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU does not compute in bf16")
    judged: list[str] = []

    def refuse(engine: Engine) -> None:
        judged.append(engine.spec.precision)
        raise EngineError("other colours")

    model = replace(model_of(write_foreign(tmp_path / "foreign.onnx")), accept=refuse)
    passed_over: list[tuple[str, str]] = []
    setup = Setup(cache=tmp_path, pass_over=lambda *pair: passed_over.append(pair))
    precisions = []
    for _ in range(2):
        engine = open_openvino(model, setup)
        precisions.append(engine.spec.precision)
        engine.close()
    assert precisions == ["f32", "f32"]
    assert judged == ["bf16"]
    assert [name for name, _ in passed_over] == ["openvino in bf16"] * 2
