"""The page itself: parts that work without a script as HTML from a Jinja2 template, the rest as data for the script."""

from __future__ import annotations

import hashlib
import os
import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from pipeline.archive.context import Archive
from pipeline.archive.ledger import RunOutcome, RunRecord, State
from pipeline.archive.report.attention import REASONS
from pipeline.archive.report.groups import Group
from pipeline.archive.report.items import FIELDS, MEASURES, REFUSED, WITHOUT_RESULT, Rows, as_json, link
from pipeline.archive.report.previews import FOLDER, Pictures
from pipeline.archive.report.summary import LISTED, STATES, Summary
from pipeline.archive.run_options import RunOptions
from pipeline.documents import from_json
from pipeline.results import shell_line
from pipeline.version import program_version

_OPEN = 3  # reasons that are expanded
_RUNS = 14
_NOTES = {
    "assumed": "Assumed",
    "fallback": "Fall-back",
    "concealed": "Concealed",
    "dropped": "Dropped",
    "converted": "Converted",
}
_VERBATIM = {"\\\\?\\UNC\\": "\\\\", "\\\\?\\": ""}
_OUTCOMES = {None: "interrupted or active", RunOutcome.UNTIL: "stopped at the set time"}


@dataclass(frozen=True, kw_only=True)
class ShardLine:
    """Progress of a shard of the archive: its ``name`` (``2 of 8``), whether it ``needs_look``, in ``words``."""

    name: str
    needs_look: bool
    words: str


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A page of the contact sheet, at ``address`` below the output folder, with the items ``first`` to ``last``."""

    number: int
    address: str
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The content of one page, with the ``rows`` of its ``sheet``.

    ``shards`` is empty for an undivided archive; ``again`` lists those that should be run again.
    """

    summary: Summary
    rows: Rows
    sheet: Sheet
    sheets: Sequence[Sheet]
    runs: Sequence[RunRecord]
    left_out: Mapping[str, Any]
    pictures: Pictures
    shards: Sequence[ShardLine]
    again: str
    archive: Archive


def page(contents: Contents, *, now: float) -> str:
    """Return the report as one HTML document without any reference to the network.

    All names and messages are escaped by the template engine, the script writes them as text only, and the page's own
    policy allows no other script, and only pictures and packs of pictures stored beside it. ``now`` is in seconds since
    1970.
    """
    template, style, script = _parts()
    found, source = contents.summary, contents.archive.source
    return template.render(
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=Markup(_data(contents)),
        name=source.resolve().name or str(source),
        now=now,
        found=found,
        last=contents.runs[-1] if contents.runs else None,
        tiles=_tiles(contents),
        bar=_segments(_shares(found), max(1, found.count)),
        without_result=sum(found.states[state] for state in WITHOUT_RESULT),
        failures=_failures(found),
        notes=_notes(found),
        in_doubt=found.in_doubt,
        left_out=contents.left_out,
        shards=contents.shards,
        again=contents.again,
        sheet=contents.sheet,
        sheets=[(sheet, _from(contents.sheet, sheet.address)) for sheet in contents.sheets],
        words=_sheet_words(found, contents.sheet),
        pace=_pace(found, contents.runs),
        runs=_runs(contents.runs),
        version=program_version(),
        source=source.resolve(),
        output=contents.archive.output.resolve(),
        previews=FOLDER,
    )


@cache
def _parts() -> tuple[Template, str, str]:
    """Return the page's template, compiled once for all sheets, its style and its script."""
    loader = PackageLoader(__package__)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": _count, "duration": duration, "when": _when, "date": _date, "iso": _iso}
    style, script = (loader.get_source(environment, name)[0] for name in ("page.css", "page.js"))
    return environment.get_template("page.html"), style, script


def _policy(style: str, script: str) -> str:
    return (
        f"default-src 'none'; style-src '{_hash(style)}' file: 'self'; script-src '{_hash(script)}'; "
        "img-src data: file: 'self'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _tiles(contents: Contents) -> list[dict[str, Any]]:
    """Return the numbers in the header, each with a link to its items on the first sheet that has some."""
    doubtful = contents.summary.doubtful
    tiles = [
        _tile_of(contents, "done", "done in all", State.DONE),
        _tile_of(contents, "failed", "failed", State.FAILED),
        _tile_of(contents, "quarantined", "quarantined", State.QUARANTINED),
        _tile_of(contents, "waiting", "waiting", State.WAITING, State.RUNNING),
        {"name": "look", "count": doubtful, "words": "deserve a look", "by": "reason", "value": "look:", "address": ""},
        _tile_of(contents, "refused", "refused", State.REFUSED),
        _tile_of(contents, "gone", "without source", State.GONE),
    ]
    return [tile for tile in tiles if tile["count"] or tile["name"] not in ("refused", "gone")]


def _tile_of(contents: Contents, name: str, words: str, *states: State) -> dict[str, Any]:
    found = contents.summary
    count, address = sum(found.states[state] for state in states), _sheet_with(contents, found.first(*states))
    return {"name": name, "count": count, "words": words, "by": "state", "value": name, "address": address}


def _sheet_with(contents: Contents, place: int | None) -> str:
    """Return the address of the sheet that has the item at ``place``; empty if it is the current one."""
    found = next((sheet for sheet in contents.sheets if place is not None and place < sheet.last), contents.sheet)
    return "" if found == contents.sheet else _from(contents.sheet, found.address)


def _from(sheet: Sheet, address: str) -> str:
    return f"{_root(sheet)}{address}"


def _root(sheet: Sheet) -> str:
    """Return the output folder's address relative to ``sheet``."""
    return "../" * sheet.address.count("/")


def _sheet_words(found: Summary, sheet: Sheet) -> str:
    codes = np.unique(found.codes[sheet.first : sheet.last])
    return ", ".join(STATES[code].value for code in codes)


def _shares(found: Summary) -> list[tuple[str, int]]:
    states = found.states
    done = states[State.DONE] + states[State.GONE]
    broken = states[State.FAILED] + states[State.QUARANTINED]
    rest = found.count - done - broken - states[State.REFUSED]
    return [("done", done), ("failed", broken), ("refused", states[State.REFUSED]), ("waiting", rest)]


def _segments(shares: Iterable[tuple[str, int]], total: float) -> list[dict[str, str]]:
    """Return the rectangles of a bar, in percent of its width."""
    segments, left = [], 0.0
    for kind, count in shares:
        # Even one of very many items must be visible.
        width = max(100 * count / total, 0.6) if count else 0.0
        segments.append({"kind": kind, "x": f"{left:.2f}", "width": f"{width:.2f}"})
        left += width
    return segments


def _failures(found: Summary) -> list[dict[str, Any]]:
    """Return the items without a result, by reason, most frequent first and those refused by design last."""
    groups = [group for group in found.failures if group.number in found.members]
    groups.sort(key=lambda group: (group.kind == REFUSED, -group.count))
    return [
        {
            "group": group,
            "is_refused": group.kind == REFUSED,
            "is_open": place < _OPEN,
            "items": found.members[group.number],
            "has_more": group.count > LISTED,
        }
        for place, group in enumerate(groups)
    ]


def _notes(found: Summary) -> list[dict[str, Any]]:
    order = list(_NOTES)
    groups = sorted(found.notes, key=lambda group: (order.index(group.kind), -group.count))
    return [{"group": group, "kind": _NOTES[group.kind]} for group in groups]


def _pace(found: Summary, runs: Sequence[RunRecord]) -> list[tuple[str, str]]:
    pace = []
    last = next((run for run in reversed(runs) if run.ended is not None and run.done), None)
    if last is not None and last.ended is not None and last.ended > last.started:
        hourly = 3600 * last.done / (last.ended - last.started)
        pace.append((f"{hourly:,.0f}", "items per hour in the last run that had work"))
    if found.photo_seconds is not None:
        pace.append((f"{found.photo_seconds:.2g} s", "median time per photograph"))
    if found.film_seconds > 0:
        pace.append((f"{found.frames / found.film_seconds:,.1f}", "film frames per second, over all films"))
    return pace


def _runs(runs: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """Return the last runs, latest first."""
    most = max((run.done + run.failed for run in runs), default=0) or 1
    shown = []
    for run in reversed(runs[-_RUNS:]):
        took = None if run.ended is None else run.ended - run.started
        shown.append(
            {
                "run": run,
                "took": took,
                "outcome": run.error or _OUTCOMES.get(run.outcome, run.outcome),
                "hourly": f"{3600 * run.done / took:,.0f}" if took else "",
                "bar": _segments([("done", run.done), ("failed", run.failed)], most),
            }
        )
    return shown


def _data(contents: Contents) -> str:
    """Return the JSON for the page's script, safe to embed in an HTML element."""
    found, archive = contents.summary, contents.archive
    document = {
        "fields": FIELDS,
        "measures": MEASURES,
        "reasons": REASONS,
        "failures": _groups(found.failures),
        "notes": _groups(found.notes),
        "pictures": contents.pictures,
        "total": found.count,
        "root": _root(contents.sheet),
        "archive": shell_line(replace(archive, run_options=_asked(contents.runs)).command()),
        "review": shell_line(["colorize-review", str(archive.output.resolve())]),
        "quote": '"' if sys.platform == "win32" else "'",
        "source": _address(archive.source, (archive.output / contents.sheet.address).parent),
        "sidecars": _has_sidecars(contents.runs),
        "texts": contents.rows.texts(),
    }
    text = f'{{"rows":[{contents.rows.all()}],{as_json(document)[1:]}'
    return text.replace("<", "\\u003c")


def _groups(groups: Iterable[Group]) -> list[dict[str, Any]]:
    return [{"kind": group.kind, "text": group.text, "count": group.count} for group in groups]


def _address(source: Path, folder: Path) -> str:
    """Return the address of the sources relative to a page in ``folder``, with a final slash; absolute if necessary."""
    try:
        return link(Path(os.path.relpath(source.resolve(), folder.resolve())).as_posix()) + "/"
    except ValueError:
        return as_uri(source.resolve()) + "/"


def as_uri(path: PurePath) -> str:
    r"""Return the absolute ``path`` as a URI for browsers, without the ``\\?\`` of Windows' verbatim paths."""
    for prefix, plain in _VERBATIM.items():
        usual = type(path)(str(path).replace(prefix, plain, 1))
        if str(path).startswith(prefix) and usual.is_absolute():
            return usual.as_uri()
    return path.as_uri()


def _has_sidecars(runs: Sequence[RunRecord]) -> bool:
    return not runs or bool(runs[-1].options.get("run_options", {}).get("sidecars", True))


def _asked(runs: Sequence[RunRecord]) -> RunOptions:
    """Return the options of the last run."""
    return from_json(RunOptions, runs[-1].options["run_options"]) if runs else RunOptions()


def _count(number: int) -> str:
    return f"{number:,}"


def _local(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds).astimezone()


def _iso(seconds: float) -> str:
    return _local(seconds).isoformat(timespec="seconds")


def _date(seconds: float) -> str:
    when = _local(seconds)
    return f"{when:%A} {when.day} {when:%B %Y, %H:%M}"


def _when(seconds: float) -> str:
    when = _local(seconds)
    return f"{when:%a} {when.day} {when:%b, %H:%M}"


def duration(seconds: float) -> str:
    """Format ``seconds`` for people: ``6 h 02 min``, ``3 min 20 s``, ``7 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
