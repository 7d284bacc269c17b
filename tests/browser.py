"""A real Chromium without a window, driven by its DevTools protocol over two pipes: what a person sees and clicks."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_OPTIONS = ("--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--remote-debugging-pipe")
_TIMEOUT_S = 60
_START = """
import fcntl, os, sys
for descriptor, wanted in [(fcntl.fcntl(int(n), fcntl.F_DUPFD, 10), 3 + at) for at, n in enumerate(sys.argv[1:3])]:
    os.dup2(descriptor, wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium reads commands from descriptor 3 and writes answers to 4."""


def find_browser() -> str:
    """The browser's path; skips the test where there is none, unless TRACEZIP_BROWSER says that there must be."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        reason = f"no browser: none of {', '.join(_NAMES)} is installed"
        if os.environ.get("TRACEZIP_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Page:
    """One tab. `errors`: what the page threw or the console complained of; `requests`: all that it asked for."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._read = b""
        self._number = 0
        self._session: dict[str, str] = {}
        self._loaded = False
        self.errors: list[str] = []
        self.requests: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self.resize(1400, 860)

    def open(self, path: Path, fragment: str = "") -> None:
        """Loads a file anew, also if it is there already."""
        for url in ("about:blank", path.resolve().as_uri() + fragment):
            self._loaded = False
            self._call("Page.navigate", url=url)
            while not self._loaded:
                self._note(self._next())

    def do(self, script: str) -> Any:
        """Runs JavaScript in the page and returns what it gives."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """A real click on the middle of the first element that is seen there.

        It goes to what was drawn last, which on a busy machine may be older than what the scripts have made: two frames
        later it is the same. By then the element may be another one: rows are made anew when a list is scrolled.
        """
        x, y = self.do(
            f"(async () => {{ const find = () => document.querySelector({json.dumps(selector)});"
            "find().scrollIntoView({block: 'center'});"
            "await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));"
            "const r = find().getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        self._call("Input.insertText", text=text)

    def texts(self, selector: str) -> list[str]:
        """The text of each such element."""
        found: list[str] = self.do(
            f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent.trim())"
        )
        return found

    def resize(self, width: int, height: int) -> None:
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def prefer(self, scheme: str) -> None:
        """`light` or `dark`."""
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self) -> bytes:
        """A PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def _call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self._note(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._read:
            ready, _, _ = select.select([self._answers], [], [], _TIMEOUT_S)
            assert ready, f"the browser has said nothing for {_TIMEOUT_S} s"
            chunk = os.read(self._answers, 1 << 16)
            assert chunk, "the browser ended"
            self._read += chunk
        message, _, self._read = self._read.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _note(self, event: dict[str, Any]) -> None:
        method, parameters = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Runtime.exceptionThrown" or (
            method == "Log.entryAdded" and parameters["entry"]["level"] == "error"
        ):
            self.errors.append(json.dumps(parameters)[:1000])


@contextmanager
def open_page(profile: Path) -> Iterator[Page]:
    """A browser of its own, with its files in `profile`, which ends with the with-statement."""
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to have one as root
    browser = [find_browser(), *_OPTIONS, *root, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        [sys.executable, "-c", _START, str(commands_out), str(answers_in), *browser],
        pass_fds=(commands_out, answers_in),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands_out)
    os.close(answers_in)
    try:
        yield Page(commands_in, answers_out)
    finally:
        with suppress(OSError):
            os.write(commands_in, b'{"id":0,"method":"Browser.close"}\0')
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(commands_in)
        os.close(answers_out)
