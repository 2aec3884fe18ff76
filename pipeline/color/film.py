"""The colours of one film: shots are found and judged, coloured where they have no colour, steadied."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Generic, TypeVar

import numpy as np

from pipeline.color.batching import Coloured
from pipeline.color.model_input import ModelInput
from pipeline.color.neutral_areas import neutral_weight
from pipeline.color.shots import Placed, in_shots
from pipeline.color.temporal import Ask, steadied
from pipeline.color.tone import ToneEvidence
from pipeline.color.triage import Treated, treated
from pipeline.options import Options
from pipeline.results import SourceTone, Treatment

T = TypeVar("T")

# Frames wait for shots to be found; heavy ones are not looked ahead of so far.
_LOOK_AHEAD = 24
_LEAST_LOOK_AHEAD = 12
_WEIGHT = 40 << 20


@dataclass(frozen=True)
class FilmFrame(Generic[T]):
    """A frame with what was found out about it; ``coloured`` is None where the source's own chroma stays."""

    treated: Treated[T]
    coloured: Coloured[T] | None

    @property
    def item(self) -> T:
        """What the model input was made of."""
        return self.treated.placed.model_input.item


def film_colours(
    model_inputs: Iterable[ModelInput[T]],
    *,
    ask: Ask[T],
    stride: int,
    evidence: Callable[[T], ToneEvidence],
    options: Options,
    usual: SourceTone | None = None,
) -> Iterator[FilmFrame[T]]:
    """Colour the frames of a film, in order, in bounded memory.

    ``ask`` and ``stride`` are those of `pipeline.color.temporal.steadied`; ``evidence`` looks at an item's own chroma;
    ``usual`` is what most of the film is. What a shot becomes depends on that and on the shot alone.
    """
    waiting: deque[Treated[T]] = deque()

    def remembered(run: Iterator[Treated[T]]) -> Iterator[Placed[T]]:
        for frame in run:
            waiting.append(frame)
            yield frame.placed

    judged = treated(_in_shots(model_inputs), lambda placed: evidence(placed.model_input.item), options, usual=usual)
    for what, run in groupby(judged, key=lambda frame: frame.treatment):
        if what is Treatment.COLOUR_IT:
            for coloured in steadied(remembered(run), ask, stride=stride, every=options.every):
                saturation = np.float32(options.saturation)
                weight = neutral_weight(coloured.model_input.luma, coloured.ab.shape[1:])
                yield FilmFrame(waiting.popleft(), Coloured(coloured.model_input, coloured.ab * (weight * saturation)))
        else:
            for frame in run:
                yield FilmFrame(frame, None)


def _in_shots(model_inputs: Iterable[ModelInput[T]]) -> Iterator[Placed[T]]:
    frames = iter(model_inputs)
    first = next(frames, None)
    if first is not None:
        look_ahead = max(_LEAST_LOOK_AHEAD, min(_LOOK_AHEAD, _WEIGHT // max(first.weight, 1)))
        yield from in_shots(chain([first], frames), look_ahead=look_ahead)
