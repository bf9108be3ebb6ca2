"""Stages of a model that a model service runs: an engine like any other to the chain that it stands in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, TypeAlias

import numpy as np
from ulid import ULID

from appliance.mailbox import Mailbox
from appliance.questions import codec
from appliance.questions.packing import Packing
from appliance.questions.question import Question, Refused, Reply
from appliance.questions.tensors import BadTensor
from appliance.remote import privacy
from appliance.remote.open_questions import Outcome
from appliance.remote.services import Standing
from appliance.remote.settings import Offload
from engines.engine import Array, EngineError, Tensors, TensorSpec
from engines.manifest import AudioInput, Manifest

GRACE_S = 0.5
"""The asker has a word for every question by its deadline; without one after so much more it is not running."""


Allow: TypeAlias = Callable[[int], str]
"""Why a question of so many bytes may not be asked now; empty when it may, and then it counts as asked. Any thread."""


def always(_size: int) -> str:
    """No limit."""
    return ""


class Asks(Protocol):
    """What is needed of the asker."""

    def ask(self, question: Question, payload: codec.Payload, take: Callable[[Outcome], None]) -> None: ...

    def standing(self, model: str, version: str | None = None) -> Standing: ...


@dataclass(frozen=True, slots=True)
class Errand:
    """Which stages of which model are asked for, and how."""

    manifest: Manifest
    first: int
    """Number of the first stage that the service runs; it also runs all others up to `last`."""
    last: int
    device: str
    asked_as: str
    """Name of the model at the service."""
    offload: Offload
    patience_s: float
    """How long an answer may take."""
    packing: Packing = "half"
    """How float32 features travel. Sound travels in the 16 bits that it was recorded with."""

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(stage.name for stage in self.manifest.stages[self.first : self.last + 1])

    @property
    def as_sound(self) -> bool:
        """Whether the window itself can be sent: there is nothing in front of it, and no memory beside it."""
        spec = self.manifest.input
        plain = isinstance(spec, AudioInput) and not (spec.context or spec.state or spec.constants)
        return self.first == 0 and plain

    def rows(self, inputs: Tensors) -> int:
        """How many samples these inputs hold."""
        spec = self.manifest.input
        if spec.batch == 1 or (isinstance(spec, AudioInput) and (spec.state or spec.layout == "n")):
            return 1
        return max(len(array) for array in inputs.values() if array.ndim)

    def question(self, inputs: Tensors, deadline_ns: int) -> Question:
        """The question for one sample; `inputs` are those of the first stage, each with a first axis of one sample."""
        names = self.stages
        sound = inputs[self.manifest.input.tensor].reshape(-1) if self.as_sound else None
        return Question(
            id=str(ULID()),
            device=self.device,
            model=self.asked_as,
            version=self.manifest.version,
            first=None if self.as_sound else names[0],
            last=names[-1],
            picture=None,
            sound=sound,
            tensors={} if self.as_sound else inputs,
            decode=False,
            threshold=None,
            labels=None,
            deadline_ns=deadline_ns,
        )

    def payload(self, question: Question) -> codec.Payload:
        """What travels. Features that do not fit into float16 travel as they are; raises EngineError."""
        try:
            privacy.check(question, self.offload, first_stage=self.manifest.stages[0].name)
            try:
                return codec.encode_question(question, packing=self.packing)
            except BadTensor:
                return codec.encode_question(question, packing="exact")
        except (privacy.Withheld, BadTensor) as error:
            raise EngineError(f"{' and '.join(self.stages)} cannot be asked for: {error}") from error


class RemoteStages:
    """Runs consecutive stages at a service. See `Engine` for the contract; the outputs are those of the last stage."""

    name = "remote"

    def __init__(
        self,
        errand: Errand,
        asker: Asks,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        allow: Allow = always,
    ) -> None:
        """`inputs`: what the stages need and do not make themselves; `outputs`: of the last one."""
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.answered_by: str | None = None
        """The service that answered last."""
        self.sent_bytes = 0
        """Of all payloads so far."""
        self.errand = errand
        self._asker = asker
        self._allow = allow
        self._mail: Mailbox[tuple[str, Outcome] | Literal["cancelled"]] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> RemoteStages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    def run(self, inputs: Tensors, patience_s: float | None = None) -> dict[str, Array]:
        """Ask and wait. The returned arrays are fresh, and read-only. `patience_s`: less than the errand's, this time.

        Raises EngineError when there is no answer in time, or one of another model.
        """
        if (obstacle := self._obstacle()) is not None:
            raise EngineError(obstacle)
        samples = _apart(inputs, self.errand.rows(inputs))
        deadline_ns = time.monotonic_ns() + int((patience_s or self.errand.patience_s) * 1e9)
        mail: Mailbox[tuple[str, Outcome] | Literal["cancelled"]] = Mailbox(len(samples) + 1)
        with self._lock:
            self._mail = mail
        try:
            ids = [self._ask(sample, deadline_ns, mail) for sample in samples]
            replies = self._await(ids, deadline_ns, mail)
        finally:
            with self._lock:
                self._mail = None
        return self._outputs([replies[each] for each in ids])

    def cancel(self) -> None:
        with self._lock:
            if self._mail is not None:
                self._mail.put("cancelled")

    @property
    def askable(self) -> bool:
        """Whether a service with this very model is there."""
        return self._obstacle() is None

    def _obstacle(self) -> str | None:
        """Why asking is of no use. Features of one model are noise to another: only this very one will do."""
        manifest = self.errand.manifest
        standing = self._asker.standing(self.errand.asked_as, manifest.version)
        if not standing.usable:
            return f"{self.errand.asked_as}: {standing.words}"
        if all(offer.model.digest != manifest.digest for offer in standing.offers):
            return self._another(standing.offers[0].service)
        return None

    def _another(self, service: str) -> str:
        errand = self.errand
        return (
            f"{service} has another model by the name {errand.asked_as} {errand.manifest.version} than this device, "
            "and stages can be shared only within one: install the same bundle on both"
        )

    def _ask(self, inputs: Tensors, deadline_ns: int, mail: Mailbox[tuple[str, Outcome] | Literal["cancelled"]]) -> str:
        question = self.errand.question(inputs, deadline_ns)
        payload = self.errand.payload(question)
        if why_not := self._allow(len(payload.body)):
            raise EngineError(f"{' and '.join(self.errand.stages)} cannot be asked for: {why_not}")
        self.sent_bytes += len(payload.body)
        self._asker.ask(question, payload, lambda outcome: mail.put((question.id, outcome)))
        return question.id

    def _await(
        self, ids: Sequence[str], deadline_ns: int, mail: Mailbox[tuple[str, Outcome] | Literal["cancelled"]]
    ) -> dict[str, Reply]:
        replies: dict[str, Reply] = {}
        while len(replies) < len(ids):
            left_s = (deadline_ns - time.monotonic_ns()) / 1e9 + GRACE_S
            came = mail.take(max(0.0, left_s))
            if came is None:
                raise EngineError("the thread that asks model services does not answer")
            if came == "cancelled":
                raise EngineError("cancelled while a model service was asked")
            question_id, outcome = came
            if isinstance(outcome, Refused):
                raise EngineError(f"{self.errand.asked_as} at a model service: {outcome}")
            replies[question_id] = outcome
        return replies

    def _outputs(self, replies: Sequence[Reply]) -> dict[str, Array]:
        for reply in replies:
            if reply.model.digest != self.errand.manifest.digest:
                raise EngineError(self._another(reply.service))
            if missing := [spec.name for spec in self.outputs if spec.name not in reply.tensors]:
                raise EngineError(f"{reply.service} left out {', '.join(missing)} of {self.errand.stages[-1]}")
        self.answered_by = replies[-1].service
        if len(replies) == 1:
            return {spec.name: replies[0].tensors[spec.name] for spec in self.outputs}
        return {spec.name: np.concatenate([reply.tensors[spec.name] for reply in replies]) for spec in self.outputs}


def _apart(inputs: Tensors, rows: int) -> list[Tensors]:
    """The inputs of each sample by itself: a question holds one. What counts no samples goes with each."""
    if rows == 1:
        return [inputs]
    return [
        {name: array[row : row + 1] if array.shape[:1] == (rows,) else array for name, array in inputs.items()}
        for row in range(rows)
    ]
