"""What is written as JSON is read back as the same typed values."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive.run_options import RunOptions, Shard
from pipeline.documents import from_json, json_text, result_from_json, to_json
from pipeline.options import Codec, Options, Tone
from pipeline.results import FilmResult, Note, NoteKind, PhotoResult, Preview, SourceTone, Treatment
from tests.pipeline.archive.outcomes import CALM, film, photo, preview


def through_text(value: Any) -> Any:
    """The JSON values of ``value`` after they were written and read."""
    return json.loads(json.dumps(to_json(value), allow_nan=False))


@pytest.mark.parametrize(
    "value",
    [
        Options(frame_rate=Fraction(24000, 1001), codec=Codec.AV1, tone=Tone.KEEP, every=3),
        RunOptions(until=datetime(2026, 1, 31, 6, tzinfo=UTC), shard=Shard(index=3, count=16), include=("*.tif",)),
        RunOptions(log=Path("a/b.jsonl"), since=None),
        Preview(label="0:00:04.2", before=b"\xff\xd8\x00", after=b""),
        Note(NoteKind.DROPPED, "späte Untertitel"),
        CALM,
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_come_back_the_same(value: Any) -> None:
    assert from_json(type(value), through_text(value)) == value


@pytest.mark.parametrize("make", [film, photo])
def test_a_result_comes_back_as_what_it_was_but_for_its_previews(tmp_path: Path, make: Any) -> None:
    result = make(tmp_path / "in", tmp_path / "out", measures=CALM, previews=(preview(),))
    values = through_text(result)
    again = result_from_json(values)
    assert again == replace(result, previews=())
    assert "previews" not in values


def test_what_a_result_says_of_its_source_are_typed_values(tmp_path: Path) -> None:
    photograph = result_from_json(through_text(photo(tmp_path / "in", tmp_path / "out")))
    assert isinstance(photograph, PhotoResult)
    assert all(isinstance(tone, SourceTone) for tone in photograph.tones)
    assert photograph.treatment is Treatment.COLOURED
    moving = result_from_json(through_text(film(tmp_path / "in", tmp_path / "out")))
    assert isinstance(moving, FilmResult)
    assert [shot.treatment for shot in moving.shots] == [Treatment.COLOURED, Treatment.KEPT]
    assert moving.shots[0].tone is SourceTone.MONOCHROME


def test_nested_values_become_json_whatever_holds_them() -> None:
    values = {"where": Path("a"), "how": (NoteKind.DROPPED, [Fraction(1, 3)]), "nothing": None}
    assert to_json(values) == {"where": "a", "how": ["dropped", ["1/3"]], "nothing": None}
    assert type(to_json(NoteKind.DROPPED)) is str


@pytest.mark.parametrize("values", [{}, None, 3, {"kind": "song"}, {"kind": "photo", "width": "wide"}], ids=repr)
def test_what_is_no_result_is_refused(values: Any) -> None:
    with pytest.raises(ValueError, match=r"not a result|is missing|is of another kind"):
        result_from_json(values) if isinstance(values, dict) else from_json(PhotoResult, values)


def test_text_is_ascii_whatever_a_file_is_called() -> None:
    assert json_text({"source": "Größe \udcff"}).isascii()
