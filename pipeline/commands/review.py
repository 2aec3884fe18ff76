"""``colorize-review``: a page on which a person sets colours right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands import common_options
from pipeline.commands.common_options import EngineName
from pipeline.commands.configuration import ConfiguredCommand
from pipeline.commands.exits import Answer, Reporting, carry_out
from pipeline.errors import InputError
from pipeline.interruption import Cancelled
from pipeline.options import Options

_HELP = common_options.folded("""
    Open a page in the browser on which colours of photographs are set right.

    Click on a colour that is wrong and say what it should be; turn the saturation down; accept what is good. What you
    save is kept beside the results and respected by every later run. The photographs themselves are never touched.
    The page is served to this computer alone. Ctrl-C ends it.
""")
_PHOTO = "Photographs to review."
_CTRL_C = 130

commands = typer.Typer(add_completion=False)


@commands.command("review", cls=ConfiguredCommand, help=_HELP, epilog=common_options.EPILOG)
def _review(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help=_PHOTO, show_default=False)],
    engine: common_options.EngineOption = EngineName.AUTO,
    device: common_options.DeviceOption = Options.device,
    model: common_options.ModelOption = "fast",
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address instead of opening it.", show_envvar=False)
    ] = False,
    config: common_options.Config = None,  # noqa: ARG001 - read by its callback
    log_file: common_options.LogFile = None,
    verbose: common_options.Verbose = 0,
    version: common_options.Version = False,  # noqa: ARG001 - handled by its callback
) -> None:
    def action() -> Answer:
        from pipeline.color.colorizer import open_colorizer
        from pipeline.photo.job import default_output
        from pipeline.review.catalogue import PhotoFiles
        from pipeline.review.serve import serve_review
        from pipeline.review.studio import Studio

        for photo in photos:
            if not photo.is_file():
                raise InputError(f"{photo}: no such file", advice="Check the path.")
        options = Options(engine=engine, device=device, model=model, overwrite=True)
        catalogue = PhotoFiles([(photo, default_output(photo)) for photo in photos])

        def ready(address: str) -> None:
            typer.echo(f"Review: {address}")
            typer.echo("Ctrl-C ends it.", err=True)
            if not no_browser:
                typer.launch(address)

        try:
            with open_colorizer(options) as colorizer:
                serve_review(catalogue, Studio(colorizer, options), ready=ready)
        except Cancelled as ending:
            # For a page that is served until somebody ends it, Ctrl-C is how it ends well.
            if ending.exit_code != _CTRL_C:
                raise
        return Answer({}, ())

    carry_out(Reporting(verbosity=verbose, log_file=log_file), action)
