"""What is kept of what a pipeline offers: at its pace, redacted, with boxes where they are in the kept picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from appliance.config_pipeline import Pipeline
from appliance.harvest.basket import Basket
from appliance.harvest.picker import Picker
from appliance.harvest.sample import Harvested
from appliance.harvest.settings import Harvest
from appliance.harvest.store import kept as names
from appliance.harvest.store import read
from appliance.material import material
from appliance.recorder.pictures import decoded
from appliance.remote.pictures import Viewer
from capture.samples import AudioWindow, Stamp
from tests.appliance.harvest.samples import OTHER, T0_S, found, frame, labels, said, store
from tests.registries import shipped

BOX = (20.0, 30.0, 60.0, 70.0)


def picker(folder: Path, viewer: Viewer | None = None, **harvest: object) -> Picker:
    settings = Harvest.model_validate({"unsure_between": (0.4, 0.6), "disagreed": True, "apart_s": 10, **harvest})
    pipeline = Pipeline(name="shapes", source="dock", model="shapes", harvest=settings)
    return Picker(pipeline, "box", Basket(settings), store(folder), viewer or Viewer("frames"), lambda: "synced")


def samples(folder: Path) -> list[tuple[Harvested, bytes]]:
    return [each for name in names(folder) if (each := read(folder, name)) is not None]


def test_samples_are_kept_so_far_apart_and_the_others_are_counted(tmp_path: Path) -> None:
    made = picker(tmp_path / "s")
    for second in range(30):
        made.basket.answered(frame(second), said(labels(red=0.5)))
        made.turn(float(second), T0_S + second)
    made.count()
    assert [about.seq for about, _ in samples(tmp_path / "s")] == [0, 10, 20]
    assert made.figures.kept == made.figures.waiting == 3
    assert made.figures.passed_over == 18  # those of the last nine seconds may still be kept


def test_both_answers_stand_in_the_document(tmp_path: Path) -> None:
    made = picker(tmp_path / "s")
    made.basket.answered(frame(), said(found(("red", 0.9, BOX))), said(found(), "shadow", OTHER))
    made.turn(0.0, T0_S)
    [(about, jpeg)] = samples(tmp_path / "s")
    assert about.reason == "disagreed"
    assert (about.said.by, about.said.model.version, about.said.detections[0].box) == ("local", "1", BOX)
    assert about.other is not None
    assert (about.other.by, about.other.model.digest, about.other.detections) == ("shadow", "sha256:2", ())
    assert decoded(jpeg).shape == (120, 160, 3)


def test_of_a_part_the_boxes_are_in_its_own_pixels(tmp_path: Path) -> None:
    made = picker(tmp_path / "s", Viewer("crops"))
    made.basket.answered(frame(), said(found(("red", 0.5, BOX))))
    made.turn(0.0, T0_S)
    [(about, jpeg)] = samples(tmp_path / "s")
    height, width = decoded(jpeg).shape[:2]
    assert about.frame is not None
    assert about.part is not None
    assert (about.frame.width, about.frame.height) == (width, height) != (160, 120)
    left, top = about.part
    assert about.said.detections[0].box == (BOX[0] - left, BOX[1] - top, BOX[2] - left, BOX[3] - top)


def test_a_part_is_not_kept_where_nothing_was_found(tmp_path: Path) -> None:
    made = picker(tmp_path / "s", Viewer("crops"))
    made.basket.answered(frame(), said(labels(red=0.5)))
    made.turn(0.0, T0_S)
    made.count()
    assert not samples(tmp_path / "s")
    assert made.figures.passed_over == 1


def test_a_picture_whose_mask_is_not_painted_is_not_kept(tmp_path: Path) -> None:
    mask = ((0, 0), (50, 0), (50, 50), (0, 50))
    made = picker(tmp_path / "s", Viewer("frames", [mask]))
    made.basket.answered(frame(value=90), said(labels(red=0.5)))
    made.turn(0.0, T0_S)
    assert not samples(tmp_path / "s")
    made.basket.answered(frame(value=0), said(labels(red=0.5)))
    made.turn(20.0, T0_S)
    assert len(samples(tmp_path / "s")) == 1


def test_a_sound_is_kept_as_it_was_and_is_material(tmp_path: Path) -> None:
    bundle = shipped("tones")
    spec = bundle.manifest.input
    assert spec.kind == "audio"
    sound = (np.sin(np.arange(spec.samples) / 7) / 2).astype(np.float32)
    window = AudioWindow("hall", 3, Stamp(0, int(T0_S * 1e9)), sound, spec.rate_hz, 0, 0, start=spec.samples)
    made = picker(tmp_path / "s")
    made.basket.answered(window, said(labels(low=0.5)))
    made.turn(0.0, T0_S)
    [(about, _)] = samples(tmp_path / "s")
    assert about.kind == "wav"
    assert about.window is not None
    assert about.window.rate_hz == spec.rate_hz
    heard = list(material(str(tmp_path / "s"), bundle.manifest))
    np.testing.assert_array_equal(heard[0], sound)


def test_what_the_disk_does_not_take_is_lost_and_said(tmp_path: Path) -> None:
    made = picker(tmp_path / "s")
    made.store = store(tmp_path / "t", leave_free=10**18)
    made.basket.answered(frame(), said(labels(red=0.5)))
    with pytest.raises(OSError, match="the disk is full"):
        made.turn(0.0, T0_S)
    made.count()
    assert made.figures.lost == 1
