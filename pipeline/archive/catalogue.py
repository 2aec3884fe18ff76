"""An archive under review: its results, doubtful ones first, with corrections stored where the next run reads them."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.archive.context import Archive
from pipeline.archive.ledger import LedgerReader, RunRecord, State, read_ledger
from pipeline.archive.output_folder import shard_count, shards_of
from pipeline.archive.report import previews
from pipeline.archive.report.attention import attention_left, attention_of
from pipeline.archive.run import colorize_archive
from pipeline.archive.run_options import RunOptions, Shard
from pipeline.archive.walk import pattern_of
from pipeline.color.colorizer import Colorizer
from pipeline.corrections import CorrectionFile, CorrectionTree
from pipeline.documents import from_json
from pipeline.errors import InputError
from pipeline.film.reference_frames import FilmReferences, film_references
from pipeline.film.shot_bounds import Shots
from pipeline.film.shot_records import previewed
from pipeline.interruption import StopRequest
from pipeline.media.probe import FilmInfo, Probes
from pipeline.options import Options
from pipeline.progress import Progress
from pipeline.reference_files import ReferenceFiles
from pipeline.wording import encodable

_SHOWN = (State.DONE, State.WAITING, State.RUNNING, State.FAILED, State.QUARANTINED)


@dataclass(frozen=True, kw_only=True)
class ArchiveItem:
    """A photograph or film with a result; ``name`` is its key, ``title`` its path below the sources, for people."""

    name: str
    title: str
    kind: str
    source: Path
    output: Path
    attention: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is kept of each of very many items. Paths have ``/``; ``ledger`` is the number of its ledger.

    ``starts`` and ``ends`` are those of a film's labelled shots, in seconds; the end of the film is infinite, and the
    shot before it has ``frames``.
    """

    path: str
    output: str
    kind: str
    attention: str
    score: float
    ledger: int
    labels: tuple[str, ...]
    packed: previews.Packed | None
    starts: tuple[float, ...]
    ends: tuple[float, ...]
    frames: int


class ArchiveCatalogue:
    """The results of `colorize_archive` in one output folder. Methods may be called from several threads."""

    def __init__(self, output: Path, *, source: Path | None = None) -> None:
        """Read the ledgers in ``output``. ``source`` is the current location of the originals if they have moved.

        Raises `InputError` if there is no archive, or its originals are missing, `OutputError` for a ledger that cannot
        be read.
        """
        self._output = output
        # One per ledger, with the options of its last run.
        self._archives: list[Archive] = []
        entries: list[_Entry] = []
        for ledger, shard in _ledgers(output):
            with ledger:
                runs = ledger.runs()
                if not runs:
                    continue
                source = source or _source(output, runs[-1])
                self._archives.append(_archive(source, output, runs[-1], shard))
                entries += _entries(ledger, len(self._archives) - 1, self._archives[-1].corrections)
        if source is None or not self._archives:
            raise InputError(f"{output}: holds no archive", advice="Name the folder that colorize-archive wrote to.")
        if not source.is_dir():
            raise InputError(
                f"{source}: the originals are not there",
                advice="Mount their disk, or give their folder with --source DIR.",
            )
        self._source = source
        # Also one per ledger: runs may have had different frame rates.
        self._known = [Probes(archive.options.frame_rate) for archive in self._archives]
        self._entries = sorted(entries, key=lambda entry: (-entry.score, entry.path))
        self._places = {_key(entry.path): place for place, entry in enumerate(self._entries)}

    @property
    def options(self) -> Options:
        """The options of the last run."""
        return self._archives[-1].options

    def count(self) -> int:
        """Return the number of items."""
        return len(self._entries)

    def page(self, offset: int, limit: int) -> Sequence[ArchiveItem]:
        """Return up to ``limit`` items starting at ``offset``."""
        return [self._item(entry) for entry in self._entries[offset : offset + limit]]

    def find(self, name: str) -> ArchiveItem:
        """Return the item called ``name``. Raises `KeyError`."""
        return self._item(self._entry(name))

    def correction(self, name: str) -> CorrectionFile:
        """Return the corrections to an item. Raises `KeyError`, `InputError`."""
        entry = self._entry(name)
        return self._corrections(entry).read(PurePosixPath(entry.path))

    def correct(self, name: str, file: CorrectionFile) -> None:
        """Save ``file`` as the corrections to an item. Raises `KeyError`, `OutputError`."""
        entry = self._entry(name)
        self._corrections(entry).write(PurePosixPath(entry.path), file)

    def correction_path(self, name: str) -> Path:
        """Return the path, existing or not, of an item's correction. Raises `KeyError`."""
        entry = self._entry(name)
        return self._corrections(entry).path_of(PurePosixPath(entry.path))

    def keep_reference(self, name: str, content: bytes) -> str:
        """Save an encoded reference picture with an item's correction. Raises `KeyError`, `OutputError`."""
        entry = self._entry(name)
        return self._corrections(entry).keep_reference(PurePosixPath(entry.path), content)

    def references(self, name: str) -> tuple[Path, ...]:
        """Return the references that a run finds for a photograph. Raises `KeyError`, `InputError`."""
        entry = self._entry(name)
        return self._reference_files(entry).of(self._source / entry.path, PurePosixPath(entry.path))

    def film_references(self, name: str, chosen: Sequence[Path]) -> FilmReferences:
        """Return the references that a run finds for a film. Raises `KeyError`, `InputError`."""
        entry = self._entry(name)
        item, files = PurePosixPath(entry.path), self._reference_files(entry)
        return film_references(self._source / entry.path, files, item=item, chosen=chosen)

    def film(self, name: str) -> FilmInfo:
        """Return information about a film. Raises `KeyError`, `InputError`."""
        entry = self._entry(name)
        return self._known[entry.ledger].of(self._source / entry.path)

    def shots(self, name: str) -> Shots:
        """Return the shots of a film that have thumbnails. Raises `KeyError`, `InputError`."""
        entry = self._entry(name)
        return Shots.of(self.film(name), entry.labels, entry.starts, entry.ends, frames=entry.frames)

    def are_shots_known(self, name: str) -> bool:
        """Return True for every item: its shots are those of the last result."""
        return name in self._places

    def find_shots(self, name: str, progress: Progress, stop: StopRequest) -> None:
        """Do nothing: the shots are known."""

    def thumbnail(self, name: str, number: int) -> bytes | None:
        """Return thumbnail ``number`` of an item's result as JPEG. Raises `KeyError`, `OutputError`."""
        entry = self._entry(name)
        if entry.packed is None or not 0 <= number < len(entry.labels):
            return None
        pairs = previews.read(self._archives[entry.ledger].home, entry.packed, number + 1)
        return b64decode(pairs[number][1]) if number < len(pairs) else None

    def render(
        self, name: str, colorizer: Colorizer, *, progress: Progress | None = None, stop: StopRequest | None = None
    ) -> Path:
        """Make the result of an item again, as the next run would, and return its path.

        This is a run over a single item: ledger, sidecar and thumbnails are updated; the report waits for the next run.
        Raises `KeyError`, `LockedError` while a run is in progress, and the item's errors.
        """
        entry = self._entry(name)
        archive = self._archives[entry.ledger]
        only = replace(
            archive.run_options,
            include=(f"/{pattern_of(entry.path)}",),
            exclude=(),
            since=None,
            until=None,
            report=False,
            log=None,
            metrics=None,
            decide=None,
        )
        result = colorize_archive(
            self._source,
            self._output,
            archive.options,
            run_options=only,
            colorizer=colorizer,
            progress=progress,
            stop=stop,
        )
        for failure in result.failures:
            raise InputError(failure.error, advice=failure.advice)
        return self._output / entry.output

    def _entry(self, name: str) -> _Entry:
        return self._entries[self._places[name]]

    def _item(self, entry: _Entry) -> ArchiveItem:
        return ArchiveItem(
            name=_key(entry.path),
            title=encodable(entry.path),
            kind=entry.kind,
            source=self._source / entry.path,
            output=self._output / entry.output,
            attention=entry.attention,
            labels=entry.labels,
        )

    def _reference_files(self, entry: _Entry) -> ReferenceFiles:
        return ReferenceFiles(self._archives[entry.ledger].options.reference)

    def _corrections(self, entry: _Entry) -> CorrectionTree:
        return self._archives[entry.ledger].corrections


def is_archive(output: Path) -> bool:
    """Return whether `colorize_archive` has written to ``output``. Raises `OutputError` if that is unreadable."""
    return shard_count(output) is not None


def _key(path: str) -> str:
    """Return the key of the item at ``path`` on the page: the path or, if it is not text, a fingerprint of it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return previews.stem(path)
    return path


def _ledgers(output: Path) -> Iterator[tuple[LedgerReader, Shard | None]]:
    for shard in shards_of(output):
        if (ledger := read_ledger(output, shard=shard)) is not None:
            yield ledger, shard


def _archive(source: Path, output: Path, run: RunRecord, shard: Shard | None) -> Archive:
    settings: Any = run.options
    run_options = replace(from_json(RunOptions, settings["run_options"]), shard=shard)
    return Archive(
        source=source, output=output, options=from_json(Options, settings["options"]), run_options=run_options
    )


def _source(output: Path, run: RunRecord) -> Path:
    found = run.options.get("source")
    if found is None:
        raise InputError(
            f"{output}: does not say where the originals are", advice="Give their folder with --source DIR."
        )
    return Path(found)


def _entries(ledger: LedgerReader, number: int, corrections: CorrectionTree) -> Iterator[_Entry]:
    # One lookup instead of one for each of very many items.
    kept = corrections if corrections.folder.is_dir() else None
    for record in ledger.records():
        if record.result is None or record.state not in _SHOWN:
            continue
        found = attention_left(attention_of(record.result), record.path, kept)
        packed = previews.packed_of(record)
        words = ", ".join(found.reasons)
        starts, ends, frames = _bounds(record.result)
        yield _Entry(
            record.path,
            record.output,
            record.kind,
            words,
            found.score,
            number,
            record.previews,
            packed,
            starts,
            ends,
            frames,
        )


def _bounds(result: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """Return the starts and ends of a film's shots that have thumbnails, and the frames of the last of them.

    Each lasts until the next that has one. Empty for photographs.
    """
    shots = result.get("shots", ())
    shown = previewed(len(shots))
    starts = [*(shots[number]["start_seconds"] for number in shown), math.inf]
    frames = sum(shot["frames"] for shot in shots[shown[-1] :]) if shots else 0
    return tuple(starts[:-1]), tuple(starts[1:]), frames
