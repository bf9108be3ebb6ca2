"""Thermal zones as files of the test's own."""

from __future__ import annotations

from pathlib import Path

from appliance.temperature import Thermometer


def zones(root: Path, *texts: str) -> Path:
    for number, text in enumerate(texts):
        folder = root / "class" / "thermal" / f"thermal_zone{number}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "temp").write_text(text)
    return root


def test_the_hottest_zone_counts(tmp_path: Path) -> None:
    thermometer = Thermometer(zones(tmp_path, "48500\n", "61250\n", "39000\n"))
    assert thermometer.celsius == 61.25


def test_a_zone_that_is_switched_off_or_tells_nonsense_is_left_out(tmp_path: Path) -> None:
    thermometer = Thermometer(zones(tmp_path, "-256000\n", "\n", "48500\n", "2147483647\n"))
    (tmp_path / "class" / "thermal" / "thermal_zone3" / "temp").unlink()
    thermometer.sample()
    assert thermometer.celsius == 48.5


def test_a_device_without_zones_has_no_temperature(tmp_path: Path) -> None:
    assert Thermometer(tmp_path).celsius is None
