"""Measuring a model, and its rivals' published pictures, against the truth; the protocol is `docs/evaluation.md`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from engines.base import F32, Engine
from engines.errors import AutochromeError, MissingDependencyError
from engines.registry import open_engine
from training.cielab import F64, U8, lab_to_rgb, rgb_to_lab
from training.metrics import (
    HUE_BINS,
    RebalancedAuc,
    argmax_agreement,
    ciede2000,
    colourfulness,
    error_credit,
    hue_bias,
    hue_histogram,
    psnr,
)
from training.scores import PSNR_CEILING, EvaluationReport, PictureScore, SetScore

Colourise = Callable[[F32], U8]
Distance = Callable[[U8, U8], float]

CHECKPOINT_SUFFIX = ".pt"
PICTURE_SUFFIXES = frozenset({".avif", ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"})
UPSAMPLING = MappingProxyType({"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC})

_TRUTH_FOLDERS = ("truth", "gt")


class EvaluationError(AutochromeError):
    """An evaluation folder or picture that cannot be used; the message names it."""

    exit_code = 4


@dataclass(frozen=True)
class EvaluationSet:
    """The pictures of a folder: ``truths`` in the order of their names, and each rival's results in the same order."""

    name: str
    truths: tuple[Path, ...]
    rivals: Mapping[str, tuple[Path, ...]]


def find_set(folder: Path, *, limit: int | None = None) -> EvaluationSet:
    """Return the first ``limit`` pictures of an evaluation folder (all, if None).

    A folder holds colour photographs, or a subfolder ``truth`` or ``gt`` of them and a subfolder per rival, whose
    results carry the photographs' names (suffixes may differ). Raises `EvaluationError` for a folder without
    pictures and for a rival that lacks one.
    """
    truth_folder = next((folder / name for name in _TRUTH_FOLDERS if (folder / name).is_dir()), folder)
    truths = tuple(_pictures(truth_folder)[:limit])
    if not truths:
        raise EvaluationError(f"{truth_folder}: no pictures in this folder")
    rivals = {}
    if truth_folder != folder:
        for other in sorted(path for path in folder.iterdir() if path.is_dir() and path != truth_folder):
            by_stem = {path.stem: path for path in _pictures(other)}
            if missing := [truth.name for truth in truths if truth.stem not in by_stem]:
                raise EvaluationError(f"{other}: no result for {', '.join(missing[:5])}")
            rivals[other.name] = tuple(by_stem[truth.stem] for truth in truths)
    return EvaluationSet(name=folder.name, truths=truths, rivals=MappingProxyType(rivals))


def _pictures(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    except OSError as error:
        raise EvaluationError(f"{folder}: cannot be listed: {error.strerror}") from error


def read_picture(path: Path) -> U8:
    """Return the picture at ``path`` as uint8 RGB, shape (H, W, 3). Raises `EvaluationError` if it cannot be read."""
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, UnidentifiedImageError) as error:
        raise EvaluationError(f"{path}: cannot be read as a picture: {error}") from error


def network_size(height: int, width: int, *, size: int, multiple: int) -> tuple[int, int]:
    """Return the height and width that the network sees: the short side ``size``, both rounded to ``multiple``."""
    scale = size / min(height, width)
    return (
        max(multiple, round(height * scale / multiple) * multiple),
        max(multiple, round(width * scale / multiple) * multiple),
    )


class Colouriser:
    """A model as the protocol uses it: L* scaled for the network, its ab enlarged, and joined to the untouched L*."""

    def __init__(self, engine: Engine, *, size: int, upsampling: str) -> None:
        """Colour with ``engine`` at a short side of ``size`` pixels; ``upsampling`` is a key of `UPSAMPLING`."""
        self._engine, self._size = engine, size
        self._enlarge = UPSAMPLING[upsampling]

    def chroma(self, lightness: F32) -> F32:
        """Return a* and b*, float32 (H, W, 2), for L* (H, W), 0..100."""
        height, width = lightness.shape
        seen = network_size(height, width, size=self._size, multiple=self._engine.spec.multiple)
        reduces = seen[0] * seen[1] < height * width
        scaled = cv2.resize(lightness, seen[::-1], interpolation=cv2.INTER_AREA if reduces else cv2.INTER_LINEAR)
        ab = self._engine.infer(np.ascontiguousarray(scaled[None, None], np.float32))[0]
        enlarged = cv2.resize(ab.transpose(1, 2, 0), (width, height), interpolation=self._enlarge)
        return np.asarray(enlarged, np.float32)

    def __call__(self, lightness: F32) -> U8:
        """Return the coloured picture, uint8 RGB (H, W, 3), for L* (H, W), 0..100."""
        return lab_to_rgb(np.concatenate([lightness[..., None], self.chroma(lightness)], axis=-1))


def evaluate(
    colourise: Colourise, pictures: EvaluationSet, *, system: str, distance: Distance | None = None
) -> SetScore:
    """Colour every picture of a set from its true L* and score the results; ``distance`` is LPIPS or None.

    Pictures are read, coloured and dropped one after the other.
    """

    def results() -> Iterator[tuple[str, U8, U8]]:
        for path in pictures.truths:
            truth = read_picture(path)
            yield path.name, colourise(np.asarray(rgb_to_lab(truth)[..., 0], np.float32)), truth

    return score(results(), set_name=pictures.name, system=system, distance=distance)


def evaluate_rivals(pictures: EvaluationSet, *, distance: Distance | None = None) -> Iterator[SetScore]:
    """Yield the scores of the grey picture and of every rival's published results, by the same code."""

    def results(paths: Sequence[Path]) -> Iterator[tuple[str, U8, U8]]:
        for path, truth in zip(paths, pictures.truths, strict=True):
            yield path.name, read_picture(path), read_picture(truth)

    yield evaluate(grey, pictures, system="grey", distance=distance)
    for rival, paths in pictures.rivals.items():
        yield score(results(paths), set_name=pictures.name, system=rival, distance=distance)


def grey(lightness: F32) -> U8:
    """Return L* (H, W), 0..100, as a grey picture, uint8 RGB (H, W, 3): the colouriser that does nothing."""
    return lab_to_rgb(lightness[..., None] * np.array([1.0, 0.0, 0.0]))


def score(results: Iterable[tuple[str, U8, U8]], *, set_name: str, system: str, distance: Distance | None) -> SetScore:
    """Score (name, picture, truth) triples of one system on one set; pictures are uint8 RGB of the truth's size."""
    rebalanced = RebalancedAuc()
    hues, true_hues = np.zeros(HUE_BINS), np.zeros(HUE_BINS)
    shift: F64 = np.zeros(2)
    pixels = 0
    scores: list[PictureScore] = []
    for name, picture, truth in results:
        if picture.shape != truth.shape:
            raise EvaluationError(f"{set_name}, {system}: {name} is {picture.shape}, its truth {truth.shape}")
        lab, true_lab = rgb_to_lab(picture), rgb_to_lab(truth)
        credit = error_credit(lab, true_lab)
        rebalanced.add(credit, true_lab)
        hues += hue_histogram(lab)
        true_hues += hue_histogram(true_lab)
        shift += (lab - true_lab)[..., 1:].sum(axis=(0, 1))
        pixels += credit.size
        scores.append(
            PictureScore(
                name=name,
                psnr_db=min(psnr(picture, truth), PSNR_CEILING),
                ciede2000=float(ciede2000(lab, true_lab).mean()),
                cf=colourfulness(picture),
                cf_truth=colourfulness(truth),
                auc=float(credit.mean()),
                argmax=argmax_agreement(lab, true_lab),
                lpips=None if distance is None else distance(picture, truth),
            )
        )
    cf, cf_truth = _mean(s.cf for s in scores), _mean(s.cf_truth for s in scores)
    return SetScore(
        set_name=set_name,
        system=system,
        count=len(scores),
        psnr_db=_mean(s.psnr_db for s in scores),
        ciede2000=_mean(s.ciede2000 for s in scores),
        cf=cf,
        cf_truth=cf_truth,
        delta_cf=abs(cf - cf_truth),
        delta_cf_pictures=_mean(abs(s.cf - s.cf_truth) for s in scores),
        auc=_mean(s.auc for s in scores),
        auc_rebalanced=rebalanced.value(),
        argmax=_mean(s.argmax for s in scores),
        hue_bias=hue_bias(hues, true_hues),
        shift_a=float(shift[0] / pixels),
        shift_b=float(shift[1] / pixels),
        lpips=None if distance is None else _mean(s.lpips for s in scores if s.lpips is not None),
        pictures=tuple(scores),
    )


def _mean(values: Iterable[float]) -> float:
    collected = list(values)
    return math.fsum(collected) / len(collected)


def open_model(model: str, *, engine: str, temperature: float, saturation: float) -> tuple[Engine, tuple[str, ...]]:
    """Return an engine for ``model``, and notes on engines that were passed over.

    ``model`` is the name or path of an exported model, run by the engine that ``engine`` names as for colouring, or
    a training checkpoint (``*.pt``), run by torch in float32 with ``temperature`` and ``saturation``, which an
    exported model has built in. Raises what the engines raise.
    """
    if Path(model).suffix != CHECKPOINT_SUFFIX:
        opened, choice = open_engine(engine, model)
        return opened, tuple(f"The engine {name} was passed over: {reason}" for name, reason in choice.rejected)
    try:
        from training.checkpoint import CheckpointEngine
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{model}: a checkpoint needs the Python package {error.name}",
            advice="Install autochrome[train], or evaluate an exported model.",
        ) from error
    return CheckpointEngine(Path(model), temperature=temperature, saturation=saturation), ()


def evaluate_command(
    model: str,
    sets: Sequence[Path],
    *,
    engine: str = "auto",
    size: int = 256,
    upsampling: str = "linear",
    rivals: bool = False,
    limit: int | None = None,
    lpips_weights: Path | None = None,
    temperature: float = 0.4,
    saturation: float = 1.0,
    progress: Callable[[SetScore], None] | None = None,
) -> EvaluationReport:
    """Measure ``model`` on evaluation folders; with ``rivals``, also the grey picture and the rivals' results there.

    ``progress`` is called with each score as it is ready. Without ``lpips_weights`` LPIPS is left out, and the
    report says so. ``temperature`` and ``saturation`` matter for a checkpoint only. Raises `EvaluationError` for
    folders and pictures, and what `open_model` raises.
    """
    if upsampling not in UPSAMPLING:
        raise EvaluationError(f"upsampling must be one of {', '.join(UPSAMPLING)}, not {upsampling}")
    found = [find_set(folder, limit=limit) for folder in sets]
    distance, notes = _lpips(lpips_weights)
    network, passed_over = open_model(model, engine=engine, temperature=temperature, saturation=saturation)
    try:
        spec = network.spec
        colourise = Colouriser(network, size=size, upsampling=upsampling)
        scores: list[SetScore] = []
        for pictures in found:
            for one in _systems(colourise, spec.model, pictures, rivals=rivals, distance=distance):
                scores.append(one)
                if progress is not None:
                    progress(one)
    finally:
        network.close()
    return EvaluationReport(
        model=spec.model,
        runtime=spec.runtime,
        device=spec.device,
        precision=spec.precision,
        weights_sha256=spec.weights_sha256,
        network_size=size,
        chroma_upsampling=upsampling,
        scores=tuple(scores),
        notes=(*passed_over, *notes),
    )


def _systems(
    colourise: Colourise, model: str, pictures: EvaluationSet, *, rivals: bool, distance: Distance | None
) -> Iterator[SetScore]:
    yield evaluate(colourise, pictures, system=model, distance=distance)
    if rivals:
        yield from evaluate_rivals(pictures, distance=distance)


def _lpips(weights: Path | None) -> tuple[Distance | None, tuple[str, ...]]:
    if weights is None:
        return None, ("LPIPS was left out: no weights were given.",)
    try:
        from training.lpips import Lpips
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"LPIPS needs the Python package {error.name}", advice="Install autochrome[train], or leave LPIPS out."
        ) from error
    return Lpips(weights), ()
