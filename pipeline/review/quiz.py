"""The quiz as a web application: pairs of pictures, a question, and how often the coloured one was taken for real."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.errors import AutochromeError
from pipeline.review.local import Json, page_file
from training.quiz import Count, Round

_FILES = ("quiz.css", "quiz.js")
_SIDES = ("left", "right")

Pair = Callable[[int], tuple[bytes, bytes]]
"""Returns the real and the coloured picture, PNG, of a round; called from several threads, one at a time."""


class Quiz:
    """The rounds, the answers so far, and the pictures, which are made on request."""

    def __init__(self, rounds: Sequence[Round], pair: Pair, *, seconds: float) -> None:
        """Use ``rounds``; each pair is shown for ``seconds``, or until it is answered if 0."""
        self._rounds, self._pair, self._seconds = tuple(rounds), pair, seconds
        self._fooled: list[bool] = []
        self._made: tuple[int, tuple[bytes, bytes]] | None = None
        self._turn = threading.Lock()

    @property
    def count(self) -> Count:
        """The answers so far."""
        with self._turn:
            return Count(len(self._fooled), sum(self._fooled))

    def picture(self, number: int, side: str) -> bytes:
        """Return the picture on one side of round ``number``. Raises `ValueError` for an unknown side, `KeyError`."""
        with self._turn:
            if not 0 <= number < len(self._rounds):
                raise KeyError(number)
            is_real = self._is_real(number, side)
            if self._made is None or self._made[0] != number:
                self._made = number, self._pair(self._rounds[number].picture)
            real, coloured = self._made[1]
        return real if is_real else coloured

    def answer(self, number: int, side: str) -> bool:
        """Record which side was taken for real in round ``number``, the next one; return whether it was."""
        with self._turn:
            if number != len(self._fooled) or number >= len(self._rounds):
                raise ValueError(f"round {number} is not the current one")
            right = self._is_real(number, side)
            self._fooled.append(not right)
        return right

    def _is_real(self, number: int, side: str) -> bool:
        if side not in _SIDES:
            raise ValueError(f"side must be left or right, not {side}")
        return (side == "left") == self._rounds[number].real_is_left

    def state(self) -> dict[str, Any]:
        """Return the next round, the number of rounds, and the count."""
        count = self.count
        low, high = count.interval
        return {
            "round": count.answered,
            "rounds": len(self._rounds),
            "seconds": self._seconds,
            "fooled": count.fooled,
            "low": low,
            "high": high,
        }


def quiz_app(quiz: Quiz) -> Starlette:
    """Return the application that runs ``quiz``."""

    async def state(_: Request) -> Response:
        return Json(quiz.state())

    async def picture(request: Request) -> Response:
        number, side = int(request.query_params["round"]), request.query_params["side"]
        return Response(await run_in_threadpool(quiz.picture, number, side), media_type="image/png")

    async def answer(request: Request) -> Response:
        right = quiz.answer(int(request.query_params["round"]), request.query_params["side"])
        return Json({"right": right, **quiz.state()})

    return Starlette(
        routes=[
            page_file("/", "quiz.html"),
            *(page_file(f"/{name}", name) for name in _FILES),
            Route("/api/state", state),
            Route("/api/picture", picture),
            Route("/api/answer", answer, methods=["POST"]),
        ],
        exception_handlers={AutochromeError: _refused, KeyError: _refused, ValueError: _refused},
    )


async def _refused(_: Request, error: Exception) -> Response:
    return Json({"error": str(error)}, 400)
