"""Evaluate a run in progress: held-out photographs, coloured, measured and drawn as a sheet."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from training.architectures import ARCHITECTURES
from training.cielab_numpy import U8, lab_to_rgb, rgb_to_lab
from training.cielab_torch import rgb_to_lab as batch_to_lab
from training.config import TrainConfig
from training.data import Photos, middle_crop
from training.degrade.lines import line_art
from training.device import Machine
from training.evaluate import grey
from training.losses import ColourLoss
from training.metrics import ciede2000, colourfulness
from training.quantization import AbBins
from training.sheets import Strip, save_sheet

SAMPLES = "samples"
# Zhang 2016's choice: between the mean, which is pale, and the likeliest bin, which is patchy.
TEMPERATURE = 0.38
_BATCH = 16
_ACROSS = 3
_DRAWN = 48
# Every second pixel each way gives the same mean over pixels.
_SPARSE = slice(None, None, 2)


class HeldOut:
    """The last photographs of a cache, middle squares at the size of the run's crops."""

    def __init__(
        self, cache: Photos, config: TrainConfig, machine: Machine, *, bins: AbBins | None, stride: int
    ) -> None:
        """Use the last ``config.evaluate_photos``.

        ``bins`` decode a network that classifies; None: it outputs ab.
        """
        numbers = range(len(cache) - config.evaluate_photos, len(cache))
        self._truths = [middle_crop(cache[number], config.evaluate_crop or config.crop) for number in numbers]
        self._machine, self._bins, self._stride = machine, bins, stride
        self._rgb, self._drawn = ARCHITECTURES[config.architecture].rgb, config.line_art_share > 0

    @torch.no_grad()
    def __call__(self, model: nn.Module, loss: ColourLoss, sheet: Path) -> dict[str, float]:
        """Colour with ``model``, in evaluation mode; write ``sheet`` (PNG) and return the measures.

        They are the loss on clean L*, mean CIEDE2000, and mean colourfulness beside the truth's. Logits are decoded at
        temperature 0.38; of RGB only ab is used, with the given L*. A run that learns line art is shown lines, and its
        RGB is measured whole.
        """
        losses: list[float] = []
        greys: list[U8] = []
        coloured: list[U8] = []
        for first in range(0, len(self._truths), _BATCH):
            truths = np.stack(self._truths[first : first + _BATCH]).transpose(0, 3, 1, 2)
            rgb = torch.from_numpy(truths).to(self._machine.device).float() / 255
            lab = batch_to_lab(rgb)
            seen = line_art(lab[:, :1]) if self._drawn else lab[:, :1]
            with self._machine.autocast():
                output = model(seen).float()
            terms, ab = loss(output, F.avg_pool2d(lab[:, 1:], self._stride), rgb if self._rgb else None)
            losses.append(math.fsum(float(term) for term in terms.values()) * len(truths))
            if self._bins is not None:
                ab = self._bins.decode(output, TEMPERATURE)
            ab = F.interpolate(ab, size=lab.shape[2:], mode="bilinear", align_corners=False)
            greys += [grey(one) for one in seen[: _DRAWN - len(greys), 0].cpu().numpy()]
            if self._drawn:
                coloured += list(np.asarray((255 * output).round().permute(0, 2, 3, 1).cpu().numpy(), np.uint8))
            else:
                predicted = torch.cat([lab[:, :1], ab], dim=1).permute(0, 2, 3, 1).cpu().numpy()
                coloured += [lab_to_rgb(one) for one in predicted]
        _draw(greys, coloured[:_DRAWN], self._truths[:_DRAWN], sheet)
        scores = np.mean([_score(*pair) for pair in zip(coloured, self._truths, strict=True)], axis=0)
        names = ("held_out/ciede2000", "held_out/cf", "held_out/cf_truth")
        return {
            "held_out/loss": math.fsum(losses) / len(self._truths),
            **dict(zip(names, scores.tolist(), strict=True)),
        }


def _score(picture: U8, truth: U8) -> tuple[float, float, float]:
    picture, truth = picture[_SPARSE, _SPARSE], truth[_SPARSE, _SPARSE]
    error = ciede2000(rgb_to_lab(picture), rgb_to_lab(truth))
    return float(error.mean()), colourfulness(picture), colourfulness(truth)


def _draw(greys: list[U8], coloured: list[U8], truths: list[U8], sheet: Path) -> None:
    strips = []
    for number, (plain, picture, truth) in enumerate(zip(greys, coloured, truths, strict=True)):
        strips.append(Strip((plain, picture, truth), (f"{number}", "coloured", "truth")))
    save_sheet(strips, sheet, across=_ACROSS)
