"""Models in two stages, and real model services, each a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.catalogue import Catalogue
from engines.bundle import Bundle, write_bundle
from engines.engine import EngineError
from engines.workbench.split import split
from engines.workbench.tensors import inputs_of_stages, noise
from tests.conftest import REPOSITORY

SHIPPED = REPOSITORY / "appliance" / "bundles"


def shipped(name: str) -> Bundle:
    return Bundle.open(SHIPPED / name / "1")


def halved(name: str, tensor: str, folder: Path) -> Bundle:
    """A model of the package with its only stage in two: `main-1` makes `tensor`, `main-2` the rest."""
    whole = shipped(name)
    parts = folder / f"parts of {name}"
    parts.mkdir(parents=True)
    made, _ = split(whole, tensor, inputs_of_stages(whole, noise(whole.manifest.input, 2)), parts)
    return write_bundle(folder / name, made.manifest, made.files)


def spoken_digits() -> Bundle:
    """The model of the catalogue; the test is skipped where it is not installed."""
    try:
        return Catalogue.default().find("spoken-digits")
    except EngineError as error:
        pytest.skip(f"no model spoken-digits in the catalogue: {error}")


class ServiceProcess:
    """`appliance serve` with these models; `kill` is SIGKILL."""

    def __init__(self, url: str, folder: Path, *bundles: Bundle, service: str = "attic", more: str = "") -> None:
        models = "".join(
            f"[[model]]\nname = {json.dumps(each.manifest.name)}\nbundle = {json.dumps(str(each.folder))}\n"
            'engine = "onnxruntime"\nthreads = 1\n'
            for each in bundles
        )
        self._config = folder / f"{service}.toml"
        self._config.write_text(f'[serve]\nid = "{service}"\n[mqtt]\nbroker = "{url}"\n{models}{more}\n')
        self._log = folder / f"{service}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "appliance", "serve", "--config", str(self._config)]
        environment = dict(os.environ, PYTHONPATH=str(REPOSITORY))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def serving(
    url: str, folder: Path, *bundles: Bundle, service: str = "attic", more: str = ""
) -> Iterator[ServiceProcess]:
    """A model service at work, ended hard; whether it is ready is for its announcement to say."""
    process = ServiceProcess(url, folder, *bundles, service=service, more=more)
    process.start()
    try:
        yield process
    finally:
        process.kill()
