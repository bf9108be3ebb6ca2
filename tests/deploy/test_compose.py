"""compose.yaml, read by Docker Compose itself, and what `prepare` makes for it."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.service import settings
from tests.deploy.tools import DEPLOY, prepare, prepared, run

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """As Docker Compose understands it."""
    document: dict[str, Any] = json.loads(run("docker-compose", "-f", "compose.yaml", "config", "--format", "json"))
    return document


def test_it_is_a_broker_two_services_and_what_watches_them(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"broker", "brain-1", "brain-2", "prometheus", "grafana"}


def test_no_container_is_root_or_could_become_it(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["deploy"]["resources"]["limits"]["memory"], name
        if "build" not in service:  # ours says it in the Containerfile
            assert service["user"].split(":")[0] not in ("0", "root"), name
            assert (
                service["image"].rpartition(":")[2][0].isdigit()
                or "@sha256:" in service["image"]
                or ":v" in service["image"]
            )


def test_what_can_be_reached_from_outside_is_the_broker_s_tls_alone(compose: dict[str, Any]) -> None:
    published = {
        (name, port["published"], port.get("host_ip", ""))
        for name, service in compose["services"].items()
        for port in service.get("ports", ())
    }
    assert published == {("broker", "8883", ""), ("grafana", "3000", "127.0.0.1")}


def test_every_file_that_is_mounted_is_there_or_made_by_prepare(compose: dict[str, Any], tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    for service in compose["services"].values():
        for mount in service["volumes"]:
            if mount["type"] == "bind":
                source = Path(mount["source"]).relative_to(DEPLOY)
                assert (folder / source).exists(), source
                assert mount["read_only"] is True


def test_what_prepare_makes_is_for_the_user_of_its_container_only(compose: dict[str, Any], tmp_path: Path) -> None:
    site = prepared(tmp_path) / "site"
    users = {"service": 10001, "prometheus": 65534, "grafana": 472}
    for name, user in users.items():
        for path in (site / name, *(site / name).iterdir()):
            assert path.stat().st_uid == user, path
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert (site / "broker" / "server.key").stat().st_uid == 1883
    for name in ("prometheus", "grafana"):
        assert compose["services"][name]["user"].split(":")[0] == str(users[name])
    wanted = settings.ServiceConfig.model_validate(tomllib.loads((site / "service" / "service.toml").read_text()))
    assert wanted.mqtt.broker == "mqtts://broker:8883"
    assert 'broker = "mqtts://broker.example:8883"' in (site / "clients" / "brains" / "mqtt.toml").read_text(), "others"
    assert wanted.oip is not None
    for file in (wanted.mqtt.ca_file, wanted.mqtt.cert_file, wanted.oip.cert_file, wanted.oip.token_file):
        assert file is not None
        assert (site / "service" / file.name).exists(), file
    assert len((site / "prometheus" / "token").read_text().strip()) == 64
    stop_s = int(compose["services"]["brain-1"]["stop_grace_period"].removesuffix("s"))
    assert stop_s > wanted.serve.drain_s + 5


def test_prepare_is_sound_and_does_nothing_twice(tmp_path: Path) -> None:
    run("shellcheck", "prepare")
    folder = prepared(tmp_path)
    before = (folder / "site" / "service" / "token").read_bytes()
    with pytest.raises(subprocess.CalledProcessError) as refused:
        prepare(folder)
    assert "a broker is set up here already" in refused.value.stderr
    assert (folder / "site" / "service" / "token").read_bytes() == before
