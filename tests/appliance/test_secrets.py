"""No secret leaves the file it is in: not for a log, a document, a page, a figure, a refusal or a command line.

Everything here is real: a broker with passwords over TLS, a camera with a login, a page, metrics and a protocol with
tokens, a daemon that logs all it can; and everything that came out of any of it is searched.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from appliance.broker_folder.client import PLACE
from tests.appliance_process import ApplianceProcess
from tests.certificates import Authority
from tests.children import children
from tests.conftest import free_port
from tests.secured_broker import SecuredBroker, needed
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]

CONFIG = """
{mqtt}
[[camera]]
name = "scene"
uri = "scene:shapes"
[[camera]]
name = "gate"
uri = "rtsp://127.0.0.1:{rtsp}/stream"
username = "viewer"
password_file = "{secrets}/camera-password"
[[camera]]
name = "inline"
uri = "rtsp://viewer:{inline}@127.0.0.1:{rtsp}/stream"
[[pipeline]]
name = "shapes"
source = "scene"
model = "shapes"
[[pipeline]]
name = "gate"
source = "gate"
model = "shapes"
[[pipeline]]
name = "inline"
source = "inline"
model = "shapes"
[page]
listen = "127.0.0.1:{page}"
password_file = "{secrets}/page-password"
token_file = "{secrets}/page-token"
[metrics]
listen = "127.0.0.1:{metrics}"
token_file = "{secrets}/metrics-token"
[oip]
http = "127.0.0.1:{oip}"
grpc = "off"
token_file = "{secrets}/oip-token"
"""
FILES = ("camera-password", "page-password", "page-token", "metrics-token", "oip-token")


class Scene:
    """A daemon with a secret in every place that takes one; `heard` is all that came out, by where."""

    def __init__(self, folder: Path, broker: SecuredBroker) -> None:
        self.broker = broker
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        self.values = {name: f"{name}-Wq7/+{number}zR&" for number, name in enumerate(FILES)}
        for name, value in self.values.items():
            (self.secrets / name).write_text(f"{value}\n", encoding="utf-8")
            (self.secrets / name).chmod(0o600)
        self.ports = {name: free_port() for name in ("page", "metrics", "oip", "rtsp")}
        self.values["inline"] = "inline-Wq7zR"
        self.values["mqtt"] = (broker.of("box") / "password").read_text().strip()
        self.heard: dict[str, str] = {}
        state = folder / "state"
        state.mkdir()
        self.appliance = ApplianceProcess(state, self.config())

    def config(self, mqtt: str = "") -> str:
        lines = mqtt or (self.broker.of("box") / "mqtt.toml").read_text().replace(PLACE, str(self.broker.of("box")))
        return 'log = "debug"\n' + CONFIG.format(
            mqtt=lines, secrets=self.secrets, inline=self.values["inline"], **self.ports
        )

    def ask(self, where: str, path: str, token: str | None = None, body: bytes | None = None) -> int:
        """Over HTTP; what is answered is kept."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[where]}{path}", body)
        if token is not None:
            request.add_header("Authorization", b"Bearer " + token.encode())  # type: ignore[arg-type]  # as http.client
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, said = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, said = error.code, error.read()
        self.heard[f"{where}{path} with {'a token' if token else 'none'} ({status})"] = said.decode("utf-8", "replace")
        return int(status)

    def command(self, *words: str, **environment: str) -> str:
        """`appliance …` in a process of its own; what it said on both outputs is kept."""
        done = subprocess.run(
            [sys.executable, "-m", "appliance", *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )
        self.heard[f"appliance {' '.join(words)}"] = done.stdout + done.stderr
        return done.stdout + done.stderr

    def leaks(self) -> Iterator[str]:
        """Which secret is where."""
        for place, text in self.heard.items():
            for name, value in self.values.items():
                for form in _forms(value):
                    if form in text:
                        at = text.index(form)
                        yield f"{name} in {place}: …{text[max(0, at - 60) : at]}[here]"


def _forms(value: str) -> set[str]:
    """How a secret may be written: as it is, in a URL, in JSON, as bytes in a message, in Base64."""
    raw = value.encode()
    return {value, quote(value), quote(value, safe=""), json.dumps(value)[1:-1], repr(raw)[2:-1]} | {
        base64.b64encode(raw).decode()
    }


def _files(folder: Path) -> Mapping[str, str]:
    """Everything a folder holds, as text."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            found[f"file {path.name}"] = path.read_bytes().decode("latin-1")
    return found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    needed("mosquitto", "openssl")
    folder = tmp_path_factory.mktemp("secrets")
    broker = SecuredBroker(folder / "broker", "--identity", "password")
    for role, name in (("device", "box"), ("operator", "boss")):
        broker.add(role, name)
    with broker:
        yield Scene(folder, broker)


def test_nothing_that_comes_out_of_a_daemon_holds_a_secret(scene: Scene) -> None:
    password = (scene.broker.of("boss") / "password").read_text().strip()
    with scene.broker.client("boss", password=password) as boss, scene.appliance as appliance:
        boss.subscribe("#")
        until(lambda: "appliance/box/pipeline/shapes/result" in boss.topics(), 40, "results")
        until(lambda: appliance.log.count("rtsp") >= 2, 30, "the cameras with a login are tried")
        values = scene.values
        assert scene.ask("page", "/api/health", values["page-token"]) == 200
        assert scene.ask("page", "/api/health", "another") == 401
        assert scene.ask("page", "/api/login", body=json.dumps({"password": "another"}).encode()) == 403
        assert scene.ask("page", "/api/login", body=json.dumps({"password": values["page-password"]}).encode()) == 200
        assert scene.ask("metrics", "/metrics", values["metrics-token"]) == 200
        assert scene.ask("metrics", "/metrics", "another") == 401
        assert scene.ask("oip", "/v2/repository/index", values["oip-token"], b"{}") == 200
        assert scene.ask("oip", "/v2/repository/index", "another", b"{}") == 401
        assert boss.publish("appliance/box/request/status", b'{"transaction": "t"}') == 0
        until(lambda: "appliance/box/response/status" in boss.topics(), 10, "the status")
        appliance.send(signal.SIGHUP)
        until(lambda: "reload" in appliance.log, 10)
        for process in (appliance.pid, *children(appliance.pid)):
            scene.heard[f"command line of {process}"] = Path(f"/proc/{process}/cmdline").read_text()
            scene.heard[f"environment of {process}"] = Path(f"/proc/{process}/environ").read_text()
        appliance.send(signal.SIGTERM)
        assert appliance.ends(20) == 0
        scene.heard["log"] = appliance.log
        scene.heard |= {f"topic {topic}": payload.decode("latin-1") for topic, payload in boss.heard}
    assert "DEBUG" in scene.heard["log"]
    # The configuration is where a person may write a camera's password: it is the owner's own file.
    scene.heard |= {name: text for name, text in _files(appliance.folder).items() if name != "file appliance.toml"}
    assert any(name.startswith("file outbox") for name in scene.heard)
    assert not list(scene.leaks())


def test_a_secret_that_is_written_somewhere_is_found_however_it_is_written(scene: Scene) -> None:
    for form in _forms(scene.values["page-token"]):
        scene.heard["somewhere"] = f"a line with {form} in it"
        assert [leak for leak in scene.leaks() if leak.startswith("page-token in somewhere")]
    del scene.heard["somewhere"]


def test_no_finding_of_the_doctor_and_no_check_holds_one(scene: Scene) -> None:
    path = str(scene.appliance.path)
    assert "gate" in scene.command("doctor", "--config", path)
    scene.command("doctor", "--config", path, "--json")
    scene.command("config", "check", path)
    assert not list(scene.leaks())


def test_no_refusal_repeats_what_was_given(scene: Scene, tmp_path: Path) -> None:
    """Wrong passwords, secrets in the wrong place, a key that is locked: each said, none shown."""
    values = scene.values
    wrong = (scene.broker.of("box") / "mqtt.toml").read_text().replace(PLACE, str(tmp_path))
    (tmp_path / "trusted.crt").write_bytes((scene.broker.of("box") / "trusted.crt").read_bytes())
    (tmp_path / "password").write_text(f"{values['page-password']}\n", encoding="utf-8")
    (tmp_path / "a").mkdir()
    with ApplianceProcess(tmp_path / "a", scene.config(wrong)) as appliance:
        until(lambda: "not authori" in appliance.log.lower() or "password" in appliance.log, 20, "the broker refuses")
        scene.heard["log of a wrong password"] = appliance.log
    for number, line in enumerate(
        (
            f'[mqtt]\npassword = "{values["inline"]}"',
            f'[mqtt]\nbroker = "mqtt://box:{values["inline"]}@localhost"',
            f'[[camera]]\nname = "{values["inline"]}/x"\nuri = "rtsp://a:{values["inline"]}@h/s"\nfps = "fast"',
            f'[page]\npassword_file = "{tmp_path}/none"',
        )
    ):
        path = tmp_path / f"bad-{number}.toml"
        path.write_text(line, encoding="utf-8")
        said = scene.command("config", "check", str(path))
        assert "bad-" in said
        if number == 2:  # a name is no secret: it is shown, so that it can be mended
            scene.heard.pop(f"appliance config check {path}")
            assert f"a:{values['inline']}@" not in said
    assert not list(scene.leaks())


def test_the_passphrase_of_a_key_is_in_no_words_about_it(scene: Scene, tmp_path: Path) -> None:
    scene.values["passphrase"] = "a-Passphrase-Wq7zR"
    authority = Authority(tmp_path / "authority")
    certificate, plain = authority.sign("box")
    key = authority.lock(plain, scene.values["passphrase"])
    (tmp_path / "b").mkdir()
    address = f"mqtts://127.0.0.1:{scene.broker.port}"
    lines = f'[mqtt]\nbroker = "{address}"\ncert_file = "{certificate}"\nkey_file = "{key}"'
    with ApplianceProcess(tmp_path / "b", scene.config(lines)) as appliance:
        until(lambda: "locked with a passphrase" in appliance.log, 20, "it says why it cannot connect")
        scene.heard["log with a locked key"] = appliance.log
    registry = str(tmp_path / "registry")
    for words in (["init", registry], ["publish", registry, "shapes"]):
        scene.command("registry", *words, APPLIANCE_REGISTRY_PASSPHRASE=scene.values["passphrase"])
    scene.command("registry", "publish", registry, "tones", APPLIANCE_REGISTRY_PASSPHRASE="another-Passphrase-Wq7zR")
    scene.values["another"] = "another-Passphrase-Wq7zR"
    scene.heard |= _files(tmp_path / "registry")
    assert not list(scene.leaks())
