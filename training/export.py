"""Export a checkpoint for release: one ONNX file, checked in the runtimes that will run it, and its card."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from engines.adapters import autochrome2
from engines.adapters.autochrome1 import INPUT, OUTPUT
from engines.adapters.base import HINT_DIVISOR
from engines.adapters.registry import adapter_for
from engines.base import Engine, Model
from engines.errors import AutochromeError, EngineError
from engines.onnxruntime import open_reference
from engines.openvino import open_openvino
from engines.parity import model_for
from engines.tensors import F32
from engines.weights import NOT_STATED, read_weights
from training.calibrate import Calibration, calibrate
from training.card import ACTIVATIONS, BINS, publishing, write_card
from training.checkpoint import Decoding, EvidenceGenerator, Generator, Trained, generator_for, load_trained
from training.cielab_numpy import rgb_to_lab
from training.data import Photos, crops_before
from training.files import check_output, check_place
from training.onnx_graph import graph_of, to_onnx
from training.origins import photos_of, published
from training.overfit import is_overfit
from training.photo_zips import open_photos
from training.quantization import ab_bins
from training.ranges import activation_ranges
from training.scores import as_card, read_report

# Half-precision weights change ab by some thousandths on average, and by more where two colours are equally likely.
MEAN_TOLERANCE = 0.05
MAX_TOLERANCE = 1.5

_PROBE_SIDE = 64
_HINTED = 0.2
RUNTIMES: Mapping[str, Callable[[Model], Engine]] = MappingProxyType(
    {"onnxruntime": open_reference, "openvino": partial(open_openvino, precision="f32")}
)


class ExportError(AutochromeError):
    """The exported graph's output differs from the trained network's; no file was written."""

    exit_code = 9


@dataclass(frozen=True)
class Parity:
    """Difference between a runtime's ab and torch's, over all probes: mean and maximum absolute difference."""

    runtime: str
    mean: float
    greatest: float


@dataclass(frozen=True)
class Exported:
    """The result of an export: the ONNX file, its card, the card's content, and the calibration if one was made."""

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
    licence: str | None = None,
    temperature: float | None = None,
    saturation: float | None = None,
    adaptation: float = 0.0,
    knee: float | None = None,
    photos: Path | None = None,
    calibration_photos: int = 200,
    calibration_size: int = 256,
    cf_share: float = 0.95,
    evaluation: Path | None = None,
    runtimes: Sequence[str] = tuple(RUNTIMES),
    watch: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Write ``checkpoint`` as the ONNX file ``output`` and its card (the same name with ``.json``).

    ``temperature`` and ``saturation`` are given together, or are chosen by `training.calibrate.calibrate` on the photo
    cache ``photos``, the run's own if None and still there; for an architecture that outputs ab or RGB there is no
    temperature. These, ``adaptation`` and ``knee`` are those of `training.checkpoint.Decoding`. ``name`` defaults to
    the file's. The card contains what the checkpoint knows of its making; the ``licence`` only as given. The file is
    checked in each of ``runtimes``, and the card names them. With photographs available, the card of a network that
    outputs logits states its activations too (`training.ranges`). Existing files are replaced, but only once the new
    ones have been checked.

    ``evaluation`` is a report of ``colorize-model evaluate --json`` on an earlier export of the same checkpoint with
    the same settings, whose file was identical: its scores go into the card. ``watch`` receives the current activity.
    Raises `ExportError`, `WeightsError`, `CalibrationError`, `ReportError`, `WriteError`, `SourceError`.
    """
    if output.suffix != ".onnx":
        raise ExportError(f"{output}: the name must end in .onnx")
    for written in (output, output.with_suffix(".json")):
        check_output(written, [path for path in (checkpoint, evaluation, photos) if path is not None])
    check_place(output)
    trained = load_trained(checkpoint)
    if is_overfit(trained.config):
        raise ExportError(
            f"{checkpoint}: a check with --overfit, which knows its few photographs and has none to measure on",
            advice="Export a run without --overfit.",
        )
    found = photos or photos_of(checkpoint, trained.made_from)
    cache = None if found is None else open_photos(found)
    calibration = None
    classifies = trained.architecture.classifies
    if temperature is not None and not classifies:
        raise ExportError(f"{checkpoint}: {trained.config.architecture} outputs ab: it has no temperature")
    if saturation is None or (classifies and temperature is None):
        if temperature is not None or saturation is not None or cache is None:
            raise ExportError(
                f"{checkpoint}: {'temperature and ' if classifies else ''}saturation unknown",
                advice="Give them all, or none and a photo cache to choose them on.",
            )
        count = min(calibration_photos, trained.config.holdout)
        calibration = calibrate(
            trained,
            cache,
            count=count,
            size=calibration_size,
            cf_share=cf_share,
            watch=lambda done: watch(f"choosing how colourful: {done:,} of {count:,} photographs"),
        )
        temperature, saturation = calibration.chosen.temperature, calibration.chosen.saturation
    architecture = trained.architecture
    decoding = Decoding(temperature, saturation, adaptation, knee)
    generator = generator_for(trained, decoding).eval()
    graph = graph_of(generator, multiple=architecture.multiple, stride=architecture.stride)
    watch("writing the graph")
    content = to_onnx(generator, graph)
    sha256 = hashlib.sha256(content).hexdigest()
    card: dict[str, object] = {
        "name": name or output.stem,
        "sha256": sha256,
        "licence": licence or NOT_STATED,
        "description": description or f"Luma to chroma, architecture {trained.config.architecture}",
        "contract": graph.contract,
        "multiple": architecture.multiple,
        "stride": architecture.stride,
        "architecture": trained.config.architecture,
        "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
        "temperature": temperature,
        "saturation": saturation,
        **({"adaptation": adaptation} if adaptation else {}),
        **({} if knee is None else {"knee": knee}),
        "training": _training(trained, cache),
        **(_evidence_facts(trained) if graph.gives_evidence else {}),
        "evaluation": {} if evaluation is None else _scores(evaluation, sha256),
    }
    if graph.gives_evidence and cache is not None:
        card[ACTIVATIONS] = activation_ranges(content, cache, bins=len(_centres(trained)))
    if calibration is not None:
        card["calibration"] = _calibration(calibration, calibration_size)
    with publishing(output) as candidate:
        candidate.write_bytes(content)
        write_card(candidate, card)
        watch(f"comparing with the checkpoint in {', '.join(runtimes)}")
        parity = check_parity(candidate, generator, cache, runtimes=runtimes)
        card["parity"] = [dataclasses.asdict(one) for one in parity]
        write_card(candidate, card)
    return Exported(output, output.with_suffix(".json"), card, parity, calibration)


def add_scores(exported: Path, evaluation: Path) -> None:
    """Put the scores of the report ``evaluation`` into the card of ``exported``, the ONNX file that it measured.

    `export_command` does the same from a checkpoint. Raises `ExportError` for a report on other weights, `ReportError`
    and `WeightsError`; the card is then unchanged.
    """
    weights = read_weights(exported)
    write_card(exported, {**weights.card, "evaluation": _scores(evaluation, weights.sha256)})


def _evidence_facts(trained: Trained) -> dict[str, object]:
    """Return the card's entries on hints, on logits, and on numbers that are merged with equal ones in the graph."""
    scalars = {name: one.item() for name, one in trained.model.named_parameters() if one.numel() == 1}
    return {"scalars": scalars, "hints": trained.config.hinted_share > 0, BINS: _centres(trained).tolist()}


def _centres(trained: Trained) -> Tensor:
    bins = trained.architecture.bins
    assert bins is not None
    return ab_bins(bins).centres


def _training(trained: Trained, cache: Photos | None) -> dict[str, object]:
    return {
        "config": json.loads(json.dumps(dataclasses.asdict(trained.config))),
        "steps": trained.step,
        "samples": crops_before(trained.config.stages, trained.step),
        "photographs": None if cache is None else len(cache) - trained.config.holdout,
        "checkpoint_sha256": trained.sha256,
        "made_from": published(trained.made_from),
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


def check_parity(
    path: Path, generator: Generator, photos: Photos | None, *, runtimes: Sequence[str] = tuple(RUNTIMES)
) -> tuple[Parity, ...]:
    """Run the ONNX file at ``path`` (its card beside it) and return how close each runtime is to ``generator``.

    Probes are noise, a smooth scene, and, if given, the last photographs of the cache, in several shapes; runtimes
    compute in float32. Raises `ExportError` beyond the tolerances, `EngineError` if a runtime cannot run the file.
    """
    weights = read_weights(path)
    model = model_for(weights, adapter_for(weights))
    gives_evidence = isinstance(generator, EvidenceGenerator)
    probes = [_inputs(probe, gives_evidence) for probe in _probes(photos, model.graph.size.multiple)]
    with torch.inference_mode():
        outputs = [generator(*(torch.from_numpy(tensor) for tensor in probe.values())) for probe in probes]
    expected = [(one[0] if gives_evidence else one).numpy() for one in outputs]
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


def _inputs(lightness: F32, takes_hints: bool) -> dict[str, F32]:
    """Return a probe with a hint at every fifth position, if the network takes any."""
    if not takes_hints:
        return {INPUT: lightness}
    count, _, height, width = lightness.shape
    rng = np.random.default_rng(1)
    hints = rng.uniform(-60, 60, (count, 3, height // HINT_DIVISOR, width // HINT_DIVISOR)).astype(np.float32)
    hints[:, 2] = 1
    hints *= rng.random(hints[:, :1].shape) < _HINTED
    return {INPUT: lightness, autochrome2.HINTS: hints}


def _compare(engine: Engine, probes: list[dict[str, F32]], expected: list[F32], runtime: str) -> Parity:
    differences = []
    for probe, wanted in zip(probes, expected, strict=True):
        found = engine.infer(probe)[OUTPUT]
        if found.shape != wanted.shape:
            raise EngineError(f"{runtime}: the output has shape {found.shape}, not {wanted.shape}")
        differences.append(np.abs(found - wanted).ravel())
    everything = np.concatenate(differences)
    return Parity(runtime=runtime, mean=float(everything.mean()), greatest=float(everything.max()))


def _probes(photos: Photos | None, multiple: int) -> Iterator[F32]:
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
