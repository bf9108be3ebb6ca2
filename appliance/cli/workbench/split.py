"""`appliance models split`: one network becomes two stages."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput
from appliance.cli.model_errors import model_errors
from appliance.cli.numbers import Number
from appliance.cli.workbench.bench import called, find, leave, out_option, progress

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.engine import Array
    from engines.library import Library

PROBES = 4
"""Samples that both ways are compared on."""


@click.command()
@click.argument("model")
@click.argument("tensor", required=False)
@click.option("--suggest", is_flag=True, help="Measure every place to cut and print what it costs; changes nothing.")
@click.option("--frames", metavar="SOURCE", help="What to compare on: files or a source; default: noise.")
@click.option("--link", "mbit_per_s", type=Number(min=0.001), default=50.0, show_default=True, metavar="MBIT/S")
@click.option("--round-trip", "round_trip_ms", type=Number(min=0), default=5.0, show_default=True, metavar="MS")
@click.option(
    "--server-speed", type=Number(min=0.01), default=4.0, show_default=True, help="Times as fast as this machine."
)
@out_option
@click.pass_obj
def split(
    library: Library,
    /,
    model: str,
    tensor: str | None,
    suggest: bool,
    frames: str | None,
    mbit_per_s: float,
    round_trip_ms: float,
    server_speed: float,
    out: Path | None,
) -> None:
    """Cut MODEL at TENSOR into two stages, as a new version; the second may run elsewhere.

    --suggest finds the places. The new version is compared with the whole before it is installed. Variants of the stage
    that is cut do not come along: quantize makes them anew.
    """
    from engines.workbench import split as verb
    from engines.workbench.tensors import inputs_of_stages

    if suggest == (tensor is not None):
        raise BadInput("give the TENSOR to cut at, or --suggest to find one")
    with model_errors(), tempfile.TemporaryDirectory() as scratch, progress() as tell:
        bundle = find(library, model)
        inputs = inputs_of_stages(bundle, _probes(bundle, frames))
        if tensor is None:
            link = verb.Link(mbit_per_s, round_trip_ms, server_speed)
            priced = verb.suggest(bundle, inputs, link, Path(scratch), tell)
            report = verb.report(priced, called(bundle), link)
            where = leave(report, out, bundle.manifest.name)
        else:
            made, worst = verb.split(bundle, tensor, inputs, Path(scratch))
            lost = verb.lost_variants(bundle, made)
            report = verb.report_of_cut(bundle, tensor, made, worst, inputs, Path(scratch))
            where = leave(report, out, bundle.manifest.name)
            added = library.install(made.manifest, made.files)
    if tensor is None:
        click.echo(report.text)
        click.echo(f"report: {where / 'split.md'}")
        return
    manifest = added.bundle.manifest
    stages = " -> ".join(stage.name for stage in manifest.stages)
    alike = "answers as it did without variants" if lost else "answers as before"
    click.echo(f"{called(added.bundle)}: {stages}; {alike} (largest difference {worst:.1g})")
    if lost:
        again = f"`appliance models quantize {manifest.name}@{manifest.version} --frames SOURCE` makes them anew"
        click.echo(f"variants of the stage that was cut are gone ({', '.join(lost)}): {again}")
    click.echo(f"report: {where / 'split.md'}")


def _probes(bundle: Bundle, frames: str | None) -> list[Array]:
    from appliance.material import material
    from engines.workbench.tensors import noise

    if frames is None:
        return noise(bundle.manifest.input, PROBES)
    return list(material(frames, bundle.manifest, PROBES))
