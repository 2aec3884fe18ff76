from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
import typer

from pipeline.archive.run_options import Shard
from pipeline.commands.values import (
    parse_every,
    parse_hint,
    parse_rate,
    parse_shard,
    parse_since,
    parse_size,
    parse_until,
)
from pipeline.options import Hint, Unit


@pytest.fixture(params=["UTC", "America/St_Johns"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


def local(*numbers: int) -> datetime:
    return datetime(*numbers).astimezone()  # type: ignore[arg-type,misc]


def test_a_time_of_day_is_the_next_one_here(zone: str) -> None:
    evening, night, morning = local(2026, 1, 31, 22), local(2026, 2, 1, 3), local(2026, 2, 1, 6)
    assert parse_until("06:00", now=evening) == morning
    assert parse_until("06:00", now=night) == morning
    assert parse_until("06:00", now=morning) == local(2026, 2, 2, 6)
    assert parse_until("06:00:30", now=morning) == local(2026, 2, 1, 6, 0, 30)
    assert parse_until("06:00", now=night).utcoffset() == morning.utcoffset()


def test_a_day_on_which_clocks_change_ends_when_its_clock_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        found = parse_until("06:00", now=local(2026, 3, 28, 22))
        assert found == datetime(2026, 3, 29, 4, tzinfo=UTC)
        assert found - local(2026, 3, 28, 22) == timedelta(hours=7)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_moment_is_taken_as_it_is_written(zone: str) -> None:
    now = local(2026, 1, 1)
    assert parse_until("2026-01-31T06:00", now=now) == local(2026, 1, 31, 6)
    assert parse_until("2026-01-31T06:00Z", now=now) == datetime(2026, 1, 31, 6, tzinfo=UTC)
    assert parse_until("2026-01-31T06:00+02:00", now=now) == datetime(2026, 1, 31, 4, tzinfo=UTC)
    assert parse_since("2026-01-31") == local(2026, 1, 31)
    assert parse_since("2026-01-31T06:00Z") == datetime(2026, 1, 31, 6, tzinfo=UTC)


@pytest.mark.parametrize(("age", "hours"), [("36h", 36), ("7d", 168), ("2w", 336), ("0d", 0)])
def test_an_age_is_counted_back_from_now(age: str, hours: int) -> None:
    now = datetime(2026, 1, 31, 6, tzinfo=UTC)
    assert parse_since(age, now=now) == now - timedelta(hours=hours)


def test_sizes_are_decimal_unless_they_say_binary() -> None:
    sizes = {
        "0": 0,
        "1073741824": 1 << 30,
        "500MB": 500_000_000,
        "5GB": 5_000_000_000,
        "5 gb": 5_000_000_000,
        "5G": 5_000_000_000,
        "5GiB": 5 << 30,
        "1.5TiB": 3 << 39,
        "2kB": 2000,
        "12B": 12,
        "0.1kB": 100,
    }
    assert {text: parse_size(text) for text in sizes} == sizes
    assert parse_size(1 << 30) == 1 << 30


def test_a_shard_is_one_part_of_so_many() -> None:
    assert parse_shard("3/16") == Shard(index=3, count=16)
    assert parse_shard("1/1") == Shard(index=1, count=1)


def test_paces_and_rates() -> None:
    assert (parse_every("auto"), parse_every("3"), parse_every(1)) == (None, 3, 1)
    assert (parse_rate("23.976"), parse_rate(25)) == (Fraction(24000, 1001), 25)


WRONG: list[tuple[Callable[[object], object], str]] = [
    *((parse_until, text) for text in ("", "25:00", "soon", "06:00Z", "2020-01-31T06:00", "7d")),
    *((parse_since, text) for text in ("", "7", "7m", "-1d", "yesterday", "06:00")),
    *((parse_size, text) for text in ("", "GB", "-5GB", "5 bananas", "5iB", "1e9", "\u0665GB")),
    *((parse_shard, text) for text in ("", "0/4", "5/4", "3", "3/", "a/b", "-1/4", "1/0", "1/4/5", "\u0661/4")),
    *((parse_every, text) for text in ("", "0", "-1", "1.5", "often")),
    *((parse_rate, text) for text in ("", "0", "fast")),
]


@pytest.mark.parametrize(("parse", "text"), WRONG)
def test_what_is_not_understood_is_refused_by_name(parse: Callable[[object], object], text: str) -> None:
    with pytest.raises(typer.BadParameter) as caught:
        parse(text)
    assert text in caught.value.message


def test_a_hint_is_a_place_and_a_colour() -> None:
    assert parse_hint("0.25,0.5=#3a5fcd") == Hint(x=0.25, y=0.5, color="#3a5fcd")
    assert parse_hint("0,1=neutral") == Hint(x=0, y=1, color="neutral")
    assert parse_hint("120px,80px=#3A5FCD@2") == Hint(x=120, y=80, color="#3A5FCD", time=2, unit=Unit.PIXEL)


@pytest.mark.parametrize(
    "text",
    ["", "0.5=#ffffff", "0.5,0.5", "0.5,0.5=blue", "2,0=neutral", "a,b=neutral", "0,0,0=neutral", "9px,0.5=neutral"],
)
def test_other_words_are_no_hints(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="write X,Y="):
        parse_hint(text)


@pytest.mark.parametrize(("text", "time"), [("12.5", 12.5), ("1:12.5", 72.5), ("1:00:01", 3601)])
def test_a_hint_for_a_film_says_when(text: str, time: float) -> None:
    assert parse_hint(f"0.4,0.6=#3A5FCD@{text}") == Hint(x=0.4, y=0.6, color="#3A5FCD", time=time)


@pytest.mark.parametrize("text", ["0.4,0.6=#3A5FCD@", "0.4,0.6=#3A5FCD@soon", "0.4,0.6=#3A5FCD@-1"])
def test_a_hint_at_no_time_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="time"):
        parse_hint(text)
