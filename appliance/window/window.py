"""A window of OpenCV. Of the main thread: the toolkits behind it want no other."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import ModuleType, TracebackType

from capture.opencv import load_opencv
from capture.samples import Pixels

KEYS_TO_CLOSE = frozenset({ord("q"), ord("Q"), 27})
X_PORT = 6000
X_SOCKETS = "/tmp/.X11-unix/X"  # noqa: S108  # the name of the protocol's sockets, wherever X runs
TRY_S = 2.0
FONTS = Path("/usr/share/fonts/truetype/dejavu")


class NoWindow(Exception):
    """No window can be shown here; the message says why, and what to do."""


class Window:
    """Opened with `with`; one window for each title that was shown."""

    def __init__(self) -> None:
        self._cv2: ModuleType | None = None
        self._titles: set[str] = set()
        self._closed = False

    def __enter__(self) -> Window:
        """Raises NoWindow; CaptureError where there is no OpenCV."""
        cv2 = load_opencv()
        if cv2.currentUIFramework() == "":
            raise NoWindow(
                "this OpenCV cannot show windows (a headless build): install opencv-python in its place, or open the "
                "live page"
            )
        fault = display_fault(dict(os.environ))
        if fault is not None:
            raise NoWindow(fault)
        if not Path(os.environ.get("QT_QPA_FONTDIR", "")).is_dir() and FONTS.is_dir():
            os.environ["QT_QPA_FONTDIR"] = str(FONTS)  # pip's OpenCV names a folder that it does not bring
        self._cv2 = cv2
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cv2 is not None and self._titles:
            self._cv2.destroyAllWindows()

    def show(self, title: str, pixels: Pixels) -> None:
        """uint8 (h, w, 3) BGR. Nothing happens once a person has closed it."""
        cv2 = self._cv2
        assert cv2 is not None, "shown inside `with`"
        if self._closed:
            return
        if title not in self._titles:
            try:
                cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            except cv2.error as error:
                raise NoWindow(f"no window can be opened: {error.err}; open the live page instead") from error
            cv2.resizeWindow(title, pixels.shape[1], pixels.shape[0])
            self._titles.add(title)
        cv2.imshow(title, pixels)

    def turn(self) -> bool:
        """Let the window live for a moment; false once a person has closed it, or pressed q or Escape."""
        cv2 = self._cv2
        assert cv2 is not None
        if not self._titles:
            return True
        key = cv2.waitKey(1)
        try:
            gone = any(cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1 for title in self._titles)
        except cv2.error:  # Qt's answer once the last of them is closed
            gone = True
        self._closed = self._closed or gone or ((key & 0xFF) in KEYS_TO_CLOSE and key >= 0)
        return not self._closed


def display_fault(environment: dict[str, str]) -> str | None:
    """Why no window can be shown; None when a display answers. Qt would end the whole process instead of telling."""
    advice = "run this on the device's own screen, use ssh -X, or open the live page"
    display = environment.get("DISPLAY", "")
    if not display:
        return f"there is no display here (DISPLAY is not set): {advice}"
    host, _, rest = display.rpartition(":")
    number = rest.partition(".")[0]
    if not number.isdecimal():
        return f"DISPLAY = {display!r} names no display: {advice}"
    if not _answers(host, int(number)):
        return f"the display {display} does not answer: {advice}"
    return None


def _answers(host: str, number: int) -> bool:
    try:
        if host in ("", "unix"):
            return any(_is_open(address) for address in (f"{X_SOCKETS}{number}", f"\0{X_SOCKETS}{number}"))
        with socket.create_connection((host, X_PORT + number), TRY_S):
            return True
    except OSError:
        return False


def _is_open(address: str) -> bool:
    if not address.startswith("\0") and not Path(address).exists():
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(TRY_S)
        return probe.connect_ex(address) == 0
