"""Parse command line values: times, ages, sizes, shards, rates."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from fractions import Fraction

import typer

from pipeline.archive.run_options import Shard
from pipeline.errors import UsageError
from pipeline.film_time import TIME, seconds_of
from pipeline.options import Hint, Span, Unit

SHOTS = "shots"
_AGES = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_POWERS = "kmgtp"
_SHARE = r"(?:\d+(?:\.\d*)?|\.\d+)"


def parse_every(text: object) -> int | None:
    """Return N for ``"N"``, None for ``"auto"``. Raises `typer.BadParameter` for anything else."""
    if text == "auto":
        return None
    if str(text).isdecimal() and int(str(text)) > 0:
        return int(str(text))
    raise typer.BadParameter(f"{text!r} is neither auto nor a whole number of at least 1.")


def parse_device(text: object) -> str:
    """Return the name of a device known to the engines. Raises `typer.BadParameter` for anything else."""
    from engines.errors import EngineError
    from engines.registry import require_device

    device = str(text).lower()
    try:
        require_device(device)
    except EngineError as error:
        raise typer.BadParameter(f"{error}. {error.advice}") from error
    return device


def parse_hint(text: object) -> Hint:
    """Return the hint in ``0.4,0.6=#3A5FCD`` or ``120px,80px=neutral``, for films with a time: ``...@1:12.5``.

    Raises `typer.BadParameter` for anything else.
    """
    place = rf"(?:({_SHARE}),({_SHARE})|(\d{{1,6}})px,(\d{{1,6}})px)"
    found = re.fullmatch(rf"{place}=(#[0-9A-Fa-f]{{6}}|neutral)(?:@({TIME}))?", str(text), re.ASCII)
    is_share = found is not None and found[1] is not None
    if found is None or (is_share and max(float(found[1]), float(found[2])) > 1):
        raise typer.BadParameter(
            f"{text!r} is not a hint: write X,Y=#RRGGBB or X,Y=neutral, with X and Y from 0 (left, top) to 1 (right, "
            "bottom), as in 0.4,0.6=#3A5FCD, or in pixels: 120px,80px=#3A5FCD; for films with a time: "
            "0.4,0.6=#3A5FCD@1:12.5."
        )
    time = None if found[6] is None else float(seconds_of(found[6]))
    x, y = (found[1], found[2]) if is_share else (found[3], found[4])
    unit = Unit.SHARE if is_share else Unit.PIXEL
    return Hint(x=float(x), y=float(y), color=found[5], time=time, unit=unit)


def parse_preview(text: object) -> Span | str:
    """Return the part of a film given by ``10s``, ``1m30s@0:05:00`` or ``10s@300``, or ``shots`` unchanged.

    Raises `typer.BadParameter` for anything else.
    """
    if text == SHOTS:
        return SHOTS
    found = re.fullmatch(rf"(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:@({TIME}))?", str(text), re.ASCII)
    seconds = Fraction(0) if found is None else 60 * int(found[1] or 0) + Fraction(found[2] or 0)
    if found is None or seconds <= 0:
        raise typer.BadParameter(f"{text!r}: write shots, or a length and where it begins: 10s, 10s@0:05:00.")
    return Span(seconds=seconds, start=seconds_of(found[3] or "0"))


def parse_rate(text: object) -> Fraction:
    """Return frames per second from ``24``, ``23.976`` or ``24000/1001``. Raises `typer.BadParameter`."""
    from pipeline.media import sequence

    try:
        return sequence.parse_rate(str(text))
    except UsageError as error:
        raise typer.BadParameter(f"{error}. {error.advice}") from error


def parse_until(text: object, *, now: datetime | None = None) -> datetime:
    """Return the next local ``06:00`` after ``now``, or the time given in ISO 8601 as ``2026-01-31T06:00``.

    The value has a UTC offset, the local one if the text gives none. Raises `typer.BadParameter` for other texts, and
    for times in the past.
    """
    now = now or datetime.now().astimezone()
    try:
        clock = time.fromisoformat(str(text))
    except ValueError:
        moment = _moment(str(text), "06:00 or 2026-01-31T06:00")
        if moment <= now:
            raise typer.BadParameter(f"{text} has already passed.") from None
        return moment
    if clock.tzinfo is not None:
        raise typer.BadParameter(f"{text!r}: a time of day is local; write it without a time zone.")
    # Local days may be 23 or 25 hours long, so the offset is looked up again for the next day.
    days = (now.replace(tzinfo=None) + timedelta(days=number) for number in (0, 1))
    return next(m for m in (datetime.combine(day, clock).astimezone() for day in days) if m > now)


def parse_since(text: object, *, now: datetime | None = None) -> datetime:
    """Return the local start of ``2026-01-31``, an ISO 8601 time, or the time ``7d`` (h, d, w) before ``now``.

    The value has a UTC offset. Raises `typer.BadParameter` for other texts.
    """
    if age := re.fullmatch(r"(\d{1,5})([hdw])", str(text)):
        return (now or datetime.now().astimezone()) - int(age[1]) * _AGES[age[2]]
    return _moment(str(text), "2026-01-31, 2026-01-31T06:00, 36h, 7d or 2w")


def parse_shard(text: object) -> Shard:
    """Return shard I of N for ``I/N``, with I from 1 to N. Raises `typer.BadParameter` for anything else."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", str(text), re.ASCII)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise typer.BadParameter(f"{text!r} is not a shard: write 3/16 for the third of sixteen.")
    return Shard(index=int(found[1]), count=int(found[2]))


def parse_place(text: object) -> str:
    """Return where to run, in the form of `RunOptions.on`. Raises `typer.BadParameter` for anything else."""
    place = str(text)
    if place not in ("threads", "processes", "ray") and not re.fullmatch(r"ray://[^/\s]+", place):
        raise typer.BadParameter(f"{place!r}: write threads, processes, ray, or ray://HOST or ray://HOST:PORT.")
    return place


def parse_size(text: object) -> int:
    """Return bytes: ``5GB`` is 5,000,000,000 and ``5GiB`` 5 x 1024^3; also k, M, T, P; a bare number is bytes.

    Case is ignored, and ``5G`` means ``5GB``. Raises `typer.BadParameter` for anything else.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(?:([kmgtp])(i?))?b?", str(text).strip().lower(), re.ASCII)
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a size: write 500MB, 5GB or 5GiB.")
    base = 1024 if found[3] else 1000
    power = _POWERS.index(found[2]) + 1 if found[2] else 0
    return int(Fraction(found[1]) * base**power)


def _moment(text: str, examples: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{text!r} is not a time: write {examples}.") from error
