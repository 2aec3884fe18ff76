"""References from files: read once, run through the network once, and cached for the photographs that follow."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import reduce
from pathlib import Path

from engines.network import Prediction
from pipeline.color.colorizer import Colorizer
from pipeline.color.hints import Features
from pipeline.color.references import Reference, reference_of, transferred
from pipeline.errors import InputError
from pipeline.media.stills import read_still
from pipeline.photo.picture import Picture, PredictedChroma, space_of
from pipeline.reference_files import size_and_time

_KEPT = 8


class ReferencePictures:
    """Cache of what reference pictures provide, by file. Can be shared between threads."""

    def __init__(self, colorizer: Colorizer) -> None:
        self._colorizer = colorizer
        self._kept: OrderedDict[tuple[Path, int, int], Reference] = OrderedDict()
        self._turn = threading.Lock()

    def of(self, paths: Sequence[Path]) -> Reference | None:
        """Return the combined reference made from the pictures at ``paths``, or None if there are none.

        Raises `InputError` for a picture that cannot be read or has no colour, `UsageError` for networks without
        features.
        """
        with self._turn:
            found = [self._one(path) for path in paths]
        return reduce(Reference.and_of, found) if found else None

    def _one(self, path: Path) -> Reference:
        key = path, *size_and_time(path)
        reference = self._kept.pop(key, None) or self._read(path)
        self._kept[key] = reference
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return reference

    def _read(self, path: Path) -> Reference:
        still = read_still(path)
        try:
            if still.chroma is None:
                raise ValueError("is grey")
            return reference_of(
                self._colorizer,
                still.luma,
                still.chroma,
                orientation=still.orientation,
                space=space_of(still),
            )
        except ValueError as error:
            raise InputError(
                f"{path}: cannot be a reference: it {error}", advice="Name a coloured picture as the reference."
            ) from error


def predicted_chroma(
    prediction: Prediction, picture: Picture, colorizer: Colorizer, reference: Reference | None = None
) -> PredictedChroma:
    """Return the network's prediction for ``picture``, with the colours of ``reference`` if there is one.

    ``prediction`` is that of `Colorizer.examine`.
    """
    features = None if prediction.features is None else Features(prediction.features[0])
    if reference is None:
        return PredictedChroma(prediction.ab[0], features)
    return PredictedChroma(transferred(colorizer, reference, picture.model_input, prediction), features)
