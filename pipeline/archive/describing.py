"""What belongs to a result beside it: fingerprints of source and result, and the sidecar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.archive.context import Archive, correction_tree
from pipeline.archive.decisions import with_commands
from pipeline.archive.fingerprints import FileStat, fingerprint
from pipeline.archive.provenance import write_sidecar
from pipeline.corrections import correction_at
from pipeline.errors import InputError, OutputError
from pipeline.originals import Originals
from pipeline.results import Failure, FilmResult, PhotoResult

STILL_CHANGING = "Wait until it is copied whole: the next run takes it again."


@dataclass(frozen=True, kw_only=True)
class Described:
    """A result with size and time of its two files and their SHA-256.

    ``failure`` says what of it is missing; the fingerprints are empty then, and the next run catches up.
    """

    result: PhotoResult | FilmResult
    source_stat: FileStat
    result_stat: FileStat
    source_sha256: str = ""
    result_sha256: str = ""
    failure: Failure | None = None

    @property
    def source(self) -> Path:
        """Where the source is."""
        return self.result.source


def described(
    result: PhotoResult | FilmResult, archive: Archive, *, path: str, source: FileStat, found: FileStat
) -> Described:
    """Fingerprint the two files of ``result``, write its sidecar, and return what is known of them.

    ``path`` is that of the source below the tree; ``source`` is its size and time before it was read, ``found`` those
    of the result. What is wrong with one item must not stop the rest: it is said in the answer.
    """
    try:
        sha256 = fingerprint(result.source), fingerprint(result.output)
        if FileStat.of(result.source) != source:
            raise InputError(f"{result.source}: changed after it was read", advice=STILL_CHANGING)
        if archive.run_options.sidecars:
            tree = correction_tree(archive.source, archive.output, archive.run_options)
            correction = correction_at(tree.path_of(PurePosixPath(path)))
            write_sidecar(
                result,
                source_sha256=sha256[0],
                result_sha256=sha256[1],
                options=correction.applied(archive.options),
                root=archive.source,
                originals=Originals((archive.source,)),
            )
    except Exception as error:  # noqa: BLE001 - what is wrong with one item must not stop the rest
        return Described(result=result, source_stat=source, result_stat=found, failure=Failure.of(result.source, error))
    return Described(
        result=result, source_stat=source, result_stat=found, source_sha256=sha256[0], result_sha256=sha256[1]
    )


def vanished(result: PhotoResult | FilmResult) -> Failure:
    """Return what is said of ``result`` where its file is not there."""
    error = OutputError(f"{result.output}: is gone, right after it was made", advice="Check its disk.")
    return Failure.of(result.source, error)


def completed(result: PhotoResult | FilmResult, archive: Archive, path: str) -> PhotoResult | FilmResult:
    """Return ``result`` with the commands that decide its doubts otherwise."""
    return with_commands(result, archive, path) if isinstance(result, PhotoResult) else result
