"""The review as a web application for one person on this computer: a page, pictures, and corrections as JSON.

It is served on the loopback interface alone. Whoever lacks the token of its address, comes from another site (Origin),
or reached it under another name (Host, against DNS rebinding) is turned away. Nothing but corrections, and results on
demand, is ever written.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Awaitable, Callable
from importlib.resources import files
from json import JSONDecodeError
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from pipeline.corrections import Correction, correction_from_json
from pipeline.documents import to_json
from pipeline.errors import AutochromeError, InputError, UsageError
from pipeline.review.catalogue import Catalogue, Item
from pipeline.review.studio import Place, Studio

_COOKIE = "autochrome-review"
_MOST_ITEMS = 200
_LONGEST_FILM = 1e6
_LARGEST_REFERENCE = 64 << 20
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_STATIC = {"review.css": "text/css", "review.js": "text/javascript"}
_READING = {"GET", "HEAD"}

Answer = Callable[[Request], Awaitable[Response]]


def review_app(catalogue: Catalogue, studio: Studio, *, port: int, token: str) -> Starlette:
    """Return the application that serves ``catalogue`` on ``port`` to whoever has ``token``."""
    pages = _Pages(catalogue, studio)
    app = Starlette(
        routes=[
            Route("/", _index),
            *(Route(f"/{name}", _static(name, kind)) for name, kind in _STATIC.items()),
            Route("/api/items", pages.items),
            Route("/api/item", pages.item),
            Route("/api/thumbnail", pages.thumbnail),
            Route("/api/before", pages.before),
            Route("/api/view", pages.view, methods=["POST"]),
            Route("/api/likely", pages.likely),
            Route("/api/correction", pages.correct, methods=["PUT"]),
            Route("/api/reference", pages.keep_reference, methods=["PUT"]),
            Route("/api/undo", pages.undo, methods=["POST"]),
            Route("/api/render", pages.render, methods=["POST"]),
        ],
        exception_handlers={AutochromeError: _told, KeyError: _unknown, ValueError: _refused},
    )
    app.add_middleware(BaseHTTPMiddleware, dispatch=_Guard(port, token))
    return app


class _Guard:
    """Lets through what comes from the page itself."""

    def __init__(self, port: int, token: str) -> None:
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._token = token

    async def __call__(self, request: Request, go_on: Answer) -> Response:
        response = await self._answer(request, go_on)
        response.headers.update(_HEADERS)
        return response

    async def _answer(self, request: Request, go_on: Answer) -> Response:
        host = request.headers.get("host", "")
        if host not in self._hosts:
            return PlainTextResponse("This page answers to 127.0.0.1 alone.", 403)
        origin = request.headers.get("origin")
        if (request.method not in _READING or origin) and origin != f"http://{host}":
            return PlainTextResponse("Another site may not do this.", 403)
        if given := request.query_params.get("token"):
            if not secrets.compare_digest(given.encode(), self._token.encode()):
                return PlainTextResponse("The token in this address is not that of this review.", 403)
            entered = RedirectResponse("/", 303)
            entered.set_cookie(_COOKIE, self._token, httponly=True, samesite="strict")
            return entered
        if not secrets.compare_digest(request.cookies.get(_COOKIE, "").encode(), self._token.encode()):
            return PlainTextResponse("Open the whole address that colorize-review printed, with its token.", 403)
        return await go_on(request)


class _Pages:
    """The answers that need the catalogue."""

    def __init__(self, catalogue: Catalogue, studio: Studio) -> None:
        self._catalogue, self._studio = catalogue, studio
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
        return JSONResponse({"total": self._catalogue.count(), "offset": offset, "items": found})

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
        return JSONResponse(await run_in_threadpool(self._studio.likely_colors, item, place, x, y))

    async def correct(self, request: Request) -> Response:
        based_on = request.query_params.get("earlier")
        return await run_in_threadpool(self._corrected, self._named(request), await _sent(request), based_on)

    async def keep_reference(self, request: Request) -> Response:
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > _LARGEST_REFERENCE:
                raise ValueError(f"a reference may have {_LARGEST_REFERENCE >> 20} MiB; a smaller copy does as well")
        item = self._named(request)
        return JSONResponse({"name": await run_in_threadpool(self._studio.keep_reference, item, bytes(content))})

    async def undo(self, request: Request) -> Response:
        return await run_in_threadpool(self._undone, self._named(request))

    async def render(self, request: Request) -> Response:
        return await run_in_threadpool(self._rendered, self._named(request))

    def _named(self, request: Request) -> Item:
        return self._catalogue.find(request.query_params["name"])

    def _described(self, item: Item) -> Response:
        file = self._catalogue.correction(item.name)
        return JSONResponse(
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
        return JSONResponse({"output": str(self._studio.render(item)).encode(errors="replace").decode()})


async def _index(_: Request) -> Response:
    return Response(_resource("index.html"), media_type="text/html")


def _static(name: str, kind: str) -> Answer:
    async def answer(_: Request) -> Response:
        return Response(_resource(name), media_type=kind)

    return answer


def _resource(name: str) -> bytes:
    return files("pipeline.review").joinpath("static", name).read_bytes()


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
    return JSONResponse({"error": str(error), "advice": error.advice}, 409)


async def _unknown(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"there is no item {error}", "advice": "Reload the page."}, 404)


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error), "advice": ""}, 400)
