"""Pixel formats as data: depth, chroma layout, and positions of the luma samples, or red, green and blue."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import av

# Interleaved formats: position of the first luma sample in plane 0 and the distance to the next, in samples.
_INTERLEAVED_LUMA = {
    **{"uyvy422": (1, 2), "yuyv422": (0, 2), "yvyu422": (0, 2)},
    **{"ya8": (0, 2), "ya16le": (0, 2), "ya16be": (0, 2)},
}
_LAYOUTS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (4, 1): "4:1:1", (4, 4): "4:1:0", (1, 2): "4:4:0"}
GREY = "grey"
PALETTE = "pal8"
EXPANDED = "rgb24"
# Names of interleaved RGB: the order of the samples ("0" is padding), then the bits of a pixel.
_PACKED_RGB = re.compile(r"([rgba0]{3,4}?)(24|32|48|64)?(le|be)?")


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """A pixel format whose luma this program can read, or compute from red, green and blue.

    ``layout`` is the chroma layout ("4:2:0", ... or "grey"; "4:4:4" for RGB), ``bits`` the depth. Luma sample ``n`` of
    a row is sample ``luma_offset + n * luma_step`` of that row in plane 0, one or two bytes wide. ``rgb`` holds, for
    red, green and blue in turn, the plane, the first sample and the distance to the next; it is empty for formats with
    luma and for palettes. ``expands`` marks RGB of fewer than 8 bits per colour, read as 8 bits:
    FFmpeg widens it without loss by repeating the highest bits.
    """

    name: str
    bits: int
    layout: str
    has_alpha: bool = False
    is_full_range: bool = False
    is_big_endian: bool = False
    luma_offset: int = 0
    luma_step: int = 1
    rgb: tuple[tuple[int, int, int], ...] = ()
    expands: bool = False

    @property
    def is_grey(self) -> bool:
        """True if there are no chroma planes."""
        return self.layout == GREY

    @property
    def is_rgb(self) -> bool:
        """True if luma is computed from red, green and blue."""
        return bool(self.rgb) or self.name == PALETTE


def pixel_format(name: str) -> PixelFormat:
    """Return data on the FFmpeg pixel format ``name``. Raises `ValueError` for those this program cannot read."""
    known = av.VideoFormat(name, 64, 64)
    components = known.components
    first = components[0]
    if first.bits > 16 or "f16" in name or "f32" in name:
        raise ValueError(f"{name} holds floating-point or very deep samples")
    if name == PALETTE:
        return PixelFormat(name=name, bits=8, layout="4:4:4", is_full_range=True)
    if known.is_rgb and not known.is_bayer:
        return _rgb(known)
    if known.is_bayer or name.startswith(("xyz", "ayuv", "vuy", "y2", "v30", "xv")):
        raise ValueError(f"{name} holds X, Y and Z, raw sensor samples, or another order without a luma plane")
    if known.is_bit_stream or first.bits < 8 or not first.is_luma:
        raise ValueError(f"{name} holds single bits")
    offset, step = _INTERLEAVED_LUMA.get(name, (0, 1))
    if name.startswith(("p0", "p2", "p4", "nv20")) or (not known.is_planar and len(components) > 1 and step == 1):
        raise ValueError(f"{name} interleaves its samples in a way this program does not read")
    colours = [part for part in components if not part.is_alpha and not part.is_luma]
    layout = GREY
    if colours:
        layout = _LAYOUTS[(64 // colours[0].width, 64 // colours[0].height)]
    return PixelFormat(
        name=name,
        bits=first.bits,
        layout=layout,
        has_alpha=any(part.is_alpha for part in components),
        is_full_range=name.startswith("yuvj"),
        is_big_endian=known.is_big_endian,
        luma_offset=offset,
        luma_step=step,
    )


def _rgb(known: av.VideoFormat) -> PixelFormat:
    if max(part.bits for part in known.components) < 8 and not known.is_planar and not known.is_bit_stream:
        return replace(pixel_format(EXPANDED), name=known.name, expands=True)
    packed = _PACKED_RGB.fullmatch(known.name)
    if known.is_planar:
        places = tuple((part.plane, 0, 1) for part in known.components[:3])
    elif packed is not None and {part.bits for part in known.components} <= {8, 16}:
        places = tuple((0, packed[1].index(colour), len(packed[1])) for colour in "rgb")
    else:
        raise ValueError(f"{known.name} packs red, green and blue into fewer than 8 bits each, or across bytes")
    return PixelFormat(
        name=known.name,
        bits=known.components[0].bits,
        layout="4:4:4",
        has_alpha=any(part.is_alpha for part in known.components),
        is_full_range=True,
        is_big_endian=known.is_big_endian,
        rgb=places,
    )


def planar(layout: str, bits: int) -> str:
    """Return the FFmpeg name of planar YUV with this chroma layout and depth: ``planar("4:2:0", 10)``."""
    return f"yuv{layout.replace(':', '')}p" + ("" if bits == 8 else f"{bits}le")
