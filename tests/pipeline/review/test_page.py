"""The review as a person uses it, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.corrections import read_correction
from tests.browser import PROGRAM, Page, browsing
from tests.photos import save, scene
from tests.pipeline.review.serving import served

pytestmark = [pytest.mark.skipif(PROGRAM is None, reason="needs Chromium"), pytest.mark.nightly]
READY = (
    "document.querySelector('#picture')?.naturalWidth > 0 && document.querySelector('#picture').complete"
    " && document.querySelector('#working').hidden"
)
NAME = "<img src=x onerror=alert(1)> & two.png"


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [save(tmp_path / name, scene()) for name in ("one.png", NAME, "three.png")]


@contextmanager
def opened(model: Path, photos: list[Path], *, width: int = 1200, height: int = 800) -> Iterator[Page]:
    with served(str(model), *photos) as address, browsing() as page:
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        page.call("Page.navigate", url=address)
        page.wait(READY)
        yield page


PLACE = "document.querySelector('#picture').getBoundingClientRect().toJSON()"


def click(page: Page, selector: str, x: float = 0.5, y: float = 0.5) -> None:
    box = f"document.querySelector({selector!r}).getBoundingClientRect()"
    left, top, width, height = (page.run(f"{box}.{side}") for side in ("left", "top", "width", "height"))
    for kind in ("mousePressed", "mouseReleased"):
        page.call(
            "Input.dispatchMouseEvent", type=kind, x=left + x * width, y=top + y * height, button="left", clickCount=1
        )


def kept(photo: Path) -> Path:
    return photo.parent / ".autochrome" / "corrections" / f"{photo.name}.correction.json"


def test_click_choose_save_and_it_is_kept(tiny: Path, photos: list[Path]) -> None:
    with opened(tiny, photos) as page:
        first = page.run("document.querySelector('#picture').src")
        place = page.run(PLACE)
        click(page, "#picture", 0.25, 0.75)
        page.wait("document.querySelector('#chooser').open")
        click(page, '[data-color="#2F4C9B"]')
        page.wait(f"document.querySelector('#picture').src !== {first!r} && {READY}")
        assert page.run("document.querySelector('#stated').innerText").startswith("1")
        assert page.run(PLACE) == place
        click(page, "#save")
        page.wait("document.querySelector('#save').disabled")
        assert not page.complaints
    (hint,) = read_correction(kept(photos[0])).correction.hints
    assert hint.color == "#2F4C9B"
    assert (hint.x, hint.y) == pytest.approx((0.25, 0.75), abs=0.01)


def test_undo_redo_and_the_keyboard(tiny: Path, photos: list[Path]) -> None:
    with opened(tiny, photos) as page:
        click(page, "#picture")
        click(page, '[data-color="neutral"]')
        page.wait("document.querySelectorAll('.mark').length === 1")
        click(page, "#undo")
        page.wait("document.querySelectorAll('.mark').length === 0")
        click(page, "#redo")
        page.wait("document.querySelectorAll('.mark').length === 1")
        page.press("s")
        page.wait("document.querySelector('#save').disabled")
        page.press("ArrowRight")
        page.wait(f"document.querySelector('#name').innerText === {NAME!r} && {READY}")
        page.press("a")
        page.wait("document.querySelector('#progress').innerText.includes('1 accepted')")
        page.press("b")
        page.wait("document.querySelector('#compare').getAttribute('aria-pressed') === 'true'")
        assert not page.complaints
    assert read_correction(kept(photos[1])).correction.accepted


def test_a_name_with_markup_is_text(tiny: Path, photos: list[Path]) -> None:
    with opened(tiny, photos) as page:
        assert page.run("document.querySelectorAll('#list img').length") == 0
        assert NAME in page.run("document.querySelector('#list').innerText")


def test_everything_is_within_reach_on_a_telephone(tiny: Path, photos: list[Path]) -> None:
    with opened(tiny, photos, width=390, height=800) as page:
        assert page.run("document.documentElement.scrollWidth") <= 390
        for selector in ("#picture", "#saturation", "#save", "#accept", "#list button"):
            bottom = page.run(f"document.querySelector({selector!r}).getBoundingClientRect().bottom")
            assert 0 < bottom <= 800, selector


def test_a_colour_can_be_taken_from_the_picture(tiny: Path, photos: list[Path]) -> None:
    with opened(tiny, photos) as page:
        click(page, "#picture", 0.2, 0.2)
        page.wait("document.querySelector('#chooser').open")
        click(page, "#pick")
        page.wait("!document.querySelector('#chooser').open")
        click(page, "#picture", 0.8, 0.8)
        page.wait("document.querySelectorAll('.mark').length === 1")
        click(page, "#save")
        page.wait("document.querySelector('#save').disabled")
    (hint,) = read_correction(kept(photos[0])).correction.hints
    assert round(hint.x, 1) == 0.2
    assert hint.color.startswith("#")
