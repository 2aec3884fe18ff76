"""Train the tone network: ``python -m training.tone.train PHOTOS... --prints A --old B --backbone FILE -o tone.onnx``.

PHOTOS are folders or zip files of photographs in colour; half of them, by their names, is never used. The folders after
``--prints`` hold scans of real prints in one tone, those after ``--old`` old photographs in colour
(``benchmarks/old_photographs.csv`` lists those used for the network in the package). ``--backbone`` is a file of
ImageNet weights for MobileNetV2 whose convolutions with a stride pad below and to the right, as TensorFlow's do.
``--start-from`` continues from the ``.pt`` file that every run leaves beside its ONNX file and card.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from engines.errors import EngineError, WeightsError
from engines.tensors import F32
from engines.tone_network import INPUT, OUTPUT, SIDE, ToneNetwork
from training.card import publishing, write_card
from training.commands import command
from training.files import UNREADABLE, check_output, check_place, reason, replacing
from training.onnx_graph import to_fixed_onnx
from training.tone.gather import gathered
from training.tone.network import ToneClassifier
from training.tone.samples import Pictures, sample

BATCH = 64
_FROZEN = 4  # first blocks, which see edges and colours: half of a step's time
_RATE, _HEAD_RATE, _DECAY = 4e-4, 2e-3, 0.02
_RISING, _LEAST_RISING = 0.1, 2  # share of the steps in which the rate rises, and their least number
_SMOOTHING = 0.02  # of labels
_REPORTED = 100
_TOLERANCE = 0.1  # of log odds: half-precision weights
_PROBES = 8


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How long to train, at which rate compared with the usual one, and with which random numbers."""

    steps: int
    rate: float = 1.0
    seed: int = 0


def train(network: ToneClassifier, pictures: Pictures, plan: Plan) -> None:
    """Train ``network``, with AdamW and one cycle of the learning rate (Smith and Topin 2018)."""
    torch.manual_seed(plan.seed)
    frozen, rest = network.features[:_FROZEN], network.features[_FROZEN:]
    frozen.requires_grad_(False)
    rates = [plan.rate * _RATE, plan.rate * _HEAD_RATE]
    trained = [[*rest.parameters()], [*network.head.parameters(), *network.out.parameters()]]
    optimiser = torch.optim.AdamW([{"params": group} for group in trained], weight_decay=_DECAY)
    schedule = one_cycle(optimiser, rates, plan.steps)
    batches = iter(DataLoader(_Samples(pictures, plan.seed), batch_size=BATCH, num_workers=1))
    network.train()
    frozen.eval()
    total = 0.0
    for step in range(1, plan.steps + 1):
        batch, is_coloured = next(batches)
        odds = network(batch.contiguous(memory_format=torch.channels_last)).flatten()
        target = is_coloured * (1 - 2 * _SMOOTHING) + _SMOOTHING
        loss: Tensor = nn.functional.binary_cross_entropy_with_logits(odds, target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        total += loss.item()
        if step % _REPORTED == 0:
            sys.stdout.write(f"step {step:,} of {plan.steps:,}: loss {total / _REPORTED:.3f}\n")
            sys.stdout.flush()
            total = 0.0
    network.eval()


def one_cycle(optimiser: Optimizer, rates: list[float], steps: int) -> LRScheduler:
    """Return a schedule of ``steps`` in which the rates of the groups rise to ``rates`` and fall."""
    total_steps = steps + 1
    rising = max(_RISING, _LEAST_RISING / total_steps)
    return OneCycleLR(optimiser, rates, total_steps=total_steps, pct_start=rising)


def export(network: ToneClassifier, output: Path, *, about: dict[str, object]) -> None:
    """Write ``output`` (ONNX), its card with ``about``, and the weights with suffix ``.pt``.

    Raises `EngineError` if the ONNX file's log odds differ from the network's: then only ``.pt`` is written; and
    `WriteError`.
    """
    network.eval()
    with replacing(output.with_suffix(".pt")) as partial:
        torch.save(network.state_dict(), partial)
    content = to_fixed_onnx(network, torch.zeros(1, 3, SIDE, SIDE), takes=INPUT, returns=OUTPUT)
    card = {
        "name": output.stem,
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Apache-2.0",
        "description": "Tells photographs in colour from prints in one tone. MobileNetV2 up to stride 16.",
        "parameters": sum(one.numel() for one in network.parameters()),
        **about,
    }
    with publishing(output) as made:
        made.write_bytes(content)
        write_card(made, card)
        if not _greatest_difference(network, ToneNetwork(made)) <= _TOLERANCE:
            raise EngineError(
                f"{output}: its log odds differ from the trained network's",
                advice="Continue from the .pt file beside it, at a lower --rate.",
            )


def _greatest_difference(network: ToneClassifier, exported: ToneNetwork) -> float:
    """Return the greatest difference of their log odds for random pictures; NaN if one is no number."""
    probes = np.random.default_rng(0).random((_PROBES, SIDE, SIDE, 3), np.float32)
    with torch.no_grad():
        both = network(torch.from_numpy(np.concatenate([probes, probes[:, :, ::-1]])).permute(0, 3, 1, 2))
    own = both.numpy().reshape(2, _PROBES).mean(axis=0)
    return float(np.max(np.abs(own - [exported.log_odds(probe) for probe in probes])))


class _Samples(IterableDataset[tuple[F32, np.float32]]):
    def __init__(self, pictures: Pictures, seed: int) -> None:
        self._pictures = pictures
        self._seed = seed

    def __iter__(self) -> Iterator[tuple[F32, np.float32]]:
        worker = get_worker_info()
        draw = random.Random(f"{self._seed} {0 if worker is None else worker.id}")
        while True:
            picture, is_coloured = sample(self._pictures, draw)
            yield picture, np.float32(is_coloured)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Gather, train and export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTOS", help="colour photographs: folders, zip files")
    parser.add_argument("--prints", nargs="*", type=Path, default=[], metavar="FOLDER", help="real prints in one tone")
    parser.add_argument("--old", nargs="*", type=Path, default=[], metavar="FOLDER", help="old photographs in colour")
    start = parser.add_mutually_exclusive_group(required=True)
    start.add_argument("--backbone", type=Path, metavar="FILE", help="safetensors with torchvision's names")
    start.add_argument("--start-from", type=Path, metavar="FILE", help="a .pt file of an earlier run")
    parser.add_argument("--most", type=int, metavar="N", help="so many photographs, chosen by hash; default all")
    parser.add_argument("--steps", type=int, default=3000, help=f"of {BATCH} pictures; default %(default)s")
    parser.add_argument("--rate", type=float, default=1.0, help="learning rate compared with the usual one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="tone.onnx")
    options = parser.parse_args(arguments)
    if options.steps < 1 or (options.most is not None and options.most < 1) or options.rate < 0:
        parser.error("--steps and --most must be at least 1, and --rate at least 0")
    if options.output.suffix != ".onnx":
        raise WeightsError(f"{options.output}: the name must end in .onnx")
    check_output(options.output, [*options.photos, *options.prints, *options.old])
    check_place(options.output)
    network = ToneClassifier()
    if options.backbone is not None:
        _load_backbone(network, options.backbone)
    else:
        _load(network, options.start_from)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pictures = gathered(options.photos, options.prints, options.old, most=options.most)
    about: dict[str, object] = {
        "photographs": len(pictures.hard) + len(pictures.plain),
        "made_prints": len(pictures.made),
        "real_prints": len(pictures.real_prints),
        "old_colour": len(pictures.real_colour),
        "samples": BATCH * options.steps,
        "seed": options.seed,
    }
    sys.stdout.write(f"{', '.join(f'{key} {value:,}' for key, value in about.items())}\n")
    train(network, pictures, Plan(steps=options.steps, rate=options.rate, seed=options.seed))
    export(network, options.output, about=about)


def _load_backbone(network: ToneClassifier, path: Path) -> None:
    try:
        network.load_imagenet(load_file(path))
    except (*UNREADABLE, SafetensorError) as error:
        raise WeightsError(
            f"{path}: not MobileNetV2's ImageNet weights: {reason(error)}",
            advice="Give a safetensors file with torchvision's names.",
        ) from error


def _load(network: ToneClassifier, path: Path) -> None:
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except UNREADABLE as error:
        raise WeightsError(
            f"{path}: not the weights of a tone network: {reason(error)}",
            advice="Give the .pt file that an earlier run left beside its ONNX file.",
        ) from error


if __name__ == "__main__":
    sys.exit(main())
