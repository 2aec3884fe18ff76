"""The one place that makes threads: a stage is a generator, and `ahead` lets it run ahead of its reader."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(source: Iterator[T], *, depth: int, name: str, threads: bool = True) -> Generator[T, None, None]:
    """Yield the items of ``source``, produced by a thread of their own, at most ``depth`` of them waiting.

    An exception of ``source`` is raised here, after the items before it. Closing this generator stops the thread
    and closes ``source`` before it returns. With ``threads`` false everything runs in the caller's thread.
    """
    if not threads:
        yield from source
        return
    waiting: queue.Queue[T | _End] = queue.Queue(depth)
    stopping = threading.Event()

    def offer(item: T | _End) -> bool:
        while not stopping.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def produce() -> None:
        error: BaseException | None = None
        try:
            for item in source:
                if not offer(item):
                    break
        except BaseException as raised:  # noqa: BLE001 - handed to the reader, which raises it
            error = raised
        finally:
            if isinstance(source, Generator):
                source.close()
        offer(_End(error))

    thread = threading.Thread(target=produce, name=name, daemon=True)
    thread.start()
    try:
        while not isinstance(item := waiting.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stopping.set()
        thread.join()
