"""A source's own chroma tells monochrome from tinted from coloured; colour is left alone, tints follow the options."""

from __future__ import annotations

from dataclasses import astuple
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from pipeline.color.spaces import F32
from pipeline.color.tone import ToneEvidence, Verdict, evidence, judge, treatment
from pipeline.options import Options, Tone, TreatAs
from pipeline.results import SourceTone, Treatment
from tests import films

HEIGHT, WIDTH = 192, 256
SEPIA = ((0.0, -0.01, 0.01), (0.4, -0.06, 0.05), (1.0, -0.02, 0.015))
CYANOTYPE = ((0.0, 0.03, -0.02), (0.4, 0.11, -0.06), (1.0, 0.02, -0.01))
BLUE_AND_YELLOW = ((0.0, 0.02, 0.0), (0.25, 0.06, -0.02), (0.75, -0.06, 0.02), (1.0, -0.06, 0.02))
AMBER_STOCK = ((0.0, 0.0, 0.0), (1.0, -0.12, 0.06))
TINTS = {"sepia": SEPIA, "cyanotype": CYANOTYPE, "two-tone": BLUE_AND_YELLOW, "tinted stock": AMBER_STOCK}

Planes = tuple[F32, F32, F32]


def blobs(seed: int, *cells: int) -> F32:
    """A sum of smooth random fields, one for each number of cells across, about -1..1."""
    random = np.random.default_rng(seed)
    fields = [
        cv2.resize(random.normal(size=(n * 3 // 4, n)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for n in cells
    ]
    return (sum(fields) / 2).astype(np.float32)


def scene(seed: int = 1) -> F32:
    return np.clip(0.45 + 0.25 * blobs(seed, 4, 16, 64), 0, 1).astype(np.float32)


def toned(luma: F32, curve: tuple[tuple[float, float, float], ...]) -> Planes:
    at, cb, cr = np.array(curve).T
    return luma, np.interp(luma, at, cb).astype(np.float32), np.interp(luma, at, cr).astype(np.float32)


def coloured(*, chroma: float = 1.0, seed: int = 1) -> Planes:
    return scene(seed), 0.1 * chroma * blobs(seed + 50, 5, 10), 0.1 * chroma * blobs(seed + 90, 5, 10)


def through_jpeg(planes: Planes, quality: int) -> Planes:
    """Store as JPEG with halved chroma and read back."""
    y, cb, cr = planes
    ycc = np.stack([y, cr + 0.5, cb + 0.5], axis=-1)
    codes = np.rint(np.clip(ycc, 0, 1) * 255).astype(np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    _, stored = cv2.imencode(".jpg", cv2.cvtColor(codes, cv2.COLOR_YCrCb2BGR), options)
    back = cv2.cvtColor(cv2.imdecode(stored, cv2.IMREAD_COLOR), cv2.COLOR_BGR2YCrCb).astype(np.float32) / 255
    return back[..., 0].copy(), back[..., 2] - 0.5, back[..., 1] - 0.5


def through_film(planes: Planes, codec: str, options: dict[str, str]) -> Planes:
    """Store as one frame of film, 480 lines with halved chroma, and read back."""
    y, cb, cr = (cv2.resize(plane, (640, 480), interpolation=cv2.INTER_CUBIC) for plane in planes)
    cb, cr = (cv2.resize(plane, (320, 240), interpolation=cv2.INTER_AREA) for plane in (cb, cr))
    codes = [np.rint(np.clip(y, 0, 1) * 219 + 16), *(np.rint(plane * 224 + 128) for plane in (cb, cr))]
    flat = np.concatenate([plane.ravel() for plane in codes]).astype(np.uint8).reshape(720, 640)
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 640, 480, "yuv420p", Fraction(1, 25)
    encoder.options = options
    packets = encoder.encode(av.VideoFrame.from_ndarray(flat, format="yuv420p")) + encoder.encode(None)
    decoder = av.CodecContext.create(encoder.codec.canonical_name, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.extradata = encoder.extradata
    (frame,) = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    y, cb, cr = (films.plane(frame, number).astype(np.float32) for number in range(3))
    return (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224


def verdict(planes: Planes) -> Verdict:
    return judge([evidence(*planes)])


def test_a_source_without_chroma_is_monochrome() -> None:
    found = judge([evidence(scene(), None, None)])
    assert (found.tone, found.confidence) == (SourceTone.MONOCHROME, 1.0)


def test_grey_in_a_format_with_colour_says_what_next_to_no_chroma_does() -> None:
    luma = np.random.default_rng(0).uniform(0.1, 0.9, (72, 96)).astype(np.float32)
    faint = np.random.default_rng(1).normal(0, 1e-9, (2, 36, 48)).astype(np.float32)
    grey, nearly = evidence(luma, *np.zeros_like(faint)), evidence(luma, *faint)
    assert astuple(grey) == pytest.approx(astuple(nearly), rel=1e-3, abs=1e-6)


@pytest.mark.few(3)
@pytest.mark.parametrize(("offset", "quality"), [(0.0, 30), (0.0, 60), (0.0, 95), (0.005, 75), (0.005, 95)])
def test_noise_and_a_slight_offset_do_not_make_a_tint(quality: int, offset: float) -> None:
    luma = scene()
    grain = np.random.default_rng(0).normal(size=(2, HEIGHT, WIDTH)).astype(np.float32) * 0.02
    assert verdict(through_jpeg((luma, grain[0] + offset, grain[1] - offset), quality)).tone is SourceTone.MONOCHROME


BLURRED = [("two-tone", 40), ("two-tone", 60)]
PRINTS = [(name, quality) for name in TINTS for quality in (40, 60, 95) if (name, quality) not in BLURRED]


@pytest.mark.few(4)
@pytest.mark.parametrize(("name", "quality"), PRINTS)
def test_a_toned_print_is_tinted(name: str, quality: int) -> None:
    found = verdict(through_jpeg(toned(scene(), TINTS[name]), quality))
    assert found.tone is SourceTone.TINTED
    assert "tint" in found.reason


def test_a_print_in_two_strong_tones_that_jpeg_blurs_is_kept_and_in_doubt() -> None:
    found = verdict(through_jpeg(toned(scene(), BLUE_AND_YELLOW), 60))
    assert found.tone is SourceTone.COLOUR
    assert found.confidence <= 0.5


COARSEST = {"qmin": "31", "qmax": "31", "b": "100k"}
COMPRESSED = [("mpeg2video", COARSEST), ("mpeg4", COARSEST), ("libx264", {"crf": "35"})]


@pytest.mark.few(2)
@pytest.mark.parametrize(("codec", "options"), COMPRESSED, ids=[codec for codec, _ in COMPRESSED])
@pytest.mark.parametrize("name", TINTS)
def test_a_toned_film_is_tinted_even_if_it_is_strongly_compressed(
    name: str, codec: str, options: dict[str, str]
) -> None:
    shot = [evidence(*through_film(toned(scene(seed), TINTS[name]), codec, options)) for seed in range(4)]
    assert judge(shot).tone is SourceTone.TINTED


@pytest.mark.few(2)
@pytest.mark.parametrize(("codec", "options"), COMPRESSED, ids=[codec for codec, _ in COMPRESSED])
def test_a_coloured_film_is_colour_even_if_it_is_strongly_compressed(codec: str, options: dict[str, str]) -> None:
    shot = [evidence(*through_film(coloured(chroma=0.5, seed=seed), codec, options)) for seed in range(4)]
    assert judge(shot).tone is SourceTone.COLOUR


def test_the_mean_tint_is_told() -> None:
    luma = np.clip(scene(), 0.1, 0.9)
    found = verdict((luma, np.full_like(luma, -0.05), np.full_like(luma, 0.03)))
    assert (found.cb, found.cr) == pytest.approx((-0.05, 0.03), abs=1e-3)


def test_faded_edges_do_not_make_a_sepia_print_colour() -> None:
    luma, cb, cr = toned(scene(), SEPIA)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j].astype(np.float32)
    strength = 1 - 0.3 * (x * x + y * y)
    assert verdict(through_jpeg((luma, cb * strength, cr * strength), 75)).tone is SourceTone.TINTED


def test_a_stamp_does_not_make_a_sepia_print_colour_but_a_doubtful_case() -> None:
    clean = toned(scene(), SEPIA)
    stamped = tuple(plane.copy() for plane in clean)
    stamped[1][20:64, 20:68], stamped[2][20:64, 20:68] = 0.2, -0.1
    found = verdict(stamped)
    assert found.tone is SourceTone.TINTED
    assert found.confidence < verdict(clean).confidence
    assert "small part" in found.reason


def test_a_coloured_mount_does_not_make_a_photograph_colour() -> None:
    luma, cb, cr = toned(scene(), SEPIA)
    mounted = tuple(
        cv2.copyMakeBorder(plane, 30, 30, 30, 30, cv2.BORDER_CONSTANT, value=value)
        for plane, value in ((luma, 0.6), (cb, 0.05), (cr, -0.06))
    )
    assert verdict(mounted).tone is SourceTone.TINTED


@pytest.mark.few(3)
@pytest.mark.parametrize("quality", [30, 60, 95])
@pytest.mark.parametrize("chroma", [1.0, 0.5])
def test_several_hues_are_colour(chroma: float, quality: int) -> None:
    assert verdict(through_jpeg(coloured(chroma=chroma), quality)).tone is SourceTone.COLOUR


def test_a_cast_does_not_make_a_colour_photograph_tinted() -> None:
    luma, cb, cr = coloured(chroma=0.6)
    assert verdict((luma, cb - 0.06, cr + 0.05)).tone is SourceTone.COLOUR


def test_one_hue_too_strong_for_a_tint_is_colour() -> None:
    luma = np.clip(scene(), 0.1, 0.9)
    assert verdict((luma, luma * 0 - 0.2, luma * 0 + 0.2)).tone is SourceTone.COLOUR


def test_paler_chroma_is_less_certainly_colour() -> None:
    odds = [evidence(*coloured(chroma=chroma)).log_odds for chroma in (0.5, 0.25, 0.1, 0.05)]
    assert odds == sorted(odds, reverse=True)
    assert verdict(coloured(chroma=0.02)).tone is SourceTone.MONOCHROME


def test_halved_chroma_planes_say_the_same_as_full_ones() -> None:
    luma, cb, cr = coloured()
    halves = [cv2.resize(plane, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA) for plane in (cb, cr)]
    assert evidence(luma, *halves).vivid == pytest.approx(evidence(luma, cb, cr).vivid, rel=0.05)


def test_black_frames_do_not_vote() -> None:
    black = np.zeros((HEIGHT, WIDTH), np.float32)
    shot = [evidence(black, black, black)] * 20 + [evidence(*coloured(seed=seed)) for seed in range(3)]
    assert judge(shot).tone is SourceTone.COLOUR


@pytest.mark.parametrize("level", [0.0, 0.01, 0.5, 0.99, 1.0])
def test_blank_grey_pictures_are_monochrome_without_certainty(level: float) -> None:
    luma = np.full((HEIGHT, WIDTH), level, np.float32)
    found = judge([evidence(luma, luma * 0, luma * 0)])
    assert (found.tone, found.confidence) == (SourceTone.MONOCHROME, 0.0)


def test_a_flat_coloured_picture_is_left_alone() -> None:
    luma = np.full((HEIGHT, WIDTH), 0.4, np.float32)
    found = verdict((luma, luma * 0 - 0.1, luma * 0 + 0.2))
    assert (found.tone, found.confidence) == (SourceTone.COLOUR, 0.0)


def test_no_pictures_are_no_evidence() -> None:
    assert judge([]).confidence == 0.0


@pytest.mark.parametrize(("late", "tone"), [(1, SourceTone.MONOCHROME), (4, SourceTone.COLOUR)])
def test_colour_that_comes_late_into_a_shot_counts_unless_it_is_one_flash(late: int, tone: SourceTone) -> None:
    grey: list[ToneEvidence] = [evidence(*toned(scene(seed), ((0, 0, 0), (1, 0, 0)))) for seed in range(10 - late)]
    assert judge([*grey, *(evidence(*coloured(seed=seed)) for seed in range(late))]).tone is tone


def test_tiny_pictures_carry_no_evidence() -> None:
    tiny = np.full((4, 5), 0.5, np.float32)
    assert evidence(tiny, tiny * 0, tiny * 0).weight == 0


@pytest.mark.parametrize(
    ("found", "tone", "treat_as", "expected"),
    [
        (SourceTone.MONOCHROME, Tone.NEUTRALISE, TreatAs.AUTO, Treatment.COLOURED),
        (SourceTone.MONOCHROME, Tone.KEEP, TreatAs.AUTO, Treatment.COLOURED),
        (SourceTone.TINTED, Tone.NEUTRALISE, TreatAs.AUTO, Treatment.COLOURED),
        (SourceTone.TINTED, Tone.KEEP, TreatAs.AUTO, Treatment.TINT_KEPT),
        (SourceTone.COLOUR, Tone.NEUTRALISE, TreatAs.AUTO, Treatment.KEPT),
        (SourceTone.COLOUR, Tone.KEEP, TreatAs.AUTO, Treatment.KEPT),
        (SourceTone.COLOUR, Tone.KEEP, TreatAs.MONOCHROME, Treatment.COLOURED),
        (SourceTone.COLOUR, Tone.NEUTRALISE, TreatAs.TINTED, Treatment.COLOURED),
        (SourceTone.COLOUR, Tone.KEEP, TreatAs.TINTED, Treatment.TINT_KEPT),
        (SourceTone.MONOCHROME, Tone.NEUTRALISE, TreatAs.COLOUR, Treatment.KEPT),
    ],
)
def test_the_options_decide_what_a_verdict_means(
    found: SourceTone, tone: Tone, treat_as: TreatAs, expected: Treatment
) -> None:
    assert treatment(Verdict(found, 1.0, 0.0, 0.0, ""), Options(tone=tone, treat_as=treat_as)) is expected
