"""A frame: read-only luma, chroma to be written, and its time.

Luma and chroma of red, green and blue after ITU-T H.273, 8.3, full range.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from pipeline.media.pixels import EXPANDED, PALETTE, PixelFormat, pixel_format, planar
from pipeline.media.probe import FULL_RANGE, UNSPECIFIED

Plane = npt.NDArray[np.uint8 | np.uint16]
_F32 = npt.NDArray[np.float32]
_STRIP = 64


@dataclass(frozen=True)
class Timestamp:
    """The display time of a frame: ``pts`` and ``duration`` count ``time_base`` seconds; ``duration`` 0 is unknown."""

    pts: int
    time_base: Fraction
    duration: int

    @property
    def seconds(self) -> Fraction:
        """The exact time."""
        return self.pts * self.time_base


@dataclass(frozen=True)
class PaintArea:
    """Lines of a picture whose chroma is written together: all of them, or those of one field.

    ``luma`` holds their codes, read-only, (H, W). ``lines`` are the lines of the chroma planes that belong to them,
    ``chroma_shape`` the rows and columns of those.
    """

    luma: Plane
    lines: slice
    chroma_shape: tuple[int, int]


class Frame:
    """A decoded picture in the pixel format of the film to be written, its luma final, its chroma still to be written.

    If source and target format are the same, it is the decoder's own picture. Otherwise a new one is made that has
    every property of the old (interlacing, captions, tags) and its luma bit for bit, shifted left if the target is
    deeper. From red, green and blue, luma and chroma are computed once, full range, and rounded to the nearest code:
    if the three are equal, luma is exactly that code.
    """

    def __init__(
        self,
        picture: av.VideoFrame,
        timestamp: Timestamp,
        *,
        source: PixelFormat,
        target: PixelFormat,
        luma_weights: tuple[float, float] | None = None,
    ) -> None:
        """Take ownership of ``picture``, in format ``source``; no other code may use it afterwards.

        ``luma_weights`` are those of red and blue (Kr, Kb), for RGB; `ValueError` if needed and missing.
        """
        if source.is_rgb:
            if luma_weights is None:
                raise ValueError(f"{source.name} needs the weights of red and blue in luma")
            picture = _from_rgb(picture, source, luma_weights)
            source = pixel_format(picture.format.name)
        if source.name == target.name:
            # Here and not in `paint`: a copy made later would leave `luma` pointing to freed memory.
            picture.make_writable()
        else:
            picture = _in_format(picture, source, target)
        picture.pts, picture.time_base, picture.duration = timestamp.pts, timestamp.time_base, timestamp.duration
        self._picture = picture
        self._written_lines = 0
        self.timestamp = timestamp
        self.bits = target.bits

    @property
    def luma(self) -> Plane:
        """Luma codes, read-only, (H, W), uint8 for 8 bits, otherwise uint16 with ``bits`` bits used."""
        return _samples(self._picture, 0, writable=False)

    @property
    def chroma_shape(self) -> tuple[int, int]:
        """Rows and columns of each chroma plane."""
        plane = self._picture.planes[1]
        return plane.height, plane.width

    @property
    def is_interlaced(self) -> bool:
        """True if the even and odd lines are two fields, taken one after the other."""
        return self._picture.interlaced_frame

    @property
    def paint_areas(self) -> tuple[PaintArea, ...]:
        """Areas whose chroma is written together: the two fields of an interlaced picture, otherwise all of it.

        If there are fewer chroma lines than lines, those of an interlaced picture belong to the fields alternately
        (ITU-T H.262, 6.1.1): writing them from both would show the colour of one field in the other.
        """
        rows, columns = self.chroma_shape
        step = -(-self.luma.shape[0] // rows)
        if step == 1 or not self.is_interlaced:
            return (PaintArea(self.luma, slice(None), (rows, columns)),)
        counts = (rows + 1) // 2, rows // 2
        # At some heights one line is left over, which shares the chroma of the line above it.
        return tuple(
            PaintArea(self.luma[field::2][: count * step], slice(field, None, 2), (count, columns))
            for field, count in enumerate(counts)
        )

    def paint(self, cb: Plane, cr: Plane, lines: slice = slice(None)) -> None:
        """Write ``lines`` of both chroma planes, by default all: codes in the dtype of `luma`.

        Raises `ValueError` for a wrong shape or dtype.
        """
        for index, codes in ((1, cb), (2, cr)):
            plane = _samples(self._picture, index, writable=True)[lines]
            if codes.shape != plane.shape or codes.dtype != plane.dtype:
                raise ValueError(f"chroma is {codes.dtype} {codes.shape}, must be {plane.dtype} {plane.shape}")
            plane[...] = codes
        self._written_lines += len(cb)

    def keep(self) -> None:
        """Declare the source's own chroma to be that of the result."""
        self._written_lines = self.chroma_shape[0]

    @property
    def chroma(self) -> tuple[Plane, Plane]:
        """Current Cb and Cr, read-only: the source's own until written, and without any colour if it is grey."""
        return _samples(self._picture, 1, writable=False), _samples(self._picture, 2, writable=False)

    @property
    def unpainted(self) -> av.VideoFrame:
        """The picture for processing before `paint`; the frame must not be used afterwards."""
        return self._picture

    @property
    def picture(self) -> av.VideoFrame:
        """The picture for the encoder. Raises `ValueError` if any chroma was never written."""
        if self._written_lines < self.chroma_shape[0]:
            raise ValueError("a frame without painted chroma must not be written")
        return self._picture


def _in_format(picture: av.VideoFrame, source: PixelFormat, target: PixelFormat) -> av.VideoFrame:
    # PyAV has no other way to make a picture that keeps field order, captions and the rest. The planes that swscale
    # writes do not matter: luma is overwritten here, chroma later.
    result = picture.reformat(
        format=target.name, src_color_range=picture.color_range, dst_color_range=picture.color_range, threads=1
    )
    luma = _samples(picture, 0, writable=False, first=source.luma_offset, step=source.luma_step)
    np.left_shift(luma, target.bits - source.bits, out=_samples(result, 0, writable=True), dtype=_dtype(target.bits))
    return result


def _from_rgb(picture: av.VideoFrame, source: PixelFormat, weights: tuple[float, float]) -> av.VideoFrame:
    """Return ``picture`` as YUV 4:4:4 of the same depth, full range."""
    if source.expands:
        picture = picture.reformat(format=EXPANDED, threads=1)
    result = picture.reformat(
        format=planar("4:4:4", source.bits), src_color_range=FULL_RANGE, dst_color_range=FULL_RANGE, threads=1
    )
    result.colorspace, result.color_range = UNSPECIFIED, FULL_RANGE
    red, green, blue = _primaries(picture, source)
    luma, cb, cr = (_samples(result, index, writable=True) for index in range(3))
    for first in range(0, picture.height, _STRIP):
        rows = slice(first, first + _STRIP)
        r, g, b = red[rows], green[rows], blue[rows]
        if np.array_equal(r, g) and np.array_equal(g, b):
            luma[rows], cb[rows], cr[rows] = g, 1 << source.bits - 1, 1 << source.bits - 1
        else:
            luma[rows], cb[rows], cr[rows] = _matrixed(r, g, b, weights, source.bits)
    return result


def _matrixed(
    red: Plane, green: Plane, blue: Plane, weights: tuple[float, float], bits: int
) -> tuple[_F32, _F32, _F32]:
    """Return luma, Cb and Cr as whole numbers."""
    base = green.astype(np.float32)
    red_above, blue_above = red - base, blue - base
    # In this form, equal red, green and blue give exactly that code, however the weights are rounded.
    above = np.float32(weights[0]) * red_above + np.float32(weights[1]) * blue_above
    chroma = []
    for part, weight in ((blue_above, weights[1]), (red_above, weights[0])):
        plane = (part - above) * np.float32(0.5 / (1 - weight)) + np.float32(1 << bits - 1)
        # Full-range chroma reaches half a code beyond the highest one.
        chroma.append(np.rint(np.minimum(plane, np.float32((1 << bits) - 1), out=plane), out=plane))
    return np.rint(base + above), chroma[0], chroma[1]


def _primaries(picture: av.VideoFrame, source: PixelFormat) -> tuple[Plane, Plane, Plane]:
    """Return red, green and blue, (H, W) each."""
    if source.name == PALETTE:
        colours: npt.NDArray[np.uint32] = np.frombuffer(picture.planes[1], np.uint32)  # type: ignore[call-overload]
        pixels = colours[_samples(picture, 0, writable=False)]
        red, green, blue = ((pixels >> shift & 0xFF).astype(np.uint8) for shift in (16, 8, 0))
        return red, green, blue
    red, green, blue = (
        _samples(picture, plane, writable=False, first=first, step=step) for plane, first, step in source.rgb
    )
    return red, green, blue


def _dtype(bits: int) -> type[np.uint8 | np.uint16]:
    return np.uint8 if bits == 8 else np.uint16


def _samples(picture: av.VideoFrame, index: int, *, writable: bool, first: int = 0, step: int = 1) -> npt.NDArray[Any]:
    """Return a view of plane ``index`` in rows and columns; of a row, every ``step``-th sample from ``first``."""
    plane = picture.planes[index]
    width = picture.width if index == 0 else plane.width
    dtype = np.dtype(np.uint8 if picture.format.components[0].bits == 8 else np.uint16)
    if picture.format.is_big_endian:
        dtype = dtype.newbyteorder(">")
    # A negative line size means that the rows are stored from the bottom up.
    flat: npt.NDArray[Any] = np.frombuffer(plane, dtype)  # type: ignore[call-overload]  # planes are buffers
    rows = flat.reshape(plane.height, abs(plane.line_size) // dtype.itemsize)
    rows = rows[::-1] if plane.line_size < 0 else rows
    view = rows[:, first::step][:, :width]
    view.flags.writeable = writable
    return view
