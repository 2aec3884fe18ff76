"""The photographs under review, opened when they are looked at and kept while they are worked on."""

from __future__ import annotations

import threading
from collections import OrderedDict

from pipeline.color.colorizer import Colorizer
from pipeline.corrections import Correction
from pipeline.options import Options
from pipeline.photo.job import colorize_photo
from pipeline.photo.screen import ScreenPhoto, jpeg, open_screen_photo
from pipeline.results import PhotoResult
from pipeline.review.catalogue import Item

_KEPT = 4


class Studio:
    """Previews and results of photographs; calls may come from several threads, one works at a time."""

    def __init__(self, colorizer: Colorizer, options: Options) -> None:
        self._colorizer, self._options = colorizer, options
        self._photos: OrderedDict[str, ScreenPhoto] = OrderedDict()
        self._turn = threading.Lock()

    def before(self, item: Item) -> bytes:
        """Return the photograph without colour, as JPEG. Raises `InputError`."""
        with self._turn:
            return jpeg(self._photo(item).before())

    def after(self, item: Item, correction: Correction) -> bytes:
        """Return the photograph as it would come out with ``correction``, as JPEG. Raises `InputError`."""
        with self._turn:
            return jpeg(self._photo(item).after(correction, self._options))

    def likely_colors(self, item: Item, x: float, y: float) -> list[str]:
        """Return the colours that the network thinks likely at a place, as `ScreenPhoto.likely_colors` does."""
        with self._turn:
            return self._photo(item).likely_colors(x, y)

    def render(self, item: Item, correction: Correction) -> PhotoResult:
        """Colour the photograph anew, at full size, in place of its result. Raises the errors of `colorize_photo`."""
        with self._turn:
            return colorize_photo(
                item.source, item.output, correction.applied(self._options), colorizer=self._colorizer
            )

    def _photo(self, item: Item) -> ScreenPhoto:
        photo = self._photos.pop(item.name, None) or open_screen_photo(item.source, self._colorizer)
        self._photos[item.name] = photo
        while len(self._photos) > _KEPT:
            self._photos.popitem(last=False)
        return photo
