"""``colorize-photo``: photographs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands import common_options
from pipeline.commands.common_options import EngineName
from pipeline.commands.configuration import ConfiguredCommand
from pipeline.commands.exits import CommandResult, Reporting, carry_out, markup, result_for_several
from pipeline.corrections import correction_of_file
from pipeline.documents import to_json
from pipeline.interruption import StopRequest, finish_on_signals
from pipeline.options import Options, Tone, TreatAs
from pipeline.originals import Originals
from pipeline.results import Failure, PhotoResult

if TYPE_CHECKING:
    from pipeline.photo.job import PhotoJob

_HELP = common_options.folded("""
    Colour black-and-white photographs, and change nothing else about them.

    Each result is written beside its photograph: PHOTO.colorized.jpg, in the same format if that can hold colour.
    Metadata and colour profile are kept. The photograph itself is never touched.
""")
_PHOTO = (
    "Black-and-white photographs. @FILE reads their names from FILE, one per line. For folders use colorize-archive."
)
_PHOTOS = "photos"

commands = typer.Typer(add_completion=False)


@commands.command("photo", cls=ConfiguredCommand, help=_HELP, epilog=common_options.EPILOG)
def _colorize_photo(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO", help=_PHOTO, readable=False, show_default=False)],
    output: common_options.Output = None,
    engine: common_options.EngineOption = EngineName.AUTO,
    device: common_options.DeviceOption = Options.device,
    model: common_options.ModelOption = Options.model,
    tone: common_options.ToneOption = Tone.NEUTRALISE,
    treat_as: common_options.TreatAsOption = TreatAs.AUTO,
    saturation: common_options.Saturation = Options.saturation,
    hint: common_options.HintOption = None,
    reference: common_options.ReferenceOption = None,
    corrections: common_options.Corrections = None,
    overwrite: common_options.Overwrite = False,
    dry_run: common_options.DryRun = False,
    config: common_options.Config = None,  # noqa: ARG001 - read by its callback
    json: common_options.Json = False,
    log_file: common_options.LogFile = None,
    verbose: common_options.Verbose = 0,
    quiet: common_options.Quiet = False,
    version: common_options.Version = False,  # noqa: ARG001 - handled by its callback
) -> None:
    reporting = Reporting(json=json, verbosity=verbose, quiet=quiet, log_file=log_file)
    options = Options(
        engine=engine,
        device=device,
        model=model,
        tone=tone,
        treat_as=treat_as,
        overwrite=overwrite,
        saturation=saturation,
        hints=tuple(hint or ()),
        reference=reference,
    )

    def action() -> CommandResult:
        from pipeline.commands.targets import check_request, listed, refuse_films_and_folders, targets
        from pipeline.photo.job import PhotoJob, default_output, require_untimed

        sources = listed(photos)
        refuse_films_and_folders(sources)
        require_untimed(options)
        check_request(options, corrections)
        names = targets(sources, output, default_output, overwrite=overwrite or dry_run, reference=reference)
        jobs = []
        for source, target in zip(sources, names, strict=True):
            tree, item = correction_of_file(source, target, originals=Originals((source,)), tree=corrections)
            jobs.append(PhotoJob(source, target, correction=tree.path_of(item)))
        return _plan(jobs, options) if dry_run else _colour(jobs, options, reporting)

    carry_out(reporting, action)


def _colour(jobs: Sequence[PhotoJob], options: Options, reporting: Reporting) -> CommandResult:
    from pipeline.callbacks import guarded
    from pipeline.color.colorizer import open_colorizer
    from pipeline.photo.job import colorize_photos
    from pipeline.photo.one import colorize_photo
    from pipeline.process import prepare_process
    from pipeline.terminal import error_console, shown

    prepare_process()
    stop = StopRequest()

    def wanted() -> Iterator[PhotoJob]:
        for job in jobs:
            if stop.is_made:
                return
            yield job

    outcomes: list[PhotoResult | Failure] = []
    with shown(error_console(), quiet=reporting.quiet) as drawn, guarded(drawn, stop) as progress:
        finish_on_signals(stop, progress.say)
        if len(jobs) == 1:
            # No colorizer yet: the photograph is examined before an engine starts.
            only = jobs[0]
            result = colorize_photo(only.source, only.output, options, correction=only.correction, progress=progress)
            return CommandResult(to_json(result), [_line(result)])
        with open_colorizer(options, progress=progress) as colorizer:
            progress.begin(_PHOTOS, len(jobs), "photos")
            for outcome in colorize_photos(wanted(), colorizer=colorizer, options=options, progress=progress):
                outcomes.append(outcome)
                progress.advance(_PHOTOS)
            progress.end(_PHOTOS)
    lines = [_line(outcome) for outcome in outcomes if isinstance(outcome, PhotoResult)]
    return result_for_several(outcomes, lines, count=len(jobs), interrupted=stop.exit_code)


def _line(result: PhotoResult) -> str:
    return f"{', '.join(result.tones)}; {result.treatment}: [bold green]{markup(result.output)}[/bold green]"


def _plan(jobs: Sequence[PhotoJob], options: Options) -> CommandResult:
    from pipeline.commands.targets import existing

    found, lines = [], []
    for job in jobs:
        source, target = job.source, job.output
        exists = target.exists()
        found.append({"source": source, "output": target, "exists": exists})
        lines.append(markup(f"{source}: result: {target}"))
        if exists:
            lines.append(existing(overwrite=options.overwrite))
    return CommandResult({"dry_run": True, "photos": to_json(found)}, lines)
