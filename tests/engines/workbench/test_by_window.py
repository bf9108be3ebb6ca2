"""A model of keywords is judged window by window, and tells every score."""

from __future__ import annotations

import numpy as np

from engines.predictions import Label
from engines.workbench.by_window import by_window
from tests.engines import models
from tests.engines.models import Scripted, only


def test_keywords_are_told_with_every_score_and_without_memory() -> None:
    of = models.manifest(
        "audio-labels",
        models.sounds(4),
        ["silence", "unknown", "yes", "no"],
        name="keywords",
        options={"background": "silence,unknown", "smooth_ms": 200},
    )
    judged = by_window(models.bundle(of))
    assert judged.manifest.decoder.name == "audio-labels"
    assert judged.manifest.labels == of.labels
    scores = np.array([[0.2, 0.1, 0.4, 0.3]], np.float32)
    says = Scripted({"x": (1, 4)}, {"y": (1, 4)}, lambda _: {"y": scores})
    with models.model(judged.manifest, says) as model:
        answer = only(model.predict([np.zeros(4, np.float32)], thresholds=[0.0]))
    assert [each.label for each in answer.predictions if isinstance(each, Label)] == ["yes", "no", "silence", "unknown"]


def test_other_models_are_left_as_they_are() -> None:
    bundle = models.bundle(models.manifest("audio-labels", models.sounds(4), ["a"], name="audio-labels"))
    assert by_window(bundle) is bundle
