"""`appliance registry serve`, a process of its own."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.registries import PASSPHRASE, Owner, shipped

pytestmark = pytest.mark.system


def test_it_serves_signs_again_and_ends_in_order(tmp_path: Path) -> None:
    owner = Owner(tmp_path / "r", root_keys=1, root_threshold=1)
    owner.publish(shipped("shapes"))
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance", "registry", "serve", str(owner.folder), "--http", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "APPLIANCE_REGISTRY_PASSPHRASE": PASSPHRASE},
    )
    assert process.stdout is not None
    try:
        found = re.search(r"served at http://127.0.0.1:(\d+)", process.stdout.readline())
        assert found
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=10)
        connection.request("GET", "/metadata/timestamp.json")
        assert connection.getresponse().read() == (owner.folder / "metadata/timestamp.json").read_bytes()
        connection.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
