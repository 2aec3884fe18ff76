from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pipeline.archive.fingerprints import recipe
from pipeline.archive.walk import Kind
from pipeline.options import Codec, Hint, OnDamage, Options, Quality, Tone, TreatAs
from pipeline.version import program_version

NETWORK = "0" * 64
CHANGES: dict[str, Any] = {
    "engine": "torch", "device": "cuda", "model": "other", "codec": Codec.HEVC, "quality": Quality.MASTER,
    "overwrite": True, "every": 2, "tone": Tone.KEEP, "treat_as": TreatAs.TINTED, "deinterlace": True,
    "frame_rate": Fraction(24000, 1001), "on_damage": OnDamage.CONCEAL, "verify": True, "threads": False,
    "saturation": 0.8, "hints": (Hint(x=0.5, y=0.5, color="neutral"),), "reference": Path("other.jpg"),
}  # fmt: skip
# References are in the recipes of the items that they lend to.
NEVER = {"engine", "device", "model", "overwrite", "reference", "verify", "threads"}
FILMS_ONLY = {"codec", "quality", "every", "deinterlace", "frame_rate", "on_damage"}


@pytest.mark.few(12)
@pytest.mark.parametrize("name", [field.name for field in fields(Options)])
def test_a_result_is_stale_only_when_an_option_changes_that_shaped_it(name: str) -> None:
    changed = replace(Options(), **{name: CHANGES[name]})
    for kind in (Kind.PHOTO, Kind.FILM):
        is_same = recipe(kind, Options(), network=NETWORK) == recipe(kind, changed, network=NETWORK)
        assert is_same is (name in NEVER or (kind is Kind.PHOTO and name in FILMS_ONLY))


def test_other_weights_and_another_version_make_all_results_stale() -> None:
    before = recipe(Kind.PHOTO, Options(), network=NETWORK)
    assert recipe(Kind.PHOTO, Options(), network="1" * 64) != before
    assert recipe(Kind.PHOTO, Options(), network=NETWORK, version=program_version()) == before
    assert recipe(Kind.PHOTO, Options(), network=NETWORK, version="99") != before
