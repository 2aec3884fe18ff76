"""``colorize-video``: films."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.commands import common_options
from pipeline.commands.common_options import EngineName
from pipeline.commands.configuration import ConfiguredCommand
from pipeline.commands.exits import CommandResult, Reporting, carry_out, markup, result_for_several
from pipeline.commands.values import parse_preview, parse_rate
from pipeline.documents import to_json
from pipeline.interruption import Cancelled, StopRequest, finish_on_signals
from pipeline.options import Codec, Layout, OnDamage, Options, Quality, Tone, TreatAs
from pipeline.originals import is_folder
from pipeline.results import Failure, FilmResult
from pipeline.wording import count

if TYPE_CHECKING:
    from pipeline.media.film_plan import FilmPlan
    from pipeline.media.probe import Probes
    from pipeline.progress import Progress

_HELP = common_options.folded("""
    Colour black-and-white films, and change nothing else about them.

    Each result is written beside its film: FILM.colorized.mp4, or with another suffix for other containers. Sound,
    subtitles, chapters and timing are kept. The film itself is never touched.

    The first Ctrl-C finishes the current film, or the current segment of a long film, and stops. The second stops at
    once.
""")
_FILM = "Black-and-white films, or folders of numbered pictures. @FILE reads their names from FILE, one per line."
_PREVIEW = "Colour only a few seconds, or one frame of every shot as a contact sheet, into FILM.preview."
_COMPARE = "Also write a film that compares before and after: side by side, or split in the middle."
_FPS = "Frame rate of a folder of pictures: 24, 23.976, ..."

commands = typer.Typer(add_completion=False)


@commands.command("video", cls=ConfiguredCommand, help=_HELP, epilog=common_options.EPILOG)
def _colorize_video(
    films: Annotated[list[Path], typer.Argument(metavar="FILM", help=_FILM, readable=False, show_default=False)],
    output: common_options.Output = None,
    engine: common_options.EngineOption = EngineName.AUTO,
    device: common_options.DeviceOption = Options.device,
    model: common_options.ModelOption = Options.model,
    codec: common_options.CodecOption = Codec.AUTO,
    quality: common_options.QualityOption = Quality.ACCESS,
    fps: Annotated[
        Fraction | None,
        common_options.option(common_options.RESULT, "--fps", metavar="RATE", parser=parse_rate, help=_FPS),
    ] = None,
    every: common_options.Every = None,
    tone: common_options.ToneOption = Tone.NEUTRALISE,
    treat_as: common_options.TreatAsOption = TreatAs.AUTO,
    deinterlace: common_options.Deinterlace = False,
    on_damage: common_options.OnDamageOption = OnDamage.FAIL,
    verify: common_options.Verify = False,
    saturation: common_options.Saturation = Options.saturation,
    hint: common_options.HintOption = None,
    reference: common_options.ReferenceOption = None,
    corrections: common_options.Corrections = None,
    preview: Annotated[
        Any,
        common_options.option(
            common_options.RUN, "--preview", metavar="10s[@0:05:00]|shots", parser=parse_preview, help=_PREVIEW
        ),
    ] = None,
    compare: Annotated[
        Layout | None,
        common_options.option(
            common_options.RESULT, "--compare", metavar=common_options.alternatives(Layout), help=_COMPARE
        ),
    ] = None,
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
        saturation=saturation,
        hints=tuple(hint or ()),
        reference=reference,
    )

    def action() -> CommandResult:
        from pipeline.commands.targets import check_request, listed, refuse_photos, targets
        from pipeline.film.comparison import comparison_output
        from pipeline.film.job import default_output
        from pipeline.media.probe import Probes

        sources = listed(films)
        refuse_photos(sources)
        check_request(options, corrections)
        if preview is not None:
            from pipeline.commands.video_previews import plan_previews, preview_films, preview_targets

            named = preview_targets(sources, output, preview, options, compare=compare, dry_run=dry_run)
            if dry_run:
                return plan_previews(sources, named, preview, options)
            return preview_films(sources, named, preview, options, reporting, compare=compare, corrections=corrections)
        if dry_run:
            return _plan(sources, output, options, compare)
        known = Probes(options.frame_rate)
        if len(sources) == 1 and (output is None or is_folder(output)) and compare is None:
            # It determines its own result name when it is opened, before an engine starts.
            return _colour([(sources[0], output)], options, reporting, known, compare=None, corrections=corrections)

        def default(film: Path) -> Path:
            return default_output(known.of(film), options)

        beside = None if compare is None else comparison_output
        names = targets(sources, output, default, overwrite=overwrite, reference=reference, beside=beside)
        jobs = list(zip(sources, names, strict=True))
        return _colour(jobs, options, reporting, known, compare=compare, corrections=corrections)

    carry_out(reporting, action)


def _colour(
    jobs: Sequence[tuple[Path, Path | None]],
    options: Options,
    reporting: Reporting,
    known: Probes,
    *,
    compare: Layout | None,
    corrections: Path | None,
) -> CommandResult:
    from pipeline.color.colorizer import open_colorizer
    from pipeline.commands.targets import correction_of
    from pipeline.film.comparison import write_comparisons
    from pipeline.film.job import colorize_video
    from pipeline.process import prepare_process
    from pipeline.terminal import error_console, shown

    prepare_process()
    stop = StopRequest()
    outcomes: list[FilmResult | Failure] = []
    with ExitStack() as stack:
        progress = stack.enter_context(shown(error_console(), quiet=reporting.quiet))
        finish_on_signals(stop, progress.say)
        if len(jobs) == 1:
            # No colorizer yet: the film is examined before an engine starts.
            kept = correction_of(*jobs[0], corrections)
            result = colorize_video(*jobs[0], options, correction=kept, progress=progress, stop=stop)
            both = write_comparisons([result], options, compare, progress, known=known)
            return _result([result], options, count=1, compared=both)
        colorizer = stack.enter_context(open_colorizer(options, progress=progress))

        def colour(film: Path, target: Path | None) -> FilmResult:
            kept = correction_of(film, target, corrections)
            return colorize_video(
                film, target, options, correction=kept, colorizer=colorizer, progress=progress, stop=stop
            )

        with suppress(Cancelled):
            for film, target in jobs:
                stop.check()
                outcomes.append(_outcome(film, target, colour, progress))
        films = [outcome for outcome in outcomes if isinstance(outcome, FilmResult)]
        both = write_comparisons(films, options, compare, progress, known=known)
    return _result(outcomes, options, count=len(jobs), interrupted=stop.exit_code, compared=both)


def _outcome(
    film: Path, target: Path | None, colour: Callable[[Path, Path | None], FilmResult], progress: Progress
) -> FilmResult | Failure:
    try:
        return colour(film, target)
    except Exception as error:  # noqa: BLE001 - one bad film must not stop the rest; it is named with its reason
        failure = Failure.of(film, error)
        progress.say(f"failed: {failure.error}")
        return failure


def _result(
    outcomes: Sequence[FilmResult | Failure],
    options: Options,
    *,
    count: int,
    interrupted: int = 0,
    compared: Sequence[Path] = (),
) -> CommandResult:
    lines: list[str] = []
    results = [outcome for outcome in outcomes if isinstance(outcome, FilmResult)]
    for result in results:
        lines += [f"{markup(result.source)}: {markup('; '.join((result.codec, *result.streams)))}"]
        if options.verify:
            lines += [f"  {markup(line)}" for line in result.verification.lines()]
    lines += [f"before and after: [bold green]{markup(path)}[/bold green]" for path in compared]
    lines += [f"[bold green]{markup(result.output)}[/bold green]" for result in results]
    if count == 1:
        return CommandResult(to_json(outcomes[0]), lines)
    return result_for_several(outcomes, lines, count=count, interrupted=interrupted)


def _plan(films: Sequence[Path], output: Path | None, options: Options, compare: Layout | None) -> CommandResult:
    from pipeline.commands.targets import targets
    from pipeline.film.comparison import comparison_output
    from pipeline.film.job import default_output
    from pipeline.media.film_plan import plan_film

    plans: dict[Path, FilmPlan] = {}

    def default(film: Path) -> Path:
        plans[film] = plan_film(film, options)
        return default_output(plans[film].info, options)

    beside = None if compare is None else comparison_output
    names = targets(films, output, default, overwrite=True, reference=options.reference, beside=beside)
    found = [
        _planned(film, target, plans.get(film) or plan_film(film, options, suffix=target.suffix), options, compare)
        for film, target in zip(films, names, strict=True)
    ]
    lines = [line for _, some in found for line in some]
    if len(found) == 1:
        return CommandResult(to_json(found[0][0]), lines)
    return CommandResult({"dry_run": True, "films": to_json([document for document, _ in found])}, lines)


def _planned(
    film: Path, target: Path, plan: FilmPlan, options: Options, compare: Layout | None
) -> tuple[dict[str, Any], list[str]]:
    from pipeline.commands.targets import existing
    from pipeline.film.comparison import comparison_output

    info, notes = plan.info, (*plan.notes, *plan.damage)
    exists = target.exists()
    frames = count(info.frame_count, "frame") if info.frame_count is not None else "an unknown number of frames"
    beside = ", ".join(f"{stream.type} {stream.codec} {stream.language}".rstrip() for stream in info.streams)
    lines = [
        f"{markup(film)}: {info.width} x {info.height}, {info.codec}, {frames}",
        f"  other streams: {markup(beside or 'none')}",
        f"  result: {markup(target)}, codec {plan.video.codec}, quality {options.quality}",
        *(f"  {markup(f'{note.kind}: {note.text}')}" for note in notes),
    ]
    if exists:
        lines.append(existing(overwrite=options.overwrite))
    both = None if compare is None else comparison_output(target)
    if both is not None:
        lines.append(f"  before and after: {markup(both)}")
        if both.exists():
            lines.append(existing(overwrite=options.overwrite))
    document = {
        "dry_run": True,
        "source": film,
        "output": target,
        "exists": exists,
        "comparison": both,
        "frames": info.frame_count,
        "codec": plan.video.codec,
        "streams": [str(stream) for stream in plan.streams],
        "notes": notes,
    }
    return document, lines
