"""`appliance models prune`: a network without its weakest channels."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput, Failed
from appliance.cli.model_errors import model_errors
from appliance.cli.numbers import Number
from appliance.cli.workbench.bench import called, find, leave, out_option, progress
from appliance.cli.workbench.judge import agreement_with

if TYPE_CHECKING:
    from engines.library import Library
    from engines.workbench.slimmer import Weighed


@click.command()
@click.argument("model")
@click.option("--frames", metavar="SOURCE", help="What to win back the accuracy with: files or a source.  [required]")
@click.option("--share", type=Number(0.05, 0.9), default=0.3, show_default=True, help="Of the channels that shall go.")
@click.option("--most", type=click.IntRange(8), default=400, show_default=True, help="Frames or windows to use.")
@click.option("--every", type=click.IntRange(1), default=1, metavar="N", help="Only every Nth frame or window.")
@click.option("--rounds", type=click.IntRange(0, 1000), default=20, show_default=True, help="Times through the frames.")
@click.option("--tolerance", type=Number(0, 1), default=0.05, show_default=True, help="Agreement that may be lost.")
@out_option
@click.pass_obj
def prune(
    library: Library,
    /,
    model: str,
    frames: str | None,
    share: float,
    most: int,
    every: int,
    rounds: int,
    tolerance: float,
    out: Path | None,
) -> None:
    """Take whole channels out of the last stage of MODEL, so that it is smaller and faster; as a new version.

    The model as it was then teaches the model as it is, on your frames. Refused when it is not faster, or says too much
    otherwise. Needs the `train` extra (PyTorch).
    """
    import onnx

    from appliance.material import kept, material
    from engines.workbench import prune as verb
    from engines.workbench import slimmer
    from engines.workbench.distill import Lesson, lessons, teach, trainable
    from engines.workbench.graph import Graph
    from engines.workbench.prepared import prepared
    from engines.workbench.trainable import pytorch

    if frames is None:
        raise BadInput("pruning needs frames to win back what is lost: name them with --frames")
    with model_errors(), tempfile.TemporaryDirectory() as scratch, progress() as tell:
        pytorch()
        bundle = find(library, model)
        samples = kept(material(frames, bundle.manifest, most, every), bundle.manifest)
        judge = agreement_with(bundle, samples[::4])
        # Asked now: frames that show nothing and networks that cannot be trained are refused before hours of work.
        before = judge(bundle)
        graph = Graph.load(bundle.stage_path(bundle.manifest.stages[-1].name))
        cut = verb.prune(Graph(onnx.shape_inference.infer_shapes(prepared(graph, Path(scratch)))), share)
        slim = Graph(onnx.shape_inference.infer_shapes(cut.model))
        trainable(slim, bundle.manifest)
        pairs = lessons(bundle, bundle, samples, tell)
        taught = teach(slim, pairs, bundle.manifest, Lesson(rounds=rounds), tell)
        path = Path(scratch) / "slim.onnx"
        path.write_bytes(taught.model.SerializeToString())
        weighed = slimmer.weigh(bundle, path, pairs[0][0], judge, before)
        facts = {"share": share, "channels": cut.channels, "gone": cut.gone}
        facts |= {"weights_before": cut.weights_before, "weights_after": cut.weights_after}
        report = slimmer.report("prune", called(bundle), weighed, taught.losses, facts, "agreement")
        where = leave(report, out, bundle.manifest.name)
        refusal = _refusal(weighed, tolerance)
        if not refusal:
            made = slimmer.with_last_stage(bundle, path, f"pruned by {share:.0%} from {called(bundle)}")
            added = library.install(made.manifest, made.files)
    click.echo(f"report: {where / 'prune.md'}")
    if refusal:
        raise Failed(f"{called(bundle)}: {refusal}; nothing was installed")
    times = f"{weighed.after_ms / weighed.before_ms:.2f} times the time"
    click.echo(f"{called(added.bundle)}: {cut.gone} of {cut.channels} channels less, {times}")


def _refusal(weighed: Weighed, tolerance: float) -> str:
    from engines.workbench.trial import loses

    if weighed.after_ms >= weighed.before_ms:
        return f"{weighed.after_ms:.2f} ms is not faster than {weighed.before_ms:.2f} ms before"
    if loses(weighed.before, weighed.after, tolerance):
        lost = weighed.before - weighed.after
        return f"it says {lost:.1%} otherwise, more than {tolerance:.1%}: give a smaller --share, more frames or rounds"
    return ""
