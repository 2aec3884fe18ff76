"""What shapes a result, as one fingerprint: when it changes, finished work is stale."""

from __future__ import annotations

import hashlib
import json

from pipeline.archive.walk import Kind
from pipeline.documents import to_json
from pipeline.options import Options
from pipeline.version import program_version

# The engine computes the same colours whichever it is, up to rounding; the rest say how to work, not what to make. The
# weights are here by what is in them, not by name.
_NEVER = {"engine", "model", "overwrite", "threads", "verify"}
FILMS_ONLY = {"codec", "quality", "every", "deinterlace", "frame_rate", "on_damage"}


def recipe(kind: Kind, options: Options, *, weights_sha256: str) -> str:
    """Return the SHA-256 of what shapes results of ``kind``: options, weights, version of the program.

    An option that is not known to be without effect on ``kind`` counts. Options that only concern films do not make
    photographs stale.
    """
    without = _NEVER if kind is Kind.FILM else _NEVER | FILMS_ONLY
    chosen = {name: value for name, value in to_json(options).items() if name not in without}
    whole = {"kind": kind.value, "options": chosen, "weights": weights_sha256, "version": program_version()}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
