"""One life of a device that is given a configuration, killed after a thing on its disk that was not the end before.

python -m tests.config_life FOLDER REGISTRY NAME@VERSION [things after which it was killed before...]
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.appliance.reconfigure.simulated import SimulatedDevice, document


def main(folder: Path, registry: Path, wanted: str, survived: list[str]) -> None:
    def checkpoint(words: str) -> None:
        if words not in survived:
            print(words, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    anchor = (registry / "metadata" / "root.json").read_bytes()
    device = SimulatedDevice(folder, registry, anchor, checkpoint)
    device.desire(document(1, wanted))
    for _ in range(20):
        device.turn()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
