"""A model service whose model does nothing but take a stated time: it shows what the service itself costs.

python -m scripts.benchmarks.sleepy_service --broker mqtt://… --id S --ms 20
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence

from appliance.catalogue import Catalogue
from appliance.questions.question import Question, Refused, Reply
from appliance.result import ModelId
from appliance.service.backend import Opened
from appliance.service.service import Service
from appliance.service.settings import ServiceConfig
from engines.predictions import Answer, Label, StageTimes


class Stated:
    """Answers as the model `tones` would that hears nothing, after a stated time for each question."""

    def __init__(self, seconds: float, batch: int = 1) -> None:
        self._seconds = seconds
        self._batch = batch
        self._cancelled = threading.Event()
        self._id = ModelId("", "", "")

    def open(self) -> Opened:
        manifest = Catalogue.default().shipped.find("tones").manifest
        self._id = ModelId(manifest.name, manifest.version, manifest.digest)
        return Opened(manifest, "stated", {}, self._batch)

    def run(self, questions: Sequence[Question]) -> list[Reply | Refused]:
        self._cancelled.clear()
        began_s = time.perf_counter()
        self._cancelled.wait(self._seconds)
        ms = (time.perf_counter() - began_s) * 1000 / len(questions)
        answer = Answer("audio-labels", (Label("silence", 0, 1.0),), StageTimes(0.0, ms, 0.0))
        return [Reply(each.id, self._id, answer, {}, 0.0, ms, "", "stated") for each in questions]

    def cancel(self) -> None:
        self._cancelled.set()

    def close(self) -> None:
        """Nothing is held."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--id", required=True)
    parser.add_argument("--ms", type=float, default=20.0, help="what one run takes")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--each", type=int, default=8)
    asked = parser.parse_args()
    config = ServiceConfig.model_validate(
        {"serve": {"id": asked.id, "each": asked.each}, "mqtt": {"broker": asked.broker}}
    )
    Service(config, {"stated": lambda: Stated(asked.ms / 1000, asked.batch)}).run()


if __name__ == "__main__":
    main()
