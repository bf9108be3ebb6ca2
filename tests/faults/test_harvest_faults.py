"""Samples on their way from a device to a service, while either is killed and the broker is cut off: each comes once.

And a full disk, which costs samples and nothing else; and masked pixels, which are in none.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest

from appliance.harvest import sender as sender_module
from appliance.harvest.barn import Barn
from appliance.harvest.collector import Collector
from appliance.harvest.sender import Sender
from appliance.harvest.store import Store
from appliance.harvest.store import kept as names
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics
from tests.appliance.harvest.samples import PICTURE, kept, store
from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker
from tests.disks import fill, small_disk
from tests.faults.test_masked_pixels import film, shows_mark
from tests.service_process import ServiceProcess
from tests.tcp_faults import FaultyProxy
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.system, pytest.mark.timeout(600)]

TOPICS = Topics("appliance", "box")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for minutes."""
    monkeypatch.setattr(sender_module, "PATIENCE_S", 1.0)
    monkeypatch.setattr(sender_module, "LATER_S", 0.3)
    monkeypatch.setattr(sender_module, "LONGEST_LATER_S", 0.5)


@contextmanager
def sending(url: str, stores: dict[str, Store]) -> Iterator[Sender]:
    """On a thread of its own, as the harvest does."""
    stopping = threading.Event()
    link = LinkSettings(url, "appliance-box-harvest", first_wait_s=0.05, longest_wait_s=0.2)
    made = Sender(link, TOPICS, frozenset(stores))

    def run() -> None:
        while not stopping.is_set():
            made.turn(time.monotonic(), stores)
            made.wait(0.05)
        made.finish()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield made
    finally:
        stopping.set()
        thread.join()


@contextmanager
def collecting(url: str, folder: Path, name: str = "attic") -> Iterator[Collector]:
    stopping = threading.Event()
    link = LinkSettings(url, f"model-service-{name}-harvest", first_wait_s=0.05, longest_wait_s=0.2, will_delay_s=0)
    made = Collector(Barn(folder), link, "appliance", "services")
    thread = threading.Thread(target=made.run, args=(stopping,))
    thread.start()
    try:
        yield made
    finally:
        stopping.set()
        thread.join()


def pictures(folder: Path) -> list[str]:
    """Names of the samples that have come."""
    return sorted(path.stem.split("-", 2)[2] for path in folder.rglob("*.jpg"))


def test_samples_wait_for_a_service_come_in_order_and_leave_the_device(broker: Broker, tmp_path: Path) -> None:
    shelves = {"shapes": store(tmp_path / "a"), "other": store(tmp_path / "b")}
    abouts = kept(shelves["shapes"], 5)
    with sending(broker.url, shelves) as sender:
        until(lambda: "no model service collects samples" in sender.figures.words)
        with collecting(broker.url, tmp_path / "barn") as collector:
            until(lambda: not len(shelves["shapes"]), 20)
            assert collector.stored == 5
    assert sender.figures.sent == 5
    assert pictures(tmp_path / "barn") == [about.name for about in abouts]
    assert not list(names(tmp_path / "a"))


def test_what_no_service_will_ever_take_does_not_stand_in_the_way(broker: Broker, tmp_path: Path) -> None:
    shelf = store(tmp_path / "a")
    broken, good = kept(shelf, 2)
    (tmp_path / "a" / f"{broken.name}.jpg").write_bytes(PICTURE + b"changed")
    huge = kept(shelf, data=b"\xff\xd8\xff" + bytes(5 << 20))[0]
    last = kept(shelf)[0]
    with collecting(broker.url, tmp_path / "barn"), sending(broker.url, {"shapes": shelf}) as sender:
        until(lambda: not len(shelf), 20)
    assert sender.figures.refused == 2
    assert pictures(tmp_path / "barn") == [good.name, last.name]
    assert huge.name not in pictures(tmp_path / "barn")


def test_a_broker_that_is_killed_again_and_again_loses_and_doubles_nothing(
    broker: Broker, tmp_path: Path, long_run: bool
) -> None:
    """Over a line that takes a fifth of a second for a sample, so that each is killed somewhere on its way."""
    shelf, chance, pause = store(tmp_path / "a"), random.Random(3), threading.Event()
    abouts = kept(shelf, 100 if long_run else 25, data=PICTURE + chance.randbytes(20_000))
    with FaultyProxy(broker.port) as line:
        line.bytes_per_s = 100_000
        with collecting(line.url, tmp_path / "barn") as collector, sending(line.url, {"shapes": shelf}):
            for _ in range(40 if long_run else 6):
                pause.wait(chance.uniform(0.3, 1.5))
                broker.kill()
                broker.start()
            until(lambda: not len(shelf), 300)
            stored = collector.stored
    assert pictures(tmp_path / "barn") == [about.name for about in abouts]
    assert stored == len(abouts)


def test_on_a_line_that_is_slower_than_anybodys_patience_a_sample_travels_once(broker: Broker, tmp_path: Path) -> None:
    shelf = store(tmp_path / "a")
    data = PICTURE + random.Random(1).randbytes(300_000)
    kept(shelf, data=data)
    with FaultyProxy(broker.port) as line, collecting(broker.url, tmp_path / "barn") as collector:
        line.bytes_per_s = 80_000  # four seconds, and patience ends after one
        with sending(line.url, {"shapes": shelf}):
            until(lambda: not len(shelf), 60)
        assert line.to_server_bytes < 1.5 * len(data)
    assert collector.stored == 1


def config(broker: Broker, more: str = "", camera: str = "", film: str = "scene:shapes") -> str:
    return f"""
[mqtt]
broker = "{broker.url}"
[[camera]]
name = "dock"
uri = "{film}"
fps = 10
{camera}
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
[pipeline.harvest]
unsure_between = [0.0, 1.0]
apart_s = 0.1
leave_free_mb = 0
{more or 'offload = "frames"'}
"""


@pytest.mark.timeout(2400)
def test_device_and_service_are_killed_again_and_again_and_every_sample_comes_once(
    broker: Broker, tmp_path: Path, long_run: bool
) -> None:
    """Numbers say it: within a series no hole but of samples that a kill cut off, and none twice. A device that heard
    nothing of a sample for 20 s leaves the service alone for as long: some 40 s go by at each kill of it."""
    barn = tmp_path / "barn"
    service = ServiceProcess(
        *(tmp_path, broker.url, "attic", "--model", "shapes", "--harvest", str(barn)), module="appliance"
    )
    device, chance, pause = ApplianceProcess(tmp_path, config(broker)), random.Random(4), threading.Event()
    kills = 0
    with service, device:
        for turn in range(20 if long_run else 2):
            before = len(pictures(barn))
            until(lambda before=before: len(pictures(barn)) > before + 2, 120, "samples come")  # type: ignore[misc]
            pause.wait(chance.uniform(0, 0.5))
            if turn % 2:
                device.send(signal.SIGKILL)
                device.ends()
                device.start()
                kills += 1
            else:
                service.kill()
                service.start()
        device.send(signal.SIGKILL)
        device.ends()
        kills += 1
        folder = tmp_path / "harvest" / "shapes"
        left = set(names(folder))
        device.write(config(broker, film="file:gone.mp4"))
        device.start()
        until(lambda: not list(names(folder)), 600, "what was left has come")
    come = pictures(barn)
    assert left <= set(come)
    assert len({path.stem.split("-")[1] for path in barn.rglob("*.jpg")}) == 1, "one series"
    numbers = [int(name.partition("-")[0]) for name in come]
    assert len(set(numbers)) == len(numbers)
    holes = numbers[-1] - len(numbers)
    assert holes <= kills, f"{holes} samples are missing after {kills} kills of the device"
    for path in barn.rglob("*.jpg"):
        assert cv2.imread(str(path)) is not None
        assert path.with_suffix(".json").exists()


def test_a_full_disk_costs_samples_is_said_and_the_pipeline_goes_on(broker: Broker, tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", 48 << 20) as disk,
        Ear(broker.port) as ear,
        ApplianceProcess(tmp_path / "disk", config(broker, 'offload = "never"')) as device,
    ):
        folder = disk / "harvest" / "shapes"
        until(lambda: list(names(folder)), 60)
        filler = fill(disk)

        def said() -> Any:
            last = ear.documents("box/health")[-1:]
            return [words for each in last for words in each["reasons"] if words.startswith("shapes: no sample")]

        assert "full" in until(said, 60)[0] or "No space" in said()[0]
        before = len(ear.documents("pipeline/shapes/result"))
        until(lambda: len(ear.documents("pipeline/shapes/result")) > before + 20, 30)
        assert device.running
        had = set(names(folder))
        filler.unlink()
        until(lambda: set(names(folder)) - had, 60, "kept again")
        until(lambda: not said(), 60)
        lost = ear.documents("box/health")[-1]["harvest"]["pipelines"]["shapes"]["lost"]
        assert lost > 0


@pytest.mark.parametrize("offload", ["never", "crops", "frames"])
@pytest.mark.parametrize("masked", [True, False], ids=["masked", "without a mask"])
def test_the_mark_behind_a_mask_is_in_no_sample(broker: Broker, tmp_path: Path, offload: str, masked: bool) -> None:
    zone = "masks = [[[380, 60], [600, 60], [600, 260], [380, 260]]]" if masked else ""
    told = config(broker, f'offload = "{offload}"', f"loop = true\n{zone}", f"images:{film(tmp_path / 'film')}")
    folder = tmp_path / "harvest" / "shapes"
    with ApplianceProcess(tmp_path, told):
        until(lambda: len(list(names(folder))) >= 12, 60)
    found = [picture for name in names(folder) if (picture := cv2.imread(str(folder / f"{name}.jpg"))) is not None]
    whole = [picture for picture in found if picture.shape[:2] == (360, 640)]
    assert len(whole) == (0 if offload == "crops" else len(found))
    if masked:
        assert not any(map(shows_mark, found))
    elif offload != "crops":
        assert any(map(shows_mark, found))


def test_the_day_is_over_when_its_budget_is_spent_also_after_a_kill(broker: Broker, tmp_path: Path) -> None:
    folder = tmp_path / "harvest" / "shapes"
    with Ear(broker.port) as ear, ApplianceProcess(tmp_path, config(broker, "per_day = 3")) as device:
        until(lambda: len(list(names(folder))) == 3, 60)
        device.send(signal.SIGKILL)
        device.ends()
        device.start()
        before = len(ear.documents("pipeline/shapes/result"))
        until(lambda: len(ear.documents("pipeline/shapes/result")) > before + 20, 60)
        assert len(list(names(folder))) == 3
