"""What to type differs by how this was installed: by the Debian package, for a user of its own, or by hand."""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGED = Path(sys.prefix).is_relative_to("/opt/appliance")
"""Whether this is the environment that the package made. It is made anew at every upgrade: what pip puts there goes."""
NVCC_PATH = "PATH=/usr/local/cuda/bin:$PATH"
ANEW = "dpkg-reconfigure edge-inference-appliance"


def command(words: str, packaged: bool = PACKAGED) -> str:
    """`appliance …` for somebody who wants to change what the service keeps; root's own folders are others."""
    return f"runuser -u appliance -- appliance {words}" if packaged else f"appliance {words}"


def environment(by_hand: str, packaged: bool = PACKAGED) -> str:
    """How to get back what the package brings and an environment made by hand gets with these words."""
    return ANEW if packaged else by_hand


def built(package: str, packaged: bool = PACKAGED) -> str:
    """How to build a Python package that there are no wheels of, such that upgrades keep it."""
    if packaged:
        wheels = "--wheel-dir /opt/appliance/wheels"
        return f"{NVCC_PATH} /opt/appliance/bin/pip wheel --no-cache-dir {package} {wheels}, then {ANEW}"
    return (
        f"{NVCC_PATH} pip install --no-cache-dir {package}, with --force-reinstall --no-deps where it is there already"
    )


def page(name: str, packaged: bool = PACKAGED) -> str:
    """Where this page of the documentation is."""
    return f"/usr/share/doc/edge-inference-appliance/docs/{name}" if packaged else f"docs/{name}"
