"""The commands: parse, show progress, turn results and errors into words and exit codes. No logic of pictures here."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer


def _check_siblings() -> None:
    # Other distributions use these names too, and pip overwrites or shadows without a word (docs/adr/0001).
    for name in ("pipeline", "engines", "training"):
        package = importlib.import_module(name)
        folder = Path(package.__file__ or "").resolve().parent.parent
        if getattr(package, "DISTRIBUTION", "") != "autochrome" or folder != Path(__file__).resolve().parent:
            sys.stderr.write(
                f"Error: the Python package {name!r} in {folder} is not Autochrome's.\n"
                "  Another package of that name is installed beside it. Give Autochrome an environment of its own:\n"
                "  pipx install autochrome, uv tool install autochrome, or a fresh virtual environment.\n"
            )
            raise SystemExit(8)


_check_siblings()

from pipeline.command import Answer, Manner, carry_out, error_document  # noqa: E402
from pipeline.documents import as_json, plain  # noqa: E402
from pipeline.errors import InputError, MissingDependencyError, UsageError  # noqa: E402 - only after the check
from pipeline.options import Codec, OnDamage, Options, Quality, Tone, TreatAs  # noqa: E402


class EngineName(StrEnum):
    """Runtimes that ``--engine`` takes."""

    AUTO = "auto"
    OPENVINO = "openvino"
    ONNXRUNTIME = "onnxruntime"
    TORCH = "torch"
    TENSORRT = "tensorrt"


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"autochrome {version('autochrome')}")
        except PackageNotFoundError:
            typer.echo("autochrome, not installed: run from its source folder")
        raise typer.Exit


def _folded(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


_FILM_HELP = _folded("""
    Colour a black-and-white film, and change nothing else about it.

    The result is written beside the film: FILM.colorized.mp4, or as its container asks. Sound, subtitles, chapters
    and timing are kept. The film itself is never touched.
""")
_ARCHIVE_HELP = _folded("""
    Colour every black-and-white photograph and film of a folder and of the folders in it.

    The results go to DIR-colorized, in the same tree. What is there already is skipped, so the command can be run
    again and again. A file that cannot be coloured is named at the end and stops nothing.
""")
_EXIT_CODES = _folded("""
    Exit codes: 0 all done; 2 usage; 3 finished, but some items failed; 4 input unusable; 5 output or disk; 6 engine;
    7 verification failed; 8 a dependency is missing; 9 weights or configuration; 130, 143 interrupted.
""")


def _work(*names: str, says: str, metavar: str = " ") -> Any:
    return typer.Option(*names, help=says, metavar=metavar, rich_help_panel="The result")


def _screen(*names: str, says: str) -> Any:
    return typer.Option(*names, help=says, metavar=" ", rich_help_panel="What is said")


_FILM = "A black-and-white film, or a folder of numbered pictures."
_ENGINES = "auto (the fastest here), openvino, onnxruntime, torch or tensorrt."
_CODECS = "For films: auto, h264, hevc, av1, ffv1 or prores."
_QUALITIES = "access (looks the same, plays everywhere) or master (lossless)."
Output = Annotated[Path | None, _work("--output", "-o", metavar="PATH", says="Where the result goes.")]
EngineOption = Annotated[EngineName, _work("--engine", metavar="ENGINE", says=_ENGINES)]
ModelOption = Annotated[str, _work("--model", metavar="NAME|PATH", says="Weights: a name or an ONNX file.")]
CodecOption = Annotated[Codec, _work("--codec", metavar="CODEC", says=_CODECS)]
QualityOption = Annotated[Quality, _work("--quality", metavar="QUALITY", says=_QUALITIES)]
Every = Annotated[
    str, _work("--every", metavar="auto|N", says="For films: the network sees each N-th frame, or as motion asks.")
]
ToneOption = Annotated[
    Tone, _work("--tone", metavar="TONE", says="For tinted films: neutralise (colour replaces the tint) or keep.")
]
TreatAsOption = Annotated[
    TreatAs, _work("--treat-as", metavar="WHAT", says="For films: auto, monochrome, tinted or colour.")
]
OnDamageOption = Annotated[
    OnDamage, _work("--on-damage", metavar="WHAT", says="For films: fail, or conceal damaged frames and name them.")
]
Deinterlace = Annotated[bool, _work("--deinterlace", says="For interlaced films: write whole pictures.")]
Verify = Annotated[bool, _work("--verify", says="For films: compare all luma with the source's and show the proof.")]
Fps = Annotated[str | None, _work("--fps", metavar="RATE", says="For a folder of pictures: 24, 23.976, ...")]
Overwrite = Annotated[bool, _work("--overwrite", says="Replace results that exist.")]
DryRun = Annotated[bool, _work("--dry-run", says="Say what would be done; write nothing.")]
Json = Annotated[bool, _screen("--json", says="One JSON document on standard output.")]
Verbose = Annotated[bool, _screen("--verbose", "-v", says="Show where errors arise.")]
Quiet = Annotated[bool, _screen("--quiet", "-q", says="Say nothing but errors.")]
Version = Annotated[
    bool, typer.Option("--version", metavar=" ", help="Show the version.", callback=_show_version, is_eager=True)
]

_video = typer.Typer(add_completion=False)
_archive = typer.Typer(add_completion=False)
_model = typer.Typer(add_completion=False, no_args_is_help=True)


@_video.command(help=_FILM_HELP, epilog=_EXIT_CODES)
def _colorize_video(
    film: Annotated[Path, typer.Argument(metavar="FILM", help=_FILM, show_default=False)],
    output: Output = None,
    engine: EngineOption = EngineName.AUTO,
    model: ModelOption = "fast",
    codec: CodecOption = Codec.AUTO,
    quality: QualityOption = Quality.ACCESS,
    fps: Fps = None,
    every: Every = "1",
    tone: ToneOption = Tone.NEUTRALISE,
    treat_as: TreatAsOption = TreatAs.AUTO,
    deinterlace: Deinterlace = False,
    on_damage: OnDamageOption = OnDamage.FAIL,
    verify: Verify = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    version: Version = False,  # noqa: ARG001 - handled by its callback
) -> None:
    manner = Manner(json=json, verbose=verbose, quiet=quiet)

    def action() -> Answer:
        from pipeline.media.sequence import parse_rate
        from pipeline.video import default_output

        if not film.exists():
            raise InputError(f"{film}: no such file", advice="Check the path.")
        rate = None if fps is None else parse_rate(fps)
        options = Options(
            engine=engine,
            model=model,
            codec=codec,
            quality=quality,
            overwrite=overwrite,
            frame_rate=rate,
            every=_every(every),
            tone=tone,
            treat_as=treat_as,
            deinterlace=deinterlace,
            on_damage=on_damage,
            verify=verify,
        )
        target = output or default_output(film, options)
        return _plan_film(film, target, options) if dry_run else _film(film, target, options, manner)

    carry_out(manner, action)


@_archive.command(help=_ARCHIVE_HELP, epilog=_EXIT_CODES)
def _colorize_archive(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of scans and films.", show_default=False)],
    output: Output = None,
    engine: EngineOption = EngineName.AUTO,
    model: ModelOption = "fast",
    codec: CodecOption = Codec.AUTO,
    quality: QualityOption = Quality.ACCESS,
    every: Every = "1",
    tone: ToneOption = Tone.NEUTRALISE,
    treat_as: TreatAsOption = TreatAs.AUTO,
    deinterlace: Deinterlace = False,
    on_damage: OnDamageOption = OnDamage.FAIL,
    verify: Verify = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    json: Json = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    version: Version = False,  # noqa: ARG001 - handled by its callback
) -> None:
    manner = Manner(json=json, verbose=verbose, quiet=quiet)

    def action() -> Answer:
        options = Options(
            engine=engine,
            model=model,
            codec=codec,
            quality=quality,
            overwrite=overwrite,
            every=_every(every),
            tone=tone,
            treat_as=treat_as,
            deinterlace=deinterlace,
            on_damage=on_damage,
            verify=verify,
        )
        return _plan_archive(folder, output, options) if dry_run else _whole_archive(folder, output, options, manner)

    carry_out(manner, action)


def _every(text: str) -> int | None:
    if text == "auto":
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UsageError(f"--every {text}: neither auto nor a number from 1 on", advice="Try --every auto.")


def _film(film: Path, target: Path, options: Options, manner: Manner) -> Answer:
    from pipeline.color.painter import open_painter
    from pipeline.terminal import error_console, shown
    from pipeline.video import colorize_video

    with (
        shown(error_console(), quiet=manner.quiet) as progress,
        open_painter(options, progress=progress) as painter,
    ):
        result = colorize_video(film, target, options, painter=painter, progress=progress)
    lines = [f"[bold green]{result.output}[/bold green]", f"  {'; '.join((result.codec, *result.streams))}"]
    if options.verify:
        lines += [f"  {line}" for line in result.verification.lines()]
    return Answer(plain(result), lines)


def _plan_film(film: Path, target: Path, options: Options) -> Answer:
    from pipeline.media.probe import probe

    info = probe(film, rate=options.frame_rate)
    exists = target.exists()
    frames = f"{info.frame_count} frames" if info.frame_count is not None else "an unknown number of frames"
    beside = ", ".join(f"{stream.type} {stream.codec} {stream.language}".rstrip() for stream in info.streams)
    lines = [
        f"{film}: {info.width} x {info.height}, {info.codec}, {frames}",
        f"  besides the picture: {beside or 'nothing'}",
        f"  the result would be {target}, codec {options.codec}, quality {options.quality}",
    ]
    if exists:
        lines.append("  which exists: " + ("it would be replaced" if options.overwrite else "nothing would be done"))
    document = {"dry_run": True, "source": film, "output": target, "exists": exists, "frames": info.frame_count}
    return Answer(plain(document), lines)


def _whole_archive(folder: Path, output: Path | None, options: Options, manner: Manner) -> Answer:
    from pipeline.archive.run import colorize_archive
    from pipeline.terminal import count, duration, error_console, shown

    with shown(error_console(), quiet=manner.quiet, root=folder) as progress:
        result = colorize_archive(folder, output, options, progress=progress)
    films = sum(item["kind"] == "film" for item in map(plain, result.results))
    photos = len(result.results) - films
    lines = [
        f"[bold green]{result.output}[/bold green]",
        f"  {count(photos, 'photo')} and {count(films, 'film')} coloured in {duration(result.seconds)}; "
        f"{result.skipped:,} done before, {count(result.ignored, 'other file')} ignored",
    ]
    return Answer(plain(result), lines, exit_code=3 if result.failures else 0, failures=result.failures)


def _plan_archive(folder: Path, output: Path | None, options: Options) -> Answer:
    from pipeline.archive.run import survey_archive
    from pipeline.terminal import count

    survey = survey_archive(folder, output, options)
    lines = [
        f"{folder}: {count(survey.photos, 'photo')} and {count(survey.films, 'film')} to colour, into {survey.output}",
        f"  {survey.skipped:,} done before, {count(survey.ignored, 'other file')} ignored",
        *(f"  set aside: {path}" for path in survey.set_aside),
    ]
    document = {"dry_run": True, **plain(survey)}
    return Answer(document, lines, exit_code=3 if survey.failures else 0, failures=survey.failures)


@_model.callback()
def _weights(version: Version = False) -> None:
    """Weights of the network: describe, train, evaluate, export."""


@_model.command("info")
def _info(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="A name or an ONNX file.")] = "fast",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Show the card of MODEL: what it is, its licence, how it was trained, what it scores."""

    def action() -> Answer:
        from engines.weights import load_weights

        weights = load_weights(model)
        return Answer({"path": str(weights.path), "card": weights.card}, list(_described(weights.card)))

    carry_out(Manner(json=json, verbose=verbose), action)


def _described(card: Mapping[str, object], indent: str = "") -> Iterator[str]:
    """Yield a card's lines: what is simple beside its key, what is nested on lines of its own below it."""
    from rich.markup import escape

    width = max(map(len, card), default=0)
    for key, value in card.items():
        if isinstance(value, dict) and any(isinstance(inner, dict | list) for inner in value.values()):
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


@_model.command("train")
def _train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file, as in training/configs.")],
    photos: Annotated[list[Path], typer.Option("--photos", help="A folder or zip file; can be repeated.")],
    run: Annotated[Path, typer.Option("--run", help="Folder of checkpoints; what is there goes on.")],
    backbone: Annotated[Path | None, typer.Option(help="ImageNet weights of the encoder (safetensors).")] = None,
    start_from: Annotated[Path | None, typer.Option(help="Another run's checkpoint to begin with.")] = None,
    short_side: Annotated[int, typer.Option(min=64, help="Photos are reduced to so many pixels.")] = 192,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto is the GPU, if there.")] = "auto",
    minutes: Annotated[float | None, typer.Option(min=0, help="Stop with a checkpoint after so long.")] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    tensorboard: Annotated[bool, typer.Option(help="Write scalars for TensorBoard.")] = True,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Train a network as CONFIG says; a run that was stopped goes on. Under torchrun, all processes take part."""

    def action() -> Answer:
        _require_torch()
        from training.config import load_config
        from training.data import read_report
        from training.sitting import Sitting
        from training.train import train

        chosen = load_config(config)
        sitting = Sitting(device, minutes=minutes, compile=compiled, tensorboard=tensorboard)
        cache = _photo_cache(photos, run, short_side)
        checkpoint = train(chosen, photos=cache, run=run, backbone=backbone, start_from=start_from, sitting=sitting)
        photographs = read_report(cache)
        lines = [f"[bold green]{checkpoint}[/bold green]", f"  photographs: {_phrase(photographs)}"]
        return Answer({"checkpoint": str(checkpoint), "photographs": photographs}, lines)

    carry_out(Manner(json=json, verbose=verbose), action)


def _measured(*names: str, says: str, metavar: str = " ", least: int | None = None) -> Any:
    return typer.Option(*names, help=says, metavar=metavar, min=least)


Rivals = Annotated[bool, _measured("--rivals", says="Score grey and the results of others there, too.")]
Limit = Annotated[int | None, _measured("--limit", metavar="N", least=1, says="At most so many pictures of a folder.")]
Lpips = Annotated[Path | None, _measured("--lpips", metavar="FILE", says="Weights of LPIPS (safetensors).")]
Landscapes = Annotated[
    list[Path] | None, _measured("--landscapes", metavar="DIR", says="The landscapes of this folder, 224 x 224.")
]
Size = Annotated[int, _measured("--size", metavar="PX", least=32, says="Short side that the network sees.")]
Upsampling = Annotated[str, _measured("--upsampling", metavar="HOW", says="Colours are enlarged linear or cubic.")]
Temperature = Annotated[float, _measured("--temperature", metavar="T", says="Of checkpoints: sharpness of choice.")]
Saturation = Annotated[float, _measured("--saturation", metavar="S", says="Of checkpoints: factor on the colours.")]
Sheet = Annotated[Path | None, _measured("--sheet", metavar="PNG", says="Draw the pictures side by side.")]
Worst = Annotated[int | None, _measured("--worst", metavar="N", least=1, says="On the sheet: the N largest errors.")]
Old = Annotated[list[Path] | None, _measured("--old", metavar="DIR", says="Black-and-white photos for the sheet.")]
AsMarkdown = Annotated[bool, _measured("--markdown", says="Print whole tables as Markdown.")]


@_model.command("evaluate")
def _evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name, an ONNX file or a checkpoint.")],
    sets: Annotated[list[Path] | None, typer.Argument(metavar="[DIR...]", help="Folders of colour photos.")] = None,
    landscapes: Landscapes = None,
    rivals: Rivals = False,
    limit: Limit = None,
    lpips: Lpips = None,
    engine: EngineOption = EngineName.AUTO,
    size: Size = 256,
    upsampling: Upsampling = "linear",
    temperature: Temperature = 0.4,
    saturation: Saturation = 1.0,
    sheet: Sheet = None,
    worst: Worst = None,
    old: Old = None,
    markdown: AsMarkdown = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure MODEL on colour photographs: made grey, coloured again, compared."""
    carry_out(
        Manner(json=json, verbose=verbose),
        lambda: _measure(
            [model],
            [*(sets or ())],
            {"landscapes": landscapes or (), "rivals": rivals, "limit": limit, "lpips_weights": lpips},
            {"output": sheet, "worst": worst, "old": old or ()},
            markdown=markdown,
            engine=engine,
            size=size,
            upsampling=upsampling,
            temperature=temperature,
            saturation=saturation,
        ),
    )


@_model.command("compare")
def _compare(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help="Names, ONNX files or checkpoints.")],
    sets: Annotated[
        list[Path] | None, _measured("--sets", metavar="DIR", says="A folder of colour photos; can be repeated.")
    ] = None,
    landscapes: Landscapes = None,
    rivals: Rivals = False,
    limit: Limit = None,
    lpips: Lpips = None,
    engine: EngineOption = EngineName.AUTO,
    size: Size = 256,
    upsampling: Upsampling = "linear",
    temperature: Temperature = 0.4,
    saturation: Saturation = 1.0,
    sheet: Sheet = None,
    worst: Worst = None,
    old: Old = None,
    markdown: AsMarkdown = False,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Measure several models on the same colour photographs, side by side."""
    carry_out(
        Manner(json=json, verbose=verbose),
        lambda: _measure(
            models,
            [*(sets or ())],
            {"landscapes": landscapes or (), "rivals": rivals, "limit": limit, "lpips_weights": lpips},
            {"output": sheet, "worst": worst, "old": old or ()},
            markdown=markdown,
            engine=engine,
            size=size,
            upsampling=upsampling,
            temperature=temperature,
            saturation=saturation,
        ),
    )


def _measure(
    models: list[str],
    sets: list[Path],
    choice: dict[str, Any],
    plan: dict[str, Any],
    *,
    markdown: bool,
    **settings: Any,
) -> Answer:
    if not (sets or choice["landscapes"] or plan["old"]):
        raise UsageError("there is nothing to measure on", advice="Name a folder of colour photographs.")
    if plan["output"] is None and (plan["worst"] or plan["old"]):
        raise UsageError("--worst and --old are for a sheet", advice="Say where it goes: --sheet PNG.")
    from rich.text import Text

    from pipeline.terminal import error_console
    from training.compare import Settings, SheetPlan, compare_command

    with error_console().status("Measuring") as status:
        done = compare_command(
            models,
            sets,
            **choice,
            settings=Settings(**settings),
            sheet=None if plan["output"] is None else SheetPlan(**plan),
            progress=lambda name, ready, count: status.update(f"{name}: {ready:,} of {count:,}"),
        )
    report = done.report
    said = [Text(report.as_markdown())] if markdown else report.for_terminal()
    return Answer({**plain(report), "sheets": plain(done.sheets)}, [*said, *map(Text, map(str, done.sheets))])


@_model.command("export")
def _export(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="What a training run wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ONNX file; its card goes beside it.")],
    name: Annotated[str | None, typer.Option(help="Name of the weights.")] = None,
    description: Annotated[str | None, typer.Option(help="A sentence for the card.")] = None,
    photos: Annotated[Path | None, typer.Option(help="The run's photos folder, to choose on what is next.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Sharpness of the choice of bins.")] = None,
    saturation: Annotated[float | None, typer.Option(help="Factor on the colours.")] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Write a checkpoint as ONNX weights with a card, checked against every runtime here."""

    def action() -> Answer:
        _require_torch()
        from training.export import export_command

        done = export_command(
            checkpoint,
            output,
            name=name,
            description=description,
            temperature=temperature,
            saturation=saturation,
            photos=photos,
        )
        lines = [f"[bold green]{done.path}[/bold green]", f"  card: {done.card_path}"]
        return Answer(plain(done), lines)

    carry_out(Manner(json=json, verbose=verbose), action)


def _photo_cache(sources: list[Path], run: Path, short_side: int) -> Path:
    from training.data import build_cache

    made = [folder for folder in (*sources, run / "photos") if (folder / "pixels.u8").exists()]
    if made:
        return made[0]
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            f"{run}: the photographs are not decoded yet, and several processes would all do it",
            advice="Say it once without torchrun, with --minutes 0.",
        )
    build_cache(sources, run / "photos", short_side=short_side)
    return run / "photos"


def _require_torch() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "onnx", "onnxscript", "safetensors") if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"training needs packages that are not installed: {', '.join(missing)}",
            advice="Install them: pip install 'autochrome[train]'",
        )


def video() -> None:
    """Run ``colorize-video``."""
    _run(_video)


def archive() -> None:
    """Run ``colorize-archive``."""
    _run(_archive)


def model() -> None:
    """Run ``colorize-model``."""
    _run(_model)


def _run(commands: typer.Typer) -> None:
    if "--json" not in sys.argv:
        commands()
    try:
        raise SystemExit(commands(standalone_mode=False))
    except typer.TyperException as error:
        # A command line that is not understood: for a machine, too, one document.
        message = error.format_message()
        typer.echo(f"Error: {message}", err=True)
        typer.echo(as_json(error_document("UsageError", message, "See --help.", error.exit_code)))
        raise SystemExit(error.exit_code) from error
