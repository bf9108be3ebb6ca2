"""One target under the fuzzer, in a process of its own: python -m tests.fuzz.campaign TARGET SECONDS CORPUS FINDINGS.

Atheris is libFuzzer for Python: it keeps and changes the inputs that reach code which no other has reached. It ends at
the first finding, which it leaves in FINDINGS. `scripts/fuzz` starts this, reads what it says, and goes on after it.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

ROOM_MB = 3_000
"""Of the whole process."""
HANGS_AFTER_S = 20
PATIENCE = 8.0
"""Under the fuzzer Python takes so many times as long."""


def main(name: str, seconds: str, corpus: str, findings: str) -> None:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["appliance", "capture", "engines", "tuf", "json"]):
        from tests.fuzz.table import TARGETS
    target = TARGETS[name]
    for number, seed in enumerate(target.warm()):
        (Path(corpus) / f"seed-{number}").write_bytes(seed)

    def once(data: bytes) -> None:
        target.judge(data, PATIENCE)

    limits = {
        "max_total_time": seconds,
        "max_len": target.longest,
        "timeout": HANGS_AFTER_S,
        "rss_limit_mb": ROOM_MB,
        "print_final_stats": 1,
        "artifact_prefix": f"{findings}/",
    }
    atheris.Setup([sys.argv[0], *(f"-{key}={value}" for key, value in limits.items()), corpus], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
