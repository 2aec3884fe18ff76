"""``colorize-video``: one film."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands import common_options
from pipeline.commands.common_options import EngineName
from pipeline.commands.configuration import ConfiguredCommand
from pipeline.commands.exits import Answer, Manner, carry_out
from pipeline.commands.values import parse_rate
from pipeline.documents import to_json
from pipeline.errors import InputError
from pipeline.options import Codec, OnDamage, Options, Quality, Tone, TreatAs

_HELP = common_options.folded("""
    Colour a black-and-white film, and change nothing else about it.

    The result is written beside the film: FILM.colorized.mp4, or as its container asks. Sound, subtitles, chapters
    and timing are kept. The film itself is never touched.
""")
_FILM = "A black-and-white film, or a folder of numbered pictures."
_FPS = "For a folder of pictures: 24, 23.976, ..."

commands = typer.Typer(add_completion=False)


@commands.command("video", cls=ConfiguredCommand, help=_HELP, epilog=common_options.EPILOG)
def _colorize_video(
    film: Annotated[Path, typer.Argument(metavar="FILM", help=_FILM, show_default=False)],
    output: common_options.Output = None,
    engine: common_options.EngineOption = EngineName.AUTO,
    model: common_options.ModelOption = "fast",
    codec: common_options.CodecOption = Codec.AUTO,
    quality: common_options.QualityOption = Quality.ACCESS,
    fps: Annotated[
        Fraction | None,
        common_options.option(common_options.RESULT, "--fps", metavar="RATE", parser=parse_rate, says=_FPS),
    ] = None,
    every: common_options.Every = None,
    tone: common_options.ToneOption = Tone.NEUTRALISE,
    treat_as: common_options.TreatAsOption = TreatAs.AUTO,
    deinterlace: common_options.Deinterlace = False,
    on_damage: common_options.OnDamageOption = OnDamage.FAIL,
    verify: common_options.Verify = False,
    overwrite: common_options.Overwrite = False,
    dry_run: common_options.DryRun = False,
    config: common_options.Config = None,  # noqa: ARG001 - read by its callback
    json: common_options.Json = False,
    verbose: common_options.Verbose = False,
    quiet: common_options.Quiet = False,
    version: common_options.Version = False,  # noqa: ARG001 - handled by its callback
) -> None:
    manner = Manner(json=json, verbose=verbose, quiet=quiet)
    options = Options(
        engine=engine,
        model=model,
        codec=codec,
        quality=quality,
        overwrite=overwrite,
        frame_rate=fps,
        every=every,
        tone=tone,
        treat_as=treat_as,
        deinterlace=deinterlace,
        on_damage=on_damage,
        verify=verify,
    )

    def action() -> Answer:
        from pipeline.film.job import default_output

        if not film.exists():
            raise InputError(f"{film}: no such file", advice="Check the path.")
        if dry_run:
            return _plan(film, output or default_output(film, options), options)
        return _colour(film, output, options, manner)

    carry_out(manner, action)


def _colour(film: Path, output: Path | None, options: Options, manner: Manner) -> Answer:
    from pipeline.film.job import colorize_video
    from pipeline.interruption import StopRequest, finish_on_signals
    from pipeline.terminal import error_console, shown

    stop = StopRequest()
    with shown(error_console(), quiet=manner.quiet) as progress:
        finish_on_signals(stop, progress.say)
        result = colorize_video(film, output, options, progress=progress, stop=stop)
    lines = [f"[bold green]{result.output}[/bold green]", f"  {'; '.join((result.codec, *result.streams))}"]
    if options.verify:
        lines += [f"  {line}" for line in result.verification.lines()]
    return Answer(to_json(result), lines)


def _plan(film: Path, target: Path, options: Options) -> Answer:
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
    return Answer(to_json(document), lines)
