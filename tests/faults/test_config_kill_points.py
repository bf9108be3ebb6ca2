"""kill -9 around a configuration from afar: whoever starts next finds the old one or the new one, whole."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.reconfigure.effective import effective
from tests.appliance.reconfigure import conftest
from tests.appliance.reconfigure.conftest import DESIRED, Site
from tests.appliance.reconfigure.simulated import SICK, camera, publish
from tests.appliance_process import ApplianceProcess, Ear
from tests.registries import Owner
from tests.waiting import until

site, ear, owner, hands = conftest.site, conftest.ear, conftest.owner, conftest.hands

pytestmark = [pytest.mark.faults, pytest.mark.system, pytest.mark.timeout(900)]

ENDS = {"good@1": "kept is written", "sick@1": "returned is written"}


@pytest.mark.parametrize("twice", ["", " twice"], ids=["each", "the copy"])
@pytest.mark.parametrize("name", ENDS)
def test_after_a_kill_at_any_step_the_old_or_the_new_one_is_whole(tmp_path: Path, name: str, twice: str) -> None:
    owner = Owner(tmp_path / "registry")
    publish(owner, tmp_path, "good@1", camera(11))
    publish(owner, tmp_path, "sick@1", SICK + camera(11))
    device = tmp_path / "device"
    ended: list[str] = []
    spared = ["fetch is written", ENDS[name]] if twice else []
    while True:
        done = subprocess.run(
            [sys.executable, "-m", "tests.config_life", str(device), str(owner.folder), name, *spared, *ended],
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        ended.append(done.stdout.strip())
        found = effective(device / "appliance.toml")
        assert found.complaint == ""
        assert found.config.camera[0].fps == (11 if found.version.name else None)
        used = ended[-1] == "trial is written" or ended[-1].startswith("kept")
        assert found.version.name == (name if used else ""), ended
    assert ended == [f"fetch is written{twice}", "the text is written", "trial is written", ENDS[name] + twice]
    assert effective(device / "appliance.toml").version.name == ("good@1" if name == "good@1" else "")


HOSTILE = [b"", b"{", b'{"n": 1000000, "config": "../x"}', b'{"n": 5}', b"\xff" * 100]


@pytest.mark.broker
def test_a_real_appliance_killed_again_and_again_ends_at_the_highest_number(
    site: Site, ear: Ear, long_run: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Documents in any order, twice, hostile; kill -9 at any moment. A trial that is killed three times is returned, so
    that nothing but the number is expected of what came before the last."""
    chance = random.Random(31)
    rounds = 40 if long_run else 6
    names = [f"docks{number}@1" for number in range(3)]
    for number, name in enumerate(names):
        more = "" if number != 2 else "[outbox]\nmax_mb = 17\n"
        site.publish(name, conftest.camera() + conftest.pipeline("shapes", more=f"confirm = {2 + number}") + more)
    wanted = {n: chance.choice([*names, None]) for n in range(1, 4 * rounds + 1)}
    used: list[str] = []
    with ApplianceProcess(site.folder, site.file()) as appliance:
        ear.await_document("pipeline/shapes/result", within_s=60, status="ok")
        for turn in range(rounds):
            for n in chance.sample(range(1, 4 * turn + 5), k=min(3, 4 * turn + 4)):
                ear.forge(DESIRED, json.dumps({"n": n, "config": wanted[n]}).encode(), retain=True)
                if chance.random() < 0.3:
                    ear.forge(DESIRED, chance.choice(HOSTILE), retain=True)
            time.sleep(chance.random() * 4)  # that is the fault: any moment
            appliance.send(signal.SIGKILL)
            appliance.ends()
            found = effective(appliance.path)
            assert found.complaint == ""
            expected = {"": 3} | {name: 2 + number for number, name in enumerate(names)}
            assert found.config.pipeline[0].confirm == expected[found.version.name]
            used.append(str(found.version))
            since_s = time.monotonic()
            appliance.start()
            until(lambda since_s=since_s: ear.documents("pipeline/shapes/result", since_s), 60)  # type: ignore[misc]
        last = max(wanted) + 1
        since_s = time.monotonic()
        site.desire(names[2], last)
        report = site.await_state("kept")
        took_s = time.monotonic() - since_s
        assert (report["wanted"], report["active"]) == (names[2], names[2])
        until(lambda: effective(appliance.path).config.pipeline[0].confirm == 4, 5)
    with capsys.disabled():
        print(json.dumps({"kills": rounds, "found after each": used, "last one kept after s": round(took_s, 1)}))
