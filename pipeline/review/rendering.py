"""Colour films, or shots of them, in the background while a person keeps working on the page."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from pipeline.errors import UsageError
from pipeline.interruption import Cancelled, StopRequest
from pipeline.progress import Progress, Silent
from pipeline.results import Failure
from pipeline.review.catalogue import Item

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RenderState:
    """Progress of colouring an item: ``done`` of ``total`` frames, None if the total is unknown.

    ``is_over`` once it has ended: with a result, its path in ``output``; with an ``error`` and ``advice``; or, with
    neither, because it was stopped.
    """

    name: str
    title: str
    done: int = 0
    total: int | None = None
    is_over: bool = False
    output: str = ""
    error: str = ""
    advice: str = ""


Work = Callable[[Progress, StopRequest], Path]
"""Colours something and returns the path of the result; raises `Cancelled` when it is stopped."""


class Rendering:
    """Colours one item at a time; methods may be called from several threads. ``advice`` is shown if it is busy."""

    def __init__(self, *, advice: str) -> None:
        self._advice = advice
        self._turn = threading.Lock()
        self._state: RenderState | None = None
        self._stop = StopRequest()
        self._is_waiting = False

    @property
    def state(self) -> RenderState | None:
        """Progress of the latest item; None before the first."""
        return self._state

    def begun(self, item: Item, work: Work) -> Callable[[], None]:
        """Reserve this for ``work`` on ``item`` and return a function that carries it out, returning when it is over.

        Raises `UsageError` while another item is in progress.
        """
        with self._turn:
            if self._state is not None and not self._state.is_over:
                raise UsageError(f"{self._state.title} is being coloured", advice=self._advice)
            self._state, self._stop = RenderState(name=item.name, title=item.title), StopRequest()
            self._is_waiting = True
        return lambda: self._carry_out(item, work)

    def stop(self) -> None:
        """Stop current work after the current frame, or what waits at once; finished segments of a film are kept."""
        with self._turn:
            self._stop.make(at_once=True)
            if self._is_waiting:
                self._is_waiting = False
                self._change(is_over=True)

    def _carry_out(self, item: Item, work: Work) -> None:
        with self._turn:
            if self._stop.is_made:
                return
            self._is_waiting = False
        try:
            output = work(_Watching(self._advanced), self._stop)
            self._change(is_over=True, output="" if self._stop.is_made else str(output))
        except Cancelled:
            self._change(is_over=True)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a film is told on the page
            failure = Failure.of(item.source, error)
            self._change(is_over=True, error=failure.error, advice=failure.advice)

    def _advanced(self, done: int, total: int | None) -> None:
        self._change(done=done, total=total)

    def _change(self, **changes: object) -> None:
        assert self._state is not None, "something was begun"
        self._state = replace(self._state, **changes)  # type: ignore[arg-type]


class RenderingQueue:
    """Renderings that are carried out one at a time, in the order in which they are begun; for one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        # Referenced here so that the tasks are not garbage-collected.
        self._under_way: dict[Rendering, asyncio.Task[None]] = {}

    def begin(self, item: Item, work: Work) -> Rendering:
        """Have ``work`` on ``item`` carried out when all before it is over."""
        rendering = Rendering(advice="")
        task = asyncio.create_task(self._carry_out(rendering.begun(item, work)))
        self._under_way[rendering] = task
        task.add_done_callback(lambda _: self._under_way.pop(rendering))
        return rendering

    async def end(self) -> None:
        """Stop everything and wait until it has stopped."""
        for rendering in self._under_way:
            rendering.stop()
        await asyncio.gather(*self._under_way.values())

    async def _carry_out(self, carried_out: Callable[[], None]) -> None:
        async with self._turn:
            await run_in_threadpool(carried_out)


class _Watching(Silent):
    """Progress that follows the frames of a film."""

    def __init__(self, tell: Callable[[int, int | None], None]) -> None:
        self._tell = tell
        self._item, self._done = "", 0
        self._total: int | None = None

    def begin(self, item: str, total: int | None, unit: str) -> None:
        """Start counting if ``item`` is counted in frames."""
        if unit == "frames":
            self._item, self._done, self._total = item, 0, total
            self._tell(0, total)

    def advance(self, item: str, count: int = 1) -> None:
        """Count finished frames."""
        if item == self._item:
            self._done += count
            self._tell(self._done, self._total)
