"""Headless Chromium, driven over its DevTools protocol with the `websockets` client that the tests have.

A `Tab` runs JavaScript and waits for conditions inside the page, and remembers what the browser complained about. Nothing here
knows the demo.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

__all__ = ["Browser", "Tab", "find_chromium", "launched"]

START_DEADLINE_S = 40.0  # the first start of a profile, on a machine that runs other tests beside it
CALL_DEADLINE_S = 30.0
WAIT_DEADLINE_MS = 15_000

# Resolves when the condition holds, which is looked at whenever the page changes.
UNTIL = """
new Promise((resolve, reject) => {
  const holds = () => { const value = (() => (%s))(); if (value) { watcher.disconnect(); clearTimeout(timer); resolve(value); } };
  const watcher = new MutationObserver(holds);
  const timer = setTimeout(() => { watcher.disconnect(); reject(new Error("deadline")); }, %d);
  watcher.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  holds();
})
"""


def find_chromium() -> str | None:
    """The path of a Chromium, or None."""
    return next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None)


class Tab:
    """One page."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.complaints: list[str] = []  # console errors, uncaught exceptions, failed requests, refused resources

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """One command of the DevTools protocol."""
        return self._browser.call(method, params, self._session)

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is awaited."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True)
        assert "exceptionDetails" not in answer, f"{script}\n{json.dumps(answer['exceptionDetails'], indent=1)}"
        return answer["result"].get("value")

    def until(self, condition: str) -> Any:
        """Wait until a JavaScript condition holds; its value."""
        return self.run(UNTIL % (condition, WAIT_DEADLINE_MS))

    def text(self, element_id: str) -> str:
        """What an element says."""
        return str(self.run(f"document.getElementById({element_id!r}).textContent"))

    def click(self, element_id: str) -> None:
        """Press a button."""
        self.run(f"document.getElementById({element_id!r}).click()")

    def type(self, element_id: str, text: str) -> None:
        """Put text into an input, as somebody who types it."""
        self.run(f"document.getElementById({element_id!r}).focus(), document.getElementById({element_id!r}).select?.()")
        self.call("Input.insertText", text=text)

    def close(self) -> None:
        """Close the tab and with it all of its connections."""
        self._browser.close(self._session)

    def notice(self, method: str, params: dict[str, Any]) -> None:
        """Keep what went wrong."""
        if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.complaints.append(f"console: {[argument.get('value') for argument in params['args']]}")
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(f"exception: {json.dumps(params['exceptionDetails'])[:500]}")
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(f"log: {params['entry']['text']} {params['entry'].get('url', '')}")

    def screenshot(self, path: Path) -> None:
        """A picture of the whole page, for a person who looks into a failure."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]))


class Browser:
    """A running Chromium behind one connection; each tab is a session in it."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = count(1)
        self._tabs: dict[str, Tab] = {}
        self._targets: dict[str, str] = {}
        self._events: deque[dict[str, Any]] = deque()

    def open(self, url: str) -> Tab:
        """A new tab that has finished loading the page."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        self._targets[session] = target
        tab = self._tabs[session] = Tab(self, session)
        for domain in ("Runtime", "Log", "Page"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setFocusEmulationEnabled", enabled=True)  # a tab in the background must not be slowed down
        tab.call("Page.navigate", url=url)
        self._wait_for("Page.loadEventFired", session)
        return tab

    def close(self, session: str) -> None:
        """Close a tab."""
        self.call("Target.closeTarget", {"targetId": self._targets.pop(session)})
        del self._tabs[session]

    def call(self, method: str, params: dict[str, object], session: str | None = None) -> dict[str, Any]:
        """Send a command and return its result; what is reported meanwhile goes to the tabs."""
        number = next(self._numbers)
        command: dict[str, object] = {"id": number, "method": method, "params": params}
        if session is not None:
            command["sessionId"] = session
        self._connection.send(json.dumps(command))
        while True:
            message = self._receive()
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])

    def _wait_for(self, method: str, session: str) -> None:
        while True:
            for event in self._events:
                if event.get("method") == method and event.get("sessionId") == session:
                    self._events.remove(event)
                    return
            self._receive()

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._connection.recv(timeout=CALL_DEADLINE_S))
        if "method" in message:
            if tab := self._tabs.get(message.get("sessionId", "")):
                tab.notice(message["method"], message["params"])
            if message["method"] == "Page.loadEventFired":
                self._events.append(message)
        return message


@contextmanager
def launched(executable: str) -> Iterator[Browser]:
    """A Chromium with an empty profile, as long as the block runs."""
    with tempfile.TemporaryDirectory(prefix="tercel-chromium-", ignore_cleanup_errors=True) as profile:
        flags = ["--headless=new", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-background-networking"]
        flags += ["--window-size=1280,1000", "--remote-debugging-port=0", f"--user-data-dir={profile}"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium refuses to sandbox for root, which is what containers often are
        process = subprocess.Popen(
            [executable, *flags, "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            with connect(_read_address(process), max_size=None) as connection:
                yield Browser(connection)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # the processes of its tabs, too; the group is ours alone
            process.wait()
            if process.stderr is not None:
                process.stderr.close()


def _read_address(process: subprocess.Popen[str]) -> str:
    """Where Chromium listens, which it says on its error output."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"DevTools listening on (ws://\S+)", line):
            return found[1]
    raise AssertionError(f"Chromium did not start:\n{''.join(said)}")
