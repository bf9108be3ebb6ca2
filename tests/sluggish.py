"""The real command line, with an ONNX Runtime that can be slowed down or stopped from outside while it runs.

python -m tests.sluggish run --config …      (or serve …)

The file named by $SLUGGISH rules every inference: without it all is as always; a number is how many milliseconds one
takes longer; `hang` makes it wait until the file says something else, deaf to being cancelled, as a driver can be.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from appliance.cli import main
from engines import choose
from engines.engine import Array, Engine, Tensors
from engines.onnxrt import OnnxEngine
from engines.tensorrt.recipe import Recipe
from tests.appliance_process import ApplianceProcess

LOOK_EVERY_S = 0.002


class SluggishEngine(OnnxEngine):
    """Real answers, late."""

    def run(self, inputs: Tensors) -> dict[str, Array]:
        rule = Path(os.environ["SLUGGISH"])
        while (said := _read(rule)) == "hang":
            time.sleep(LOOK_EVERY_S)
        if said:
            time.sleep(float(said) / 1000)
        return super().run(inputs)


def _read(rule: Path) -> str:
    try:
        return rule.read_text()
    except FileNotFoundError:
        return ""


def _sluggish(recipe: Recipe, threads: int | None) -> Engine:
    return SluggishEngine(recipe.on_processor or recipe.network, threads)


class SluggishAppliance(ApplianceProcess):
    """A real appliance whose engine does as it is told."""

    module = "tests.sluggish"

    def __init__(self, folder: Path, config: str, **environment: str) -> None:
        self._rule = folder / "engine"
        super().__init__(folder, config, SLUGGISH=str(self._rule), **environment)

    def __enter__(self) -> SluggishAppliance:
        super().__enter__()
        return self

    def slow(self, rule: str) -> None:
        """`hang`, milliseconds, or nothing."""
        rewrite(self._rule, rule)


class ServiceProcess:
    """A real `appliance serve` whose engine does as it is told; ended with `kill`, or with the block."""

    def __init__(self, folder: Path, broker: str, service: str, *models: str) -> None:
        self._rule = folder / f"{service}-engine"
        self._log = folder / f"{service}.log"
        named = [word for model in models for word in ("--model", model)]
        self._command = [sys.executable, "-m", "tests.sluggish", "serve", "--broker", broker, "--id", service, *named]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ServiceProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if kind is not None:
            sys.stderr.write(f"---- service\n{self._log.read_text()[-4000:]}\n")

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env={**os.environ, "SLUGGISH": str(self._rule)}
            )

    def kill(self) -> None:
        """SIGKILL: it says goodbye to nobody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def slow(self, rule: str) -> None:
        rewrite(self._rule, rule)


def rewrite(path: Path, text: str) -> None:
    """At once, so that nobody reads half of it."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


if __name__ == "__main__":
    choose.BACK_ENDS["onnxruntime"] = _sluggish
    main()
