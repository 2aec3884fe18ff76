"""A grey profile becomes an RGB one under which every grey looks as before."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.media.stills.icc import profile_for_colour, rgb_from_grey
from pipeline.media.stills.icc_tags import CURVE_POINTS, DamagedProfileError, curve_of
from pipeline.media.stills.photoshop import without_thumbnail
from pipeline.results import NoteKind
from tests import photos

SAMPLED = b"curv" + bytes(4) + struct.pack(">I", 256) + (np.linspace(0, 1, 256) ** 2.4 * 65535).astype(">u2").tobytes()


def _lab_of(profile: bytes, codes: Image.Image) -> np.ndarray:
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    lab = ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(source, lab, codes.mode, "LAB", renderingIntent=1)
    return np.asarray(ImageCms.applyTransform(codes, transform))


@pytest.mark.parametrize(
    "grey",
    [photos.grey_profile(gamma=1.0), photos.grey_profile(gamma=2.2), photos.grey_profile(tags={b"kTRC": SAMPLED})],
)
def test_greys_mean_the_same_to_a_colour_manager(grey: bytes) -> None:
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    before = _lab_of(grey, ramp)
    after = _lab_of(rgb_from_grey(grey), ramp.convert("RGB"))
    assert np.abs(before[..., 0].astype(int) - after[..., 0]).max() <= 1
    assert np.abs(after[..., 1:].astype(np.int8)).max() <= 1


def test_the_tone_curve_is_kept_byte_for_byte() -> None:
    made = rgb_from_grey(photos.grey_profile(tags={b"kTRC": SAMPLED}))
    assert made.count(SAMPLED) == 1
    assert all(tag in made for tag in (b"rTRC", b"gTRC", b"bTRC"))
    assert struct.unpack_from(">I", made)[0] == len(made)


def test_the_primaries_are_those_of_srgb() -> None:
    made = ImageCms.ImageCmsProfile(BytesIO(rgb_from_grey(photos.grey_profile()))).profile
    srgb = ImageCms.ImageCmsProfile(BytesIO(photos.srgb_profile())).profile
    for colour in ("red_colorant", "green_colorant", "blue_colorant"):
        assert np.allclose(getattr(made, colour)[0], getattr(srgb, colour)[0], atol=2e-4)


@pytest.mark.parametrize(
    "profile",
    [b"", b"nonsense" * 40, photos.grey_profile(tags={b"A2B0": b"mft1" + bytes(60)}), photos.grey_profile()[:140]],
)
def test_a_profile_that_cannot_be_converted_is_dropped_with_a_note(profile: bytes) -> None:
    made, notes = profile_for_colour(profile)
    assert made is None
    assert [note.kind for note in notes] == [NoteKind.DROPPED]


def test_a_profile_for_print_colours_is_dropped_with_a_note() -> None:
    profile = photos.srgb_profile()
    made, notes = profile_for_colour(profile[:16] + b"CMYK" + profile[20:])
    assert made is None
    assert "CMYK" in notes[0].text


# Numbers of the functions of type 0 to 4 (ICC.1:2022, table 68), under each of which 1 is white.
FUNCTIONS = [
    (2.2,),
    (2.2, 0.9, 0.1),
    (2.2, 0.9, 0.97 ** (1 / 2.2) - 0.9, 0.03),
    (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    (2.4, 0.93, 0.99 ** (1 / 2.4) - 0.93, 0.107, 0.04, 0.01, 0.01),
]


def _function(kind: int, *numbers: float) -> bytes:
    fixed = [round(65536 * number) for number in numbers]
    return b"para" + bytes(4) + struct.pack(f">HH{len(fixed)}i", kind, 0, *fixed)


@pytest.mark.parametrize("kind", range(5))
def test_a_tone_curve_that_is_a_function_means_what_a_colour_manager_sees(kind: int) -> None:
    curve = _function(kind, *FUNCTIONS[kind])
    found = curve_of(curve)[np.rint(np.linspace(0, CURVE_POINTS - 1, 256)).astype(int)]
    seen = _lab_of(photos.grey_profile(tags={b"kTRC": curve}), Image.fromarray(np.arange(256, dtype=np.uint8)[None]))
    lightness = np.where(found > 216 / 24389, 116 * np.cbrt(found) - 16, found * 24389 / 27)
    assert np.abs(seen[0, :, 0] / 2.55 - lightness).max() < 1


@pytest.mark.parametrize(
    "curve",
    [SAMPLED[:100], _function(7, 1.0), _function(3, 2.4)[:14], _function(0, 0.0), b"text" + bytes(20)],
    ids=["cut off", "unknown function", "numbers missing", "flat", "no curve"],
)
def test_a_damaged_tone_curve_is_called_so(curve: bytes) -> None:
    with pytest.raises(DamagedProfileError, match="tone curve"):
        curve_of(curve)


@pytest.mark.parametrize(
    "rest",
    [b"", b"not one of Photoshop's", b"8BIM\x04\x0a\xff" + bytes(9), b"8BIM\x04\x0a\0\0\0\0\xff\0 too little"],
    ids=["nothing", "another signature", "a name without an end", "data without an end"],
)
def test_thumbnails_are_taken_out_of_photoshops_resources_and_what_breaks_off_stays(rest: bytes) -> None:
    note = b"8BIM\x04\x04\0\0" + struct.pack(">I", 3) + b"old\0"
    thumbnail = b"8BIM\x04\x0c\0\0" + struct.pack(">I", 6) + b"JPEG!!"
    assert without_thumbnail(note + thumbnail + note + rest) == note + note + rest
