"""The review as a person uses it, in a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.corrections import read_correction
from tests.browser import BROWSERS, CHROMIUM, WEBKIT, Page, browsing
from tests.films import make_film
from tests.photos import save, scene
from tests.pipeline.review.serving import served

pytestmark = pytest.mark.nightly
READY = (
    "document.querySelector('#picture')?.naturalWidth > 0 && document.querySelector('#picture').complete"
    " && document.querySelector('#working').hidden"
)
NAME = "<img src=x onerror=alert(1)> & two.png"


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    return [save(tmp_path / name, scene()) for name in ("one.png", NAME, "three.png")]


@pytest.fixture(params=[CHROMIUM, WEBKIT])
def browser(request: pytest.FixtureRequest) -> str:
    """The name of each browser that is here."""
    if request.param not in BROWSERS:
        pytest.skip(f"needs {request.param}, see tests/browser.py")
    return str(request.param)


@contextmanager
def opened(browser: str, model: Path, photos: list[Path], *, width: int = 1200, height: int = 800) -> Iterator[Page]:
    with served(str(model), *photos) as address, browsing(browser) as page:
        page.size(width, height)
        page.go(address)
        page.wait(READY)
        yield page


PLACE = "document.querySelector('#picture').getBoundingClientRect().toJSON()"


def kept(photo: Path) -> Path:
    return photo.parent / ".autochrome" / "corrections" / f"{photo.name}.correction.json"


def test_click_choose_save_and_it_is_kept(browser: str, tiny: Path, photos: list[Path]) -> None:
    with opened(browser, tiny, photos) as page:
        first = page.run("document.querySelector('#picture').src")
        place = page.run(PLACE)
        page.click("#picture", 0.25, 0.75)
        page.wait("document.querySelector('#chooser').open")
        page.click('[data-color="#2F4C9B"]')
        page.wait(f"document.querySelector('#picture').src !== {first!r} && {READY}")
        assert page.run("document.querySelector('#stated').innerText").startswith("1")
        assert page.run(PLACE) == place
        page.click("#save")
        page.wait("document.querySelector('#save').disabled")
        assert not page.complaints
    (hint,) = read_correction(kept(photos[0])).correction.hints
    assert hint.color == "#2F4C9B"
    assert (hint.x, hint.y) == pytest.approx((0.25, 0.75), abs=0.01)


def test_undo_redo_and_the_keyboard(browser: str, tiny: Path, photos: list[Path]) -> None:
    with opened(browser, tiny, photos) as page:
        page.click("#picture")
        page.click('[data-color="neutral"]')
        page.wait("document.querySelectorAll('.mark').length === 1")
        page.click("#undo")
        page.wait("document.querySelectorAll('.mark').length === 0")
        page.click("#redo")
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


def test_what_was_saved_can_be_taken_back_later(browser: str, tiny: Path, photos: list[Path]) -> None:
    undo = "document.querySelector('#undo').innerText === 'Take back the last save'"
    with opened(browser, tiny, photos) as page:
        assert page.run("document.querySelector('#undo').disabled")
        page.press("a")
        page.wait("document.querySelector('#progress').innerText.includes('1 accepted')")
    with opened(browser, tiny, photos) as page:
        page.wait(undo)
        page.click("#undo")
        page.wait("document.querySelector('#taking').open")
        page.run("document.querySelector('#taking button[value=no]').click()")
        assert read_correction(kept(photos[0])).correction.accepted
        page.click("#undo")
        page.wait("document.querySelector('#taking').open")
        page.run("document.querySelector('#taking button[value=yes]').click()")
        page.wait("document.querySelector('#progress').innerText.includes('0 accepted')")
        assert page.run("document.querySelector('#undo').disabled")
        assert not read_correction(kept(photos[0])).correction.accepted
        page.click("#redo")
        page.wait("document.querySelector('#accept').getAttribute('aria-pressed') === 'true'")
        # The keyboard works where the slider was used last.
        page.run("document.querySelector('#saturation').focus()")
        page.press("s")
        page.wait("document.querySelector('#progress').innerText.includes('1 accepted')")
        assert not page.complaints
    assert read_correction(kept(photos[0])).correction.accepted


def test_a_hint_from_the_start_of_a_frame_is_marked_and_one_outside_of_the_clip_is_told(
    browser: str, tiny: Path, tmp_path: Path
) -> None:
    # A picture a second: each of the 24 moments has 12.5 s.
    film = make_film(
        tmp_path / "film.mp4", codec="libx264", width=64, height=48, times=range(300), time_base=Fraction(1), rate=1
    )
    hints = [{"x": 0.5, "y": 0.5, "color": "#B3272D", "time": time} for time in (2, 12)]
    kept(film).parent.mkdir(parents=True)
    written = {"format": "autochrome-correction-1", "correction": {"hints": hints}}
    kept(film).write_text(json.dumps(written), encoding="utf-8")
    slider = "document.querySelector('#time')"
    with opened(browser, tiny, [film]) as page:
        for moment, marks in ((1.5, 0), (2.5, 1), (3.5, 0)):
            page.do(f"{slider}.value = {moment}; {slider}.dispatchEvent(new Event('input'))")
            page.wait(f"document.querySelectorAll('.mark').length === {marks} && {READY}")
        page.run(f"{slider}.focus()")
        page.press("p")
        page.wait("document.querySelector('#player').open")
        caption = page.run("document.querySelector('#played').innerText")
        assert caption.endswith("as it will be in the film, with colours stated at other moments by similarity alone")
        assert not page.complaints


def two_shots(number: int) -> np.ndarray:
    """Luma of a film with a cut in its middle: pictures of blocks."""
    blocks = np.random.default_rng(number // 60).integers(40, 200, (8, 10))
    return np.asarray(np.kron(blocks, np.ones((32, 32))), np.uint8)[:240]


@pytest.mark.parametrize("width", [1200, 390])
def test_a_hint_is_on_any_frame_and_the_shot_is_played(browser: str, tiny: Path, tmp_path: Path, width: int) -> None:
    film = make_film(tmp_path / "film.mp4", codec="libx264", width=320, height=240, times=range(120), luma=two_shots)
    marks = "document.querySelectorAll('.mark').length"
    with opened(browser, tiny, [film], width=width) as page:
        page.wait("document.querySelector('#search').hidden && document.querySelectorAll('#shots button').length === 2")
        page.run("document.querySelectorAll('#shots button')[1].click()")
        page.wait(READY)
        assert page.run("document.querySelector('#time').min") == "2.42"
        page.run("document.querySelector('#time').focus()")
        before = page.run("Number(document.querySelector('#time').value)")
        page.press("ArrowLeft", "ArrowLeft")
        page.wait(f"Number(document.querySelector('#time').value) < {before} - 0.07 && {READY}")
        stated = page.run("Number(document.querySelector('#time').value)")
        page.click("#picture")
        page.wait("document.querySelector('#chooser').open")
        page.run("document.querySelector('#palette [data-color=\"#B3272D\"]').click()")
        page.wait(f"{marks} === 1 && {READY}")
        page.run("document.querySelector('#time').focus()")
        page.press("ArrowRight")
        page.wait(f"{marks} === 0")
        page.run("document.querySelector('[aria-label=\"Show the frame of colour 1\"]').click()")
        page.wait(f"{marks} === 1 && {READY}")
        page.run("document.querySelector('#play').click()")
        page.wait("document.querySelector('#player').open && document.querySelector('#clip').readyState >= 2")
        assert page.run("document.querySelector('#clip').videoWidth") == 320
        page.run("document.querySelector('#player button').click()")
        page.run("document.querySelector('#save').click()")
        page.wait("document.querySelector('#save').disabled")
        assert page.run("document.documentElement.scrollWidth") <= width
        assert not page.complaints
    (hint,) = read_correction(kept(film)).correction.hints
    assert hint.time == pytest.approx(stated)


def test_colours_are_told_in_words_and_saturation_while_it_is_dragged(
    browser: str, two: Path, photos: list[Path]
) -> None:
    with opened(browser, two, photos) as page:
        first = page.run("document.querySelector('#picture').src")
        drag = "document.querySelector('#saturation').value = 0.1;"
        page.do(f"{drag} document.querySelector('#saturation').dispatchEvent(new Event('input'))")
        page.wait(f"document.querySelector('#picture').src !== {first!r} && {READY}")
        assert page.run("document.querySelector('#save').disabled")
        page.click("#picture")
        page.wait("document.querySelector('#chooser').open && !!document.querySelector('#likely [data-color]')")
        assert re.match(
            r"likely 1: [a-z ]+$", page.run("document.querySelector('#likely [data-color]').innerText.trim()")
        )
        page.do("document.querySelector('#own').value = '#7a1020'; document.querySelector('#useOwn').click()")
        page.wait("document.querySelectorAll('.mark').length === 1")
        assert "dark red #7A1020" in page.run("document.querySelector('#stated').innerText")


def test_a_name_with_markup_is_text(browser: str, tiny: Path, photos: list[Path]) -> None:
    with opened(browser, tiny, photos) as page:
        assert page.run("document.querySelectorAll('#list img').length") == 0
        assert NAME in page.run("document.querySelector('#list').innerText")


def test_everything_is_within_reach_on_a_telephone(browser: str, tiny: Path, photos: list[Path]) -> None:
    with opened(browser, tiny, photos, width=390, height=800) as page:
        assert page.run("document.documentElement.scrollWidth") <= 390
        for selector in ("#picture", "#saturation", "#save", "#accept", "#list button"):
            bottom = page.run(f"document.querySelector({selector!r}).getBoundingClientRect().bottom")
            assert 0 < bottom <= 800, selector


def test_a_colour_can_be_taken_from_the_picture(browser: str, tiny: Path, photos: list[Path]) -> None:
    with opened(browser, tiny, photos) as page:
        page.click("#picture", 0.2, 0.2)
        page.wait("document.querySelector('#chooser').open")
        page.click("#pick")
        page.wait("!document.querySelector('#chooser').open")
        page.click("#picture", 0.8, 0.8)
        page.wait("document.querySelectorAll('.mark').length === 1")
        page.click("#save")
        page.wait("document.querySelector('#save').disabled")
    (hint,) = read_correction(kept(photos[0])).correction.hints
    assert round(hint.x, 1) == 0.2
    assert hint.color.startswith("#")
