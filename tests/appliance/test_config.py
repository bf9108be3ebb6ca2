from __future__ import annotations

import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from appliance.assembly import check, read
from appliance.config import Config, load, parse
from appliance.config_errors import ConfigError
from appliance.mqtt.settings import LinkSettings
from appliance.secret import secret, token

CAMERA = '[[camera]]\nname = "front"\nuri = "scene:shapes"\n'
PIPELINE = CAMERA + '[[pipeline]]\nname = "p"\nsource = "front"\nmodel = "m"\n'
ZONE = PIPELINE + '[[pipeline.zones]]\nname = "z"\n'

FAULTS = {
    "a word for a number": (
        CAMERA + 'fps = "fast"',
        '[[camera]] front: fps = "fast": expected a number of pictures per second to ask for, such as 15',
    ),
    "a misspelt key": ('[mqtt]\nbrokr = "x"', '[mqtt]: unknown key "brokr"; did you mean "broker"?'),
    "a misspelt table": ("[devices]", 'unknown key "devices"; did you mean "device"?'),
    "a missing key": ('[[camera]]\nname = "front"', "[[camera]] front: uri is missing"),
    "an unknown source": (
        CAMERA + '[[pipeline]]\nname = "p"\nsource = "back"\nmodel = "m"',
        '[[pipeline]] p: source = "back": no camera or microphone has this name; known: front',
    ),
    "one name twice": (CAMERA + CAMERA, 'the name "front" is used twice'),
    "a name that no topic can hold": ('[[camera]]\nname = "a/b"\nuri = "camera:0"', 'name = "a/b": expected name of'),
    "a point that is none": (CAMERA + 'masks = [[[0, 0], [1, "x"], [2, 2]]]', "[[camera]] front: masks = [[[0, 0]"),
    "half a certificate": ('[mqtt]\ncert_file = "a.crt"', "[mqtt]: cert_file and key_file belong together"),
    "not TOML": ("x = [", "not valid TOML"),
    "a zone of two points": (
        CAMERA
        + '[[pipeline]]\nname = "p"\nsource = "front"\nmodel = "m"\n'
        + '[[pipeline.zones]]\nname = "z"\npolygon = [[0, 0], [1, 1]]',
        "[[pipeline]] p zones z: polygon = [[0, 0], [1, 1]]: expected at least three points",
    ),
    "single brackets": ('[camera]\nname = "a"', "camera: expected a list of tables: write [[camera]]"),
    "double brackets": ('[[mqtt]]\nbase = "a"', "mqtt: expected one table: write [mqtt]"),
    "numbers for tables": ("pipeline = [1, 2]", "pipeline: expected a list of tables"),
    "no number": (CAMERA + "stale_after_s = nan", "[[camera]] front: stale_after_s = NaN: expected"),
    "no end": (CAMERA + "stale_after_s = inf", "stale_after_s = Infinity: expected"),
    "longer than any clock": (PIPELINE + "timeout_s = 1e300", "timeout_s = 1e+300: expected"),
    "no hop at all": (PIPELINE + "hop_s = 1e-9", "hop_s = 1e-09: expected"),
    "a bound": (CAMERA + "fps = 1e-300", "such as 15 (at least 0.001)"),
    "a point beyond every picture": (ZONE + "polygon = [[0, 0], [1, 0], [1, 1" + "0" * 400 + "]]", "at most 100000"),
    "three numbers for four": (CAMERA + "crop = [0, 0, 1]", "crop = [0, 0, 1]: expected the part to keep"),
    "a name with a line's end": ('[[camera]]\nname = "a\\n"\nuri = "scene:shapes"', '[[camera]] 1: name = "a\\n"'),
    "an empty model": (PIPELINE.replace('"m"', '""'), '[[pipeline]] p: model = "": expected an installed model'),
    "an empty path": ('[device]\nstate_dir = ""', "[device] state_dir: not a path: give one, or leave the key out"),
    "a path no system takes": ('[device]\nstate_dir = "a\\u0000b"', "[device] state_dir: not a path"),
    "an address no system takes": ('[[camera]]\nname = "a"\nuri = "file:\\u0000"', "[[camera]] a: uri ="),
    "a password for nobody": ('[mqtt]\npassword_file = "p"', "[mqtt]: password_file is of no use without username"),
    "a user name that no packet holds": (f'[mqtt]\nusername = "{"a" * 2000}"', "(at most 1024 characters)"),
    "a login for a camera that has none": (CAMERA + 'username = "x"', "front: username is for rtsp:// cameras"),
    "one camera twice": (
        CAMERA.replace("scene:shapes", "camera:0") + CAMERA.replace("scene:shapes", "camera:0").replace("front", "b"),
        'the uri "camera:0" is used twice',
    ),
    "two streams of one name": (
        PIPELINE + 'results = "spooled"\n' + PIPELINE.removeprefix(CAMERA).replace('"p"', '"p-results"'),
        "[[pipeline]] p-results: the spooled results of p go by this name",
    ),
    "lists without end": ("x = " + "[" * 100_000, "nested too deep"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_with_file_table_key_value_and_fix(name: str) -> None:
    text, sentence = FAULTS[name]
    with pytest.raises(ConfigError, match=re.escape(sentence)) as caught:
        parse(text, "appliance.toml")
    assert str(caught.value).startswith("appliance.toml: ")


def test_every_fault_of_a_file_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(CAMERA + 'fps = "fast"\nrotate = 45\n[mqtt]\nbrokr = "x"', "a.toml")
    assert len(str(caught.value).splitlines()) == 3


def test_faults_between_tables_are_told_at_once_too() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(PIPELINE.replace('"front"\nmodel', '"back"\nmodel') + CAMERA, "a.toml")
    assert len(str(caught.value).splitlines()) == 2


def test_one_wrong_value_is_told_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(CAMERA + "masks = [[0, 0], [1, 1], [2, 2]]", "a.toml")
    assert len(str(caught.value).splitlines()) == 1


def test_credentials_in_an_address_are_not_repeated_in_the_error() -> None:
    with pytest.raises(ConfigError) as caught:
        parse('[mqtt]\nbroker = "mqtt://joe:hunter2@host"', "a.toml")
    assert "hunter2" not in str(caught.value)


ADDRESSES = {
    "an unknown scheme": ('[[camera]]\nname = "a"\nuri = "rtps://x"', "[[camera]] a: uri"),
    "sound under camera": ('[[camera]]\nname = "a"\nuri = "mic:"', "belongs under [[microphone]]"),
    "pictures under microphone": ('[[microphone]]\nname = "a"\nuri = "camera:0"', "belongs under [[camera]]"),
    "an unknown scene": ('[[camera]]\nname = "a"\nuri = "scene:moon"', "[[camera]] a: uri"),
    "an empty crop": (CAMERA + "crop = [0, 0, 0, 0]", "[[camera]] front: crop = [0, 0, 0, 0]"),
    "a port beyond the last": ('[mqtt]\nbroker = "mqtt://host:99999"', "[mqtt]: broker: mqtt://host:99999"),
    "half an address": ('[mqtt]\nbroker = "mqtt://[::1"', "[mqtt]: broker: mqtt://[::1"),
    "no host": ('[mqtt]\nbroker = "mqtt://:1883"', "[mqtt]: broker: mqtt://:1883"),
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_that_leads_nowhere_is_a_fault_of_the_file(name: str) -> None:
    text, sentence = ADDRESSES[name]
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        check(parse(text, "a.toml"))


def test_faults_of_addresses_name_the_file_too(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(ADDRESSES["an unknown scene"][0] + "\n" + CAMERA + "crop = [0, 0, 0, 0]")
    with pytest.raises(ConfigError) as caught:
        read(path)
    faults = str(caught.value).splitlines()
    assert len(faults) == 2
    assert all(fault.startswith(f"{path}: [[camera]]") for fault in faults)


def test_the_mark_that_notepad_puts_in_front_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b'\xef\xbb\xbf[device]\r\nname = "dock"\r\n')
    assert load(path).device.name == "dock"


def test_a_device_a_pipe_or_a_film_given_by_mistake_is_not_read_to_its_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe"):
        for reader in (load, secret):
            with pytest.raises(ConfigError, match=f"^{path}.* cannot be read: it is a device or a pipe, not a file"):
                reader(path)
    (tmp_path / "film").touch()
    os.truncate(tmp_path / "film", 1 << 40)
    for reader in (load, secret):
        with pytest.raises(ConfigError, match="is it the right file"):
            reader(tmp_path / "film")


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="appliance config example"):
        load(tmp_path / "none.toml")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(path)


def test_a_folder_instead_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_the_example_is_valid_and_shows_every_key() -> None:
    text = files("appliance").joinpath("example.toml").read_text(encoding="utf-8")
    check(parse(text, "example.toml"))
    missing = [key for key in _keys(Config) if not re.search(rf"(^|\W){key}(\W|$)", text)]
    assert missing == []


def _keys(model: type[BaseModel]) -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append(name)
        keys += [key for inner in _models(field.annotation) for key in _keys(inner)]
    return keys


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def test_a_secret_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    assert secret(tmp_path / "password") == "hunter2"


def test_a_secret_may_be_a_systemd_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mqtt").write_text("hunter2")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert secret(Path("credential:mqtt")) == "hunter2"


def test_a_secret_that_is_not_text_names_the_file_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "password").write_bytes("gehe\xefm\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"password: the secret cannot be read: it is not UTF-8 text$"):
        secret(tmp_path / "password")


@pytest.mark.parametrize("written", ["schlüssel", "令牌", "two\x07", " before", "behind "])
def test_a_token_that_no_header_can_hold_is_refused_with_one_that_can(tmp_path: Path, written: str) -> None:
    (tmp_path / "token").write_text(f"{written}\n", encoding="utf-8")
    assert secret(tmp_path / "token") == written
    with pytest.raises(ConfigError, match=r"openssl rand -hex 32 > token`$") as refusal:
        token(tmp_path / "token")
    assert written not in str(refusal.value)


def test_a_secret_that_is_not_there_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none"):
        secret(tmp_path / "none")


def test_a_certificate_that_is_a_device_is_named_and_not_read() -> None:
    settings = LinkSettings(url="mqtts://localhost", client_id="box", ca_file=Path("/dev/zero"))
    with pytest.raises(ConfigError, match=r"^/dev/zero: a device or a pipe, not a file; .* ca_file names"):
        settings.tls_context()


REMOTE = """
[[camera]]
name = "dock"
uri = "scene:shapes"

[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
[pipeline.remote]
"""


def test_a_pipeline_may_ask_a_model_service() -> None:
    config = parse('[mqtt]\nbroker = "mqtt://localhost"\n' + REMOTE + 'offload = "frames"\ndeadline_s = 0.4', "a.toml")
    remote = config.pipeline[0].remote
    assert remote is not None
    assert remote.asks
    assert remote.local_budget_s == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('offload = "frames"', r"add an \[mqtt\] table"),
        ("deadline_s = 1.0", "offload is missing"),
        ('offload = "frames"\ndeadline_s = 0.5\nbudget_s = 0.5', "below deadline_s = 0.5"),
        ('offload = "frames"\nunsure_between = [0.6, 0.3]', "lower score first"),
        ('offload = "never"\nkeep = 5', "keep has no effect"),
        ('offload = "everything"', "offload"),
    ],
)
def test_what_contradicts_itself_about_the_service_is_named(keys: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(REMOTE + keys, "a.toml")
