"""From a checkpoint to what ships: one ONNX file, checked in the runtimes that will run it, and its card."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.export import Dim

from engines.adapters.autochrome1 import INPUT, OUTPUT
from engines.adapters.registry import adapter_for
from engines.base import Engine, Model
from engines.errors import AutochromeError, EngineError
from engines.onnxruntime import open_reference
from engines.openvino import open_openvino
from engines.parity import model_for
from engines.tensors import F32
from engines.weights import read_weights
from training.calibrate import Calibration, calibrate
from training.checkpoint import Generator, Trained, load_trained
from training.cielab import rgb_to_lab
from training.data import PhotoCache
from training.scores import as_card, read_report

LICENCE = "Apache-2.0"
OPSET = 18
# Half-precision weights move ab by some thousandths on average, and by more where two colours are equally likely.
MEAN_TOLERANCE = 0.05
MAX_TOLERANCE = 1.5

_SMALLEST_HALVED = 1024
_PROBE_SIDE = 64
RUNTIMES: Mapping[str, Callable[[Model], Engine]] = MappingProxyType(
    {"onnxruntime": open_reference, "openvino": partial(open_openvino, precision="f32")}
)


class ExportError(AutochromeError):
    """The exported graph does not answer as the trained network does; no file was written."""

    exit_code = 9


@dataclass(frozen=True)
class Parity:
    """How far a runtime's ab is from torch's, over all probes: mean and greatest absolute difference."""

    runtime: str
    mean: float
    greatest: float


@dataclass(frozen=True)
class Exported:
    """What an export wrote: the ONNX file, its card, the card's content, and the calibration if one was made."""

    path: Path
    card_path: Path
    card: Mapping[str, object]
    parity: tuple[Parity, ...]
    calibration: Calibration | None


def export_command(
    checkpoint: Path,
    output: Path,
    *,
    name: str | None = None,
    description: str | None = None,
    temperature: float | None = None,
    saturation: float | None = None,
    photos: Path | None = None,
    calibration_photos: int = 200,
    calibration_size: int = 256,
    cf_share: float = 0.95,
    evaluation: Path | None = None,
    runtimes: Sequence[str] = tuple(RUNTIMES),
) -> Exported:
    """Write ``checkpoint`` as the ONNX file ``output`` and its card (the same name with ``.json``).

    ``temperature`` and ``saturation`` come together, or are chosen by `training.calibrate.calibrate` on the photo
    cache ``photos``; for an architecture that answers with ab there is no temperature. ``name`` defaults to the file's.
    The file is checked in each of ``runtimes``, and the card names them. Files of these names are replaced, and only
    once the new ones have been checked.

    ``evaluation`` is a report of ``colorize-model evaluate --json`` on an earlier export of the same checkpoint with
    the same settings, whose file was the same to the byte: its scores go into the card.
    Raises `ExportError`, `WeightsError`, `CalibrationError`, `ReportError`.
    """
    if output.suffix != ".onnx":
        raise ExportError(f"{output}: the name must end in .onnx")
    trained = load_trained(checkpoint)
    cache = None if photos is None else PhotoCache(photos)
    calibration = None
    classifies = trained.architecture.classifies
    if temperature is not None and not classifies:
        raise ExportError(f"{checkpoint}: {trained.config.architecture} answers with ab: it has no temperature")
    if saturation is None or (classifies and temperature is None):
        if temperature is not None or saturation is not None or cache is None:
            raise ExportError(
                f"{checkpoint}: {'temperature and ' if classifies else ''}saturation unknown",
                advice="Give them all, or none and a photo cache to choose them on.",
            )
        calibration = calibrate(trained, cache, count=calibration_photos, size=calibration_size, cf_share=cf_share)
        temperature, saturation = calibration.chosen.temperature, calibration.chosen.saturation
    architecture = trained.architecture
    generator = Generator(trained, temperature=temperature, saturation=saturation).eval()
    content = to_onnx(generator, multiple=architecture.multiple, stride=architecture.stride)
    sha256 = hashlib.sha256(content).hexdigest()
    card: dict[str, object] = {
        "name": name or output.stem,
        "sha256": sha256,
        "licence": LICENCE,
        "description": description or f"Luma to chroma, architecture {trained.config.architecture}",
        "multiple": architecture.multiple,
        "stride": architecture.stride,
        "architecture": trained.config.architecture,
        "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
        "temperature": temperature,
        "saturation": saturation,
        "training": _training(trained, cache),
        "evaluation": {} if evaluation is None else _scores(evaluation, sha256),
    }
    if calibration is not None:
        card["calibration"] = _calibration(calibration, calibration_size)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as folder:
        candidate = Path(folder, output.name)
        candidate.write_bytes(content)
        _write_card(candidate, card)
        parity = check_parity(candidate, generator, cache, runtimes=runtimes)
        card["parity"] = [dataclasses.asdict(one) for one in parity]
        _write_card(candidate, card)
        os.replace(candidate.with_suffix(".json"), output.with_suffix(".json"))
        os.replace(candidate, output)
    return Exported(output, output.with_suffix(".json"), card, parity, calibration)


def add_scores(exported: Path, evaluation: Path) -> None:
    """Put the scores of the report ``evaluation`` into the card of ``exported``, the ONNX file that it measured.

    `export_command` does the same from a checkpoint. Raises `ExportError` for a report on other weights, `ReportError`
    and `WeightsError`; the card is then as it was.
    """
    weights = read_weights(exported)
    card = {**weights.card, "evaluation": _scores(evaluation, weights.sha256)}
    candidate = exported.with_name(f".{exported.name}")
    _write_card(candidate, card)
    os.replace(candidate.with_suffix(".json"), exported.with_suffix(".json"))


def _write_card(path: Path, card: Mapping[str, object]) -> None:
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")


def _training(trained: Trained, cache: PhotoCache | None) -> dict[str, object]:
    return {
        "config": {**dataclasses.asdict(trained.config), "undegraded": list(trained.config.undegraded)},
        "steps": trained.step,
        "samples": trained.step * trained.config.batch,
        "photographs": None if cache is None else len(cache) - trained.config.holdout,
        "checkpoint_sha256": trained.sha256,
    }


def _scores(evaluation: Path, sha256: str) -> dict[str, object]:
    report = read_report(evaluation)
    measured = [model.name for model in report.models if model.weights_sha256 == sha256]
    if not measured:
        raise ExportError(
            f"{evaluation}: what it measured is not this export of the checkpoint ({sha256[:12]}...)",
            advice="Export without a report, evaluate the file, and export again with the same settings.",
        )
    return as_card(report, model=measured[0])


def _calibration(calibration: Calibration, size: int) -> dict[str, object]:
    return {
        "photographs": calibration.photographs,
        "size": size,
        "cf_truth": calibration.cf_truth,
        "cf_share": calibration.cf_share,
        **dataclasses.asdict(calibration.chosen),
    }


def to_onnx(generator: Generator, *, multiple: int, stride: int) -> bytes:
    """Return ``generator`` as a self-contained ONNX graph with float16 weights.

    Input ``lightness``, float32 (batch, 1, height, width); output ``ab``, float32; batch, height and width are free.
    Batch normalisation is folded into the convolutions. Weights are cast to float32 on loading, so that the file is
    half as large and every runtime computes as it likes.
    """
    model = _traced(generator, multiple)
    by = "" if stride == 1 else f"/{stride}"
    answer = ("batch", None, f"height{by}", f"width{by}")
    for side, names in ((model.graph.input, ("batch", None, "height", "width")), (model.graph.output, answer)):
        for dim, dim_name in zip(side[0].type.tensor_type.shape.dim, names, strict=True):
            if dim_name is not None:
                dim.dim_param = dim_name
    _halve_weights(model)
    _forget_origins(model)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _traced(generator: Generator, multiple: int) -> onnx.ModelProto:
    example = torch.full((2, 1, 2 * multiple, 3 * multiple), 50.0)
    free = {0: Dim("batch"), 2: multiple * Dim("rows"), 3: multiple * Dim("columns")}
    with _quiet():
        program = torch.onnx.export(
            generator,
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamic_shapes={INPUT: free},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    # The exporter reports on packages that are not installed and not needed.
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _halve_weights(model: onnx.ModelProto) -> None:
    graph = model.graph
    casts = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < _SMALLEST_HALVED:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _forget_origins(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes about where nodes came from, source paths among it."""
    graph = model.graph
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del part.metadata_props[:]
        part.doc_string = ""


def check_parity(
    path: Path, generator: Generator, photos: PhotoCache | None, *, runtimes: Sequence[str] = tuple(RUNTIMES)
) -> tuple[Parity, ...]:
    """Run the ONNX file at ``path`` (its card beside it) and return how near each runtime is to ``generator``.

    Probes are noise, a smooth scene, and, if given, the last photographs of the cache, at several shapes; runtimes
    compute in float32. Raises `ExportError` beyond the tolerances, `EngineError` if a runtime cannot run the file.
    """
    weights = read_weights(path)
    model = model_for(weights, adapter_for(weights))
    probes = list(_probes(photos, model.graph.size.multiple))
    with torch.inference_mode():
        expected = [generator(torch.from_numpy(probe)).numpy() for probe in probes]
    found = []
    for runtime in runtimes:
        engine = RUNTIMES[runtime](model)
        try:
            parity = _compare(engine, probes, expected, engine.spec.runtime)
        finally:
            engine.close()
        if not (parity.mean <= MEAN_TOLERANCE and parity.greatest <= MAX_TOLERANCE):
            raise ExportError(
                f"{parity.runtime}: ab differs from torch's by {parity.mean:.3f} on average and {parity.greatest:.2f} "
                f"at most; {MEAN_TOLERANCE} and {MAX_TOLERANCE} are allowed"
            )
        found.append(parity)
    return tuple(found)


def _compare(engine: Engine, probes: list[F32], expected: list[F32], runtime: str) -> Parity:
    differences = []
    for probe, answer in zip(probes, expected, strict=True):
        found = engine.infer({INPUT: probe})[OUTPUT]
        if found.shape != answer.shape:
            raise EngineError(f"{runtime}: the answer has shape {found.shape}, not {answer.shape}")
        differences.append(np.abs(found - answer).ravel())
    everything = np.concatenate(differences)
    return Parity(runtime=runtime, mean=float(everything.mean()), greatest=float(everything.max()))


def _probes(photos: PhotoCache | None, multiple: int) -> Iterator[F32]:
    rng = np.random.default_rng(0)
    side = -(-_PROBE_SIDE // multiple) * multiple
    for count, height, width in ((1, side, side + multiple), (3, 2 * side, side)):
        yield rng.uniform(0, 100, (count, 1, height, width)).astype(np.float32)
        rows, columns = np.mgrid[0 : np.pi : height * 1j, 0 : 3 * np.pi : width * 1j]
        scene = np.asarray(50 + 25 * np.sin(rows) + 25 * np.cos(columns), np.float32)
        yield np.repeat(scene[None, None], count, axis=0)
    if photos is not None:
        for number in range(len(photos) - 1, max(len(photos) - 9, -1), -1):
            photo = photos[number]
            height, width = (edge // multiple * multiple for edge in photo.shape[:2])
            if not height or not width:
                continue
            yield np.ascontiguousarray(rgb_to_lab(photo[:height, :width])[None, None, ..., 0], np.float32)
