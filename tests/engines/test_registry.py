from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from engines.base import EngineSpec, Model, Setup
from engines.errors import EngineError, MissingDependencyError, WeightsError
from engines.machine import gpu_count
from engines.onnxruntime import open_reference
from engines.registry import Entry, Machine, fastest_first
from tests.commands import PATIENCE, ROOT
from tests.engines.faults import WRONG_ANSWERS, FaultEngine, fault_entries
from tests.engines.opening import ab_of, model_of, open_model
from tests.engines.tiny import tiny_model, write_model

PLAIN = Machine(gpus=0, is_accelerated=False)
GREY = np.full((2, 1, 32, 64), 50, dtype=np.float32)


def python(code: str, *arguments: str, before: Path | None = None) -> subprocess.CompletedProcess[str]:
    paths = [str(before)] if before else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, str(ROOT)])}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Make ``packages`` look as if they were not installed."""
    for package in packages:
        monkeypatch.setitem(sys.modules, package, None)


@pytest.mark.slow
def test_importing_the_registry_imports_no_runtime() -> None:
    done = python(
        """
        import sys
        import engines.registry
        heavy = {"openvino", "onnxruntime", "torch", "onnx", "tensorrt"} & set(sys.modules)
        print(sorted(heavy))
        """
    )
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_nobody_is_told_that_an_engine_is_used(name: str, tiny: Path, tmp_path: Path) -> None:
    """Telemetry, left alone, keeps an identifier below the home folder and sends it with every import."""
    pytest.importorskip(name)
    code = """
        import socket, sys
        def refuse(*_): raise AssertionError("the network was used")
        socket.socket.connect = socket.getaddrinfo = refuse
        from tests.engines.opening import open_model
        engine, _ = open_model(*sys.argv[1:])
        print(engine.spec.name, [name for name in sys.modules if name.startswith("openvino_telemetry")])
    """
    said = ("CI", "TF_BUILD", "JENKINS_URL", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in said}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), name, str(tiny)],
        env={**environment, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.stdout.split(maxsplit=1) == [name, "[]\n"], done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_gpu_only_engines_of_the_cpu_are_tried() -> None:
    assert [entry.name for entry in fastest_first(machine=PLAIN)] == ["openvino", "onnxruntime"]


def test_with_a_gpu_its_engines_are_tried_first() -> None:
    names = [entry.name for entry in fastest_first(machine=Machine(gpus=1, is_accelerated=False))]
    assert names == ["tensorrt", "onnxruntime", "openvino", "onnxruntime"]


def test_auto_says_why_a_gpu_is_not_used(tiny: Path) -> None:
    pytest.importorskip("openvino")
    if gpu_count():
        pytest.skip("there is a GPU, and it would be used")
    engine, choice = open_model("auto", str(tiny), machine=Machine(gpus=1, is_accelerated=False))
    engine.close()
    assert choice.engine == "openvino"
    reasons = dict(choice.rejected)
    assert list(reasons) == ["tensorrt", "onnxruntime"]
    assert "not installed" in reasons["tensorrt"] or "no NVIDIA GPU" in reasons["tensorrt"]
    assert "nothing that its package offers" in reasons["onnxruntime"]


def test_auto_takes_the_fastest_and_says_which_and_why(tiny: Path) -> None:
    pytest.importorskip("openvino")
    engine, choice = open_model("auto", str(tiny), machine=PLAIN)
    assert choice.engine == engine.spec.name == "openvino"
    assert choice.rejected == ()
    for part in (engine.spec.runtime, engine.spec.precision, engine.spec.device):
        assert part in choice.reason


def test_auto_names_what_it_passed_over(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    hide(monkeypatch, "openvino")
    engine, choice = open_model("auto", str(tiny), machine=PLAIN)
    assert choice.engine == engine.spec.name == "onnxruntime"
    assert choice.rejected == (("openvino", "the package openvino is not installed"),)


@pytest.mark.slow
def test_auto_passes_over_a_runtime_that_is_installed_but_broken(tiny: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text("raise ImportError('libtbb.so.12: cannot open')\n")
    done = python(
        """
        import sys
        from tests.engines.opening import open_model
        print(open_model("auto", sys.argv[1])[1])
        """,
        str(tiny),
        before=tmp_path,
    )
    assert "engine='onnxruntime'" in done.stdout, done.stderr
    assert "openvino cannot be imported: libtbb.so.12" in done.stdout


@pytest.mark.few(3)
@pytest.mark.parametrize("fault", ["crashing", *WRONG_ANSWERS])
def test_auto_passes_over_an_engine_that_fails_its_trial(tiny: Path, fault: str) -> None:
    extra = [entry for entry in fault_entries(good_calls=0) if entry.name in (fault, "sane")]
    extra.sort(key=lambda entry: entry.name == "sane")
    engine, choice = open_model("auto", str(tiny), extra=extra)
    assert choice.engine == engine.spec.name == "sane"
    ((name, reason),) = choice.rejected
    assert name == fault
    assert reason


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_what_ships_answers_after_the_trial_as_the_reference_does(name: str) -> None:
    """A runtime may answer wrongly at every size, without a word, for the size that it saw first."""
    rows, columns = np.mgrid[0:256, 0:352]
    scene = np.asarray(50 + 25 * np.sin(rows / 40) + 20 * np.cos(columns / 25), np.float32)
    engine, _ = open_model(name, "fast")
    reference = open_reference(model_of("fast"))
    for picture in (scene, scene[:160, :288], scene[:64, :64]):
        seen = np.ascontiguousarray(picture[None, None])
        differences = np.abs(ab_of(engine, seen) - ab_of(reference, seen))
        assert differences.mean() < 1


def test_auto_with_nothing_that_works_tells_every_reason(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "openvino", "onnxruntime")
    with pytest.raises(EngineError) as caught:
        open_model("auto", str(tiny))
    for name in ("openvino", "onnxruntime"):
        assert f"{name}: the package {name} is not installed" in str(caught.value)


def test_auto_does_not_hide_wrong_weights(tmp_path: Path) -> None:
    path = write_model(tmp_path / "bad.onnx", tiny_model(), sha256="0" * 64)
    with pytest.raises(WeightsError):
        open_model("auto", str(path))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime", "tensorrt"])
def test_a_named_engine_that_is_missing_is_an_error_with_the_install_command(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    hide(monkeypatch, name)
    with pytest.raises(MissingDependencyError, match=name) as caught:
        open_model(name, str(tiny))
    assert "pip install autochrome-archive" in caught.value.advice
    assert caught.value.exit_code == 8


def test_a_named_engine_never_falls_back(tiny: Path) -> None:
    with pytest.raises(EngineError, match="crashing"):
        open_model("crashing", str(tiny), extra=fault_entries(good_calls=0))


def test_an_unknown_engine_lists_the_known_ones(tiny: Path) -> None:
    with pytest.raises(EngineError, match="'abacus'") as caught:
        open_model("abacus", str(tiny))
    assert "auto, openvino, onnxruntime, tensorrt" in caught.value.advice


def test_extra_entries_are_not_remembered(tiny: Path) -> None:
    open_model("sane", str(tiny), extra=fault_entries())
    with pytest.raises(EngineError, match="no engine 'sane'"):
        open_model("sane", str(tiny))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("content", [b"no graph at all", b""], ids=["text", "empty"])
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    pytest.importorskip(name)
    path = write_model(tmp_path / "text.onnx", tiny_model(), sha256=hashlib.sha256(content).hexdigest())
    path.write_bytes(content)
    with pytest.raises((EngineError, WeightsError)):
        open_model(name, str(path))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_card_that_lies_about_the_stride_is_found_when_opening(tmp_path: Path, name: str) -> None:
    pytest.importorskip(name)
    path = write_model(tmp_path / "lying.onnx", tiny_model(), stride=8)
    with pytest.raises(EngineError, match="shape"):
        open_model(name, str(path))


@pytest.mark.parametrize("fault", WRONG_ANSWERS)
def test_a_wrong_answer_is_caught(tiny: Path, fault: str) -> None:
    engine, _ = open_model(fault, str(tiny), extra=fault_entries())
    with pytest.raises(EngineError, match=f"{fault}: output ab"):
        ab_of(engine, GREY)


def test_a_crash_is_the_engines_error(tiny: Path) -> None:
    engine, _ = open_model("crashing", str(tiny), extra=fault_entries())
    with pytest.raises(EngineError, match="gave up"):
        ab_of(engine, GREY)


def test_a_slow_engine_is_waited_for(tiny: Path) -> None:
    slow, _ = open_model("slow", str(tiny), extra=fault_entries())
    sane, _ = open_model("sane", str(tiny), extra=fault_entries())
    np.testing.assert_array_equal(ab_of(slow, GREY), ab_of(sane, GREY))


@pytest.mark.slow
def test_a_killing_engine_takes_the_process_with_it(tiny: Path) -> None:
    done = python(
        """
        import sys
        import numpy as np
        from tests.engines.faults import fault_entries
        from tests.engines.opening import ab_of, open_model
        engine, _ = open_model("killing", sys.argv[1], extra=fault_entries(good_calls=2))
        grey = np.full((1, 1, 32, 32), 50, dtype=np.float32)
        ab_of(engine, grey)
        print("alive", flush=True)
        ab_of(engine, grey)
        print("still alive", flush=True)
        """,
        str(tiny),
    )
    assert done.stdout == "alive\n", done.stderr
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("good_calls", [0, 1])
def test_the_runtime_is_closed_exactly_once_however_it_ends(tiny: Path, good_calls: int) -> None:
    made: list[FaultEngine] = []
    (crashing,) = (entry for entry in fault_entries(good_calls=good_calls) if entry.name == "crashing")

    def open_and_keep(model: Model, setup: Setup) -> FaultEngine:
        engine = crashing.open(model, setup)
        assert isinstance(engine, FaultEngine)
        made.append(engine)
        return engine

    entry = Entry("kept", crashing.description, crashing.check, open_and_keep)
    if good_calls:
        engine, _ = open_model("kept", str(tiny), extra=[entry])
        engine.close()
        engine.close()
    else:
        with pytest.raises(EngineError):
            open_model("kept", str(tiny), extra=[entry])
    assert [engine.closed for engine in made] == [1]


def test_the_sane_engine_keeps_the_contract(tiny: Path) -> None:
    engine, _ = open_model("sane", str(tiny), extra=fault_entries())
    assert isinstance(engine.spec, EngineSpec)
    bright, dark = ab_of(engine, np.stack([np.full((1, 32, 32), value, dtype=np.float32) for value in (90, 10)]))
    assert (bright[1] > 0).all()
    assert (dark[1] < 0).all()
