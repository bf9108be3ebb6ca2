"""What the package does at removal, on a folder that stands for the root."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SCRIPTS = REPOSITORY / "scripts" / "packaging"
LEFT = {
    "remove": {"etc/appliance/appliance.toml", "opt/appliance/wheels/pycuda.whl", "var/lib/appliance/outbox.db"},
    "purge": set[str](),
}
MADE = {*LEFT["remove"], "opt/appliance/0.1.0/bin/python", "opt/appliance/0.1.0+1/bin/python"}


@pytest.mark.parametrize("how", LEFT)
def test_what_was_built_on_the_device_goes_only_with_what_is_the_owners(tmp_path: Path, how: str) -> None:
    for name in MADE:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "opt/appliance/current").symlink_to("0.1.0")
    script = re.sub(r"(?<=\s)/(?=opt/|etc/|var/|run/)", f"{tmp_path}/", (SCRIPTS / "postrm").read_text())
    subprocess.run(["sh", "-c", script, "postrm", how], check=True)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_symlink() or path.is_file()}
    assert left == LEFT[how]
