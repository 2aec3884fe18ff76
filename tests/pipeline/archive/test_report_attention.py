from __future__ import annotations

import dataclasses

import pytest

from pipeline.archive.report.attention import Attention
from pipeline.archive.report.attention import attention as attention_of
from pipeline.archive.report.attention import attention_of as attention_of_result
from pipeline.results import Measures
from tests.pipeline.archive.outcomes import CALM

WORST = {"doubt": 1.0, "strong": 0.4, "clipped": 0.3, "flicker": 8.0, "colourfulness": 0.0}
WORDS = {
    "doubt": "unsure whether already coloured",
    "strong": "strong colour",
    "clipped": "colours beyond the gamut",
    "flicker": "flicker",
    "colourfulness": "hardly any colour",
}


def attention(measures: Measures | None, **choices: bool) -> Attention:
    return attention_of(None if measures is None else dataclasses.asdict(measures), **choices)


def with_(**changes: float) -> Measures:
    return dataclasses.replace(CALM, **changes)


def test_an_ordinary_result_asks_for_nothing() -> None:
    assert attention(CALM) == attention(with_(flicker=0.4)) == attention(None)
    assert (attention(CALM).score, attention(CALM).reasons) == (0, ())


@pytest.mark.parametrize("measure", WORST)
def test_each_sign_at_its_worst_is_enough_and_is_named(measure: str) -> None:
    found = attention(with_(**{measure: WORST[measure]}))
    assert (found.score, found.reasons) == (1, (WORDS[measure],))


@pytest.mark.parametrize("measure", WORST)
def test_worse_figures_never_ask_for_less(measure: str) -> None:
    calm = getattr(CALM, measure) or 0.0
    steps = [calm + (WORST[measure] - calm) * step / 20 for step in range(21)]
    scores = [attention(with_(**{measure: value})).score for value in steps]
    assert scores == sorted(scores)
    assert scores[0] < scores[-1]


def test_several_signs_ask_for_more_than_one_and_the_weightiest_is_named_first() -> None:
    both = attention(with_(strong=0.03, doubt=0.9))
    assert both.reasons == ("unsure whether already coloured", "strong colour")
    assert both.score > attention(with_(doubt=0.9)).score > attention(with_(strong=0.03)).score > 0


def test_concealed_frames_ask_for_a_look_even_without_figures() -> None:
    found = attention(None, is_concealed=True)
    assert found.reasons == ("damaged frames concealed",)
    assert 0.5 < found.score < 1


def test_what_is_named_as_doubtful_asks_for_a_look_however_sure_the_figures_are() -> None:
    for doubt in (0.0, 0.5, 1.0):
        found = attention(with_(doubt=doubt), is_coloured=False, is_in_doubt=True)
        assert found.reasons == ("unsure whether already coloured",)
        assert found.score == max(0.3, attention(with_(doubt=doubt)).score)


def test_of_colours_that_are_the_sources_own_only_the_doubt_counts() -> None:
    assert attention(with_(strong=0.5, colourfulness=1.0), is_coloured=False).reasons == ()
    assert attention(with_(strong=0.5, doubt=1.0), is_coloured=False).reasons == ("unsure whether already coloured",)


def test_grey_that_was_asked_for_is_not_hardly_any_colour() -> None:
    measures = dataclasses.asdict(with_(colourfulness=0.0))
    shot = {"treatment": "left grey"}
    for result in ({"treatment": "left grey"}, {"shots": [shot]}, {"shots": [shot, {"treatment": "kept as it is"}]}):
        assert attention_of_result({"measures": measures, **result}).reasons == ()
    for result in ({"treatment": "coloured"}, {"shots": [shot, {"treatment": "coloured"}]}, {}):
        assert attention_of_result({"measures": measures, **result}).reasons == ("hardly any colour",)
