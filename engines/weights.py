"""Weights: an ONNX file and its card, a JSON file with the same stem beside it; nothing unverified ever runs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines.errors import WeightsError

MODELS = Path(__file__).with_name("models")
SUFFIX = ".onnx"
NOT_STATED = "not stated"
# Cards that name no contract belong to our own first networks.
FIRST_CONTRACT = "autochrome-1"
_TEXTS = ("name", "sha256", "licence", "description")
# The key "location", in protobuf encoding, of a tensor whose values are in another file, which no hash would cover.
_OUTSIDE = b"\x0a\x08location\x12"


@dataclass(frozen=True)
class Weights:
    """Weights whose file on disk matches their card.

    ``card`` is the whole card, including unknown entries. Third-party weights may have none: then it holds what the
    file itself tells, and ``is_carded`` is False.
    """

    name: str
    path: Path
    sha256: str
    licence: str
    card: dict[str, object] = field(repr=False, hash=False, compare=False)
    is_carded: bool = True

    @property
    def card_path(self) -> Path:
        """Path of the card, existing or not."""
        return self.path.with_suffix(".json")

    @property
    def contract(self) -> str | None:
        """The graph's contract as named by the card (`engines.adapters`); None without a card."""
        return self.text("contract") if "contract" in self.card else FIRST_CONTRACT if self.is_carded else None

    def text(self, key: str) -> str:
        """Return an entry of the card. Raises `WeightsError` unless it is non-empty text."""
        value = self.card.get(key)
        if not isinstance(value, str) or not value:
            raise self._wrong(key, "a text")
        return value

    def number(self, key: str, default: int | None = None) -> int:
        """Return an entry of the card, or ``default`` if it is missing.

        Raises `WeightsError` unless it is a positive integer.
        """
        value = self.card.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._wrong(key, "a positive whole number")
        return value

    def activations(self) -> dict[str, tuple[float, float]]:
        """Return the minimum and maximum input of every layer to compute in INT8, by the name of its weights.

        Empty if the card states none. Raises `WeightsError` unless all are pairs of numbers.
        """
        stated: Any = self.card.get("activations", {})
        try:
            return {name: (float(least), float(greatest)) for name, (least, greatest) in stated.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise self._wrong("activations", "an object of pairs of numbers") from error

    def _wrong(self, key: str, kind: str) -> WeightsError:
        if not self.is_carded:
            return _no_card(self.card_path)
        return WeightsError(f"{self.card_path}: {key!r} is missing or not {kind}", advice="Complete the card.")

    def read(self) -> bytes:
        """Return the ONNX file's bytes. Raises `WeightsError` if they do not match the card.

        Runtimes are given these bytes, not the path, so that what was hashed is what runs.
        """
        content = _content(self.path)
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise WeightsError(
                f"{self.path}: SHA-256 is {found}, but its card says {self.sha256}",
                advice="The file or its card was altered or cut short: install or export the weights again.",
            )
        if _OUTSIDE in content:
            raise WeightsError(
                f"{self.path}: keeps weights in another file, which the hash does not cover",
                advice="Export the weights as one self-contained ONNX file.",
            )
        return content


# Other file formats that people have networks in, and what to do about them.
FOREIGN_FORMATS = {
    **dict.fromkeys(
        (".pt", ".pth", ".ckpt", ".safetensors"), "Export it to ONNX with its authors' program; see docs/networks.md."
    ),
    **dict.fromkeys(
        (".caffemodel", ".prototxt"),
        "OpenCV 5 no longer reads Caffe's files. The same network in PyTorch (ECCV16) can be exported to ONNX; see "
        "docs/networks.md.",
    ),
}


def known_weights() -> tuple[str, ...]:
    """Return the names of the weights included in this installation."""
    return tuple(sorted(path.stem for path in MODELS.glob(f"*{SUFFIX}")))


def read_weights(path: Path) -> Weights:
    """Return the weights in an ONNX file, checked against the card beside it.

    Without a card they are treated as a third-party network: named after the file, with a licence that is not stated.
    Raises `WeightsError` for a folder, a file that is missing or not ONNX, a card that lacks a required entry, and a
    hash mismatch.
    """
    if path.is_dir():
        raise WeightsError(
            f"{path}: is a folder, not an ONNX file", advice=f"Name the file in it that ends in {SUFFIX}."
        )
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such weights file", advice="Check the path.")
    if path.suffix.lower() != SUFFIX:
        advice = FOREIGN_FORMATS.get(
            path.suffix.lower(), f"Export the network to ONNX, into a file ending in {SUFFIX}."
        )
        raise WeightsError(f"{path}: weights are ONNX files", advice=advice)
    card = _read_card(path.with_suffix(".json"))
    if card is None:
        sha256 = hashlib.sha256(_content(path)).hexdigest()
        card = {"name": path.stem, "sha256": sha256, "licence": NOT_STATED, "description": "weights of the user's own"}
        weights = Weights(path.stem, path, sha256, NOT_STATED, card, is_carded=False)
    else:
        unread = Weights("", path, "", "", card)
        texts = {key: unread.text(key) for key in _TEXTS}
        weights = Weights(texts["name"], path, texts["sha256"].lower(), texts["licence"], card)
    weights.read()
    return weights


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}", advice="Check the path.") from error


def _no_card(path: Path) -> WeightsError:
    return WeightsError(f"{path}: the weights have no card", advice="Put their card beside them.")


def _read_card(path: Path) -> dict[str, object] | None:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}", advice="Check its permissions.") from error
    except ValueError as error:
        raise WeightsError(f"{path}: is not JSON: {error}", advice="Install or export the weights again.") from error
    if not isinstance(card, dict):
        raise WeightsError(f"{path}: a card is a JSON object", advice="Install or export the weights again.")
    return card
