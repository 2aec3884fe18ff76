"""Results as JSON: what ``--json`` prints, the ledger keeps and the sidecars hold."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from pipeline.results import FilmResult, PhotoResult


def plain(value: Any) -> Any:
    """Return a result as JSON knows it: objects, lists, text, numbers; no previews. Results say their ``kind``."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value) if field.name != "previews")
        fields = {name: plain(getattr(value, name)) for name in names}
        kinds = {FilmResult: "film", PhotoResult: "photo"}
        return {"kind": kinds[type(value)], **fields} if type(value) in kinds else fields
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, Path | Fraction) else value


def as_json(document: Mapping[str, Any]) -> str:
    """Return ``document`` as the text of ``--json``: ASCII, so that any name of a file survives any terminal."""
    return json.dumps(document, indent=2, allow_nan=False)
