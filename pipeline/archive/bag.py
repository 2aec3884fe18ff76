"""The output folder as a bag (BagIt 1.0, RFC 8493): results below ``data``, checksums of all of them above."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from pipeline.archive.fingerprints import fingerprint
from pipeline.archive.ledger import LEDGER, ShardRecord, State
from pipeline.errors import OutputError, UsageError
from pipeline.originals import Originals
from pipeline.publish import HOME, PARTIAL_PREFIX, publishing
from pipeline.version import PRODUCT, program_version

PAYLOAD = "data"
_DECLARATION = "bagit.txt"
_DECLARED = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_MANIFEST, _INFO, _TAG_MANIFEST = "manifest-sha256.txt", "bag-info.txt", "tagmanifest-sha256.txt"


@dataclass(frozen=True)
class _File:
    name: str
    size: int
    sha256: str


def check_bag(output: Path, *, bag: bool) -> None:
    """Raise `UsageError` if ``output`` was begun with the other value of ``bag``: finished work would not be found."""
    homes = output / HOME
    is_begun = any(homes.glob(LEDGER)) or any(homes.glob(f"shard-*/{LEDGER}"))
    is_bag = (output / _DECLARATION).exists()
    if bag and is_begun and not is_bag:
        raise UsageError(
            f"{output}: was begun without --bag", advice="Continue without it, or name a new folder with --output."
        )
    if is_bag and not bag:
        raise UsageError(f"{output}: is a bag", advice="Continue with --bag, or name a new folder with --output.")


def begin_bag(output: Path, *, originals: Originals) -> None:
    """Make ``output`` an incomplete bag, so that every later run knows it is one. Raises `OutputError`."""
    with publishing(output / _DECLARATION, overwrite=True, originals=originals) as temporary:
        (output / PAYLOAD).mkdir(exist_ok=True)
        temporary.write_bytes(_DECLARED)


def complete_bag(output: Path, shards: Sequence[ShardRecord], *, originals: Originals) -> None:
    """Write the manifests of the bag ``output`` with the results of ``shards``.

    Call this while no run adds to it. Raises `OutputError`, also if the ledger of a shard is damaged, because its
    results then cannot be identified.
    """
    for shard in shards:
        if shard.damage is not None:
            raise shard.damage
    ledgers = [shard.ledger for shard in shards if shard.ledger is not None]
    records = (record for ledger in ledgers for state in (State.DONE, State.GONE) for record in ledger.known_in(state))
    known = {
        record.output: record.result_sha256
        for record in records
        if record.result_sha256 and (output / record.output).is_relative_to(output / PAYLOAD)
    }
    write_bag(output, known, originals=originals)


def write_bag(output: Path, known: Mapping[str, str], *, originals: Originals) -> None:
    """Write the manifests of the bag ``output``, replacing older ones.

    ``known`` maps paths below ``output`` (``data/...``) to their known SHA-256; every other file below ``data``, such
    as a sidecar, is read. Raises `OutputError` if a file is missing, has a name that manifests cannot hold, or the disk
    refuses; the bag is then invalid until the next run.
    """
    files = list(_payload(output, known))
    if missing := sorted(known.keys() - {file.name for file in files}):
        raise OutputError(
            f"{output / missing[0]}: is missing from the bag, with {len(missing) - 1:,} more",
            advice="Run again with --verify-all, which makes missing results again.",
        )
    manifest = "".join(f"{file.sha256}  {file.name}\n" for file in files).encode()
    info = _info(files)
    tags = {_DECLARATION: _DECLARED, _INFO: info, _MANIFEST: manifest}
    listed = "".join(f"{sha256(tags[name]).hexdigest()}  {name}\n" for name in sorted(tags)).encode()
    for name, content in {**tags, _TAG_MANIFEST: listed}.items():
        _write(output / name, content, originals)


def _payload(output: Path, known: Mapping[str, str]) -> Iterator[_File]:
    """Yield the files below ``data`` in order of name, except unfinished files of dead runs."""
    names: dict[str, str] = {}
    for folder, inner, found in os.walk(output / PAYLOAD):
        inner.sort()
        for name in sorted(found):
            if name.startswith(PARTIAL_PREFIX):
                continue
            path = Path(folder, name)
            relative = path.relative_to(output).as_posix()
            _check_name(path, relative)
            if (other := names.setdefault(unicodedata.normalize("NFC", relative), relative)) != relative:
                raise OutputError(
                    f"{path}: bag validators confuse its name with that of {output / other}",
                    advice="Rename one of the sources: the two differ only in how an accent is encoded.",
                )
            try:
                yield _File(relative, path.stat().st_size, known.get(relative) or fingerprint(path))
            except OSError as error:
                raise OutputError(
                    f"{path}: cannot be read: {error.strerror or error}", advice="Check its permissions and its disk."
                ) from error


def _check_name(path: Path, name: str) -> None:
    """Reject names that a manifest cannot hold, or that the standard validator would read differently."""
    broken = [*name.splitlines(), ""][0] != name or name != name.strip()
    encoded = any(mark in name.upper() for mark in ("%0A", "%0D"))
    try:
        name.encode()
    except UnicodeEncodeError:
        broken = True
    if broken or encoded:
        raise OutputError(
            f"{path}: the manifest of a bag cannot hold this name",
            advice="Rename the source. Line breaks, %0A, %0D, a trailing space and names that are not UTF-8 are not "
            "allowed.",
        )


def _info(files: list[_File]) -> bytes:
    lines = {
        "Bag-Software-Agent": f"{PRODUCT} {program_version()}",
        "Bagging-Date": datetime.now(UTC).date().isoformat(),
        "Payload-Oxum": f"{sum(file.size for file in files)}.{len(files)}",
    }
    return "".join(f"{name}: {value}\n" for name, value in lines.items()).encode()


def _write(path: Path, content: bytes, originals: Originals) -> None:
    with publishing(path, overwrite=True, originals=originals) as temporary:
        temporary.write_bytes(content)
