"""A single frame of a film as a picture, for viewing."""

from __future__ import annotations

import av
import cv2
import numpy as np
import numpy.typing as npt

from pipeline.errors import InputError
from pipeline.film_time import moment
from pipeline.media.deinterlace import whole_pictures
from pipeline.media.probe import FilmInfo
from pipeline.media.sampling import frames_from, last_before
from pipeline.media.source import reporting
from pipeline.sizes import size_within

_LARGEST = 1280


def frame_at(info: FilmInfo, seconds: float, *, largest: int = _LARGEST) -> npt.NDArray[np.uint8]:
    """Return the frame of the film ``info`` shown at ``seconds``, by the film's own times.

    It is upright, in square pixels, (h, w) for grey sources, else R, G and B (h, w, 3), with at most ``largest`` pixels
    on its longer side. Fields are made whole. After the end of the film it is the last frame. Raises `InputError` for
    films that cannot be read.
    """
    wanted = moment(seconds)
    with reporting(info.path):
        found, _ = last_before(whole_pictures(info, frames_from(info, wanted)), wanted / info.time_base)
    if found is None:
        raise InputError(f"{info.path}: has no frame at {seconds:.1f} s", advice="Choose an earlier one.")
    return _upright(found, info, largest)


def _upright(frame: av.VideoFrame, info: FilmInfo, largest: int) -> npt.NDArray[np.uint8]:
    width, height = float(frame.width * info.sample_aspect_ratio), float(frame.height)
    size = size_within(largest, width, height)
    pixels = np.asarray(frame.to_ndarray(format="gray" if info.pixel_format.is_grey else "rgb24"), np.uint8)
    resized = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.ascontiguousarray(np.rot90(resized, info.rotation // 90))
