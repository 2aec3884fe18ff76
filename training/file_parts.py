"""Split large files into numbered parts with a list of checksums, for channels that carry only small files."""

from __future__ import annotations

import hashlib
from pathlib import Path

PART_BYTES = 15 * 2**20
LIST_SUFFIX = ".sha256"


def split_file(path: Path, folder: Path, *, limit: int = PART_BYTES) -> tuple[Path, ...]:
    """Write ``path`` into ``folder`` as ``NAME.001``, ``NAME.002``, ... of at most ``limit`` bytes each.

    The list ``NAME.sha256`` beside them, in the format of sha256sum, names the parts in order and, last, the whole:
    ``cat NAME.0* > NAME && sha256sum -c NAME.sha256`` joins and checks them. Returns the parts and the list.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{path.name}.[0-9][0-9][0-9]"):
        old.unlink()
    whole = hashlib.sha256()
    parts: list[Path] = []
    lines: list[str] = []
    with path.open("rb") as source:
        while content := source.read(limit):
            whole.update(content)
            parts.append(folder / f"{path.name}.{len(parts) + 1:03}")
            parts[-1].write_bytes(content)
            lines.append(f"{hashlib.sha256(content).hexdigest()}  {parts[-1].name}\n")
    listing = folder / f"{path.name}{LIST_SUFFIX}"
    listing.write_text("".join(lines) + f"{whole.hexdigest()}  {path.name}\n", encoding="utf-8")
    return (*parts, listing)
