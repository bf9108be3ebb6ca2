"""What a model said, in JSON: the same `detections`, `labels` and `segments` as in a published result."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from appliance.questions.fields import fault_in
from appliance.questions.tensors import BadTensor
from engines.manifest import Task
from engines.predictions import Answer, Detection, Label, Segment, StageTimes

_MOST = 20_000
"""Predictions of one sample; a manifest allows half of it."""


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    task: Task
    detections: Annotated[tuple[Detection, ...], Field(max_length=_MOST)] = ()
    labels: Annotated[tuple[Label, ...], Field(max_length=_MOST)] = ()
    segments: Annotated[tuple[Segment, ...], Field(max_length=_MOST)] = ()
    times: StageTimes


_detections = TypeAdapter(tuple[Detection, ...])
_labels = TypeAdapter(tuple[Label, ...])
_segments = TypeAdapter(tuple[Segment, ...])
_times = TypeAdapter(StageTimes)


def answer_to_json(answer: Answer) -> dict[str, Any]:
    """A document of plain values; kinds of predictions that there are none of are left out."""
    said = answer.predictions
    document: dict[str, Any] = {"task": answer.task, "times": _times.dump_python(answer.times)}
    if detections := tuple(each for each in said if isinstance(each, Detection)):
        document["detections"] = _detections.dump_python(detections, exclude_none=True)
    if labels := tuple(each for each in said if isinstance(each, Label)):
        document["labels"] = _labels.dump_python(labels, exclude_none=True)
    if segments := tuple(each for each in said if isinstance(each, Segment)):
        document["segments"] = _segments.dump_python(segments, exclude_none=True)
    return document


def answer_from_json(document: object) -> Answer:
    """The other way; raises BadTensor for what is no answer, numbers that are none among them."""
    try:
        said = _Said.model_validate(document)
    except (ValidationError, RecursionError) as e:
        raise BadTensor(f"not an answer of a model: {fault_in(e)}") from e
    return Answer(said.task, (*said.detections, *said.labels, *said.segments), said.times)
