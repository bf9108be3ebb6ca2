"""What the package does at installation and removal, on a folder that stands for the root."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SCRIPTS = REPOSITORY / "scripts" / "packaging"
TOOLS = {
    "dpkg-query": "[ \"$*\" = '-W -f ${Version} edge-inference-appliance' ] && echo 2.0",
    "systemd-sysusers": "",
    "systemd-tmpfiles": "",
    "setpriv": 'echo "$@" >>"$ROOT/setpriv"; while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
    "python3": 'for new; do :; done; mkdir -p "$new/bin"; for each in python appliance; do '
    'printf "#!/bin/sh\\n" >"$new/bin/$each"; chmod +x "$new/bin/$each"; done',
}
"""Stand-ins for what the scripts call; python3 makes a virtual environment in which everything succeeds."""
LEFT = {
    "remove": {"etc/appliance/appliance.toml", "opt/appliance/wheels/pycuda.whl", "var/lib/appliance/outbox.db"},
    "purge": set[str](),
}
MADE = {*LEFT["remove"], "opt/appliance/0.1.0/bin/python", "opt/appliance/0.1.0+1/bin/python"}


def run(name: str, argument: str, root: Path, umask: int = 0o022) -> None:
    """One of the package's scripts, with this folder as the root."""
    tools = root / "usr/bin"
    tools.mkdir(parents=True)
    for tool, script in TOOLS.items():
        (tools / tool).write_text(f"#!/bin/sh\n{script}\n")
        (tools / tool).chmod(0o755)
    text = re.sub(r"(?<![\w$}\"])/(?=(opt|etc|var|run|usr)/)", f"{root}/", (SCRIPTS / name).read_text())
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "ROOT": str(root)}
    subprocess.run(["sh", "-c", text, name, argument], check=True, env=environment, umask=umask)


def test_an_installation_by_a_root_who_keeps_his_files_to_himself_is_of_use_to_the_service(tmp_path: Path) -> None:
    (tmp_path / "opt/appliance/1.0").mkdir(parents=True)
    run("postinst", "configure", tmp_path, umask=0o077)
    made = tmp_path / "opt/appliance/current"
    assert [oct(path.stat().st_mode & 0o777) for path in (made, made / "bin", made / "bin/appliance")] == ["0o755"] * 3
    assert not (tmp_path / "opt/appliance/1.0").exists()
    tried = (tmp_path / "setpriv").read_text()
    assert tried.startswith("--reuid appliance --regid appliance --init-groups -- "), "tried as who will run it"
    assert tried.endswith("/opt/appliance/2.0/bin/appliance --version\n")


@pytest.mark.parametrize("how", LEFT)
def test_what_was_built_on_the_device_goes_only_with_what_is_the_owners(tmp_path: Path, how: str) -> None:
    for name in MADE:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (tmp_path / "opt/appliance/current").symlink_to("0.1.0")
    run("postrm", how, tmp_path)
    kept = (tmp_path / "opt", tmp_path / "etc", tmp_path / "var")
    left = {str(path.relative_to(tmp_path)) for place in kept for path in place.rglob("*") if not path.is_dir()}
    assert left == LEFT[how]
