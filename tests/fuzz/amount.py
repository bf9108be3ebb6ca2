"""Inputs for some targets, COUNT for each, in one process: python -m tests.fuzz.amount COUNT TARGET … Prints JSON."""

from __future__ import annotations

import json
import sys

from tests.fuzz.mutations import mutated
from tests.fuzz.run import FINDINGS
from tests.fuzz.table import TARGETS
from tests.fuzz.target import memory_mb

BUSY = 4.0
"""Times the processor time that an input may take: the machine has other things to do."""


def give(name: str, count: int) -> tuple[float, float]:
    """The seeds and what once broke this parser, then `count` inputs near them, the same ones every time.

    The most processor time that one took, in seconds, and by how many MiB the process is larger than after the seeds.
    """
    target = TARGETS[name]
    seeds = [*target.warm(), *(path.read_bytes() for path in sorted((FINDINGS / name).glob("*")))]
    slowest_s = max([target.judge(data, BUSY) for data in seeds])
    began_mb = memory_mb("VmRSS")
    for data in mutated(seeds, count, f"{count} for {name}"):
        slowest_s = max(slowest_s, target.judge(data, BUSY))
    return slowest_s, memory_mb("VmRSS") - began_mb


def main(count: int, names: list[str]) -> dict[str, float]:
    slowest_s, grown_mib = zip(*(give(name, count) for name in names), strict=True)
    return {"inputs": count * len(names), "slowest_s": round(max(slowest_s), 3), "grown_mib": round(sum(grown_mib), 1)}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2:])))
