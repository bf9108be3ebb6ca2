"""The thread `harvest`: what one pipeline's disk does is not another's trouble, and what was away comes back."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance.config_pipeline import Pipeline
from appliance.harvest.basket import Basket
from appliance.harvest.harvester import Harvester
from appliance.harvest.picker import Picker
from appliance.harvest.settings import Harvest
from appliance.harvest.store import Store
from appliance.harvest.store import kept as names
from appliance.pipeline.audience import Heard
from appliance.remote.pictures import Viewer
from engines.engine import EngineError
from tests.appliance.harvest.samples import MODEL, OTHER, bounds, frame, labels, said
from tests.disks import fill, small_disk

SETTINGS = Harvest(unsure_between=(0.4, 0.6), disagreed=True, apart_s=1.0)


def picker(name: str, folder: Path) -> Picker:
    pipeline = Pipeline(name=name, source="dock", model="shapes", harvest=SETTINGS)
    store = Store(folder, bounds())
    return Picker(pipeline, "box", Basket(SETTINGS), store, Viewer("frames"), lambda: "synced")


def offer(harvester: Harvester) -> None:
    for each in harvester.pickers.values():
        each.basket.answered(frame(), said(labels(red=0.5)))


def test_a_folder_that_cannot_be_made_is_said_and_the_other_pipeline_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    harvester = Harvester([picker("a", tmp_path / "file" / "a"), picker("b", tmp_path / "b")], lambda: "synced")
    harvester.turn(0.0)
    offer(harvester)
    harvester.turn(1.0)
    assert len(list(names(tmp_path / "b"))) == 1
    assert harvester.complaints == (f"a: no sample is kept: {tmp_path}/file/a: Not a directory",)
    (tmp_path / "file").unlink()
    harvester.turn(100.0)  # what was offered meanwhile has waited
    assert len(list(names(tmp_path / "file" / "a"))) == 1
    assert not harvester.complaints


def test_a_folder_that_somebody_took_is_made_again(tmp_path: Path) -> None:
    harvester = Harvester([picker("a", tmp_path / "a")], lambda: "synced")
    for second in (0, 1):
        offer(harvester)
        harvester.turn(float(second))
    shutil.rmtree(tmp_path / "a")
    for second in (2, 3, 4):
        offer(harvester)
        harvester.turn(float(second))
    assert len(list(names(tmp_path / "a"))) >= 1
    assert not harvester.complaints


@pytest.mark.faults
def test_a_disk_that_has_room_again_is_not_called_full_for_want_of_a_sample(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16 << 20) as disk:
        harvester = Harvester([picker("a", disk / "a")], lambda: "synced")
        harvester.turn(0.0)
        filler = fill(disk)
        offer(harvester)
        harvester.turn(1.0)
        harvester.turn(100.0)
        assert harvester.complaints == (f"a: no sample is kept: {disk}/a: the disk is full",)
        filler.unlink()
        harvester.turn(200.0)
        assert not harvester.complaints


def test_what_a_version_in_shadow_says_otherwise_is_kept_with_both_answers(tmp_path: Path) -> None:
    harvester = Harvester([picker("a", tmp_path / "a")], lambda: "synced")
    harvester.turn(0.0)
    heard = Heard("a", frame(), labels(red=0.9), MODEL.digest, None, None)
    harvester.differed(heard, MODEL, OTHER, labels(blue=0.9))
    harvester.turn(1.0)
    found = harvester.pickers["a"].store.read(next(names(tmp_path / "a")))
    assert found is not None
    assert found[0].reason == "disagreed"
    assert found[0].other is not None
    assert (found[0].other.by, found[0].other.model) == ("shadow", OTHER)


def test_what_nobody_can_compare_any_more_is_left(tmp_path: Path) -> None:
    harvester = Harvester([picker("a", tmp_path / "a")], lambda: "synced")
    harvester.turn(0.0)
    failed = Heard("a", frame(), EngineError("away"), MODEL.digest, None, None)
    of_another_version = Heard("a", frame(), labels(red=0.9), "sha256:0", None, None)
    of_nobody = Heard("b", frame(), labels(red=0.9), MODEL.digest, None, None)
    for heard in (failed, of_another_version, of_nobody):
        harvester.differed(heard, MODEL, OTHER, labels(blue=0.9))
    harvester.turn(1.0)
    assert not list(names(tmp_path / "a"))
