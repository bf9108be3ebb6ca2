"""The table of checks: what was looked at, what came of it, and the report that keeps it."""

from __future__ import annotations

import json
import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

State = Literal["ok", "FAILED", "absent", "figure"]


class Absent(Exception):
    """This machine cannot run the check; the text says what is missing."""


class Missed(Exception):
    """The check ran and its goal was not met; the text says by how much."""


@dataclass(frozen=True, slots=True)
class Row:
    """One check."""

    goal: str
    """Of the list of performance goals (G1 to G12), or empty."""
    name: str
    state: State
    """`figure`: measured, with no goal to meet."""
    text: str
    took_s: float


@dataclass(slots=True)
class Table:
    """Rows in the order in which they were made; printed as they come."""

    rows: list[Row] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    """Of the machine and its software."""
    strict: bool = True
    """Whether a goal of speed that is missed counts as a failure."""

    def check(self, name: str, body: Callable[[], str | None], goal: str = "", *, figure: bool = False) -> bool:
        """Run `body`, which returns what it saw, or raises. True unless it failed."""
        begun_s = time.perf_counter()
        state: State = "figure" if figure else "ok"
        try:
            text = body() or ""
        except Absent as error:
            state, text = "absent", str(error)
        except Missed as error:
            state, text = ("FAILED" if self.strict or not goal else "figure"), str(error)
        except Exception as error:  # a check that breaks is a finding; the others go on
            state, text = "FAILED", f"{type(error).__name__}: {error}"
            traceback.print_exc()
        row = Row(goal, name, state, text, round(time.perf_counter() - begun_s, 2))
        self.rows.append(row)
        print(f"{row.state:7} {row.goal:4} {row.name}: {row.text}", flush=True)
        return state != "FAILED"

    @property
    def failed(self) -> int:
        return sum(row.state == "FAILED" for row in self.rows)

    def write(self, folder: Path) -> Path:
        """`gpu_check.json` and `gpu_check.md`; returns the latter."""
        folder.mkdir(parents=True, exist_ok=True)
        facts = {"machine": platform.platform(), "python": platform.python_version()} | self.facts
        document = {"facts": facts, "rows": [asdict(row) for row in self.rows]}
        (folder / "gpu_check.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        lines = ["# GPU check", "", *(f"- {name}: {value}" for name, value in facts.items()), ""]
        lines += ["| goal | check | state | seen | s |", "| --- | --- | --- | --- | --- |"]
        lines += [f"| {row.goal} | {row.name} | {row.state} | {_cell(row.text)} | {row.took_s} |" for row in self.rows]
        report = folder / "gpu_check.md"
        report.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return report


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
