"""`appliance init`: what it writes can be run, and nothing that somebody wrote is lost."""

from __future__ import annotations

import socket
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from appliance import first_config
from appliance.cli import main
from appliance.config import load
from appliance.first_config import Found, Source
from appliance.mqtt.settings import BrokerAddress
from capture.camera import CameraDevice
from capture.csi import CsiCamera, has_gstreamer
from capture.formats import Format
from capture.microphone_child import choose
from capture.source import CaptureError
from tests.conftest import REPOSITORY, StandIn

AS_INSTALLED = REPOSITORY / "scripts/packaging/appliance.toml"
BROKER = BrokerAddress("hub.lan", 1883, tls=False)


@pytest.fixture
def no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has, the command finds neither camera nor microphone."""
    monkeypatch.setattr("capture.camera.cameras", list)
    monkeypatch.setattr("capture.microphones.input_devices", list)


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every input delivers sound."""
    monkeypatch.setattr("capture.microphones.await_sound", lambda name: None)


def _init(path: Path, *options: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["init", "--config", str(path), *options])
    return done.exit_code, done.output


def test_cameras_and_microphones_become_pipelines_with_the_models_that_come_along(tmp_path: Path) -> None:
    found = Found(
        (
            Source("hd-webcam", "camera:/dev/v4l/by-id/usb-1", 'HD "Webcam"\nof Zoë'),
            Source("hd-webcam-2", "camera:0", ""),
        ),
        (Source("usb-audio", "mic:USB Audio: -", "USB Audio: - (hw:1,0)"),),
        (),
    )
    path = tmp_path / "appliance.toml"
    first_config.put(path, first_config.written(found, "dock", BROKER))
    config = load(path)
    assert [camera.uri for camera in config.camera] == ["camera:/dev/v4l/by-id/usb-1", "camera:0"]
    assert [(each.source, each.model) for each in config.pipeline] == [
        ("hd-webcam", "digits"),
        ("hd-webcam-2", "digits"),
        ("usb-audio", "spoken-digits"),
    ]
    assert config.mqtt is not None
    assert (config.device.name, config.mqtt.broker) == ("dock", "mqtt://hub.lan:1883")


def test_two_devices_of_one_label_get_two_names_and_inputs_that_are_no_hardware_are_left_out(
    sound: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = ["USB Audio: - (hw:1,0)", "USB Audio: - (hw:2,0)", "pulse", "default", "…: (hw:3,0)"]
    monkeypatch.setattr("capture.microphones.input_devices", lambda: inputs)
    found = first_config.look([])
    assert [(each.name, each.uri) for each in found.microphones] == [
        ("usb-audio", "mic:USB Audio: - (hw:1,0)"),
        ("usb-audio-2", "mic:USB Audio: - (hw:2,0)"),
        ("microphone", "mic:…:"),
    ]


INPUTS = {
    "one of its name": (["HDMI: 0 (hw:0,3)", "USB Audio: - (hw:1,0)", "default"], ["HDMI: 0", "USB Audio: -"]),
    "two alike": (["USB Audio: - (hw:1,0)", "USB Audio: - (hw:2,0)"], None),
    "one whose name is a part of another's": (
        ["Mic: - (hw:1,0)", "Room Mic: - (hw:2,0)"],
        ["Mic: - (hw:1,0)", "Room Mic: -"],
    ),
    "one that a sound session calls so too": (["USB (hw:1,0)", "usb", "pulse"], ["USB (hw:1,0)"]),
    "one without a name": (["(hw:1,0)"], ["(hw:1,0)"]),
}


@pytest.mark.parametrize("name", INPUTS)
def test_a_microphone_is_written_without_the_number_of_its_card_where_that_still_chooses_it(
    name: str, sound: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, written = INPUTS[name]
    monkeypatch.setattr("capture.microphones.input_devices", lambda: inputs)
    found = first_config.look([]).microphones
    uris = [each.uri.removeprefix("mic:") for each in found]
    assert uris == (written or inputs)
    devices = [{"name": each, "max_input_channels": 1} for each in inputs]
    assert [inputs[choose(devices, uri, default=-1)] for uri in uris] == [each.words for each in found]


HEARD: dict[str, tuple[dict[str, object], bool]] = {
    "a voice": ({}, True),
    "silence, behind a mute": ({"constant": 0.0}, True),
    "nothing at all": ({"silent_after": 0}, False),
    "no rate that it takes": ({"rates_hz": []}, False),
}


@pytest.mark.system
@pytest.mark.parametrize("name", HEARD)
def test_a_microphone_is_written_where_sound_comes_from_it(name: str, stand_in: StandIn) -> None:
    wish, written = HEARD[name]
    stand_in(**wish)
    found = first_config.look([])
    assert [each.uri for each in found.microphones] == (["mic:USB Audio:"] if written else [])
    assert ["mic:USB Audio: (hw:1,0)" in refusal for refusal in found.refusals] == ([] if written else [True])


def test_inputs_of_one_name_that_nothing_is_connected_to_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    board = [f"NVIDIA Jetson AGX Orin APE: - (hw:1,{number})" for number in range(20)]

    def await_sound(name: str) -> None:
        if name in board:
            raise CaptureError(f"mic:{name}: no sound came for 1.5 s")

    monkeypatch.setattr("capture.microphones.input_devices", lambda: [*board, "USB Audio: - (hw:2,0)"])
    monkeypatch.setattr("capture.microphones.await_sound", await_sound)
    found = first_config.look([])
    assert [each.uri for each in found.microphones] == ["mic:USB Audio: -"]
    assert found.refusals == (f"mic:{board[0]}: no sound came for 1.5 s (and 19 more inputs of that name)",)


def test_a_camera_that_delivers_no_picture_is_named_and_left_out(tmp_path: Path, no_devices: None) -> None:
    found = first_config.look([CameraDevice(str(tmp_path / "video0"), "A camera", "")])
    assert found.cameras == ()
    assert str(tmp_path / "video0") in found.refusals[0]


class Argus(CsiCamera):
    """There are the sensors 0 and 1."""

    def _open(self) -> str:
        if self._sensor > 1:
            raise CaptureError(self._lost())
        return f"1280x720 30/s from CSI sensor {self._sensor}"


SENSOR = CameraDevice("/dev/video0", "vi-output, imx219 9-0010", "")


@pytest.fixture
def csi(no_devices: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine has what a Jetson has with a CSI camera, whatever the device is called."""
    monkeypatch.setattr(first_config, "formats", lambda path: (Format("RG10", ((1920, 1080),)),))


def test_csi_cameras_are_written_by_the_numbers_of_their_sensors(csi: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capture.csi.CsiCamera", Argus)
    found = first_config.look([SENSOR])
    assert [(each.name, each.uri) for each in found.cameras] == [("csi-0", "csi:0"), ("csi-1", "csi:1")]
    assert found.cameras[1].words == "1280x720 30/s from CSI sensor 1"
    assert found.refusals == ()


def test_a_csi_camera_that_cannot_be_read_is_told_as_one(csi: None) -> None:
    if has_gstreamer(cv2.getBuildInformation()):
        pytest.skip("this OpenCV has GStreamer")
    found = first_config.look([SENSOR])
    assert (found.cameras, found.blind) == ((), True)
    assert found.refusals[0].startswith("/dev/video0 (vi-output, imx219 9-0010) is a CSI camera, ")
    assert 'uri = "csi:0"; csi:0: this OpenCV' in found.refusals[0]
    assert "has no GStreamer" in found.refusals[0]


def test_without_a_camera_the_scene_stands_in_and_the_next_step_is_named(tmp_path: Path, no_devices: None) -> None:
    path = tmp_path / "new" / "appliance.toml"
    code, said = _init(path, "--broker", f"mqtt://127.0.0.1:{_free_port()}", "--name", "dock")
    assert code == 0, said
    assert "a synthetic scene stands in" in said
    assert "no broker answers at mqtt://127.0.0.1:" in said
    assert f"appliance run --config {path}" in said
    assert load(path).camera[0].uri == "scene:digits"
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_next_step_watches_the_broker_that_was_named(
    tmp_path: Path, no_devices: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "appliance.toml"
    monkeypatch.setattr("appliance.cli.init.ETC", path)
    assert "then appliance watch\n" in _init(path)[1]
    elsewhere = f"mqtt://127.0.0.1:{_free_port()}"
    assert f"then appliance watch --broker {elsewhere}\n" in _init(path, "--force", "--broker", elsewhere)[1]


def test_what_somebody_wrote_stays_and_what_the_package_brought_is_replaced(tmp_path: Path, no_devices: None) -> None:
    path = tmp_path / "appliance.toml"
    path.write_text("# mine\n")
    code, said = _init(path)
    assert code == 2
    assert "--force replaces it" in said
    assert path.read_text() == "# mine\n"
    path.write_bytes(AS_INSTALLED.read_bytes())
    assert _init(path)[0] == 0
    assert _init(path)[0] == 2  # now it is theirs
    assert not list(tmp_path.glob("*.old*"))


def test_what_somebody_wrote_below_the_words_of_the_package_stays(tmp_path: Path, no_devices: None) -> None:
    path = tmp_path / "appliance.toml"
    mine = AS_INSTALLED.read_text() + '[device]\nname = "dock"\n'
    path.write_text(mine)
    code, said = _init(path)
    assert code == 2
    assert "--force replaces it" in said
    assert path.read_text() == mine
    assert _init(path, "--force")[0] == 0
    assert (tmp_path / "appliance.toml.old").read_text() == mine


def test_force_keeps_what_somebody_wrote_beside_the_new_file_and_both_stay_closed(
    tmp_path: Path, no_devices: None
) -> None:
    path = tmp_path / "appliance.toml"
    path.write_bytes(b"# mine, in Latin: \xe9\n")
    path.chmod(0o640)
    code, said = _init(path, "--force")
    assert code == 0, said
    assert f"what was in {path} is kept as {path}.old" in said
    assert (tmp_path / "appliance.toml.old").read_bytes() == b"# mine, in Latin: \xe9\n"
    assert load(path).camera[0].uri == "scene:digits"
    assert _init(path, "--force")[0] == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "appliance.toml",
        "appliance.toml.old",
        "appliance.toml.old.2",
    ]
    assert {each.stat().st_mode & 0o777 for each in tmp_path.iterdir()} == {0o640}
    assert b"mine" in (tmp_path / "appliance.toml.old").read_bytes()


def test_force_writes_nothing_while_another_program_holds_every_camera(
    tmp_path: Path, no_devices: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = CameraDevice(str(tmp_path / "video0"), "A camera", "")
    monkeypatch.setattr("capture.camera.cameras", lambda: [held])
    path = tmp_path / "appliance.toml"
    path.write_text("# mine\n")
    code, said = _init(path, "--force")
    assert code == 1
    assert str(tmp_path / "video0") in said
    assert "systemctl stop appliance" in said
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("appliance.toml", "# mine\n")]
    path.unlink()
    assert _init(path, "--force")[0] == 0  # nothing is lost: the scene stands in


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--broker", "hub"), "not a broker address"),
        (("--broker", "mqtt://hub:99999"), "not a broker address"),
        (("--name", "a/b"), "[device]: name"),
    ],
)
def test_what_cannot_stand_in_a_configuration_is_said_and_nothing_is_written(
    tmp_path: Path, no_devices: None, options: tuple[str, ...], why: str
) -> None:
    code, said = _init(tmp_path / "appliance.toml", *options)
    assert code == 2
    assert why in said
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_said_with_the_next_step(no_devices: None) -> None:
    code, said = _init(Path("/proc/nowhere/appliance.toml"))
    assert code == 1
    assert "run this as root, or name a place with --config" in said


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
