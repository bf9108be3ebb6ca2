"""Desired documents in any order, twice, late, cut short by restarts and by a registry that is away: one end."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.reconfigure.standing import MOST_STARTS
from tests.appliance.reconfigure.simulated import SICK, SimulatedDevice, camera, document, publish
from tests.registries import Owner

NAMES = [f"{kind}{number}@1" for kind in ("good", "sick", "wrong") for number in range(3)]
HOSTILE = [b"", b"{", b"[]", b'{"n": 1}', b'{"n": 0, "config": null}', b'{"n": 10000000, "config": "../x@1"}',
           b'{"n": "7", "config": null}', b'{"n": 9e9, "config": null}', b"\xff\xfe", b'{"n":5,"config":null,"x":1}',
           json.dumps({"n": 1 << 53, "config": "good0@1"}).encode()]  # fmt: skip
SEEDS, LONG_SEEDS = 12, 200


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Owner:
    """Each configuration has a name of its own: of one name, an older version is refused once a newer was kept, so
    that there the order does count."""
    folder = tmp_path_factory.mktemp("owner")
    owner = Owner(folder / "registry")
    for number in range(3):
        publish(owner, folder, f"good{number}@1", camera(10 + number))
        publish(owner, folder, f"sick{number}@1", SICK + camera(20 + number))
        publish(owner, folder, f"wrong{number}@1", camera(-1 - number))
    return owner


def settle(device: SimulatedDevice) -> None:
    device.registry.away = False
    for _ in range(80):  # longer than the longest wait between two tries that came of its being away
        device.turn()


@pytest.fixture
def device(tmp_path: Path, owner: Owner) -> Iterator[SimulatedDevice]:
    made = SimulatedDevice(tmp_path / "device", owner.folder, owner.anchor)
    yield made
    made.end()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(SEEDS))
def test_the_highest_number_decides_whatever_came_when(
    first: int, tmp_path: Path, owner: Owner, long_run: bool
) -> None:
    for seed in range(first, LONG_SEEDS if long_run else SEEDS, SEEDS):
        device = SimulatedDevice(tmp_path / str(seed), owner.folder, owner.anchor)
        try:
            _live(seed, device)
        finally:
            device.end()


def _live(seed: int, device: SimulatedDevice) -> None:
    chance = random.Random(seed)
    wanted = {n: chance.choice([*NAMES, None]) for n in range(1, 9)}
    sent = [*wanted, *chance.choices(list(wanted), k=6)]
    chance.shuffle(sent)
    kept: set[str | None] = {None}
    for n in sent:
        device.desire(document(n, wanted[n]))
        if chance.random() < 0.4:
            device.desire(chance.choice(HOSTILE))
        for _ in range(chance.choice([0, 1, 2, 12])):
            before = device.live.used.name or None
            device.turn()
            kept.add(device.standing.good.name or None)
            trial = device.standing.trial
            assert (device.live.used.name or None) in kept | {None if trial is None else trial.name}
            assert device.report["active"] == before, "what was in use when it was said"
        if chance.random() < 0.3 and device.standing.starts < MOST_STARTS - 1:
            device.start()
            device.desire(document(n, wanted[n]))  # retained: it comes again
        device.registry.away = chance.random() < 0.3
    settle(device)
    last = wanted[max(wanted)]
    report = device.report
    assert (report["n"], report["wanted"]) == (max(wanted), last)
    if last is None or last.startswith("good"):
        assert (report["state"], report["active"], report["reason"]) == ("kept", last, "")
    else:
        assert report["state"] == "returned"
        assert report["active"] in kept
        assert ("not well within" if last.startswith("sick") else "fps") in report["reason"]
    assert device.config.camera[0].fps == (None if report["active"] is None else 10 + int(report["active"][4]))


def test_what_was_kept_outlives_everything(device: SimulatedDevice) -> None:
    device.desire(document(1, "good1@1"))
    settle(device)
    device.registry.away = True
    for _ in range(100):
        device.start()
        device.turn()
        assert device.report["active"] == "good1@1"
        assert device.config.camera[0].fps == 11


def test_a_crash_loop_on_trial_goes_back(device: SimulatedDevice) -> None:
    device.desire(document(1, "good1@1"))
    device.turn()
    for _ in range(2):
        device.start()
        assert device.config.camera[0].fps == 11
    device.start()
    assert device.config.camera[0].fps is None
    device.turn()
    assert (device.report["state"], device.report["active"]) == ("returned", None)
    assert "3 starts without being kept" in device.report["reason"]
    device.desire(document(1, "good1@1"))
    settle(device)
    assert device.report["state"] == "returned", "the same number does not try again"
    device.desire(document(2, "good1@1"))
    settle(device)
    assert device.report["state"] == "kept"


def test_a_newer_document_ends_a_trial_of_something_else(device: SimulatedDevice) -> None:
    device.desire(document(1, "sick1@1"))
    device.turn()
    assert device.report["state"] == "trial"
    device.registry.away = True
    device.desire(document(2, "good2@1"))
    device.turn()
    device.turn()
    assert (device.report["active"], device.report["state"]) == (None, "fetch")
    assert "the registry is away" in device.report["reason"]
    settle(device)
    assert (device.report["active"], device.report["state"]) == ("good2@1", "kept")


def test_what_was_away_before_is_not_held_against_a_configuration(device: SimulatedDevice) -> None:
    device.unplugged = True
    device.desire(document(1, "good2@1"))
    settle(device)
    assert device.report["state"] == "kept"


def test_what_another_trial_lacked_is_held_against_a_configuration_that_lacks_it_too(device: SimulatedDevice) -> None:
    for n, name in ((1, "sick0@1"), (2, "sick1@1")):
        device.desire(document(n, name))
        device.turn()
        assert device.report["state"] == "trial"
    settle(device)
    assert (device.report["active"], device.report["state"]) == (None, "returned")


def test_what_cannot_be_used_is_not_tried_over_and_over(device: SimulatedDevice) -> None:
    device.desire(document(1, "good1@1"))
    settle(device)
    device.path.write_text(device.path.read_text().replace("[reconfigure]", ""))
    before = device.asked
    device.live.used = device.live.read_again(device.path).version  # SIGHUP
    settle(device)
    assert device.asked == before + 1
    assert device.report["active"] is None
