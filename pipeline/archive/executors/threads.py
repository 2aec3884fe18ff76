"""Colour units in threads of this process, with one engine."""

from __future__ import annotations

import dataclasses
import logging
import platform
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from pipeline.archive.context import Archive
from pipeline.archive.executors.base import Unit
from pipeline.archive.output_folder import check_space
from pipeline.color.colorizer import Colorizer, open_colorizer
from pipeline.errors import WeightsError
from pipeline.film.job import colorize_video, help_with_video
from pipeline.interruption import Cancelled, StopRequest
from pipeline.options import Options
from pipeline.photo.job import PhotoJob, colorize_photos
from pipeline.progress import Progress, Silent
from pipeline.results import Failure, FilmResult, PhotoResult
from pipeline.stages import several

logger = logging.getLogger(__name__)


class ThreadExecutor:
    """Colours in threads of this process, with ``colorizer`` or with one that is opened for the run.

    ``network`` is the fingerprint that the run was planned with. Entering raises `WeightsError` for another network,
    and the errors of `open_colorizer`.
    """

    def __init__(
        self,
        archive: Archive,
        colorizer: Colorizer | None,
        *,
        network: str,
        progress: Progress,
        stop: StopRequest,
    ) -> None:
        self._archive, self._progress, self._stop = archive, progress, stop
        self._given, self._network = colorizer, network
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._colorizer = self._given or self._stack.enter_context(
            open_colorizer(self._archive.options, progress=self._progress)
        )
        if self._colorizer.spec.fingerprint != self._network:
            self._stack.close()
            raise WeightsError(
                f"{self._archive.options.model}: on {platform.node()} it is not the network that this run began with",
                advice="Its weights or its card were changed meanwhile, or differ between machines. Run again.",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def photos(self, units: Iterator[Unit], *, replaces: bool) -> Generator[PhotoResult | Failure, None, None]:
        """Colour photographs; those of the same shape share batches."""
        originals = self._archive.originals
        jobs = (PhotoJob(unit.source, unit.output, originals, unit.correction, unit.item) for unit in units)
        options = self._options(replaces=replaces)
        yield from colorize_photos(jobs, colorizer=self._colorizer, options=options, progress=self._progress)

    def films(self, units: Iterator[Unit], *, alone: bool) -> Generator[FilmResult | Failure | None, None, None]:
        """Colour films, each in its own thread."""
        workers = 1 if alone else self._archive.run_options.jobs
        yield from several(units, self._film, workers=workers, name="film", stop=self._stop)

    def _film(self, unit: Unit) -> FilmResult | Failure | None:
        """Return the outcome of the film, or None if it was stopped: a long one resumes later."""
        archive, stop = self._archive, self._stop
        try:
            return colorize_video(
                unit.source,
                unit.output,
                self._options(replaces=unit.replaces),
                correction=unit.correction,
                item=unit.item,
                colorizer=self._colorizer,
                progress=_WatchesSpace(self._progress, archive),
                originals=archive.originals,
                segment_frames=archive.run_options.segment_frames,
                stop=stop,
            )
        except Cancelled:
            if stop.reason is None:
                raise
            return None
        except Exception as error:  # noqa: BLE001 - one bad file must not stop the rest; it is named with its reason
            # An error that ends the whole run is not a failure of this film.
            return None if stop.error is error else Failure.of(unit.source, error)

    def help(self, unit: Unit) -> None:
        """Write segments of a film that belongs to another worker."""
        archive, stop = self._archive, self._stop
        try:
            help_with_video(
                unit.source,
                unit.output,
                self._options(replaces=unit.replaces),
                correction=unit.correction,
                item=unit.item,
                colorizer=self._colorizer,
                progress=_WatchesSpace(Silent(), archive),
                originals=archive.originals,
                segment_frames=archive.run_options.segment_frames,
                stop=stop,
            )
        except Cancelled:
            if stop.reason is None:
                raise
        except Exception as error:
            # An error that ends the run is reported by its request; others are left to the film's own worker.
            if stop.error is not error:
                logger.warning("%s: no more help with it", unit.source, exc_info=True)

    def _options(self, *, replaces: bool) -> Options:
        options = self._archive.options
        return dataclasses.replace(options, overwrite=options.overwrite or replaces)


class _WatchesSpace:
    """Forwards a film's progress; raises `OutputError`, which ends the run, when its disk is too full."""

    def __init__(self, progress: Progress, archive: Archive) -> None:
        self._progress, self._archive = progress, archive
        self.begin, self.end, self.say, self.note = progress.begin, progress.end, progress.say, progress.note

    def advance(self, item: str, count: int = 1) -> None:
        """Forward, and check the free space. Raises `OutputError`."""
        self._progress.advance(item, count)
        check_space(self._archive.output, keep_free=self._archive.run_options.keep_free)
