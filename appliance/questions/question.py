"""A question to a model, its reply, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from appliance.result import ModelId
from engines.engine import Array, Tensors
from engines.predictions import Answer

Code: TypeAlias = Literal["unknown-model", "malformed", "too-large", "busy", "expired", "failed", "draining"]
"""`busy`, `expired`, `failed` and `draining` speak of this moment: the same question may be answered elsewhere or
later. The others speak of the question: it will be refused again."""

CODES: tuple[Code, ...] = get_args(Code)


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One sample, or what a stage made of it, for one model. At most one of picture, sound and tensors is given."""

    id: str
    """ULID; the answer repeats it."""
    device: str
    """Who asks, for its turn; `oip:` and an address over the Open Inference Protocol, empty inside a process."""
    model: str
    """Its name at the service."""
    version: str | None
    """None: whatever the service has."""
    first: str | None
    """Stage to start from; None: the first one."""
    last: str | None
    """Stage to end with; None: the last one."""
    picture: Array | None
    """uint8 (height, width, 3) BGR."""
    sound: Array | None
    """float32 (n,), -1 to 1, at the rate of the model."""
    tensors: Tensors
    """Inputs of stage `first` by name, each with its first axis of one sample; empty with a picture or a sound."""
    decode: bool
    """True: predictions are wanted; False: the output tensors of stage `last`."""
    threshold: float | None
    """Least score of what is reported; None: the model's own."""
    labels: tuple[str, ...] | None
    """The only ones to report; None: all."""
    deadline_ns: int
    """time.monotonic_ns() of the process that holds it: an answer is worth nothing after that."""
    trace: str | None = None
    """Of the trace that it is part of, as W3C's `traceparent` has it; None: nobody records one."""


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """What the model said."""

    id: str
    """Of the question."""
    model: ModelId
    answer: Answer | None
    """None when tensors were asked for."""
    tensors: Tensors
    """Outputs of the last stage that ran; empty when predictions were asked for. Belong to the reply."""
    queue_ms: float
    """From the arrival at the service until the model began."""
    infer_ms: float
    """Preparing, running and decoding, for this sample; a batch is shared out evenly."""
    service: str
    """Who answered: the id of the service."""
    engine: str
    """Which back end ran it: `onnxruntime`, `tensorrt`, or `oip` for another server."""


class Refused(Exception):
    """No answer, and why."""

    def __init__(self, code: Code, words: str = "") -> None:
        """`words`: one sentence for a person: the thing, and the next step where there is one."""
        super().__init__(code, words)
        self.code: Code = code
        self.words = words

    def bare(self) -> Refused:
        """The same without where it was raised: those frames would keep the sample that was refused, in a cycle with
        whoever keeps this for its answer."""
        return Refused(self.code, self.words)

    def __str__(self) -> str:
        return f"{self.code}: {self.words}" if self.words else self.code
