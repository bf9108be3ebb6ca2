"""What may come from afar, what stays with the file on the device, and how the two are laid over each other."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from appliance.config import Config
from appliance.config_errors import ConfigError
from appliance.config_file import tables
from appliance.reconfigure.layers import CREDENTIALS, LOCAL_TABLES, layered

FILE = """
[device]
name = "box"
threads = 2
[mqtt]
[models]
root = "root.json"
[reconfigure]
[[camera]]
name = "gate"
uri = "rtsp://10.0.0.7/stream1"
username = "viewer"
password_file = "credential:gate"
[[camera]]
name = "dock"
uri = "scene:shapes"
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
"""


def over(text: str) -> Config:
    return layered(tables(FILE, "file"), text, "docks@1")


def test_a_table_takes_the_place_of_the_same_and_others_stay() -> None:
    config = over('[[camera]]\nname = "dock"\nuri = "scene:digits"\n[device]\nlog = "debug"\n')
    assert [camera.uri for camera in config.camera] == ["scene:digits"]
    assert [pipeline.name for pipeline in config.pipeline] == ["shapes"]
    assert (config.device.name, config.device.threads, config.device.log) == ("box", 2, "debug")


def test_nothing_from_afar_is_the_file() -> None:
    assert over("") == Config.model_validate(tables(FILE, "file"))


CAMERA = '[[camera]]\nname = "dock"\nuri = "scene:shapes"\n'
REFUSED = {
    "the broker": ('[mqtt]\nbroker = "mqtt://evil"', "[mqtt]: stays with the file on the device"),
    "whom to believe": ('[models]\nroot = "/tmp/x"', "[models]: stays with the file"),
    "how it may be changed": ("[reconfigure]", "[reconfigure]: stays with the file"),
    "what listens": ('[page]\nlisten = "0.0.0.0:80"', "[page]: stays with the file"),
    "where traces go": ('[traces]\nendpoint = "http://evil/x"', "[traces]: stays with the file"),
    "its name": ('[device]\nname = "other"', "[device]: name stays with the file"),
    "where its state is": ('[device]\nstate_dir = "/tmp"', "[device]: state_dir stays with the file"),
    "a secret's file": (f'{CAMERA}password_file = "/etc/shadow"', "[[camera]] dock: password_file stays with the file"),
    "a user": (f'{CAMERA}username = "root"', "[[camera]] dock: username stays with the file"),
    "a password for everybody": (
        '[[camera]]\nname = "gate"\nuri = "rtsp://me:secret@10.0.0.7/"',
        "everybody may read what is published",
    ),
    "an unknown table": ("[sudo]", 'unknown key "sudo"'),
    "cameras that are none": ("camera = 3", "[[camera]]: expected a list of tables"),
    "a device that is none": ("device = 3", "[device]"),
    "a value that is wrong": (f"{CAMERA}fps = -1", "[[camera]] dock: fps = -1"),
    "no TOML": ("[[", "not valid TOML"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_come_from_afar_is_refused_in_a_sentence(case: str) -> None:
    text, sentence = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        over(text)
    assert sentence in str(caught.value)
    assert "docks@1: " in str(caught.value)
    assert "me:secret" not in str(caught.value)


SAME = "rtsp://10.0.0.7/another-stream"
ELSEWHERE = ["rtsp://10.0.0.8/stream1", "rtsp://10.0.0.7:8554/stream1", "rtsps://10.0.0.7/stream1", "scene:shapes"]


def test_a_camera_from_afar_is_logged_in_to_as_the_file_does() -> None:
    config = over(f'[[camera]]\nname = "dock"\nuri = "{SAME}"\n')
    assert (config.camera[0].username, str(config.camera[0].password_file)) == ("viewer", "credential:gate")


@pytest.mark.parametrize("uri", ELSEWHERE)
def test_no_secret_goes_to_another_address_than_the_file_says(uri: str) -> None:
    camera = over(f'[[camera]]\nname = "dock"\nuri = "{uri}"\n').camera[0]
    assert (camera.username, camera.password_file) == (None, None)


def test_no_key_that_may_come_from_afar_names_a_file_of_the_device() -> None:
    """Whoever adds a secret to another table has to say whether it may be chosen from afar."""
    found = {
        f"{table}.{key}"
        for table, field in Config.model_fields.items()
        if table not in LOCAL_TABLES
        for key in _files(_model(field.annotation))
    }
    assert found == {"camera.password_file", "device.state_dir"}
    assert "password_file" in CREDENTIALS


def _model(annotation: object) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(_model(part) for part in get_args(annotation) if part is not type(None))


def _files(model: type[BaseModel]) -> list[str]:
    return [key for key, field in model.model_fields.items() if _is_path(field.annotation)]


def _is_path(annotation: object) -> bool:
    return annotation is Path or any(_is_path(part) for part in get_args(annotation))
