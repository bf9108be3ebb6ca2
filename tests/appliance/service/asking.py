"""Questions, and a back end that does what a test tells it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
from ulid import ULID

from appliance.catalogue import Catalogue
from appliance.questions.question import Question, Refused, Reply
from appliance.result import ModelId
from appliance.service.backend import Opened, StageSpecs
from engines.engine import EngineError, TensorSpec
from engines.predictions import Answer, Label, StageTimes

SOUND = np.zeros(8000, np.float32)
MANIFEST = Catalogue.default().shipped.find("tones").manifest
SPECS = StageSpecs(
    (TensorSpec("sound", (1, 8000), np.dtype(np.float32)),), (TensorSpec("scores", (1, 4), np.dtype(np.float32)),)
)


def asked(device: str = "dock", within_s: float = 5.0, **changes: Any) -> Question:
    """A question with a window of silence."""
    given: dict[str, Any] = {
        "id": str(ULID()),
        "device": device,
        "model": "tones",
        "version": None,
        "first": None,
        "last": None,
        "picture": None,
        "sound": SOUND,
        "tensors": {},
        "decode": True,
        "threshold": None,
        "labels": None,
        "deadline_ns": time.monotonic_ns() + int(within_s * 1e9),
    }
    return Question(**{**given, **changes})


def refusal(answer: Future[Reply], within_s: float = 5.0) -> Refused:
    """What was said instead of an answer."""
    error = answer.exception(within_s)
    assert isinstance(error, Refused), error or answer.result()
    return error


class Obedient:
    """Answers every question; a test may hold it, make it slow, and make it fail."""

    def __init__(self, most: int = 1) -> None:
        self.most = most
        self.seconds = 0.0
        self.fault: Callable[[Sequence[Question]], Exception | None] = lambda questions: None
        self.refuses_to_open: str | None = None
        self.opened = 0
        self.runs: list[list[Question]] = []
        self.going = threading.Event()
        """Cleared, runs wait until it is set, or they are called off."""
        self.going.set()
        self.cancelled = threading.Event()

    def open(self) -> Opened:
        if self.refuses_to_open is not None:
            raise EngineError(self.refuses_to_open)
        self.opened += 1
        return Opened(MANIFEST, "obedient", {"main": SPECS}, self.most)

    def run(self, questions: Sequence[Question]) -> list[Reply | Refused]:
        self.cancelled.clear()
        self.runs.append(list(questions))
        if self.seconds:
            self.cancelled.wait(self.seconds)
        while not self.going.wait(0.01) and not self.cancelled.is_set():
            pass
        if self.cancelled.is_set():
            raise EngineError("called off")
        fault = self.fault(questions)
        if fault is not None:
            raise fault
        model = ModelId(MANIFEST.name, MANIFEST.version, MANIFEST.digest)
        answer = Answer("audio-labels", (Label("silence", 0, 1.0),), StageTimes(0.0, 1.0, 0.0))
        return [Reply(each.id, model, answer, {}, 0.0, 1.0, "", "obedient") for each in questions]

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        """Nothing is held."""
