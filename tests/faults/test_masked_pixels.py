"""Nothing that leaves the device shows what a privacy mask hides: not a question, not a snapshot, not a tensor.

A mark that machines read stands in the masked zone, moves there, and is looked for in every byte that a real appliance
publishes on a real broker, under every setting of `offload`. Without the mask it must be found in the same places.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from appliance.questions.packing import unpack_all
from appliance.questions.tensors import Limits, describe_all, raw_of_each
from engines.bundle import Bundle
from engines.engine import Array
from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker
from tests.served_models import halved, serving, shipped
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.system]

WIDTH, HEIGHT = 640, 360
MARK = 23
MARK_PX = 120
ZONE = ((380, 60), (600, 60), (600, 260), (380, 260))
"""The mark never leaves it."""
DICTIONARY = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_6X6_250)
FRAMES = 24


def film(folder: Path) -> Path:
    """Pictures in which the mark jumps about in its zone, and a red square walks below it, half in the zone."""
    folder.mkdir()
    mark = cv2.cvtColor(cv2.aruco.generateImageMarker(DICTIONARY, MARK, MARK_PX), cv2.COLOR_GRAY2BGR)
    random = np.random.default_rng(3)
    for number in range(FRAMES):
        pixels = np.full((HEIGHT, WIDTH, 3), 70, np.uint8)
        pixels[60:260, 380:600] = 255  # what a mark needs around it
        x, y = int(random.integers(400, 460)), int(random.integers(75, 120))
        pixels[y : y + MARK_PX, x : x + MARK_PX] = mark
        left = 60 + 20 * number
        pixels[230:300, left : left + 70] = 0, 0, 230
        cv2.imwrite(str(folder / f"{number:03d}.png"), pixels)
    return folder


@dataclass(frozen=True)
class Setting:
    """What stands in [pipeline.remote]."""

    table: str
    halved: bool = False
    """The model in two stages, whose first one only turns the picture into numbers: features that show everything."""
    asks: bool = True


SETTINGS = {
    "never": Setting('offload = "never"', asks=False),
    "crops": Setting('offload = "crops"\nprefer = "remote"\nmodel = "shapes"'),
    "features": Setting('offload = "features"\nplace = { main-2 = "remote" }', halved=True),
    "frames": Setting('offload = "frames"\nprefer = "remote"\nmodel = "shapes"'),
}


def configuration(broker: Broker, pictures: Path, model: str, setting: Setting, masked: bool) -> str:
    masks = f"masks = [{json.dumps(ZONE)}]" if masked else ""
    return f"""
[mqtt]
broker = "{broker.url}"
[[camera]]
name = "yard"
uri = "images:{pictures}"
fps = 12
loop = true
{masks}
[[pipeline]]
name = "shapes"
source = "yard"
model = "{model}"
snapshot = true
forget_s = 0.5
[pipeline.remote]
deadline_s = 3
{setting.table}
"""


@pytest.mark.parametrize("masked", [True, False], ids=["masked", "without a mask"])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_mark_is_in_no_byte_that_leaves(broker: Broker, tmp_path: Path, name: str, masked: bool) -> None:
    setting = SETTINGS[name]
    bundle = halved("shapes", "cast0", tmp_path) if setting.halved else shipped("shapes")
    config = configuration(broker, film(tmp_path / "film"), str(bundle.folder), setting, masked)
    with (
        Ear(broker.port) as ear,
        serving(broker.url, tmp_path, bundle),
        ApplianceProcess(tmp_path, config),
    ):
        await_enough(ear, setting)
    seen = Seen(ear, bundle)
    assert seen.snapshots
    assert bool(seen.questions) == setting.asks
    if name == "features":
        assert not any(b"\xff\xd8\xff" in payload for payload in ear.payloads("/infer/box"))
    if name == "crops":
        assert all(picture.shape[0] * picture.shape[1] < WIDTH * HEIGHT for picture in seen.questions)
    if masked:
        assert not any(map(shows_mark, seen.pictures))
        return
    assert any(map(shows_mark, seen.snapshots))
    if setting.asks:
        assert any(map(shows_mark, seen.questions))


def await_enough(ear: Ear, setting: Setting) -> None:
    """The film once round, by the answers of whoever should give them, and a snapshot."""
    answered_by = "remote:attic" if setting.asks else "local"

    def enough() -> bool:
        results = ear.documents("pipeline/shapes/result")
        count = sum(each["status"] != "failed" and each["answered_by"] == answered_by for each in results)
        return count >= FRAMES and bool(ear.payloads("pipeline/shapes/snapshot"))

    until(enough, 60, f"answers of {answered_by}")


class Seen:
    """All that the device published, as pictures."""

    def __init__(self, ear: Ear, bundle: Bundle) -> None:
        self.snapshots = [picture for payload in ear.payloads("/snapshot") for picture in pictures_in(payload)]
        self.questions = [picture for payload in ear.payloads("/infer/box") for picture in pictures_in(payload)]
        everything = ear.payloads("")
        self.pictures = [picture for payload in everything for picture in pictures_in(payload)]
        assert len(self.pictures) >= len(self.snapshots) + len(self.questions)


def pictures_in(payload: bytes) -> Iterator[Array]:
    """Every JPEG anywhere in a message, and every tensor that could be a picture."""
    at = payload.find(b"\xff\xd8\xff")
    while at >= 0:
        decoded = cv2.imdecode(np.frombuffer(payload[at:], np.uint8), cv2.IMREAD_COLOR)
        if decoded is not None:
            yield decoded
        at = payload.find(b"\xff\xd8\xff", at + 3)
    for tensor in tensors_in(payload):
        yield from as_pictures(tensor)


def tensors_in(payload: bytes) -> Iterator[Array]:
    try:
        document, end = json.JSONDecoder().raw_decode(payload.decode("latin-1"))
    except ValueError:
        return
    if isinstance(document, dict) and "inputs" in document:
        pairs = raw_of_each(describe_all(document["inputs"], Limits()), memoryview(payload)[end:])
        yield from unpack_all(pairs, Limits()).values()


def as_pictures(tensor: Array) -> Iterator[Array]:
    """Planes and interleaved colours, stretched to 0 to 255."""
    if tensor.dtype == object or tensor.ndim < 3:
        return
    values: Any = np.squeeze(tensor).astype(np.float32)
    values = ((values - values.min()) / (np.ptp(values) or 1) * 255).astype(np.uint8)
    if values.ndim == 3 and values.shape[2] == 3:
        yield values
    elif values.ndim == 3:
        yield from values


def shows_mark(picture: Array) -> bool:
    """Whether the mark can be read in it, as it is, larger, or inverted."""
    grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    detector = cv2.aruco.ArucoDetector(DICTIONARY)
    for scale in (1, 2, 4):
        large = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        for each in (large, 255 - large):
            _, found, _ = detector.detectMarkers(each)
            if found is not None and MARK in found.ravel():
                return True
    return False
