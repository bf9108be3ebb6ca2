"""Headless Chromium, driven by ChromeDriver over plain HTTP (W3C WebDriver), so that no package is needed for it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.conftest import free_port
from tests.waiting import until

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


class Browser:
    """One window. Opened with `with`; the folder holds its profile."""

    def __init__(self, folder: Path, width: int = 1440, height: int = 960, *, insecure: bool = False) -> None:
        """`insecure`: take any certificate."""
        self._folder = folder
        self._size = f"--window-size={width},{height}"
        self._insecure = insecure
        self._port = free_port()
        self._driver: subprocess.Popen[bytes] | None = None
        self._session = ""

    def __enter__(self) -> Browser:
        assert CHROMIUM is not None
        assert DRIVER is not None
        self._driver = subprocess.Popen(
            [DRIVER, f"--port={self._port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(self._folder)},
        )
        until(self._up, 20, what="chromedriver")
        options = {
            "binary": CHROMIUM,
            "args": [*SWITCHES, self._size, f"--user-data-dir={self._folder / 'profile'}"],
        }
        wanted = {
            "browserName": "chrome",
            "acceptInsecureCerts": self._insecure,
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        try:
            self._session = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        except BaseException:
            self._driver.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._driver is not None
        try:
            self._ask("DELETE", f"/session/{self._session}")
        finally:
            self._driver.terminate()
            self._driver.wait(10)

    def go(self, url: str) -> None:
        self._command("url", url=url)

    def run(self, script: str, *given: Any) -> Any:
        """The value that a piece of JavaScript returns; a promise is waited for."""
        return self._command("execute/sync", script=script, args=list(given))

    def until(self, condition: str, within_s: float = 20.0) -> Any:
        """Until a JavaScript expression is true."""
        return until(lambda: self.run(f"return {condition}"), within_s, what=condition)

    def devtools(self, command: str, **given: Any) -> Any:
        return self._command("goog/cdp/execute", cmd=command, params=given)

    def look(self, path: Path) -> None:
        """A picture of the window."""
        answer = self._ask("GET", f"/session/{self._session}/screenshot")
        path.write_bytes(base64.b64decode(answer))

    def complaints(self) -> list[str]:
        """What the console says at level warning and above, since it was last asked."""
        entries = self._command("se/log", type="browser")
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def theme(self, scheme: str) -> None:
        """What the system is said to prefer: light or dark."""
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screen(self, width: int, height: int, scale: float = 1.0, *, mobile: bool = False) -> None:
        self.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile
        )

    def press(self, *keys: str) -> None:
        for key in keys:
            self.devtools("Input.dispatchKeyEvent", type="keyDown", key=key, text=key if len(key) == 1 else "")
            self.devtools("Input.dispatchKeyEvent", type="keyUp", key=key)

    def _up(self) -> bool:
        try:
            return bool(self._ask("GET", "/status")["ready"])
        except OSError:
            return False

    def _command(self, name: str, **given: Any) -> Any:
        return self._ask("POST", f"/session/{self._session}/{name}", given)

    def _ask(self, method: str, path: str, given: dict[str, Any] | None = None) -> Any:
        body = None if given is None else json.dumps(given).encode()
        request = urllib.request.Request(  # our own driver
            f"http://127.0.0.1:{self._port}{path}", body, {"content-type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise AssertionError(f"{path}: {value['error']}: {value['message'][:1000]}") from None
