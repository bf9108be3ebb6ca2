"""Signs that each part is at work: none of them may fall silent, however much the others say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from appliance.config import Config
from appliance.mqtt.topics import Topics

SILENT_S = 30.0
"""Without a sign for so long, a part is not at work. Each of the demo's pipelines answers many times a second, that of
sound too: it is given a window ten times a second, whether somebody speaks or not."""
NO_PICTURE_S = 60.0
"""The same for pictures of the page: where every processor is wanted one may take 4 s, and the page rests nine times
as long as a picture took."""
START_S = 180.0
"""What the first of them may take: models are opened, on a machine that has other things to do."""


class Sign:
    """Counts what comes, and when the last of it came. From any thread; times are seconds of the monotonic clock."""

    def __init__(self, what: str, now_s: float, silent_s: float = SILENT_S) -> None:
        self.what = what
        self.count = 0
        self._silent_s = silent_s
        self._last_s = now_s

    def one(self, now_s: float) -> None:
        self.count += 1
        self._last_s = now_s

    def fault(self, now_s: float) -> str | None:
        """That it is silent, in words; None while it is not."""
        silent_s = now_s - self._last_s
        if silent_s <= (self._silent_s if self.count else START_S):
            return None
        return f"{self.what}: silent for {silent_s:.0f} s, after {self.count} of them"


class Signs:
    """Of every pipeline on the broker, of the pictures and the sound on the live page."""

    def __init__(self, results: Mapping[str, str], now_s: float) -> None:
        """`results`: the pipeline of each topic that results are published on."""
        self.documents = 0
        """Everything on the broker, a sign of something or not."""
        self._results = {topic: (name, Sign(f"results of {name}", now_s)) for topic, name in results.items()}
        self._shown = {
            "picture": Sign("pictures of the page", now_s, NO_PICTURE_S),
            "sound": Sign("sound of the page", now_s),
        }

    def document(self, topic: str, payload: bytes | bytearray, now_s: float) -> None:
        """One that the broker has passed on. A result that says that there is no answer is no sign of one."""
        self.documents += 1
        if topic in self._results and json.loads(payload).get("status") == "ok":
            _, sign = self._results[topic]
            sign.one(now_s)

    def record(self, head: Mapping[str, Any], now_s: float) -> None:
        """One of the page. Most kinds, its beat among them, come whether anything is at work or not."""
        if head["type"] in self._shown:
            self._shown[head["type"]].one(now_s)

    def fault(self, now_s: float) -> str | None:
        """Which of them is silent; None while none is."""
        return next((words for sign in self._every() if (words := sign.fault(now_s)) is not None), None)

    @property
    def never_came(self) -> list[str]:
        """What there was not one of."""
        return [sign.what for sign in self._every() if sign.count == 0]

    def _every(self) -> list[Sign]:
        return [*(sign for _, sign in self._results.values()), *self._shown.values()]

    @property
    def results(self) -> dict[str, int]:
        """How many answers each pipeline has published."""
        return {name: sign.count for name, sign in self._results.values()}

    @property
    def shown(self) -> int:
        """How many pictures and pieces of sound the page has shown."""
        return sum(sign.count for sign in self._shown.values())


def result_topics(config: Config) -> dict[str, str]:
    """The pipeline of each topic that this configuration has results published on."""
    assert config.mqtt is not None
    topics = Topics(config.mqtt.base, config.device.name)
    return {topics.result(each.name): each.name for each in config.pipeline if each.results != "off"}
