"""The work itself: photographs in shared batches, then films, the longest first, until all is done or time is up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from pipeline.archive.ledger import Ledger, Record
from pipeline.archive.records import Heard, Records
from pipeline.archive.run_options import Orders
from pipeline.archive.space import check_space
from pipeline.archive.walk import Kind
from pipeline.color.colorizer import Colorizer
from pipeline.errors import OutputError
from pipeline.film.job import colorize_video
from pipeline.interruption import Cancelled, StopRequest
from pipeline.options import Options
from pipeline.originals import Originals
from pipeline.photo.job import PhotoJob, colorize_photos
from pipeline.results import Failure, FilmResult
from pipeline.stages import several

WHOLE, PHOTOS = "archive", "photos"
# So many photographs are claimed at once: each claim waits for the disk.
_CLAIMS = 64


class Spacious:
    """Passes on what a film tells of its progress; with every frame, ``check`` may end the run for want of space."""

    def __init__(self, heard: Heard, check: Callable[[], None]) -> None:
        self._heard, self._check = heard, check
        self.begin, self.end, self.say, self.note = heard.begin, heard.end, heard.say, heard.note

    def advance(self, item: str, count: int = 1) -> None:
        """Pass on. Raises what ``check`` does."""
        self._heard.advance(item, count)
        self._check()


class Shift:
    """Does what ``run`` queued in the ledger, until ``stop`` is made: by others, or here, when the disk is full."""

    def __init__(
        self,
        run: int,
        source: Path,
        output: Path,
        options: Options,
        orders: Orders,
        ledger: Ledger,
        records: Records,
        heard: Heard,
        stop: StopRequest,
    ) -> None:
        self._run, self._source, self._output, self._options, self._orders = run, source, output, options, orders
        self._ledger, self._records, self._heard, self._stop = ledger, records, heard, stop
        self._claimed: dict[str, None] = {}

    def work(self, colorizer: Colorizer) -> None:
        """Do all jobs; those that fail in a way that may pass are done again at the end of their kind."""
        jobs = self._records.counts.jobs
        self._heard.begin(WHOLE, sum(jobs.values()), "items")
        if jobs[Kind.PHOTO]:
            self._heard.begin(PHOTOS, jobs[Kind.PHOTO], "photos")
            for chance in range(self._orders.retry + 1):
                if not self._photos(colorizer, chance):
                    break
            self._heard.end(PHOTOS)
        for chance in range(self._orders.retry + 1):
            if not self._films(colorizer, chance):
                break
        self._heard.end(WHOLE)

    def put_back(self) -> None:
        """Let go of what was claimed and not begun, or begun and surely without a result."""
        self._ledger.release([*self._claimed, *self._records.unfinished()])

    def _photos(self, colorizer: Colorizer, chance: int) -> int:
        """Do the photographs that have no outcome; return how many are to be tried once more."""
        put_off = 0
        for replaces in (False, True):
            options = dataclasses.replace(self._options, overwrite=self._options.overwrite or replaces)
            jobs = self._fed(self._ledger.queue(self._run, Kind.PHOTO, replaces=replaces), chance)
            outcomes = colorize_photos(jobs, colorizer=colorizer, options=options, progress=self._heard)
            with closing(outcomes):
                for outcome in outcomes:
                    if self._records.book(outcome, is_last_chance=chance == self._orders.retry):
                        self._heard.advance(PHOTOS)
                        self._heard.advance(WHOLE)
                    else:
                        put_off += 1
        return put_off

    def _fed(self, records: Iterable[Record], chance: int) -> Iterator[PhotoJob]:
        records = iter(records)
        while self._goes_on(0) and (page := list(islice(records, _CLAIMS))):
            names = [record.path for record in page]
            self._claimed.update(dict.fromkeys(names))
            self._ledger.claim(names)
            for record in page:
                if not self._goes_on(record.source_size):
                    return
                self._records.begin(record, chance=chance + 1)
                del self._claimed[record.path]
                yield PhotoJob(self._source / record.path, self._output / record.output, Originals((self._source,)))

    def _films(self, colorizer: Colorizer, chance: int) -> int:
        """Do the films that have no outcome; return how many are to be tried once more."""
        put_off = 0
        outcomes = several(
            self._next_films(chance),
            lambda film: self._film(*film, colorizer),
            workers=self._orders.jobs,
            name="film",
            stop=self._stop,
        )
        with closing(outcomes):
            for outcome in outcomes:
                if outcome is None:
                    continue
                if self._records.book(outcome, is_last_chance=chance == self._orders.retry):
                    self._heard.advance(WHOLE)
                else:
                    put_off += 1
        return put_off

    def _next_films(self, chance: int) -> Iterator[tuple[Record, bool]]:
        for path, replaces in self._ledger.heaviest(self._run, Kind.FILM):
            record = self._ledger.get(path)
            if record is None or not self._goes_on(record.source_size):
                return
            self._ledger.claim([path])
            self._records.begin(record, chance=chance + 1)
            yield record, replaces

    def _film(self, record: Record, replaces: bool, colorizer: Colorizer) -> FilmResult | Failure | None:
        """Return what became of the film; None if it was stopped: a long one goes on later with what it has."""
        source, output = self._source / record.path, self._output / record.output
        options = dataclasses.replace(self._options, overwrite=self._options.overwrite or replaces)
        progress = Spacious(self._heard, lambda: check_space(self._output, keep_free=self._orders.keep_free, needed=0))
        try:
            return colorize_video(
                source,
                output,
                options,
                colorizer=colorizer,
                progress=progress,
                originals=Originals((self._source,)),
                stop=self._stop,
            )
        except Cancelled:
            if self._stop.reason is None:
                raise
            return None
        except Exception as error:  # noqa: BLE001 - one bad file must not stop the rest; it is named with its reason
            # What ends the whole run is no failure of this film.
            return None if self._stop.error is error else Failure.of(source, error)

    def _goes_on(self, needed: int) -> bool:
        """Say whether anything more may be begun: there is time, and room for ``needed`` bytes more."""
        if self._stop.is_made:
            return False
        try:
            check_space(self._output, keep_free=self._orders.keep_free, needed=needed)
        except OutputError as error:
            self._stop.fail(error)
        return self._stop.error is None
