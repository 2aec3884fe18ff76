"""``colorize-model``: training, its inputs and its output."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pipeline.commands.common_options import Json, LogFile, Verbose
from pipeline.commands.exits import CommandResult, Reporting, carry_out, markup
from pipeline.commands.model import commands
from pipeline.commands.plain_help import PlainCommand
from pipeline.commands.training_progress import TrainingShown, training_shown, working_shown
from pipeline.documents import to_json
from pipeline.errors import MissingDependencyError, UsageError
from pipeline.version import DISTRIBUTION
from pipeline.wording import count

if TYPE_CHECKING:
    from training.config import TrainConfig
    from training.data import CacheReport

__all__ = ["commands"]

_UNLEARNT = 3


@commands.command("config", cls=PlainCommand)
def _config(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of the project's configurations.")] = None,
    json: Json = False,
    log_file: LogFile = None,
    verbose: Verbose = 0,
) -> None:
    """Print a training configuration, to be changed as you like. Without NAME, list the available ones."""

    def action() -> CommandResult:
        from rich.text import Text

        from training.config import config_text, list_configs

        if name is not None:
            text = config_text(name)
            return CommandResult({"name": name, "text": text}, [Text(text.rstrip())])
        found = list_configs()
        lines = [f"[bold]{markup(one)}[/bold]  {markup(about)}" for one, about in found.items()]
        return CommandResult({"configs": found}, lines)

    carry_out(Reporting(json=json, verbosity=verbose, log_file=log_file), action)


@commands.command("backbone", cls=PlainCommand)
def _backbone(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A weights file of torchvision, timm or Keras.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Output file. Default: resnet18.safetensors or vgg16.safetensors here."),
    ] = None,
    json: Json = False,
    log_file: LogFile = None,
    verbose: Verbose = 0,
) -> None:
    """Convert ImageNet weights of ResNet-18 or VGG-16 for train --backbone."""

    def action() -> CommandResult:
        _require_torch()
        from training.backbone import convert_backbone

        made = convert_backbone(file, output)
        lines = [f"[bold green]{markup(made.path)}[/bold green]", f"  {made.encoder}, of {made.origin}'s names"]
        if made.lacking:
            lines.append(f"  [yellow]without {markup(', '.join(made.lacking))}: what needs them begins random[/yellow]")
        if made.ignored:
            shown = ", ".join(made.ignored[:4]) + (", ..." if len(made.ignored) > 4 else "")
            lines.append(f"  left out: {markup(shown)}")
        return CommandResult(to_json(made), lines)

    carry_out(Reporting(json=json, verbosity=verbose, log_file=log_file), action)


@commands.command("train", cls=PlainCommand)
def _train(
    config: Annotated[str, typer.Argument(metavar="CONFIG", help="A TOML file, or a name that config lists.")],
    run: Annotated[Path, typer.Option("--run", help="Folder of checkpoints; an existing run resumes.")],
    photos: Annotated[
        list[Path] | None, typer.Option("--photos", help="A folder or zip file. Repeatable. Not needed to resume.")
    ] = None,
    backbone: Annotated[Path | None, typer.Option(help="ImageNet weights written by backbone.")] = None,
    start_from: Annotated[Path | None, typer.Option(help="Checkpoint of another run to start from.")] = None,
    short_side: Annotated[
        int | None,
        typer.Option(min=64, help="Reduce photos to this shorter side in pixels. Default: CONFIG's crops, or 192."),
    ] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU, if there is one.")] = "auto",
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop with a checkpoint after so many minutes.")] = None,
    total_minutes: Annotated[
        float | None, typer.Option(min=0, help="Train as many steps as fit into so many minutes, instead of CONFIG's.")
    ] = None,
    crops: Annotated[int | None, typer.Option(min=1, help="Number of crops, instead of CONFIG's.")] = None,
    overfit: Annotated[
        int | None, typer.Option(min=2, help="Check that CONFIG can memorise N photos; see docs/training.md.")
    ] = None,
    log_every: Annotated[int, typer.Option(min=1, help="Steps between log lines.")] = 50,
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    tensorboard: Annotated[bool, typer.Option(help="Write curves and pictures for TensorBoard.")] = True,
    json: Json = False,
    log_file: LogFile = None,
    verbose: Verbose = 0,
) -> None:
    """Train a network as CONFIG says. A run that was stopped resumes. Under torchrun, all processes take part."""

    def action() -> CommandResult:
        _require_torch()
        from training.config import find_config, shortened
        from training.config_check import check_config, check_weights
        from training.overfit import STEPS
        from training.photo_zips import open_photos
        from training.train import train
        from training.train_options import TrainOptions

        chosen = find_config(config)
        if crops is not None and total_minutes is not None:
            raise UsageError("--crops and --total-minutes both set the length of the run", advice="Leave out one.")
        if crops is not None and overfit is None:
            chosen = shortened(chosen, crops=crops)
        options = TrainOptions(
            device,
            minutes=minutes,
            total_minutes=total_minutes,
            compile=compiled,
            tensorboard=tensorboard,
            log_every=log_every,
        )
        with training_shown() as shown:
            architecture = check_config(chosen)
            cache = _decoded(photos or [], run, short_side, overfit)
            if cache is None:
                # Checked before photographs are decoded, which may take minutes.
                check_weights(chosen, architecture, backbone=backbone, start_from=start_from)
                cache = _decode(chosen, photos or [], run, short_side, overfit, shown)
            if overfit is not None:
                return _learnt(
                    chosen,
                    photos=open_photos(cache),
                    run=run,
                    count=overfit,
                    steps=STEPS if crops is None else max(1, crops // min(chosen.batch, overfit)),
                    backbone=backbone,
                    start_from=start_from,
                    options=options,
                    watch=shown.progress,
                )
            checkpoint = train(
                chosen,
                photos=cache,
                run=run,
                backbone=backbone,
                start_from=start_from,
                options=options,
                watch=shown.progress,
            )
        there = len(open_photos(cache))
        lines = [
            f"[bold green]{markup(checkpoint)}[/bold green]",
            f"  photographs: {there - chosen.holdout:,} to learn from, {chosen.holdout:,} held out",
        ]
        return CommandResult({"checkpoint": str(checkpoint), "photographs": there, "held_out": chosen.holdout}, lines)

    carry_out(Reporting(json=json, verbosity=verbose, log_file=log_file), action)


@commands.command("export", cls=PlainCommand)
def _export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint of a training run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ONNX file; its card is written beside it.")],
    name: Annotated[str | None, typer.Option(help="Name of the weights.")] = None,
    description: Annotated[str | None, typer.Option(help="A sentence for the card.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the weights, as you state it; results repeat it.")
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Photographs for choosing the next two options. Default: the run's.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Sharpness of the choice of colour bins.")] = None,
    saturation: Annotated[float | None, typer.Option(help="Factor for the colours.")] = None,
    adaptation: Annotated[float, typer.Option(help="How far the factor rises for pale pictures, 0 to 1.")] = 0.0,
    knee: Annotated[float | None, typer.Option(min=0, help="Compress chroma above this value.")] = None,
    cf_share: Annotated[
        float, typer.Option(min=0, max=1, help="Choose both to reach this share of the true colourfulness.")
    ] = 0.95,
    evaluation: Annotated[Path | None, typer.Option(help="Output of evaluate --json for the same export.")] = None,
    json: Json = False,
    log_file: LogFile = None,
    verbose: Verbose = 0,
) -> None:
    """Write a checkpoint as ONNX weights with a card, verified on every runtime here."""

    def action() -> CommandResult:
        _require_torch()
        from training.export import export_command

        with working_shown("reading the checkpoint") as watch:
            done = export_command(
                checkpoint,
                output,
                name=name,
                description=description,
                licence=licence,
                temperature=temperature,
                saturation=saturation,
                adaptation=adaptation,
                knee=knee,
                cf_share=cf_share,
                photos=photos,
                evaluation=evaluation,
                watch=watch,
            )
        lines = [f"[bold green]{markup(done.path)}[/bold green]", f"  card: {markup(done.card_path)}"]
        if done.calibration is not None:
            best = done.calibration.chosen
            found = "" if best.temperature is None else f"temperature {best.temperature:g}, "
            lines.append(
                f"  chosen on {count(done.calibration.photographs, 'photograph')} that the run held out: "
                f"{found}saturation {best.saturation:g}; CIEDE2000 {best.ciede2000:.2f}, "
                f"CF {best.cf:.1f} (truth {done.calibration.cf_truth:.1f})"
            )
        return CommandResult(to_json(done), lines)

    carry_out(Reporting(json=json, verbosity=verbose, log_file=log_file), action)


def _learnt(chosen: TrainConfig, **settings: Any) -> CommandResult:
    from training.overfit import overfit

    done = overfit(chosen, **settings)
    verdict = (
        "learnt by heart" if done.learnt else "NOT learnt by heart: half of grey's error is what it should come to"
    )
    lines = [
        f"[bold {'green' if done.learnt else 'red'}]{verdict}[/bold {'green' if done.learnt else 'red'}]",
        f"  CIEDE2000 {done.reached:.2f} after {done.steps:,} steps, grey {done.grey:.2f}: {markup(done.sheet)}",
    ]
    return CommandResult({**to_json(done), "learnt": done.learnt}, lines, 0 if done.learnt else _UNLEARNT)


def _decoded(sources: list[Path], run: Path, short_side: int | None, enough: int | None) -> Path | None:
    """Return the photographs ready for training, or None if they still have to be decoded."""
    from training.data import check_cache, is_cache
    from training.photo_zips import is_ready

    for folder in sources:
        if is_ready(folder):
            if len(sources) > 1:
                raise UsageError(
                    f"{folder}: is prepared for training, and must be the only source",
                    advice="Name no other photographs.",
                )
            check_cache(folder, sources=None, short_side=short_side, enough=enough)
            if short_side is not None and not is_cache(folder):
                raise UsageError(
                    f"{folder}: is prepared for training, at fixed sizes", advice="Leave out --short-side."
                )
            return folder
    cache = run / "photos"
    if not is_cache(cache):
        return None
    check_cache(cache, sources=sources or None, short_side=short_side, enough=enough)
    return cache


def _decode(
    config: TrainConfig,
    sources: list[Path],
    run: Path,
    short_side: int | None,
    enough: int | None,
    shown: TrainingShown,
) -> Path:
    from training.config_check import check_photo_count
    from training.data import build_cache
    from training.overfit import check_count

    cache = run / "photos"
    if not sources:
        raise UsageError(f"{cache}: no photographs there yet", advice="Name a folder or a zip file: --photos DIR.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            f"{run}: the photographs are not decoded yet, and every process would decode them",
            advice="Run it once without torchrun, with --minutes 0.",
        )
    needed = max(192, config.evaluate_crop, *(stage.crop for stage in config.stages))
    made = not run.exists()

    def accept(report: CacheReport) -> None:
        shown.kept(report)
        if enough is None:
            check_photo_count(config, report.kept)
        else:
            check_count(report.kept, enough)

    try:
        build_cache(
            sources,
            cache,
            short_side=short_side or needed,
            enough=enough,
            watch=shown.decoded,
            accept=accept,
        )
    except BaseException:
        if made and run.exists() and not any(run.iterdir()):
            run.rmdir()
        raise
    shown.starting()
    return cache


def _require_torch() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "onnx", "onnxscript", "safetensors") if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"training needs packages that are not installed: {', '.join(missing)}",
            advice=f"Install them: pip install '{DISTRIBUTION}[train]'",
        )
