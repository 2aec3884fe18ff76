"""``colorize-video --preview``: what to expect of a film, before hours of work."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from pipeline.clock import clock
from pipeline.commands.exits import Answer, Reporting, markup
from pipeline.commands.targets import targets
from pipeline.commands.values import SHOTS
from pipeline.documents import to_json
from pipeline.interruption import StopRequest, finish_on_signals
from pipeline.options import Layout, Options, Span
from pipeline.progress import Progress
from pipeline.publish import PARTIAL_PREFIX


def preview_films(
    films: Sequence[Path],
    output: Path | None,
    wanted: Span | str,
    options: Options,
    reporting: Reporting,
    *,
    compare: Layout | None,
    corrections: Path | None,
) -> Answer:
    """Write a preview of each of ``films``; its name says that it is one."""
    from pipeline.commands.video import correction_of
    from pipeline.film.contact_sheet import sheet_output
    from pipeline.film.job import default_output, stated
    from pipeline.process import prepare_process
    from pipeline.terminal import error_console, shown

    prepare_process()

    def part_output(film: Path) -> Path:
        name = default_output(film, options)
        return name.with_name(f"{name.stem.removesuffix('.colorized')}.preview{name.suffix}")

    names = targets(films, output, sheet_output if wanted == SHOTS else part_output, overwrite=options.overwrite)
    stop, documents, lines = StopRequest(), [], []
    with shown(error_console(), quiet=reporting.quiet) as progress:
        finish_on_signals(stop, progress.say)
        for film, name in zip(films, names, strict=True):
            stop.check()
            asked, references = stated(film, options, correction_of(film, name, corrections))
            if references.paths:
                progress.say(f"{film}: the preview is made without references, which are of the whole film")
            if isinstance(wanted, Span):
                document, line = _part(film, name, wanted, asked, compare, progress, stop)
            else:
                document, line = _sheet(film, name, asked, progress)
            documents.append(document)
            lines.append(line)
    return Answer({"preview": True, "previews": documents}, lines)


# Seconds at the end of a part that it may lack.
_LACKING = 0.1


def _sheet(film: Path, name: Path, options: Options, progress: Progress) -> tuple[object, str]:
    from pipeline.film.contact_sheet import write_contact_sheet
    from pipeline.terminal import count

    sheet = write_contact_sheet(film, name, options, progress=progress)
    some = "" if sheet.shots == sheet.shown else f"{sheet.shown:,} of "
    line = f"[bold green]{markup(name)}[/bold green]  preview: one frame of each of {some}{count(sheet.shots, 'shot')}"
    return to_json(sheet), line


def _part(
    film: Path,
    name: Path,
    span: Span,
    options: Options,
    compare: Layout | None,
    progress: Progress,
    stop: StopRequest,
) -> tuple[object, str]:
    from pipeline.commands.video import compared
    from pipeline.film.excerpt import excerpt
    from pipeline.film.job import colorize_video

    name.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=name.parent) as folder:
        part = excerpt(film, span, Path(folder), rate=options.frame_rate)
        wanted = moved(options, part.start, span.start + span.seconds)
        result = colorize_video(part.path, name, wanted, progress=progress, stop=stop)
        both = compared([result], options, compare, progress)
    line = f"[bold green]{markup(name)}[/bold green]  preview: {result.frames:,} frames from {clock(part.start)} on"
    if part.start < span.start:
        line += ", the key frame before the moment asked for"
    line += "".join(f"\n[bold green]{markup(path)}[/bold green]  before and after" for path in both)
    return {**to_json(replace(result, source=film)), "start_seconds": float(part.start)}, line


def moved(options: Options, start: Fraction, end: Fraction) -> Options:
    """Return ``options`` for the part of a film between two times in seconds.

    Hints of what lies outside are left out, and references, which are numbered as the frames of the whole film are.
    """
    times = [(hint, float(hint.time - start)) for hint in options.hints if hint.time is not None]
    inside = float(end - start) - _LACKING
    hints = tuple(replace(hint, time=time) for hint, time in times if 0 <= time < inside)
    return replace(options, hints=hints, reference=None)
