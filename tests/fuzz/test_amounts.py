"""Goal G20: so many inputs of each kind, and no parser breaks, is slow, or keeps what it has read."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from tests.chaos.telling import tell
from tests.conftest import REPOSITORY
from tests.fuzz import messages

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

KINDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "payloads": (100_000, tuple(messages.TARGETS)),
    "configurations": (10_000, ("configuration", "service-configuration")),
    "bundles": (2_000, ("manifest", "golden")),
    "networks": (500, ("network",)),
    "pictures": (500, ("picture",)),
}
"""How many of each the figure asks for, shared by these targets."""
SHORT = 25
"""Of so many inputs the short form gives one."""
SLOWEST_S = 1.0
GROWN_MIB = 50.0


@pytest.mark.parametrize("kind", KINDS)
def test_of_so_many_inputs_none_breaks_a_parser_or_stays_in_memory(kind: str, long_run: bool) -> None:
    wanted, targets = KINDS[kind]
    each = math.ceil(wanted / len(targets) / (1 if long_run else SHORT))
    words = [sys.executable, "-m", "tests.fuzz.amount", str(each), *targets]
    ended = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, errors="replace", check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    tell(f"G20 {kind}", None, **found, crashes=0)
    assert found["slowest_s"] <= SLOWEST_S
    assert found["grown_mib"] <= GROWN_MIB
