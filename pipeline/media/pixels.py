"""Pixel formats as facts: depth, chroma layout, and where the luma samples lie."""

from __future__ import annotations

from dataclasses import dataclass

import av

# Interleaved formats: position of the first luma sample in plane 0 and the distance to the next, in samples.
_INTERLEAVED_LUMA = {"uyvy422": (1, 2), "yuyv422": (0, 2), "yvyu422": (0, 2), "ya8": (0, 2), "ya16le": (0, 2)}
_LAYOUTS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (4, 1): "4:1:1", (4, 4): "4:1:0", (1, 2): "4:4:0"}
GREY = "grey"


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """A pixel format whose luma this program can read.

    ``layout`` is the chroma layout ("4:2:0", ... or "grey"), ``bits`` the luma depth. Luma sample ``n`` of a row is
    sample ``luma_offset + n * luma_step`` of that row in plane 0, one or two bytes wide.
    """

    name: str
    bits: int
    layout: str
    has_alpha: bool = False
    is_full_range: bool = False
    is_big_endian: bool = False
    luma_offset: int = 0
    luma_step: int = 1

    @property
    def is_grey(self) -> bool:
        """True when there are no chroma planes."""
        return self.layout == GREY


def pixel_format(name: str) -> PixelFormat:
    """Return the facts of the FFmpeg pixel format ``name``. Raises `ValueError` for those without readable luma."""
    known = av.VideoFormat(name, 64, 64)
    components = known.components
    first = components[0]
    if known.is_rgb or known.is_bayer or name.startswith(("xyz", "ayuv", "vuy", "y2", "v30", "xv")):
        raise ValueError(f"{name} holds red, green and blue, or another order without a luma plane")
    if known.has_palette or known.is_bit_stream or first.bits < 8 or not first.is_luma:
        raise ValueError(f"{name} holds palette numbers or single bits")
    if first.bits > 16 or "f16" in name or "f32" in name:
        raise ValueError(f"{name} holds floating-point or very deep samples")
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


def planar(layout: str, bits: int) -> str:
    """Return the FFmpeg name of planar YUV with this chroma layout and depth: ``planar("4:2:0", 10)``."""
    return f"yuv{layout.replace(':', '')}p" + ("" if bits == 8 else f"{bits}le")
