"""Choose how saturated a trained network's colours are, on photographs it has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from engines.errors import AutochromeError
from engines.tensors import F32
from training.checkpoint import Trained
from training.cielab_numpy import F64, lab_to_rgb, rgb_to_lab
from training.cielab_torch import rgb_to_lab as batch_to_lab
from training.data import Photos
from training.evaluate import network_input
from training.metrics import ciede2000, colourfulness
from training.quantization import AbBins, ab_bins

TEMPERATURES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
SATURATIONS = (0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0)

# Every third pixel each way: CF and CIEDE2000 are means over pixels, and a ninth of them gives the same result.
_SPARSE = slice(1, None, 3)


class CalibrationError(AutochromeError):
    """No setting in the grid makes the network colourful enough, or there are no photographs to try it on."""

    exit_code = 9


@dataclass(frozen=True)
class CalibrationPoint:
    """The result of one setting: mean colourfulness CF and mean CIEDE2000. A network that outputs ab has no T."""

    temperature: float | None
    saturation: float
    cf: float
    ciede2000: float


@dataclass(frozen=True)
class Calibration:
    """The grid tried on ``photographs`` with mean colourfulness ``cf_truth``, and the chosen setting."""

    photographs: int
    cf_truth: float
    cf_share: float
    chosen: CalibrationPoint
    points: tuple[CalibrationPoint, ...]

    def as_markdown(self) -> str:
        """Return the grid as a Markdown table of CIEDE2000 (CF), one row per temperature."""
        saturations = sorted({point.saturation for point in self.points})
        cells = {(p.temperature, p.saturation): f"{p.ciede2000:.2f} ({p.cf:.1f})" for p in self.points}
        lines = [["T \\ saturation", *(f"{s:g}" for s in saturations)], ["---"] * (len(saturations) + 1)]
        for temperature in dict.fromkeys(point.temperature for point in self.points):
            name = "-" if temperature is None else f"{temperature:g}"
            lines.append([name, *(cells[temperature, s] for s in saturations)])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def calibrate(
    trained: Trained,
    photos: Photos,
    *,
    count: int,
    size: int,
    cf_share: float,
    temperatures: Sequence[float] = TEMPERATURES,
    saturations: Sequence[float] = SATURATIONS,
    watch: Callable[[int], None] = lambda _: None,
) -> Calibration:
    """Choose the setting with the lowest mean CIEDE2000 whose mean CF is at least ``cf_share`` of the truth's.

    Tries the last ``count`` photographs of the cache, which must be among those held out from training; the network
    sees a short side of ``size`` pixels. A network that outputs ab has no temperature to try. ``watch`` receives the
    number of photographs done. Raises `CalibrationError`.
    """
    held_out = min(trained.config.holdout, len(photos))
    if not 1 <= count <= held_out:
        raise CalibrationError(f"calibration needs 1 to {held_out} photographs that training held out, not {count}")
    named = trained.architecture.bins
    bins = None if named is None else ab_bins(named)
    tried = temperatures if bins else (None,)
    cf, error = np.zeros((len(tried), len(saturations))), np.zeros((len(tried), len(saturations)))
    cf_truth = 0.0
    for done, number in enumerate(range(len(photos) - count, len(photos))):
        watch(done)
        truth = photos[number]
        lab = rgb_to_lab(truth)
        output = _predicted(trained, np.asarray(lab[..., 0], np.float32), size)
        seen = lab[_SPARSE, _SPARSE]
        cf_truth += colourfulness(truth[_SPARSE, _SPARSE]) / count
        for row, temperature in enumerate(tried):
            ab = _enlarged(_decoded(output, bins, temperature), lab.shape[:2])[_SPARSE, _SPARSE]
            for column, saturation in enumerate(saturations):
                coloured = lab_to_rgb(np.concatenate([seen[..., :1], ab * saturation], axis=-1))
                cf[row, column] += colourfulness(coloured) / count
                error[row, column] += float(ciede2000(rgb_to_lab(coloured), seen).mean()) / count
    points = tuple(
        CalibrationPoint(temperature, saturation, float(cf[row, column]), float(error[row, column]))
        for row, temperature in enumerate(tried)
        for column, saturation in enumerate(saturations)
    )
    return Calibration(
        photographs=count,
        cf_truth=cf_truth,
        cf_share=cf_share,
        chosen=_choose(points, cf_share * cf_truth),
        points=points,
    )


def _choose(points: Sequence[CalibrationPoint], least_cf: float) -> CalibrationPoint:
    bold = [point for point in points if point.cf >= least_cf]
    if not bold:
        best = max(point.cf for point in points)
        raise CalibrationError(
            f"colourfulness reaches {best:.1f} at most, and {least_cf:.1f} was requested",
            advice="Train longer, ask for a lower share (--cf-share), or state --temperature and --saturation.",
        )
    return min(bold, key=lambda point: (point.ciede2000, math.fabs(point.saturation - 1)))


@torch.inference_mode()
def _predicted(trained: Trained, lightness: F32, size: int) -> Tensor:
    seen = network_input(lightness, size=size, multiple=trained.architecture.multiple)
    output: Tensor = trained.model(torch.from_numpy(seen)[None, None])
    return batch_to_lab(output)[:, 1:] if trained.architecture.rgb else output


def _decoded(output: Tensor, bins: AbBins | None, temperature: float | None) -> Tensor:
    return output if bins is None or temperature is None else bins.decode(output, temperature)


def _enlarged(ab: Tensor, shape: tuple[int, ...]) -> F64:
    planes = ab[0].permute(1, 2, 0).contiguous().numpy()
    return np.asarray(cv2.resize(planes, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), np.float64)
