"""``colorize-model``: weights of the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands.common_options import DeviceOption, EngineName, EngineOption, Json, LogFile, Verbose, Version
from pipeline.commands.exits import CommandResult, Reporting, carry_out, markup
from pipeline.commands.plain_help import PlainCommand, PlainGroup
from pipeline.documents import to_json
from pipeline.errors import UsageError
from pipeline.options import Options
from pipeline.wording import count

if TYPE_CHECKING:
    from engines.library import Listed

commands = typer.Typer(
    add_completion=False, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]}
)


@commands.callback(cls=PlainGroup)
def _weights(version: Version = False) -> None:
    """Networks: list, add, describe, train, evaluate and export them."""


@commands.command("info", cls=PlainCommand)
def _info(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="A name or an ONNX file.")] = Options.model,
    json: Json = False,
    log_file: LogFile = None,
    verbose: Verbose = 0,
) -> None:
    """Show the card of MODEL: what it is, its licence, how it was trained, how it scores."""

    def action() -> CommandResult:
        from engines.library import load_weights

        weights = load_weights(model)
        return CommandResult({"path": str(weights.path), "card": weights.card}, list(_described(weights.card)))

    carry_out(Reporting(json=json, verbosity=verbose, log_file=log_file), action)


@commands.command("add", cls=PlainCommand)
def _add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An ONNX file; see docs/networks.md.")],
    name: Annotated[str | None, typer.Option(help="Name for --model. Default: that of the file.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence of the network, if you know it; results repeat it.")
    ] = None,
    json: Json = False,
    log_file: LogFile = None,
    verbose: Verbose = 0,
) -> None:
    """Copy a network, with a card, into your data folder, so that --model NAME finds it."""

    def action() -> CommandResult:
        from engines.library import add_model

        added = add_model(file, name=name, licence=licence)
        return CommandResult(to_json(added), [f"[bold green]{markup(added.name)}[/bold green]  {_about(added)}"])

    carry_out(Reporting(json=json, verbosity=verbose, log_file=log_file), action)


@commands.command("list", cls=PlainCommand)
def _list(json: Json = False, log_file: LogFile = None, verbose: Verbose = 0) -> None:
    """List the networks that --model knows by name."""

    def action() -> CommandResult:
        from engines.library import list_models

        found = list_models()
        lines = [f"[bold]{markup(one.name)}[/bold]  {_about(one)}" for one in found]
        return CommandResult({"models": to_json(found)}, lines)

    carry_out(Reporting(json=json, verbosity=verbose, log_file=log_file), action)


def _about(listed: Listed) -> str:
    if listed.problem:
        return f"cannot be used: {markup(listed.problem)}"
    origin = "added" if listed.is_added else "installed"
    return markup(f"{listed.network}, licence: {listed.licence}, {origin}, {listed.path}")


_FOR_MACHINES = {"activations", "bins", "config"}
_LONGEST = 16


def _described(card: Mapping[str, object], indent: str = "") -> Iterator[str]:
    """Yield a card's lines: what is simple beside its key, what is nested on lines of its own below it.

    Long lists, the ranges of activations and the whole configuration of a training are for machines: they are counted.
    """
    from rich.markup import escape

    width = max(map(len, card), default=0)
    for key, value in card.items():
        if key in _FOR_MACHINES or (isinstance(value, list) and len(value) > _LONGEST):
            size = len(value) if isinstance(value, dict | list) else 1
            yield f"{indent}[bold]{escape(f'{key:<{width}}')}[/bold]  {count(size, 'value')}: see --json"
        elif isinstance(value, dict) and any(isinstance(inner, dict | list) for inner in value.values()):
            yield f"{indent}[bold]{escape(key)}[/bold]"
            yield from _described(value, indent + "  ")
        else:
            yield f"{indent}[bold]{escape(f'{key:<{width}}')}[/bold]  {escape(_phrase(value))}"


def _phrase(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_phrase(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "; ".join(map(_phrase, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _measured(*names: str, help: str, metavar: str = " ", least: int | None = None) -> Any:
    return typer.Option(*names, help=help, metavar=metavar, min=least)


@commands.command("evaluate", cls=PlainCommand)
def _evaluate(
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help="Names, ONNX files or checkpoints.")],
    sets: Annotated[
        list[Path] | None, _measured("--sets", metavar="DIR", help="A folder of colour photos. Repeatable.")
    ] = None,
    landscapes: Annotated[
        list[Path] | None,
        _measured("--landscapes", metavar="DIR", help="Use the landscapes in this folder, at 224 x 224."),
    ] = None,
    rivals: Annotated[
        bool, _measured("--rivals", help="Also score grey and the results of others in the folders.")
    ] = False,
    limit: Annotated[
        int | None, _measured("--limit", metavar="N", least=1, help="Maximum number of pictures per folder.")
    ] = None,
    lpips: Annotated[Path | None, _measured("--lpips", metavar="FILE", help="Weights of LPIPS (safetensors).")] = None,
    engine: EngineOption = EngineName.AUTO,
    device: DeviceOption = Options.device,
    size: Annotated[
        int, _measured("--size", metavar="PX", least=32, help="Shorter side of the network's input.")
    ] = 256,
    upsampling: Annotated[
        str, _measured("--upsampling", metavar="HOW", help="Upsampling of the colours: linear or cubic.")
    ] = "linear",
    temperature: Annotated[
        float, _measured("--temperature", metavar="T", help="Checkpoints: sharpness of the choice of colours.")
    ] = 0.4,
    saturation: Annotated[
        float, _measured("--saturation", metavar="S", help="Checkpoints: factor for the colours.")
    ] = 1.0,
    sheet: Annotated[Path | None, _measured("--sheet", metavar="PNG", help="Draw the pictures side by side.")] = None,
    worst: Annotated[
        int | None, _measured("--worst", metavar="N", least=1, help="Show only the N largest errors on the sheet.")
    ] = None,
    old: Annotated[
        list[Path] | None, _measured("--old", metavar="DIR", help="Black-and-white photos for the sheet.")
    ] = None,
    markdown: Annotated[bool, _measured("--markdown", help="Print complete tables as Markdown.")] = False,
    json: Json = False,
    log_file: LogFile = None,
    verbose: Verbose = 0,
) -> None:
    """Compare models on the same colour photographs, converted to grey and coloured again."""

    def action() -> CommandResult:
        if not (sets or landscapes or old):
            raise UsageError(
                "there are no photographs to measure on", advice="Name a folder of colour photographs: --sets DIR."
            )
        if sheet is None and (worst or old):
            raise UsageError("--worst and --old need a sheet", advice="Name its file with --sheet PNG.")
        from rich.text import Text

        from pipeline.terminal import error_console
        from training.compare import ModelSettings, SheetPlan, compare_command

        settings = ModelSettings(
            engine=engine,
            device=device,
            size=size,
            upsampling=upsampling,
            temperature=temperature,
            saturation=saturation,
        )
        with error_console().status("Measuring") as status:
            done = compare_command(
                models,
                sets or (),
                landscapes=landscapes or (),
                rivals=rivals,
                limit=limit,
                lpips_weights=lpips,
                settings=settings,
                sheet=None if sheet is None else SheetPlan(output=sheet, worst=worst, old=old or ()),
                progress=lambda name, ready, count: status.update(f"{name}: {ready:,} of {count:,}"),
            )
        report = done.report
        lines = [Text(report.as_markdown())] if markdown else report.for_terminal()
        return CommandResult(
            {**to_json(report), "sheets": to_json(done.sheets)}, [*lines, *map(Text, map(str, done.sheets))]
        )

    carry_out(Reporting(json=json, verbosity=verbose, log_file=log_file), action)
