"""The only module that creates threads: a stage that runs `ahead` of its reader, and parallel work, in order or not."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from pipeline.interruption import StopRequest

T = TypeVar("T")
R = TypeVar("R")


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


_END = _End(None)


def ahead(source: Iterator[T], *, depth: int, name: str, threads: bool = True) -> Generator[T, None, None]:
    """Yield the items of ``source``, produced by a separate thread with at most ``depth`` items queued.

    An exception of ``source`` is raised here, after the items before it. Closing this generator stops the thread and
    closes ``source`` before it returns. If ``threads`` is false, everything runs in the caller's thread.
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


def aside(work: Callable[[], None], *, name: str) -> None:
    """Run ``work``, which must not raise, in a daemon thread."""
    threading.Thread(target=work, name=name, daemon=True).start()


def abreast(
    items: Iterable[T], work: Callable[[T], R], *, workers: int, weight: Callable[[T], int], most: int, name: str
) -> Generator[R, None, None]:
    """Yield ``work(item)`` for each of ``items``, in order, running up to ``workers`` of them in parallel.

    The items in progress weigh at most ``most`` together, unless there is only one. ``items`` is advanced in the
    caller's thread. An exception of ``items`` or ``work`` is raised here. Then, and when this generator is closed
    early, work in progress is waited for.
    """
    if workers == 1:
        # Not `map`: a StopIteration raised by ``work`` would end it silently.
        for item in items:
            yield work(item)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix=name) as pool:
        under_way: deque[tuple[int, Future[R]]] = deque()
        load = 0
        for item in items:
            added = weight(item)
            while under_way and (len(under_way) == workers or load + added > most):
                lighter, done = under_way.popleft()
                load -= lighter
                yield done.result()
            under_way.append((added, pool.submit(work, item)))
            load += added
        for _, done in under_way:
            yield done.result()


def several(
    items: Iterator[T], work: Callable[[T], R], *, workers: int, name: str, stop: StopRequest
) -> Generator[R, None, None]:
    """Yield ``work(item)`` for each of ``items`` as it completes, running ``workers`` of them in parallel.

    Each worker is a thread that takes the next item when it is free; ``items`` is advanced by one thread at a time. An
    exception of ``items`` or ``work`` is raised here. Then, and when this generator is closed early, ``stop`` is made
    at once, which should end ``work`` soon, and all workers are waited for. A single worker runs in the caller's thread
    and does not make ``stop``.
    """
    if workers == 1:
        for item in items:
            yield work(item)
        return
    finished: queue.Queue[R | _End] = queue.Queue()
    turn, stopping = threading.Lock(), threading.Event()

    def worker() -> None:
        error: BaseException | None = None
        try:
            while not stopping.is_set():
                with turn:
                    item = next(items, _END)
                if isinstance(item, _End):
                    break
                finished.put(work(item))
        except BaseException as raised:  # noqa: BLE001 - handed to the reader, which raises it
            error = raised
        finished.put(_End(error))

    threads = [threading.Thread(target=worker, name=f"{name} {number + 1}", daemon=True) for number in range(workers)]
    for thread in threads:
        thread.start()
    left = workers
    try:
        while left:
            found = finished.get()
            if not isinstance(found, _End):
                yield found
            elif found.error is not None:
                raise found.error
            else:
                left -= 1
    finally:
        stopping.set()
        if left:
            stop.make(at_once=True)
        for thread in threads:
            thread.join()
