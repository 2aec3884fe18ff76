"""Colouring of films in memory: frames in and out as iterators of arrays, without file, codec or container."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.color.colorizer import Colorizer, given_or_opened
from pipeline.color.frame_record import FrameRecord
from pipeline.color.shots import find_shots
from pipeline.color.spaces import still_spec
from pipeline.color.temporal import predict_chroma
from pipeline.color.tone import ToneEvidence, evidence
from pipeline.color.triage import judge_shots
from pipeline.color.upsampling import upsample
from pipeline.errors import UsageError
from pipeline.film.frames import reduced
from pipeline.media.stills import Still
from pipeline.media.stills.arrays import still_of
from pipeline.options import Options
from pipeline.progress import Silent


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class _ArrayFrame(FrameRecord):
    """Record of a frame with its ``pixels`` as given, and as luma and chroma."""

    pixels: NDArray[Any]
    still: Still


def colorize_frames(
    frames: Iterable[NDArray[Any]], options: Options | None = None, *, colorizer: Colorizer | None = None
) -> Generator[NDArray[Any], None, None]:
    """Colour the frames of a film and yield each as an array (H, W, 3) of R, G and B, one to one and in order.

    ``frames`` are arrays (H, W) of grey or (H, W, 3) of R, G and B, uint8 or uint16, full range, in sRGB. As in
    `colorize_video`, cuts are found and colours are kept coherent within each shot; this reads up to some ninety frames
    ahead, so memory does not grow with the film. BT.601 luma of the result is that of the source to within the rounding
    of R, G and B. Shots in colour are returned unchanged. Only ``options`` that do not concern files are used: engine,
    device, model, every, tone, treat_as, saturation. An engine is opened for the film, unless ``colorizer`` is given,
    which is left open. Raises the errors of `pipeline.errors`: `UsageError` for arrays of other kinds.
    """
    options = options or Options()
    if options.hints:
        raise UsageError(
            "frames in memory have no times, which hints for films need", advice="Colour a file, or do without hints."
        )
    with (
        given_or_opened(colorizer, options, progress=Silent()) as opened,
        closing(_coloured(frames, options, opened)) as coloured,
    ):
        yield from coloured


def _coloured(
    frames: Iterable[NDArray[Any]], options: Options, colorizer: Colorizer
) -> Generator[NDArray[Any], None, None]:
    records = find_shots(_records(frames, colorizer))
    records = judge_shots(records, _evidence, options)
    for record in predict_chroma(records, colorizer.prediction_settings(options)):
        yield _rgb(record)


def _records(frames: Iterable[NDArray[Any]], colorizer: Colorizer) -> Iterator[_ArrayFrame]:
    for index, pixels in enumerate(frames):
        if not isinstance(pixels, np.ndarray):
            raise UsageError(
                f"frame {index}: is a {type(pixels).__name__}, not an array",
                advice="Give (H, W) or (H, W, 3); for a Pillow image use numpy.asarray(image).",
            )
        still = still_of(pixels)
        if still.alpha is not None:
            raise UsageError(f"frame {index}: has alpha", advice="Give (H, W) or (H, W, 3).")
        seen = colorizer.model_input(still.luma, still_spec(still.bits), size=colorizer.spec.size.film)
        yield _ArrayFrame(index=index, model_input=seen, weight=pixels.nbytes, pixels=pixels, still=still)


def _evidence(record: _ArrayFrame) -> ToneEvidence:
    luma = still_spec(record.still.bits).luma(reduced(record.still.luma))
    chroma = record.still.chroma
    return evidence(luma, None, None) if chroma is None else evidence(luma, *chroma)


def _rgb(record: _ArrayFrame) -> NDArray[Any]:
    if record.ab is None:
        return record.pixels if record.pixels.ndim == 3 else np.repeat(record.pixels[..., None], 3, axis=2)
    still, spec = record.still, still_spec(record.still.bits)
    strips = upsample(record.model_input, record.ab, spec).strips(still.luma, spec, still.luma.shape)
    return np.concatenate([spec.rgb_codes(luma, cb, cr) for _, luma, cb, cr in strips])
