"""Headless Chromium, driven over its debugging pipe with the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

EXECUTABLE = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
# The browser reads commands from descriptor 3 and answers on 4.
LAUNCHER = """
import os, sys
from fcntl import F_DUPFD, fcntl
to_browser, from_browser = (fcntl(int(number), F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(to_browser, 3)
os.dup2(from_browser, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
PATIENCE = 120
"""Seconds of silence after which the browser counts as lost."""
KEYS = {
    **{"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, "Tab": 9, "Enter": 13},
    **{"Escape": 27, " ": 32, "/": 191, "?": 191},
}
SHIFT = 8


class Page:
    """One tab. ``events`` holds what the browser reported: logs, errors, requests."""

    def __init__(self, profile: Path) -> None:
        assert EXECUTABLE is not None
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        launch = [sys.executable, "-c", LAUNCHER, str(to_browser), str(from_browser)]
        self._process = subprocess.Popen(
            [*launch, EXECUTABLE, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._received = b""
        self._number = 0
        self._session = ""
        self.events: list[dict[str, Any]] = []
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(info for info in targets if info["type"] == "page")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.send(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._write)
        os.close(self._read)
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol, and its result."""
        self._number += 1
        number = self._number
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def open(self, path: Path, fragment: str = "") -> None:
        """Load a file anew and wait until it has loaded; earlier events are forgotten."""
        self.send("Page.navigate", url="about:blank")
        self.events.clear()
        self.send("Page.navigate", url=path.as_uri() + fragment)
        self.wait_for("document.readyState === 'complete' && location.protocol === 'file:'")

    def run(self, script: str) -> Any:
        """Value of an expression, or of a promise, in the page."""
        result = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait, inside the page, until an expression is true."""
        self.run(f"""new Promise((done) => {{
            const look = () => ({condition}) ? done() : setTimeout(look, 5);
            look();
        }})""")

    def text(self, selector: str = "body") -> str:
        """What a reader can see: nothing hidden, no script."""
        found: str = self.run(f"document.querySelector({json.dumps(selector)}).innerText")
        return found

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.run(
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            ".filter((node) => node.checkVisibility()).map((node) => node.textContent)"
        )
        return found

    def markup(self) -> str:
        """The whole document as it stands now, hidden parts and attributes too, but no scripts."""
        found: str = self.run("""(() => {
            const copy = document.documentElement.cloneNode(true);
            copy.querySelectorAll("script, style").forEach((node) => node.remove());
            return copy.outerHTML;
        })()""")
        return found

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def select(self, selector: str, value: str) -> None:
        self.run(f"""(() => {{
            const menu = document.querySelector({json.dumps(selector)});
            menu.value = {json.dumps(value)};
            menu.dispatchEvent(new Event("change"));
        }})()""")

    def press(self, key: str, *, shift: bool = False) -> None:
        """A real key press, as from a keyboard."""
        for kind in ("rawKeyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=KEYS[key],
                modifiers=SHIFT if shift else 0,
            )

    def resize(self, width: int, height: int, mobile: bool = False) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )

    def prefer(self, scheme: str, media: str = "screen") -> None:
        """Emulate a system set to ``light`` or ``dark``, and ``screen`` or ``print``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", media=media, features=features)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def reported(self, *methods: str) -> list[dict[str, Any]]:
        """Parameters of the events of these kinds."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._read], [], [], PATIENCE)
            assert ready, f"the browser has said nothing for {PATIENCE} seconds"
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "the browser has gone"
            self._received += chunk
        message, _, self._received = self._received.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed
