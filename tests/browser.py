"""One headless Chromium for all tests, driven over a pipe by the DevTools protocol.

Messages are JSON, each ended by a zero byte; Chromium reads them from descriptor 3 and writes to
descriptor 4.
"""

import base64
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_SECONDS = 60  # for one answer: a cold start on two busy cores takes ten
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # root, as in a container, has no other way
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",  # a container's /dev/shm is small
)

# A test's own 3 and 4 are in use: a small program between moves the two ends of the pipes there,
# by way of higher numbers, so that neither overwrites the other.
_MOVE = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD_CLOEXEC, 10) for end in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""

HOSTILE = "<img src=http://example.invalid/x onerror=alert(1)>" + "W" * 300
PAPER = 182 / 25.4 * 96, 269 / 25.4 * 96  # A4 without its margins, in CSS pixels

# Elements that extend beyond the page, or in a picture beyond the picture.
CUT_OFF = """
[...document.querySelectorAll("svg, svg text, table, pre, dl, td, tbody th, li")]
.filter(element => {
  const own = element.getBoundingClientRect(), picture = element.ownerSVGElement
  const box = (picture || document.documentElement).getBoundingClientRect()
  return own.left < box.left - 1 || own.right > box.right + 1
    || picture && (own.top < box.top - 1 || own.bottom > box.bottom + 1)
}).map(element => element.outerHTML.slice(0, 300))
"""
# Text with less contrast to what is behind it than WCAG 2.2 asks for (1.4.3: 4.5, 3 for large).
FAINT = """
(() => {
  const channels = color => color.match(/[\\d.]+/g).map(Number)
  const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
  const behind = e => { for (; e; e = e.parentElement) {
    const color = channels(getComputedStyle(e).backgroundColor)
    if (color.length < 4 || color[3] == 1) return color
  } return [255, 255, 255] }
  const faint = []
  for (const e of document.querySelectorAll("body :not(svg, svg *)")) {
    const own = [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())
    const style = getComputedStyle(e), ink = style.color
    if (!own || !ink.startsWith("rgb")) continue
    const [dark, light] = [luminance(channels(ink)), luminance(behind(e))].sort((a, b) => a - b)
    const ratio = (light + 0.05) / (dark + 0.05), size = parseFloat(style.fontSize)
    if (ratio < (size >= 24 ? 3 : 4.5)) faint.push([e.innerText.slice(0, 80), ratio])
  }
  return faint
})()
"""


def axe(without: str = "") -> str:
    """The rules of axe-core that a page breaks, what is closed opened: rule, advice, elements."""
    script = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    rules = json.dumps({without: {"enabled": False}} if without else {})
    return f"""
(() => {{
  document.querySelectorAll("details").forEach(element => element.open = true)
  {script}
  return axe.run(document, {{preload: false, rules: {rules}}}).then(found => found.violations.map(
    rule => [rule.id, rule.help, ...rule.nodes.map(node => node.html.slice(0, 200))]))
}})()
"""


def executable() -> str | None:
    """The browser that is installed."""
    return next(filter(None, map(shutil.which, NAMES)), None)


_LOOK = """
Promise.all(
  [window.innerWidth, document.documentElement.scrollWidth, document.body.innerText, %s])
"""


@dataclass(frozen=True)
class View:
    """A window of some width, in the light or the dark, or the page as printed."""

    width: int
    scheme: str = "light"
    media: str = "screen"


@dataclass(frozen=True)
class Visit:
    """What a page did when it was opened."""

    requests: list[str]
    errors: list[str]
    width: int  # of the window
    scroll_width: int  # of the content: larger than the window when one has to scroll sideways
    text: str
    answer: Any  # to the expression that was asked


class Browser:
    """One running browser."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in, self._rest = to_browser, from_browser, b""
        self._number, self._events = 0, list[dict[str, Any]]()

    def visit(self, page: Path, view: View, ask: str = "null") -> Visit:
        """Open a page in a new tab.

        What the expression ``ask`` is in the page, or promises, comes back as JSON has it.
        """
        return next(iter(self.visits(page, [view], ask)))

    def visits(self, page: Path, views: Sequence[View], ask: str = "null") -> list[Visit]:
        """Open a page once, and look at it in each view."""
        with self._tab(page, views[0]) as session:
            return [self._look(session, view, ask) for view in views]

    def printed(self, page: Path, paper: tuple[float, float], ask: str = "null") -> int:
        """On how many sheets of paper (inches) a page is printed, once ``ask`` was asked."""
        size = dict(zip(("paperWidth", "paperHeight"), paper, strict=True))
        with self._tab(page, View(1280)) as session:
            self._evaluate(session, f"{ask}; null")
            self._call("Emulation.setEmulatedMedia", session, media="")
            made = self._call("Page.printToPDF", session, printBackground=True, **size)["data"]
        return len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(made)))

    @contextmanager
    def _tab(self, page: Path, view: View) -> Iterator[str]:
        """A new tab with a page."""
        tab = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable", session)
        self._emulate(session, view)
        self._events.clear()
        self._call("Page.navigate", session, url=page.resolve().as_uri())
        self._wait_for("Page.loadEventFired")
        yield session
        self._call("Target.closeTarget", targetId=tab)

    def _look(self, session: str, view: View, ask: str) -> Visit:
        self._emulate(session, view)
        width, scroll_width, text, answer = self._evaluate(session, _LOOK % ask)
        assert width == view.width
        requests, errors = list(self._requests()), list(self._errors())
        return Visit(requests, errors, width, scroll_width, text, answer)

    def _emulate(self, session: str, view: View) -> None:
        metrics = {"width": view.width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", session, **metrics)
        feature = {"name": "prefers-color-scheme", "value": view.scheme}
        self._call("Emulation.setEmulatedMedia", session, media=view.media, features=[feature])

    def _evaluate(self, session: str, expression: str) -> Any:
        how = {"returnByValue": True, "awaitPromise": True}
        answer = self._call("Runtime.evaluate", session, expression=expression, **how)
        return answer["result"]["value"]

    def _requests(self) -> Iterator[str]:
        for event in self._events:
            if event["method"] == "Network.requestWillBeSent":
                yield event["params"]["request"]["url"]

    def _errors(self) -> Iterator[str]:
        """Errors and warnings of the browser, of the page's scripts, and exceptions."""
        for event in self._events:
            params = event["params"]
            if event["method"] == "Log.entryAdded":
                yield params["entry"]["text"]
            elif event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
                yield json.dumps(params)

    def _call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])

    def _wait_for(self, method: str) -> None:
        while not any(event["method"] == method for event in self._events):
            self._read()

    def _read(self) -> dict[str, Any]:
        """The next message; events are kept."""
        deadline = time.monotonic() + _SECONDS
        while b"\0" not in self._rest:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._in], [], [], left)
            data = os.read(self._in, 1 << 16) if ready else b""
            assert data, "the browser ended or did not answer"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self._events.append(message)
        return message


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The browser, started by the first test that asks for it."""
    path = executable()
    if path is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    with running(path, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@contextmanager
def running(path: str, profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile, and end it."""
    from_us, to_browser = os.pipe()
    from_browser, to_us = os.pipe()
    flags = [*_FLAGS, f"--user-data-dir={profile}"]
    process = subprocess.Popen(
        [sys.executable, "-c", _MOVE, str(from_us), str(to_us), path, *flags],
        pass_fds=[from_us, to_us],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(from_us)
    os.close(to_us)
    try:
        yield Browser(to_browser, from_browser)
    finally:
        os.close(to_browser)  # Chromium leaves when its pipe is closed
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(from_browser)
