"""The items under review, opened when they are viewed and kept in memory while they are edited."""

from __future__ import annotations

import re
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.color.colorizer import Colorizer
from pipeline.color.measures import small_rgb
from pipeline.color.model_input import EXIF_TURNS
from pipeline.color.references import Reference
from pipeline.color.spaces import still_spec
from pipeline.corrections import SUFFIX, Correction
from pipeline.errors import InputError
from pipeline.film.clip import write_clip
from pipeline.film.frame_at import frame_at
from pipeline.film.frames import upright_size as film_size
from pipeline.film.reference_frames import FilmReferences
from pipeline.interruption import StopRequest
from pipeline.media.stills import read_still
from pipeline.media.stills.arrays import still_of
from pipeline.options import Hint, Options, Span, Unit, hints_in_shares
from pipeline.photo.picture import upright_size
from pipeline.photo.reference_pictures import ReferencePictures
from pipeline.photo.screen import Rgb, ScreenPhoto, jpeg, open_screen_photo, screen_photo
from pipeline.progress import Progress
from pipeline.review.catalogue import FILM, PHOTO, Catalogue, Item
from pipeline.review.film_frames import FilmFrames

_KEPT = 4
_REFERENCE_SIDE = 640


@dataclass(frozen=True, kw_only=True)
class Place:
    """A picture of an item: a ``page`` of a photograph, from 1, or a ``time`` of a film, in seconds."""

    page: int = 1
    time: float = 0.0


@dataclass(frozen=True)
class Coloured:
    """The coloured picture of an item as JPEG, and the number of pages of the item.

    ``is_kept`` means that it keeps its own colour.
    """

    content: bytes
    pages: int
    is_kept: bool


class Studio:
    """Previews and results; methods may be called from several threads, and run one at a time."""

    def __init__(self, colorizer: Colorizer, catalogue: Catalogue) -> None:
        self._colorizer, self._catalogue = colorizer, catalogue
        self._photos: OrderedDict[tuple[str, Place], ScreenPhoto] = OrderedDict()
        self._references = ReferencePictures(colorizer)
        self._films = FilmFrames(colorizer)
        self._turn = threading.Lock()

    def before(self, item: Item, place: Place) -> bytes:
        """Return the original picture of an item as JPEG. Raises `InputError`."""
        with self._turn:
            return jpeg(self._photo(item, place).before())

    def after(self, item: Item, place: Place, correction: Correction) -> Coloured:
        """Return the coloured picture of an item with ``correction``.

        A frame of a film is coloured by itself, without temporal filtering, see `FilmFrames`. Raises `InputError`.
        """
        with self._turn:
            photo = self._photo(item, place)
            wanted = correction.applied(self._catalogue.options)
            wanted = replace(wanted, hints=self.hints_in_shares(item, wanted.hints))
            is_coloured = photo.is_coloured(wanted)
            if item.kind == FILM and is_coloured:
                made = self._film_frame(item, place.time, correction, wanted)
            else:
                made = photo.after(wanted, self._reference(item, correction))
            return Coloured(jpeg(made), photo.pages, is_kept=not is_coloured)

    def likely_colors(self, item: Item, place: Place, x: float, y: float) -> list[str]:
        """Return the colours that the network considers likely at a position, as `ScreenPhoto.likely_colors` does."""
        with self._turn:
            return self._photo(item, place).likely_colors(x, y)

    def hints_in_shares(self, item: Item, hints: tuple[Hint, ...]) -> tuple[Hint, ...]:
        """Return ``hints`` of an item with pixel positions as shares. Raises `InputError` for those outside."""
        return hints_in_shares(hints, self._sizes(item, hints), source=item.source)

    def hints_as_shown(self, item: Item, hints: tuple[Hint, ...]) -> tuple[Hint, ...]:
        """Return ``hints`` as `hints_in_shares` does, or unchanged if they lie outside or the item is missing."""
        try:
            sizes = self._sizes(item, hints)
        except InputError:
            return hints

        def shown(hint: Hint) -> Hint:
            try:
                (found,) = hints_in_shares([hint], sizes, source=item.source)
            except InputError:
                return hint
            return found

        return tuple(map(shown, hints))

    def _sizes(self, item: Item, hints: tuple[Hint, ...]) -> dict[int, tuple[int, int]]:
        """Return width and height of the upright pages that ``hints`` refer to, by page number."""
        if all(hint.unit is Unit.SHARE for hint in hints):
            return {}
        if item.kind == FILM:
            return {1: film_size(self._catalogue.film(item.name))}
        whole = read_still(item.source)
        return {number: upright_size(still) for number, still in enumerate((whole, *whole.further), 1)}

    def keep_reference(self, item: Item, content: bytes) -> str:
        """Save a picture as a reference of an item, if suitable, and return its name among the corrections.

        Raises `InputError` for a picture that cannot be read or has no colour, `UsageError` for networks without
        features.
        """
        with tempfile.TemporaryDirectory(prefix="autochrome-") as folder, self._turn:
            trial = Path(folder, "reference")
            trial.write_bytes(content)
            self._references.of([trial])
        return self._catalogue.keep_reference(item.name, content)

    def reference_picture(self, item: Item, name: str) -> bytes:
        """Return the reference ``name`` of an item at screen size as JPEG. Raises `InputError`, `KeyError`."""
        kept = self._catalogue.correction_path(item.name)
        if not re.fullmatch(re.escape(kept.name.removesuffix(SUFFIX)) + r"\.reference-[0-9a-f]+", name):
            raise KeyError(name)
        still = read_still(kept.with_name(name))
        spec = still_spec(still.bits)
        rgb = small_rgb(spec.luma(still.luma), still.chroma, spec.matrix, side=_REFERENCE_SIDE)
        return jpeg(np.rint(EXIF_TURNS[still.orientation].upright_rgb(rgb) * 255).astype(np.uint8))

    def render(self, item: Item) -> Path:
        """Make the result of a photograph again and return its path. Raises the errors of `Catalogue.render`."""
        with self._turn:
            return self._catalogue.render(item.name, self._colorizer)

    def render_film(self, item: Item, progress: Progress, stop: StopRequest) -> Path:
        """Make the result of a film again, in parallel with other requests, and return its path.

        Raises the errors of `Catalogue.render`.
        """
        return self._catalogue.render(item.name, self._colorizer, progress=progress, stop=stop)

    def play(
        self, item: Item, span: Span, correction: Correction, output: Path, progress: Progress, stop: StopRequest
    ) -> Path:
        """Write a part of a film to ``output`` coloured with ``correction``, see `write_clip`."""
        options, references = correction.applied(self._catalogue.options), self._film_references(item, correction)
        film = self._catalogue.film(item.name)
        write_clip(film, span, output, options, references, colorizer=self._colorizer, progress=progress, stop=stop)
        return output

    def _film_references(self, item: Item, correction: Correction) -> FilmReferences:
        chosen = correction.reference_files(self._catalogue.correction_path(item.name))
        return self._catalogue.film_references(item.name, chosen)

    def _film_frame(self, item: Item, time: float, correction: Correction, wanted: Options) -> Rgb:
        def at(time: float) -> ScreenPhoto:
            return self._photo(item, Place(time=time))

        references = self._film_references(item, correction)
        return self._films.shown(item.source, at, time, wanted, references)

    def _reference(self, item: Item, correction: Correction) -> Reference | None:
        if item.kind == FILM:
            return None
        if correction.references:
            kept = self._catalogue.correction_path(item.name)
            return self._references.of(correction.reference_files(kept))
        return self._references.of(self._catalogue.references(item.name))

    def _photo(self, item: Item, place: Place) -> ScreenPhoto:
        key = item.name, place
        photo = self._photos.pop(key, None) or self._opened(item, place)
        self._photos[key] = photo
        while len(self._photos) > _KEPT:
            self._photos.popitem(last=False)
        return photo

    def _opened(self, item: Item, place: Place) -> ScreenPhoto:
        if item.kind == PHOTO:
            return open_screen_photo(item.source, self._colorizer, number=place.page)
        pixels = frame_at(self._catalogue.film(item.name), place.time)
        return screen_photo(still_of(pixels), self._colorizer, size=self._colorizer.spec.size.film)
