"""What a run was made from, kept in its checkpoint, so that a card can state it automatically."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch

from training.data import REPORT, Photos, read_report
from training.device import Precision
from training.files import UNREADABLE
from training.photo_zips import is_ready


def origins(
    photos: Path | Photos,
    cache: Photos,
    *,
    backbone: Path | None,
    lacking: tuple[str, ...],
    start_from: Path | None,
    precision: Precision,
) -> dict[str, Any]:
    """Return the photographs, the backbone, the parents and the precision of a new run, as JSON values.

    The photographs' ``folder`` is for this machine only: `published` leaves it out.
    """
    folder = photos if isinstance(photos, Path) else None
    return {
        "photographs": {
            "folder": None if folder is None else str(folder.resolve()),
            "count": len(cache),
            "left_out": _left_out(folder),
        },
        "backbone": None if backbone is None else {**_file(backbone), "lacks": list(lacking)},
        "start_from": None if start_from is None else _parent(start_from),
        "precision": precision,
    }


def published(made_from: dict[str, Any] | None) -> dict[str, Any]:
    """Return ``made_from`` as it appears in a card, without paths of this machine; empty for None, of old ones."""
    if made_from is None:
        return {}
    photographs = {name: value for name, value in made_from["photographs"].items() if name != "folder"}
    return {**made_from, "photographs": photographs}


def photos_of(checkpoint: Path, made_from: dict[str, Any] | None) -> Path | None:
    """Return the folder of photographs that the run of ``checkpoint`` was trained on, if it still exists."""
    known = None if made_from is None else made_from["photographs"]["folder"]
    places = [checkpoint.parent / "photos", *([] if known is None else [Path(known)])]
    return next((place for place in places if is_ready(place)), None)


def _left_out(folder: Path | None) -> dict[str, int] | None:
    if folder is None or not (folder / REPORT).exists():
        return None
    return {verdict: count for verdict, count in read_report(folder).items() if verdict != "kept" and count}


def _file(path: Path) -> dict[str, Any]:
    with path.open("rb") as content:
        return {"file": path.name, "sha256": hashlib.file_digest(content, "sha256").hexdigest()}


def _parent(path: Path) -> dict[str, Any]:
    parent = _file(path)
    if path.suffix == ".onnx":
        return parent
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        parent |= {"config": state["config"]["name"], "steps": state["step"]}
        parent["made_from"] = published(state.get("made_from")) or None
    except UNREADABLE:
        # Only weights are needed to start from.
        return parent
    return parent
