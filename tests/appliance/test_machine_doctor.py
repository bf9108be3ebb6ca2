"""Sick machines, one by one: what the doctor finds, how bad it is, and whether it says what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from appliance.broker_doctor import broker_findings
from appliance.config import Config, parse
from appliance.machine_doctor import judge_clock, machine_findings
from appliance.microphone_doctor import judge, level_findings
from tests.certificates import LONG_AGO, Authority
from tests.conftest import Broker, free_port
from tests.pulse import PulseAudio

QUIET = np.random.default_rng(0)


def noise(amplitude: float) -> np.ndarray:
    return (QUIET.standard_normal(16_000) * amplitude).astype(np.float32)


def thermal(milli_c: int) -> Callable[[Path], None]:
    def make(sys: Path) -> None:
        zone = sys / "class" / "thermal" / "thermal_zone0"
        zone.mkdir(parents=True)
        (zone / "temp").write_text(f"{milli_c}\n")

    return make


def governed(name: str, by: str = "") -> Callable[[Path], None]:
    def make(sys: Path) -> None:
        cpu = sys / "devices" / "system" / "cpu"
        (cpu / "cpu0" / "cpufreq").mkdir(parents=True)
        (cpu / "cpu0" / "cpufreq" / "scaling_governor").write_text(f"{name}\n")
        if by:
            (cpu / by).mkdir()

    return make


MACHINES = {
    "cool": (thermal(45_000), "temperature", "ok", "45 °C"),
    "warm": (thermal(85_000), "temperature", "note", "slows down when hot"),
    "hot": (thermal(97_500), "temperature", "problem", "98 °C at the hottest part"),
    "a sensor that tells nonsense": (thermal(-256_000), "temperature", "note", "nothing here tells it"),
    "no sensor": (lambda _: None, "temperature", "note", "nothing here tells it"),
    "no power monitor": (lambda _: None, "power", "note", "no power monitor"),
    "a processor held back": (governed("powersave"), "power mode", "note", "lowest clock"),
    "a processor that is free": (governed("schedutil"), "power mode", None, ""),
    "an Intel, whose powersave is not": (governed("powersave", by="intel_pstate"), "power mode", None, ""),
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine(name: str, tmp_path: Path) -> None:
    make, subject, state, words = MACHINES[name]
    make(tmp_path)
    found = {finding.subject: finding for finding in machine_findings(tmp_path)}
    if state is None:
        assert subject not in found
        return
    assert (found[subject].state, words in found[subject].text) == (state, True), found[subject]
    assert found[subject].fix or state != "problem"


MODES = {
    "the largest": ("NV Power Mode: MAXN_SUPER\n2\n", "ok", "MAXN_SUPER"),
    "a smaller one": ("NV Power Mode: 15W\n0\n", "note", "15W: less than this machine can do"),
    "a program that fails": ("", "note", "nvpmodel does not tell it"),
}


@pytest.mark.parametrize("name", MODES)
def test_the_power_mode_of_a_jetson(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    says, state, words = MODES[name]
    program = tmp_path / "nvpmodel"
    program.write_text(f"#!/bin/sh\nprintf '{says}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (found,) = [finding for finding in machine_findings(tmp_path) if finding.subject == "power mode"]
    assert (found.state, found.text) == (state, words)


def test_ajudge_clock_without_a_battery_is_a_problem() -> None:
    found = judge_clock(86_400.0)
    assert found.state == "problem"
    assert "1970" in found.text
    assert found.fix


LEVELS = {
    "a room": (noise(0.01), "ok", "dBFS"),
    "a whisper in an empty house": (noise(0.0001), "note", "hardly anything"),
    "overdriven": (np.clip(noise(2.0), -1, 1), "note", "overdriven"),
    "muted": (np.zeros(16_000, np.float32), "problem", "exact silence"),
    "nothing at all": (np.zeros(0, np.float32), "problem", "exact silence"),
}


@pytest.mark.parametrize("name", LEVELS)
def test_a_level(name: str) -> None:
    samples, state, words = LEVELS[name]
    found = judge("level of hall", samples)
    assert (found.state, words in found.text) == (state, True), found
    assert bool(found.fix) == (state != "ok")


MICROPHONE = '[[microphone]]\nname = "hall"\nuri = "mic:"\n'


@pytest.mark.system
def test_a_microphone_is_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with PulseAudio() as sound:
        for name, value in sound.environment.items():
            monkeypatch.setenv(name, value)
        sound.make_noise()
        (found,) = level_findings(parse(MICROPHONE, "a.toml"))
        assert found.subject == "level of hall"
        assert found.text.endswith("dBFS") or "overdriven" in found.text
        sound.hush()
        (found,) = level_findings(parse(MICROPHONE, "a.toml"))
        assert found.state == "problem"
        assert "alsamixer" in found.fix


def test_a_microphone_that_is_disabled_or_a_file_is_left_alone() -> None:
    assert list(level_findings(parse(MICROPHONE + "enabled = false\n", "a.toml"))) == []
    assert list(level_findings(parse(MICROPHONE.replace("mic:", "wav:none.wav"), "a.toml"))) == []


def ending(days: float) -> tuple[str, str]:
    end = datetime.now(timezone.utc) + timedelta(days=days)
    return LONG_AGO[0], end.strftime("%Y%m%d%H%M%SZ")


CERTIFICATES = {
    "good for long": (ending(400.5), "ok", "good for 400 days"),
    "soon over": (ending(9.5), "note", "good for 9 days"),
}


@pytest.mark.broker
@pytest.mark.system
@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_of_the_broker(name: str, new_broker: type[Broker], tmp_path: Path) -> None:
    valid, state, words = CERTIFICATES[name]
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.sign("broker", valid=valid)
    port = free_port()
    listener = f"listener {port} 127.0.0.1\ncertfile {certificate}\nkeyfile {key}\nallow_anonymous true"
    broker = new_broker(tmp_path, listener)
    broker.start()
    try:
        found = {finding.subject: finding for finding in broker_findings(secured(port, authority.certificate))}
    finally:
        broker.kill()
    assert found["broker"].state == "ok"
    theirs = found["certificate of the broker"]
    assert (theirs.state, theirs.text, bool(theirs.fix)) == (state, words, state != "ok")


def secured(port: int, authority: Path, more: str = "") -> Config:
    return parse(f'[mqtt]\nbroker = "mqtts://127.0.0.1:{port}"\nca_file = "{authority}"\n{more}', "a.toml")


@pytest.mark.system
def test_our_own_certificate_that_has_ended_is_a_problem_although_no_broker_answers(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.sign("box", valid=LONG_AGO)
    config = secured(free_port(), authority.certificate, f'cert_file = "{certificate}"\nkey_file = "{key}"\n')
    found = list(broker_findings(config))
    assert [finding.state for finding in found] == ["problem", "problem"]
    assert "it ended" in found[1].text
    assert "appliance broker renew" in found[1].fix


HIDDEN = {
    "a password": ('username = "me"\npassword_file = "credential:mqtt-password"', "credential:mqtt-password"),
    "a key": ('cert_file = "none.crt"\nkey_file = "credential:mqtt.key"', "credential:mqtt.key"),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_broker_whose_secret_only_the_service_has_is_no_problem(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, secret = HIDDEN[name]
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    found = broker_findings(parse(f'[mqtt]\nbroker = "mqtt://127.0.0.1:{free_port()}"\n{keys}', "a.toml"))
    broker = next(finding for finding in found if finding.subject == "broker")
    assert broker.state == "note"
    assert f"not tried: the service alone knows {secret}" in broker.text
    assert "journalctl -u appliance" in broker.fix


def test_a_secret_that_systemd_was_to_give_and_has_not_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (broker,) = broker_findings(parse(f"[mqtt]\n{HIDDEN['a password'][0]}", "a.toml"))
    assert (broker.state, "mqtt-password: the secret cannot be read" in broker.text) == ("problem", True)


@pytest.mark.system
def test_a_certificate_that_is_none_is_not_judged(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    config = secured(free_port(), authority.certificate, 'cert_file = "/bin/sh"\nkey_file = "/bin/sh"\n')
    found = list(broker_findings(config))
    assert (found[1].state, found[1].text) == ("note", "its end cannot be read")
