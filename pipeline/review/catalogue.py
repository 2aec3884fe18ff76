"""The items in a review, and where their corrections are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Protocol

import cv2

from pipeline.color.colorizer import Colorizer
from pipeline.corrections import CorrectionFile, CorrectionTree, correction_of_file
from pipeline.film.frame_at import frame_at
from pipeline.film.job import colorize_video
from pipeline.film.reference_frames import FilmReferences, film_references
from pipeline.film.shot_bounds import Shots
from pipeline.film_time import seconds_of
from pipeline.interruption import StopRequest
from pipeline.media.probe import FilmInfo, Probes
from pipeline.options import Options
from pipeline.originals import Originals
from pipeline.photo.one import colorize_photo
from pipeline.progress import Progress
from pipeline.reference_files import ReferenceFiles
from pipeline.wording import encodable

PHOTO, FILM = "photo", "film"
_MOMENTS = 24
_SMALL = 256


class Item(Protocol):
    """One photograph or film."""

    @property
    def name(self) -> str:
        """Its unique key."""
        ...

    @property
    def title(self) -> str:
        """Its name for people."""
        ...

    @property
    def kind(self) -> str:
        """``photo`` or ``film``."""
        ...

    @property
    def source(self) -> Path:
        """The original."""
        ...

    @property
    def attention(self) -> str:
        """Why it needs a look, in words; empty if nothing was found."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of its thumbnails; for a film, the times of its shots."""
        ...


class Catalogue(Protocol):
    """The items under review, most doubtful first. Methods may be called from several threads.

    Methods that take the name of an item raise `KeyError` if there is none.
    """

    @property
    def options(self) -> Options:
        """The options that results are made with."""
        ...

    def count(self) -> int:
        """Return the number of items."""

    def page(self, offset: int, limit: int) -> Sequence[Item]:
        """Return up to ``limit`` items starting at ``offset``."""

    def find(self, name: str) -> Item:
        """Return the item called ``name``."""

    def correction(self, name: str) -> CorrectionFile:
        """Return the corrections to an item. Raises `InputError`."""

    def correct(self, name: str, file: CorrectionFile) -> None:
        """Save ``file`` as the corrections to an item. Raises `OutputError`."""

    def correction_path(self, name: str) -> Path:
        """Return the path, existing or not, of an item's correction."""

    def keep_reference(self, name: str, content: bytes) -> str:
        """Save ``content``, an encoded coloured picture, with an item's correction; return its name there.

        Raises `OutputError`.
        """

    def references(self, name: str) -> tuple[Path, ...]:
        """Return the references that a run finds for a photograph, not counting its correction. Raises `InputError`."""

    def film_references(self, name: str, chosen: Sequence[Path]) -> FilmReferences:
        """Return the references that a run finds for a film whose correction names ``chosen``. Raises `InputError`."""

    def film(self, name: str) -> FilmInfo:
        """Return information about a film. Raises `InputError`."""

    def shots(self, name: str) -> Shots:
        """Return the shots of a film, one for each of its labels. Raises `InputError`."""

    def are_shots_known(self, name: str) -> bool:
        """Return whether `shots` are those of a film; they are equal parts of it until `find_shots` has found them."""

    def find_shots(self, name: str, progress: Progress, stop: StopRequest) -> None:
        """Find the shots of a film if they are not known. Raises `InputError`, `Cancelled` when ``stop`` is made."""

    def thumbnail(self, name: str, number: int) -> bytes | None:
        """Return thumbnail ``number`` of an item's result as JPEG, or None. Raises `OutputError`."""

    def render(
        self, name: str, colorizer: Colorizer, *, progress: Progress | None = None, stop: StopRequest | None = None
    ) -> Path:
        """Make the result of an item again, with its correction, and return its path. Raises the errors of doing so.

        ``stop`` ends a film; then `Cancelled` is raised, or the path of the old result returned.
        """


@dataclass(frozen=True, kw_only=True)
class FileItem:
    """A photograph or film given by path, and the name of its result."""

    name: str
    title: str
    kind: str
    source: Path
    output: Path
    attention: str = ""
    labels: tuple[str, ...] = ()


class FileCatalogue:
    """Photographs and films given one by one, with their corrections beside results or in a separate tree."""

    def __init__(
        self,
        sources: Sequence[tuple[str, Path, Path]],
        options: Options,
        *,
        corrections: Path | None = None,
        known: Probes | None = None,
    ) -> None:
        """Take kind, source and output of each, and the folder of their ``corrections``, see `correction_of_file`.

        ``known`` holds films that were already probed. Duplicate names are distinguished by a number. Raises
        `InputError` for a film that cannot be read.
        """
        self._items: dict[str, FileItem] = {}
        self._options = options
        self._known = known or Probes(options.frame_rate)
        self._shots: dict[str, Shots] = {}
        self._searched: set[str] = set()
        originals = Originals(tuple(source for _, source, _ in sources))
        self._kept: dict[str, tuple[CorrectionTree, PurePath]] = {}
        for kind, source, output in sources:
            title = encodable(source.name)
            name, number = title, 1
            while name in self._items:
                number += 1
                name = f"{title} ({number})"
            labels: tuple[str, ...] = ()
            if kind == FILM:
                self._shots[name] = Shots.even(self._known.of(source), _MOMENTS)
                labels = tuple(shot.label for shot in self._shots[name].shots)
            self._items[name] = FileItem(name=name, title=name, kind=kind, source=source, output=output, labels=labels)
            self._kept[name] = correction_of_file(source, output, originals=originals, tree=corrections)

    @property
    def options(self) -> Options:
        """The options that results are made with."""
        return self._options

    def count(self) -> int:
        """Return the number of items."""
        return len(self._items)

    def page(self, offset: int, limit: int) -> Sequence[FileItem]:
        """Return up to ``limit`` items starting at ``offset``, in the order given."""
        return list(self._items.values())[offset : offset + limit]

    def find(self, name: str) -> FileItem:
        """Return the item called ``name``. Raises `KeyError`."""
        return self._items[name]

    def correction(self, name: str) -> CorrectionFile:
        """Return the correction of an item. Raises `KeyError`, `InputError`."""
        tree, kept = self._kept[name]
        return tree.read(kept)

    def correct(self, name: str, file: CorrectionFile) -> None:
        """Save ``file`` for an item. Raises `KeyError`, `OutputError`."""
        tree, kept = self._kept[name]
        tree.write(kept, file)

    def correction_path(self, name: str) -> Path:
        """Return the path of an item's correction. Raises `KeyError`."""
        tree, kept = self._kept[name]
        return tree.path_of(kept)

    def keep_reference(self, name: str, content: bytes) -> str:
        """Save an encoded reference picture with an item's correction. Raises `KeyError`, `OutputError`."""
        tree, kept = self._kept[name]
        return tree.keep_reference(kept, content)

    def references(self, name: str) -> tuple[Path, ...]:
        """Return the references found beside a photograph, or given for it. Raises `KeyError`, `InputError`."""
        source = self._items[name].source
        return ReferenceFiles(self._options.reference).of(source, PurePath(source.name))

    def film_references(self, name: str, chosen: Sequence[Path]) -> FilmReferences:
        """Return the references that `render` finds for a film. Raises `KeyError`, `InputError`."""
        return film_references(self._items[name].source, ReferenceFiles(self._options.reference), chosen=chosen)

    def film(self, name: str) -> FilmInfo:
        """Return information about a film. Raises `KeyError`, `InputError`."""
        return self._known.of(self._items[name].source)

    def shots(self, name: str) -> Shots:
        """Return the shots of a film, equal parts of it until they have been found. Raises `KeyError`."""
        return self._shots[name]

    def are_shots_known(self, name: str) -> bool:
        """Return whether the shots of a film have been found. Raises `KeyError`."""
        return self._items[name].kind != FILM or name in self._searched

    def find_shots(self, name: str, progress: Progress, stop: StopRequest) -> None:
        """Find the shots of a film by decoding all of it. Raises `KeyError`, `InputError`, `Cancelled`."""
        if self.are_shots_known(name):
            return
        found = Shots.found(self.film(name), progress=progress, stop=stop)
        self._shots[name] = found
        self._items[name] = replace(self._items[name], labels=tuple(shot.label for shot in found.shots))
        self._searched.add(name)

    def thumbnail(self, name: str, number: int) -> bytes | None:
        """Return an original frame of a film as JPEG; photographs have no thumbnails. Raises `InputError`."""
        item = self._items[name]
        if item.kind != FILM or not 0 <= number < len(item.labels):
            return None
        shot = self._shots[name].shots[number]
        # A label is cut to tenths of a second, and may lie before a short shot.
        time = max(float(seconds_of(shot.label)), shot.start + self._shots[name].frame / 2)
        frame = frame_at(self.film(name), time, largest=_SMALL)
        made, file = cv2.imencode(".jpg", frame if frame.ndim == 2 else frame[..., ::-1])
        return file.tobytes() if made else None

    def render(
        self, name: str, colorizer: Colorizer, *, progress: Progress | None = None, stop: StopRequest | None = None
    ) -> Path:
        """Colour an item, replacing its result. Raises the errors of `colorize_photo` and `colorize_video`."""
        item, correction = self._items[name], self.correction_path(name)
        if item.kind == FILM:
            return colorize_video(
                item.source,
                item.output,
                self._options,
                correction=correction,
                colorizer=colorizer,
                progress=progress,
                stop=stop,
            ).output
        return colorize_photo(
            item.source, item.output, self._options, correction=correction, colorizer=colorizer
        ).output
