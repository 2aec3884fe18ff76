"""Pages for one person on this computer: served on the loopback interface to clients that have the address's token."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib.resources import files
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

Handler = Callable[[Request], Awaitable[Response]]

_HOST = "127.0.0.1"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_READING = {"GET", "HEAD"}
_KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}


def serve_locally(app: Starlette, *, ready: Callable[[str], None]) -> None:
    """Serve ``app`` with access checks on a free loopback port; call ``ready`` with its address, token included.

    Requests without the token, from another site (Origin), or under another host name (Host, against DNS rebinding) are
    rejected. Returns after Ctrl-C, once requests in progress have been answered.
    """
    token = secrets.token_urlsafe(24)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind((_HOST, 0))
        listening.listen()
        port = listening.getsockname()[1]
        app.add_middleware(BaseHTTPMiddleware, dispatch=_Guard(port, token))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        ready(f"http://{_HOST}:{port}/?token={token}")
        # uvicorn shuts down cleanly on Ctrl-C, then raises the signal again.
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])


class Json(JSONResponse):
    """A JSON response that may contain file names with bytes that are not UTF-8."""

    def render(self, content: Any) -> bytes:
        """Return ``content`` as JSON, with ``?`` for characters that cannot be encoded."""
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(errors="replace")


def page_file(path: str, name: str) -> Route:
    """Return a route that serves the file ``name`` from this package's ``static`` folder at ``path``."""
    content = files("pipeline.review").joinpath("static", name)

    async def handler(_: Request) -> Response:
        return Response(content.read_bytes(), media_type=_KINDS[f".{name.rpartition('.')[2]}"])

    return Route(path, handler)


class _Guard:
    """Admits only requests from the page itself."""

    def __init__(self, port: int, token: str) -> None:
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._token, self._cookie = token, f"autochrome-{port}"

    async def __call__(self, request: Request, go_on: Handler) -> Response:
        response = await self._handled(request, go_on)
        response.headers.update(_HEADERS)
        return response

    async def _handled(self, request: Request, go_on: Handler) -> Response:
        host = request.headers.get("host", "")
        if host not in self._hosts:
            return PlainTextResponse("This page answers to 127.0.0.1 alone.", 403)
        origin = request.headers.get("origin")
        if (request.method not in _READING or origin) and origin != f"http://{host}":
            return PlainTextResponse("Another site may not do this.", 403)
        if given := request.query_params.get("token"):
            if not secrets.compare_digest(given.encode(), self._token.encode()):
                return PlainTextResponse("The token in this address is not that of this page.", 403)
            entered = RedirectResponse("/", 303)
            entered.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
            return entered
        if not secrets.compare_digest(request.cookies.get(self._cookie, "").encode(), self._token.encode()):
            return PlainTextResponse("Open the complete address that the command printed, with its token.", 403)
        return await go_on(request)
