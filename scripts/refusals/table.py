"""Outcomes as a table, and what is wrong with one."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scripts.refusals.case import Outcome
from scripts.refusals.serve import LOST

_LONGEST = 400
_STEPS = re.compile(
    r"\b(install|reinstall|update|reboot|restart|pip install|is the oldest that works|may the service open|see that|"
    r"(add|give) the service's user|free memory|see `dmesg`|run (`|scripts/)|set graph = false|export (it|the)|"
    r"there is nothing to do|it was removed and is built again|the appliance does so by itself|on the processor|"
    r"piece by piece)"
)
"""What a sentence may tell its reader to do, or that nothing need be done."""


@dataclass(frozen=True, slots=True)
class Row:
    """Cases of one group that came to the same."""

    group: str
    names: tuple[str, ...]
    codes: tuple[int, ...]
    sentence: str
    """Of the first."""
    served_by: str
    statuses: tuple[int, ...]


def faults(outcome: Outcome) -> list[str]:
    """What a user would complain about; empty when nothing."""
    found = []
    sentence = outcome.sentence
    if not sentence or "\n" in sentence or len(sentence) > _LONGEST or re.search(r"Traceback|0x[0-9a-f]{6}", sentence):
        found.append(f"not one clear sentence: {sentence!r}")
    if not _STEPS.search(sentence):
        found.append(f"no next step: {sentence!r}")
    if not outcome.served_by:
        found.append("nobody answered")
    may_end = (0, LOST, *((-signal.SIGBUS, -signal.SIGSEGV) if outcome.case.kills else ()))
    if any(status not in may_end for status in outcome.statuses) or outcome.statuses[-1] != 0:
        found.append(f"ended with {outcome.statuses}")
    if outcome.noise and LOST not in outcome.statuses:
        found.append(f"wrote to standard error: {outcome.noise[:200]!r}")
    return found


def folded(outcomes: Iterable[Outcome]) -> list[Row]:
    """Many CUDA errors, lengths and bytes come to the same: one row, with the first one's words."""
    rows: dict[tuple[object, ...], Row] = {}
    for each in outcomes:
        kind = re.sub(r"\d+ \([^)]*\)|\d+", "#", each.sentence)
        by_code = each.case.code != 0
        key = (each.case.group, each.case.name if by_code else "", kind, each.served_by, each.statuses)
        before = rows.get(key)
        names = before.names if before else ()
        rows[key] = Row(
            each.case.group,
            names if each.case.name in names else (*names, each.case.name),
            (*before.codes, each.case.code) if before and by_code else (each.case.code,) if by_code else (),
            before.sentence if before else each.sentence,
            each.served_by,
            each.statuses,
        )
    return list(rows.values())


def _what(row: Row) -> str:
    if not row.codes:
        names = ", ".join(row.names) if len(row.names) < 4 else f"{row.names[0]} … {row.names[-1]} ({len(row.names)})"
        return f"{row.group}: {names}"
    return f"{row.group}, {row.names[0]} answers {_ranges(row.codes)}"


def _ranges(codes: Sequence[int]) -> str:
    parts: list[list[int]] = []
    for code in codes:
        if parts and parts[-1][-1] == code - 1:
            parts[-1].append(code)
        else:
            parts.append([code])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


def _ends(row: Row) -> str:
    return " ".join(map(str, row.statuses))


def text(rows: Sequence[Row]) -> str:
    """For a terminal: two lines a row."""
    return "\n".join(
        f"{row.served_by or 'NOBODY':12}{_ends(row):13}{_what(row)}\n{'':25}{row.sentence}" for row in rows
    )


def markdown(rows: Sequence[Row]) -> str:
    lines = ["| case | what is said | who answers | exit status |", "| --- | --- | --- | --- |"]
    lines += [f"| {_what(row)} | {_cell(row.sentence)} | {row.served_by} | {_ends(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;")


def plain(outcome: Outcome) -> dict[str, object]:
    """For programs."""
    case = outcome.case
    return {
        "group": case.group,
        "name": case.name,
        "code": case.code,
        "sentence": outcome.sentence,
        "served_by": outcome.served_by,
        "statuses": list(outcome.statuses),
        "noise": outcome.noise,
        "faults": faults(outcome),
    }
