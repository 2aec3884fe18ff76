"""The page itself: what holds without a script as HTML, the rest as data for the script."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from pipeline.archive.ledger import RunRecord
from pipeline.archive.preview_store import PREVIEWS
from pipeline.archive.report.data import MOST_ROWS, data
from pipeline.archive.report.fragments import (
    about_runs,
    figures,
    groups_of_failures,
    lead,
    parts,
    share_bar,
    table_of_notes,
)
from pipeline.archive.report.items import Survey
from pipeline.archive.report.previews import Pictures
from pipeline.version import program_version


def page(
    found: Survey, runs: Sequence[RunRecord], pictures: Pictures, *, source: Path, output: Path, now: float
) -> str:
    """Return the report as one HTML document without any reference to the network.

    All names and messages are escaped, the script writes them as text only, and the page's own policy allows no
    other script, no other style, and pictures from beside it only. ``now`` is in seconds since 1970.
    """
    style, script = _part("page.css"), _part("page.js")
    name = source.resolve().name or str(source)
    failures, notes, work = groups_of_failures(found), table_of_notes(found), about_runs(found, runs)
    return Template(_part("page.html")).substitute(
        policy=_policy(style, script),
        title=escape(f"{name}: report of Autochrome"),
        style=style,
        written=_time(now),
        name=escape(name),
        lead=lead(found, runs),
        figures=figures(found),
        bar=share_bar(found),
        contents=parts(found, has_notes=bool(notes)),
        failures=failures,
        about=_about(found),
        notes=notes,
        runs=work,
        footer=_footer(source, output),
        data=data(found, pictures, source=source, output=output, sidecars=_has_sidecars(runs)),
        script=script,
    )


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    hashes = {name: _hash(text) for name, text in (("style", style), ("script", script))}
    return (
        f"default-src 'none'; style-src '{hashes['style']}'; script-src '{hashes['script']}'; "
        "img-src data: file: 'self'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _time(seconds: float) -> str:
    when = datetime.fromtimestamp(seconds).astimezone()
    return f'<time datetime="{when.isoformat(timespec="seconds")}">{when:%A} {when.day} {when:%B %Y, %H:%M}</time>'


def _about(found: Survey) -> str:
    said = "Drag across a picture to compare before and after; a click on a name tells all about it."
    if found.doubtful:
        said += " Results that deserve a look come first, the most doubtful of all at the top."
    if len(found.items) > MOST_ROWS:
        said += f" Of {len(found.items):,} items the first {MOST_ROWS:,} are listed here; the ledger has all."
    return escape(said)


def _has_sidecars(runs: Sequence[RunRecord]) -> bool:
    return not runs or bool(runs[-1].options.get("orders", {}).get("sidecars", True))


def _footer(source: Path, output: Path) -> str:
    return escape(
        f"Autochrome {program_version()}. Sources: {source.resolve()}. Results: {output.resolve()}. The colours are "
        "made by a neural network: plausible, not historical. This page needs no network; small pictures beyond the "
        f"first few hundred are in {PREVIEWS} beside it."
    )
