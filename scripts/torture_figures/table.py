"""What a run came to: a table for the terminal, Markdown for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

from scripts.benchmarks.report import machine
from scripts.torture_figures.figure import Figure, Outcome, State

WORDS: Mapping[State, str] = {
    "reached": "reached",
    "fewer": "kept, fewer times",
    "missed": "MISSED",
    "absent": "not told here",
}


def as_text(outcomes: Sequence[Outcome]) -> str:
    lines = [f"{'':4} {'':18} {'times':>12} {'s':>7}  reached"]
    for each in outcomes:
        row = f"{each.figure:4} {WORDS[each.state]:18} {times(each):>12} {each.seconds:7.1f}  {reached(each)}"
        lines.append(row + (f"  [{each.why}]" if each.why else ""))
    return "\n".join([*lines, summary(outcomes)]) + "\n"


def as_markdown(outcomes: Sequence[Outcome], figures: Mapping[str, Figure], *, short: bool) -> str:
    where = machine({})
    form = "the short form of every test" if short else "full length"
    minutes = sum(each.seconds for each in outcomes) / 60
    lines = [
        f"# Torture of {date.today().isoformat()}",  # noqa: DTZ011 - the day where the reader is
        "",
        f"By `scripts/torture{' --short' if short else ''}` ({form}, {minutes:.0f} minutes) "
        f"on {where.cores} cores of {where.processor}, {where.system}, Python {where.python}. Load before the report: "
        f"{where.load_before}. {summary(outcomes)}",
        "",
        "`times`: repetitions run, of those that the figure asks for. Each figure was run once.",
        "",
        "| figure | wanted | reached | times | s | | command | exceptions |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in outcomes:
        cells = (each.wanted, reached(each), times(each), f"{each.seconds:.0f}", _state(each), f"`{each.command}`")
        row = [each.figure, *cells, figures[each.figure].exceptions]
        lines.append("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in row) + " |")
    return "\n".join(lines) + "\n"


def reached(outcome: Outcome) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in outcome.reached.items())


def times(outcome: Outcome) -> str:
    wanted = f" of {outcome.wanted_repetitions}" if outcome.wanted_repetitions else ""
    return f"{outcome.repetitions}{wanted}"


def summary(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(each.state for each in outcomes)
    return ", ".join(f"{counts[state]} {words}" for state, words in WORDS.items() if counts[state]) + "."


def _state(outcome: Outcome) -> str:
    return f"{WORDS[outcome.state]}: {outcome.why}" if outcome.why else WORDS[outcome.state]
