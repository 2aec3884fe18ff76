"""Parse ICC profiles: tags, primaries, and tone curves as numbers.

Layout: ICC.1:2001-04 and ICC.1:2022 (versions 2 and 4), sections 7 to 10.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray

HEADER = 128
CURVE_POINTS = 4096
_MOST_TAGS = 1000
_TABLES = (b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1")
_RELATIVE = 1
_SAME_CURVE = 2e-3
_WHITE, _WHITE_NEAR = (0.9642, 1.0, 0.8249), 0.05  # D50: what primaries add up to
_FLAT = 1e-3


class DamagedProfileError(ValueError):
    """Bytes that are not an ICC profile."""


@dataclass(frozen=True, eq=False)
class RgbDescription:
    """An RGB space: ``primaries`` (3, 3), columns of XYZ relative to D50, and the one tone curve of all channels.

    ``curve`` (4096,) holds linear values, 0..1, of evenly spaced code values.
    """

    primaries: NDArray[np.float64]
    curve: NDArray[np.float32]


def colour_space(profile: bytes) -> str:
    """Return the data colour space named in the header, such as "RGB" or "GRAY". Raises `DamagedProfileError`."""
    if len(profile) < HEADER + 4 or profile[36:40] != b"acsp":
        raise DamagedProfileError("damaged")
    return profile[16:20].decode("ascii", "replace").strip()


def tags_of(profile: bytes) -> dict[bytes, bytes]:
    """Return the tags with their data. Raises `DamagedProfileError`."""
    (number,) = struct.unpack_from(">I", profile, HEADER)
    if number > _MOST_TAGS or HEADER + 4 + 12 * number > len(profile):
        raise DamagedProfileError("damaged")
    tags = {}
    for index in range(number):
        name, offset, size = struct.unpack_from(">4sII", profile, HEADER + 4 + 12 * index)
        if offset + size > len(profile):
            raise DamagedProfileError("damaged")
        tags[name] = profile[offset : offset + size]
    return tags


def describe(profile: bytes) -> RgbDescription | None:
    """Return the description of an RGB profile with three primaries and one tone curve; None for other RGB profiles.

    Raises `DamagedProfileError`.
    """
    tags = tags_of(profile)
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    if any(name in tags for name in _TABLES) or any(name not in tags for name in names):
        return None
    columns = [_xyz_of(tags[name]) for name in names[:3]]
    curves = [curve_of(tags[name]) for name in names[3:]]
    if max(float(np.abs(curve - curves[0]).max()) for curve in curves[1:]) > _SAME_CURVE:
        return None
    primaries = np.array(columns).T
    if np.abs(primaries.sum(axis=1) - _WHITE).max() > _WHITE_NEAR or abs(np.linalg.det(primaries)) < _FLAT:
        return None
    return RgbDescription(primaries, curves[0])


def grey_axis(profile: bytes) -> NDArray[np.float32]:
    """Return the luminance, relative to white, of 4096 greys under a profile of any kind, as computed by LittleCMS.

    ``profile`` is a grey or RGB one. Raises `DamagedProfileError` if it is unusable, or its greys are not increasing.
    """
    is_grey = colour_space(profile) == "GRAY"
    ramp = np.linspace(0, 65535, CURVE_POINTS).astype(np.uint16)
    codes = ramp[None] if is_grey else np.repeat(ramp[None, :, None], 3, axis=2)
    try:
        xyz = imagecodecs.cms_transform(
            codes,
            profile,
            imagecodecs.cms_profile("xyz"),
            colorspace="gray" if is_grey else "rgb",
            outcolorspace="xyz",
            outdtype="float64",
            intent=_RELATIVE,
        )
    except (RuntimeError, ValueError, TypeError) as error:
        raise DamagedProfileError("its greys cannot be determined") from error
    luminance = np.asarray(xyz, np.float64)[0, :, 1]
    if not np.isfinite(luminance).all() or luminance[-1] - luminance[0] < 0.1:
        raise DamagedProfileError("its greys are not those of a picture")
    return np.maximum.accumulate(np.clip(luminance / luminance[-1], 0, 1)).astype(np.float32)


def curve_of(data: bytes) -> NDArray[np.float32]:
    """Return the linear values, 0..1, of 4096 code values under a ``curv`` or ``para`` tag.

    Raises `DamagedProfileError`.
    """
    codes = np.linspace(0, 1, CURVE_POINTS)
    try:
        with np.errstate(all="ignore"):
            values = _sampled(data, codes) if data[:4] == b"curv" else _parametric(data, codes)
    except (struct.error, ValueError) as error:
        raise DamagedProfileError("a tone curve of it is damaged") from error
    if not np.isfinite(values).all() or values[-1] - values[0] < 0.5:
        raise DamagedProfileError("a tone curve of it is damaged")
    return np.clip(values, 0, 1).astype(np.float32)


def _sampled(data: bytes, codes: NDArray[np.float64]) -> NDArray[np.float64]:
    (count,) = struct.unpack_from(">I", data, 8)
    if count == 0:
        return codes
    if count == 1:
        return np.asarray(codes ** (struct.unpack_from(">H", data, 12)[0] / 256))
    if 12 + 2 * count > len(data):
        raise ValueError("cut off")
    points = np.frombuffer(data, ">u2", count, 12) / 65535
    return np.interp(codes, np.linspace(0, 1, count), points)


def _parametric(data: bytes, codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate types 0 to 4 (ICC.1:2022, table 68) as cases of the last: (a x + b)^g + e from d, else c x + f."""
    kind = struct.unpack_from(">H", data, 8)[0] if data[:4] == b"para" else -1
    if not 0 <= kind <= 4:
        raise ValueError("unknown function")
    given = np.array(struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", data, 12)) / 65536
    g, a, b, c, d, e, f = 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if kind == 0:
        (g,) = given
    elif kind in (1, 2):
        g, a, b = given[:3]
        d = -b / a if a else 0.0
        e = f = given[3] if kind == 2 else 0.0
    elif kind == 3:
        g, a, b, c, d = given
    else:
        g, a, b, c, d, e, f = given
    return np.asarray(np.where(codes >= d, np.maximum(a * codes + b, 0) ** g + e, c * codes + f))


def _xyz_of(data: bytes) -> tuple[float, float, float]:
    if data[:4] != b"XYZ " or len(data) < 20:
        raise DamagedProfileError("a primary of it is damaged")
    x, y, z = struct.unpack_from(">3i", data, 8)
    return x / 65536, y / 65536, z / 65536
