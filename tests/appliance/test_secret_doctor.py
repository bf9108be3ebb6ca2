"""Secrets, wherever a configuration names one: the doctor looks at each, and knows those that only the service has."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from appliance.config import Config, parse
from appliance.config_values import Table
from appliance.finding import Finding
from appliance.secret_doctor import CERTIFICATES, is_secret, secret_files, secret_findings
from appliance.service.settings import ServiceConfig


def secrets(folder: Path, *, secret: int = 0o600, file: int = 0o644) -> list[Finding]:
    (folder / "password").write_text("secret\n")
    (folder / "password").chmod(secret)
    return examined(folder, f'[mqtt]\nusername = "me"\npassword_file = "{folder / "password"}"\n', file)


def examined(folder: Path, text: str, mode: int = 0o644) -> list[Finding]:
    path = folder / "a.toml"
    path.write_text(text)
    path.chmod(mode)
    return list(secret_findings(parse(text, str(path)), path))


def test_a_secret_that_is_closed_is_fine(tmp_path: Path) -> None:
    assert [finding.state for finding in secrets(tmp_path)] == ["ok"]


def test_a_secret_that_everybody_may_read_is_a_problem_and_the_fix_closes_it(tmp_path: Path) -> None:
    (found,) = secrets(tmp_path, secret=0o644)
    assert found.state == "problem"
    assert found.fix == f"chmod o= {tmp_path / 'password'}"
    os.system(found.fix)  # as a person would type it
    assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o640


def test_a_configuration_that_everybody_may_change_is_a_problem(tmp_path: Path) -> None:
    found = secrets(tmp_path, file=0o646)
    assert found[0].state == "problem"
    assert "may change it" in found[0].text


TABLES = {
    "a camera": '[[camera]]\nname = "gate"\nuri = "rtsp://h/s"\nusername = "me"\npassword_file = "{file}"',
    "the protocol": '[oip]\ntoken_file = "{file}"',
    "the page": '[page]\npassword_file = "{file}"',
    "the page's programs": '[page]\npassword_file = "credential:page"\ntoken_file = "{file}"',
    "the page's key": '[page]\ncert_file = "page.crt"\nkey_file = "{file}"',
    "the numbers": '[metrics]\ntoken_file = "{file}"',
    "the traces": '[traces]\nendpoint = "http://127.0.0.1:4318/v1/traces"\ntoken_file = "{file}"',
}


@pytest.mark.parametrize("name", TABLES)
def test_an_open_secret_is_found_in(name: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("a long secret\n")
    file.chmod(0o644)
    found = [each for each in examined(tmp_path, TABLES[name].format(file=file)) if each.state == "problem"]
    assert [each.text for each in found] == [f"{file}: everybody on this machine may read it (0644)"]


@pytest.mark.parametrize("name", TABLES)
def test_a_secret_that_is_missing_is_a_problem_in(name: str, tmp_path: Path) -> None:
    found = examined(tmp_path, TABLES[name].format(file=tmp_path / "none"))
    (missing,) = [each for each in found if each.state == "problem"]
    assert missing.text == f"{tmp_path / 'none'}: cannot be read: No such file or directory"
    assert missing.fix


def keys(table: type[Table]) -> Iterator[tuple[type[Table], str]]:
    """Every key of a configuration that is a path, with its table, however deep the table is."""
    for key, field in table.model_fields.items():
        for kind in _kinds(field.annotation):
            if isinstance(kind, type) and issubclass(kind, Table):
                yield from keys(kind)
            elif kind is Path:
                yield table, key


def _kinds(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of: of `list[Camera] | None` Camera and NoneType."""
    inner = get_args(annotation)
    if not inner:
        yield annotation
    for each in inner:
        yield from _kinds(each)


OPEN = (*CERTIFICATES, "state_dir", "folder", "root")
"""Folders, and what a registry publishes."""


@pytest.mark.parametrize("root", [Config, ServiceConfig])
def test_every_path_of_a_configuration_is_a_secret_unless_it_is_known_to_be_none(root: type[Table]) -> None:
    """A new key is looked at by the doctor, or is written down here or there as open to all."""
    found = set(keys(root))
    assert {table.__name__ for table, _ in found} >= {"Mqtt", "Oip", "Traces"}
    assert [key for _, key in found if not (is_secret(key) or key in OPEN)] == []
    for table, key in found:
        filled: Any = table.model_construct(**{key: Path("secret")})  # type: ignore[arg-type]  # any table
        assert [path for _, path in secret_files(filled)] == [Path("secret")] * is_secret(key)


def test_every_table_of_a_configuration_is_looked_into() -> None:
    for table, key in set(keys(Config)):
        if is_secret(key):
            within = [name for name, field in Config.model_fields.items() if table in _kinds(field.annotation)]
            assert within, f"{table.__name__} lies deeper than this test looks"
            for name in within:
                filled: Any = table.model_construct(**{key: Path("secret")})  # type: ignore[arg-type]  # any table
                many = isinstance(getattr(Config(), name), list)
                tables: dict[str, Any] = {name: [filled] if many else filled}
                named = secret_files(Config.model_construct(**tables))
                assert [path for _, path in named] == [Path("secret")], f"{name}.{key}"


CREDENTIALS = """
[mqtt]
username = "me"
password_file = "credential:mqtt-password"
[[camera]]
name = "gate"
uri = "rtsp://h/s"
username = "me"
password_file = "credential:gate"
"""


def test_what_the_service_alone_knows_is_a_note_that_says_how_to_look_as_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (found,) = examined(tmp_path, CREDENTIALS)
    assert (found.subject, found.state) == ("secrets", "note")
    assert "credential:mqtt-password of [mqtt], credential:gate of [[camera]] gate" in found.text
    assert found.fix.endswith(
        "systemd-run --pipe --wait --collect -p User=appliance "
        "-p LoadCredential=mqtt-password:/etc/appliance/credentials/mqtt-password "
        f"-p LoadCredential=gate:/etc/appliance/credentials/gate appliance doctor --config {tmp_path}/a.toml"
    )


def test_as_the_service_credentials_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "gate").write_text("secret\n")
    (given / "gate").chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    missing, gate = examined(tmp_path, CREDENTIALS)
    assert (gate.state, gate.text) == ("ok", "credential:gate: closed to others")
    assert (missing.state, "credential:mqtt-password: cannot be read" in missing.text) == ("problem", True)
    assert "LoadCredential=mqtt-password:/etc/appliance/credentials/mqtt-password" in missing.fix
