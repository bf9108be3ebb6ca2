"""What the demo is given is what its models read and hear."""

from __future__ import annotations

from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest

from appliance.catalogue import Catalogue
from appliance.material import material
from appliance.reading import read_out
from appliance.spoken import chosen, write_spoken
from capture.displays import Displays, Reading
from capture.options import VideoOptions
from engines.model import Model
from engines.predictions import Answer, Detection, Segment


def read_at(reading: Reading, found: list[Detection]) -> list[str]:
    """The numbers read where a display is."""
    boxes = np.array([each.box_px for each in reading.numerals])
    low, high = boxes[:, :2].min(axis=0) - 12, boxes[:, 2:].max(axis=0) + 12
    middles = [(np.array(each.box[:2]) + np.array(each.box[2:])) / 2 for each in found]
    here = [each for each, at in zip(found, middles, strict=True) if (at >= low).all() and (at <= high).all()]
    return read_out((each.label, each.box) for each in here)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_displays_of_the_scene_are_read(seed: int) -> None:
    right, shown = 0, 0
    with (
        Model(Catalogue.default().find("digits")) as model,
        Displays("scene", VideoOptions(realtime=False, seed=seed)) as scene,
    ):
        for seq in range(0, 900, 18):
            [answer] = model.predict([scene.render(seq)])
            assert isinstance(answer, Answer)
            found = [each for each in answer.predictions if isinstance(each, Detection)]
            for reading in scene.truth(seq):
                if all(each.visible == 1 for each in reading.numerals):
                    shown += 1
                    right += read_at(reading, found) == [reading.number]
    assert shown > 100
    assert right / shown >= 0.9


def test_the_words_are_heard_in_their_order(tmp_path: Path) -> None:
    path = write_spoken(tmp_path / "words.wav", count=30)
    heard: list[str] = []
    with Model(Catalogue.default().find("spoken-digits")) as model:
        stream = model.new_stream()
        for window in material(str(path), model.manifest):
            [answer] = model.predict([window], streams=[stream])
            assert isinstance(answer, Answer)
            heard += [each.label for each in answer.predictions if isinstance(each, Segment)]
    said = [word for word, _ in chosen(30)]
    alike = sum(block.size for block in SequenceMatcher(a=said, b=heard, autojunk=False).get_matching_blocks())
    assert alike >= 29, f"{said} said, {heard} heard"
    assert len(heard) <= 31
