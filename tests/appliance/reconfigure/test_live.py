"""A real appliance is given other configurations over a real broker: good ones, bad ones, and none."""

from __future__ import annotations

import signal
import time

import pytest

from tests.appliance.reconfigure.conftest import DESIRED, Site, camera, pipeline
from tests.appliance.sync.world import Hands
from tests.appliance_process import ApplianceProcess, Ear
from tests.registries import PASSPHRASE
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system, pytest.mark.timeout(240)]

RESULT = "pipeline/shapes/result"
YARD = camera() + camera("yard") + pipeline("shapes") + pipeline("yard-shapes", "yard")


def results(ear: Ear, name: str = "shapes", since_s: float = 0.0) -> int:
    return len([r for r in ear.documents(f"pipeline/{name}/result", since_s) if r["status"] == "ok"])


def test_a_signed_configuration_is_used_while_running_and_kept_for_ever(site: Site, ear: Ear, hands: Hands) -> None:
    site.publish("docks@1", YARD)
    with ApplianceProcess(site.folder, site.file()) as appliance:
        ear.await_document(RESULT, within_s=40, status="ok")
        pid = appliance.pid
        told = site.command("registry", "configure", "docks@1", "--broker", site.broker.url, "--device", "box")
        assert "box: docks@1 is kept" in told
        assert results(ear, "yard-shapes") > 0
        assert site.reported()["active"] == "docks@1"
        assert (appliance.running, appliance.pid) == (True, pid)
        assert "starting again" not in appliance.log
        appliance.send(signal.SIGKILL)
        appliance.ends()
        hands.silent = True  # no registry, and an operator who says nothing new
        since_s = time.monotonic()
        appliance.start()
        until(lambda: results(ear, "yard-shapes", since_s) > 2, 40)
        appliance.send(signal.SIGTERM)
        assert appliance.ends() == 0
    events = site.command("config", "history", *site.config)
    assert events.startswith("docks@1 is used\n")
    for event in ("fetched and judged", "used, on trial", "kept"):
        assert event in events


def test_what_needs_a_fresh_process_gets_one_in_order(site: Site, ear: Ear) -> None:
    site.publish("docks@1", "[outbox]\nmax_mb = 17\n[device]\nlog_format = 'json'\n")
    with ApplianceProcess(site.folder, site.file()) as appliance:
        ear.await_document(RESULT, within_s=40, status="ok")
        pid = appliance.pid
        site.desire("docks@1")
        site.await_state("kept")
        assert appliance.running
        assert appliance.pid == pid
        assert "starting again: docks@1: [device], [outbox] need a fresh process" in appliance.log
        assert b"stopped" in ear.payloads("box/available"), "it went in order"
        since_s = time.monotonic()
        until(lambda: results(ear, since_s=since_s) > 2, 20)
        site.desire(None)
        site.await_state("kept")
        assert site.reported()["active"] is None
        assert appliance.log.count("starting again") == 2
        until(lambda: results(ear, since_s=time.monotonic() - 1.0) > 0, 20)
        appliance.send(signal.SIGTERM)
        assert appliance.ends() == 0


REFUSED = {
    "a bad value": ('[[camera]]\nname = "dock"\nuri = "scene:shapes"\nfps = "fast"\n', "expected a number of pictures"),
    "a source that is not there": (pipeline("more", "nowhere"), "no camera or microphone has this name"),
    "an address that is none": (camera(uri="scene:nothing"), "[[camera]] dock: uri"),
    "no TOML": ("[[camera", "not valid TOML"),
}


def test_what_cannot_be_used_is_refused_in_a_sentence_and_nothing_changes(site: Site, ear: Ear) -> None:
    with ApplianceProcess(site.folder, site.file()) as appliance:
        ear.await_document(RESULT, within_s=40, status="ok")
        for number, (text, sentence) in enumerate(REFUSED.values(), start=1):
            if text == "[[camera":
                continue  # its owner is told when it is published
            site.publish(f"docks@{number}", text)
            site.desire(f"docks@{number}")
            report = site.await_state("returned")
            assert sentence in report["reason"]
            assert report["active"] is None
        site.publish("others@1", YARD, "another-box")
        site.desire("others@1")
        assert "signed for other devices" in site.await_state("returned")["reason"]
        site.desire("docks@77")
        assert "nobody has signed it" in site.await_state("returned")["reason"]
        ear.forge(DESIRED, b'{"n": 99, "config": "docks@1", "camera": []}', retain=True)
        until(lambda: "camera" in site.reported()["error"], 10)
        seqs = [result["seq"] for result in ear.documents(RESULT)]
        assert seqs == sorted(seqs), "never begun anew"
        assert "reloaded" not in appliance.log


def test_a_configuration_whose_camera_is_not_there_is_taken_back(site: Site, ear: Ear) -> None:
    site.publish("docks@1", camera(uri="file:/nonexistent.mp4"))
    with ApplianceProcess(site.folder, site.file(patience_s=4.0)):
        ear.await_document(RESULT, within_s=40, status="ok")
        site.desire("docks@1")
        report = site.await_state("returned")
        assert "not well within 4 s: dock:" in report["reason"]
        since_s = time.monotonic()
        until(lambda: results(ear, since_s=since_s) > 2, 20)
        until(lambda: site.reported()["active"] is None, 10)
        assert "was returned" in site.command("config", "history", *site.config)


def test_a_configuration_that_ends_the_process_three_times_is_taken_back_without_a_network(
    site: Site, ear: Ear, hands: Hands
) -> None:
    site.publish("docks@1", YARD)
    with ApplianceProcess(site.folder, site.file(hold_s=600.0)) as appliance:
        ear.await_document(RESULT, within_s=40, status="ok")
        site.desire("docks@1")
        until(lambda: results(ear, "yard-shapes") > 0, 30)
        hands.silent = True
        for start in range(1, 4):
            appliance.send(signal.SIGKILL)
            appliance.ends()
            since_s = time.monotonic()
            appliance.start()
            until(lambda since_s=since_s: results(ear, since_s=since_s) > 5, 40)  # type: ignore[misc]
            assert (results(ear, "yard-shapes", since_s) > 0) is (start < 3), start
        assert "3 starts without being kept" in site.await_state("returned")["reason"]


def test_a_person_at_the_device_goes_back_and_stays_there(site: Site, ear: Ear) -> None:
    site.publish("docks@1", YARD)
    with ApplianceProcess(site.folder, site.file()) as appliance:
        ear.await_document(RESULT, within_s=40, status="ok")
        assert "nothing came from afar" in site.command("config", "rollback", *site.config, code=2)
        site.desire("docks@1")
        site.await_state("kept")
        assert "docks@1 returned; the file on the device is used" in site.command("config", "rollback", *site.config)
        until(lambda: site.reported()["active"] is None, 20)
        site.desire("docks@1", site.n)  # as the broker keeps it
        appliance.send(signal.SIGHUP)
        until(lambda: appliance.log.count("reloaded") == 3, 20)
        assert (site.reported()["active"], site.reported()["state"]) == (None, "returned")
        site.desire("docks@1")
        assert site.await_state("kept")["active"] == "docks@1"


def test_what_its_owner_revokes_gives_way_to_the_last_good_one(
    site: Site, ear: Ear, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("APPLIANCE_REGISTRY_PASSPHRASE", PASSPHRASE)
    registry = str(site.owner.folder)
    site.publish("docks@1", YARD)
    site.publish("docks@2", YARD + pipeline("more"), "box")
    with ApplianceProcess(site.folder, site.file(look_s=2.0)) as appliance:
        ear.await_document(RESULT, within_s=40, status="ok")
        for name in ("docks@1", "docks@2"):
            site.desire(name)
            site.await_state("kept")
        assert "docks@2: configuration" in site.command("registry", "list", registry)
        assert "docks@2: revoked" in site.command("registry", "revoke-config", registry, "docks@2")
        report = site.await_state("returned")
        assert report["reason"] == "docks@2: its owner has revoked it"
        until(lambda: site.reported()["active"] == "docks@1", 20)
        since_s = time.monotonic()
        until(lambda: results(ear, "yard-shapes", since_s) > 2, 20)
        assert results(ear, "more", since_s + 1.0) == 0
        hands.silent = True
        appliance.send(signal.SIGKILL)
        appliance.ends()
        appliance.start()
        until(lambda: site.reported()["active"] == "docks@1", 40)
    assert "docks@2  returned: its owner has revoked it" in site.command("config", "history", *site.config)
    assert "no such configuration" in site.command("registry", "revoke-config", registry, "docks@2", code=2)


def test_without_the_table_nobody_can_reconfigure_a_device(site: Site, ear: Ear) -> None:
    site.publish("docks@1", YARD)
    file = site.file()
    file = file[: file.index("[reconfigure]")] + camera() + pipeline("shapes")
    with ApplianceProcess(site.folder, file):
        ear.await_document(RESULT, within_s=40, status="ok")
        site.desire("docks@1")
        heard = results(ear)
        until(lambda: results(ear) > heard + 10, 20)
        assert site.reported() == {}
        assert results(ear, "yard-shapes") == 0
    assert "no configuration comes from afar" in site.command("config", "history", *site.config, code=2)
