from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import jsonschema
import pytest

from pipeline.archive.dry_run import survey_archive
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions
from pipeline.corrections import (
    FORMAT,
    Correction,
    CorrectionFile,
    CorrectionTree,
    correction_of_file,
    read_correction,
)
from pipeline.errors import InputError, UsageError
from pipeline.options import Hint, Options, Tone, TreatAs, Unit
from pipeline.originals import NO_ORIGINALS, Originals

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "correction.schema.json").read_text(encoding="utf-8"))
ITEM = PurePosixPath("album/1931.jpg")
FULL = Correction(
    hints=(Hint(x=0.25, y=0.5, color="#3A5FCD"), Hint(x=1, y=0, color="neutral", reach=0.2, time=12.5)),
    saturation=0.8,
    treat_as=TreatAs.MONOCHROME,
    tone=Tone.KEEP,
    accepted=True,
)


@pytest.fixture
def tree(tmp_path: Path) -> CorrectionTree:
    return CorrectionTree(tmp_path / "corrections", originals=NO_ORIGINALS)


def test_a_correction_is_read_as_it_was_written(tree: CorrectionTree) -> None:
    path = tree.write(ITEM, CorrectionFile(correction=FULL))
    assert path == tree.folder / "album" / "1931.jpg.correction.json"
    assert tree.read(ITEM) == CorrectionFile(correction=FULL)
    jsonschema.validate(json.loads(path.read_text(encoding="ascii")), SCHEMA)


def test_the_schema_knows_every_kind_of_correction() -> None:
    assert SCHEMA["$defs"]["correction"]["properties"].keys() == {field.name for field in fields(Correction)}


def test_pixels_are_read_and_change_no_fingerprint_of_shares(tree: CorrectionTree) -> None:
    hints = (Hint(x=120, y=80, color="neutral", unit=Unit.PIXEL), Hint(x=0.5, y=0.5, color="neutral"))
    path = tree.write(ITEM, CorrectionFile(correction=Correction(hints=hints)))
    assert tree.read(ITEM).correction.hints == hints
    jsonschema.validate(json.loads(path.read_text(encoding="ascii")), SCHEMA)
    wrong = {"format": FORMAT, "correction": {"hints": [{"x": 120, "y": 80, "color": "neutral"}]}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)
    assert Correction(hints=hints[:1]).fingerprint != Correction(hints=hints[1:]).fingerprint
    # What it was before places could be pixels.
    assert Correction(hints=hints[1:]).fingerprint == "12f6001b612e83f7"


def test_no_hint_is_for_a_film_and_for_a_page() -> None:
    with pytest.raises(ValueError, match="films have times, photographs have pages"):
        Hint(x=0.5, y=0.5, color="neutral", time=1.0, page=2)


def test_an_item_without_a_correction_has_an_empty_one(tree: CorrectionTree) -> None:
    assert tree.read(ITEM) == CorrectionFile()
    assert not tree.folder.exists()


def test_revisions_are_kept_and_can_be_undone(tree: CorrectionTree) -> None:
    file = CorrectionFile()
    for saturation in (0.8, 0.5):
        file = file.revised(Correction(saturation=saturation))
    tree.write(ITEM, file)
    back = tree.read(ITEM)
    assert [revision.correction.saturation for revision in back.history] == [None, 0.8]
    assert back.undone().correction.saturation == 0.8
    assert back.undone().undone() == CorrectionFile()
    with pytest.raises(ValueError, match="nothing to undo"):
        CorrectionFile().undone()


@pytest.mark.slow
def test_the_oldest_revisions_go_before_the_file_is_too_large_to_read(tree: CorrectionTree) -> None:
    hints = tuple(Hint(x=number / 2000, y=0.5, color="#3A5FCD") for number in range(2000))
    for number in range(6):
        tree.write(ITEM, tree.read(ITEM).revised(Correction(hints=hints, saturation=number / 10)))
    kept = [revision.correction.saturation for revision in tree.read(ITEM).history]
    assert 1 <= len(kept) < 6
    assert kept == [number / 10 for number in range(5 - len(kept), 5)]
    before = tree.path_of(ITEM).read_bytes()
    with pytest.raises(UsageError, match="too large"):
        tree.write(ITEM, CorrectionFile(correction=Correction(hints=hints * 6)))
    assert tree.path_of(ITEM).read_bytes() == before


def test_only_what_shapes_the_result_is_in_its_fingerprint() -> None:
    assert Correction().fingerprint == Correction(accepted=True).fingerprint == ""
    prints = {
        one.fingerprint
        for one in (FULL, Correction(saturation=0.8), Correction(saturation=0.7), Correction(hints=FULL.hints))
    }
    assert len(prints) == 4
    assert "" not in prints


def test_a_further_field_makes_nothing_again_until_it_is_stated() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Wider(Correction):
        grain: float | None = None

    assert Wider().fingerprint == ""
    assert Correction(saturation=0.5).fingerprint == Wider(saturation=0.5).fingerprint == "a7b6fca808f3a965"
    assert Wider(saturation=0.5, grain=1).fingerprint not in ("", "a7b6fca808f3a965")
    assert Wider(grain=1).fingerprint


def test_a_correction_has_the_last_word_over_the_options_of_a_run() -> None:
    options = Options(saturation=1.5, treat_as=TreatAs.COLOUR, hints=(Hint(x=0, y=0, color="neutral"),))
    merged = FULL.applied(options)
    assert (merged.saturation, merged.treat_as, merged.tone) == (0.8, TreatAs.MONOCHROME, Tone.KEEP)
    assert merged.hints == (*options.hints, *FULL.hints)
    assert Correction().applied(options) == options


@pytest.mark.few(8)
@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("", "Expecting value"),
        ("[]", "format"),
        ({}, "format"),
        ({"format": "autochrome-correction-9"}, "format"),
        ({"correction": {"saturatoin": 1}}, "saturatoin"),
        ({"correction": {"saturation": 9}}, "not a correction: saturation 9"),
        ({"correction": {"saturation": "much"}}, "not a correction: saturation: 'much' is no number"),
        ({"correction": {"hints": [{"x": 0.5, "y": 2, "color": "neutral"}]}}, "between 0 and 1"),
        ({"correction": {"hints": [{"x": 0.5, "y": 0.5, "color": "red"}]}}, r"hints\[0\].color: red is not a colour"),
        ({"correction": {"hints": [{"x": 0.5, "y": 0.5, "colour": "#ffffff"}]}}, "colour"),
        ({"correction": {"hints": [{"x": 0.5}]}}, r"hints\[0\].y: is missing"),
        ({"correction": {"treat_as": "blue"}}, "treat_as: 'blue' is none of auto, mono"),
        ({"correction": {"hints": {"x": 0.5}}}, "must be a list"),
        ({"correction": {"references": ["../../etc/passwd"]}}, "not the name of a file beside"),
        ({"correction": {"references": ["/etc/passwd"]}}, "not the name of a file beside"),
        ({"correction": {"references": ["C:secret.png"]}}, "not the name of a file beside"),
        ({"correction": {"references": [".hidden"]}}, "not the name of a file beside"),
        ({"correction": []}, "correction"),
        ({"notes": 1}, "notes"),
        ({"history": [{"correction": {}}]}, r"history\[0\].until: is missing"),
    ],
)
def test_a_broken_correction_is_a_clear_error_of_its_item(tmp_path: Path, content: Any, wrong: str) -> None:
    path = tmp_path / "1931.jpg.correction.json"
    text = content if isinstance(content, str) else json.dumps({"format": FORMAT, **content} if content else content)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=wrong) as caught:
        read_correction(path)
    assert str(path) in str(caught.value)
    assert "Error" not in str(caught.value)
    assert caught.value.advice


def test_a_correction_of_any_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "1931.jpg.correction.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="larger than"):
        read_correction(path)


def test_a_reference_is_kept_once_whoever_gives_it(tree: CorrectionTree) -> None:
    name = tree.keep_reference(ITEM, b"a picture")
    kept = tree.path_of(ITEM).with_name(name)
    before = kept.stat()
    assert tree.keep_reference(ITEM, b"a picture") == name
    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == (b"a picture", before.st_mtime_ns)
    assert tree.keep_reference(ITEM, b"another picture") != name


def test_a_reference_that_is_gone_is_an_error_that_says_where_it_was_named(tree: CorrectionTree) -> None:
    correction = Correction(references=(tree.keep_reference(ITEM, b"a picture"),))
    kept = tree.path_of(ITEM)
    (path,) = correction.reference_files(kept)
    path.unlink()
    with pytest.raises(InputError, match="is missing") as caught:
        correction.reference_files(kept)
    assert str(path) in str(caught.value)
    assert caught.value.advice == f"Restore it, or remove it from {kept}."


@pytest.mark.parametrize("item", ["/etc/passwd", "../outside.jpg", "album/../../outside.jpg"])
def test_no_item_leads_out_of_the_tree(tree: CorrectionTree, item: str) -> None:
    with pytest.raises(InputError, match="not a path below"):
        tree.path_of(PurePosixPath(item))


def test_a_correction_never_takes_the_place_of_a_source(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    with pytest.raises(UsageError, match="original"):
        CorrectionTree(scans, originals=Originals((scans,))).write(ITEM, CorrectionFile(correction=FULL))
    assert not list(scans.iterdir())


def test_a_folder_of_corrections_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    missing = tmp_path / "corrections"
    with pytest.raises(InputError, match="no such folder of corrections"):
        correction_of_file(scans / "a.png", scans / "b.png", originals=NO_ORIGINALS, tree=missing)
    for act in (colorize_archive, survey_archive):
        with pytest.raises(InputError, match="no such folder of corrections"):
            act(scans, tmp_path / "out", run_options=RunOptions(corrections=missing))
    assert not (tmp_path / "out").exists()
