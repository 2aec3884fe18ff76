"""Evaluate colouring systems, models and the published pictures of others, against the truth.

The protocol is `docs/evaluation.md`; `training.compare` is the command.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from engines.base import Setup
from engines.errors import AutochromeError, MissingDependencyError
from engines.network import Network
from engines.networks import open_network
from engines.tensors import F32
from training import DISTRIBUTION
from training.cielab_numpy import F64, U8, lab_to_rgb, rgb_to_lab
from training.cost import CHECKPOINT_SUFFIX
from training.detectors import (
    ColourBias,
    Faults,
    at_size,
    blotches,
    checkerboard,
    chroma_sharpness,
    colour_spill,
    corner_excess,
    lattice_power,
)
from training.metrics import RebalancedAuc, argmax_agreement, ciede2000, colourfulness, error_credit, psnr
from training.photo_files import PICTURE_SUFFIXES
from training.scores import PSNR_CEILING, PictureScore, SetScore

Paint = Callable[[int, F32], U8]
Distance = Callable[[U8, U8], float]
Progress = Callable[[str, int, int], None]

UPSAMPLING = MappingProxyType({"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC})
LANDSCAPES = Path(__file__).with_name("landscapes.txt")
LANDSCAPE_SIDE = 224

_TRUTH_FOLDERS = ("truth", "gt")
_MULTIPLE = 32


class EvaluationError(AutochromeError):
    """An unusable evaluation folder or picture, which the message names."""

    exit_code = 4


@dataclass(frozen=True)
class EvaluationSet:
    """The pictures of a folder: ``truths`` in order of name, and each rival's results in the same order.

    With ``square`` the truths are cropped to the square in their middle and scaled to that many pixels.
    """

    name: str
    truths: tuple[Path, ...]
    rivals: Mapping[str, tuple[Path, ...]]
    square: int | None = None

    def truth(self, number: int) -> U8:
        """Return a truth as uint8 RGB, shape (H, W, 3). Raises `EvaluationError` if it cannot be read."""
        picture = read_picture(self.truths[number])
        if self.square is None:
            return picture
        height, width = picture.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        cropped = picture[top : top + side, left : left + side]
        how = cv2.INTER_AREA if self.square < side else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(cropped, (self.square, self.square), interpolation=how), np.uint8)


def find_set(folder: Path, *, limit: int | None = None) -> EvaluationSet:
    """Return the first ``limit`` pictures of an evaluation folder (all, if None).

    A folder holds colour photographs, or a subfolder ``truth`` or ``gt`` of them and a subfolder per rival, whose
    results have the photographs' names (suffixes may differ). Raises `EvaluationError` for a folder without pictures
    and for a rival that lacks one.
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
    return EvaluationSet(name=folder.resolve().name, truths=truths, rivals=MappingProxyType(rivals))


def find_landscapes(folder: Path, *, limit: int | None = None) -> EvaluationSet:
    """Return the set ``landscape224``: the photographs of ``folder`` listed in `LANDSCAPES`, 224 x 224 pixels.

    Papers on small networks report on landscapes of this size. Raises `EvaluationError` if one is missing.
    """
    lines = LANDSCAPES.read_text(encoding="utf-8").splitlines()
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    everything = find_set(folder)
    by_stem = {path.stem: path for path in everything.truths}
    if missing := [name for name in names if name not in by_stem]:
        raise EvaluationError(f"{folder}: these landscapes are missing: {', '.join(missing[:5])}")
    truths = tuple(by_stem[name] for name in names[:limit])
    empty: Mapping[str, tuple[Path, ...]] = MappingProxyType({})
    return replace(everything, name="landscape224", truths=truths, rivals=empty, square=LANDSCAPE_SIDE)


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


def network_input(lightness: F32, *, size: int, multiple: int, square: bool = False) -> F32:
    """Return L* (H, W) at `network_size`, as the network sees it: averaged to shrink, bilinear to enlarge.

    ``square`` networks see it squeezed.
    """
    height, width = network_size(*((1, 1) if square else lightness.shape), size=size, multiple=multiple)
    shrinks = height * width < lightness.size
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(lightness, (width, height), interpolation=how), np.float32)


class Colouriser:
    """A model as used by the protocol: L* scaled for the network, its ab upsampled, and joined to the original L*."""

    def __init__(self, network: Network, *, size: int, upsampling: str) -> None:
        """Colour with ``network`` at a short side of ``size`` pixels; ``upsampling`` is a key of `UPSAMPLING`."""
        self._network, self._size = network, size
        self._enlarge = UPSAMPLING[upsampling]

    def chroma(self, lightness: F32) -> F32:
        """Return a* and b*, float32 (H, W, 2), for L* (H, W), 0..100."""
        height, width = lightness.shape
        takes = self._network.spec.size
        seen = network_input(lightness, size=takes.fixed or self._size, multiple=takes.multiple, square=takes.square)
        ab = self._network.predict(np.ascontiguousarray(seen[None, None])).ab[0]
        enlarged = cv2.resize(ab.transpose(1, 2, 0), (width, height), interpolation=self._enlarge)
        return np.asarray(enlarged, np.float32)

    def __call__(self, lightness: F32) -> U8:
        """Return the coloured picture, uint8 RGB (H, W, 3), for L* (H, W), 0..100."""
        return lab_to_rgb(np.concatenate([lightness[..., None], self.chroma(lightness)], axis=-1))


def grey(lightness: F32) -> U8:
    """Return L* (H, W), 0..100, as a grey picture, uint8 RGB (H, W, 3): the colouriser that does nothing."""
    return lab_to_rgb(lightness[..., None] * np.array([1.0, 0.0, 0.0]))


GREY: Mapping[str, Paint] = MappingProxyType({"grey": lambda _, lightness: grey(lightness)})
"""The baseline for all other systems."""


def lightness_of(picture: U8) -> F32:
    """Return L*, float32 (H, W), 0..100, of uint8 RGB (H, W, 3): all that a model gets."""
    return np.asarray(rgb_to_lab(picture)[..., 0], np.float32)


def rival_systems(pictures: EvaluationSet) -> dict[str, Paint]:
    """Return the systems to compare with on a set: grey, and every rival's published results."""

    def published(paths: Sequence[Path]) -> Paint:
        return lambda number, _: read_picture(paths[number])

    return {**GREY, **{rival: published(paths) for rival, paths in pictures.rivals.items()}}


def evaluate(
    pictures: EvaluationSet,
    systems: Mapping[str, Paint],
    *,
    size: int = 256,
    distance: Distance | None = None,
    progress: Progress | None = None,
) -> list[SetScore]:
    """Score every system on every picture of a set.

    A system makes a picture (uint8 RGB of the truth's size) from the picture's number and its true L*. ``size`` is the
    network's short side, at which the detectors work; ``distance`` is LPIPS or None. ``progress`` is called with the
    set's name, the number of pictures done, and their total. Pictures are read, coloured and dropped one by one. Raises
    `EvaluationError` for a picture that cannot be read or whose size differs from its truth.
    """
    scorers = {name: _Scorer(distance) for name in systems}
    for number, path in enumerate(pictures.truths):
        truth = _View.of(pictures.truth(number), size)
        lightness = np.asarray(truth.lab[..., 0], np.float32)
        for name, paint in systems.items():
            picture = paint(number, lightness)
            if picture.shape != truth.rgb.shape:
                where = f"{pictures.name}, {name}: {path.name}"
                raise EvaluationError(f"{where} is {picture.shape}, its truth {truth.rgb.shape}")
            scorers[name].add(path.name, _View.of(picture, size), truth)
        if progress is not None:
            progress(pictures.name, number + 1, len(pictures.truths))
    return [scorer.result(pictures.name, name) for name, scorer in scorers.items()]


@dataclass(frozen=True)
class _View:
    """A picture in the forms that the measures need."""

    rgb: U8
    lab: F64
    seen: F32
    lattice: float
    cf: float

    @classmethod
    def of(cls, rgb: U8, size: int) -> _View:
        lab = rgb_to_lab(rgb)
        seen = at_size(lab, *network_size(*rgb.shape[:2], size=size, multiple=_MULTIPLE))
        return cls(rgb, lab, seen, lattice_power(seen), colourfulness(rgb))


class _Scorer:
    """The scores of one system on one set, accumulated over pictures."""

    def __init__(self, distance: Distance | None) -> None:
        self._distance = distance
        self._rebalanced = RebalancedAuc()
        self._bias = ColourBias()
        self._lattice, self._true_lattice = 0.0, 0.0
        self._pictures: list[PictureScore] = []

    def add(self, name: str, picture: _View, truth: _View) -> None:
        credit = error_credit(picture.lab, truth.lab)
        self._rebalanced.add(credit, truth.lab)
        bias = ColourBias()
        bias.add(picture.lab, truth.lab)
        self._bias.merge(bias)
        self._lattice += picture.lattice
        self._true_lattice += truth.lattice
        self._pictures.append(
            PictureScore(
                name=name,
                psnr_db=min(psnr(picture.rgb, truth.rgb), PSNR_CEILING),
                ciede2000=float(ciede2000(picture.lab, truth.lab).mean()),
                cf=picture.cf,
                cf_truth=truth.cf,
                auc=float(credit.mean()),
                argmax=argmax_agreement(picture.lab, truth.lab),
                lpips=None if self._distance is None else self._distance(picture.rgb, truth.rgb),
                faults=Faults(
                    hue_bias=bias.hue_bias(),
                    shift_a=bias.shift()[0],
                    shift_b=bias.shift()[1],
                    corners=corner_excess(picture.seen, truth.seen),
                    checkerboard=checkerboard(picture.lattice, truth.lattice),
                    sharpness=chroma_sharpness(picture.seen, truth.seen),
                    spill=colour_spill(picture.seen, truth.seen),
                    blotches=blotches(picture.seen, truth.seen),
                ),
            )
        )

    def result(self, set_name: str, system: str) -> SetScore:
        scores = self._pictures
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
            auc_rebalanced=self._rebalanced.value(),
            argmax=_mean(s.argmax for s in scores),
            lpips=_mean_of_known(s.lpips for s in scores),
            faults=self._faults([s.faults for s in scores]),
            pictures=tuple(scores),
        )

    def _faults(self, found: Sequence[Faults]) -> Faults:
        shift_a, shift_b = self._bias.shift()
        return Faults(
            hue_bias=self._bias.hue_bias(),
            shift_a=shift_a,
            shift_b=shift_b,
            corners=_mean(one.corners for one in found),
            checkerboard=checkerboard(self._lattice / len(found), self._true_lattice / len(found)),
            sharpness=_mean_of_known(one.sharpness for one in found),
            spill=_mean_of_known(one.spill for one in found),
            blotches=_mean(one.blotches for one in found),
        )


def _mean(values: Iterable[float]) -> float:
    collected = list(values)
    return math.fsum(collected) / len(collected)


def _mean_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _mean(known) if known else None


def open_model(
    model: str, *, engine: str, device: str = "auto", temperature: float, saturation: float
) -> tuple[Network, tuple[str, ...]]:
    """Return ``model`` as a network, and notes on engines that were passed over.

    ``model`` is the name or path of an exported model, run by the engine ``engine`` on ``device`` as for colouring, or
    a training checkpoint (``*.pt``), run by torch in float32 on the CPU with ``temperature`` and ``saturation``, which
    an exported model has built in. Raises the errors of the engines.
    """
    if Path(model).suffix != CHECKPOINT_SUFFIX:
        opened, choice = open_network(engine, model, setup=Setup(device=device))
        return opened, tuple(f"The engine {name} was skipped: {reason}" for name, reason in choice.rejected)
    try:
        from training.checkpoint import CheckpointEngine
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{model}: a checkpoint needs the Python package {error.name}",
            advice=f"Install {DISTRIBUTION}[train], or evaluate an exported model.",
        ) from error
    return CheckpointEngine(Path(model), temperature=temperature, saturation=saturation), ()
