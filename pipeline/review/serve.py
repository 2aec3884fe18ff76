"""Serving a review until it is told to stop."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from pipeline.review.catalogue import Catalogue
from pipeline.review.server import review_app
from pipeline.review.studio import Studio

_HOST = "127.0.0.1"


def serve_review(catalogue: Catalogue, studio: Studio, *, ready: Callable[[str], None]) -> None:
    """Serve the page on a free port of the loopback interface; ``ready`` is told its address, token included.

    Returns after Ctrl-C, in order: what is under way is answered first.
    """
    token = secrets.token_urlsafe(24)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind((_HOST, 0))
        listening.listen()
        port = listening.getsockname()[1]
        app = review_app(catalogue, studio, port=port, token=token)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off"))
        ready(f"http://{_HOST}:{port}/?token={token}")
        # uvicorn closes in order on Ctrl-C, then raises the signal again.
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
