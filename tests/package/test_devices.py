"""The installed unit, closed as it is, with a camera and a sound card of the kernel: one boot of a virtual machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from appliance.spoken import chosen, write_spoken
from tests.chaos.telling import tell
from tests.conftest import REPOSITORY
from tests.package.test_package import PYTHON
from tests.vm.machine import SYSTEMD, machine_image, run_in_machine

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

WORDS = 6
SCRIPT = """
set -e
cd /mnt/share
modprobe vivid n_devs=1 node_types=0x1
modprobe snd-aloop
udevadm settle
dpkg -i appliance.deb
systemctl start mosquitto
appliance init >init
# Emulated, digits takes many seconds and a window of words two or three, without a camera that wants all the rest.
sed -i -e 's/model = "digits"/model = "shapes"\\nmax_per_s = 1/' -e 's/model = "spoken-digits"/&\\ntimeout_s = 10/' \\
    /etc/appliance/appliance.toml
systemctl start appliance
systemctl show -p MainPID --value appliance >pid
systemd-analyze security appliance --no-pager | tail -1 >exposure
results='appliance/+/pipeline/vivid-000-vid-cap-digits/result'
mosquitto_sub -t "$results" -W 300 | grep -m 20 '"status": *"ok"' >seen # the first may come too late, emulated
mosquitto_sub -t 'appliance/+/pipeline/loopback-pcm-2-spoken-digits/event' >heard &
for again in 1 2 3 4 5 6; do aplay -q -D plughw:0,0 words.wav; done
sleep 5
kill $!
camera=/sys/bus/platform/drivers/vivid
device=$(cd $camera; echo *.*)
mosquitto_sub -t 'appliance/+/source/vivid-000-vid-cap/available' -C 3 -W 120 >available &
sleep 1
echo "$device" >$camera/unbind
sleep 5
echo "$device" >$camera/bind
wait $!
mosquitto_sub -t "$results" -W 120 | grep -m 20 '"status": *"ok"' >seen-again
systemctl show -p MainPID --value appliance >pid-again
systemctl show -p MemoryCurrent -p MemoryMax -p NRestarts appliance >limits
"""


@pytest.fixture(scope="module")
def share(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script left."""
    folder = tmp_path_factory.mktemp("share")
    machine_image()
    write_spoken(folder / "words.wav", WORDS)
    subprocess.run([REPOSITORY / "scripts/package", "--python", PYTHON, "--into", folder], check=True)
    [package] = folder.glob("*.deb")
    package.rename(folder / "appliance.deb")
    run_in_machine(SCRIPT, folder, within_s=1200, first=SYSTEMD, memory_mb=2048)
    return folder


def test_the_first_configuration_names_the_camera_and_the_sound_card(share: Path) -> None:
    said = (share / "init").read_text()
    assert "vivid-000-vid-cap: " in said
    assert "loopback-pcm-2: " in said
    assert "not used" not in said


def test_the_unit_is_closed_as_everywhere(share: Path) -> None:
    assert float((share / "exposure").read_text().split(":")[1].split()[0]) <= 1.5


def test_pictures_of_a_kernel_camera_are_looked_at(share: Path) -> None:
    numbers = [result["seq"] for result in _documents(share / "seen")]
    assert len(set(numbers)) == 20
    assert numbers == sorted(numbers)


def test_words_that_a_sound_card_hears_become_events(share: Path) -> None:
    heard = {event["after"]["label"] for event in _documents(share / "heard") if event["event"] == "new"}
    said = {word for word, _ in chosen(WORDS)}
    tell("package: words heard from a sound card", heard=len(heard & said), said=len(said))
    assert len(heard & said) >= len(said) // 2


def test_a_camera_pulled_out_and_plugged_in_again_goes_on_in_the_same_process(share: Path) -> None:
    assert (share / "available").read_text().split() == ["online", "offline", "online"]
    assert len(_documents(share / "seen-again")) == 20
    assert (share / "pid").read_text() == (share / "pid-again").read_text()
    assert "NRestarts=0" in (share / "limits").read_text()


def _documents(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]
