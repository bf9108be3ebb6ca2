"""Classifiers of pictures and sounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engines.decode import Asked, make_decoder
from engines.engine import EngineError, TensorSpec
from engines.manifest import Manifest
from engines.predictions import Label, Prediction
from engines.stream import Stream
from tests.engines.models import manifest, pictures, sounds

NAMES = tuple("abcdefgh")


def classifier(**settings: Any) -> Manifest:
    return manifest("classify", pictures(8, 8), NAMES, name="classify", **settings)


def listener(**settings: Any) -> Manifest:
    return manifest("audio-labels", sounds(8), NAMES, name="audio-labels", **settings)


def decode(
    of: Manifest, scores: Any, threshold: float = 0.0, labels: frozenset[str] | None = None
) -> tuple[Prediction, ...]:
    decoder = make_decoder(of, [TensorSpec("out", (1, len(scores)), np.dtype("f4"))])
    return decoder.decode(
        {"out": np.asarray(scores, np.float32)}, Asked(threshold, labels, Stream(of.input, None), None)
    )


PROBABILITIES = [0.05, 0.3, 0.02, 0.25, 0.08, 0.1, 0.12, 0.08]


def test_the_five_best_labels_of_a_picture_are_reported_the_best_first() -> None:
    found = decode(classifier(), PROBABILITIES)
    assert found == (
        Label("b", 1, 0.3),
        Label("d", 3, 0.25),
        Label("g", 6, 0.12),
        Label("f", 5, 0.1),
        Label("e", 4, 0.08),
    )


def test_only_labels_that_reach_the_threshold_are_reported() -> None:
    assert [each.label for each in decode(classifier(), PROBABILITIES, 0.12)] == ["b", "d", "g"]
    assert decode(classifier(), PROBABILITIES, 0.31) == ()


def test_probabilities_are_left_as_they_are() -> None:
    assert decode(classifier(), PROBABILITIES, 0.29) == (Label("b", 1, 0.3),)


@pytest.mark.parametrize("shift", [0, 80, -80])
def test_raw_scores_become_probabilities_by_softmax(shift: float) -> None:
    raw = np.log(PROBABILITIES) + shift
    assert decode(classifier(options={"activation": "softmax"}), raw, 0.2) == (Label("b", 1, 0.3), Label("d", 3, 0.25))


def test_several_sounds_at_once_each_by_their_sigmoid() -> None:
    raw = [-200, 3, -200, 2, -200, -200, -200, 200]
    found = decode(listener(options={"activation": "sigmoid"}), raw, 0.5)
    assert found == (Label("h", 7, 1.0), Label("b", 1, 0.95257), Label("d", 3, 0.8808))


def test_all_sounds_that_reach_the_threshold_are_reported_up_to_the_models_limit() -> None:
    assert len(decode(listener(), PROBABILITIES)) == 8
    assert [each.label for each in decode(listener(max_detections=2), PROBABILITIES)] == ["b", "d"]


def test_a_label_not_asked_for_makes_room_for_the_next() -> None:
    found = decode(listener(max_detections=2), PROBABILITIES, labels=frozenset("dfg"))
    assert [each.label for each in found] == ["d", "g"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", ["none", "softmax", "sigmoid"])
def test_nan_and_infinity_are_errors(bad: float, activation: str) -> None:
    with pytest.raises(EngineError, match="output out holds NaN or infinity"):
        decode(classifier(options={"activation": activation}), [*PROBABILITIES[:-1], bad])


def test_a_network_with_another_number_of_classes_is_refused() -> None:
    with pytest.raises(EngineError, match=r"output out has shape \(1000\), expected \(8\)"):
        make_decoder(classifier(), [TensorSpec("out", (1, 1000), np.dtype("f4"))])
