from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

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
