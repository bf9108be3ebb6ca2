"""Whether a local answer is worth a second opinion. Pure."""

from __future__ import annotations

from engines.predictions import Answer, Detection, Label


def doubtful_score(answer: Answer, between: tuple[float, float] | None) -> float | None:
    """The score that is neither high nor low; None when the answer is sure of itself, or nobody wants to know.

    Of labels the best one counts, because it is the answer; of detections every one, because each is an answer of its
    own; the lowest that lies between is told. An answer without predictions is sure.
    """
    if between is None:
        return None
    low, high = between
    labels = [each.score for each in answer.predictions if isinstance(each, Label)]
    scores = [max(labels)] if labels else []
    scores += [each.score for each in answer.predictions if isinstance(each, Detection)]
    return min((score for score in scores if low <= score <= high), default=None)
