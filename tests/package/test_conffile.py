"""The configuration that the package brings: `appliance init` replaces it, and dpkg must not have to ask about that."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from appliance.first_config import AS_INSTALLED
from tests.conftest import REPOSITORY

FILE = "scripts/packaging/appliance.toml"
NEXT = "Next: appliance init, then systemctl enable --now appliance\n"
FOUND = {"as brought": ("", NEXT), "written below our words": ('[device]\nname = "dock"\n', ""), "gone": (None, "")}


def test_the_file_never_changes() -> None:
    """Where a device's own differs from the package's, dpkg asks as soon as the package's has changed; and where nobody
    is there to answer, the upgrade ends. So what there is to say in it was said once."""
    brought = (REPOSITORY / FILE).read_bytes()
    assert hashlib.sha256(brought).hexdigest() == "1da51db23080f3931abfd6ff5346b349a9fe262c9f0ff1b7bc30ed8ab8e8694c"
    assert hashlib.sha256(brought).hexdigest() == AS_INSTALLED


@pytest.mark.parametrize("name", FOUND)
def test_an_installation_names_init_only_where_nobody_wrote_a_word(name: str, tmp_path: Path) -> None:
    below, said = FOUND[name]
    path = tmp_path / "appliance.toml"
    if below is not None:
        path.write_text((REPOSITORY / FILE).read_text() + below)
    end = (REPOSITORY / "scripts/packaging/postinst").read_text().rpartition("\ndone\n")[2]
    asked = end.replace("/etc/appliance/appliance.toml", str(path))
    done = subprocess.run(["sh", "-e"], input=asked, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (said, "")
