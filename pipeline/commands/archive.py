"""``colorize-archive``: a tree of photographs and films."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.archive.run_options import RunOptions
from pipeline.commands import archive_options as own
from pipeline.commands import common_options
from pipeline.commands.common_options import EngineName
from pipeline.commands.configuration import ConfiguredCommand
from pipeline.commands.exits import CommandResult, Reporting, carry_out, markup
from pipeline.documents import to_json
from pipeline.options import Codec, OnDamage, Options, Quality, Tone, TreatAs
from pipeline.results import shell_line
from pipeline.wording import count

if TYPE_CHECKING:
    from pipeline.archive.dry_run import Forecast, Survey

_HELP = common_options.folded("""
    Colour every black-and-white photograph and film in a folder and its subfolders.

    The results go to DIR-colorized, in the same folder structure. Finished items are skipped, so the command can be
    run again every night. Files that cannot be coloured are listed at the end and do not stop the others.
""")

_NAMED = 20

commands = typer.Typer(add_completion=False)


@commands.command("archive", cls=ConfiguredCommand, help=_HELP, epilog=common_options.EPILOG)
def _colorize_archive(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of scans and films.", readable=False, show_default=False)
    ],
    output: common_options.Output = None,
    engine: common_options.EngineOption = EngineName.AUTO,
    device: common_options.DeviceOption = Options.device,
    model: common_options.ModelOption = Options.model,
    codec: common_options.CodecOption = Codec.AUTO,
    quality: common_options.QualityOption = Quality.ACCESS,
    every: common_options.Every = None,
    tone: common_options.ToneOption = Tone.NEUTRALISE,
    treat_as: common_options.TreatAsOption = TreatAs.AUTO,
    deinterlace: common_options.Deinterlace = False,
    on_damage: common_options.OnDamageOption = OnDamage.FAIL,
    verify: common_options.Verify = False,
    saturation: common_options.Saturation = Options.saturation,
    reference: common_options.ReferenceOption = None,
    corrections: common_options.Corrections = None,
    decide: own.Decide = None,
    overwrite: common_options.Overwrite = False,
    include: own.Include = None,
    exclude: own.Exclude = None,
    since: own.Since = None,
    shard: own.ShardOption = None,
    follow_links: own.FollowLinks = False,
    verify_all: own.VerifyAll = False,
    until: own.Until = None,
    jobs: own.Jobs = RunOptions.jobs,
    on: own.On = RunOptions.on,
    workers: own.Workers = None,
    retry: own.Retry = RunOptions.retry,
    quarantine_after: own.QuarantineAfter = RunOptions.quarantine_after,
    keep_free: own.KeepFree = RunOptions.keep_free,
    no_sidecars: own.NoSidecars = False,
    bag: own.Bag = False,
    no_report: own.NoReport = False,
    log: own.Log = None,
    metrics: own.Metrics = None,
    dry_run: common_options.DryRun = False,
    report_only: own.ReportOnly = False,
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
        codec=codec,
        quality=quality,
        overwrite=overwrite,
        every=every,
        tone=tone,
        treat_as=treat_as,
        deinterlace=deinterlace,
        on_damage=on_damage,
        verify=verify,
        saturation=saturation,
        reference=reference,
    )
    run_options = RunOptions(
        until=until,
        retry=retry,
        quarantine_after=quarantine_after,
        jobs=jobs,
        on=on,
        workers=workers,
        shard=shard,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        since=since,
        follow_links=follow_links,
        verify_all=verify_all,
        keep_free=keep_free,
        sidecars=not no_sidecars,
        bag=bag,
        report=not no_report,
        log=log,
        metrics=metrics,
        corrections=corrections,
        decide=decide,
    )
    if report_only:
        carry_out(reporting, lambda: _report(folder, output, run_options))
    elif dry_run:
        carry_out(reporting, lambda: _plan(folder, output, options, run_options, reporting))
    else:
        carry_out(reporting, lambda: _colour(folder, output, options, run_options, reporting))


def _colour(
    folder: Path, output: Path | None, options: Options, run_options: RunOptions, reporting: Reporting
) -> CommandResult:
    from pipeline.archive.ledger import RunOutcome
    from pipeline.archive.run import colorize_archive
    from pipeline.interruption import StopReason, StopRequest, finish_on_signals
    from pipeline.process import prepare_process
    from pipeline.terminal import duration, error_console, shown

    prepare_process()
    stop = StopRequest()
    with shown(error_console(), quiet=reporting.quiet, root=folder) as progress:
        finish_on_signals(stop, progress.say)
        result = colorize_archive(folder, output, options, run_options=run_options, progress=progress, stop=stop)
    lines = [
        f"{count(result.photos, 'photo')} and {count(result.films, 'film')} coloured in {duration(result.seconds)}; "
        f"{result.skipped:,} done before, {count(result.ignored, 'other file')} ignored",
    ]
    if result.kept:
        lines.append(
            f"  {count(result.kept, 'item')} without new colour: already in colour, tint kept, or saturation 0"
        )
    if result.gone:
        lines.append(f"  {count(result.gone, 'source')} no longer there; their results are kept")
    lines += _quarantined(result.quarantined, result.quarantined_sources)
    if result.refused:
        lines.append(f"  {count(result.refused, 'item')} refused: of a kind that is not coloured, see the report")
    if result.outcome is not RunOutcome.FINISHED:
        why = "asked to stop" if stop.reason is StopReason.ASKED else "the time was reached"
        lines.append(f"  {count(result.waiting, 'item')} left for the next run: {why}")
    done = result.photos, result.films, result.kept, result.skipped
    if not any((*done, result.failed, result.quarantined, result.refused, result.waiting)):
        lines.append("  no file is left after --include, --exclude and --since")
    if result.photos or result.films or result.skipped:
        lines.append(f"  to correct colours: {markup(shell_line(['colorize-review', str(result.output)]))}")
    report = f"; report: {markup(result.report)}" if result.report is not None else ""
    lines.append(f"results: [bold green]{markup(result.output)}[/bold green]{report}")
    return CommandResult(
        to_json(result), lines, exit_code=result.exit_code, failures=result.failures, failed=result.failed
    )


def _report(folder: Path, output: Path | None, run_options: RunOptions) -> CommandResult:
    from pipeline.archive.closing import report_archive
    from pipeline.archive.ledger import as_ranges

    found = report_archive(folder, output, run_options=run_options)
    states = [f"{number:,} {state}" for state, number in found.items.items() if number]
    lines = [f"{count(found.shards, 'shard')}: {', '.join(states) or 'no items'}"]
    statuses = {
        "no run yet": found.missing,
        "active": found.running,
        "stopped cleanly before everything was done": found.stopped,
        "ended with an error": found.failed,
        "died": found.died,
        "ledger damaged": found.damaged,
    }
    lines += [f"  {words}: {as_ranges(numbers)}" for words, numbers in statuses.items() if numbers]
    if found.again:
        lines.append(f"  run again: --array={found.again}" if found.shards > 1 else "  to be run again")
    if run_options.bag and not found.bag:
        why = "a ledger is damaged" if found.damaged else "runs are adding to it"
        lines.append(f"  the bag is incomplete: {why}")
    lines.append(f"report: [bold green]{markup(found.report)}[/bold green]")
    return CommandResult(
        to_json(found), lines, exit_code=found.exit_code, failures=found.failures, failed=len(found.failures)
    )


def _plan(
    folder: Path, output: Path | None, options: Options, run_options: RunOptions, reporting: Reporting
) -> CommandResult:
    from pipeline.archive.dry_run import survey_archive
    from pipeline.archive.output_folder import free_space
    from pipeline.terminal import error_console, shown

    with shown(error_console(), quiet=reporting.quiet, root=folder) as progress:
        survey = survey_archive(folder, output, options, run_options=run_options, progress=progress)
    expected = _forecast(survey, options, run_options, reporting)
    free = free_space(survey.output)
    aside = f", {count(survey.refused, 'item')} refused" if survey.refused else ""
    aside += f", {survey.hidden:,} hidden left out" if survey.hidden else ""
    lines = [
        f"{markup(folder)}: {count(survey.photos, 'photo')} and {count(survey.films, 'film')} to colour, "
        f"into {markup(survey.output)}",
        f"  {survey.skipped:,} done before, {count(survey.ignored, 'other file')} ignored{aside}",
        *_quarantined(survey.quarantined, survey.quarantined_sources),
        *_expectations(expected, free, run_options),
        *(f"  left out: {path}" for path in survey.links),
    ]
    document = {"dry_run": True, **to_json(survey), "forecast": to_json(expected), "free_bytes": free}
    code = 3 if survey.failed or survey.quarantined else 0
    return CommandResult(document, lines, exit_code=code, failures=survey.failures, failed=survey.failed)


def _quarantined(number: int, names: Sequence[Path]) -> Iterator[str]:
    if number:
        yield f"  {count(number, 'item')} quarantined without a result after failing in too many runs:"
        yield from (f"    {markup(name)}" for name in names[:_NAMED])
        if number > _NAMED:
            yield f"    ... and {number - _NAMED:,} more, in the report"
        yield "    repair or remove the file, leave it out with --exclude, or try it again with --quarantine-after N"


def _forecast(survey: Survey, options: Options, run_options: RunOptions, reporting: Reporting) -> Forecast:
    """Estimate from earlier runs or, failing that, by colouring a few of the sources without keeping the results."""
    from pipeline.archive import dry_run
    from pipeline.archive.ledger import read_ledger
    from pipeline.color.colorizer import open_colorizer
    from pipeline.terminal import error_console

    photos = films = None
    ledger = read_ledger(survey.output, shard=run_options.shard)
    if ledger is not None:
        with ledger:
            photos, films = dry_run.measured(ledger)
    wants_photos, wants_films = survey.photos and photos is None, survey.films and films is None
    if wants_photos or wants_films:
        some_photos, some_films = dry_run.samples(survey.source, run_options)
        console = error_console()
        console.quiet = reporting.quiet
        with console.status("Measuring the speed of this machine"), open_colorizer(options) as colorizer:
            if wants_photos:
                photos = dry_run.photo_pace(some_photos, options, colorizer=colorizer)
            if wants_films:
                films = dry_run.film_pace(some_films, options, colorizer=colorizer)
    return dry_run.forecast(survey, photos=photos if survey.photos else None, films=films if survey.films else None)


def _expectations(expected: Forecast, free: int, run_options: RunOptions) -> Iterator[str]:
    from pipeline.archive.output_folder import as_size
    from pipeline.terminal import duration

    if expected.seconds is None or expected.size is None:
        yield f"  the time needed cannot be estimated; {as_size(free)} are free"
    elif expected.photos or expected.films:
        judged = f"estimated from {count(expected.photos, 'photo')} and {count(expected.films, 'film')}"
        yield f"  some {duration(expected.seconds)} on this machine, {judged}"
        short = max(0, expected.size - (free - run_options.keep_free))
        lack = f"; {as_size(short)} too little, with {as_size(run_options.keep_free)} to stay free" if short else ""
        yield f"  some {as_size(expected.size)} needed, {as_size(free)} free{lack}"
