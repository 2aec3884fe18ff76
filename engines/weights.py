"""Weights: an ONNX file and its card, a JSON file of the same stem beside it; nothing unverified ever runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engines.errors import WeightsError

MODELS = Path(__file__).with_name("models")
INPUT = "lightness"
OUTPUT = "ab"
_TEXTS = ("name", "sha256", "licence", "description")
_NUMBERS = ("multiple", "stride")
# How protobuf writes the key "location" of a tensor whose values lie in another file, which no hash would cover.
_OUTSIDE = b"\x0a\x08location\x12"


@dataclass(frozen=True)
class Weights:
    """Weights that stand on disk as their card says.

    ``multiple`` is what height and width of the input must be multiples of; the answer is ``stride`` times smaller
    than the input. ``card`` is the whole card, with whatever else it says.
    """

    name: str
    path: Path
    sha256: str
    multiple: int
    stride: int
    licence: str
    card: dict[str, object] = field(repr=False, hash=False, compare=False)

    def read(self) -> bytes:
        """Return the ONNX file's bytes. Raises `WeightsError` if they are not what the card says.

        Runtimes are given these bytes, not the path, so that what was hashed is what runs.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise WeightsError(f"{self.path}: cannot be read: {error.strerror}", advice="Check the path.") from error
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise WeightsError(
                f"{self.path}: SHA-256 is {found}, but its card says {self.sha256}",
                advice="The file or its card was altered or cut short: install or export the weights again.",
            )
        if _OUTSIDE in content:
            raise WeightsError(
                f"{self.path}: keeps weights in another file, where the hash does not reach",
                advice="Export the weights as one self-contained ONNX file.",
            )
        return content


def known_weights() -> tuple[str, ...]:
    """Return the names of the weights that come with this installation."""
    return tuple(sorted(path.stem for path in MODELS.glob("*.onnx")))


def load_weights(name_or_path: str) -> Weights:
    """Return weights by the name of shipped ones, or by the path of an ONNX file with its card beside it.

    Whatever holds a path separator or ends in ``.onnx`` is a path. Raises `WeightsError` for a name that is not
    known, a file or card that is missing, a card that does not say what it must, and a hash that does not fit.
    """
    path = _locate(name_or_path)
    card_path = path.with_suffix(".json")
    card = _read_card(card_path)
    texts = {key: _text(card, key, card_path) for key in _TEXTS}
    numbers = {key: _number(card, key, card_path) for key in _NUMBERS}
    if numbers["multiple"] % numbers["stride"]:
        raise WeightsError(
            f"{card_path}: multiple {numbers['multiple']} is not divisible by stride {numbers['stride']}",
            advice="Correct the card: the answer must have whole pixels.",
        )
    weights = Weights(
        name=texts["name"],
        path=path,
        sha256=texts["sha256"].lower(),
        multiple=numbers["multiple"],
        stride=numbers["stride"],
        licence=texts["licence"],
        card=card,
    )
    weights.read()
    return weights


def require_contract(inputs: Sequence[str], outputs: Sequence[str], weights: Weights) -> None:
    """Raise `WeightsError` unless the graph takes ``lightness`` alone and answers ``ab`` alone."""
    if list(inputs) != [INPUT] or list(outputs) != [OUTPUT]:
        raise WeightsError(
            f"{weights.path}: the graph takes {', '.join(inputs)} and answers {', '.join(outputs)}, "
            f"not {INPUT} and {OUTPUT}",
            advice="Use weights exported for Autochrome.",
        )


def _locate(name_or_path: str) -> Path:
    if "/" in name_or_path or "\\" in name_or_path or name_or_path.endswith(".onnx"):
        path = Path(name_or_path)
        if not path.is_file():
            raise WeightsError(f"{path}: there is no such weights file", advice="Check the path.")
        if path.suffix != ".onnx":
            raise WeightsError(f"{path}: weights are ONNX files", advice="Export the weights to ONNX.")
        return path
    known = known_weights()
    if name_or_path not in known:
        raise WeightsError(
            f"there are no weights named {name_or_path!r}",
            advice=f"Known names: {', '.join(known) or 'none'}. A path to an ONNX file works too.",
        )
    return MODELS / f"{name_or_path}.onnx"


def _read_card(path: Path) -> dict[str, object]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(
            f"{path}: the weights have no card", advice="Put the card that belongs to them beside them."
        ) from error
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}", advice="Check its permissions.") from error
    except ValueError as error:
        raise WeightsError(f"{path}: is not JSON: {error}", advice="Install or export the weights again.") from error
    if not isinstance(card, dict):
        raise WeightsError(f"{path}: a card is a JSON object", advice="Install or export the weights again.")
    return card


def _text(card: dict[str, object], key: str, path: Path) -> str:
    value = card.get(key)
    if not isinstance(value, str) or not value:
        raise WeightsError(f"{path}: {key!r} is missing or not a text", advice="Complete the card.")
    return value


def _number(card: dict[str, object], key: str, path: Path) -> int:
    value = card.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise WeightsError(f"{path}: {key!r} is missing or not a positive whole number", advice="Complete the card.")
    return value
