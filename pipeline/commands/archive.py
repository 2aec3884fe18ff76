"""``colorize-archive``: a tree of photographs and films."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands import choices
from pipeline.commands.choices import EngineName
from pipeline.commands.configured import ConfiguredCommand
from pipeline.commands.ending import Answer, Manner, carry_out
from pipeline.documents import plain
from pipeline.options import Codec, OnDamage, Options, Quality, Tone, TreatAs

_HELP = choices.folded("""
    Colour every black-and-white photograph and film of a folder and of the folders in it.

    The results go to DIR-colorized, in the same tree. What is there already is skipped, so the command can be run
    again and again. A file that cannot be coloured is named at the end and stops nothing.
""")

commands = typer.Typer(add_completion=False)


@commands.command("archive", cls=ConfiguredCommand, help=_HELP, epilog=choices.EPILOG)
def _colorize_archive(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of scans and films.", show_default=False)],
    output: choices.Output = None,
    engine: choices.EngineOption = EngineName.AUTO,
    model: choices.ModelOption = "fast",
    codec: choices.CodecOption = Codec.AUTO,
    quality: choices.QualityOption = Quality.ACCESS,
    every: choices.Every = 1,
    tone: choices.ToneOption = Tone.NEUTRALISE,
    treat_as: choices.TreatAsOption = TreatAs.AUTO,
    deinterlace: choices.Deinterlace = False,
    on_damage: choices.OnDamageOption = OnDamage.FAIL,
    verify: choices.Verify = False,
    overwrite: choices.Overwrite = False,
    dry_run: choices.DryRun = False,
    config: choices.Config = None,  # noqa: ARG001 - read by its callback
    json: choices.Json = False,
    verbose: choices.Verbose = False,
    quiet: choices.Quiet = False,
    version: choices.Version = False,  # noqa: ARG001 - handled by its callback
) -> None:
    manner = Manner(json=json, verbose=verbose, quiet=quiet)
    options = Options(
        engine=engine,
        model=model,
        codec=codec,
        quality=quality,
        overwrite=overwrite,
        every=every,
        tone=tone,
        treat_as=treat_as,
        deinterlace=deinterlace,
        on_damage=on_damage,
        verify=verify,
    )
    carry_out(manner, lambda: _plan(folder, output, options) if dry_run else _colour(folder, output, options, manner))


def _colour(folder: Path, output: Path | None, options: Options, manner: Manner) -> Answer:
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


def _plan(folder: Path, output: Path | None, options: Options) -> Answer:
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
