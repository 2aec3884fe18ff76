"""Stages run ahead, in order, and never outlive their reader."""

import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.interruption import StopRequest
from pipeline.stages import abreast, ahead, several


def counting(limit: int, log: list[str]) -> Iterator[int]:
    try:
        for number in range(limit):
            log.append(threading.current_thread().name)
            yield number
    finally:
        log.append("closed")


def failing_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("third")
    return number


def broken_after_one() -> Iterator[int]:
    yield 1
    raise KeyError("second")


@pytest.mark.parametrize("threads", [True, False])
def test_items_arrive_whole_and_in_order(threads: bool) -> None:
    log: list[str] = []
    assert list(ahead(counting(500, log), depth=3, name="count", threads=threads)) == list(range(500))
    assert log[-1] == "closed"
    assert log[0] == ("count" if threads else threading.current_thread().name)


@pytest.mark.parametrize("threads", [True, False])
def test_an_error_arrives_after_the_items_before_it(threads: bool) -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("third")

    seen = []
    with pytest.raises(ValueError, match="third"):
        for item in ahead(failing(), depth=5, name="fail", threads=threads):
            seen.append(item)
    assert seen == [1, 2]


def test_no_more_than_depth_items_wait() -> None:
    made: list[str] = []
    stage = ahead(counting(100, made), depth=4, name="bounded")
    next(stage)
    time.sleep(0.3)
    assert len(made) <= 1 + 4 + 1
    stage.close()


def test_closing_early_stops_the_thread_and_closes_the_source() -> None:
    log: list[str] = []
    stage = ahead(counting(10**9, log), depth=2, name="endless")
    assert next(stage) == 0
    stage.close()
    assert log[-1] == "closed"
    assert "endless" not in {thread.name for thread in threading.enumerate()}


def test_a_chain_of_stages_closes_from_the_reader_to_the_source() -> None:
    log: list[str] = []
    first = ahead(counting(10**9, log), depth=2, name="chain-1")

    def middle() -> Iterator[int]:
        try:
            for item in first:
                yield item * 2
        finally:
            first.close()

    last = ahead(middle(), depth=2, name="chain-2")
    assert [next(last), next(last)] == [0, 2]
    last.close()
    assert log[-1] == "closed"
    assert not {"chain-1", "chain-2"} & {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("workers", [1, 3])
def test_all_work_is_done_once(workers: int) -> None:
    log: list[str] = []
    stop = StopRequest()
    done = list(several(counting(200, log), lambda number: number * 2, workers=workers, name="work", stop=stop))
    assert not stop.is_made
    assert sorted(done) == [2 * number for number in range(200)]
    assert (set(log[:-1]) <= {f"work {number}" for number in (1, 2, 3)}) is (workers == 3)


def test_work_goes_on_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=30)
    met = several(iter(range(3)), lambda _: meeting.wait() >= 0, workers=3, name="work", stop=StopRequest())
    assert list(met) == [True] * 3


def test_items_are_taken_by_one_worker_at_a_time_and_only_when_it_is_free() -> None:
    taken: list[int] = []
    free = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for number in range(6):
            taken.append(number)
            yield number

    def work(number: int) -> int:
        assert free.acquire(timeout=30)
        return number

    work_left = several(items(), work, workers=2, name="work", stop=StopRequest())
    free.release()
    next(work_left)
    time.sleep(0.1)
    assert len(taken) <= 3
    for _ in range(10):
        free.release()
    assert len(list(work_left)) == 5


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_work_or_the_items_is_raised_and_all_work_is_stopped(workers: int) -> None:
    stop = StopRequest()
    with pytest.raises(ValueError, match="third"):
        list(several(iter(range(100)), failing_at_three, workers=workers, name="work", stop=stop))
    assert stop.is_at_once is (workers == 2)
    with pytest.raises(KeyError, match="second"):
        list(several(broken_after_one(), failing_at_three, workers=workers, name="work", stop=StopRequest()))


def exhausted(number: int) -> int:
    return next(iter(()), number) if number < 3 else next(iter(()))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_iterator_that_ends_inside_the_work_does_not_end_the_work_in_silence(workers: int) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(several(iter(range(9)), exhausted, workers=workers, name="work", stop=StopRequest()))
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(abreast(range(9), exhausted, workers=workers, weight=lambda _: 1, most=9, name="work"))


def test_closing_early_stops_and_awaits_the_workers() -> None:
    stop = StopRequest()

    def work(number: int) -> int:
        deadline = time.monotonic() + 30
        while number and not stop.is_at_once and time.monotonic() < deadline:
            time.sleep(0.01)
        return number

    work_left = several(iter(range(100)), work, workers=2, name="early", stop=stop)
    assert next(work_left) == 0
    work_left.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("early")]


@pytest.mark.parametrize("workers", [1, 3])
def test_work_abreast_comes_out_in_the_order_of_the_items(workers: int) -> None:
    def work(number: int) -> int:
        time.sleep(0.002 * (number % 3 == 0))
        return 2 * number

    done = list(abreast(range(100), work, workers=workers, weight=lambda _: 1, most=100, name="work"))
    assert done == [2 * number for number in range(100)]


@pytest.mark.parametrize(("most", "expected"), [(100, 3), (20, 2), (1, 1)])
def test_no_more_work_is_abreast_than_workers_and_weight_allow(most: int, expected: int) -> None:
    under_way, greatest = 0, 0
    turn = threading.Condition()

    def work(number: int) -> int:
        nonlocal under_way, greatest
        with turn:
            under_way += 1
            greatest = max(greatest, under_way)
            turn.notify_all()
            assert turn.wait_for(lambda: greatest >= expected, timeout=30)
            under_way -= 1
        return number

    assert list(abreast(range(12), work, workers=3, weight=lambda _: 10, most=most, name="work")) == list(range(12))
    assert greatest == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_of_work_abreast_and_of_its_items_are_raised_after_what_came_before(workers: int) -> None:
    done: list[int] = []
    with pytest.raises(ValueError, match="third"):
        done.extend(abreast(range(100), failing_at_three, workers=workers, weight=lambda _: 1, most=100, name="work"))
    with pytest.raises(KeyError, match="second"):
        list(abreast(broken_after_one(), failing_at_three, workers=workers, weight=lambda _: 1, most=100, name="work"))
    assert done == [0, 1, 2]


def test_closing_early_awaits_what_is_abreast_and_begins_no_more() -> None:
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        return number

    left = abreast(range(100), work, workers=2, weight=lambda _: 1, most=100, name="early")
    assert next(left) == 0
    left.close()
    assert len(begun) <= 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("early")]
