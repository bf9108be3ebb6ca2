"""`compare`: two versions of a model on the same input, told side by side."""

from __future__ import annotations

from typing import Any

from engines.bundle import Bundle
from engines.external import bytes_of
from engines.workbench.agreement import Agreement
from engines.workbench.plot import stacked_bars
from engines.workbench.report import Report, table

SHOWN = 20
"""Samples that are named, those the models differ most about."""


def report(agreement: Agreement, first: Bundle, second: Bundle, given: str) -> Report:
    """What was said differently, and how fast."""
    names = [f"{each.manifest.name} {each.manifest.version}" for each in (first, second)]
    if names[0] == names[1]:
        names = [str(first.folder), str(second.folder)]
    sizes = [size(each) for each in (first, second)]
    worst = [number for number in agreement.least_like if agreement.samples[number].share < 1][:SHOWN]
    facts: dict[str, Any] = {
        "first": names[0],
        "second": names[1],
        "data": given,
        "samples": len(agreement.samples),
        "agreement": agreement.share,
        "score_difference": agreement.score_difference,
        "first_ms": agreement.first_ms,
        "second_ms": agreement.second_ms,
        "first_bytes": sizes[0],
        "second_bytes": sizes[1],
        "least_like": [{"sample": number, "agreement": agreement.samples[number].share} for number in worst],
    }
    rows = [
        ["answer, median ms", f"{agreement.first_ms:.2f}", f"{agreement.second_ms:.2f}"],
        ["networks, kB", f"{sizes[0] / 1e3:.0f}", f"{sizes[1] / 1e3:.0f}"],
    ]
    text = (
        f"On {len(agreement.samples)} samples of {given} both say the same in **{agreement.share:.2%}** of their "
        f"answers (the same label and place); the scores of these differ by {agreement.score_difference:.3f}.\n\n"
        + table(["", *names], rows)
        + (f"\nThey differ most about samples {', '.join(map(str, worst))}.\n" if worst else "")
        + "\n![how fast](compare.svg)\n"
    )
    bars = [(names[0], {"answer": agreement.first_ms}), (names[1], {"answer": agreement.second_ms})]
    picture = stacked_bars(f"{names[0]} and {names[1]}", bars, "ms")
    return Report("compare", f"{names[0]} and {names[1]}", facts, text, {"compare.svg": picture})


def size(bundle: Bundle) -> int:
    """Bytes of the networks of a model, weights in other files included."""
    return bytes_of(*(bundle.stage_path(stage.name) for stage in bundle.manifest.stages))
