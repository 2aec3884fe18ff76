"""Metadata on the display a film was graded on (SMPTE ST 2086) and on its brightest pictures (CTA-861.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction

import av

# FFmpeg's AVMasteringDisplayMetadata: eight chromaticities and two luminances as ratios, then two flags.
_MASTERING = struct.Struct("=20i2i")
STEREO_MARK = "the mark as stereoscopic"
_LOST = {
    "DYNAMIC_HDR_PLUS": "dynamic HDR metadata (HDR10+)",
    "DOVI_METADATA": "dynamic HDR metadata (Dolby Vision)",
    "DYNAMIC_HDR_VIVID": "dynamic HDR metadata (HDR Vivid)",
    "STEREO3D": STEREO_MARK,
    "SPHERICAL": "the mark as a spherical picture",
    "S12M_TIMECODE": "the timecode within the pictures",
    "AMBIENT_VIEWING_ENVIRONMENT": "the description of the ambient viewing environment",
    "ICC_PROFILE": "the ICC profile",
}
# FFmpeg's AVStereo3DType: none, and those whose two views are separate pictures, including unknown ones.
_FLAT, _TWO_PICTURES = 0, (3, 8)
_FIRST_VIEW = "; of two views in one stream the first is written"
_LIGHT = struct.Struct("=2I")
_CHROMATICITY_UNIT = Fraction(1, 50_000)
_LUMINANCE_UNIT = Fraction(1, 10_000)


@dataclass(frozen=True, kw_only=True)
class Hdr:
    """The two kinds of static HDR metadata, None if the film has none.

    ``mastering``: x and y of red, green, blue and white in units of 1/50,000, then the highest and the lowest luminance
    in units of 1/10,000 cd/m2. ``light``: MaxCLL and MaxFALL in cd/m2. ``lost`` names data that no result holds:
    metadata that change from picture to picture, and marks of other picture types. True if either kind is present.
    """

    mastering: tuple[int, ...] | None = None
    light: tuple[int, int] | None = None
    lost: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether the film has any."""
        return self.mastering is not None or self.light is not None

    def mastering_text(self, *, in_units: bool = False) -> str:
        """Return the mastering display in encoder syntax: ``G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)``.

        ``in_units`` gives chromaticities themselves and cd/m2, instead of whole multiples of fractions.
        """
        colours, luminances = (self.mastering or ())[:8], (self.mastering or ())[8:]
        if in_units:
            numbers = [f"{float(value * _CHROMATICITY_UNIT):.5f}" for value in colours]
            numbers += [f"{float(value * _LUMINANCE_UNIT):.4f}" for value in luminances]
        else:
            numbers = [str(value) for value in (*colours, *luminances)]
        rx, ry, gx, gy, bx, by, wx, wy, highest, lowest = numbers
        return f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({highest},{lowest})"


def read_hdr(picture: av.VideoFrame) -> Hdr:
    """Return the metadata in the side data of ``picture``, all of which PyAV must know."""
    found = {kind: data for kind in _LOST if (data := _side_data(picture, kind))}
    stereo = struct.unpack("=i", found["STEREO3D"][:4])[0] if "STEREO3D" in found else _FLAT
    if stereo == _FLAT:
        found.pop("STEREO3D", None)
    lost = tuple(f"{_LOST[kind]}{_FIRST_VIEW * (kind == 'STEREO3D' and stereo in _TWO_PICTURES)}" for kind in found)
    return Hdr(mastering=_mastering(picture), light=_light(picture), lost=lost)


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
