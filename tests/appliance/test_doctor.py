"""The doctor in sick environments: it names each problem and its fix, and never falls ill itself."""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance import doctor
from appliance.config import Config, parse
from appliance.outbox.file import OUTBOX, take_lock
from capture.camera import CameraDevice
from capture.formats import Format
from tests.conftest import Broker, free_port

pytestmark = pytest.mark.system

CAMERA = '[[camera]]\nname = "dock"\nuri = "scene:shapes"\n'
PIPELINE = '[[pipeline]]\nname = "p"\nsource = "dock"\nmodel = "shapes"\n'


def findings(folder: Path, config: str | None = None, **broken: str) -> list[Any]:
    """What `appliance doctor --json` finds; `broken`: module = what stands in its place."""
    shims = folder / "shims"
    shims.mkdir(exist_ok=True)
    for module, text in broken.items():
        (shims / f"{module}.py").write_text(text)
    words = ["doctor", "--json"]
    if config is not None:
        (folder / "a.toml").write_text(f'[device]\nstate_dir = "{folder}/state"\n{config}')
        words += ["--config", str(folder / "a.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "appliance", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": f"{shims}{os.pathsep}{os.pathsep.join(filter(None, sys.path))}"},
    )
    assert "Traceback" not in done.stderr, done.stderr
    document = json.loads(done.stdout)
    assert done.returncode == (0 if document["ok"] else 1)
    found: list[Any] = document["findings"]
    assert all(finding["fix"] for finding in found if finding["state"] == "problem")
    return found


def problems(found: list[Any]) -> dict[str, str]:
    return {finding["subject"]: finding["text"] for finding in found if finding["state"] == "problem"}


NO_MICROPHONE = Path(__file__).parents[1] / "stand_in_sounddevice.py"
MISSING = 'raise ImportError("no such module")'
SICK = {
    "no OpenCV": ("cv2", MISSING, "OpenCV"),
    "an OpenCV without its libraries": ("cv2", 'raise ImportError("libGL.so.1: cannot open")', "OpenCV"),
    "no ONNX Runtime": ("onnxruntime", MISSING, "ONNX Runtime"),
    "an ONNX Runtime for another processor": ("onnxruntime", 'raise OSError("wrong ELF class")', "ONNX Runtime"),
    "no sound files": ("soundfile", MISSING, "sound files"),
}


@pytest.mark.parametrize("name", SICK)
def test_a_package_that_cannot_be_loaded_is_a_problem_with_a_fix(name: str, tmp_path: Path) -> None:
    module, text, subject = SICK[name]
    assert subject in problems(findings(tmp_path, **{module: text}))


@pytest.mark.parametrize(
    ("prefix", "fixes"),
    {
        "/opt/appliance/0.1.0": (
            "dpkg-reconfigure edge-inference-appliance",
            "runuser -u appliance -- appliance models",
        ),
        "/home/me/.venv": ("pip install --force-reinstall onnxruntime", "appliance models add"),
    }.items(),
)
def test_a_fix_is_one_for_how_it_was_installed(tmp_path: Path, prefix: str, fixes: tuple[str, str]) -> None:
    broken = {"sitecustomize": f"import sys; sys.prefix = {prefix!r}", "onnxruntime": MISSING}
    found = findings(tmp_path, CAMERA + PIPELINE.replace("shapes", "nobodys"), **broken)
    said = {finding["subject"]: finding["fix"] for finding in found}
    assert said["ONNX Runtime"] == fixes[0]
    assert said["model"].startswith(fixes[1])


def test_who_is_to_join_the_group_is_whoever_asked_and_not_whom_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = CameraDevice(str(tmp_path / "closed"), "HD Webcam", "")
    monkeypatch.setattr("appliance.doctor.cameras", lambda: [closed])
    monkeypatch.setattr("appliance.doctor.grp.getgrall", lambda: [grp.struct_group(("video", "x", 44, []))])
    monkeypatch.setenv("USER", "somebody-else")
    *_, found = doctor.camera_findings(Config())
    assert found.fix == f"usermod -aG video {pwd.getpwuid(os.getuid()).pw_name}, then log in again"


def test_portaudio_is_only_missed_where_a_microphone_is_configured(tmp_path: Path) -> None:
    broken = 'raise OSError("PortAudio library not found")'
    assert "microphones" not in problems(findings(tmp_path, CAMERA, sounddevice=broken))
    microphone = '[[microphone]]\nname = "hall"\nuri = "mic:"\n'
    assert "which hall needs" in problems(findings(tmp_path, microphone, sounddevice=broken))["microphones"]


@pytest.mark.parametrize("runs", [False, True])
def test_a_microphone_that_the_running_appliance_may_hold_is_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: bool
) -> None:
    monkeypatch.setenv("STAND_IN", '{"channels": 0}')
    lock = take_lock(tmp_path / "state" / OUTBOX) if runs else None
    try:
        microphone = '[[microphone]]\nname = "hall"\nuri = "mic:USB"\n'
        found = findings(tmp_path, microphone, sounddevice=NO_MICROPHONE.read_text())
    finally:
        if lock is not None:
            os.close(lock)
    said = {finding["subject"]: finding for finding in found}
    for subject in ("microphones", "level of hall"):
        assert said[subject]["state"] == ("note" if runs else "problem")
        assert "stop it to measure: systemctl stop appliance" in said[subject]["fix"]


def test_a_model_that_does_not_fit_is_a_problem(tmp_path: Path) -> None:
    found = findings(tmp_path, CAMERA + PIPELINE.replace("shapes", "tones"))
    assert "p: tones listens to sound" in problems(found)["model"]


def test_a_state_folder_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert "cannot be written" in problems(findings(tmp_path, CAMERA))["disk"]


def test_a_csi_camera_is_told_by_the_address_that_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "video0").touch()
    sensor = CameraDevice(str(tmp_path / "video0"), "vi-output, imx219 9-0010", "")
    monkeypatch.setattr(doctor, "cameras", lambda: [sensor])
    monkeypatch.setattr(doctor, "formats", lambda path: (Format("RG10", ((1920, 1080),)),))
    *_, found = doctor.camera_findings(Config())
    assert (found.state, found.text) == (
        "note",
        f'{sensor.path} (vi-output, imx219 9-0010): a CSI camera, on a Jetson uri = "csi:0": RG10 1920x1080',
    )
    assert 'uri = "csi:0" under [[camera]]' in found.fix
    *_, found = doctor.camera_findings(parse('[[camera]]\nname = "dock"\nuri = "csi:0"\n', "here"))
    assert (found.state, found.fix) == ("ok", "")


def test_a_broken_configuration_is_a_problem_for_each_fault(tmp_path: Path) -> None:
    found = findings(tmp_path, CAMERA + 'fps = "fast"\nrotate = 45\n')
    assert len([finding for finding in found if finding["subject"] == "configuration"]) == 2


NO_BROKER = {
    "nobody listens": ('broker = "mqtt://127.0.0.1:{port}"', "no connection"),
    "no certificate": ('broker = "mqtts://127.0.0.1:{port}"\nca_file = "none"', "No such file or directory"),
    "a certificate that is none": ('broker = "mqtts://127.0.0.1:{port}"\nca_file = "/bin/sh"', "not a certificate"),
    "no password": ('broker = "mqtt://127.0.0.1:{port}"\nusername = "me"\npassword_file = "none"', "none: the secret"),
}


@pytest.mark.parametrize("name", NO_BROKER)
def test_a_broker_that_cannot_be_reached_is_a_problem_with_its_reason(name: str, tmp_path: Path) -> None:
    keys, words = NO_BROKER[name]
    assert words in problems(findings(tmp_path, f"[mqtt]\n{keys.format(port=free_port())}\n{CAMERA}"))["broker"]


def test_a_password_that_only_the_service_has_is_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    keys = f'broker = "mqtt://127.0.0.1:{free_port()}"\nusername = "me"\npassword_file = "credential:mqtt-password"'
    found = findings(tmp_path, f"[mqtt]\n{keys}\n{CAMERA}")
    assert {"broker", "permissions", "secrets"}.isdisjoint(problems(found))
    assert {each["subject"] for each in found if "the service alone" in each["text"]} == {"broker", "secrets"}


@pytest.mark.broker
def test_a_broker_that_answers_is_fine(broker: Broker, tmp_path: Path) -> None:
    found = findings(tmp_path, f'[mqtt]\nbroker = "{broker.url}"\n{CAMERA}{PIPELINE}')
    assert {f["subject"]: f["state"] for f in found if f["subject"] in ("broker", "model", "configuration")} == {
        "broker": "ok",
        "model": "ok",
        "configuration": "ok",
    }
