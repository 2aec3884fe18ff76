"""A headless Chromium for tests of pages, over its own protocol and two pipes: no driver, no package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions")
_PATIENCE = 30.0


class Page:
    """One page; ``complaints`` are errors of scripts, of the page's policy, and of what it could not load."""

    def __init__(self, to: int, answers: int) -> None:
        self._to, self._answers, self._kept, self._number = to, answers, b"", 0
        self._session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{part}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; events before it are written down."""
        self._number += 1
        number = self._number
        request: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            request["sessionId"] = self._session
        os.write(self._to, json.dumps(request).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._heed(answer)

    def open(self, path: Path, *, width: int = 1280, height: int = 900, mobile: bool = False) -> None:
        """Show a file in a window of this size, and wait until it is complete."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        self.call("Page.navigate", url=path.absolute().as_uri())
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """Return the JSON value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + _PATIENCE
        while not self.run(condition):
            assert time.monotonic() < end, f"never true: {condition}"
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Press keys one after the other: characters, or names such as ``Enter``."""
        codes = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        for key in keys:
            text = {"text": "\r" if key == "Enter" else key} if len(key) == 1 or key == "Enter" else {}
            code = codes.get(key, ord(key.upper()[0]))
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def screenshot(self) -> bytes:
        """Return the window as PNG."""
        return b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def printed(self) -> bytes:
        """Return the page as PDF."""
        return b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._kept:
            more = os.read(self._answers, 1 << 20)
            assert more, "the browser is gone"
            self._kept += more
        message, _, self._kept = self._kept.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _heed(self, event: dict[str, Any]) -> None:
        found = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(found["exceptionDetails"].get("exception", found["exceptionDetails"])))
        elif event.get("method") == "Log.entryAdded":
            self.complaints.append(found["entry"]["text"])
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(found["request"]["url"])


@contextmanager
def browsing() -> Iterator[Page]:
    """Start Chromium and give a page of it."""
    assert PROGRAM is not None
    commands, to = os.pipe()
    answers, out = os.pipe()

    def place() -> None:
        # The protocol wants these two numbers; neither pipe may stand in the way of the other.
        first, second = os.dup(commands), os.dup(out)
        os.dup2(first, 3)
        os.dup2(second, 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [PROGRAM, *_FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(3, 4),
            preexec_fn=place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(out)
        try:
            page = Page(to, answers)
            yield page
            os.write(to, b'{"id":0,"method":"Browser.close"}\0')
            process.wait(20)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(to)
            os.close(answers)
