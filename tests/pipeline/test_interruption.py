from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from types import ModuleType

import av
import pytest

from pipeline import callbacks, interruption
from pipeline.callbacks import guarded
from pipeline.errors import OutputError
from pipeline.interruption import (
    Cancelled,
    Interruption,
    StopReason,
    StopRequest,
    called_from_native,
    end_on_signals,
    finish_on_signals,
)
from pipeline.progress import Silent
from tests.commands import PATIENCE

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    # A run in the background inherits ignored signals, which stay ignored: begin as at a terminal.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        # None: set by something else than Python, which cannot set it again.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_raised_with_its_exit_code(number: signal.Signals, code: int) -> None:
    end_on_signals()
    with pytest.raises(Interruption) as caught:
        os.kill(os.getpid(), number)
    assert caught.value.exit_code == code


def test_inside_a_callback_of_a_native_library_it_waits_for_the_callback_to_end() -> None:
    steps: list[str] = []

    @called_from_native
    def write() -> None:
        deeper()
        steps.append("written")

    def deeper() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        steps.append("still here")

    end_on_signals()
    with pytest.raises(Interruption):
        write()
        while True:
            time.sleep(0.001)
    assert steps == ["still here", "written"]


def test_in_a_frame_that_cython_makes_for_a_traceback_it_waits_for_the_next_one() -> None:
    class Film:
        # No bytecode runs between the signal and PyAV's exception, as if it came while FFmpeg reads the film's end.
        read = partial(ctypes.CDLL(None)["raise"], int(signal.SIGTERM))

    end_on_signals()
    with pytest.raises(Interruption):
        with suppress(Exception):
            av.open(Film(), "r")
        for _ in range(1000):
            time.sleep(0.001)


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_on_signals()
    os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_second_signal_is_left_to_the_system() -> None:
    end_on_signals()
    with pytest.raises(Interruption):
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_first_signal_asks_and_the_second_ends_at_once() -> None:
    stop, told = StopRequest(), []
    end_on_signals()
    finish_on_signals(stop, told.append)
    os.kill(os.getpid(), signal.SIGTERM)
    assert (stop.reason, stop.exit_code, stop.is_at_once) == (StopReason.ASKED, 143, False)
    assert len(told) == 1
    with pytest.raises(Interruption):
        os.kill(os.getpid(), signal.SIGINT)
    assert (stop.exit_code, stop.is_at_once) == (143, True)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_a_request_is_made_by_its_deadline_and_says_so() -> None:
    hours = [5]
    stop = StopRequest(
        until=datetime(2024, 1, 1, 6, tzinfo=UTC), clock=lambda _: datetime(2024, 1, 1, hours[0], tzinfo=UTC)
    )
    stop.check()
    hours[0] = 6
    with pytest.raises(Cancelled) as caught:
        stop.check()
    stop.check_at_once()
    assert (stop.reason, caught.value.exit_code) == (StopReason.TIME, 0)
    stop.make(143)
    assert (stop.reason, stop.exit_code) == (StopReason.ASKED, 143)


def test_a_fault_counts_before_all_and_the_first_of_several_stays() -> None:
    stop = StopRequest()
    stop.make()
    full = OutputError("full")
    stop.fail(full)
    stop.fail(ValueError("later"))
    assert (stop.reason, stop.error, stop.exit_code, stop.is_at_once) == (StopReason.FAULT, full, 5, True)


class Interposed(logging.Handler):
    """Does something when the first record of a logger comes: between two steps of whoever made it."""

    def __init__(self, action: Callable[[], object]) -> None:
        super().__init__()
        self._actions = [action]

    def createLock(self) -> None:  # noqa: N802 - of the standard library
        """Other threads make records meanwhile."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._actions:
            self._actions.pop()()


@contextmanager
def interposed(module: ModuleType, action: Callable[[], object]) -> Iterator[None]:
    logger: logging.Logger = module.logger
    handler, level = Interposed(action), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_of_two_faults_at_the_same_time_one_counts_from_then_on() -> None:
    stop = StopRequest()
    first, second = OutputError("full"), ValueError("another, amid the first")
    seen: list[BaseException | None] = []

    def amid() -> None:
        stop.fail(second)
        stop.make()
        seen.append(stop.error)

    with interposed(interruption, amid):
        stop.fail(first)
    assert (seen, stop.error, stop.reason, stop.exit_code) == ([first], first, StopReason.FAULT, 5)


def test_of_two_callbacks_that_fail_at_the_same_time_both_tell_of_the_one_that_ends_the_run() -> None:
    stop = StopRequest()
    both = threading.Barrier(2)
    told: dict[str, BaseException] = {}

    class Failing(Silent):
        def say(self, text: str) -> None:
            both.wait(PATIENCE)
            raise OutputError(text)

    def film(name: str) -> None:
        try:
            with guarded(Failing(), stop) as progress:
                progress.say(name)
        except OutputError as error:
            told[name] = error

    films = [threading.Thread(target=film, args=(name,)) for name in ("a", "b")]
    for thread in films:
        thread.start()
    for thread in films:
        thread.join(PATIENCE)
    assert told == {"a": stop.error, "b": stop.error}


def test_of_two_events_that_fail_at_the_same_time_the_one_that_ends_the_run_is_raised() -> None:
    stop = StopRequest()
    first_raised, second_is_in = threading.Event(), threading.Event()

    class Failing(Silent):
        def say(self, text: str) -> None:
            if text == "second":
                second_is_in.set()
                assert first_raised.wait(PATIENCE)
            raise OutputError(text)

    with pytest.raises(OutputError) as caught, guarded(Failing(), stop) as progress:
        other = threading.Thread(target=progress.say, args=("second",))
        other.start()
        assert second_is_in.wait(PATIENCE)

        def amid() -> None:
            first_raised.set()
            other.join(PATIENCE)

        with interposed(callbacks, amid):
            progress.say("first")
    assert caught.value is stop.error
