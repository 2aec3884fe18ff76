"""What a film says of the display it was graded on (SMPTE ST 2086) and of its brightest pictures (CTA-861.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import av

# FFmpeg's AVMasteringDisplayMetadata: eight chromaticities and two luminances as ratios, then two flags.
_MASTERING = struct.Struct("=20i2i")
_LIGHT = struct.Struct("=2I")
_CHROMATICITY_UNIT = Fraction(1, 50_000)
_LUMINANCE_UNIT = Fraction(1, 10_000)


@dataclass(frozen=True, kw_only=True)
class Hdr:
    """The two kinds of static HDR metadata, None where the film says nothing.

    ``mastering``: x and y of red, green, blue and white in units of 1/50,000, then the highest and the lowest luminance
    in units of 1/10,000 cd/m2. ``light``: MaxCLL and MaxFALL in cd/m2.
    """

    mastering: tuple[int, ...] | None = None
    light: tuple[int, int] | None = None

    def __bool__(self) -> bool:
        """Whether the film says anything."""
        return self.mastering is not None or self.light is not None

    @property
    def mastering_text(self) -> str:
        """The mastering display as x264, x265 and others take it: ``G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)``."""
        rx, ry, gx, gy, bx, by, wx, wy, highest, lowest = self.mastering or (0,) * 10
        return f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({highest},{lowest})"


def read_hdr(picture: av.VideoFrame) -> Hdr:
    """Return what the side data of ``picture`` say, which must be of kinds that PyAV knows."""
    return Hdr(mastering=_mastering(picture), light=_light(picture))


def _mastering(picture: av.VideoFrame) -> tuple[int, ...] | None:
    data = _side_data(picture, "MASTERING_DISPLAY_METADATA")
    if len(data) != _MASTERING.size:
        return None
    numbers = _MASTERING.unpack(data)
    ratios = [
        Fraction(top, bottom) if bottom else Fraction(0)
        for top, bottom in zip(numbers[0:20:2], numbers[1:20:2], strict=True)
    ]
    *colours, lowest, highest = ratios
    if not (numbers[20] and numbers[21]):
        return None
    return (
        *(round(value / _CHROMATICITY_UNIT) for value in colours),
        round(highest / _LUMINANCE_UNIT),
        round(lowest / _LUMINANCE_UNIT),
    )


def _light(picture: av.VideoFrame) -> tuple[int, int] | None:
    data = _side_data(picture, "CONTENT_LIGHT_LEVEL")
    return _LIGHT.unpack(data) if len(data) == _LIGHT.size else None


def _side_data(picture: av.VideoFrame, kind: str) -> bytes:
    try:
        return bytes(picture.side_data[kind])  # type: ignore[literal-required]  # the stub lists one key
    except KeyError:
        return b""
