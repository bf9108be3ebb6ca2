"""How long the daemon's `post` holds up the model's thread. As a program: CONFIG SECONDS."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from scripts.benchmarks.material import Unavailable

SETTLE_S = 0.5


def measure_handover(config: Path, seconds: float) -> list[float]:
    """Milliseconds of each call in `seconds`, once the model runs."""
    command = [sys.executable, "-m", "scripts.benchmarks.handover", str(config), str(seconds + SETTLE_S)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode != 0:
        raise Unavailable(f"the timed daemon ended: {done.stderr[-300:]}")
    times: list[float] = json.loads(done.stdout)
    return times


def _run(path: Path, seconds: float) -> list[float]:
    """Body of the process: `appliance run`, with a clock around the daemon's `post`."""
    from appliance.cli.run import execute
    from appliance.config import load
    from appliance.daemon import Daemon
    from appliance.uplink.outgoing import Outgoing

    times: list[tuple[float, float]] = []
    post = Daemon.post

    def timed(daemon: Daemon, document: Outgoing) -> None:
        started = time.perf_counter()
        post(daemon, document)
        times.append((started, (time.perf_counter() - started) * 1e3))

    Daemon.post = timed  # type: ignore[assignment, method-assign]  # the command puts the daemon together itself
    execute(load(path), path, seconds)
    if not times:
        return []
    return [taken for started, taken in times if started > times[0][0] + SETTLE_S]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_run(Path(sys.argv[1]), float(sys.argv[2]))))
