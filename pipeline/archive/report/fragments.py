"""Pieces of HTML for `page`; everything that comes from the archive is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from html import escape

from pipeline.archive.ledger import RunRecord, State
from pipeline.archive.report.groups import Group
from pipeline.archive.report.items import REFUSED, WITHOUT_RESULT, Item, Survey

_LISTED = 12  # names below a reason; the contact sheet has the others
_OPEN = 3  # reasons that are unfolded
_RUNS = 14
_NOTES = {
    "assumed": "Assumed",
    "fallback": "Fall-back",
    "concealed": "Concealed",
    "dropped": "Dropped",
    "converted": "Converted",
}
_COLUMNS = (
    ("Run", ""),
    ("Began", ""),
    ("Took", "number"),
    ("Outcome", ""),
    ("Done", "number"),
    ("Failed", "number"),
    ("Skipped", "number"),
    ("An hour", "number"),
    ("Share of work", ""),
    ("Version", ""),
)
_OUTCOMES = {"": "broken off, or at work", "until": "stopped at the time set"}


def lead(found: Survey, runs: Sequence[RunRecord]) -> str:
    """Return the sentence that an archivist in a hurry reads."""
    whole = f"{len(found.items):,} items"
    if not runs:
        return f"No run is known yet; {whole} are."
    last = runs[-1]
    if last.ended is None:
        began = f"Run {last.number} began {_when(last.started)} and has not ended: it goes on, or it died. "
        return began + "The next one goes on where it stopped."
    took = duration(last.ended - last.started)
    parts = [f"<strong>{last.done:,} done</strong>", f"{last.failed:,} failed"]
    if last.skipped:
        parts.append(f"{last.skipped:,} skipped because they were finished before")
    ended = f"Run {last.number} ended {_when(last.ended)} after {took}: {_listed(parts)}."
    if found.doubtful:
        verb = "result deserves" if found.doubtful == 1 else "results deserve"
        return f"{ended} Of all, {found.doubtful:,} {verb} a look."
    return f"{ended} No result stands out."


def figures(found: Survey) -> str:
    """Return the five numbers, each of which leads to its items; a sixth where something was refused."""
    states = found.states
    waiting = states[State.WAITING] + states[State.RUNNING]
    shown = (
        (states[State.DONE], "done", "done", 'data-state="done"'),
        (states[State.FAILED], "failed", "failed", 'data-state="failed"'),
        (states[State.QUARANTINED], "quarantined", "quarantined", 'data-state="quarantined"'),
        (waiting, "waiting", "waiting", 'data-state="waiting"'),
        (found.doubtful, "deserve a look", "look", 'data-reason="look:"'),
        *([(states[State.REFUSED], "refused", "refused", 'data-state="refused"')] if states[State.REFUSED] else []),
    )
    tiles = (
        f'<li class="{name}{"" if count else " none"}"><a href="#sheet" {to}>'
        f"<b>{count:,}</b><span>{words}</span></a></li>"
        for count, words, name, to in shown
    )
    return f'<ul class="figures">{"".join(tiles)}</ul>'


def share_bar(found: Survey) -> str:
    """Return how far the archive is as a bar."""
    states, whole = found.states, max(1, len(found.items))
    broken = states[State.FAILED] + states[State.QUARANTINED]
    segments = (("done", states[State.DONE]), ("failed", broken), ("refused", states[State.REFUSED]))
    return _bar((*segments, ("waiting", whole - sum(count for _, count in segments))), whole, name="bar")


def _bar(segments: Iterable[tuple[str, int]], whole: float, *, name: str = "") -> str:
    rectangles, left = [], 0.0
    for kind, count in segments:
        width = 100 * count / whole
        # What is there is seen, be it one of very many.
        width = max(width, 0.6) if count else 0
        rectangles.append(f'<rect class="{kind}" x="{left:.2f}" width="{width:.2f}" height="1"/>')
        left += width
    marked = f' class="{name}"' if name else ""
    return f'<svg{marked} viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">{"".join(rectangles)}</svg>'


def parts(found: Survey, *, has_notes: bool) -> str:
    """Return the links to the parts of the page."""
    without = sum(found.states[state] for state in WITHOUT_RESULT)
    shown = [("failures", "Without result", without), ("sheet", "Contact sheet", len(found.items))]
    if has_notes:
        shown.append(("notes", "Assumptions and drops", len(found.notes)))
    entries = (f'<li><a href="#{to}">{words} <b>{count:,}</b></a></li>' for to, words, count in shown)
    return "".join(entries) + '<li><a href="#runs">Runs and pace</a></li>'


def groups_of_failures(found: Survey) -> str:
    """Return what has no result, by reason, the most frequent first."""
    members: dict[int, list[Item]] = {}
    for item in found.items:
        if item.error is not None:
            members.setdefault(item.error[0], []).append(item)
    if not members:
        return _section("failures", "Without result", '<p class="allwell">Nothing failed.</p>')
    ordered = sorted(found.failures, key=lambda group: (group.kind == REFUSED, -group.count))
    shown = (_failure(group, members[group.number], is_open=place < _OPEN) for place, group in enumerate(ordered))
    about = (
        '<p class="about">Failed items are tried again by the next run. Quarantined ones failed in several runs and '
        "wait until the file or the settings change. Refused ones, the last in the list, are of a kind that is not "
        "coloured: they count as no failure and are not tried again.</p>"
    )
    return _section("failures", "Without result", f'{about}<div class="groups">{"".join(shown)}</div>')


def _failure(group: Group, items: list[Item], *, is_open: bool) -> str:
    names = "".join(
        f"<li>{escape(item.path)}{_attempts(item)}</li>" for item in sorted(items, key=lambda one: one.path)[:_LISTED]
    )
    advice = f'<p class="advice"><b>What to do:</b> {escape(group.advice)}</p>' if group.advice else ""
    classes = "group refused" if group.kind == REFUSED else "group"
    more = f"Show all {group.count:,}" if group.count > _LISTED else "Show in the contact sheet"
    return (
        f'<details class="{classes}"{" open" if is_open else ""}>'
        f"<summary><b>{group.count:,}</b><span>{escape(group.text)}</span></summary>"
        f'<div class="group-body">{advice}<ul class="paths">{names}</ul>'
        f'<a href="#sheet" data-reason="failure:{group.number}">{more}</a></div></details>'
    )


def _attempts(item: Item) -> str:
    if item.state is State.QUARANTINED:
        return f" <small>quarantined after {item.attempts:,} runs</small>"
    return f" <small>{item.attempts:,} runs</small>" if item.attempts > 1 else ""


def table_of_notes(found: Survey) -> str:
    """Return what was assumed, dropped, converted or concealed, counted; empty if nothing was."""
    if not found.notes:
        return ""
    order = list(_NOTES)
    rows = (
        f'<tr><th scope="row">{_NOTES[group.kind]}</th><td class="wide">{escape(group.text)}</td>'
        f'<td class="number"><a href="#sheet" data-reason="note:{group.number}">{group.count:,}'
        f'<span class="hidden-text"> items: show them</span></a></td></tr>'
        for group in sorted(found.notes, key=lambda group: (order.index(group.kind), -group.count))
    )
    head = '<th scope="col">Kind</th><th scope="col">What</th><th scope="col" class="number">Items</th>'
    about = '<p class="about">Nothing is guessed, dropped or replaced in silence. A number leads to its items.</p>'
    return _section("notes", "Assumptions and drops", about + _table(head, rows, name="Assumptions and drops"))


def about_runs(found: Survey, runs: Sequence[RunRecord]) -> str:
    """Return how fast it goes and the last runs, the latest first."""
    pace = []
    last = next((run for run in reversed(runs) if run.ended is not None and run.done), None)
    if last is not None and last.ended is not None and last.ended > last.started:
        hourly = 3600 * last.done / (last.ended - last.started)
        pace.append((f"{hourly:,.0f}", "items an hour in the last run that had work"))
    if found.photo_seconds is not None:
        pace.append((f"{found.photo_seconds:.2g} s", "for a photograph, half of them took less"))
    if found.film_seconds > 0:
        pace.append((f"{found.frames / found.film_seconds:,.1f}", "frames of film a second, over all films"))
    terms = "".join(f"<div><dt>{words}</dt><dd>{value}</dd></div>" for value, words in pace)
    described = f'<dl class="pace">{terms}</dl>' if pace else ""
    head = "".join(f'<th scope="col"{_classed(kind)}>{words}</th>' for words, kind in _COLUMNS)
    most = max((run.done + run.failed for run in runs), default=0) or 1
    rows = (_run(run, most) for run in reversed(runs[-_RUNS:]))
    table = _table(head, rows, name="The last runs") if runs else "<p>No run is known yet.</p>"
    return _section("runs", "Runs and pace", described + table)


def _run(run: RunRecord, most: int) -> str:
    took = None if run.ended is None else run.ended - run.started
    hourly = f"{3600 * run.done / took:,.0f}" if took else ""
    cells = (
        ("", _when(run.started)),
        ("number", "" if took is None else duration(took)),
        ("", escape(_OUTCOMES.get(run.outcome, run.outcome))),
        ("number", f"{run.done:,}"),
        ("number", f"{run.failed:,}"),
        ("number", f"{run.skipped:,}"),
        ("number", hourly),
        ("", _bar((("done", run.done), ("failed", run.failed)), most)),
        ("", escape(run.version)),
    )
    values = "".join(f"<td{_classed(kind)}>{text}</td>" for kind, text in cells)
    return f'<tr><th scope="row">{run.number}</th>{values}</tr>'


def _table(head: str, rows: Iterable[str], *, name: str) -> str:
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="scroll" role="region" aria-label="{name}" tabindex="0">{body}</div>'


def _section(identity: str, title: str, body: str) -> str:
    opened = f'<section id="{identity}" aria-labelledby="{identity}-title">'
    return f'{opened}<h2 id="{identity}-title">{title}</h2>{body}</section>'


def _classed(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _listed(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


def _when(seconds: float) -> str:
    when = datetime.fromtimestamp(seconds).astimezone()
    return f'<time datetime="{when.isoformat(timespec="seconds")}">{when:%a} {when.day} {when:%b, %H:%M}</time>'


def duration(seconds: float) -> str:
    """Return ``seconds`` as people say it: ``6 h 02 min``, ``3 min 20 s``, ``7 s``."""
    whole = timedelta(seconds=round(seconds))
    minutes, rest = divmod(int(whole.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
