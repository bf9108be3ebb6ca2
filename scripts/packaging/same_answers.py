"""Whether two machines see and hear the same: compares what `appliance predict --json` said on each.

python scripts/packaging/same_answers.py HERE.jsonl THERE.jsonl
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_OF_A_SCORE = 0.02
MOST_OF_A_BOX_PX = 3.0
"""Pictures are scaled by other instructions on another processor, and pixels differ by a step of grey."""
Found = tuple[str, float, list[float]]
"""Label, score and box; a label of a whole window has no box."""


def main(here: Path, there: Path) -> int:
    said = [[json.loads(line) for line in path.read_text().splitlines()] for path in (here, there)]
    if len(said[0]) != len(said[1]) or not said[0]:
        print(f"{len(said[0])} answers here, {len(said[1])} there")
        return 1
    faults = [fault for ours, theirs in zip(*said, strict=True) for fault in differences(ours, theirs)]
    things = sum(len(_found(each)) for each in said[0])
    print("\n".join(faults) or f"the same {len(said[0])} answers, with {things} things in them")
    return 1 if faults else 0


def differences(ours: dict[str, object], theirs: dict[str, object]) -> Iterator[str]:
    """What another processor sees otherwise, a sentence each."""
    here, there = _found(ours), _found(theirs)
    if [each[0] for each in here] != [each[0] for each in there]:
        yield f"{ours['source']}: {[each[0] for each in here]} here, {[each[0] for each in there]} there"
        return
    for (label, score, box), (_, other_score, other_box) in zip(here, there, strict=True):
        apart_px = max((abs(a - b) for a, b in zip(box, other_box, strict=True)), default=0.0)
        if abs(score - other_score) > MOST_OF_A_SCORE or apart_px > MOST_OF_A_BOX_PX:
            yield f"{ours['source']}: {label}: {score} {box} here, {other_score} {other_box} there"


def _found(answer: dict[str, object]) -> list[Found]:
    """From left to right: which score is higher may differ by less than counts."""
    things = answer.get("detections") or answer.get("labels") or []
    assert isinstance(things, list)
    found = [(str(each["label"]), float(each["score"]), [float(px) for px in each.get("box", [])]) for each in things]
    return sorted(found, key=lambda each: (each[2][:1], each[0]))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
