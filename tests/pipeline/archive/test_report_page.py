"""The report in a real browser."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.archive.ledger import open_ledger
from pipeline.results import Note, NoteKind
from tests.browser import BROWSERS, CHROMIUM, Page, browsing
from tests.pipeline.archive.outcomes import film, photo, preview
from tests.pipeline.archive.shelves import Shelf
from tests.pipeline.archive.test_report_attention import with_

pytestmark = [
    pytest.mark.skipif(CHROMIUM not in BROWSERS, reason="needs Chromium, see tests/browser.py"),
    pytest.mark.nightly,
]

HOSTILE = "<img src=x onerror=alert(1)><script>document.title='broken in'<"
SAID = "<svg onload=alert(2)> cannot be read </script>"
ORDINARY = 130


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with browsing() as page:
        yield page


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of 130 ordinary photographs, some doubtful ones, a film, failures and a hostile name."""
    root = tmp_path_factory.mktemp("report")
    with open_ledger(root / "out") as ledger:
        shelf = Shelf(root / "in", root / "out", ledger)

        def done(path: str, **changes: Any) -> None:
            changes = {"previews": (preview(),)} | changes
            shelf.done(path, photo(shelf.source / path, shelf.output / path, **changes))

        for number in range(ORDINARY):
            done(f"box/photo {number:03}.jpg", notes=(Note(NoteKind.ASSUMED, "sRGB"),) if number < 7 else ())
        done("box/vivid.jpg", measures=with_(strong=0.08))
        done("box/unsure.jpg", measures=with_(doubt=0.9, colourfulness=3.0))
        done(HOSTILE, measures=with_(doubt=0.7), notes=(Note(NoteKind.DROPPED, SAID),), previews=(preview(SAID),))
        shots = tuple(preview(f"0:0{second}") for second in range(4))
        segment = film(
            shelf.source / "reel.mov", shelf.output / "reel.mov", measures=with_(flicker=2.5), previews=shots
        )
        shelf.done("reel.mov", segment, kind="film")
        for number in range(3):
            path = f"damp/plate {number}.jpg"
            shelf.failed(path, f"{shelf.source / path}: is damaged", advice="Scan it again.", times=2 * number + 1)
        shelf.failed("damp/z" + HOSTILE, SAID, advice=SAID)
        shelf.plan("late.jpg")
        shelf.end(done=ORDINARY + 4, failed=4)
        return shelf.report(embedded=10_000)


@pytest.fixture
def page(browser: Page, report: Path) -> Iterator[Page]:
    browser.complaints.clear()
    browser.requests()
    browser.open(report)
    yield browser
    assert not browser.complaints


def names(page: Page) -> list[str]:
    found: list[str] = page.run("[...document.querySelectorAll('.card h3')].map((one) => one.textContent)")
    return found


def choose(page: Page, control: str, start: str) -> None:
    """Choose the option of a list whose text starts so."""
    page.run(
        f"(() => {{ const list = document.getElementById('{control}');"
        f"list.value = [...list.options].find((one) => one.textContent.startsWith({start!r})).value;"
        "list.dispatchEvent(new Event('change')); })()"
    )


def counted(page: Page) -> str:
    return str(page.run("document.getElementById('count').textContent"))


def focused(page: Page) -> str:
    return str(page.run("document.activeElement.closest('.card')?.querySelector('h3').textContent || ''"))


def test_the_doubtful_ones_come_first_with_reasons_in_words(page: Page) -> None:
    assert names(page)[:4] == ["unsure.jpg", "vivid.jpg", "reel.mov", HOSTILE]
    reasons = page.run("document.querySelector('.card .chips').innerText.split('\\n')")
    assert reasons == ["unsure whether already coloured", "hardly any colour"]


def test_an_item_has_commands_that_set_it_right(page: Page, report: Path) -> None:
    page.press("j", "Enter")
    page.wait("document.getElementById('detail').open")
    commands = page.run("[...document.querySelectorAll('#detail code')].map((one) => one.textContent)")
    archive = ["colorize-archive", str(report.parents[1] / "in"), "-o", str(report.parent)]
    only = [*archive, "--include", "/box/unsure.jpg"]
    assert [shlex.split(command) for command in commands] == [
        ["colorize-review", str(report.parent)],
        [*only, "--decide", "monochrome"],
        [*only, "--overwrite"],
        [*only, "--overwrite", "--saturation", "0.8"],
        [*only, "--overwrite", "--reference", "PICTURE"],
    ]


def test_names_and_messages_that_are_markup_stay_text(page: Page) -> None:
    assert page.run("document.title") == "in: report of Autochrome"
    assert page.run("document.querySelectorAll('img[src=x], svg[onload], .card script').length") == 0
    choose(page, "reason", "<svg")
    assert (names(page), counted(page)) == (["z" + HOSTILE], "1 of 139 items")
    assert SAID in page.run("document.querySelector('.card .why').textContent")
    assert SAID in page.run("document.getElementById('notes').innerText")
    page.press("j", "Enter")
    page.wait("document.getElementById('detail').open")
    assert page.run("document.getElementById('detail').innerText").count(SAID) == 2


def test_every_preview_is_shown_from_inside_and_from_files(page: Page) -> None:
    page.wait("[...document.images].every((one) => one.complete && one.naturalWidth > 0)")
    assert page.run("[...document.images].every((one) => one.naturalWidth === 48)")
    assert page.run("document.querySelectorAll('link[rel=stylesheet]').length") > 0
    assert {address.split(":")[0] for address in page.requests()} <= {"file", "data"}


def test_a_preview_that_is_not_there_is_said(browser: Page, report: Path, tmp_path: Path) -> None:
    alone = tmp_path / "sent by mail.html"
    alone.write_bytes(report.read_bytes())
    browser.open(alone)
    browser.wait("document.querySelectorAll('.compare.lost').length > 0")
    assert browser.run("document.querySelector('.compare').classList.contains('lost')") is False
    browser.complaints.clear()


def test_pages_hold_sixty_and_lead_to_all(page: Page) -> None:
    seen = names(page)
    assert len(seen) == 60
    page.press("]")
    seen += names(page)
    page.run("document.getElementById('next').click()")
    seen += names(page)
    assert len(seen) == len(set(seen)) == ORDINARY + 9
    assert page.run("document.getElementById('next').disabled")


def test_filters_narrow_and_clear(page: Page) -> None:
    assert counted(page) == "139 items"
    choose(page, "kind", "Films")
    assert (names(page), counted(page)) == (["reel.mov"], "1 of 139 items")
    page.run("document.getElementById('clear').click()")
    choose(page, "state", "Without result")
    assert len(names(page)) == 4
    choose(page, "state", "Quarantined")
    assert names(page) == ["plate 1.jpg", "plate 2.jpg"]
    page.run("document.getElementById('clear').click()")
    choose(page, "reason", "flicker")
    assert names(page) == ["reel.mov"]
    choose(page, "reason", "SRGB")
    assert len(names(page)) == 7


def test_numbers_and_reasons_lead_to_their_items(page: Page) -> None:
    page.run("document.querySelector('.figures .look a').click()")
    assert counted(page) == "4 of 139 items"
    page.run("document.querySelector('#failures .group a').click()")
    assert counted(page) == "3 of 139 items"
    page.run("[...document.querySelectorAll('#notes a')].find((one) => one.textContent.startsWith('7')).click()")
    assert counted(page) == "7 of 139 items"


def test_typing_searches_names_and_messages(page: Page) -> None:
    page.press("/", *"PLATE 2")
    page.wait("document.querySelectorAll('.card').length === 1")
    assert names(page) == ["plate 2.jpg"]
    page.run("document.getElementById('search').value = ''")
    page.press(*"is dam")
    page.wait("document.querySelectorAll('.card').length === 3")
    page.press("Escape")
    assert focused(page) == ""


def test_keys_move_from_item_to_item_and_across_pages(page: Page) -> None:
    page.press("j")
    assert focused(page) == "unsure.jpg"
    page.press("j", "k", "k", "j")
    assert focused(page) == "vivid.jpg"
    page.press(*"j" * 59)
    assert page.run("document.getElementById('page').value") == "2"
    page.press("k")
    assert focused(page) == names(page)[-1]
    assert page.run("document.getElementById('page').value") == "1"


def test_arrows_slide_from_before_to_after_and_back(page: Page) -> None:
    cut = "document.activeElement.querySelector('.compare').style.getPropertyValue('--cut')"
    page.press("j")
    assert page.run(cut) == "50%"
    page.press("ArrowRight", "ArrowRight")
    assert page.run(cut) == "70%"
    page.press(*["ArrowLeft"] * 9)
    assert page.run(cut) == "0%"
    assert page.run("document.activeElement.querySelector('input').getAttribute('aria-valuetext')") == "after"


def test_the_slider_uncovers_the_coloured_picture(page: Page) -> None:
    page.run("document.querySelector('.compare').scrollIntoView({ block: 'center', behavior: 'instant' })")
    page.wait("document.images[1].complete")
    box = page.run("(({ x, y, width, height }) => [x, y, width, height])(document.images[1].getBoundingClientRect())")

    def chroma(cut: int) -> list[float]:
        page.run(f"document.querySelector('.compare').show('{cut}')")
        shown = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), np.float32)
        x, y, width, height = (round(value) for value in box)
        middle = shown[y + height // 2, x : x + width]
        spread = middle.max(axis=1) - middle.min(axis=1)
        return [float(np.median(half)) for half in np.split(spread[: width // 2 * 2], 2)]

    assert [value > 30 for value in chroma(100)] == [False, False]
    assert [value > 30 for value in chroma(50)] == [False, True]
    assert [value > 30 for value in chroma(0)] == [True, True]


def test_one_key_shows_before_or_after_for_all(page: Page) -> None:
    page.press("b")
    assert page.run("[...document.querySelectorAll('.compare input')].every((one) => one.value === '0')")


def test_an_item_opens_with_its_facts_and_the_next_follows(page: Page) -> None:
    page.press("j", "Enter")
    page.wait("document.getElementById('detail').open")
    told = page.run("document.getElementById('detail').innerText")
    for part in ("box/unsure.jpg", "3,000 x 2,000, 16 bits", "fast on openvino", "Doubt about the source\n90 %"):
        assert re.sub(r"\s+", " ", part) in re.sub(r"\s+", " ", told)
    links = page.run("[...document.querySelectorAll('#detail .actions a')].map((one) => one.getAttribute('href'))")
    assert links == ["box/unsure.jpg", "../in/box/unsure.jpg", "box/unsure.jpg.autochrome.json"]
    page.press("j", "j")
    assert page.run("document.querySelectorAll('#detail .strip button').length") == 4
    assert "audio 1: the same packets" in page.run("document.getElementById('detail').innerText")
    page.press("Escape")
    page.wait("!document.getElementById('detail').open")
    page.wait("document.activeElement.closest('.card')?.querySelector('h3').textContent === 'reel.mov'")


def test_help_opens_and_closes(page: Page) -> None:
    page.press("?")
    page.wait("document.getElementById('help').open")
    page.run("document.querySelector('#help button').click()")
    page.wait("!document.getElementById('help').open")


def test_everything_that_can_be_used_has_a_name_and_one_can_get_there_by_keyboard(page: Page) -> None:
    unnamed = page.run(
        "[...document.querySelectorAll('input, select, button, a')].filter((one) => !one.closest('dialog:not([open])'))"
        ".filter((one) => !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim()))"
        ".map((one) => one.outerHTML)"
    )
    assert unnamed == []
    assert page.run("document.querySelectorAll('h1').length") == 1
    assert page.run("document.querySelectorAll('.card[tabindex=\"0\"]').length") == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page: Page, scheme: str) -> None:
    page.protocol("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    colours = page.run(
        "Object.fromEntries(['--paper', '--card', '--ink', '--muted', '--accent', '--fail', '--warn', '--good',"
        "'--fail-soft', '--warn-soft', '--on-accent'].map((name) => [name.slice(2),"
        "getComputedStyle(document.documentElement).getPropertyValue(name).trim()]))"
    )
    page.protocol("Emulation.setEmulatedMedia", features=[])
    pairs = [
        (ink, ground) for ink in ("ink", "muted", "accent", "fail", "warn", "good") for ground in ("paper", "card")
    ]
    for ink, ground in (*pairs, ("fail", "fail-soft"), ("warn", "warn-soft"), ("on-accent", "accent")):
        assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)  # WCAG 2.2, 1.4.3


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2 of two colours written #rrggbb."""
    lights = []
    for colour in (one, other):
        codes = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [code / 12.92 if code <= 0.04045 else ((code + 0.055) / 1.055) ** 2.4 for code in codes]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
    return max(lights) / min(lights)


@pytest.mark.parametrize(("width", "columns"), [(360, 1), (768, 2), (1400, 5)])
def test_it_fits_a_phone_a_tablet_and_a_desk(browser: Page, report: Path, width: int, columns: int) -> None:
    browser.open(report, width=width, mobile=width < 500)
    assert browser.run("document.documentElement.scrollWidth") == width
    choose(browser, "kind", "Photographs")
    grid = browser.run("getComputedStyle(document.getElementById('grid')).gridTemplateColumns.split(' ').length")
    assert grid == columns
    small = browser.run(
        "[...document.querySelectorAll('.controls input, .controls select, .status button, .views label')]"
        ".filter((one) => one.getBoundingClientRect().height < 40).length"
    )
    assert small == 0


def test_in_print_before_and_after_stand_side_by_side_and_controls_are_gone(page: Page) -> None:
    page.protocol("Emulation.setEmulatedMedia", media="print")
    boxes = page.run("[...document.images].slice(0, 2).map((one) => one.getBoundingClientRect().left)")
    hidden = page.run("getComputedStyle(document.getElementById('controls')).display")
    page.protocol("Emulation.setEmulatedMedia", media="")
    assert boxes[0] < boxes[1]
    assert hidden == "none"
    assert page.printed().startswith(b"%PDF-")


def test_without_scripts_everything_but_the_contact_sheet_is_there(browser: Page, report: Path) -> None:
    browser.protocol("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(report)
    text = str(browser.run("document.body.innerText"))
    browser.protocol("Emulation.setScriptExecutionDisabled", value=False)
    assert "scripts are switched off here" in text
    assert "Scan it again." in text
    assert "Is damaged" in text


@pytest.fixture(scope="module")
def sheets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of 25 photographs and two failures on sheets of ten items."""
    root = tmp_path_factory.mktemp("sheets")
    with open_ledger(root / "out") as ledger:
        shelf = Shelf(root / "in", root / "out", ledger)
        for number in range(25):
            path = f"box/photo {number:03}.jpg"
            strong = 0.08 if number < 12 else 0.0
            done = photo(shelf.source / path, shelf.output / path, measures=with_(strong=strong), previews=(preview(),))
            shelf.done(path, done)
        for number in range(2):
            shelf.failed(f"plate {number}.jpg", "is damaged")
        shelf.end(done=25, failed=2)
        return shelf.report(rows=10, embedded=0)


def test_what_is_beyond_the_first_sheet_is_on_further_ones(browser: Page, sheets: Path) -> None:
    browser.open(sheets)
    assert counted(browser) == "10 items on this sheet"
    links = browser.run(
        "[...document.querySelectorAll('nav[aria-label=Sheets] a')].map((one) => one.getAttribute('href'))"
    )
    assert links == ["report.html#sheet", *(f".autochrome/report/sheet-000{n}.html#sheet" for n in (2, 3))]
    seen = names(browser)
    for number in (2, 3):
        browser.complaints.clear()
        browser.open(sheets.parent / ".autochrome" / "report" / f"sheet-000{number}.html")
        seen += names(browser)
        browser.wait("document.images.length > 0 && [...document.images].every((one) => one.naturalWidth === 48)")
        assert not browser.complaints
    assert len(seen) == len(set(seen)) == 27
    browser.press("j", "Enter")
    browser.wait("document.getElementById('detail').open")
    links = browser.run("[...document.querySelectorAll('#detail .actions a')].map((one) => one.getAttribute('href'))")
    assert links[0].startswith("../../box/photo")
    assert links[1].startswith("../../../in/box/photo")


def test_a_number_of_the_head_leads_to_the_sheet_that_has_its_items(browser: Page, sheets: Path) -> None:
    browser.open(sheets)
    link = browser.run("document.querySelector('.figures .failed a').getAttribute('href')")
    assert link == ".autochrome/report/sheet-0002.html#state=failed"
    browser.run("document.querySelector('.figures .failed a').click()")
    browser.wait("document.getElementById('count')?.textContent === '2 of 10 items on this sheet'")
    assert names(browser) == ["plate 0.jpg", "plate 1.jpg"]


def test_sheets_that_are_not_needed_any_more_are_deleted(tmp_path: Path) -> None:
    with open_ledger(tmp_path / "out") as ledger:
        shelf = Shelf(tmp_path / "in", tmp_path / "out", ledger)
        for number in range(5):
            shelf.plan(f"{number}.jpg")
        shelf.report(rows=2)
        assert len(list((tmp_path / "out" / ".autochrome" / "report").iterdir())) == 2
        shelf.report(rows=5)
        assert not list((tmp_path / "out" / ".autochrome" / "report").iterdir())
