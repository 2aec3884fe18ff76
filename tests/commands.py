"""Run commands and other code, each in a separate process.

`command` is for a new interpreter. `colorize` and `python` fork, on Linux, from one that has imported everything that
commands need, which saves most of their time; arguments, environment, folder, output and exit are the process's own as
usual.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NoReturn

ROOT = Path(__file__).parent.parent
# In seconds. Only a hang takes longer, even on the busiest machine.
PATIENCE = 600.0


def environment(**variables: str) -> dict[str, str]:
    """Return the test's environment plus ``variables``, set up so that commands print plain text of 80 columns."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "NO_COLOR": "1", **variables}


def command(name: str, *arguments: object) -> list[str]:
    """Return the command line that starts ``colorize-name``."""
    return [sys.executable, "-c", _program(name), *map(str, arguments)]


def colorize(name: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``colorize-name`` to its end and return its exit code and output."""
    return python(_program(name), *arguments, **variables)


def terminal(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``colorize-name`` to its end; standard output also contains standard error, in order."""
    return python(f"import os; os.dup2(1, 2); {_program(name)}", *arguments)


def python(code: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -c code`` to its end and return its exit code and output."""
    words = [str(word) for word in arguments]
    if sys.platform != "linux":
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    with TemporaryFile("w+") as request, TemporaryFile("w+") as stdout, TemporaryFile("w+") as stderr:
        asked = {"code": code, "words": words, "folder": str(Path.cwd()), "environment": environment(**variables)}
        json.dump(asked, request)
        request.flush()
        ended = _starter().run(request.fileno(), stdout.fileno(), stderr.fileno())
        for file in (stdout, stderr):
            file.seek(0)
        return subprocess.CompletedProcess(words, ended, stdout.read(), stderr.read())


def _program(name: str) -> str:
    return f"import sys, cli; sys.argv[0] = 'colorize-{name}'; cli.{name}()"


class _Starter:
    """A process that forks one per request. Requests arrive on a socket; closing it ends the process."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(PATIENCE)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def run(self, *files: int) -> int:
        """Start a process with the request, standard output and standard error; return its exit status."""
        try:
            socket.send_fds(self._channel, [b"r"], files)
            return int(self._channel.recv(16))
        except TimeoutError:
            os.killpg(self._process.pid, signal.SIGKILL)
            raise

    def end(self) -> None:
        """End the process."""
        self._channel.close()
        self._process.wait()


@cache
def _starter() -> _Starter:
    starter = _Starter()
    atexit.register(starter.end)
    return starter


def _main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        _import_all()
        while (asked := socket.recv_fds(channel, 1, 3))[0]:
            if not (pid := os.fork()):
                break
            for file in asked[1]:
                os.close(file)
            channel.sendall(str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])).encode())
        else:
            return
    _become(*asked[1])


def _import_all() -> None:
    from engines import optional
    from pipeline.process import before_numpy

    before_numpy()
    for package in ("pipeline", "engines"):
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)
    # Most of these are imported when they are first used.
    for name in (
        *("cli", "av", "cv2", "imagecodecs._jpeg8", "onnxruntime", "PIL.PngImagePlugin", "pydantic.types"),
        *("pydantic.type_adapter", "rich._emoji_codes", "typer._adapters", "typer.rich_utils", "xml.dom.expatbuilder"),
    ):
        importlib.import_module(name)
    optional.openvino()
    # To compile the template of the report takes longer than to colour a photograph.
    importlib.import_module("pipeline.archive.report.page")._parts()
    gc.freeze()


def _become(request: int, stdout: int, stderr: int) -> NoReturn:
    """Turn this process into the requested one."""
    with os.fdopen(os.dup(request)) as file:
        file.seek(0)
        asked: dict[str, Any] = json.load(file)
    for source, target in ((stdout, 1), (stderr, 2)):
        os.dup2(source, target)
    os.closerange(3, max(request, stdout, stderr) + 1)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.argv = ["-c", *asked["words"]]
    ended = 0
    try:
        exec(compile(asked["code"], "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as ending:
        if isinstance(ending.code, str):
            raise
        ended = ending.code or 0
    # Exit like the interpreter, but without tearing down every module, which takes longer than most commands.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)


if __name__ == "__main__":
    _main()
