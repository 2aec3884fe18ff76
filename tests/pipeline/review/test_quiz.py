"""The quiz as people take it: the command, a real browser, and the count at the end."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.commands.model_quiz import product_predictor
from pipeline.options import Options
from pipeline.photo.one import colorize_photo
from tests.browser import BROWSERS, CHROMIUM, browsing
from tests.commands import PATIENCE, command
from tests.training.conftest import synthetic_photo
from training.evaluate import find_set, grey, lightness_of
from training.quiz import pairs_of, wilson

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four photographs, and beside them results of somebody who paints everything red."""
    for folder in ("truth", "red"):
        (tmp_path / folder).mkdir()
    for number in range(4):
        picture = synthetic_photo(number)
        Image.fromarray(picture).save(tmp_path / "truth" / f"{number}.png")
        Image.fromarray(np.uint8([255, 0, 0]) * np.ones_like(picture)).save(tmp_path / "red" / f"{number}.png")
    return tmp_path


def test_a_network_is_shown_as_the_program_colours(tiny: Path, tmp_path: Path) -> None:
    Image.fromarray(synthetic_photo(3, 240, 320)).save(tmp_path / "one.png")
    options = Options(engine="onnxruntime", model=str(tiny))
    with product_predictor(options) as (name, paint):
        pair = pairs_of(find_set(tmp_path), paint, largest=None)
        real, coloured = (np.asarray(Image.open(BytesIO(one))) for one in pair(0))
    assert name == "tiny"
    assert np.array_equal(real, synthetic_photo(3, 240, 320))
    Image.fromarray(grey(lightness_of(real))).convert("L").save(tmp_path / "grey.png")
    colorize_photo(tmp_path / "grey.png", tmp_path / "made.png", options)
    made = np.asarray(Image.open(tmp_path / "made.png").convert("RGB"))
    assert np.array_equal(coloured, made)
    assert np.ptp(coloured, axis=2).max() > 0


@pytest.fixture
def quiz(photos: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    words = ["quiz", photos, "--rival", "red", "--rounds", "4", "--no-browser", "--json"]
    with subprocess.Popen(
        command("model", *words),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("Quiz: http://127.0.0.1:"), line
        try:
            yield process, line.removeprefix("Quiz: ").strip()
        finally:
            if process.poll() is None:
                process.kill()


def _ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


@pytest.mark.skipif(CHROMIUM not in BROWSERS, reason="needs Chromium, see tests/browser.py")
def test_whoever_sees_red_is_never_fooled_unless_they_choose_it(quiz: tuple[subprocess.Popen[str], str]) -> None:
    process, address = quiz
    ready = "!document.querySelector('#pair').hidden && !document.querySelector('#left').disabled"
    mean = """(() => {
        const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
        const drawing = canvas.getContext('2d');
        drawing.drawImage(document.querySelector('#left img'), 0, 0, 1, 1);
        return drawing.getImageData(0, 0, 1, 1).data[1];
    })()"""
    with browsing() as page:
        page.go(address)
        for number in range(4):
            page.wait(f"document.querySelector('#round')?.textContent.startsWith('Pair {number + 1} of 4:') && {ready}")
            real_is_left = page.run(mean) > 0
            # The last answer is wrong on purpose.
            key = "ArrowLeft" if real_is_left == (number < 3) else "ArrowRight"
            page.press(key)
        page.wait("document.querySelector('#round').textContent.startsWith('That was the last')")
        assert "Coloured taken for real: 1 of 4, 25 %" in page.run("document.querySelector('#count').textContent")
        assert "Pair 4: fooled" in page.run("document.querySelector('#last').textContent")
        assert not page.complaints
    document = _ended(process)
    assert (document["system"], document["answered"], document["fooled"]) == ("red", 4, 1)
    assert document["interval"] == pytest.approx(wilson(1, 4))


def test_strangers_and_answers_out_of_turn_are_turned_away(quiz: tuple[subprocess.Popen[str], str]) -> None:
    process, address = quiz
    for url in (address.partition("?")[0], f"{address.partition('?')[0]}api/picture?round=0&side=left"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url, timeout=30)
        assert refused.value.code == 403
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    opener.open(address, timeout=30).read()
    origin = address.partition("/?")[0]
    for path in ("round=1&side=left", "round=0&side=up", "round=-1&side=left"):
        request = urllib.request.Request(f"{origin}/api/answer?{path}", b"", {"Origin": origin}, method="POST")
        with pytest.raises(urllib.error.HTTPError) as refused:
            opener.open(request, timeout=30)
        assert refused.value.code == 400
    document = _ended(process)
    assert (document["answered"], document["fooled"]) == (0, 0)
