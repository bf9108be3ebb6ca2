"""`appliance models explain`: where a model looked."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput
from appliance.cli.model_errors import model_errors
from appliance.cli.workbench.bench import called, find, leave, out_option, progress

if TYPE_CHECKING:
    from engines.engine import Array
    from engines.library import Library
    from engines.model import Model
    from engines.workbench.explain import Subject

MOST_SAMPLES = 500
"""Of a recording are looked through for the one that the model is surest of."""


@click.command()
@click.argument("model")
@click.argument("given", metavar="INPUT")
@click.option("--label", metavar="LABEL", help="Explain this answer; default: the surest.")
@click.option("--number", type=click.IntRange(0), metavar="N", help="Which frame or window; default: the surest.")
@click.option("--masks", type=click.IntRange(10, 100_000), default=1000, show_default=True, help="How often to look.")
@click.option("--cells", type=click.IntRange(2, 64), default=8, show_default=True, help="Fineness of what is hidden.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same gives the same map.")
@out_option
@click.pass_obj
def explain(
    library: Library,
    /,
    model: str,
    given: str,
    label: str | None,
    number: int | None,
    masks: int,
    cells: int,
    seed: int,
    out: Path | None,
) -> None:
    """Show where MODEL looked, or listened, in INPUT for its answer: as a picture and as JSON.

    Parts of the picture, or of the sound over time and frequency, are hidden at random, and the model is asked again:
    what lowers its score when hidden is what it looked at. Works with every model and engine.
    """
    from appliance.material import material
    from engines.model import Model
    from engines.workbench import explain as verb
    from engines.workbench.by_window import by_window
    from engines.workbench.saliency import Hiding

    with model_errors():
        bundle = find(library, model)
        if label is not None and label not in bundle.manifest.labels:
            raise BadInput(f"{model} knows no label {label!r}; it knows {', '.join(bundle.manifest.labels[:20])}")
        first, most = number or 0, MOST_SAMPLES if number is None else 1
        samples = islice(material(given, bundle.manifest, first + most), first, None)
        with Model(by_window(bundle)) as opened, progress() as tell:
            sample, subject, index = _surest(opened, samples, label, f"{given}: there is no frame or window {first}")
            explanation = verb.explain(opened, sample, subject, Hiding(masks, cells, seed=seed), tell)
        report = verb.report(explanation, called(bundle), f"{given} #{first + index}")
        folder = leave(report, out, bundle.manifest.name)
    click.echo(f"{subject.label} {subject.score:.2f} in {given} #{first + index}: {folder / 'explain.png'}")


def _surest(model: Model, samples: Iterable[Array], label: str | None, if_none: str) -> tuple[Array, Subject, int]:
    """The sample that the model is surest of, of equals the first; no other is kept. `if_none`: what to say then."""
    from engines.workbench.explain import surest

    best: tuple[Array, Subject, int] | None = None
    index = -1
    for index, sample in enumerate(samples):
        subject = surest(model, sample, label)
        if subject is not None and (best is None or subject.score > best[1].score):
            best = sample, subject, index
    if index < 0:
        raise BadInput(if_none)
    if best is None:
        raise BadInput(
            f"{model.manifest.name} finds {'no ' + label if label else 'nothing'} here, so there is nothing to explain"
        )
    return best
