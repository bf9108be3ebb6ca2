"""From the live page to the window: every picture with what is said of it, until a person closes it."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from appliance.recorder.pictures import decoded
from appliance.window.drawing import drawn
from appliance.window.following import Following, Told
from appliance.window.window import Window

LOOK_S = 0.03
HEARD_S = 6.0
"""How long a word stays on the screen."""
MOST_WORDS = 6


class Words:
    """What was heard lately."""

    def __init__(self) -> None:
        self._heard: deque[tuple[float, str]] = deque(maxlen=MOST_WORDS)

    def take(self, head: dict[str, Any], now_s: float) -> None:
        """A record; an event of sound, which has no box, is a word."""
        state = head.get("after") or {}
        if head.get("type") == "event" and head.get("event") == "new" and state.get("box") is None:
            self._heard.append((now_s, str(state.get("label"))))

    def said(self, now_s: float) -> list[str]:
        return [word for at_s, word in self._heard if now_s - at_s < HEARD_S]


def follow(host: str, port: int, window: Window, for_s: float | None) -> None:
    """Until the window is closed, or for so long. Raises NoWindow."""
    until_s = None if for_s is None else time.monotonic() + for_s
    words = Words()
    with Following(host, port) as page:
        while window.turn() and (until_s is None or time.monotonic() < until_s):
            newest: dict[str, Told] = {}
            for head, body in page.records(LOOK_S):
                words.take(head, time.monotonic())
                if head["type"] == "picture":
                    newest[head["source"]] = (head, body)  # of a window that is behind only the newest
            for source, (head, body) in newest.items():
                window.show(f"appliance: {source}", drawn(decoded(body), head, words.said(time.monotonic())))
