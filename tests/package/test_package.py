"""The Debian package on a real systemd, without a network: installed, used, upgraded under load, removed."""

from __future__ import annotations

import itertools
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.telling import tell
from tests.conftest import REPOSITORY
from tests.package.box import Box, bootstrap, skip_unless_possible
from tests.waiting import until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

SUITE, PYTHON = "bookworm", "3.11"
FILE = "/etc/appliance/appliance.toml"
RESULTS = "appliance/+/pipeline/+/result"
ENVIRONMENTS = "find /opt/appliance -mindepth 1 -maxdepth 1 -type d"
EMPTY_TO_RESULTS_S = 300.0
KILL_TO_READY_S = 5.0
START_TO_EVENT_S = 3.0
LONGEST_GAP_S = 8.0
"""Of results while a package is exchanged: one daemon ends and the other starts; all else is done before."""
BROKER = "mqtt://127.0.0.1"
SEALED = "--passphrase-file /root/passphrase"
FROM_AFAR = """
[models]
registry = "mqtt"
root = "/etc/appliance/root.json"
[reconfigure]
patience_s = 20.0
hold_s = 2.0
"""
"""Whom the device believes, and what for; added to its file."""
HANGS = """
import time
from pathlib import Path
from appliance.cli import main
from engines.onnxrt import OnnxEngine

run = OnnxEngine.run

def hang(self, inputs):
    while Path("/run/appliance/hang").exists():
        time.sleep(0.01)
    return run(self, inputs)

OnnxEngine.run = hang
main()
"""
"""The program, with an engine that stands still while a file says so, as a driver can."""
WHEEL = """
from zipfile import ZipFile
with ZipFile("ours-1-py3-none-any.whl", "w") as wheel:
    wheel.writestr("ours.py", "HERE = \\"yes\\"")
    wheel.writestr("ours-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: ours\\nVersion: 1\\n")
    wheel.writestr("ours-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr("ours-1.dist-info/RECORD", "")
"""
"""Makes the smallest wheel there is."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    skip_unless_possible()
    into = tmp_path_factory.mktemp("dist")
    subprocess.run([REPOSITORY / "scripts/package", "--python", PYTHON, "--into", into], check=True)
    [made] = into.glob("*.deb")
    return made


@pytest.fixture(scope="module")
def box(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    root = tmp_path_factory.mktemp("box") / "root"
    bootstrap(root, SUITE)
    (root / "root/appliance.deb").write_bytes(package.read_bytes())
    with Box(root) as booted:
        yield booted


def test_from_an_empty_debian_to_results_on_the_broker_in_three_commands(box: Box) -> None:
    started = time.monotonic()
    said = box.run("apt-get install -q -y /root/appliance.deb")
    assert "Next: appliance init" in said
    box.run("systemctl start mosquitto")
    assert "is written. Next: systemctl enable --now appliance" in box.run("appliance init")
    box.run("systemctl enable --now appliance")
    assert '"status":"ok"' in box.run(f"mosquitto_sub -t '{RESULTS}' -C 1 -W 10").replace(" ", "")
    took_s = time.monotonic() - started
    assert took_s < EMPTY_TO_RESULTS_S
    tell("package: empty Debian to results", took_s=round(took_s, 1))


def test_the_unit_is_as_closed_in_life_as_on_paper(box: Box) -> None:
    found = re.search(r"([\d.]+) OK", box.run("systemd-analyze security appliance --no-pager | tail -1"))
    assert found is not None
    assert float(found[1]) <= 1.5
    tell("package: exposure", exposure=float(found[1]))


def test_the_unit_that_asks_for_the_clock_may_ask_and_runs_as_long_as_the_appliance(box: Box) -> None:
    assert box.run("systemctl is-active appliance-clock") == "active", "where the kernel refuses, it fails"
    box.run("systemctl stop appliance")
    assert box.run("systemctl is-active appliance-clock", check=False) == "inactive"
    box.run("systemctl start appliance")
    assert box.run("systemctl is-active appliance-clock") == "active"


def test_the_doctor_finds_nothing_to_mend(box: Box) -> None:
    box.run(f"appliance doctor --config {FILE}")


def test_the_configuration_is_read_again_and_a_broken_one_is_refused(box: Box) -> None:
    box.run(f"cp {FILE} /root/good.toml; echo 'threshold = 0.9' >> {FILE}; systemctl reload appliance")
    until(lambda: "reloaded" in _journal(box), 10, "the change is taken")
    box.run(f"echo nonsense >> {FILE}; systemctl reload appliance")
    until(lambda: "reload refused, going on as before" in _journal(box), 10, "nonsense is refused")
    assert box.run("systemctl is-active appliance") == "active"
    box.run(f"cp /root/good.toml {FILE}; systemctl reload appliance")


def test_a_restart_is_followed_by_a_result_within_seconds(box: Box, tmp_path: Path) -> None:
    said = tmp_path / "results"
    listening = box.start(["mosquitto_sub", "-t", RESULTS, "-F", "%U"], said)
    try:
        box.run("systemctl stop appliance")
        began = time.time()
        box.run("systemctl start appliance")
        until(lambda: any(at > began for at in _times(said)), 10, "a result comes")
        took_s = next(at for at in _times(said) if at > began) - began
        assert took_s < START_TO_EVENT_S
        tell("package: start to first result", took_s=round(took_s, 2))
    finally:
        listening.terminate()
        listening.wait()


def test_a_kill_is_followed_by_readiness_within_seconds(box: Box) -> None:
    before = _pid(box)
    began = time.monotonic()
    box.run(f"kill -9 {before}")
    until(lambda: _pid(box) not in (0, before) and _is_active(box), 15, "it is ready again")
    took_s = time.monotonic() - began
    assert took_s < KILL_TO_READY_S
    tell("package: kill to ready", took_s=round(took_s, 2))


def test_a_process_that_stands_still_is_ended_by_the_watchdog_and_comes_back(box: Box) -> None:
    before = _pid(box)
    box.run(f"kill -STOP {before}")
    until(lambda: "Watchdog timeout" in _journal(box), 30, "the watchdog barks")
    until(lambda: _pid(box) not in (0, before) and _is_active(box), 15, "it is ready again")


def test_a_stage_that_stands_still_is_named_and_ended_by_the_watchdog(box: Box) -> None:
    command = f"/opt/appliance/current/bin/python /srv/hangs.py run --config {FILE}"
    (box.root / "srv/hangs.py").write_text(HANGS)
    (box.root / "srv/hangs.conf").write_text(f"[Service]\nExecStart=\nExecStart={command}\n")
    box.run("install -D /srv/hangs.conf /run/systemd/system/appliance.service.d/hangs.conf; systemctl daemon-reload")
    try:
        box.run("systemctl restart appliance")
        before = _pid(box)
        # Of the service: what is in it goes when it ends, so that the next one runs.
        box.run("touch /run/appliance/hang")
        began = time.monotonic()
        until(lambda: _pid(box) not in (0, before), 60, "the watchdog ends it")
        tell("package: watchdog on a stalled stage", ended_after_s=round(time.monotonic() - began, 1))
        assert "no progress: digits" in _journal(box)
        until(lambda: _is_active(box), 30, "it is ready again")
        assert '"status":"ok"' in box.run(f"mosquitto_sub -t '{RESULTS}' -C 1 -W 20").replace(" ", "")
    finally:
        box.run("rm -r /run/systemd/system/appliance.service.d; systemctl daemon-reload; systemctl restart appliance")


def test_a_signed_configuration_from_afar_is_used_under_the_unit(box: Box, tmp_path: Path) -> None:
    """One that needs a fresh process: systemd sees the same service go on, with its watchdog."""
    device = box.run("mosquitto_sub -t 'appliance/+/health' -C 1 -W 40 -F %t").split("/")[1]
    box.run(f"cp {FILE} /root/good.toml")
    box.run("echo a sentence for tests >/root/passphrase; appliance registry init /srv/registry " + SEALED)
    box.run("install -m 644 /srv/registry/metadata/root.json /etc/appliance/root.json")
    box.run(f"cat >>{FILE} <<'END'\n{FROM_AFAR}END\nprintf '[outbox]\\nmax_mb = 17\\n' >/root/docks.toml")
    box.run("appliance registry publish-config /srv/registry /root/docks.toml docks@1 " + SEALED)
    serving = box.start(["appliance", "registry", "serve", "/srv/registry", "--broker", BROKER], tmp_path / "registry")
    try:
        box.run("systemctl restart appliance")
        pid, restarts = _pid(box), box.run("systemctl show -p NRestarts --value appliance")
        told = box.run(f"appliance registry configure docks@1 --broker {BROKER} --device {device} --wait 120")
        assert f"{device}: docks@1 is kept" in told
        assert "starting again: docks@1: [outbox] need a fresh process" in _journal(box)
        assert box.run("systemctl show -p SubState --value appliance") == "running", "ready again"
        assert (_pid(box), box.run("systemctl show -p NRestarts --value appliance")) == (pid, restarts)
        petted = _petted(box)
        until(lambda: _petted(box) > petted, 10, "the watchdog is told that all is well")
        box.run(f"kill -STOP {pid}")
        until(lambda: _pid(box) not in (0, pid) and _is_active(box), 45, "the watchdog ends what stands still")
        as_the_service = "runuser -u appliance -- appliance"
        assert "docks@1 is used" in box.run(f"{as_the_service} config history --config {FILE}")
    finally:
        serving.terminate()
        serving.wait()
        box.run(f"cp /root/good.toml {FILE}; systemctl restart appliance")


def test_an_upgrade_under_load_leaves_a_gap_of_a_restart(box: Box, tmp_path: Path) -> None:
    said = tmp_path / "results"
    listening = box.start(["mosquitto_sub", "-t", RESULTS, "-F", "%U"], said)
    try:
        until(lambda: _times(said), 10, "results come")
        configuration = box.run(f"cat {FILE}")
        before = _pid(box)
        box.run("dpkg -i /root/appliance.deb")
        upgraded = time.time()
        until(lambda: any(at > upgraded for at in _times(said)), 20, "results come after the upgrade")
        assert _pid(box) != before
        assert box.run(f"cat {FILE}") == configuration
        gaps = [later - earlier for earlier, later in itertools.pairwise(_times(said))]
        assert max(gaps) < LONGEST_GAP_S
        tell("package: upgrade under load", longest_gap_s=round(max(gaps), 2))
        assert len(box.run(ENVIRONMENTS).splitlines()) == 1
    finally:
        listening.terminate()
        listening.wait()


def test_a_new_python_of_the_system_has_the_environment_made_anew(box: Box) -> None:
    before = _pid(box)
    box.run("cd /opt/appliance/current/lib && mv python3.11 python3.10")
    assert "No module named" in box.run("appliance --version", check=False)
    box.run("dpkg-trigger --no-await /usr/bin/python3 && dpkg --triggers-only edge-inference-appliance")
    box.run("appliance --version")
    assert _pid(box) != before
    environments = box.run(ENVIRONMENTS)
    box.run("dpkg-trigger --no-await /usr/bin/python3 && dpkg --triggers-only edge-inference-appliance")
    assert box.run(ENVIRONMENTS) == environments, "nothing is made where nothing is broken"


def test_what_was_built_on_the_device_is_in_every_version_and_an_environment_of_ones_own_in_none(box: Box) -> None:
    box.run(f"mkdir /opt/appliance/wheels && cd /opt/appliance/wheels && python3 -c '{WHEEL}'")
    box.run("echo no wheel >/opt/appliance/wheels/other-1-cp39-cp39-linux_x86_64.whl")
    box.run("rm /opt/appliance/bin && mkdir /opt/appliance/bin && touch /opt/appliance/bin/python")
    assert "other-1-cp39-cp39-linux_x86_64.whl: left out" in box.run("dpkg -i /root/appliance.deb")
    assert box.run("/opt/appliance/current/bin/python -c 'import ours; print(ours.HERE)'") == "yes"
    box.run("rm -r /opt/appliance/wheels")


def test_an_environment_made_by_a_root_who_keeps_his_files_to_himself_is_of_use_to_the_service(box: Box) -> None:
    before = _pid(box)
    box.run("umask 077; DEBIAN_FRONTEND=noninteractive dpkg-reconfigure edge-inference-appliance")
    box.run("runuser -u appliance -- appliance --version")
    until(lambda: _pid(box) not in (0, before) and _is_active(box), 15, "it runs in the new one")


def test_the_cameras_of_a_jetson_can_be_asked_for_in_the_closed_unit(box: Box) -> None:
    box.run("python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/tmp/argus_socket\")'")
    box.run("systemctl restart appliance")
    assert box.run(f"ls /proc/{_pid(box)}/root/tmp") == "argus_socket"
    box.run("rm /tmp/argus_socket; systemctl restart appliance")
    assert box.run(f"ls /proc/{_pid(box)}/root/tmp") == ""


def test_an_upgrade_without_room_leaves_the_old_version_at_work_and_nothing_half_made(box: Box) -> None:
    before, environments = _pid(box), box.run(ENVIRONMENTS)
    box.run("mount -t tmpfs -o size=1m tmpfs /mnt")
    said = box.run("TMPDIR=/mnt dpkg -i /root/appliance.deb", check=False)
    assert "post-installation script subprocess returned error" in said
    assert (_pid(box), box.run(ENVIRONMENTS)) == (before, environments)
    box.run("umount /mnt; dpkg --configure -a")
    assert len(box.run(ENVIRONMENTS).splitlines()) == 1
    assert _pid(box) != before


def test_removed_it_leaves_what_is_the_owners_and_purged_nothing(box: Box) -> None:
    box.run("mkdir /opt/appliance/wheels && touch /opt/appliance/wheels/built.whl")
    box.run("apt-get remove -q -y edge-inference-appliance")
    left = box.run("find /opt/appliance /run/appliance ! -type d 2>/dev/null || true")
    assert left == "/opt/appliance/wheels/built.whl"
    assert "pipeline" in box.run(f"cat {FILE}")
    assert box.run("ls /var/lib/appliance") != ""
    box.run("apt-get purge -q -y edge-inference-appliance")
    left = box.run(
        "ls -d /opt/appliance /etc/appliance /var/lib/appliance /var/cache/appliance /usr/bin/appliance 2>/dev/null "
        "|| true"
    )
    assert left == ""


def _journal(box: Box) -> str:
    return box.run("journalctl -u appliance --no-pager -o cat")


def _pid(box: Box) -> int:
    return int(box.run("systemctl show -p MainPID --value appliance"))


def _petted(box: Box) -> int:
    """When the watchdog was told last, on the clock of the kernel."""
    return int(box.run("systemctl show -p WatchdogTimestampMonotonic --value appliance"))


def _is_active(box: Box) -> bool:
    return box.run("systemctl is-active appliance", check=False) == "active"


def _times(said: Path) -> list[float]:
    """When each result arrived, seconds since 1970."""
    return [float(line) for line in said.read_text().splitlines()[:-1]]
