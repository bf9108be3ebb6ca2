"""What a fault test has measured, as one line of JSON, for people and for scripts/torture."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.chaos.checker import Report

TOLD = "APPLIANCE_TOLD"
"""Names a file; every line is added to it as well."""


def tell(goal: str, report: Report | None = None, **figures: object) -> None:
    """One line a run. `goal` begins with the figure that it belongs to: `G1 killed daemon`."""
    line = json.dumps({"goal": goal, **(report.as_dict() if report is not None else {}), **figures})
    print(line)
    if told := os.environ.get(TOLD):
        with Path(told).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
