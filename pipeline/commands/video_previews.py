"""``colorize-video --preview``: what to expect of a film, before hours of work."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.exits import CommandResult, Reporting, markup
from pipeline.commands.targets import correction_of, existing, targets
from pipeline.commands.values import SHOTS
from pipeline.documents import to_json
from pipeline.errors import Renamed, UsageError
from pipeline.film_time import time_text
from pipeline.interruption import StopRequest, finish_on_signals
from pipeline.options import Layout, Options, Span
from pipeline.originals import is_folder
from pipeline.os_errors import writing
from pipeline.progress import Progress
from pipeline.publish import PARTIAL_PREFIX
from pipeline.wording import count

if TYPE_CHECKING:
    from pipeline.film.reference_frames import FilmReferences


def preview_targets(
    films: Sequence[Path],
    output: Path | None,
    wanted: Span | str,
    options: Options,
    *,
    compare: Layout | None,
    dry_run: bool,
) -> list[Path]:
    """Return the name of the preview of each of ``films``, as `targets` does.

    Raises `UsageError` if a contact sheet is requested with the name of a film, or with a comparison.
    """
    from pipeline.film.comparison import comparison_output
    from pipeline.film.contact_sheet import SUFFIXES, sheet_output
    from pipeline.film.job import default_output
    from pipeline.media.probe import probe

    def part_output(film: Path) -> Path:
        name = default_output(probe(film, rate=options.frame_rate), options)
        return name.with_name(f"{name.stem.removesuffix('.colorized')}.preview{name.suffix}")

    beside = None if compare is None else comparison_output
    overwrite = options.overwrite or dry_run
    if isinstance(wanted, Span):
        return targets(films, output, part_output, overwrite=overwrite, reference=options.reference, beside=beside)
    if compare is not None:
        raise UsageError(
            "--preview shots writes a picture, and --compare is for films", advice="Leave one of them out."
        )
    if len(films) == 1 and output is not None and not is_folder(output) and output.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{output}: a preview of the shots is a JPEG picture", advice="Name a .jpg file or a folder with --output."
        )
    return targets(films, output, sheet_output, overwrite=overwrite, reference=options.reference)


def plan_previews(films: Sequence[Path], names: Sequence[Path], wanted: Span | str, options: Options) -> CommandResult:
    """Describe which previews would be made of ``films``, under which ``names``."""
    what = "one frame of every shot" if wanted == SHOTS else "a part"
    documents, lines = [], []
    for film, name in zip(films, names, strict=True):
        exists = name.exists()
        documents.append({"source": film, "output": name, "exists": exists})
        lines.append(markup(f"{film}: preview of {what}: {name}"))
        if exists:
            lines.append(existing(overwrite=options.overwrite))
    return CommandResult({"dry_run": True, "preview": True, "previews": to_json(documents)}, lines)


def preview_films(
    films: Sequence[Path],
    names: Sequence[Path],
    wanted: Span | str,
    options: Options,
    reporting: Reporting,
    *,
    compare: Layout | None,
    corrections: Path | None,
) -> CommandResult:
    """Write the preview of each of ``films`` under its name."""
    from pipeline.film.job import with_correction
    from pipeline.process import prepare_process
    from pipeline.terminal import error_console, shown

    prepare_process()
    stop, documents, lines = StopRequest(), [], []
    with shown(error_console(), quiet=reporting.quiet) as progress:
        finish_on_signals(stop, progress.say)
        for film, name in zip(films, names, strict=True):
            stop.check()
            corrected, references = with_correction(film, options, correction_of(film, name, corrections))
            if isinstance(wanted, Span):
                document, line = _part(film, name, wanted, corrected, references, compare, progress, stop)
            else:
                document, line = _sheet(film, name, corrected, references, progress)
            documents.append(document)
            lines.append(line)
    return CommandResult({"preview": True, "previews": documents}, lines)


def _sheet(
    film: Path, name: Path, options: Options, references: FilmReferences, progress: Progress
) -> tuple[object, str]:
    from pipeline.film.contact_sheet import write_contact_sheet

    sheet = write_contact_sheet(film, name, options, references=references, progress=progress)
    some = "" if sheet.shots == sheet.shown else f"{sheet.shown:,} of "
    line = f"[bold green]{markup(name)}[/bold green]  preview: one frame of each of {some}{count(sheet.shots, 'shot')}"
    return to_json(sheet), line


def _part(
    film: Path,
    name: Path,
    span: Span,
    options: Options,
    references: FilmReferences,
    compare: Layout | None,
    progress: Progress,
    stop: StopRequest,
) -> tuple[object, str]:
    from pipeline.color.colorizer import open_colorizer
    from pipeline.film.comparison import write_comparisons
    from pipeline.film.excerpt import LACKING, excerpt, frame_number, moved
    from pipeline.film.job import colorize_video
    from pipeline.film.stated_frames import hints_elsewhere
    from pipeline.media.probe import Probes

    with writing(name):
        name.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=PARTIAL_PREFIX, dir=name.parent)
    with scratch as folder:
        # The user does not know the temporary folder beside the preview.
        with Renamed(Path(folder), name).errors():
            part = excerpt(film, span, Path(folder), rate=options.frame_rate)
        known = Probes(options.frame_rate)
        begin, end = part.origin + part.start, part.origin + span.start + span.seconds - LACKING
        wanted = moved(options, begin, end)
        if references.numbered:
            references = references.of_part(frame_number(known.of(film), part.start))
        renamed = Renamed(part.path, film)
        renaming = _RenamingProgress(progress, renamed)
        with renamed.errors(), open_colorizer(options, progress=renaming) as colorizer:
            result = colorize_video(
                part.path,
                name,
                wanted,
                references=references,
                elsewhere=hints_elsewhere(known.of(film), options, colorizer, begin, end),
                colorizer=colorizer,
                progress=renaming,
                stop=stop,
                description=f"preview: a part of a film, from {time_text(part.start)} on",
            )
            both = write_comparisons([result], options, compare, renaming, known=known)
    frames = count(result.frames, "frame")
    line = f"[bold green]{markup(name)}[/bold green]  preview: {frames} from {time_text(part.start)} on"
    if part.start < span.start:
        line += ", the key frame before the requested time"
    line += "".join(f"\n[bold green]{markup(path)}[/bold green]  before and after" for path in both)
    return {**to_json(replace(result, source=film)), "start_seconds": float(part.start)}, line


class _RenamingProgress:
    """Forwards progress with items and texts ``renamed``."""

    def __init__(self, progress: Progress, renamed: Renamed) -> None:
        def telling(tell: Callable[..., None]) -> Callable[..., None]:
            return lambda text, *more: tell(renamed(text), *more)

        self.begin, self.advance, self.end = telling(progress.begin), telling(progress.advance), telling(progress.end)
        self.say, self.note = telling(progress.say), telling(progress.note)
