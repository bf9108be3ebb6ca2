"""Whether a message on our answer topic reads as an answer, and as one to what was asked."""

from __future__ import annotations

from appliance.mqtt.incoming import Incoming
from appliance.questions import codec
from appliance.questions.question import Question, Refused
from appliance.questions.tensors import BadTensor, Limits
from appliance.remote.open_questions import Outcome


def read_answer(incoming: Incoming, limits: Limits) -> tuple[str, Outcome]:
    """The id of the question that it answers, and the answer. Raises BadTensor."""
    if incoming.retain:
        raise BadTensor("the broker kept it, so it answers nothing of now")
    question_id, outcome = codec.decode_answer(incoming.payload, codec.header_bytes(incoming.user), limits)
    if incoming.correlation != question_id.encode():
        raise BadTensor("its correlation data are not the id in it")
    return question_id, outcome


def mismatch(question: Question, outcome: Outcome) -> str | None:
    """Why this cannot be the answer to that."""
    if isinstance(outcome, Refused):
        return None
    if question.version not in (None, outcome.model.version):
        return f"it comes from {outcome.model.name} {outcome.model.version}"
    if (outcome.answer is not None) != question.decode:
        return "it has tensors for predictions, or predictions for tensors"
    return None
