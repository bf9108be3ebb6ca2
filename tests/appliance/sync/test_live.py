"""A whole appliance, a registry, and an owner who publishes good and bad versions of what it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.catalogue import Catalogue
from appliance.registry.publish import revoke
from appliance.sync.carrier import Carrier
from appliance.sync.http_carrier import HttpCarrier
from appliance.sync.published import Reference
from engines.bundle import Bundle, write_bundle
from engines.library import Library
from engines.manifest import Manifest
from tests.appliance.sync.hand_over import hand_overs
from tests.appliance.sync.world import Hands, served_http, served_mqtt
from tests.appliance_process import ApplianceProcess, Ear
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.registries import Owner, as_version, noise, shipped
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system, pytest.mark.timeout(240)]

RESULT = "pipeline/shapes/result"


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:
    with Ear(broker.port) as ear:
        yield ear


@pytest.fixture
def url(hands: Hands) -> Iterator[str]:
    with served_http(hands) as carrier:
        made: Carrier = carrier()
        assert isinstance(made, HttpCarrier)
        yield made.url


class Site:
    """An appliance with [models], and the commands of its operator."""

    def __init__(self, folder: Path, broker: Broker, owner: Owner, url: str) -> None:
        self.folder, self.broker, self.owner, self.url = folder, broker, owner, url
        self.registry = url
        self.fps = 4
        (folder / "root.json").write_bytes(owner.anchor)

    def config(self, **terms: float) -> str:
        registry = self.registry
        terms = {"shadow_s": 2.0, "shadow_samples": 20, "probation_s": 2.0} | terms
        keys = "\n".join(f"{key} = {value}" for key, value in terms.items())
        return f"""
[mqtt]
broker = "{self.broker.url}"
[models]
registry = "{registry}"
root = "{self.folder}/root.json"
slower = 500
{keys}
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = {self.fps}
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
every = true
timeout_s = 30.0
"""

    def publish(self, version: str) -> Bundle:
        made = as_version(shipped("shapes"), version, self.folder / "bundles", noise(300_000))
        self.owner.publish(made)
        return made

    def command(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "appliance", "models", *words, "--config", str(self.folder / "appliance.toml")],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def now(self) -> dict[str, Any]:
        """State of the shapes model."""
        found: dict[str, Any] = json.loads(self.command("history", "--json"))["now"]["shapes"]
        return found

    def await_state(self, state: str, within_s: float = 120.0) -> dict[str, Any]:
        until(lambda: self.now()["state"] == state, within_s, f"{state}, not {self.now()}")
        return self.now()

    def active(self) -> str:
        return Catalogue.before_shipped(Library(self.folder / "models")).find("shapes").manifest.version


@pytest.fixture
def site(tmp_path: Path, broker: Broker, owner: Owner, url: str) -> Site:
    return Site(tmp_path, broker, owner, url)


def versions(ear: Ear) -> list[str]:
    return [result["model"]["version"] for result in ear.documents(RESULT) if result["status"] == "ok"]


def newest(ear: Ear) -> str:
    """Version of the last result: all of them are too much to read again and again beside many pictures a second."""
    return str(json.loads(ear.payloads(RESULT)[-1])["model"]["version"])


def test_a_new_version_takes_over_between_two_pictures_and_rolls_back_on_demand(
    site: Site, ear: Ear, long_run: bool
) -> None:
    site.fps = 30
    wanted = [str(number) for number in range(2, 7 if long_run else 3)]
    digests = {"1": shipped("shapes").manifest.digest}
    with ApplianceProcess(site.folder, site.config()) as appliance:
        ear.await_document(RESULT, within_s=40, status="ok")
        for version in wanted:
            digests[version] = site.publish(version).manifest.digest
            assert "the appliance goes on from here" in site.command("activate", f"shapes@{version}")
            until(lambda version=version: _is_kept(ear, version), 120, f"{version} is kept")  # type: ignore[misc]
            assert f"{version} returned; 1 is active" in site.command("rollback", "shapes")
            until(lambda: newest(ear) == "1", 30)
        ear.await_document("box/health", within_s=40)
        appliance.send(signal.SIGTERM)
        assert appliance.ends() == 0
    events = site.command("history")
    for event in ("fetched", "tried", "shadow: 100% agreement", "activated", "kept", "returned: asked for"):
        assert event in events
    results = ear.documents(RESULT)
    assert {result["status"] for result in results} == {"ok"}
    assert all(result["model"]["digest"] == digests[result["model"]["version"]] for result in results)
    told = hand_overs(results)
    assert len(told) == 2 * len(wanted), "from one version to the other, once"
    for each in told:
        tell(
            "G15 hand-over",
            fps=site.fps,
            lost=each.lost,
            usual_lost=each.usual_lost,
            gap_ms=each.gap_ms,
            usual_gap_ms=each.usual_gap_ms,
        )
    assert all(each.lost <= 1 for each in told if not each.usual_lost), told  # a machine that loses more is no judge


def test_a_version_that_says_something_else_never_answers(site: Site, ear: Ear, tmp_path: Path) -> None:
    good = as_version(shipped("shapes"), "2", tmp_path / "good")
    document = json.loads(good.manifest.canonical()) | {"labels": ["cat", "dog", "cow"]}
    site.owner.publish(
        write_bundle(tmp_path / "bad", Manifest.model_validate_json(json.dumps(document)), dict(good.files))
    )
    with ApplianceProcess(site.folder, site.config()):
        ear.await_document(RESULT, within_s=40, status="ok")
        site.command("activate", "shapes@2")
        assert "it says something else: 0% agreement" in site.await_state("returned")["reason"]
        assert set(versions(ear)) == {"1"}
        assert "was returned before" in site.command("pull", "shapes@2", code=1)


def test_without_an_appliance_at_work_a_version_is_active_from_the_next_start_on(site: Site, ear: Ear) -> None:
    site.publish("2")
    appliance = ApplianceProcess(site.folder, site.config())
    assert "shapes@2: 2 is ready" in site.command("pull", "shapes@2")
    assert site.active() == "1"
    assert "active from the next start on, on probation; 1 stays installed" in site.command("activate", "shapes@2")
    with appliance:
        until(lambda: versions(ear), 40)
        site.await_state("kept")
    assert set(versions(ear)) == {"2"}
    assert "pinned to 2" in site.command("pin", "shapes")
    assert "pinned to 2" in site.command("pull", "shapes@3", code=2)
    assert "not pinned" in site.command("pin", "shapes", "--off")


def test_what_an_operator_desires_comes_over_mqtt_alone_and_is_reported(site: Site, ear: Ear, hands: Hands) -> None:
    site.publish("2")
    site.registry = "mqtt"
    with served_mqtt(hands, site.broker), ApplianceProcess(site.folder, site.config()):
        ear.await_document(RESULT, within_s=40, status="ok")
        document = json.dumps({"n": 1, "models": {"shapes": {"version": "2"}, "none": {"version": "1"}}})
        ear.forge("appliance/box/models/desired", document.encode(), retain=True)
        until(lambda: _reported(ear, "shapes").get("state") == "kept", 150, "kept")
        kept = {"active": "2", "version": "2", "state": "kept", "reason": ""}
        assert _reported(ear, "shapes") == {**kept, "percent": None, "offered": None, "notes": ""}
        until(lambda: "nobody has signed it" in _reported(ear, "none").get("reason", ""), 60)
        until(lambda: versions(ear)[-1] == "2", 20)


def test_what_the_registry_published_last_is_offered_and_installed_when_it_is_asked_for(site: Site, ear: Ear) -> None:
    site.publish("2")
    with ApplianceProcess(site.folder, site.config(look_s=1.0)):
        until(lambda: _reported(ear, "shapes").get("offered") == "2", 40)
        assert _reported(ear, "shapes")["state"] is None
        ear.say("appliance/box/request/install", {"data": {"model": "shapes"}})
        assert ear.await_document("response/install")["data"] == {"model": "shapes", "version": "2"}
        until(lambda: _reported(ear, "shapes").get("state") == "kept", 150, "kept")
        assert _reported(ear, "shapes")["offered"] is None
        until(lambda: versions(ear)[-1] == "2", 20)
        ear.say("appliance/box/request/install", {"data": {"model": "shapes"}, "transaction": 2})
        refused = ear.await_document("response/install", transaction=2)
        assert refused["error"] == "shapes: no other version than 2 is offered"


def test_documents_in_any_order_and_a_kill_end_at_the_highest_number(site: Site, ear: Ear) -> None:
    wanted = {1: "2", 2: "1", 3: "2", 4: "1", 5: "3"}
    for version in ("2", "3"):
        site.publish(version)
    with ApplianceProcess(site.folder, site.config()) as appliance:
        ear.await_document(RESULT, within_s=40, status="ok")
        for n in (3, 1, 3, 2, 5, 4, 5, 1):
            document = {"n": n, "models": {"shapes": {"version": wanted[n]}}}
            ear.forge("appliance/box/models/desired", json.dumps(document).encode(), retain=True)
            if n == 2:  # the download of 2 may be at any of its steps
                until(lambda: _reported(ear, "shapes").get("version") == "2", 40)
                appliance.send(signal.SIGKILL)
                appliance.ends()
                appliance.start()
        until(lambda: _reported(ear, "shapes").get("state") == "kept", 180, "kept")
        reported = _reported(ear, "shapes")
        assert (reported["active"], reported["version"], reported["reason"]) == ("3", "3", "")
        assert ear.documents("box/models/reported")[-1]["n"] == 5
        until(lambda: versions(ear)[-1] == "3", 20)
        assert set(versions(ear)) == {"1", "3"}


def _is_kept(ear: Ear, version: str) -> bool:
    reported = _reported(ear, "shapes")
    return (reported.get("active"), reported.get("state")) == (version, "kept") and newest(ear) == version


def _reported(ear: Ear, model: str) -> dict[str, Any]:
    reports = ear.documents("box/models/reported")
    found: dict[str, Any] = reports[-1]["models"].get(model, {}) if reports else {}
    return found


def test_a_version_that_its_owner_revokes_goes_back_by_itself(site: Site, ear: Ear) -> None:
    site.publish("2")
    with ApplianceProcess(site.folder, site.config(look_s=2.0)):
        ear.await_document(RESULT, within_s=40, status="ok")
        site.command("activate", "shapes@2")
        site.await_state("kept")
        revoke(site.owner.repository, site.owner.keyring, Reference("shapes", "2"))
        assert site.await_state("returned")["reason"] == "its owner has revoked it"
        until(lambda: versions(ear)[-1] == "1", 30)


WRONG: dict[str, tuple[list[str], int, str]] = {
    "no version": (["pull", "shapes"], 2, "name a model and its version"),
    "nobody has signed it": (["pull", "shapes@9"], 1, "nobody has signed it"),
    "nothing to roll back": (["rollback", "shapes"], 2, "no version of it came from a registry"),
    "no such model to pin": (["pin", "none"], 2, "no such model"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_a_sentence(site: Site, case: str) -> None:
    words, code, sentence = WRONG[case]
    ApplianceProcess(site.folder, site.config())
    assert sentence in site.command(*words, code=code)


def test_a_registry_that_is_away_is_said_and_what_came_stays(site: Site, hands: Hands) -> None:
    site.publish("2")
    hands.silent = True
    ApplianceProcess(site.folder, site.config())
    assert "give the command again" in site.command("pull", "shapes@2", code=1)
    hands.silent = False
    assert "is ready" in site.command("pull", "shapes@2")
