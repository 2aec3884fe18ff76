"""In doubtful cases, the colours that the network expects decide whether a picture of one hue is a print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engines.adapters.base import Evidence
from engines.library import load_weights
from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.color.expected_colours import Expects, expectation, is_trusted
from pipeline.color.model_input import EXIF_TURNS
from pipeline.color.scan_tone import Scan, scan_tone
from pipeline.color.spaces import F32, Matrix, ab_of_rgb, rgb_of
from pipeline.color.tone import inside
from pipeline.color.tone_expectation_table import WEIGHTS_SHA256
from pipeline.color.tone_odds import log_odds_with_expectation
from pipeline.media.stills import read_still
from pipeline.options import Options, TreatAs
from pipeline.photo.picture import prepare_picture
from tests.pipeline.color.things import stained_print, things

STEPS = np.arange(-60, 61, 10.0)
CENTRES = np.stack(np.meshgrid(STEPS, STEPS), axis=-1).reshape(-1, 2).astype(np.float32)


def sure_of(luma: F32, chroma: F32) -> Expects:
    """A network that expects just this ``chroma`` (2, h, w), on a grid of a sixth of the picture."""
    ab = ab_of_rgb(rgb_of(luma, chroma, Matrix.BT601))[:, 3::6, 3::6]
    apart = np.square(ab[:, None] - CENTRES.T[:, :, None, None]).sum(axis=0)
    evidence = Evidence(logits=(-apart / 100).astype(np.float32)[None], centres=CENTRES)
    return lambda _luma: evidence


def unasked(luma: F32) -> Evidence:
    raise AssertionError("the network was asked")


def doubt(luma: F32, chroma: F32, expects: Expects) -> np.ndarray | None:
    return Scan.of(luma, chroma, inside(luma, *chroma), by_camera=False, expects=expects).doubt(within=4)


def doubtful() -> Iterator[tuple[F32, F32, F32]]:
    """Yield luma, chroma and the chroma of the things alone, of brown pictures with ever more of it, if in doubt."""
    for seed in range(3):
        luma, chroma = things(seed)
        brown = stained_print(luma, seed=seed, stains=0)
        for share in np.arange(0.02, 0.4, 0.04).astype(np.float32):
            mixed = brown + share * chroma
            if doubt(luma, mixed, sure_of(luma, chroma)) is not None:
                yield luma, mixed, chroma


def test_the_table_belongs_to_the_weights_that_are_shipped(colorizer: Colorizer) -> None:
    assert load_weights(Options().model).sha256 == WEIGHTS_SHA256
    assert not is_trusted(colorizer.spec)


@pytest.mark.slow
def test_colours_that_the_network_expects_speak_for_a_photograph() -> None:
    gains = []
    for luma, mixed, chroma in doubtful():
        right, wrong = (doubt(luma, mixed, sure_of(luma, one)) for one in (chroma, -chroma))
        assert right is not None
        assert wrong is not None
        gains.append(log_odds_with_expectation(right) - log_odds_with_expectation(wrong))
    assert len(gains) > 5
    assert min(gains) >= 0
    assert np.mean(gains) > 1


def test_what_is_beyond_doubt_does_not_depend_on_the_network() -> None:
    luma, chroma = things(1)
    brown = stained_print(luma, seed=1, stains=0)
    for planes in (brown, chroma, np.zeros_like(chroma)):
        told = scan_tone(luma, planes, expects=unasked)
        assert told.verdict == scan_tone(luma, planes).verdict


def test_pictures_by_cameras_do_not_depend_on_the_network() -> None:
    luma, mixed, _ = next(doubtful())
    scan_tone(luma, mixed, by_camera=True, expects=unasked)


@pytest.mark.parametrize("orientation", EXIF_TURNS)
def test_the_network_sees_pictures_upright_and_answers_as_they_are_stored(orientation: int, opened: Colorizer) -> None:
    luma = things(2)[0]
    turn = EXIF_TURNS[orientation]
    seen = expectation(opened)(luma).logits
    stored = expectation(opened, turn)(turn.stored(luma)).logits
    assert np.allclose(turn.upright(stored), seen, atol=1e-4)


@pytest.mark.slow
def test_only_the_network_of_the_table_is_asked_and_only_if_nobody_has_decided(
    tmp_path: Path, opened: Colorizer
) -> None:
    luma, mixed, _ = next(doubtful())
    Image.fromarray(np.rint(rgb_of(luma, mixed, Matrix.BT601) * 255).astype(np.uint8)).save(tmp_path / "a.png")
    still = read_still(tmp_path / "a.png")
    decided = Options(treat_as=TreatAs.TINTED)
    with open_colorizer(Options(engine="onnxruntime", device="cpu")) as shipped:
        asked, unasked = (prepare_picture(still, shipped, options).verdict for options in (Options(), decided))
    assert asked.confidence != unasked.confidence
    assert prepare_picture(still, opened, Options()).verdict == unasked
