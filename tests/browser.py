"""Real browsers for tests of pages, driven by Selenium: Chromium, and WebKit, which Safari and tablets use.

Debian: ``apt install chromium chromium-driver webkit2gtk-driver xvfb``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.common.print_page_options import PrintOptions
from selenium.webdriver.support.ui import WebDriverWait
from selenium.webdriver.webkitgtk.options import Options as WebKitOptions
from selenium.webdriver.webkitgtk.service import Service as WebKitService

_PATIENCE = 60.0
_WEBKIT_WIDTH = 600
_KEYS = {
    "Enter": Keys.ENTER,
    "Escape": Keys.ESCAPE,
    "ArrowLeft": Keys.ARROW_LEFT,
    "ArrowUp": Keys.ARROW_UP,
    "ArrowRight": Keys.ARROW_RIGHT,
    "ArrowDown": Keys.ARROW_DOWN,
}
_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_CHROMEDRIVER = shutil.which("chromedriver")
_WEBKIT = next(map(str, Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser")), None)
_WEBKITDRIVER = shutil.which("WebKitWebDriver")

CHROMIUM, WEBKIT = "chromium", "webkit"
BROWSERS = [
    name
    for name, needed in (
        (CHROMIUM, (_CHROMIUM, _CHROMEDRIVER)),
        (WEBKIT, (_WEBKIT, _WEBKITDRIVER, shutil.which("Xvfb"))),
    )
    if all(needed)
]


class Page:
    """One page in a window."""

    def __init__(self, driver: Any, name: str) -> None:
        self.driver, self.name = driver, name
        self._complaints: list[str] = []

    @property
    def complaints(self) -> list[str]:
        """Chromium's complaints: errors of scripts, of the page's policy, and failed loads."""
        if self.name == CHROMIUM:
            self._complaints += [entry["message"] for entry in self.driver.get_log("browser")]
        return self._complaints

    def requests(self) -> list[str]:
        """Return the addresses that Chromium has requested since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

    def protocol(self, method: str, **parameters: Any) -> Any:
        """Call a method of Chromium's own protocol, for what WebDriver does not support."""
        return self.driver.execute_cdp_cmd(method, parameters)

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        """Set the page's size in CSS pixels."""
        if self.name == CHROMIUM:
            self.protocol(
                "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
            )
            return
        if width < _WEBKIT_WIDTH:
            pytest.skip(f"WebKit's browser here is {_WEBKIT_WIDTH} pixels wide at the least")
        self.driver.set_window_size(width, height)
        missing = [wanted - self.run(f"inner{side}") for side, wanted in (("Width", width), ("Height", height))]
        self.driver.set_window_size(width + missing[0], height + missing[1])
        self.wait(f"innerWidth === {width} && innerHeight === {height}")

    def go(self, address: str) -> None:
        """Load an address and wait until it is complete."""
        self.driver.get(address)

    def open(self, path: Path, *, width: int = 1280, height: int = 900, mobile: bool = False) -> None:
        """Show a file in a page of this size and wait until it is complete."""
        self.size(width, height, mobile=mobile)
        self.go(path.absolute().as_uri())

    def run(self, expression: str) -> Any:
        """Return the JSON value of a JavaScript expression."""
        return self.do(f"return ({expression})")

    def do(self, statements: str) -> Any:
        """Run JavaScript statements."""
        return self.driver.execute_script(statements)

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression is true."""
        WebDriverWait(self.driver, _PATIENCE, 0.02).until(lambda _: self.run(f"!!({condition})"), condition)

    def press(self, *keys: str) -> None:
        """Press keys one after the other: characters, or names such as ``Enter``."""
        ActionChains(self.driver, duration=0).send_keys(*(_KEYS.get(key, key) for key in keys)).perform()

    def click(self, selector: str, x: float = 0.5, y: float = 0.5) -> None:
        """Click at a position in an element, in 0..1 of its width and height."""
        box = self.run(f"document.querySelector({selector!r}).getBoundingClientRect().toJSON()")
        actions = ActionChains(self.driver, duration=0)
        pointer: Any = actions.w3c_actions.pointer_action
        pointer.move_to_location(int(box["x"] + x * box["width"]), int(box["y"] + y * box["height"])).click()
        actions.perform()

    def give(self, selector: str, path: Path) -> None:
        """Choose a file in a file input."""
        self.driver.find_element(By.CSS_SELECTOR, selector).send_keys(str(path))

    def screenshot(self) -> bytes:
        """Return the window as PNG."""
        return bytes(self.driver.get_screenshot_as_png())

    def printed(self) -> bytes:
        """Return the page as PDF."""
        options = PrintOptions()
        options.background = True
        return b64decode(self.driver.print_page(options))


@contextmanager
def browsing(name: str = CHROMIUM) -> Iterator[Page]:
    """Start a browser with its own profile and yield a page in it."""
    with _chromium() if name == CHROMIUM else _webkit() as driver:
        yield Page(driver, name)


@contextmanager
def _chromium() -> Iterator[webdriver.Remote]:
    options = webdriver.ChromeOptions()
    assert _CHROMIUM is not None
    options.binary_location = _CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "WARNING", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(_CHROMEDRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def _webkit() -> Iterator[webdriver.Remote]:
    options = WebKitOptions()
    assert _WEBKIT is not None
    assert _WEBKITDRIVER is not None
    options.binary_location = _WEBKIT
    options.add_argument("--automation")
    with _screen() as display:
        # Its sandbox needs permissions that containers lack.
        environment = {**os.environ, "DISPLAY": display, "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1"}
        driver = webdriver.WebKitGTK(options=options, service=WebKitService(_WEBKITDRIVER, env=environment))
        try:
            yield driver
        finally:
            driver.quit()


@contextmanager
def _screen() -> Iterator[str]:
    """Yield the name of an invisible X display."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1600x1400x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=(writing,), stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        try:
            with os.fdopen(reading) as numbers:
                yield f":{numbers.readline().strip()}"
        finally:
            server.terminate()
