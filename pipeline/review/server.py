"""The review as a web application for one person on this computer: a page, pictures, and corrections as JSON.

It is served by `pipeline.review.local`. It writes only corrections and, on request, results; the shots played last are
kept in a temporary folder until the server ends.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from pipeline.corrections import Correction, CorrectionFile, correction_from_json
from pipeline.documents import to_json
from pipeline.errors import AutochromeError, InputError, UsageError
from pipeline.film.shot_bounds import Shots
from pipeline.interruption import StopRequest
from pipeline.options import Span
from pipeline.progress import Progress
from pipeline.review.catalogue import FILM, Catalogue, Item
from pipeline.review.clips import Clips
from pipeline.review.local import Json, page_file
from pipeline.review.rendering import Rendering, RenderingQueue
from pipeline.review.studio import Place, Studio

_MOST_ITEMS = 200
_LONGEST_FILM = 1e6
_LONGEST_CLIP = 10
_LARGEST_REFERENCE = 64 << 20
_STATIC = ("review.css", "review.js")


def review_app(catalogue: Catalogue, studio: Studio) -> Starlette:
    """Return the application that shows ``catalogue`` and accepts corrections."""
    folder = tempfile.TemporaryDirectory(prefix="autochrome-", ignore_cleanup_errors=True)
    pages = _Pages(catalogue, studio, Path(folder.name))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        with folder:
            yield
            await pages.end()

    return Starlette(
        lifespan=lifespan,
        routes=[
            page_file("/", "index.html"),
            *(page_file(f"/{name}", name) for name in _STATIC),
            Route("/api/items", pages.items),
            Route("/api/item", pages.item),
            Route("/api/shots", pages.shots),
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
            Route("/api/clip", pages.play, methods=["POST"]),
            Route("/api/clip", pages.clip),
            Route("/api/playing", pages.playing),
            Route("/api/playing", pages.stop_playing, methods=["DELETE"]),
        ],
        exception_handlers={AutochromeError: _error, KeyError: _unknown, ValueError: _refused},
    )


class _Pages:
    """Request handlers that need the catalogue."""

    def __init__(self, catalogue: Catalogue, studio: Studio, clips: Path) -> None:
        self._catalogue, self._studio, self._clips = catalogue, studio, Clips(clips)
        self._rendering = Rendering(advice="Wait for it, or leave this one to the next run.")
        # Referenced here so that the task is not garbage-collected.
        self._under_way: asyncio.Task[None] | None = None
        self._searches: dict[str, Rendering] = {}
        self._searching = RenderingQueue()
        # Only one request at a time may read, change and write a correction.
        self._turn = threading.Lock()

    async def end(self) -> None:
        """Stop current work, and wait until it has stopped, except for films that are being coloured."""
        self._rendering.stop()
        await asyncio.gather(self._clips.end(), self._searching.end())

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
            # The error is reported when the item is opened.
            return {"accepted": False, "corrected": True}
        return {"accepted": correction.accepted, "corrected": bool(correction.fingerprint)}

    async def item(self, request: Request) -> Response:
        return await run_in_threadpool(self._described, self._named(request))

    async def shots(self, request: Request) -> Response:
        """Tell the shots of a film; search for them first if they are not known, and tell how far that is."""
        item = self._named(request)
        if item.name not in self._searches and not self._catalogue.are_shots_known(item.name):
            self._searches[item.name] = self._searching.begin(item, partial(self._searched, item))
        state = self._searches[item.name].state if item.name in self._searches else None
        found = {} if self._catalogue.are_shots_known(item.name) else {"search": to_json(state)}
        shots = await run_in_threadpool(self._shots, self._named(request))
        return Json({"shots": to_json(shots.shots if shots else ()), **found})

    def _searched(self, item: Item, progress: Progress, stop: StopRequest) -> Path:
        self._catalogue.find_shots(item.name, progress, stop)
        return item.source

    async def thumbnail(self, request: Request) -> Response:
        number = int(request.query_params.get("number", 0))
        found = await run_in_threadpool(self._catalogue.thumbnail, self._named(request).name, number)
        return Response(status_code=204) if found is None else _picture(found)

    async def before(self, request: Request) -> Response:
        return _picture(await run_in_threadpool(self._studio.before, self._named(request), _place(request)))

    async def view(self, request: Request) -> Response:
        correction, place = await _sent(request), _place(request)
        made = await run_in_threadpool(self._studio.after, self._named(request), place, correction)
        return _picture(made.content, pages=made.pages, kept=int(made.is_kept))

    async def likely(self, request: Request) -> Response:
        x, y = (float(request.query_params[name]) for name in ("x", "y"))
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise ValueError(f"x and y must lie between 0 and 1, not {x}, {y}")
        item, place = self._named(request), _place(request)
        return Json(await run_in_threadpool(self._studio.likely_colors, item, place, x, y))

    async def correct(self, request: Request) -> Response:
        based_on = request.query_params.get("version")
        return await run_in_threadpool(self._corrected, self._named(request), await _sent(request), based_on)

    async def reference(self, request: Request) -> Response:
        item, name = self._named(request), request.query_params["reference"]
        return _picture(await run_in_threadpool(self._studio.reference_picture, item, name))

    async def keep_reference(self, request: Request) -> Response:
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > _LARGEST_REFERENCE:
                raise ValueError(f"a reference may have {_LARGEST_REFERENCE >> 20} MiB; a smaller copy works as well")
        item = self._named(request)
        return Json({"name": await run_in_threadpool(self._studio.keep_reference, item, bytes(content))})

    async def undo(self, request: Request) -> Response:
        based_on = request.query_params.get("version")
        return await run_in_threadpool(self._undone, self._named(request), based_on)

    async def render(self, request: Request) -> Response:
        item = self._named(request)
        if item.kind != FILM:
            return await run_in_threadpool(self._rendered, item)
        carried_out = self._rendering.begun(item, partial(self._studio.render_film, item))
        self._under_way = asyncio.create_task(run_in_threadpool(carried_out))
        return Json({}, 202)

    async def rendering(self, _: Request) -> Response:
        return Json(to_json(self._rendering.state))

    async def stop(self, _: Request) -> Response:
        self._rendering.stop()
        return Response(status_code=204)

    async def play(self, request: Request) -> Response:
        item, correction, span = self._named(request), await _sent(request), _span(request)
        if item.kind != FILM:
            raise ValueError(f"{item.title}: is not a film")
        return Json({"number": self._clips.begin(item, partial(self._studio.play, item, span, correction))}, 202)

    async def clip(self, request: Request) -> Response:
        return FileResponse(self._clips.path(_number(request)), media_type="video/mp4")

    async def playing(self, request: Request) -> Response:
        return Json(to_json(self._clips.state(_number(request))))

    async def stop_playing(self, request: Request) -> Response:
        self._clips.stop(_number(request))
        return Response(status_code=204)

    def _named(self, request: Request) -> Item:
        return self._catalogue.find(request.query_params["name"])

    def _described(self, item: Item) -> Response:
        file = self._catalogue.correction(item.name)
        shots = self._shots(item)
        # The page knows the picture at another size; hints that lie outside are shown so that they can be removed.
        hints = self._studio.hints_as_shown(item, file.correction.hints)
        return Json(
            {
                "name": item.name,
                "title": item.title,
                "kind": item.kind,
                "attention": item.attention,
                "labels": item.labels,
                "frame": shots and shots.frame,
                "shots": to_json(shots.shots if shots else ()),
                "known": self._catalogue.are_shots_known(item.name),
                "correction": to_json(replace(file.correction, hints=hints)),
                "earlier": len(file.history),
                "version": file.fingerprint,
            }
        )

    def _shots(self, item: Item) -> Shots | None:
        if item.kind != FILM:
            return None
        try:
            return self._catalogue.shots(item.name)
        except InputError:
            # A correction can be saved without its film; that it is missing is reported when a picture is requested.
            return None

    def _corrected(self, item: Item, correction: Correction, based_on: str | None) -> Response:
        with self._turn:
            self._studio.hints_in_shares(item, correction.hints)
            self._catalogue.correct(item.name, self._unchanged(item, based_on).revised(correction))
            return self._described(item)

    def _undone(self, item: Item, based_on: str | None) -> Response:
        with self._turn:
            self._catalogue.correct(item.name, self._unchanged(item, based_on).undone())
            return self._described(item)

    def _unchanged(self, item: Item, based_on: str | None) -> CorrectionFile:
        """Return the correction file of an item if it is still the version that the page knows, where it says which."""
        file = self._catalogue.correction(item.name)
        if based_on is not None and based_on != file.fingerprint:
            raise UsageError(
                f"{item.title}: somebody else has changed it in the meantime",
                advice="Reload the page to see the change; what you did here is not saved.",
            )
        return file

    def _rendered(self, item: Item) -> Response:
        return Json({"output": str(self._studio.render(item))})


def _picture(content: bytes, **facts: int) -> Response:
    headers = {f"Autochrome-{name.capitalize()}": str(value) for name, value in facts.items()}
    return Response(content, media_type="image/jpeg", headers=headers)


def _number(request: Request) -> int:
    return int(request.query_params["number"])


def _place(request: Request) -> Place:
    time = float(request.query_params.get("time", 0))
    if not 0 <= time < _LONGEST_FILM:
        raise ValueError(f"time {time}: must be seconds from the start of a film")
    return Place(page=int(request.query_params.get("page", 1)), time=time)


def _span(request: Request) -> Span:
    start, seconds = (float(request.query_params[name]) for name in ("start", "seconds"))
    if not (0 <= start < _LONGEST_FILM and 0 < seconds <= _LONGEST_CLIP):
        raise ValueError(f"{seconds} s from {start}: at most {_LONGEST_CLIP} s of a film can be played")
    return Span(seconds=Fraction(seconds), start=Fraction(start))


async def _sent(request: Request) -> Correction:
    try:
        return correction_from_json(await request.json())
    except JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error


async def _error(_: Request, error: Exception) -> Response:
    assert isinstance(error, AutochromeError)
    return Json({"error": str(error), "advice": error.advice}, 409)


async def _unknown(_: Request, error: Exception) -> Response:
    return Json({"error": f"there is no item {error}", "advice": "Reload the page."}, 404)


async def _refused(_: Request, error: Exception) -> Response:
    return Json({"error": str(error), "advice": ""}, 400)
