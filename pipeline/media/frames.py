"""One frame on its way: luma to look at, chroma to paint, time to keep."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from pipeline.media.pixels import PixelFormat

Plane = npt.NDArray[np.uint8 | np.uint16]


@dataclass(frozen=True)
class Timestamp:
    """When a frame is shown: ``pts`` and ``duration`` count ``time_base`` seconds; a ``duration`` of 0 is unknown."""

    pts: int
    time_base: Fraction
    duration: int

    @property
    def seconds(self) -> Fraction:
        """The exact time."""
        return self.pts * self.time_base


class Frame:
    """A decoded picture in the pixel format of the film to be written, its luma final, its chroma still to be painted.

    Where source and target format are the same, it is the decoder's own picture. Otherwise a new one is made that
    carries every property of the old (interlacing, captions, tags) and its luma bit for bit, shifted left where the
    target is deeper.
    """

    def __init__(
        self, picture: av.VideoFrame, timestamp: Timestamp, *, source: PixelFormat, target: PixelFormat
    ) -> None:
        """Take over ``picture``, which is in format ``source``; nobody else may use it afterwards."""
        if source.name == target.name:
            # At once and not in `paint`: a copy made later would leave `luma` looking at freed memory.
            picture.make_writable()
        else:
            picture = _in_format(picture, source, target)
        picture.pts, picture.time_base, picture.duration = timestamp.pts, timestamp.time_base, timestamp.duration
        self._picture = picture
        self._painted = False
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

    def paint(self, cb: Plane, cr: Plane) -> None:
        """Write both chroma planes: codes of shape `chroma_shape`, in the dtype of `luma`.

        Raises `ValueError` for any other shape or dtype.
        """
        for index, codes in ((1, cb), (2, cr)):
            plane = _samples(self._picture, index, writable=True)
            if codes.shape != plane.shape or codes.dtype != plane.dtype:
                raise ValueError(f"chroma is {codes.dtype} {codes.shape}, must be {plane.dtype} {plane.shape}")
            plane[...] = codes
        self._painted = True

    @property
    def picture(self) -> av.VideoFrame:
        """The picture for the encoder. Raises `ValueError` if it was never painted."""
        if not self._painted:
            raise ValueError("a frame without painted chroma must not be written")
        return self._picture


def neutral_chroma(frame: Frame) -> Plane:
    """Return a chroma plane for ``frame`` that holds no colour at all."""
    return np.full(frame.chroma_shape, 1 << (frame.bits - 1), _dtype(frame.bits))


def _in_format(picture: av.VideoFrame, source: PixelFormat, target: PixelFormat) -> av.VideoFrame:
    # PyAV has no other way to make a picture that keeps field order, captions and the rest. What swscale writes into
    # the planes does not matter: luma is copied over it here, chroma is painted over it later.
    result = picture.reformat(
        format=target.name, src_color_range=picture.color_range, dst_color_range=picture.color_range, threads=1
    )
    luma = _samples(picture, 0, writable=False, pixels=source)
    np.left_shift(luma, target.bits - source.bits, out=_samples(result, 0, writable=True), dtype=_dtype(target.bits))
    return result


def _dtype(bits: int) -> type[np.uint8 | np.uint16]:
    return np.uint8 if bits == 8 else np.uint16


def _samples(
    picture: av.VideoFrame, index: int, *, writable: bool, pixels: PixelFormat | None = None
) -> npt.NDArray[Any]:
    """Return plane ``index`` as rows and columns of its own memory; with ``pixels``, the luma samples among others."""
    plane = picture.planes[index]
    width = picture.width if index == 0 else plane.width
    dtype = np.dtype(np.uint8 if picture.format.components[0].bits == 8 else np.uint16)
    if picture.format.is_big_endian:
        dtype = dtype.newbyteorder(">")
    # A negative line size means that the rows are stored from the bottom up.
    flat: npt.NDArray[Any] = np.frombuffer(plane, dtype)  # type: ignore[call-overload]  # planes are buffers
    rows = flat.reshape(plane.height, abs(plane.line_size) // dtype.itemsize)
    rows = rows[::-1] if plane.line_size < 0 else rows
    if pixels is not None:
        rows = rows[:, pixels.luma_offset :: pixels.luma_step]
    view = rows[:, :width]
    view.flags.writeable = writable
    return view
