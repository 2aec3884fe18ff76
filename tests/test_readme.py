"""The README says what is so."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from pipeline.archive.run import ArchiveResult
from pipeline.commands.exits import answer_for_several, error_document
from pipeline.documents import to_json
from pipeline.results import Failure
from tests.pipeline.archive.outcomes import film, photo

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def listed(document: str) -> list[str]:
    (row,) = re.findall(rf"^\| {document} \| (.+) \|$", README, re.MULTILINE)
    return re.findall(r"`(\w+)`", row)


def failure() -> Failure:
    return Failure(source=Path("a"), error="", advice="", exit_code=4)


@pytest.mark.parametrize("document", ["a film", "a photograph", "several", "an archive", "a failure", "an error"])
def test_the_keys_of_json_documents_are_those_that_are_listed(document: str, tmp_path: Path) -> None:
    printed = {
        "a film": lambda: list(to_json(film(tmp_path / "in", tmp_path / "out"))),
        "a photograph": lambda: list(to_json(photo(tmp_path / "in", tmp_path / "out"))),
        "several": lambda: list(answer_for_several([failure()], [], count=1, interrupted=0).document),
        "an archive": lambda: [field.name for field in fields(ArchiveResult)],
        "a failure": lambda: list(to_json(failure())),
        "an error": lambda: ["error", *error_document("", "", "", 1)["error"]],
    }[document]()
    assert sorted(listed(document)) == sorted(printed)


def test_no_two_decision_records_have_one_number() -> None:
    numbers = [path.name[:4] for path in sorted((Path(__file__).parents[1] / "docs" / "adr").glob("*.md"))]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
