"""ICC profiles: which one a coloured picture carries, so that its greys keep their meaning and its colours are right.

Layout: ICC.1:2001-04 and ICC.1:2022 (versions 2 and 4), sections 7 to 10.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from pipeline.media.stills.icc_tags import (
    HEADER,
    DamagedProfileError,
    RgbDescription,
    colour_space,
    curve_of,
    describe,
    grey_axis,
    tags_of,
)
from pipeline.results import Note, NoteKind

# sRGB primaries adapted to D50 (Bradford), as s15Fixed16; the three add up to the D50 white of the header exactly,
# so that R = G = B stays on the grey axis to the last bit.
_D50 = (0xF6D6, 0x10000, 0xD32D)
_RED = (0x6FA2, 0x38F5, 0x0390)
_GREEN = (0x6299, 0xB785, 0x18DA)
_BLUE = tuple(white - red - green for white, red, green in zip(_D50, _RED, _GREEN, strict=True))

_COPIED = (b"cprt", b"wtpt", b"bkpt", b"chad")
_SRGB_PRIMARIES = np.array((_RED, _GREEN, _BLUE)).T / 65536
_CURVE_SAMPLES = 1024
# Maximum distance of primaries and tone curve from those of sRGB to count as sRGB: its profiles differ by less.
_SRGB_NEAR = 0.003, 0.006


def profile_for_colour(profile: bytes | None) -> tuple[bytes | None, tuple[Note, ...]]:
    """Return the profile that replaces ``profile`` in the coloured picture, and notes about it.

    RGB profiles with primaries and a tone curve are kept byte for byte. A grey profile becomes an RGB one with the same
    tone curve, so that every grey keeps its meaning; so does an RGB profile with tables, under which new colours could
    not be predicted. Anything else cannot describe an RGB picture and is dropped.
    """
    if profile is None:
        return None, ()
    try:
        space = colour_space(profile)
        if space == "RGB" and describe(profile) is not None:
            return profile, ()
        if space == "RGB":
            made, text = rgb_from_greys_of(profile), "RGB ICC profile of tables became one with sRGB primaries"
            return made, (Note(NoteKind.CONVERTED, f"{text}; its greys are the same"),)
        if space == "GRAY":
            text = "grey ICC profile became an RGB one with the same tone curve"
            return rgb_from_grey(profile), (Note(NoteKind.CONVERTED, text),)
    except DamagedProfileError as error:
        return None, (Note(NoteKind.DROPPED, f"ICC profile: {error}"),)
    return None, (Note(NoteKind.DROPPED, f"ICC profile for {space} cannot describe an RGB picture"),)


def is_rgb(profile: bytes) -> bool:
    """Return whether the profile is declared for R, G and B."""
    try:
        return colour_space(profile) == "RGB"
    except DamagedProfileError:
        return False


def space_for_colour(profile: bytes | None) -> RgbDescription | None:
    """Describe the space in which colour has to be made, that of `profile_for_colour`; None if it is sRGB."""
    made, _ = profile_for_colour(profile)
    found = None if made is None else describe(made)
    if found is None:
        return None
    primaries, curve = _SRGB_NEAR
    is_srgb = np.abs(found.primaries - _SRGB_PRIMARIES).max() < primaries and (
        np.abs(found.curve - _srgb_curve(len(found.curve))).max() < curve
    )
    return None if is_srgb else found


def rgb_from_grey(profile: bytes) -> bytes:
    """Build an RGB matrix profile: sRGB primaries, three times the tone curve of the grey profile, byte for byte.

    If the profile has tables instead of a curve, its greys are sampled. Raises `DamagedProfileError`.
    """
    curve = tags_of(profile).get(b"kTRC")
    if curve is None or profile[20:24] != b"XYZ ":
        return rgb_from_greys_of(profile)
    curve_of(curve)
    return _with_curve(profile, curve)


def rgb_from_greys_of(profile: bytes) -> bytes:
    """Build an RGB matrix profile: sRGB primaries, and a tone curve sampled from the greys of a grey or RGB profile.

    Raises `DamagedProfileError`.
    """
    axis = grey_axis(profile)
    points = np.interp(np.linspace(0, 1, _CURVE_SAMPLES), np.linspace(0, 1, len(axis)), axis)
    samples: bytes = np.rint(points * 65535).astype(">u2").tobytes()
    return _with_curve(profile, b"curv" + bytes(4) + struct.pack(">I", _CURVE_SAMPLES) + samples)


def _with_curve(profile: bytes, curve: bytes) -> bytes:
    tags = tags_of(profile)
    modern = profile[8] >= 4
    name = "Grey tone curve with sRGB primaries"
    made = {tag: tags[tag] for tag in _COPIED if tag in tags}
    made[b"desc"] = _text_v4(name) if modern else _text_v2(name)
    made.setdefault(b"cprt", _text_v4("CC0") if modern else b"text" + bytes(4) + b"CC0\0")
    made.setdefault(b"wtpt", _xyz(_D50))
    made |= {b"rXYZ": _xyz(_RED), b"gXYZ": _xyz(_GREEN), b"bXYZ": _xyz(_BLUE)}
    made |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    return _assemble(profile, made)


def _srgb_curve(points: int) -> NDArray[np.float64]:
    """Return linear values of code values, as in IEC 61966-2-1."""
    codes = np.linspace(0, 1, points)
    return np.asarray(np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4))


def _assemble(source: bytes, tags: dict[bytes, bytes]) -> bytes:
    table = struct.pack(">I", len(tags))
    body = b""
    placed: dict[bytes, int] = {}
    start = HEADER + 4 + 12 * len(tags)
    for tag, data in tags.items():
        if data not in placed:
            placed[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += tag + struct.pack(">II", placed[data], len(data))
    header = bytearray(source[:HEADER])
    header[0:4] = struct.pack(">I", start + len(body))
    header[12:24] = (b"scnr" if source[12:16] == b"scnr" else b"mntr") + b"RGB XYZ "
    # The preferred module, the device, the creator and the profile ID belong to the profile that this one was made
    # from.
    for first, last in ((4, 8), (48, 56), (80, 100)):
        header[first:last] = bytes(last - first)
    return bytes(header) + table + body


def _xyz(values: tuple[int, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *values)


def _text_v2(text: str) -> bytes:
    raw = text.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(raw)) + raw + bytes(8 + 3 + 67)


def _text_v4(text: str) -> bytes:
    raw = text.encode("utf-16-be")
    return b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(raw), 28) + raw
