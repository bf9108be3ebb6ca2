"""`appliance models evaluate`: how often a model is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.model_errors import model_errors
from appliance.cli.workbench.bench import called, find, format_option, leave, out_option, progress

if TYPE_CHECKING:
    from engines.engine import Array
    from engines.library import Library
    from engines.manifest import Manifest
    from engines.workbench.labelled import Kind, Labelled
    from engines.workbench.work import Tell


@click.command()
@click.argument("model")
@click.argument("data", type=click.Path(path_type=Path))
@format_option
@out_option
@click.pass_obj
def evaluate(library: Library, /, model: str, data: Path, kind: Kind | None, out: Path | None) -> None:
    """Tell how often MODEL is right on DATA: COCO JSON, YOLO text files, or a folder for each class.

    Of boxes mAP50 and mAP50-95 as COCO defines them, of classes the accuracy; and what was taken for what.
    """
    from appliance.predict import PICTURES, SOUNDS
    from engines.manifest import AudioInput
    from engines.model import Model
    from engines.workbench import evaluate as verb
    from engines.workbench.by_window import by_window
    from engines.workbench.labelled import read_labelled

    with model_errors(), progress() as tell:
        bundle = find(library, model)
        manifest = bundle.manifest
        suffixes = SOUNDS if isinstance(manifest.input, AudioInput) else PICTURES
        labelled = read_labelled(data, kind, manifest.labels, suffixes, manifest.decoder.name)
        with Model(by_window(bundle)) as opened:
            evaluation = verb.evaluate(opened, _samples(labelled, manifest, tell))
        report = verb.report(evaluation, called(bundle), str(data))
        where = leave(report, out, manifest.name)
    click.echo(report.text)
    click.echo(f"report: {where / 'evaluate.md'}")


def _samples(labelled: list[Labelled], manifest: Manifest, tell: Tell) -> Iterator[tuple[Labelled, list[Array]]]:
    from appliance.material import labelled_material

    for number, each in enumerate(labelled):
        tell("evaluating", number, len(labelled))
        yield each, labelled_material(each.path, manifest)
