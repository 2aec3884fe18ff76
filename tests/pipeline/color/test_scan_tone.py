"""Scans: pages and colour targets have no say in the tone, and what is coloured on a small part is found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.color.colorizer import Colorizer
from pipeline.color.colour_target import colour_target
from pipeline.color.model_input import EXIF_TURNS
from pipeline.color.scan_tone import Scan, ScanTone, appearance, scan_tone
from pipeline.color.spaces import F32, Matrix, rgb_of
from pipeline.color.tone import STRONGEST_TINT, evidence, inside, judge
from pipeline.color.tone_odds import log_odds_with_edges
from pipeline.media.stills import read_still
from pipeline.options import Options, TreatAs
from pipeline.photo.picture import prepare_picture
from pipeline.results import SourceTone
from tests.pipeline.color.test_tone import CYANOTYPE, SEPIA, TINTS, coloured, scene, through_jpeg, toned
from tests.pipeline.color.things import stained_print, things

HEIGHT, WIDTH = 96, 128
PAGES = {"brown": (0.27, -0.07, 0.06), "green": (0.31, -0.02, -0.07), "grey": (0.55, 0.0, 0.0)}
PLACES = ((8, 8), (8, 68), (52, 8), (52, 68))
PATCHES = (
    (0.3, -0.1, 0.3),
    (0.6, -0.25, 0.15),
    (0.35, -0.1, -0.2),
    (0.3, 0.25, -0.1),
    (0.25, 0.15, 0.2),
    (0.8, -0.3, 0.0),
)

Planes = tuple[F32, F32, F32]


def small(planes: Planes) -> Planes:
    luma, cb, cr = (plane.reshape(HEIGHT, 2, WIDTH, 2).mean(axis=(1, 3)) for plane in planes)
    return luma, cb, cr


def judged(planes: Planes) -> ScanTone:
    luma, cb, cr = planes
    return scan_tone(luma, np.stack([cb, cr]))


def mounted(planes: Planes, page: tuple[float, float, float]) -> Planes:
    luma, cb, cr = (np.full((HEIGHT, WIDTH), level, np.float32) for level in page)
    for top, left in PLACES:
        for made, plane in zip((luma, cb, cr), planes, strict=True):
            made[top : top + 36, left : left + 52] = plane[:72:2, :104:2]
    return luma, cb, cr


def on_mount(luma: F32, chroma: F32, tone: tuple[float, float, float]) -> Planes:
    """Return a portrait on a mount with a caption and a darker edge, which is therefore no page of one tone."""
    made = [np.full((HEIGHT, WIDTH), level, np.float32) for level in tone]
    for plane, edge, caption in zip(made, (0.2, 0.0, 0.0), (0.9, 0.0, 0.0), strict=True):
        plane[:4] = plane[-4:] = plane[:, :4] = plane[:, -4:] = edge
        plane[20:76, 116:124] = caption
    for plane, content in zip(made, (luma, *chroma), strict=True):
        plane[11:85, 14:114] = cv2.resize(content, (100, 74), interpolation=cv2.INTER_AREA)
    luma, cb, cr = made
    return luma, cb, cr


def with_target(planes: Planes) -> Planes:
    luma, cb, cr = (plane.copy() for plane in small(planes))
    for made, ground in zip((luma, cb, cr), (0.8, 0.0, 0.0), strict=True):
        made[:, 96:] = ground
    for number, patch in enumerate(PATCHES):
        for made, level in zip((luma, cb, cr), patch, strict=True):
            made[6 + 14 * number : 18 + 14 * number, 104:122] = level
    return luma, cb, cr


def marked(planes: Planes, *, cb: float, cr: float) -> Planes:
    made = tuple(plane.copy() for plane in small(planes))
    made[1][70:82, 90:110] += cb
    made[2][70:82, 90:110] += cr
    return made[0], made[1], made[2]


GREY = (scene(), np.zeros_like(scene()), np.zeros_like(scene()))


@pytest.mark.few(2)
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("tone", ["grey", "sepia"])
def test_prints_on_a_page_of_any_colour_are_not_coloured(page: str, tone: str) -> None:
    prints = GREY if tone == "grey" else toned(scene(), SEPIA)
    found = judged(mounted(prints, PAGES[page])).verdict
    assert found.tone is (SourceTone.MONOCHROME if (page, tone) == ("grey", "grey") else SourceTone.TINTED)


@pytest.mark.parametrize("page", PAGES)
def test_colour_prints_on_a_page_of_any_colour_are_coloured(page: str) -> None:
    assert judged(mounted(coloured(), PAGES[page])).verdict.tone is SourceTone.COLOUR


@pytest.mark.few(2)
@pytest.mark.parametrize("name", TINTS)
def test_a_colour_target_has_no_say_and_keeps_its_colours(name: str) -> None:
    found = judged(with_target(through_jpeg(toned(scene(), TINTS[name]), 90)))
    assert found.verdict.tone is SourceTone.TINTED
    assert found.coloured_part is not None
    assert found.coloured_part[6:88, 104:122].min() > 0.9
    assert found.coloured_part[:, :80].max() == 0


def test_a_colour_target_beside_a_colour_print_changes_nothing() -> None:
    assert judged(with_target(coloured())).verdict.tone is SourceTone.COLOUR


def test_colours_of_a_scene_are_no_target() -> None:
    for seed in range(20):
        luma, cb, cr = small(coloured(seed=seed, chroma=2))
        assert colour_target(luma, np.stack([cb, cr])) is None


@pytest.mark.few(2)
@pytest.mark.parametrize(("cb", "cr"), [(0.15, 0.1), (-0.02, 0.06), (0.12, -0.08)], ids=["stamp", "rouge", "ink"])
@pytest.mark.parametrize("tone", ["grey", "sepia"])
def test_what_is_coloured_on_a_small_part_is_found_and_in_doubt(tone: str, cb: float, cr: float) -> None:
    found = judged(marked(GREY if tone == "grey" else toned(scene(), SEPIA), cb=cb, cr=cr))
    assert found.verdict.tone is (SourceTone.MONOCHROME if tone == "grey" else SourceTone.TINTED)
    assert found.verdict.confidence <= 0.5
    assert found.coloured_part is not None
    assert found.coloured_part[73:79, 93:107].mean() > 0.9
    assert 0.005 < found.coloured_share < 0.06


def test_colours_that_change_with_place_are_no_tint_of_a_part() -> None:
    down, across = np.mgrid[0 : 1 : HEIGHT * 1j, 0 : 1 : WIDTH * 1j].astype(np.float32)
    red, green, blue = down, across, 1 - down
    luma = np.asarray(0.2126 * red + 0.7152 * green + 0.0722 * blue, np.float32)
    found = judged((luma, (blue - luma) / 1.8556, (red - luma) / 1.5748))
    assert found.verdict.tone is SourceTone.COLOUR
    assert found.coloured_part is None


def test_a_print_in_one_tone_has_no_coloured_part() -> None:
    assert judged(small(through_jpeg(toned(scene(), SEPIA), 75))).coloured_part is None


def log_odds(luma: F32, chroma: F32) -> float:
    edges = Scan.of(luma, chroma, inside(luma, *chroma), by_camera=False).edges
    assert edges is not None
    return log_odds_with_edges(evidence(luma, *chroma).log_odds, edges)


@pytest.mark.nightly
@pytest.mark.few(1)
@pytest.mark.parametrize(("name", "tone"), [("sepia", SourceTone.TINTED), ("cyanotype", SourceTone.COLOUR)])
def test_a_brown_picture_by_a_camera_may_be_a_print_sooner_than_a_blue_one(name: str, tone: SourceTone) -> None:
    luma, cb, cr = small(toned(scene(), TINTS[name]))
    _, other_cb, other_cr = small(coloured())
    between = []
    for share in np.arange(0, 0.3, 0.005):
        mixed = np.stack([cb + np.float32(share) * other_cb, cr + np.float32(share) * other_cr])
        if -8 < log_odds(luma, mixed) < -5:
            between.append(mixed)
    assert between
    assert {scan_tone(luma, mixed).verdict.tone for mixed in between} == {SourceTone.TINTED}
    assert {scan_tone(luma, mixed, by_camera=True).verdict.tone for mixed in between} == {tone}


@pytest.mark.few(2)
@pytest.mark.parametrize("seed", range(5))
def test_pale_colours_of_things_are_colour_and_stains_as_strong_are_not(seed: int) -> None:
    luma, chroma = things(seed, chroma=0.35)
    brown = stained_print(luma, seed=seed, stains=0)
    stains = stained_print(luma, seed=seed, stains=1) - brown
    as_strong = stains * np.float32(chroma.std() / stains.std())
    assert scan_tone(luma, brown + chroma).verdict.tone is SourceTone.COLOUR
    assert scan_tone(luma, brown + as_strong).verdict.tone is SourceTone.TINTED


STRONG_BLUE = tuple((at, 2.2 * cb, 2.2 * cr) for at, cb, cr in CYANOTYPE)


def test_a_strong_blue_print_is_a_print_and_a_film_as_blue_is_left_alone() -> None:
    luma, cb, cr = small(toned(scene(), STRONG_BLUE))
    found = evidence(luma, cb, cr)
    assert found.strength > STRONGEST_TINT
    assert scan_tone(luma, np.stack([cb, cr])).verdict.tone is SourceTone.TINTED
    assert judge([found]).tone is SourceTone.COLOUR


@pytest.mark.few(2)
@pytest.mark.parametrize("seed", range(3))
def test_strong_colours_of_one_hue_that_differ_from_thing_to_thing_are_colours(seed: int) -> None:
    luma, chroma = things(seed)
    red = np.array([-0.1, 0.2], np.float32)[:, None, None] + chroma
    assert evidence(luma, *red).strength > STRONGEST_TINT
    assert scan_tone(luma, red).verdict.tone is SourceTone.COLOUR


def test_a_print_of_something_small_on_plain_ground_is_no_page_with_nothing_on_it() -> None:
    luma = np.full((HEIGHT, WIDTH), 0.7, np.float32)
    cv2.ellipse(luma, (64, 48), (14, 9), 20, 0, 360, 0.3, -1)
    luma = np.asarray(cv2.blur(luma, (3, 3)), np.float32)
    brown = 0.06 * np.sin(np.pi * luma)
    found = scan_tone(luma, np.stack([-brown, 0.8 * brown]).astype(np.float32))
    assert found.verdict.tone is SourceTone.TINTED


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("tone", [(0.8, -0.06, 0.02), (0.7, -0.04, 0.06)], ids=["cream", "pink"])
def test_a_print_on_a_mount_of_another_tone_is_tinted(tone: tuple[float, float, float], seed: int) -> None:
    luma, chroma = things(seed)
    for planes, expected in ((0.3 * stained_print(luma, seed=seed, stains=0), "tinted"), (0.5 * chroma, "colour")):
        on_one, *others = on_mount(luma, planes, tone)
        found = scan_tone(on_one, np.stack(others), appears=appearance(EXIF_TURNS[1]))
        assert found.verdict.tone.value == expected


def doubtful_scan() -> tuple[F32, F32]:
    """Luma and chroma of a brown picture that may be a print as well as a photograph."""
    luma, chroma = things(1)
    brown = stained_print(luma, seed=1, stains=0)
    mixed = (brown + share * chroma for share in np.arange(0.02, 0.4, 0.01).astype(np.float32))
    return luma, next(one for one in mixed if scan_tone(luma, one).verdict.confidence < 0.2)


def test_the_tone_network_decides_what_is_in_doubt() -> None:
    luma, chroma = doubtful_scan()
    tones = [scan_tone(luma, chroma, appears=lambda *_, odds=odds: odds).verdict.tone for odds in (-6.0, 6.0)]
    assert tones == [SourceTone.TINTED, SourceTone.COLOUR]


@pytest.mark.parametrize("odds", [-50.0, 50.0])
def test_only_a_decision_of_the_tone_network_against_chroma_is_in_doubt(odds: float) -> None:
    luma, chroma = doubtful_scan()
    alone = scan_tone(luma, chroma).verdict
    found = scan_tone(luma, chroma, appears=lambda *_: odds).verdict
    is_against = found.tone is not alone.tone
    assert (found.confidence <= 0.5, "as the tone network sees it" in found.reason) == (is_against, is_against)


def test_the_tone_network_is_asked_once_and_only_in_doubt() -> None:
    asked = []

    def appears(luma: F32, chroma: F32) -> float:
        asked.append(chroma)
        return 0.0

    luma, chroma = doubtful_scan()
    scan_tone(luma, chroma, appears=appears, by_camera=True)
    for certain in (things(1)[1], np.zeros_like(chroma)):
        scan_tone(luma, certain, appears=appears)
    assert not asked
    scan_tone(luma, chroma, appears=appears)
    assert len(asked) == 1


@pytest.mark.parametrize("orientation", EXIF_TURNS)
def test_the_tone_network_sees_pictures_upright(orientation: int) -> None:
    luma, chroma = things(2)
    turn = EXIF_TURNS[orientation]
    upright = appearance(EXIF_TURNS[1])(luma, chroma)
    assert appearance(turn)(turn.stored(luma), turn.stored(chroma)) == pytest.approx(upright, abs=1e-4)


def test_the_tone_network_is_asked_only_if_nobody_has_decided(tmp_path: Path, opened: Colorizer) -> None:
    luma, chroma = doubtful_scan()
    Image.fromarray(np.rint(rgb_of(luma, chroma, Matrix.BT601) * 255).astype(np.uint8)).save(tmp_path / "a.png")
    still = read_still(tmp_path / "a.png")
    options = (Options(), Options(treat_as=TreatAs.TINTED))
    asked, unasked = (prepare_picture(still, opened, one).verdict for one in options)
    assert asked.confidence != unasked.confidence
