"""Samples of many devices in one folder: each once, each whole, none in a place that a device could choose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.harvest.barn import Barn
from appliance.harvest.message import pack, unpack
from appliance.harvest.sample import to_json
from appliance.material import material
from tests.appliance.harvest.samples import PICTURE, sample
from tests.disks import fill, small_disk
from tests.registries import shipped

SERIES = "0123456789abcdef"


def name(number: int) -> str:
    return f"{number:08d}-20270115T080000Z"


def document(number: int = 1, **changes: Any) -> bytes:
    made = json.loads(to_json(sample(SERIES, name(number))))
    return json.dumps(made | changes).encode()


@pytest.fixture
def barn(tmp_path: Path) -> Barn:
    made = Barn(tmp_path / "barn")
    made.prepare()
    return made


def pictures(barn: Barn) -> list[str]:
    return sorted(path.relative_to(barn.folder).as_posix() for path in barn.folder.rglob("*.jpg"))


def test_a_sample_stands_under_its_model_and_its_device_and_is_material(barn: Barn) -> None:
    assert barn.put("box", document(), PICTURE).new
    assert pictures(barn) == [f"shapes/box/shapes-{SERIES}-{name(1)}.jpg"]
    [pixels] = list(material(str(barn.folder / "shapes"), shipped("shapes").manifest))
    assert pixels.shape == (24, 32, 3)


def test_what_comes_twice_is_there_once_even_if_it_was_taken_away_meanwhile(barn: Barn) -> None:
    barn.put("box", document(1), PICTURE)
    barn.put("box", document(2), PICTURE)
    for path in barn.folder.rglob("*.jpg"):
        path.unlink()
    again = Barn(barn.folder)
    assert again.put("box", document(2), PICTURE).status == "stored"
    assert again.put("box", document(1), PICTURE) == barn.put("box", document(1), PICTURE)
    assert not pictures(again)
    assert again.put("box", document(3), PICTURE).new


def test_a_device_that_was_made_new_begins_again(barn: Barn) -> None:
    barn.put("box", document(7), PICTURE)
    assert barn.put("box", document(1, series="f" * 16), PICTURE).new
    assert len(pictures(barn)) == 2


LIES: dict[str, dict[str, Any]] = {
    "another device": {"device": "else"},
    "a device that is a path": {"device": "../box"},
    "a pipeline that is a path": {"pipeline": "../../etc"},
    "a model that is a path": {"said": {"by": "local", "model": {"name": "../x", "version": "1", "digest": "d"}}},
    "a model that is hidden": {"said": {"by": "local", "model": {"name": ".received", "version": "1", "digest": "d"}}},
    "a name that is a path": {"name": "../00000001-20270115T080000Z"},
    "a series that is a path": {"series": "../../../../etc/x"},
    "another ending": {"kind": "sh"},
    "a sound that is none": {"kind": "wav"},
    "another digest": {"digest": "sha256:0"},
    "a field of its own": {"more": 1},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_and_leaves_nothing(barn: Barn, lie: str) -> None:
    receipt = barn.put("box", document(**LIES[lie]), PICTURE)
    assert receipt.status == "refused"
    assert receipt.words
    assert not [path for path in barn.folder.parent.rglob("*") if path.is_file()]


@pytest.mark.parametrize("text", [b"", b"\xff", b"{}", b"[" * 100_000, b"x" * (2 << 20)])
def test_what_is_no_document_is_refused(barn: Barn, text: bytes) -> None:
    assert barn.put("box", text, PICTURE).status == "refused"


def test_marks_that_are_damaged_cost_nothing(barn: Barn) -> None:
    barn.put("box", document(1), PICTURE)
    (barn.folder / ".received" / "box.json").write_bytes(b"[1")
    again = Barn(barn.folder)
    assert again.put("box", document(1), PICTURE).status == "stored"
    assert len(pictures(again)) == 1


@pytest.mark.faults
def test_a_full_disk_asks_to_come_again_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4 << 20) as disk:
        barn = Barn(disk / "barn")
        barn.prepare()
        filler = fill(disk)
        assert barn.put("box", document(1), PICTURE).status == "later"
        filler.unlink()
        assert barn.put("box", document(1), PICTURE).new
        assert len(pictures(barn)) == 1


def test_a_message_comes_apart_as_it_was_put_together() -> None:
    assert unpack(pack(b"about", b"data")) == (b"about", b"data")
    for broken in (b"", b"\0\0\0", b"\0\0\0\5abc", b"\xff\xff\xff\xff"):
        assert unpack(broken) is None
