"""The card of exported weights: a JSON file beside them that describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from training.files import replacing

BINS, ACTIVATIONS = "bins", "activations"
# Keep a few hundred pairs of numbers on one line instead of a thousand.
_ON_ONE_LINE = (BINS, ACTIVATIONS)


def write_card(weights: Path, card: Mapping[str, object]) -> None:
    """Write ``card`` (JSON values) beside the ONNX file ``weights``, atomically. Raises `OSError`."""
    text = json.dumps({key: card[key] for key in card if key not in _ON_ONE_LINE}, indent=2, ensure_ascii=False)
    for key in _ON_ONE_LINE:
        if key in card:
            text = f'{text[:-2]},\n  "{key}": {json.dumps(card[key])}\n}}'
    with replacing(weights.with_suffix(".json")) as partial:
        partial.write_text(f"{text}\n", encoding="utf-8")
