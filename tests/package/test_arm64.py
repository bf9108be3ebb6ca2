"""The package for 64-bit Arm on an arm64 Debian: scripts/check_arm64, wherever such programs can be run."""

from __future__ import annotations

import subprocess

import pytest

from tests.conftest import REPOSITORY

CANNOT = 77
"""How the script ends where something is missing; its last line says what."""


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_package_for_arm_installs_answers_as_here_and_passes_its_tests() -> None:
    done = subprocess.run(
        [REPOSITORY / "scripts/check_arm64"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode == CANNOT:
        pytest.skip(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout
