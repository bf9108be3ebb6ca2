"""Every target under the fuzzer for a while, one after the other: `scripts/fuzz`. Prints one JSON line for each."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FINDINGS = Path(__file__).parent / "findings"
"""What once broke a parser: a folder for each target, run with the suite."""
_STATUS = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+)", re.MULTILINE)
_STATUS_END = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_MOST_FINDINGS = 5


def main() -> int:
    from tests.fuzz.table import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="for each target (120)")
    parser.add_argument("--only", action="append", choices=sorted(TARGETS), metavar="TARGET", help="may be repeated")
    parser.add_argument(
        "--corpus", type=Path, help="keep the inputs that reached something new here, and start from them"
    )
    parser.add_argument("--list", action="store_true", help="name the targets")
    given = parser.parse_args()
    if given.list:
        print(*TARGETS, sep="\n")
        return 0
    found = 0
    for name in given.only or TARGETS:
        with tempfile.TemporaryDirectory(prefix="corpus-") as fresh:
            corpus = (given.corpus or Path(fresh)) / name
            corpus.mkdir(parents=True, exist_ok=True)
            summary = campaign(name, given.seconds, corpus)
        print(json.dumps(summary), flush=True)
        found += len(summary["findings"])
    return 1 if found else 0


def campaign(name: str, seconds: int, corpus: Path) -> dict[str, Any]:
    """One target; begun again after a finding, until the time is over or there are enough of them."""
    folder = FINDINGS / name
    known = set(folder.glob("*"))
    began_s = time.monotonic()
    executions = reached = 0
    causes: list[str] = []
    while (left_s := seconds - (time.monotonic() - began_s)) > 1 and len(causes) < _MOST_FINDINGS:
        folder.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-m", "tests.fuzz.campaign", name, str(int(left_s)), str(corpus), str(folder)]
        ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        said = ended.stdout + ended.stderr
        counted = [int(count) for count in _STATUS_END.findall(said)] or [int(n) for n, _ in _STATUS.findall(said)[-1:]]
        executions += sum(counted)
        reached = max([reached, *(int(cover) for _, cover in _STATUS.findall(said))])
        if ended.returncode:
            causes.append(_cause(said))
            if not set(folder.glob("*")) - known:
                break  # it did not come to fuzzing: the cause says why
    took_s = time.monotonic() - began_s
    fresh = sorted(path.name for path in set(folder.glob("*")) - known)
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()
    return {
        "target": name,
        "seconds": round(took_s),
        "executions": executions,
        "per_s": round(executions / max(1.0, took_s)),
        "reached": reached,
        "inputs": len(list(corpus.iterdir())),
        "findings": causes,
        "files": fresh,
    }


def _cause(said: str) -> str:
    """The last line of the exception, or what libFuzzer says of a hang or of memory."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if "Uncaught Python exception" in line or "ERROR: libFuzzer" in line:
            places = [each for each in lines[number:] if each.startswith("File ") and "tests/fuzz" not in each]
            return " | ".join([*lines[number + 1 : number + 2], *places[-2:]])[:600]
    return " | ".join(lines[-4:])[:600]


if __name__ == "__main__":
    sys.exit(main())
