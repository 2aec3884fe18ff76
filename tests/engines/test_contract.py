"""The contract matrix: every engine that is installed, every model, the same cases."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engines import optional
from engines.adapters.autochrome1 import INPUT
from engines.base import Engine, Setup
from engines.errors import EngineError
from engines.machine import gpu_count
from engines.onnxruntime import open_accelerated
from engines.openvino import open_openvino
from engines.registry import ENTRIES, Entry
from engines.tensors import F32
from engines.weights import known_weights, read_weights
from tests.engines.opening import ab_of, inputs_of, model_of, open_model
from tests.engines.tiny import STRIDE

pytestmark = pytest.mark.slow

INSTALLED = [entry.name for entry in ENTRIES if importlib.util.find_spec(entry.name)]
VARIANTS = [
    *("openvino-int8", "openvino-bf16", "openvino-f32", "onnxruntime"),
    # Where there is none they would be skipped a hundred times over.
    *(pytest.param(name, marks=pytest.mark.gpu) for name in ("onnxruntime-gpu", "tensorrt") if gpu_count()),
]
PRECISIONS = {"openvino-int8": "int8", "openvino-bf16": "bf16", "onnxruntime-gpu": "tf32", "tensorrt": "f16"}
REFERENCE = "onnxruntime"
# That those which ship answer as the reference does is also tested with the registry of engines.
MODELS = [
    "tiny",
    *(pytest.param(name, marks=pytest.mark.nightly) for name in dict.fromkeys(["fast", *known_weights()])),
]

BATCHES = [(count, 64, 96) for count in (1, 2, 3, 8, 16)]
SHAPES = [(2, 256, 256), (2, 160, 256), (2, 256, 160), (2, 96, 384), (2, 32, 32)]

# Largest allowed difference from the float32 reference, mean and maximum, in units of a* and b*.
# Seen in f32: 1e-5 and 3e-4. Seen in bf16: 0.21 and 3.5 with the tiny model, whose random colours swing by 24 units;
# 0.014 and 0.33 with a half-trained generator on these cases, 0.023 and 0.39 on photographs.
# Seen in int8 with `fast`: 0.28 and 2.6 on these cases, 0.20 and 11 on photographs.
# The float16 graph is 0.006 and 0.05 from the reference where ONNX Runtime runs it.
TOLERANCE = {"f32": (1e-3, 1e-2), "int8": (0.5, 6.0), "bf16": (0.5, 6.0), "f16": (0.25, 4.0), "tf32": (0.25, 4.0)}

Reference = Callable[[int, int, int], F32]


def scenes(count: int, height: int, width: int) -> F32:
    """Return pictures with large shapes, edges and grain, all different."""
    rng = np.random.default_rng(height * 1000 + width)
    blocks = rng.uniform(5, 95, (count, 1, -(-height // 16), -(-width // 16))).repeat(16, axis=2).repeat(16, axis=3)
    pictures = blocks[:, :, :height, :width] + rng.normal(0, 2, (count, 1, height, width))
    return np.ascontiguousarray(pictures.clip(0, 100), dtype=np.float32)


def difference(answer: F32, expected: F32) -> tuple[float, float]:
    apart = np.abs(answer.astype(np.float64) - expected)
    return float(apart.mean()), float(apart.max())


def is_close(answer: F32, expected: F32, precision: str) -> bool:
    mean, largest = difference(answer, expected)
    return mean <= TOLERANCE[precision][0] and largest <= TOLERANCE[precision][1]


@functools.cache
def cpu_has_bf16() -> bool:
    return "BF16" in optional.openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def variant_entry(variant: str, model: str | Path) -> Entry:
    """Return the registry entry of a runtime, or one of its own name for a fixed precision or device."""
    name, _, fixed = variant.partition("-")
    if name not in INSTALLED:
        pytest.skip(f"{name} is not installed")
    if fixed == "bf16" and not cpu_has_bf16():
        pytest.skip("this CPU does not compute in bf16")
    if fixed == "int8" and not model_of(model).weights.activations():
        pytest.skip(f"the card of {model} tells no activations")
    (entry,) = (entry for entry in ENTRIES if entry.name == name)
    opener = entry.open
    if name == "openvino":
        opener = functools.partial(open_openvino, precision=fixed)
    elif fixed:
        opener = open_accelerated
    return Entry(variant, entry.description, entry.check, opener)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tiny: Path) -> str:
    if request.param == "tiny":
        return str(tiny)
    if request.param not in known_weights():
        pytest.skip(f"the weights {request.param!r} are not in this checkout")
    return str(request.param)


@pytest.fixture(scope="module")
def reference(model: str) -> Iterator[Reference]:
    engine, _ = open_model(REFERENCE, model)
    yield functools.cache(lambda count, height, width: ab_of(engine, scenes(count, height, width)))
    engine.close()


@pytest.fixture(scope="module", params=VARIANTS)
def engine(request: pytest.FixtureRequest, model: str) -> Iterator[Engine]:
    opened, _ = open_model(request.param, model, extra=[variant_entry(request.param, model)])
    yield opened
    opened.close()


@pytest.mark.parametrize("case", BATCHES + SHAPES, ids="{0[0]}x{0[1]}x{0[2]}".format)
def test_answers_are_those_of_the_reference(engine: Engine, reference: Reference, case: tuple[int, int, int]) -> None:
    answer = ab_of(engine, scenes(*case))
    assert answer.dtype == np.float32
    assert answer.shape == (case[0], 2, case[1] // STRIDE, case[2] // STRIDE)
    assert np.ptp(answer) > 1, "every picture has the same colour: the comparison would prove nothing"
    mean, largest = difference(answer, reference(*case))
    allowed = TOLERANCE[engine.spec.precision]
    assert mean <= allowed[0]
    assert largest <= allowed[1]


def test_the_same_batch_has_the_same_answer_to_the_bit(engine: Engine) -> None:
    batch = scenes(3, 96, 160)
    first = ab_of(engine, batch)
    ab_of(engine, scenes(1, 32, 32))
    np.testing.assert_array_equal(ab_of(engine, batch), first)


def test_a_picture_has_the_same_colours_alone_and_in_any_place_of_a_batch(engine: Engine) -> None:
    batch = scenes(8, 64, 96)
    together = ab_of(engine, batch)
    reversed_batch = ab_of(engine, np.ascontiguousarray(batch[::-1]))[::-1]
    alone = np.concatenate([ab_of(engine, picture[None]) for picture in batch])
    assert is_close(together, reversed_batch, engine.spec.precision)
    assert is_close(together, alone, engine.spec.precision)
    assert not is_close(together, np.roll(together, 1, axis=0), engine.spec.precision), "the pictures are too alike"


def test_input_is_not_modified(engine: Engine) -> None:
    batch = scenes(2, 64, 64)
    before = batch.copy()
    ab_of(engine, batch)
    np.testing.assert_array_equal(batch, before)


def test_read_only_input_is_taken(engine: Engine) -> None:
    batch = scenes(1, 32, 64)
    batch.flags.writeable = False
    ab_of(engine, batch)


def test_an_answer_stays_as_it_was_when_the_next_batch_comes(engine: Engine) -> None:
    answer = ab_of(engine, scenes(2, 64, 64))
    kept = answer.copy()
    ab_of(engine, 100 - scenes(2, 64, 64))
    np.testing.assert_array_equal(answer, kept)


def test_calls_from_several_threads_take_turns(engine: Engine) -> None:
    batches = [scenes(1, 32, width) for width in (32, 64, 96, 128)] * 2
    expected = [ab_of(engine, batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for answer, wanted in zip(pool.map(functools.partial(ab_of, engine), batches), expected, strict=True):
            np.testing.assert_array_equal(answer, wanted)


def test_the_answer_can_be_written_to(engine: Engine) -> None:
    answer = ab_of(engine, scenes(1, 32, 32))
    answer *= 0.5


def _nan_picture() -> F32:
    picture = scenes(1, 32, 32)
    picture[0, 0, 7, 7] = np.nan
    return picture


WRONG_INPUT = {
    "float64": lambda: scenes(1, 32, 32).astype(np.float64),
    "uint8": lambda: scenes(1, 32, 32).astype(np.uint8),
    "a list": lambda: scenes(1, 32, 32).tolist(),
    "three dimensions": lambda: scenes(1, 32, 32)[0],
    "three channels": lambda: scenes(3, 32, 32).reshape(1, 3, 32, 32),
    "no pictures": lambda: scenes(1, 32, 32)[:0],
    "one picture too many": lambda: scenes(17, 32, 32),
    "a height between multiples": lambda: scenes(1, 40, 32),
    "a width between multiples": lambda: scenes(1, 32, 40),
    "no height": lambda: scenes(1, 32, 32)[:, :, :0],
    "transposed memory": lambda: scenes(1, 64, 32).transpose(0, 1, 3, 2),
    "not a number": _nan_picture,
    "lightness of 255": lambda: scenes(1, 32, 32) * 2.55,
    "negative lightness": lambda: scenes(1, 32, 32) - 50,
}


def test_inputs_of_other_names_are_refused(engine: Engine) -> None:
    for inputs in ({}, {"luma": scenes(1, 32, 32)}, {INPUT: scenes(1, 32, 32), "luma": scenes(1, 32, 32)}):
        with pytest.raises(EngineError, match="the inputs must be lightness"):
            engine.infer(inputs)


@pytest.mark.parametrize("wrong", WRONG_INPUT.values(), ids=WRONG_INPUT)
def test_wrong_input_is_refused_and_the_engine_works_on(engine: Engine, wrong: Callable[[], F32]) -> None:
    with pytest.raises(EngineError, match=engine.spec.name):
        engine.infer(inputs_of(engine, wrong()))
    ab_of(engine, scenes(1, 32, 32))


@pytest.mark.parametrize("variant", VARIANTS)
def test_closing_twice_is_harmless_and_colouring_afterwards_is_an_error(variant: str, tiny: Path) -> None:
    engine, _ = open_model(variant, str(tiny), extra=[variant_entry(variant, tiny)])
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        ab_of(engine, scenes(1, 32, 32))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_number_of_threads_changes_no_colour(
    variant: str, model: str, reference: Reference, tmp_path: Path
) -> None:
    entry = variant_entry(variant, model)
    for _ in ("compiled", "from the cache"):
        one, _ = open_model(variant, model, extra=[entry], setup=Setup(threads=1, cache=tmp_path))
        assert is_close(ab_of(one, scenes(2, 32, 32)), reference(2, 32, 32), one.spec.precision)
        one.close()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_spec_tells_the_weights_and_the_precision(variant: str, tiny: Path) -> None:
    engine, _ = open_model(variant, str(tiny), extra=[variant_entry(variant, tiny)])
    weights = read_weights(tiny)
    spec = engine.spec
    assert (spec.model, spec.weights_sha256) == ("tiny", weights.sha256)
    assert [one.name for one in (*spec.graph.inputs, *spec.graph.outputs)] == ["lightness", "ab"]
    assert (spec.graph.size.multiple, spec.graph.outputs[0].divisor, spec.graph.max_batch) == (32, 4, 16)
    assert spec.precision == PRECISIONS.get(variant, "f32")
    assert spec.name == variant.partition("-")[0]
    assert spec.runtime[-1].isalnum()
    assert spec.device
    engine.close()
