"""Ends what a process has started once it is gone itself: also when it was killed, and had no time to.

As a program: PARENT COMMAND…, which it becomes.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1
"""prctl(2). It outlives execve(2), unless that changes the user."""
_NOT_STARTED = 127
"""A shell's exit code for a command that cannot be run."""


def leashed(command: Sequence[str]) -> list[str]:
    """The command line of the same process with a leash: it gets SIGTERM once the thread that starts it has ended."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(parent: int, command: list[str]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        return  # it was gone before it could be noticed
    try:
        os.execvp(command[0], command)  # noqa: S606  # the caller's command, without a shell
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(_NOT_STARTED)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
