"""The power of Jetsons and cards, from folders and a driver made for the test."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from appliance.power import Ina238, Ina3221, NoMeter, Nvml, Power, PowerFigures, find_meter

NONE = "/none/libnvidia-ml.so.1"


def monitor(root: Path, name: str, **files: str) -> Path:
    folder = root / "bus" / "i2c" / "devices" / f"1-00{40 + len(list(root.rglob('name')))}" / "hwmon" / "hwmon1"
    folder.mkdir(parents=True)
    for file, text in ({"name": name} | files).items():
        (folder / file).write_text(f"{text}\n")
    return folder


def orin(root: Path) -> Path:
    return monitor(
        root,
        "ina3221",
        in1_label="VDD_IN",
        in1_input="5000",
        curr1_input="2000",
        in2_label="VDD_CPU_GPU_CV",
        in2_input="5000",
        curr2_input="1000",
        in3_label="NC",
        in3_input="5000",
        curr3_input="9000",
        in7_label="sum of shunt voltages",
        in7_input="77",
        curr7_input="1",
    )


def test_an_orin_tells_its_total(tmp_path: Path) -> None:
    orin(tmp_path)
    meter = find_meter(tmp_path, NONE)
    assert isinstance(meter, Ina3221)
    assert (meter.name, meter.watts()) == ("VDD_IN", 10.0)


def test_without_a_total_the_rails_are_added_up(tmp_path: Path) -> None:
    folder = orin(tmp_path)
    (folder / "in1_label").write_text("VDD_GPU_SOC\n")
    meter = find_meter(tmp_path, NONE)
    assert (meter.name, meter.watts()) == ("VDD_GPU_SOC + VDD_CPU_GPU_CV", 15.0)


def test_a_thor_tells_microwatts(tmp_path: Path) -> None:
    monitor(tmp_path, "ina238", power1_input="25500000")
    meter = find_meter(tmp_path, NONE)
    assert isinstance(meter, Ina238)
    assert meter.watts() == 25.5


@pytest.fixture
def nvml(tmp_path: Path) -> str:
    """A driver that tells 70 W, or what its environment says."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    (tmp_path / "nvml.c").write_text(
        """
        #include <stdlib.h>
        int nvmlInit_v2(void) { return 0; }
        int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = (void *)7; return index; }
        int nvmlDeviceGetPowerUsage(void *device, unsigned *mw)
            { *mw = 70000; const char *s = getenv("FAKE_NVML"); return s ? atoi(s) : device != (void *)7; }
        """
    )
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(tmp_path / "nvml.c")], check=True)
    return str(library)


def test_a_card_tells_through_its_driver(tmp_path: Path, nvml: str) -> None:
    meter = find_meter(tmp_path / "sys", nvml)
    assert isinstance(meter, Nvml)
    assert meter.watts() == 70.0


def test_a_driver_that_does_not_support_it_is_a_reason(
    tmp_path: Path, nvml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_NVML", "3")
    with pytest.raises(NoMeter, match="does not tell the power"):
        find_meter(tmp_path / "sys", nvml)


def test_elsewhere_there_is_none_and_the_reason_is_told(tmp_path: Path) -> None:
    power = Power(tmp_path, NONE)
    power.sample(1.0, 10)
    assert power.figures == PowerFigures("no power monitor under /sys and no NVIDIA driver")


def test_joules_are_shared_out_among_the_inferences_of_their_time(tmp_path: Path) -> None:
    orin(tmp_path)
    power = Power(tmp_path, NONE)
    for second in range(31):
        power.sample(100.0 + second, 1000 + 5 * second)
    assert power.figures == PowerFigures("measured: VDD_IN", 10.0, 2.0)
    for second in range(31, 61):
        power.sample(100.0 + second, 1150)
    assert power.figures == PowerFigures("measured: VDD_IN", 10.0)


def test_a_meter_that_is_gone_is_absent_and_no_error(tmp_path: Path) -> None:
    folder = orin(tmp_path)
    power = Power(tmp_path, NONE)
    power.sample(0.0, 0)
    (folder / "in1_input").unlink()
    power.sample(1.0, 1)
    assert power.figures.watts is None
    assert "does not tell a number" in power.figures.reason
