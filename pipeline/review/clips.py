"""Shots of films that people play on the page, each coloured in the background and kept under a number of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.interruption import StopRequest
from pipeline.progress import Progress
from pipeline.review.catalogue import Item
from pipeline.review.rendering import Rendering, RenderingQueue, RenderState

_KEPT = 8

Make = Callable[[Path, Progress, StopRequest], Path]
"""Writes a clip to a path and returns that path; raises `Cancelled` when it is stopped."""


class Clips:
    """The latest eight shots that were asked for, in ``folder``. One is coloured at a time, the others wait in order.

    Two pages that are open do not see each other's. Methods that take a number raise `KeyError` if there is no such
    clip, or no longer. To be used from one event loop.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._clips: dict[int, Rendering] = {}
        self._numbers = count(1)
        self._queue = RenderingQueue()

    def begin(self, item: Item, make: Make) -> int:
        """Have a clip of ``item`` made and return its number. Raises `UsageError` if too many are not finished."""
        self._make_room()
        number = next(self._numbers)
        self._clips[number] = self._queue.begin(item, partial(make, self._folder / f"{number}.mp4"))
        return number

    def state(self, number: int) -> RenderState:
        """Return the progress of a clip."""
        state = self._clips[number].state
        assert state is not None
        return state

    def path(self, number: int) -> Path:
        """Return the path of a finished clip. Raises `KeyError` also for others."""
        state = self.state(number)
        if not state.output:
            raise KeyError(number)
        return Path(state.output)

    def stop(self, number: int) -> None:
        """Stop the making of a clip after the current frame, or at once if it waits."""
        self._clips[number].stop()

    async def end(self) -> None:
        """Stop everything and wait until it has stopped."""
        await self._queue.end()

    def _make_room(self) -> None:
        if len(self._clips) < _KEPT:
            return
        oldest = next((number for number in self._clips if self.state(number).is_over), None)
        if oldest is None:
            raise UsageError(
                f"{_KEPT} shots are being coloured or wait for it", advice="Wait for one of them, or stop one."
            )
        del self._clips[oldest]
        # Windows refuses while it is played; then it goes with its folder.
        with suppress(OSError):
            (self._folder / f"{oldest}.mp4").unlink(missing_ok=True)
