"""One life of a device that takes a version the whole way, and is killed after a thing that was not the end before.

python -m tests.model_life FOLDER URL ROOT keep|return [things after which it was killed before...]
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from appliance.sync.states import State
from tests.appliance.sync.machines import machine, tools, whole_way


def main(folder: Path, url: str, root: Path, ending: str, survived: list[str]) -> None:
    def checkpoint(words: str) -> None:
        if words not in survived:
            print(words, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    made = tools(url, root, checkpoint)
    if ending == "keep":
        whole_way(folder, made, "shapes@2")
        return
    with machine(folder, made) as at_work:
        at_work.activation.recover()
        job = at_work.ledger.job("shapes")
        assert job is not None
        if job.state is State.KEPT:
            at_work.activation.give_back(job, "asked for", deny=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4], sys.argv[5:])
