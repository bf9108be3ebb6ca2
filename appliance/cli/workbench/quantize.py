"""`appliance models quantize`: smaller and faster variants, each for one back end."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput, Failed
from appliance.cli.model_errors import model_errors
from appliance.cli.numbers import Number
from appliance.cli.workbench.bench import called, find, format_option, leave, out_option, progress
from appliance.cli.workbench.judge import accuracy_on, agreement_with

if TYPE_CHECKING:
    from engines.library import Library
    from engines.workbench.labelled import Kind
    from engines.workbench.trial import Precision

LEAST_SAMPLES = 2


@click.command()
@click.argument("model")
@click.option("--frames", metavar="SOURCE", help="What to calibrate with: files, a folder, or a source.  [required]")
@click.option("--most", type=click.IntRange(2), default=200, show_default=True, help="Frames or windows to use.")
@click.option("--every", type=click.IntRange(1), default=1, metavar="N", help="Only every Nth frame or window.")
@click.option(
    "--for",
    "engines",
    type=click.Choice(["onnxruntime", "tensorrt"]),
    multiple=True,
    help="Back ends to make a variant for; default: both, of float16 ONNX Runtime alone.",
)
@click.option("--precision", type=click.Choice(["int8", "float16"]), default="int8", show_default=True)
@click.option(
    "--labelled", type=click.Path(path_type=Path), metavar="DATA", help="Judge by accuracy on this, as evaluate does."
)
@format_option
@click.option("--tolerance", type=Number(0, 1), default=0.01, show_default=True, help="What may be lost.")
@click.option("--method", type=click.Choice(["minmax", "entropy", "percentile"]), default="minmax", show_default=True)
@out_option
@click.pass_obj
def quantize(
    library: Library,
    /,
    model: str,
    frames: str | None,
    most: int,
    every: int,
    engines: tuple[str, ...],
    precision: Precision,
    labelled: Path | None,
    kind: Kind | None,
    tolerance: float,
    method: str,
    out: Path | None,
) -> None:
    """Make variants of MODEL in 8-bit integers (or 16-bit floats), as a new version that holds the old network too.

    Half of the frames calibrate, the other half judge: how far the variant says the same as the model, or with
    --labelled how often it is right. Where that falls, the layers that suffer most stay in floats. A variant that is
    not faster than the network as it is, is refused.
    """
    from appliance.material import kept, material
    from engines.workbench import quantize as verb
    from engines.workbench.tensors import inputs_of_stages
    from engines.workbench.trial import without_variants

    if frames is None:
        raise BadInput("calibration needs frames: name a recording, a folder or a source with --frames")
    if kind is not None and labelled is None:
        raise BadInput("--format tells how the DATA of --labelled is labelled: name that too")
    with model_errors(), tempfile.TemporaryDirectory() as scratch, progress() as tell:
        wanted = verb.goals(engines, precision)
        bundle = find(library, model)
        plain = without_variants(bundle)
        samples = kept(material(frames, bundle.manifest, most, every), bundle.manifest)
        if len(samples) < LEAST_SAMPLES:
            raise BadInput(f"{frames}: {len(samples)} frames are too few to calibrate and to judge with: give more")
        inputs = inputs_of_stages(plain, samples[::2])
        judge = accuracy_on(labelled, kind, bundle) if labelled else agreement_with(plain, samples[1::2])
        outcomes = verb.quantize(
            bundle, wanted, inputs, judge, Path(scratch), tolerance=tolerance, method=method, tell=tell
        )
        report = verb.report(outcomes, called(bundle), "accuracy" if labelled else "agreement")
        where = leave(report, out, bundle.manifest.name)
        added = None
        if any(outcome.path is not None for outcome in outcomes):
            made = verb.made(bundle, outcomes)
            added = library.install(made.manifest, made.files)
    for outcome in outcomes:
        click.echo(f"{outcome.stage} {outcome.goal.name}: {outcome.why}")
    click.echo(f"report: {where / 'quantize.md'}")
    if added is None:
        raise Failed(f"{called(bundle)}: no variant is worth having here; nothing was installed")
    click.echo(f"{called(added.bundle)}: installed")
