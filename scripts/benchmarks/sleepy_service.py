"""A model service whose model does nothing but take a stated time: it shows what the service itself costs.

python -m scripts.benchmarks.sleepy_service --broker mqtt://… --id S --ms 20
python -m scripts.benchmarks.sleepy_service --broker mqtt://… --id S --http 127.0.0.1:8000 --grpc 127.0.0.1:8001
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence

import numpy as np

from appliance.catalogue import Catalogue
from appliance.oip.settings import Oip
from appliance.questions.question import Question, Refused, Reply
from appliance.result import ModelId
from appliance.service.backend import Opened, StageSpecs
from appliance.service.service import Service
from appliance.service.settings import ServiceConfig
from engines.engine import TensorSpec
from engines.predictions import Answer, Label, StageTimes

SAMPLES = 8000
STAGES = {
    "network": StageSpecs(
        inputs=(TensorSpec("x", (None, SAMPLES), np.dtype(np.float32)),),
        outputs=(TensorSpec("y", (None, 4), np.dtype(np.float32)),),
    )
}


class Stated:
    """Answers as the model `tones` would that hears nothing, or with the tensor y, after a stated time for each run."""

    def __init__(self, seconds: float, batch: int = 1) -> None:
        self._seconds = seconds
        self._batch = batch
        self._cancelled = threading.Event()
        self._id = ModelId("", "", "")

    def open(self) -> Opened:
        manifest = Catalogue.default().shipped.find("tones").manifest
        self._id = ModelId(manifest.name, manifest.version, manifest.digest)
        return Opened(manifest, "stated", STAGES, self._batch)

    def run(self, questions: Sequence[Question]) -> list[Reply | Refused]:
        self._cancelled.clear()
        began_s = time.perf_counter()
        self._cancelled.wait(self._seconds)
        ms = (time.perf_counter() - began_s) * 1000 / len(questions)
        answer = Answer("audio-labels", (Label("silence", 0, 1.0),), StageTimes(0.0, ms, 0.0))
        tensors = {"y": np.zeros((1, 4), np.float32)}
        return [
            Reply(each.id, self._id, answer, {}, 0.0, ms, "", "stated")
            if each.decode
            else Reply(each.id, self._id, None, tensors, 0.0, ms, "", "stated")
            for each in questions
        ]

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
    parser.add_argument("--http", default="off", help="address and port of the Open Inference Protocol over REST")
    parser.add_argument("--grpc", default="off", help="and over gRPC")
    asked = parser.parse_args()
    document: dict[str, object] = {
        "serve": {"id": asked.id, "each": asked.each},
        "mqtt": {"broker": asked.broker},
    }
    config = ServiceConfig.model_validate(document)
    if (asked.http, asked.grpc) != ("off", "off"):
        # Not checked: without TLS and a token on all addresses of this machine, so that callers have some of their own.
        config = config.model_copy(update={"oip": Oip.model_construct(http=asked.http, grpc=asked.grpc)})
    Service(config, {"stated": lambda: Stated(asked.ms / 1000, asked.batch)}).run()


if __name__ == "__main__":
    main()
