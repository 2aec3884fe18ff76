"""``colorize-review``: a page on which a person corrects colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands import common_options
from pipeline.commands.common_options import EngineName
from pipeline.commands.configuration import ConfiguredCommand
from pipeline.commands.exits import CommandResult, Reporting, carry_out
from pipeline.commands.pages import NoBrowser, announcing, until_ctrl_c
from pipeline.errors import InputError, UsageError
from pipeline.options import Options
from pipeline.os_errors import check_is_no_stream, is_there, reading

if TYPE_CHECKING:
    from pipeline.review.catalogue import Catalogue

_HELP = common_options.folded("""
    Open a page in the browser for correcting colours: those of an output folder of colorize-archive, doubtful results
    first, or those of single photographs and films.

    Click on a wrong colour and choose the right one, change the saturation, or accept a good result. Corrections are
    kept beside the results, and every later run applies them. The originals are never touched.
    The page is served to this computer only. Ctrl-C ends it.
""")
_WHAT = "The output folder of colorize-archive, or photographs and films."
_SOURCE = "Where the originals of the archive are now, if they were moved."
_MODEL = "Weights: a name or an ONNX file. Default: those of the archive's last run, or fast."

commands = typer.Typer(add_completion=False)


@commands.command("review", cls=ConfiguredCommand, help=_HELP, epilog=common_options.EPILOG)
def _review(
    ctx: typer.Context,
    items: Annotated[
        list[Path], typer.Argument(metavar="OUTPUT|PHOTO|FILM", help=_WHAT, readable=False, show_default=False)
    ],
    source: Annotated[
        Path | None, common_options.option(common_options.RUN, "--source", metavar="DIR", help=_SOURCE)
    ] = None,
    engine: common_options.EngineOption = EngineName.AUTO,
    device: common_options.DeviceOption = Options.device,
    model: Annotated[
        str | None,
        common_options.option(common_options.RESULT, "--model", metavar="NAME|FILE", help=_MODEL, show_default=False),
    ] = None,
    output: common_options.Output = None,
    reference: common_options.ReferenceOption = None,
    corrections: common_options.Corrections = None,
    no_browser: NoBrowser = False,
    config: common_options.Config = None,  # noqa: ARG001 - read by its callback
    log_file: common_options.LogFile = None,
    verbose: common_options.Verbose = 0,
    version: common_options.Version = False,  # noqa: ARG001 - handled by its callback
) -> None:
    def action() -> CommandResult:
        from pipeline.color.colorizer import open_colorizer
        from pipeline.commands.targets import listed
        from pipeline.review.local import serve_locally
        from pipeline.review.server import review_app
        from pipeline.review.studio import Studio

        chosen = Options(
            engine=engine, device=device, model=model or Options.model, overwrite=True, reference=reference
        )
        is_stated = any(_is_typed(ctx, name) for name in ("output", "corrections"))
        catalogue = catalogue_of(
            listed(items), source, chosen, output=output, corrections=corrections, is_stated=is_stated
        )
        opened = replace(chosen, model=model or catalogue.options.model)
        with until_ctrl_c(), open_colorizer(opened) as colorizer:
            app = review_app(catalogue, Studio(colorizer, catalogue))
            serve_locally(app, ready=announcing("Review", no_browser=no_browser))
        return CommandResult({}, ())

    carry_out(Reporting(verbosity=verbose, log_file=log_file), action)


def _is_typed(ctx: typer.Context, name: str) -> bool:
    return getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"


def catalogue_of(
    items: Sequence[Path],
    source: Path | None,
    options: Options,
    *,
    output: Path | None,
    corrections: Path | None,
    is_stated: bool,
) -> Catalogue:
    """Return what to review: the archive, or the files, given as ``items``.

    ``output`` and ``corrections`` are those of the commands for single files. An archive has its own and ignores these,
    as shared settings, unless ``is_stated``: then they were given explicitly. Raises `InputError` for missing files,
    `UsageError` for incompatible arguments.
    """
    from pipeline.archive.catalogue import ArchiveCatalogue, is_archive
    from pipeline.archive.context import default_output as results_of
    from pipeline.commands.targets import is_film, targets
    from pipeline.corrections import check_corrections
    from pipeline.film.job import default_output as film_output
    from pipeline.media.probe import Probes
    from pipeline.photo.job import default_output
    from pipeline.review.catalogue import FILM, PHOTO, FileCatalogue

    for item in items:
        if not is_there(item):
            raise InputError(f"{item}: no such file or folder", advice="Check the path.")
        check_is_no_stream(item)
        with reading(item):
            if item.is_dir():
                next(item.iterdir(), None)
            else:
                item.open("rb").close()
    if len(items) == 1 and items[0].is_dir():
        # Given the folder of originals, look for the results made from it.
        found = next((folder for folder in (items[0], results_of(items[0])) if is_archive(folder)), None)
        if found is None:
            raise InputError(
                f"{items[0]}: holds no results of colorize-archive", advice=f"Run colorize-archive {items[0]} first."
            )
        if is_stated:
            raise UsageError(
                f"{found}: is an archive, which knows where its results and corrections are",
                advice="Leave --output and --corrections out.",
            )
        return ArchiveCatalogue(found, source=source)
    for item in items:
        if item.is_dir():
            raise UsageError(f"{item}: is a folder", advice="Name one archive, or photographs and films.")
    check_corrections(corrections)
    films = {item: is_film(item) for item in items}
    known = Probes(options.frame_rate)

    def default(item: Path) -> Path:
        return film_output(known.of(item), options) if films[item] else default_output(item)

    names = targets(items, output, default, overwrite=True, reference=options.reference)
    kinds = (FILM if films[item] else PHOTO for item in items)
    return FileCatalogue(list(zip(kinds, items, names, strict=True)), options, corrections=corrections, known=known)
