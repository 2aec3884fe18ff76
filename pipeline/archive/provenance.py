"""Fingerprints of a result and its source, and a JSON sidecar that describes where the result comes from.

docs/provenance.md describes that file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.archive.context import Archive
from pipeline.archive.fingerprints import FILMS_ONLY, FileStat, fingerprint
from pipeline.archive.walk import pattern_of
from pipeline.corrections import NO_CORRECTION, Correction, correction_at
from pipeline.documents import json_text, to_json
from pipeline.errors import InputError, OutputError
from pipeline.media.stills.xmp import SOURCE_TYPE
from pipeline.options import Options
from pipeline.originals import NO_ORIGINALS, Originals
from pipeline.publish import LONGEST_NAME, publishing
from pipeline.results import (
    Doubt,
    Failure,
    FilmResult,
    ModelOrigin,
    Note,
    NoteKind,
    PhotoResult,
    Verification,
    shell_line,
)
from pipeline.version import PRODUCT, program_version

STILL_CHANGING = "Wait until it is copied completely; the next run tries it again."
SCHEMA, SCHEMA_VERSION = "autochrome-provenance", 1
SIDECAR_SUFFIX = ".autochrome.json"
# Affects how the work is done, but not the result. The references that were used are listed by name.
_UNSEEN = {"overwrite", "reference", "threads", "verify"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sealed:
    """A result with the size, time and SHA-256 of its two files.

    ``failure`` describes what is missing; the fingerprints are then empty, and the next run catches up.
    """

    result: PhotoResult | FilmResult
    source_stat: FileStat
    result_stat: FileStat
    source_sha256: str = ""
    result_sha256: str = ""
    failure: Failure | None = None

    @property
    def source(self) -> Path:
        """The path of the source."""
        return self.result.source


def sealed(
    result: PhotoResult | FilmResult, archive: Archive, *, path: str, source: FileStat, found: FileStat
) -> Sealed:
    """Fingerprint the two files of ``result``, write its sidecar, and return what is known of them.

    ``path`` is that of the source below the tree; ``source`` is its size and time before it was read, ``found`` those
    of the result. An error with one item must not stop the rest, so it is returned.
    """
    try:
        sha256 = fingerprint(result.source), fingerprint(result.output)
        if FileStat.of(result.source) != source:
            raise InputError(f"{result.source}: changed after it was read", advice=STILL_CHANGING)
        if archive.run_options.sidecars:
            correction = correction_at(archive.corrections.path_of(PurePosixPath(path)))
            write_sidecar(
                result,
                source_sha256=sha256[0],
                result_sha256=sha256[1],
                options=correction.applied(archive.options),
                correction=correction,
                root=archive.source,
                originals=archive.originals,
            )
    except Exception as error:  # noqa: BLE001 - an error with one item must not stop the rest
        return Sealed(result=result, source_stat=source, result_stat=found, failure=Failure.of(result.source, error))
    return Sealed(
        result=result, source_stat=source, result_stat=found, source_sha256=sha256[0], result_sha256=sha256[1]
    )


def vanished(result: PhotoResult | FilmResult) -> Failure:
    """Return the failure for a ``result`` whose file is missing."""
    error = OutputError(f"{result.output}: disappeared right after it was written", advice="Check its disk.")
    return Failure.of(result.source, error)


def with_commands(result: PhotoResult | FilmResult, archive: Archive, path: str) -> PhotoResult | FilmResult:
    """Return ``result`` with the command that reverses its doubtful decisions, in this and every later run.

    ``path`` is that of the source below the archive's folder, with ``/``.
    """
    if not result.doubts:
        return result
    command = [*archive.command(), "--include", f"/{pattern_of(path)}", "--decide"]

    def named(doubt: Doubt) -> Doubt:
        return dataclasses.replace(doubt, command=shell_line([*command, doubt.instead.value]))

    return dataclasses.replace(result, doubts=tuple(map(named, result.doubts)))


def sidecar_path(result: Path) -> Path:
    """Return the name of the sidecar of ``result``: ``scan.jpg.autochrome.json`` beside ``scan.jpg``.

    If that is too long for a file system, the end of the result's name is replaced by a fingerprint of all of it.
    """
    name = result.name
    if len(os.fsencode(name + SIDECAR_SUFFIX)) > LONGEST_NAME:
        mark = f"~{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}"
        while len(os.fsencode(name + mark + SIDECAR_SUFFIX)) > LONGEST_NAME:
            name = name[:-1]
        name += mark
    return result.with_name(name + SIDECAR_SUFFIX)


def write_sidecar(
    result: PhotoResult | FilmResult,
    *,
    source_sha256: str,
    result_sha256: str,
    options: Options,
    correction: Correction = NO_CORRECTION,
    root: Path | None = None,
    made: datetime | None = None,
    originals: Originals = NO_ORIGINALS,
) -> Path:
    """Write the sidecar of ``result`` beside it atomically, replacing an older one; return its path.

    ``options`` are those that the result was made with, ``correction`` the part of them that a person corrected. The
    fingerprints are SHA-256 in hexadecimal digits. The source is named by its path below ``root``, or by its name
    alone. ``made`` is the recorded time, by default now; everything else depends only on the arguments and the sizes of
    the two files. Raises `InputError` if the source is gone, `OutputError` if the disk refuses.
    """
    path = sidecar_path(result.output)
    document = describe(
        result,
        source_sha256=source_sha256,
        result_sha256=result_sha256,
        options=options,
        correction=correction,
        root=root,
        made=made or datetime.now(UTC),
    )
    with publishing(path, overwrite=True, originals=originals.and_of(result.source)) as temporary:
        temporary.write_bytes(f"{json_text(document)}\n".encode("ascii"))
    return path


def describe(
    result: PhotoResult | FilmResult,
    *,
    source_sha256: str,
    result_sha256: str,
    options: Options,
    correction: Correction,
    root: Path | None,
    made: datetime,
) -> dict[str, Any]:
    """Return the content of the sidecar of ``result``, as `write_sidecar` would write it."""
    source = result.source
    name = source.relative_to(root).as_posix() if root is not None else source.name
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "made": made.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "software": {"name": PRODUCT, "version": program_version()},
        "digital_source_type": SOURCE_TYPE if result.has_new_colour else None,
        "source": {"name": name, "size": _size(source), "sha256": source_sha256},
        "result": {"name": result.output.name, "size": _size(result.output), "sha256": result_sha256},
        "model": {"name": result.model, "weights_sha256": result.weights_sha256, **_credits(result.origin)},
        "engine": result.engine,
        "device": result.origin.device,
        "options": _shaping(options, result),
        "correction": _corrected(correction),
        **(_of_photo(result) if isinstance(result, PhotoResult) else _of_film(result)),
        "doubts": [
            {"reason": doubt.reason, "instead": doubt.instead.value, "option": doubt.reverse} for doubt in result.doubts
        ],
        "notes": _by_kind(result.notes),
        "measures": to_json(result.measures),
    }


def _credits(origin: ModelOrigin) -> dict[str, str]:
    known = {"fingerprint": origin.fingerprint} if origin.fingerprint else {}
    return {**known, "network": origin.network, "contract": origin.contract, "licence": origin.licence}


def _of_photo(result: PhotoResult) -> dict[str, Any]:
    return {
        "kind": "photo",
        "photo": {"width": result.width, "height": result.height, "bits": result.bits},
        "tones": to_json(result.tones),
        "treatment": result.treatment.value,
        "references": [path.name for path in result.references],
        "verification": _timeless(result.verification),
    }


def _of_film(result: FilmResult) -> dict[str, Any]:
    return {
        "kind": "film",
        "film": {"frames": result.frames, "codec": result.codec, "streams": list(result.streams)},
        "shots": to_json(result.shots),
        "references": [path.name for path in result.references],
        "verification": _timeless(result.verification),
    }


def _timeless(verification: Verification) -> dict[str, Any]:
    # The duration says nothing about the result, and would differ each time.
    return {name: value for name, value in to_json(verification).items() if name != "seconds"}


def _shaping(options: Options, result: PhotoResult | FilmResult) -> dict[str, Any]:
    without = _UNSEEN | FILMS_ONLY if isinstance(result, PhotoResult) else _UNSEEN
    fields = (field.name for field in dataclasses.fields(options) if field.name not in without)
    return {name: to_json(getattr(options, name)) for name in fields}


def _corrected(correction: Correction) -> dict[str, Any] | None:
    """Return the parts of ``correction`` that affect the result; None if there are none."""
    if not correction.fingerprint:
        return None
    # Acceptance is recorded later, for the finished result.
    return {name: value for name, value in to_json(correction).items() if name != "accepted"}


def _by_kind(notes: Iterable[Note]) -> Mapping[str, list[str]]:
    notes = tuple(notes)
    return {kind.value: [note.text for note in notes if note.kind is kind] for kind in NoteKind}


def _size(path: Path) -> int:
    """Return the size of a file, or of all files in a folder of numbered pictures, in bytes."""
    try:
        return sum(inner.stat().st_size for inner in (path.iterdir() if path.is_dir() else (path,)))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be described: {error.strerror or error}",
            advice="Put it back and run again: it must stay while its result is made.",
        ) from error
