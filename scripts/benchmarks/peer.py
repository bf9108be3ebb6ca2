"""Ultralytics and librosa in a process and a virtual environment of their own: see peer.sh and ultralytics_peer.py."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from scripts.benchmarks.detector import IOU, THRESHOLD
from scripts.benchmarks.material import PEER, Material, Unavailable
from scripts.benchmarks.running import ONE_THREAD
from scripts.benchmarks.timing import Turn


def find(repository: Path) -> Path | None:
    """The Python of the peer's virtual environment, where there is one."""
    python = Path(os.environ.get("PEER_VENV", repository / ".venv-peer")) / "bin" / "python"
    return python if python.exists() else None


def versions(python: Path | None) -> dict[str, str]:
    """Of what is compared with, where there is a peer."""
    if python is None:
        return {}
    code = "import importlib.metadata as m; print(*(m.version(name) for name in ('ultralytics', 'torch', 'librosa')))"
    said = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False).stdout.split()
    return dict(zip(("ultralytics", "torch", "librosa"), said, strict=False))


class Peer:
    """What runs in the peer's environment."""

    def __init__(self, python: Path, log: Path) -> None:
        """`log` gets what its libraries have to say."""
        self._python = python
        self._log = log

    def network(self, material: Material, size: int) -> Path:
        """Its YOLO11n for 640 or 320 as an ONNX file; made once. Raises Unavailable when it cannot."""
        folder = material.peers_folder
        made = folder / f"yolo11n_{size}.onnx"
        if not made.exists():
            self._run("export", str(folder), str(material.pictures_file))
        return made

    def first(self, network: Path, size: int) -> tuple[float, float]:
        """Seconds from the start of a process to its first answer, and the memory in MB that it then holds."""
        started_s = time.monotonic()
        with self._start("first", str(network), str(size)) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            seconds = time.monotonic() - started_s
        if not line:
            raise Unavailable(f"the peer ended without an answer: see {self._log}")
        return seconds, float(json.loads(line)["memory_mb"])

    def serve(self) -> Serving:
        """A process that answers; to be opened with `with`."""
        return Serving(self._start("serve"), self._log)

    def detector(self, material: Material, size: int, threads: int) -> Serving:
        """One that has its YOLO11n loaded, with our thresholds, and our pictures and film before it."""
        serving = self.serve()
        serving.ask(
            "open",
            model=str(self.network(material, size)),
            size=size,
            threads=threads,
            confidence=THRESHOLD,
            iou=IOU,
            frames=str(material.pictures_file),
            video=str(material.film),
        )
        return serving

    def _run(self, *arguments: str) -> None:
        with self._start(*arguments) as process:
            process.communicate()
        if process.returncode != 0:
            raise Unavailable(f"the peer's {arguments[0]} failed: see {self._log}")

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [str(self._python), str(PEER), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **ONE_THREAD},
            )


class Serving:
    """A peer that answers one request after the other; raises Unavailable when it ends instead."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def __enter__(self) -> Serving:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def ask(self, do: str, **arguments: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise Unavailable(f"the peer ended in the middle of `{do}`: see {self._log}")
        return json.loads(line)

    def turn(self, do: str, count: int) -> Turn:
        """One round of an alternative that runs over there."""
        answer = self.ask(do, count=count)
        return Turn(answer["wall_ms"], answer["cpu_ms"])
