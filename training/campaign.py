r"""Run a long training: ``python -m training.campaign --photos DIR --output DIR`` starts or resumes.

Photographs are JPEG in zip files. Repeating the command resumes the run's checkpoint exactly; on another machine,
without the run's folder, it starts from the weights of ``--start-from``, the last export that was kept. On CPUs several
processes with one thread each are faster than one with several threads, above all beside other work:

    OMP_NUM_THREADS=1 nice -n 19 python -m torch.distributed.run --standalone --nproc-per-node 2 \
        -m training.campaign --config training/configs/coherent-next.toml --photos photos --output runs/coherent-next \
        --start-from engines/models/fast.onnx
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from training.commands import command
from training.config import CONFIGS, load_config
from training.photo_zips import INDEX, index_zips
from training.train import CHECKPOINT, train
from training.train_options import TrainOptions


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Train as given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.campaign", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--config", type=Path, default=CONFIGS / "coherent.toml")
    add("--photos", type=Path, required=True, help="folder of zip files of JPEG; an index is made at the first call")
    add("--output", type=Path, required=True, help="folder of everything that is made")
    add("--start-from", type=Path, help="checkpoint or exported network (*.onnx) that a new run begins with")
    add("--backbone", type=Path, help="ImageNet weights of the encoder, or of a pretrained discriminator")
    add("--minutes", type=float, help="stop with a checkpoint after so long")
    args = parser.parse_args(arguments)
    _index(args.photos)
    # Initial weights are irrelevant to a resumed run.
    start_from = None if (args.output / CHECKPOINT).exists() else args.start_from
    train(
        load_config(args.config),
        photos=args.photos,
        run=args.output,
        backbone=args.backbone,
        start_from=start_from,
        options=TrainOptions(device="cpu", minutes=args.minutes, tensorboard=False),
    )


def _index(photos: Path) -> None:
    if os.environ.get("RANK", "0") == "0" and not (photos / INDEX).exists():
        sys.stderr.write(f"photographs: {index_zips(photos)}\n")
    while not (photos / INDEX).exists():
        time.sleep(1)


if __name__ == "__main__":
    raise SystemExit(main())
