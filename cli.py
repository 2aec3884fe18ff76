"""Entry points of the commands, which are in `pipeline.commands`."""

from __future__ import annotations

import importlib
import os
import sys
from io import TextIOWrapper
from pathlib import Path

import typer


def _check_siblings() -> None:
    # Other distributions use these names too, and pip silently overwrites or shadows them (docs/adr/0001).
    for name in ("pipeline", "engines", "training"):
        package = importlib.import_module(name)
        folder = Path(package.__file__ or "").resolve().parent.parent
        if getattr(package, "DISTRIBUTION", "") != "autochrome-archive" or folder != Path(__file__).resolve().parent:
            sys.stderr.write(
                f"Error: the Python package {name!r} in {folder} is not Autochrome's.\n"
                "  Another package of that name is installed beside it. Give Autochrome an environment of its own:\n"
                "  pipx install autochrome-archive, uv tool install autochrome-archive, or a new virtual environment\n"
            )
            raise SystemExit(8)


_check_siblings()

from pipeline.commands.archive import commands as _archive  # noqa: E402 - only after the check
from pipeline.commands.exits import Reporting, error_document, refuse  # noqa: E402
from pipeline.commands.model_quiz import commands as _model  # noqa: E402
from pipeline.commands.photo import commands as _photo  # noqa: E402
from pipeline.commands.review import commands as _review  # noqa: E402
from pipeline.commands.video import commands as _video  # noqa: E402
from pipeline.documents import json_text  # noqa: E402
from pipeline.errors import AutochromeError  # noqa: E402
from pipeline.process import before_numpy  # noqa: E402

CONFIGURED = (_video, _photo, _archive, _review)
"""The commands that share a settings file and environment variables."""


def video() -> None:
    """Run ``colorize-video``."""
    _run(_video)


def photo() -> None:
    """Run ``colorize-photo``."""
    _run(_photo)


def archive() -> None:
    """Run ``colorize-archive``."""
    _run(_archive)


def review() -> None:
    """Run ``colorize-review``."""
    _run(_review)


def model() -> None:
    """Run ``colorize-model``."""
    _run(_model)


def _run(commands: typer.Typer) -> None:
    before_numpy()
    if isinstance(sys.stdout, TextIOWrapper):
        # Names contain characters that the output's encoding may not support; standard error escapes them itself.
        sys.stdout.reconfigure(errors="backslashreplace")
    json = "--json" in sys.argv or os.environ.get("AUTOCHROME_JSON", "").lower() in ("1", "true", "yes", "on")
    try:
        raise SystemExit(commands(standalone_mode=not json, obj=CONFIGURED))
    except typer.TyperException as error:
        # An invalid command line: machines get a single JSON document here, too.
        message = error.format_message()
        typer.echo(f"Error: {message}", err=True)
        typer.echo(json_text(error_document("UsageError", message, "See --help.", error.exit_code)))
        raise SystemExit(error.exit_code) from error
    except AutochromeError as error:
        refuse(Reporting(json=json), error)
