"""The review as a web application for one person on this computer: a page, pictures, and corrections as JSON.

It is served as `pipeline.review.local` does. Nothing but corrections, and results on demand, is ever written.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from json import JSONDecodeError
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.corrections import Correction, correction_from_json
from pipeline.documents import to_json
from pipeline.errors import AutochromeError, InputError, UsageError
from pipeline.review.catalogue import FILM, Catalogue, Item
from pipeline.review.local import Json, page_file
from pipeline.review.rendering import Rendering
from pipeline.review.studio import Place, Studio

_MOST_ITEMS = 200
_LONGEST_FILM = 1e6
_LARGEST_REFERENCE = 64 << 20
_STATIC = ("review.css", "review.js")


def review_app(catalogue: Catalogue, studio: Studio) -> Starlette:
    """Return the application that shows ``catalogue`` and takes corrections."""
    rendering = Rendering(studio)
    pages = _Pages(catalogue, studio, rendering)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        rendering.stop()

    return Starlette(
        lifespan=lifespan,
        routes=[
            page_file("/", "index.html"),
            *(page_file(f"/{name}", name) for name in _STATIC),
            Route("/api/items", pages.items),
            Route("/api/item", pages.item),
            Route("/api/thumbnail", pages.thumbnail),
            Route("/api/before", pages.before),
            Route("/api/view", pages.view, methods=["POST"]),
            Route("/api/likely", pages.likely),
            Route("/api/correction", pages.correct, methods=["PUT"]),
            Route("/api/reference", pages.keep_reference, methods=["PUT"]),
            Route("/api/reference", pages.reference),
            Route("/api/undo", pages.undo, methods=["POST"]),
            Route("/api/render", pages.render, methods=["POST"]),
            Route("/api/rendering", pages.rendering),
            Route("/api/rendering", pages.stop, methods=["DELETE"]),
        ],
        exception_handlers={AutochromeError: _told, KeyError: _unknown, ValueError: _refused},
    )


class _Pages:
    """The answers that need the catalogue."""

    def __init__(self, catalogue: Catalogue, studio: Studio, rendering: Rendering) -> None:
        self._catalogue, self._studio, self._rendering = catalogue, studio, rendering
        self._under_way: asyncio.Task[None] | None = None
        # A correction is read, changed and written by one at a time.
        self._turn = threading.Lock()

    async def items(self, request: Request) -> Response:
        offset, limit = (int(request.query_params.get(name, usual)) for name, usual in (("offset", 0), ("limit", 60)))
        if offset < 0 or not 0 < limit <= _MOST_ITEMS:
            raise ValueError(f"offset {offset}, limit {limit}: at most {_MOST_ITEMS} items at a time")
        return await run_in_threadpool(self._items, offset, limit)

    def _items(self, offset: int, limit: int) -> Response:
        found = [
            {
                "name": item.name,
                "title": item.title,
                "kind": item.kind,
                "attention": item.attention,
                "pictures": len(item.labels),
                **self._state(item),
            }
            for item in self._catalogue.page(offset, limit)
        ]
        return Json({"total": self._catalogue.count(), "offset": offset, "items": found})

    def _state(self, item: Item) -> dict[str, Any]:
        try:
            correction = self._catalogue.correction(item.name).correction
        except InputError:
            # What is wrong with it is told when the item is opened.
            return {"accepted": False, "corrected": True}
        return {"accepted": correction.accepted, "corrected": bool(correction.fingerprint)}

    async def item(self, request: Request) -> Response:
        return await run_in_threadpool(self._described, self._named(request))

    async def thumbnail(self, request: Request) -> Response:
        number = int(request.query_params.get("number", 0))
        found = await run_in_threadpool(self._catalogue.thumbnail, self._named(request).name, number)
        return Response(status_code=204) if found is None else _picture(found)

    async def before(self, request: Request) -> Response:
        return _picture(await run_in_threadpool(self._studio.before, self._named(request), _place(request)))

    async def view(self, request: Request) -> Response:
        correction, place = await _sent(request), _place(request)
        made, pages, is_kept = await run_in_threadpool(self._studio.after, self._named(request), place, correction)
        return _picture(made, pages=pages, kept=int(is_kept))

    async def likely(self, request: Request) -> Response:
        x, y = (float(request.query_params[name]) for name in ("x", "y"))
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise ValueError(f"x and y must lie between 0 and 1, not {x}, {y}")
        item, place = self._named(request), _place(request)
        return Json(await run_in_threadpool(self._studio.likely_colors, item, place, x, y))

    async def correct(self, request: Request) -> Response:
        based_on = request.query_params.get("earlier")
        return await run_in_threadpool(self._corrected, self._named(request), await _sent(request), based_on)

    async def reference(self, request: Request) -> Response:
        item, name = self._named(request), request.query_params["reference"]
        return _picture(await run_in_threadpool(self._studio.reference_picture, item, name))

    async def keep_reference(self, request: Request) -> Response:
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > _LARGEST_REFERENCE:
                raise ValueError(f"a reference may have {_LARGEST_REFERENCE >> 20} MiB; a smaller copy does as well")
        item = self._named(request)
        return Json({"name": await run_in_threadpool(self._studio.keep_reference, item, bytes(content))})

    async def undo(self, request: Request) -> Response:
        return await run_in_threadpool(self._undone, self._named(request))

    async def render(self, request: Request) -> Response:
        item = self._named(request)
        if item.kind != FILM:
            return await run_in_threadpool(self._rendered, item)
        work = self._rendering.begun(item)
        # Kept, or nobody would hold the task.
        self._under_way = asyncio.create_task(run_in_threadpool(work))
        return Json({}, 202)

    async def rendering(self, _: Request) -> Response:
        return Json(to_json(self._rendering.state))

    async def stop(self, _: Request) -> Response:
        self._rendering.stop()
        return Response(status_code=204)

    def _named(self, request: Request) -> Item:
        return self._catalogue.find(request.query_params["name"])

    def _described(self, item: Item) -> Response:
        file = self._catalogue.correction(item.name)
        return Json(
            {
                "name": item.name,
                "title": item.title,
                "kind": item.kind,
                "attention": item.attention,
                "labels": item.labels,
                "correction": to_json(file.correction),
                "earlier": len(file.history),
            }
        )

    def _corrected(self, item: Item, correction: Correction, based_on: str | None) -> Response:
        with self._turn:
            file = self._catalogue.correction(item.name)
            if based_on is not None and based_on != str(len(file.history)):
                raise UsageError(
                    f"{item.title}: somebody else changed it meanwhile",
                    advice="Reload the page to see how; what you did here is not saved.",
                )
            self._catalogue.correct(item.name, file.revised(correction))
            return self._described(item)

    def _undone(self, item: Item) -> Response:
        with self._turn:
            self._catalogue.correct(item.name, self._catalogue.correction(item.name).undone())
            return self._described(item)

    def _rendered(self, item: Item) -> Response:
        return Json({"output": str(self._studio.render(item))})


def _picture(content: bytes, **told: int) -> Response:
    headers = {f"Autochrome-{name.capitalize()}": str(value) for name, value in told.items()}
    return Response(content, media_type="image/jpeg", headers=headers)


def _place(request: Request) -> Place:
    time = float(request.query_params.get("time", 0))
    if not 0 <= time < _LONGEST_FILM:
        raise ValueError(f"time {time}: seconds from the beginning of a film are wanted")
    return Place(page=int(request.query_params.get("page", 1)), time=time)


async def _sent(request: Request) -> Correction:
    try:
        return correction_from_json(await request.json())
    except JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, AutochromeError)
    return Json({"error": str(error), "advice": error.advice}, 409)


async def _unknown(_: Request, error: Exception) -> Response:
    return Json({"error": f"there is no item {error}", "advice": "Reload the page."}, 404)


async def _refused(_: Request, error: Exception) -> Response:
    return Json({"error": str(error), "advice": ""}, 400)
