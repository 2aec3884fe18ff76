"""The card of exported weights: a JSON file beside them that describes them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from training.files import replacing, writing

BINS, ACTIVATIONS = "bins", "activations"
# Keep a few hundred pairs of numbers on one line instead of a thousand.
_ON_ONE_LINE = (BINS, ACTIVATIONS)


@contextmanager
def publishing(output: Path) -> Iterator[Path]:
    """Yield the name of an ONNX file to write and check, with its card, in a folder of its own beside ``output``.

    Afterwards both get their final names, the card first; after an error neither does. Raises `WriteError`.
    """
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as folder:
            candidate = Path(folder, output.name)
            yield candidate
            os.replace(candidate.with_suffix(".json"), output.with_suffix(".json"))
            os.replace(candidate, output)


def write_card(weights: Path, card: Mapping[str, object]) -> None:
    """Write ``card`` (JSON values) beside the ONNX file ``weights``, atomically. Raises `OSError`."""
    text = json.dumps({key: card[key] for key in card if key not in _ON_ONE_LINE}, indent=2, ensure_ascii=False)
    for key in _ON_ONE_LINE:
        if key in card:
            text = f'{text[:-2]},\n  "{key}": {json.dumps(card[key])}\n}}'
    with replacing(weights.with_suffix(".json")) as partial:
        partial.write_text(f"{text}\n", encoding="utf-8")
