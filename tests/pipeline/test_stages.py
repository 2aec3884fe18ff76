"""Stages run ahead, in order, and never outlive their reader."""

import threading
import time
from collections.abc import Iterator

import pytest

from pipeline.stages import ahead


def counting(limit: int, log: list[str]) -> Iterator[int]:
    try:
        for number in range(limit):
            log.append(threading.current_thread().name)
            yield number
    finally:
        log.append("closed")


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
