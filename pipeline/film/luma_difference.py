"""Luma difference between a finished film and its source."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

import av
import numpy as np

from pipeline.errors import InputError
from pipeline.media.containers import message_of
from pipeline.media.decode import frames
from pipeline.media.frames import Frame, Plane, Timestamp
from pipeline.media.probe import FilmInfo
from pipeline.media.source import bound_pixels, open_source
from pipeline.results import LumaCheck, Proof


class _Errors:
    """Squared and greatest differences, accumulated frame by frame."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._frames = 0
        self._samples = 0
        self._squares = 0.0
        self._worst = 0.0
        self._greatest = 0

    def add(self, wanted: Plane, found: Plane) -> None:
        difference = wanted.astype(np.int32) - found
        squares = float(np.square(difference, dtype=np.float64).sum())
        self._frames += 1
        self._samples += difference.size
        self._squares += squares
        self._worst = max(self._worst, squares / difference.size)
        self._greatest = max(self._greatest, int(np.abs(difference).max()))

    def result(self, proof: Proof) -> LumaCheck:
        mean = self._squares / self._samples if self._samples else 0.0
        return LumaCheck(
            proof=proof,
            frames=self._frames,
            bits=self._bits,
            psnr_db=self._decibels(mean),
            worst_psnr_db=self._decibels(self._worst),
            max_error=self._greatest,
        )

    def _decibels(self, mean: float) -> float | None:
        peak = (1 << self._bits) - 1
        return round(10 * math.log10(peak**2 / mean), 2) if mean else None


def measure_all(source: Iterable[Frame], found: FilmInfo) -> LumaCheck:
    """Compare every frame of ``source``, at the result's bit depth, with the film ``found``.

    Raises `InputError` for decoding errors, `ValueError` if one has more frames than the other.
    """
    errors = _Errors(found.pixel_format.bits)
    for wanted, got in zip(source, frames(found, found.pixel_format), strict=True):
        errors.add(wanted.luma, got.luma)
    return errors.result(Proof.MEASURED)


def measure_samples(
    planes: Mapping[int, Plane], times: Mapping[int, int], keys: Sequence[int], found: FilmInfo
) -> LumaCheck:
    """Compare the luma of a few frames by number, ascending, with the film ``found`` at ``times``.

    ``times`` are in the film's time base, ``keys`` are those of its key frames, ascending, so that no frame is decoded
    twice. Raises `InputError` if a frame is missing.
    """
    errors = _Errors(found.pixel_format.bits)
    with open_source(found.path) as container:
        stream = container.streams.video[0] if found.stream_index == 0 else container.streams[found.stream_index]
        assert isinstance(stream, av.VideoStream)
        stream.thread_type = av.codec.context.ThreadType.AUTO
        bound_pixels(stream)
        pictures, place = iter(container.decode(stream)), None
        try:
            for number, plane in planes.items():
                key = keys[max(bisect_right(keys, times[number]) - 1, 0)]
                if place is None or place < key:
                    container.seek(key, stream=stream)
                    pictures = iter(container.decode(stream))
                picture = next((p for p in pictures if p.pts is not None and p.pts >= times[number]), None)
                if picture is None or picture.pts != times[number]:
                    raise InputError(f"{found.path}: frame {number} cannot be found")
                place = picture.pts
                time = Timestamp(place, found.time_base, 0)
                errors.add(plane, Frame(picture, time, source=found.pixel_format, target=found.pixel_format).luma)
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{found.path}: cannot be decoded: {message_of(error)}") from error
    return errors.result(Proof.SAMPLED)
