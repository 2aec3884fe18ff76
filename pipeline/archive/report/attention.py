"""Which results need a look, and why, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from pipeline.corrections import CorrectionTree
from pipeline.errors import InputError
from pipeline.results import NoteKind, has_new_colour

_SURELY = 0.6  # weight of a finding without a measure: a film with concealed damaged frames


class _Sign(NamedTuple):
    """A measure that is suspicious from ``begins`` on, and worst at ``worst``."""

    measure: str
    words: str
    begins: float
    worst: float


# Of 294 photographs coloured by the weights ``fast`` (260 of everyday subjects made grey, 34 real old ones) 2 to 4 %
# are beyond each of these, and a tenth of the old ones beyond that of doubt. Strong colour is in 10 % of the everyday
# ones and in five of the old ones: those with hard red patches. Three films had 0.16 to 0.59 of flicker.
_SIGNS = (
    _Sign("doubt", "unsure whether already coloured", 0.5, 1.0),
    _Sign("strong", "strong colour", 0.01, 0.1),
    _Sign("clipped", "colours beyond the gamut", 0.003, 0.04),
    _Sign("flicker", "flicker", 1.0, 3.0),
    _Sign("colourfulness", "hardly any colour", 8.0, 0.0),
)
_CONCEALED = "damaged frames concealed"
_IN_DOUBT = 0.3  # minimum weight of a classification that a person should check
REASONS = (*(sign.words for sign in _SIGNS), _CONCEALED)


@dataclass(frozen=True)
class Attention:
    """How much a result needs a look, 0 (not at all) to 1, and the ``reasons``, weightiest first."""

    score: float
    reasons: tuple[str, ...]


CALM = Attention(0.0, ())
"""Attention for a result that needs no look."""


def attention(
    measures: Mapping[str, float | None] | None,
    *,
    is_coloured: bool = True,
    is_concealed: bool = False,
    is_in_doubt: bool = False,
) -> Attention:
    """Return how much a result with these ``measures`` (`Measures` as ledgers hold them) needs a look.

    Each sign contributes linearly from 0 where it begins to 1 at its worst, and the score is 1 minus the product of
    their complements: it grows with each of them, and one severe sign outweighs several slight ones. ``is_concealed``
    means that damaged frames were concealed, which counts 0.6, ``is_in_doubt`` that the classification of the tone is
    reported as doubtful, which counts at least 0.3. For a result that is not ``is_coloured`` only the doubt counts: its
    colours are the source's own, or grey was requested.
    """
    signs = _SIGNS if is_coloured else _SIGNS[:1]
    found: dict[str, float] = {}
    for measure, words, begins, worst in signs:
        value = measures.get(measure) if measures else None
        if value is not None and (weight := (value - begins) / (worst - begins)) > 0:
            found[words] = min(1.0, weight)
    if is_in_doubt:
        words = _SIGNS[0].words
        found[words] = max(_IN_DOUBT, found.get(words, 0.0))
    if is_concealed:
        found[_CONCEALED] = _SURELY
    if not found:
        return CALM
    left = 1.0
    for weight in found.values():
        left *= 1 - weight
    return Attention(round(1 - left, 4), tuple(sorted(found, key=lambda words: -found[words])))


def attention_of(result: Mapping[str, Any]) -> Attention:
    """Return how much a result, in its `to_json` form, needs a look."""
    return attention(
        result.get("measures"),
        is_coloured=is_coloured(result),
        is_concealed=is_concealed(result),
        is_in_doubt=bool(result.get("doubts")),
    )


def is_coloured(result: Mapping[str, Any]) -> bool:
    """Return whether colour was made in a photograph or in a shot of a film."""
    return has_new_colour(part["treatment"] for part in result.get("shots", (result,)) if "treatment" in part)


def is_concealed(result: Mapping[str, Any]) -> bool:
    """Return whether damaged frames were concealed."""
    return any(note["kind"] == NoteKind.CONCEALED for note in result.get("notes", ()))


def attention_left(found: Attention, path: str, corrections: CorrectionTree | None) -> Attention:
    """Return ``found`` of the item at ``path``, or `CALM` if ``corrections`` say that its result was accepted."""
    if found.reasons and corrections is not None and _is_accepted(path, corrections):
        return CALM
    return found


def _is_accepted(path: str, corrections: CorrectionTree) -> bool:
    try:
        return corrections.read(PurePosixPath(path)).correction.accepted
    except InputError:
        # The next run reports it as an error of this item, and the review does so when the item is opened.
        return False
