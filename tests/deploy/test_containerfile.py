"""The container file: what a linter says, what it pins, and that it copies what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tests.conftest import REPOSITORY, free_port
from tests.deploy.tools import DEPLOY, run

pytestmark = pytest.mark.system

TEXT = (DEPLOY / "Containerfile").read_text()


def test_the_linter_has_nothing_to_say() -> None:
    assert run("hadolint", "Containerfile") == ""


def test_all_that_is_copied_is_there_and_let_through() -> None:
    let_through = (DEPLOY / "Containerfile.dockerignore").read_text()
    for line in re.findall(r"^COPY (?!--from)(.*)$", TEXT, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (REPOSITORY / source).exists(), source
            assert f"!{source}\n" in let_through, source


def test_every_package_is_pinned_with_its_hash_and_to_what_is_tested() -> None:
    tested = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (REPOSITORY / "requirements-dev.lock").read_text(), re.MULTILINE))
    for name in ("requirements.lock", "build.lock"):
        entries = re.split(r"\n(?=[a-z])", (DEPLOY / name).read_text().strip())
        assert all("--hash=sha256:" in entry for entry in entries)
        for entry in entries:
            package, version = re.match(r"([a-z0-9-]+)==(\S+)", entry).groups()  # type: ignore[union-attr]
            if package != "numpy":  # has another version for each Python
                assert tested.get(package.removesuffix("-headless"), version) == version, (
                    f"{name}: {package} {version}: make it anew, see docs/deploy/README.md"
                )


def test_it_runs_as_nobody_in_particular_and_needs_no_shell() -> None:
    last = TEXT.split("\nFROM ")[-1]
    assert re.search(r"^USER \d+:\d+$", last, re.MULTILINE), "by number: Kubernetes checks runAsNonRoot by it"
    assert re.search(r"^ENTRYPOINT \[", last, re.MULTILINE)
    assert "HEALTHCHECK" in last


class _Ready(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/v2/health/ready" else 404)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        pass


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_is_content_with_a_ready_service_only(status: int, code: int) -> None:
    server = HTTPServer(("127.0.0.1", 0), type("Answer", (_Ready,), {"status": status}))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        assert _health(server.server_port).returncode == code
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_health_check_says_why_there_is_no_answer() -> None:
    done = _health(free_port())
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


def _health(port: int) -> subprocess.CompletedProcess[str]:
    url = f"http://127.0.0.1:{port}/v2/health/ready"
    return subprocess.run(
        [sys.executable, DEPLOY / "healthcheck.py"],
        env={"HEALTH_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
