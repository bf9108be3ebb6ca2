"""`scripts/torture`: runs the figures of reliability, one line of JSON each, a table at the end."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from scripts.torture_figures.catalogue import FIGURES
from scripts.torture_figures.figure import Figure, Outcome, judge
from scripts.torture_figures.running import run
from scripts.torture_figures.table import as_markdown, as_text

MISSED = 1


def main(words: Sequence[str] | None = None) -> int:
    asked = _arguments(words)
    figures = _chosen(asked.only)
    if asked.list:
        sys.stdout.write("".join(_listed(figure) for figure in figures))
        return 0
    outcomes: list[Outcome] = []
    for figure in figures:
        sys.stderr.write(f"{figure.name}: {figure.wanted}\n")
        outcome = judge(figure, run(figure, short=asked.short), figure.command(short=asked.short))
        outcomes.append(outcome)
        print(json.dumps(asdict(outcome)), flush=True)
        if asked.report is not None:  # after each: a run that is interrupted leaves what it had
            asked.report.write_text(as_markdown(outcomes, FIGURES, short=asked.short), encoding="utf-8")
    sys.stderr.write(as_text(outcomes))
    return MISSED if any(outcome.state == "missed" for outcome in outcomes) else 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/torture", description=__doc__)
    parser.add_argument("--list", action="store_true", help="only say what there is")
    parser.add_argument("--only", metavar="G3,G7", help="only these figures")
    parser.add_argument("--short", action="store_true", help="the short form of each, in fewer repetitions")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page in Markdown")
    return parser.parse_args(words)


def _chosen(only: str | None) -> list[Figure]:
    if only is None:
        return list(FIGURES.values())
    names = only.upper().split(",")
    if unknown := set(names) - FIGURES.keys():
        sys.exit(f"--only {only}: no figure is called {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    return [FIGURES[name] for name in FIGURES if name in names]


def _listed(figure: Figure) -> str:
    lines = [f"{figure.name}: {figure.wanted}", *(f"    {test}" for test in figure.tests)]
    lines += [f"    python -m {' '.join(program.long)}" for program in figure.programs]
    lines += [f"    but: {figure.exceptions}"] if figure.exceptions else []
    lines += [f"    as: {figure.command(short=False)}"] if figure.environment else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
