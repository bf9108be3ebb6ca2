"""One plan on its way, seen from the side that waits: a child process and the news it sends.

Building takes minutes and gigabytes and may crash in a driver; here it costs whoever serves meanwhile nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import engines
from engines.engine import EngineError
from engines.tensorrt.job import Job
from engines.tensorrt.options import Target
from engines.tensorrt.plan_cache import Description
from engines.tensorrt.recipe import Recipe

CANCEL_S = 5.0
"""A build looks at whether it is wanted between two steps; one that does not within this time is killed."""

_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Building:
    """It is at work."""

    fraction: float
    """0 to 1; never goes back."""
    phase: str


@dataclass(frozen=True, slots=True)
class Built:
    """The plan is in the cache."""

    description: Description


@dataclass(frozen=True, slots=True)
class Failed:
    """There is no plan; trying the same again on this machine would come to the same."""

    reason: str


State: TypeAlias = Building | Built | Failed


class Builder:
    """Starts when it is made. `poll` from time to time; leave it with `with`, or `cancel`, whatever became of it."""

    def __init__(self, recipe: Recipe, target: Target) -> None:
        """Raises EngineError when the system has no room for another process or a file cannot be read."""
        self.recipe = recipe
        self._state: State = Building(0.0, "starting")
        self._unread = b""
        try:
            job = Job(recipe, target, recipe.key(target))
            self._news, told = os.pipe()
            os.set_blocking(self._news, False)
            with open(told, "wb", buffering=0):  # noqa: PTH123  # a descriptor: closed here, inherited there
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "engines.tensorrt.building_process", str(told)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(told,),
                    env=os.environ | {"PYTHONPATH": _python_path()},
                    start_new_session=True,
                )
        except OSError as error:
            raise EngineError(
                f"{recipe.network}: the process that builds its plan cannot be started: {error}"
            ) from error
        self._say(job.line())

    def __enter__(self) -> Builder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> State:
        """What is known now; never waits."""
        if not isinstance(self._state, Building):
            return self._state
        # In this order: what a process said before it ended is in the pipe when it is seen to have ended.
        ended = self._process.poll() is not None
        for line in self._lines():
            self._state = _read(json.loads(line), self._state)
        if ended and isinstance(self._state, Building):
            self._state = Failed(self._last_words())
        if not isinstance(self._state, Building):
            self.cancel()
        return self._state

    def wait(self, within_s: float) -> State:
        """`poll` until there is a result or the time is over."""
        deadline = time.monotonic() + within_s
        while isinstance(self.poll(), Building) and time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)
        return self.poll()

    def cancel(self, patience_s: float = CANCEL_S) -> None:
        """End it; does nothing when it has ended. After `patience_s` it is killed, which harms nothing."""
        if self._news < 0:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._news)
        self._news = -1
        if isinstance(self._state, Building):
            self._state = Failed("the build was cancelled")

    def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already; `poll` says how
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _lines(self) -> list[bytes]:
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._news, _MOST_BYTES):
                self._unread += part
        *lines, self._unread = self._unread.split(b"\n")
        return lines

    def _last_words(self) -> str:
        code = self._process.returncode
        if code == -signal.SIGKILL:
            return "the process that built it was killed; there may be too little memory (see `journalctl -k`)"
        if code < 0:
            return f"the process that built it crashed ({signal.Signals(-code).name})"
        return f"the process that built it ended with code {code}; the log above says why"


def _python_path() -> str:
    """The child finds the packages that we are."""
    ours = str(Path(engines.__file__).parent.parent)
    return os.pathsep.join(filter(None, [ours, os.environ.get("PYTHONPATH")]))


def _read(news: dict[str, Any], before: State) -> State:
    if "built" in news:
        return Built(Description(**news["built"]))
    if "failed" in news:
        return Failed(news["failed"])
    furthest = before.fraction if isinstance(before, Building) else 0.0
    return Building(max(furthest, news["fraction"]), news["phase"])
