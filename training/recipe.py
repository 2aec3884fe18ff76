"""From photographs to weights in half an hour on one GPU: ``python -m training.recipe --photos ZIPS --run DIR``.

Photographs are decoded once; training runs in slices that stop cleanly after ``--minutes``, each call resuming the
last; then the weights are split into small files, the network is exported and evaluated, and its card states the
scores. Everything stays in the run's folder, so that repeating the command resumes where it stopped:

python -m training.recipe --photos train-*.zip --run run --backbone resnet18.safetensors --total-minutes 20
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from training.checkpoint import keep_weights
from training.commands import command
from training.compare import ModelSettings, SheetPlan, compare_command
from training.config import CONFIGS, ConfigError, TrainConfig, load_config
from training.config_check import check_photo_count
from training.data import build_cache, check_cache, is_cache
from training.export import RUNTIMES, add_scores, export_command
from training.file_parts import PART_BYTES, split_file
from training.files import check_output
from training.train import CHECKPOINT, train
from training.train_options import TrainOptions

STAGES = ("train", "finish", "export", "evaluate", "pack")
# Share of a final slice's time that is left once the photographs are loaded.
_FINISHING_SHARE = 0.9


@dataclass(frozen=True)
class Workplace:
    """Locations of a recipe's files."""

    run: Path
    config: TrainConfig
    cache: Path

    @property
    def checkpoint(self) -> Path:
        """The training run's checkpoint."""
        return self.run / CHECKPOINT

    @property
    def exported(self) -> Path:
        """The ONNX file."""
        return self.run / f"{self.config.name}.onnx"

    @property
    def weights(self) -> Path:
        """The averaged weights alone, a checkpoint for evaluation, export and further training."""
        return self.run / f"{self.config.name}-weights.pt"

    @property
    def written(self) -> tuple[Path, ...]:
        """The files that are always written again."""
        names = ("calibration.md", "evaluation.png", "evaluation.json", "evaluation.md")
        return (self.weights, self.exported, self.exported.with_suffix(".json"), *(self.run / name for name in names))


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the stages named on the command line, or all that are due."""
    args = _parser().parse_args(arguments)
    config = load_config(args.config)
    place = Workplace(run=args.run, config=config, cache=args.cache or args.run / "photos")
    check_output(place.run, [*args.photos, *args.sets])
    for path in place.written:
        check_output(path, [one for one in (*args.photos, args.backbone, args.start_from, args.lpips) if one])
    if args.stage in (None, "train", "finish"):
        _train(place, args)
    everything = args.stage is None and _finished(place)
    if args.stage in ("pack", "export") or everything:
        keep_weights(place.checkpoint, place.weights)
    # First what cost the most: whatever fails later, the weights can be saved.
    if args.stage == "pack" or everything:
        _pack(place, place.weights)
        if args.whole:
            _pack(place, place.checkpoint)
    if args.stage == "export" or everything:
        _export(place, args)
        _pack(place, place.exported)
    if args.stage == "evaluate" or (everything and args.sets):
        _evaluate(place, args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.recipe", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--config", type=Path, default=CONFIGS / "fine.toml")
    add("--run", type=Path, required=True, help="folder of everything that is made")
    add("--stage", choices=STAGES, help="only this; finish: let the rate fall to zero within --minutes")
    add("--photos", type=Path, nargs="+", default=[], help="zip files or folders; decoded at the first call")
    add("--cache", type=Path, help="folder of the decoded photographs, on a fast disk (default: RUN/photos)")
    add("--short-side", type=int, default=256, help="photographs are reduced to so many pixels")
    add("--limit", type=int, help="take the first so many photographs")
    add("--minutes", type=float, default=9.0, help="longest slice, decoding and start-up included")
    add("--total-minutes", type=float, help="fix the run's steps by the clock: this long in all slices")
    add("--pace-seconds", type=float, default=60.0, help="how long steps are timed for --total-minutes")
    add("--backbone", type=Path, help="ImageNet weights of the encoder (safetensors)")
    add("--start-from", type=Path, help="another run's checkpoint to begin with")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add("--compile", action="store_true", help="use torch.compile")
    add("--no-tensorboard", action="store_true", help="write log.jsonl alone")
    add("--licence", help="of the weights, as you state it")
    add("--temperature", type=float, help="with --saturation: do not calibrate")
    add("--saturation", type=float)
    add("--calibration-photos", type=int, default=100)
    add("--cf-share", type=float, default=0.95, help="colourfulness to reach, as a share of the truth's")
    add("--size", type=int, default=256, help="short side that the network sees when it is calibrated and measured")
    add("--runtimes", nargs="+", choices=list(RUNTIMES), default=list(RUNTIMES), help="that check the export")
    add("--sets", type=Path, nargs="+", default=[], help="evaluation folders")
    add("--lpips", type=Path, help="weights of LPIPS (safetensors)")
    add("--whole", action="store_true", help="pack the whole checkpoint, too")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stdout.flush()


def _train(place: Workplace, args: argparse.Namespace) -> None:
    began = time.monotonic()
    if not is_cache(place.cache):
        if not args.photos:
            raise ConfigError(f"{place.cache}: no decoded photographs there", advice="Give --photos.")
        report = build_cache(
            args.photos,
            place.cache,
            short_side=args.short_side,
            limit=args.limit,
            accept=lambda report: check_photo_count(place.config, report.kept),
        )
        _say(f"decoded in {time.monotonic() - began:.0f} s: {report}")
    else:
        check_cache(place.cache, sources=args.photos or None, short_side=None, enough=None)
    if args.stage is None and place.checkpoint.exists() and _finished(place):
        return
    options = TrainOptions(
        device=args.device,
        minutes=args.minutes - (time.monotonic() - began) / 60,
        total_minutes=args.total_minutes,
        finish_minutes=_FINISHING_SHARE * args.minutes if args.stage == "finish" else None,
        pace_seconds=args.pace_seconds,
        compile=args.compile,
        tensorboard=not args.no_tensorboard,
    )
    train(
        place.config,
        photos=place.cache,
        run=place.run,
        backbone=args.backbone,
        start_from=args.start_from,
        options=options,
    )
    step, steps, seconds = _progress(place)
    _say(f"step {step} of {steps or 'a number not yet fixed'}, {seconds / 60:.1f} minutes of training")
    if not _finished(place):
        _say("not finished: say the same again, or --stage finish")


def _progress(place: Workplace) -> tuple[int, int | None, float]:
    state = torch.load(place.checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return state["step"], state["plan"]["steps"], state["seconds"]


def _finished(place: Workplace) -> bool:
    step, steps, _ = _progress(place)
    return steps is not None and step >= steps


def _export(place: Workplace, args: argparse.Namespace) -> None:
    began = time.monotonic()
    done = export_command(
        place.weights,
        place.exported,
        licence=args.licence,
        temperature=args.temperature,
        saturation=args.saturation,
        photos=place.cache,
        calibration_photos=args.calibration_photos,
        calibration_size=args.size,
        cf_share=args.cf_share,
        runtimes=args.runtimes,
    )
    if done.calibration is not None:
        (place.run / "calibration.md").write_text(done.calibration.as_markdown(), encoding="utf-8")
    differences = ", ".join(f"{one.runtime} {one.mean:.4f}" for one in done.parity)
    setting = f"T {done.card['temperature']}, saturation {done.card['saturation']}"
    _say(f"exported in {time.monotonic() - began:.0f} s: {setting}; mean difference of ab: {differences}")


def _evaluate(place: Workplace, args: argparse.Namespace) -> None:
    began = time.monotonic()
    settings = ModelSettings(size=args.size)
    sheet = SheetPlan(output=place.run / "evaluation.png")
    found = compare_command(
        [str(place.exported)], args.sets, settings=settings, rivals=True, lpips_weights=args.lpips, sheet=sheet
    )
    report = place.run / "evaluation.json"
    report.write_text(found.report.as_json(), encoding="utf-8")
    (place.run / "evaluation.md").write_text(found.report.as_markdown(), encoding="utf-8")
    add_scores(place.exported, report)
    _say(f"measured in {time.monotonic() - began:.0f} s\n{found.report.as_markdown()}")


def _pack(place: Workplace, path: Path) -> None:
    parts = split_file(path, place.run / "parts")
    _say(f"{path.name}: {len(parts) - 1} parts of at most {PART_BYTES >> 20} MiB, list {parts[-1]}")


if __name__ == "__main__":
    raise SystemExit(main())
