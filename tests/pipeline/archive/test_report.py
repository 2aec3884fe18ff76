from __future__ import annotations

import json
import re
import shutil
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from pipeline.archive.context import archive_at
from pipeline.archive.ledger import all_shards, open_ledger
from pipeline.archive.output_folder import locked
from pipeline.archive.report import write_report
from pipeline.archive.report.groups import Groups
from pipeline.archive.run_options import Shard
from pipeline.corrections import Correction, CorrectionFile
from pipeline.errors import OutputError
from pipeline.options import Hint, TreatAs
from pipeline.results import Note, NoteKind
from tests.pipeline.archive.outcomes import film, photo, preview
from tests.pipeline.archive.shelves import Shelf
from tests.pipeline.archive.test_report_attention import with_

HOSTILE = "<script>alert(1)</script>&amp;\"'.jpg"


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    with open_ledger(tmp_path / "out") as ledger:
        yield Shelf(tmp_path / "in", tmp_path / "out", ledger)


class Reader(HTMLParser):
    """The text of the page as a reader sees it without scripts, its elements, and the data of its script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.data, self.tags = "", "", list[tuple[str, dict[str, str | None]]]()
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self._inside = str(dict(attributes).get("id", tag))

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag in ("script", "style") else self._inside

    def handle_data(self, text: str) -> None:
        if self._inside == "data":
            self.data += text
        elif not self._inside:
            self.text += text

    def rows(self) -> list[dict[str, Any]]:
        found = json.loads(self.data)
        rows = [dict(zip(found["fields"], row, strict=True)) for row in found["rows"]]
        return [row | {"state": found["texts"][row["state"]]} for row in rows]


def read(shelf: Shelf) -> Reader:
    written = shelf.report()
    assert written == shelf.output / "report.html"
    return Reader(written.read_text(encoding="utf-8"))


def done(shelf: Shelf, path: str, **changes: Any) -> None:
    shelf.done(path, photo(shelf.source / path, shelf.output / path, **changes))


def facts(page: Reader, path: str) -> dict[str, str]:
    texts = json.loads(page.data)["texts"]
    (found,) = (row["facts"] for row in page.rows() if row["path"] == path)
    return {texts[label]: texts[value] for label, value in zip(found[::2], found[1::2], strict=True)}


def test_what_a_person_set_right_is_a_fact_of_its_item(shelf: Shelf) -> None:
    for path in ("box/a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        done(shelf, path)
    tree = archive_at(shelf.source, shelf.output).corrections
    hints = (Hint(x=0.1, y=0.2, color="neutral"), Hint(x=0.3, y=0.4, color="#3A5FCD"))
    both = Correction(hints=hints, saturation=0.5, treat_as=TreatAs.MONOCHROME, accepted=True)
    tree.write(PurePosixPath("box/a.jpg"), CorrectionFile(correction=both))
    tree.write(PurePosixPath("b.jpg"), CorrectionFile(correction=Correction(accepted=True)))
    tree.path_of(PurePosixPath("c.jpg")).write_text("no correction", encoding="ascii")
    shelf.end(done=4)
    page = read(shelf)
    said = facts(page, "box/a.jpg")
    assert said["Set right"] == "2 colours, saturation 0.5, taken for monochrome"
    assert said["Accepted"] == "by a person"
    assert facts(page, "b.jpg").get("Set right") is None
    assert facts(page, "b.jpg")["Accepted"] == "by a person"
    assert facts(page, "c.jpg")["Set right"] == "cannot be read"
    assert not {"Set right", "Accepted"} & facts(page, "d.jpg").keys()


def test_totals_and_the_last_run_are_told_in_the_first_lines(shelf: Shelf) -> None:
    done(shelf, "a.jpg")
    done(shelf, "b.jpg", measures=with_(strong=0.5))
    shelf.failed("c.jpg", "c.jpg: is damaged")
    shelf.failed("d.jpg", "d.jpg: is damaged", times=3)
    shelf.plan("e.jpg")
    shelf.end(done=2, failed=2, skipped=40)
    page = read(shelf)
    head = " ".join(page.text.split("Without result")[0].split())
    assert "2 newly done, 2 failed, and 40 done in earlier runs" in head
    assert "1 result deserves a look" in head
    for figure in ("2done in all", "1failed", "1quarantined", "1waiting", "1deserve a look"):
        assert figure in head


def test_failures_are_grouped_by_reason_with_advice_and_names(shelf: Shelf) -> None:
    for number in range(20):
        path = f"box {number}/scan {number}.jpg"
        error = f"{shelf.source / path}: the data ends after {number} of 2,400 rows"
        shelf.failed(path, error, advice=f"Copy scan {number}.jpg again.")
    shelf.failed("x.tif", f"{shelf.source / 'x.tif'}: holds PNG", advice="Give it the suffix .png.", times=3)
    page = read(shelf)
    text = " ".join(page.text.split())
    assert text.index("20The data ends after … of … rows") < text.index("1Holds PNG")
    assert "What to do: Copy … again." in text
    assert "quarantined after 3 runs" in text
    assert "Show all 20" in text
    assert sum(f"scan {number}.jpg" in text for number in range(20)) == 12


def test_what_is_refused_by_design_is_told_apart_and_last(shelf: Shelf) -> None:
    done(shelf, "a.jpg")
    shelf.failed("b.jpg", "b.jpg: is damaged", advice="Copy it again.")
    for number in range(3):
        shelf.failed(f"{number}.dng", f"{number}.dng: is camera raw", advice="Develop it.", refused=True)
    shelf.end(done=1, failed=1)
    text = " ".join(read(shelf).text.split())
    assert "3refused" in text
    assert "1failed" in text
    assert text.index("1Is damaged") < text.index("3Is camera raw")
    assert "What to do: Develop it." in text
    assert "Without result 4" in text


def test_a_single_reason_keeps_its_figures() -> None:
    groups = Groups()
    group = groups.take("4", "/in/a.jpg: has 12 of 24 rows", names=lambda: ["/in/a.jpg"])
    assert group.text == "Has 12 of 24 rows"
    groups.take("4", "/in/long.jpg: has 13 of 24 rows", names=lambda: ["/in/long.jpg"])
    assert (group.text, group.count) == ("Has … of … rows", 2)


@pytest.mark.parametrize("path", ["out/.autochrome/corrections/b.json", "my subs/x.srt", "sub.srt"])
def test_a_message_that_begins_with_another_path_keeps_it(path: str) -> None:
    group = Groups().take("4", f"{path}: not a correction", names=lambda: ["/in/a.jpg", "a.jpg"])
    assert group.text == f"{path}: not a correction"


def test_nothing_failed_is_said(shelf: Shelf) -> None:
    done(shelf, "a.jpg")
    assert "Nothing failed." in read(shelf).text


def test_doubtful_results_come_first_then_what_failed_then_the_rest(shelf: Shelf) -> None:
    done(shelf, "a.jpg")
    done(shelf, "b.jpg", measures=with_(strong=0.03))
    done(shelf, "c.jpg", measures=with_(doubt=1.0))
    shelf.failed("d.jpg", "no")
    shelf.plan("e.jpg")
    done(shelf, "f.jpg", measures=None)
    rows = read(shelf).rows()
    assert [row["path"] for row in rows] == ["c.jpg", "b.jpg", "d.jpg", "a.jpg", "f.jpg", "e.jpg"]


def test_notes_are_counted_over_all_items(shelf: Shelf) -> None:
    for number in range(3):
        done(shelf, f"{number}.jpg", notes=(Note(NoteKind.DROPPED, f"{number} bytes after the picture"),))
    done(shelf, "4.jpg", notes=(Note(NoteKind.ASSUMED, "sRGB"),))
    text = " ".join(re.sub(r"\s+", " ", read(shelf).text).split())
    assert "Dropped… bytes after the picture3 items" in text
    assert "AssumedSRGB1 items" in text
    assert text.index("AssumedSRGB") < text.index("Dropped…")


def test_hostile_names_and_messages_are_text_everywhere(shelf: Shelf) -> None:
    done(shelf, HOSTILE.replace("/", "-"), notes=(Note(NoteKind.ASSUMED, HOSTILE),), previews=(preview(HOSTILE),))
    shelf.failed("b" + HOSTILE.replace("/", "-"), HOSTILE, advice=HOSTILE)
    page = read(shelf)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert HOSTILE in page.text
    assert {row["path"] for row in page.rows()} == {f"{one}{HOSTILE.replace('/', '-')}" for one in ("", "b")}


def test_names_that_are_no_text_are_shown_and_linked_by_their_bytes(shelf: Shelf) -> None:
    done(shelf, "caf\udce9.jpg")
    (row,) = read(shelf).rows()
    assert (row["path"], row["result"]) == ("caf\udce9.jpg", "caf%E9.jpg")


def test_the_page_asks_nothing_of_the_network_and_allows_its_own_script_only(shelf: Shelf) -> None:
    done(shelf, "a.jpg", previews=(preview(),))
    page = read(shelf)
    for tag, attributes in page.tags:
        for name in ("src", "href", "action"):
            assert not re.match(r"(https?:)?//", attributes.get(name) or ""), tag
    (policy,) = (attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.slow
def test_previews_of_the_first_are_inside_and_all_are_in_files(shelf: Shelf) -> None:
    """There is room for 8 MB."""
    shown = preview()
    shown = replace(shown, before=shown.before + bytes(1_400_000), after=shown.after + bytes(1_400_000))
    for number in range(3):
        done(shelf, f"{number}.jpg", previews=(shown,))
    page = read(shelf)
    inside = json.loads(page.data)["pictures"]
    assert set(inside) == {row["preview"] for row in page.rows()[:2]}
    texts = json.loads(page.data)["texts"]
    for row in page.rows():
        text = (shelf.output / texts[row["pack"]]).read_text(encoding="ascii")
        for side, picture in (("before", shown.before), ("after", shown.after)):
            assert f"--{row['preview']}-0-{side}:url(data:image/jpeg;base64,{b64encode(picture).decode()})" in text


def test_a_report_after_the_previews_were_deleted_has_none_inside(shelf: Shelf) -> None:
    done(shelf, "a.jpg", previews=(preview(),))
    done(shelf, "b.jpg", previews=(preview(),))
    shutil.rmtree(shelf.output / ".autochrome" / "previews")
    page = read(shelf)
    assert json.loads(page.data)["pictures"] == {}
    assert [row["labels"] for row in page.rows()] == [[""], [""]]


def test_a_film_has_a_strip_of_its_shots_and_what_was_verified(shelf: Shelf) -> None:
    shots = tuple(preview(label) for label in ("0:00", "0:04"))
    shelf.done("r.mov", film(shelf.source / "r.mov", shelf.output / "r.mov", previews=shots), kind="film")
    page = read(shelf)
    (row,) = page.rows()
    texts = json.loads(page.data)["texts"]
    assert row["labels"] == ["0:00", "0:04"]
    assert "audio 1: the same packets" in [texts[number] for number in row["checks"]]
    facts = [texts[number] for number in row["facts"]]
    assert "1 x colour, kept as it is; 1 x monochrome, coloured" in facts


def test_an_older_result_of_an_item_that_failed_is_still_there_to_see(shelf: Shelf) -> None:
    done(shelf, "a.jpg", previews=(preview(),))
    shelf.failed("a.jpg", "a.jpg: is damaged")
    (row,) = read(shelf).rows()
    assert (row["state"], row["result"], row["labels"]) == ("failed", 1, [""])


def test_shards_share_one_report(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    shards = [Shard(index=index, count=2) for index in (1, 2)]
    first, second = (open_ledger(output, shard=shard) for shard in shards)
    with first, second:
        for name, ledger in (("a.jpg", first), ("b.jpg", second)):
            shelf = Shelf(source, output, ledger)
            done(shelf, name, previews=(preview(),))
            shelf.end(done=1)
            ledger.publish_snapshot()
        with locked(output, shard=shards[1]), all_shards(output, shard=shards[1], own=second) as known:
            page = Reader(write_report(archive_at(source, output), known).read_text(encoding="utf-8"))
    assert [row["path"] for row in page.rows()] == ["a.jpg", "b.jpg"]
    assert all(row["labels"] for row in page.rows())


@pytest.mark.parametrize("sidecars", [True, False])
def test_sidecars_are_led_to_where_runs_write_them(tmp_path: Path, sidecars: bool) -> None:
    with open_ledger(tmp_path / "out") as ledger:
        page = read(Shelf(tmp_path / "in", tmp_path / "out", ledger, sidecars=sidecars))
    assert json.loads(page.data)["sidecars"] is sidecars


def test_a_report_can_be_written_before_anything_ran(shelf: Shelf) -> None:
    assert "has not ended" in read(shelf).text


def test_a_new_report_takes_the_place_of_the_old_and_a_failing_one_does_not(shelf: Shelf) -> None:
    done(shelf, "a.jpg")
    read(shelf)
    before = (shelf.output / "report.html").read_bytes()
    done(shelf, "b.jpg", previews=(preview(),))
    (pack,) = (shelf.output / ".autochrome" / "previews").rglob("*.css")
    pack.unlink()
    pack.mkdir()
    with pytest.raises(OutputError, match=r"000001\.css"):
        read(shelf)
    assert (shelf.output / "report.html").read_bytes() == before
    assert not list(shelf.output.glob(".autochrome-*"))
