"""README and docs say what is so."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from pipeline.archive.run import ArchiveResult
from pipeline.commands.exits import error_document, result_for_several
from pipeline.documents import to_json
from pipeline.results import Failure
from tests.commands import ROOT
from tests.pipeline.archive.outcomes import film, photo

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("pipeline", "engines", "training", "tests", "benchmarks", "examples")
# Files of other people's programs, and a placeholder.
OF_OTHERS = {"bagit.py", "coverage.py", "scripts/export_onnx.py", "pipeline/archive/executors/NAME.py"}
# Names with dots, after their folder; the pages on architecture leave out that of `pipeline`.
DOTTED = re.compile(rf"(?<![\w/.])(?:{'|'.join(FOLDERS)})(?:\.(?!(?:md|py|js)\b)\w+)+")
SHORT = re.compile(r"`((?:archive|color|commands|film|media|photo|review)(?:\.(?!(?:md|py|js)\b)\w+)+)`")


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
        "several": lambda: list(result_for_several([failure()], [], count=1, interrupted=0).document),
        "an archive": lambda: [field.name for field in fields(ArchiveResult)],
        "a failure": lambda: list(to_json(failure())),
        "an error": lambda: ["error", *error_document("", "", "", 1)["error"]],
    }[document]()
    assert sorted(listed(document)) == sorted(printed)


@pytest.fixture(scope="module")
def modules() -> list[str]:
    found = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    return ["/cli.py", *(f"/{path}" for path in found)]


def is_there(name: str) -> bool:
    """Tell whether ``name``, with dots, is that of a module of ours or of something in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.exists():
                text = path.read_text(encoding="utf-8")
                return all(re.search(rf"\b{rest}\b", text) for rest in parts[length:])
    return False


@pytest.mark.few(7)
@pytest.mark.parametrize("page", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])
def test_every_module_that_is_named_is_there(page: Path, modules: list[str]) -> None:
    text = page.read_text(encoding="utf-8")
    files = set(re.findall(r"[\w/]*\w\.py\b", text)) - OF_OTHERS
    gone = {name for name in files if not any(path.endswith(f"/{name}") for path in modules)}
    gone |= {name for name in DOTTED.findall(text) if not is_there(name)}
    if page.name in ("architecture.md", "extending.md"):
        gone |= {name for name in SHORT.findall(text) if not is_there(f"pipeline.{name}")}
    assert not gone


def test_no_two_decision_records_have_one_number() -> None:
    numbers = [path.name[:4] for path in sorted((ROOT / "docs" / "adr").glob("*.md"))]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
