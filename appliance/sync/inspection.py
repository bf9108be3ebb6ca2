"""Have a bundle inspected in a process of its own, and believe nothing but its one line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from appliance.sync.carrier import Stopped
from appliance.sync.inspector import ANSWER_S

LOOK_S, TRY_S = 60.0, 150.0
_MOST_LINE = 1 << 16
_TICK_S = 0.1


class Unfit(Exception):
    """The bundle is not to be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Tried:
    """How a bundle answered."""

    p95_ms: float
    distance: float | None
    """To its golden outputs, as a share of them; None where it brings none."""


def look(folder: Path, stopped: Callable[[], bool], within_s: float = LOOK_S) -> str:
    """Check a bundle without running it; the digest of its manifest. Raises Unfit, Stopped, OSError."""
    return str(_run("look", folder, stopped, within_s)["digest"])


def attempt(folder: Path, stopped: Callable[[], bool], within_s: float = TRY_S) -> Tried:
    """Let it answer, also its golden inputs. Raises Unfit, Stopped, OSError."""
    said = _run("try", folder, stopped, within_s)
    return Tried(float(said["p95_ms"]), said["distance"])


def _run(what: Literal["look", "try"], folder: Path, stopped: Callable[[], bool], within_s: float) -> dict[str, Any]:
    """Raises Unfit for whatever ends without its line."""
    import appliance

    root = str(Path(appliance.__file__).parent.parent)
    path = os.pathsep.join([root, *filter(None, sys.path)])
    process = subprocess.Popen(
        [sys.executable, "-m", "appliance.sync.inspector", what, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        | {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        deadline_s = time.monotonic() + within_s
        while process.poll() is None:
            if stopped():
                raise Stopped
            if time.monotonic() > deadline_s:
                raise Unfit(f"no answer within {within_s:.0f} s")
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_TICK_S)
        line = process.stdout.read(_MOST_LINE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    return _read(line, process.returncode)


def _read(line: bytes, code: int) -> dict[str, Any]:
    """What the process said. Without a word it was ended by the system, which is the model's fault; or it ended by
    itself, which is ours: OSError, and it is tried again."""
    try:
        said = json.loads(line)
    except ValueError as error:
        if code >= 0:
            raise OSError(f"the process that tries models ended with {code}, and said nothing of the model") from error
        raise Unfit(_ending(code)) from error
    if not isinstance(said, dict) or "unfit" in said:
        raise Unfit(str(said.get("unfit", "")) if isinstance(said, dict) else "it makes no sense")
    return said


def _ending(code: int) -> str:
    """How a process ended that said nothing."""
    if code == -signal.SIGALRM:
        return f"no answer within {ANSWER_S} s"
    if code == -signal.SIGXCPU or code == -signal.SIGKILL:
        return "it took more processor time than a model may"
    return f"the process that tried it was ended by signal {-code}"
