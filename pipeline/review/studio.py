"""The items under review, opened when they are looked at and kept while they are worked on."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

from pipeline.color.colorizer import Colorizer
from pipeline.color.references import Reference
from pipeline.corrections import Correction
from pipeline.errors import UsageError
from pipeline.photo.reference_pictures import ReferencePictures
from pipeline.photo.screen import ScreenPhoto, jpeg, open_screen_photo
from pipeline.review.catalogue import FILM, Catalogue, Item

_KEPT = 4


class Studio:
    """Previews and results; calls may come from several threads, one works at a time."""

    def __init__(self, colorizer: Colorizer, catalogue: Catalogue) -> None:
        self._colorizer, self._catalogue = colorizer, catalogue
        self._photos: OrderedDict[tuple[str, int], ScreenPhoto] = OrderedDict()
        self._references = ReferencePictures(colorizer)
        self._turn = threading.Lock()

    def before(self, item: Item, page: int) -> bytes:
        """Return a page of a photograph as it is, JPEG. Raises `InputError`."""
        with self._turn:
            return jpeg(self._photo(item, page).before())

    def after(self, item: Item, page: int, correction: Correction) -> tuple[bytes, int]:
        """Return a page of a photograph as it would come out with ``correction``, JPEG, and how many pages there are.

        Raises `InputError`.
        """
        with self._turn:
            photo = self._photo(item, page)
            wanted = correction.applied(self._catalogue.options)
            return jpeg(photo.after(wanted, self._reference(item, correction))), photo.pages

    def likely_colors(self, item: Item, page: int, x: float, y: float) -> list[str]:
        """Return the colours that the network thinks likely at a place, as `ScreenPhoto.likely_colors` does."""
        with self._turn:
            return self._photo(item, page).likely_colors(x, y)

    def keep_reference(self, item: Item, content: bytes) -> str:
        """Keep a picture as a reference of an item, if it can be one, and return its name among the corrections.

        Raises `InputError` for what cannot be read or has no colour, `UsageError` for networks without features.
        """
        with tempfile.TemporaryDirectory(prefix="autochrome-") as folder, self._turn:
            trial = Path(folder, "reference")
            trial.write_bytes(content)
            self._references.of([trial])
        return self._catalogue.keep_reference(item.name, content)

    def render(self, item: Item) -> Path:
        """Make the result of an item anew and return its path. Raises what `Catalogue.render` does."""
        with self._turn:
            return self._catalogue.render(item.name, self._colorizer)

    def _reference(self, item: Item, correction: Correction) -> Reference | None:
        if correction.references:
            kept = self._catalogue.correction_path(item.name)
            return self._references.of([kept.with_name(name) for name in correction.references])
        return self._references.of(self._catalogue.references(item.name))

    def _photo(self, item: Item, page: int) -> ScreenPhoto:
        if item.kind == FILM:
            raise UsageError(f"{item.title}: is a film", advice="Its shots are looked at one by one.")
        key = item.name, page
        photo = self._photos.pop(key, None) or open_screen_photo(item.source, self._colorizer, number=page)
        self._photos[key] = photo
        while len(self._photos) > _KEPT:
            self._photos.popitem(last=False)
        return photo
