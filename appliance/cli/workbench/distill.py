"""`appliance models distill`: a large model teaches a small one."""

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
@click.option("--teacher", required=True, metavar="MODEL", help="The large one: installed, a bundle or an .onnx file.")
@click.option("--frames", required=True, metavar="SOURCE", help="Your own recordings; nobody has to label them.")
@click.option("--most", type=click.IntRange(8), default=400, show_default=True, help="Frames or windows to use.")
@click.option("--every", type=click.IntRange(1), default=1, metavar="N", help="Only every Nth frame or window.")
@click.option("--rounds", type=click.IntRange(1, 1000), default=20, show_default=True, help="Times through the frames.")
@click.option("--rate", type=Number(1e-6, 1), default=1e-3, show_default=True, help="Size of the first steps.")
@out_option
@click.pass_obj
def distill(
    library: Library,
    /,
    model: str,
    teacher: str,
    frames: str,
    most: int,
    every: int,
    rounds: int,
    rate: float,
    out: Path | None,
) -> None:
    """Let a larger model teach MODEL on your own recordings; the result is a new version of MODEL.

    Both must have the same labels and write their answers the same way. What is installed is the best of all rounds on
    frames that were not taught; when none was better, or it agrees less with the teacher there, nothing is. Needs the
    `train` extra (PyTorch).
    """
    from appliance.material import kept, material
    from engines.workbench import slimmer
    from engines.workbench.distill import Lesson, check_teacher, lessons, teach, trainable
    from engines.workbench.graph import Graph
    from engines.workbench.trainable import pytorch

    with model_errors(), tempfile.TemporaryDirectory() as scratch, progress() as tell:
        bundle, master = find(library, model), find(library, teacher)
        check_teacher(bundle.manifest, master.manifest)
        pytorch()
        samples = kept(material(frames, bundle.manifest, most, every), bundle.manifest, master.manifest)
        if not samples:
            raise BadInput(f"{frames}: there is no frame in it to learn from")
        judge = agreement_with(master, samples[::4])
        # Asked now: frames that show nothing and networks that cannot be trained are refused before hours of work.
        before = judge(bundle)
        graph = Graph.load(bundle.stage_path(bundle.manifest.stages[-1].name))
        trainable(graph, bundle.manifest)
        pairs = lessons(bundle, master, samples, tell)
        taught = teach(graph, pairs, bundle.manifest, Lesson(rounds=rounds, rate=rate), tell)
        path = Path(scratch) / "taught.onnx"
        path.write_bytes(taught.model.SerializeToString())
        weighed = slimmer.weigh(bundle, path, pairs[0][0], judge, before)
        words = "agreement with the teacher"
        report = slimmer.report("distill", called(bundle), weighed, taught.losses, {"teacher": called(master)}, words)
        where = leave(report, out, bundle.manifest.name)
        refusal = _refusal(weighed, called(master), learnt=taught.learnt)
        if not refusal:
            made = slimmer.with_last_stage(bundle, path, f"taught by {called(master)}, from {called(bundle)}")
            added = library.install(made.manifest, made.files)
    click.echo(f"report: {where / 'distill.md'}")
    if refusal:
        raise Failed(f"{called(bundle)}: {refusal}; nothing was installed")
    told = f"{weighed.before:.1%} -> {weighed.after:.1%}"
    click.echo(f"{called(added.bundle)}: agreement with {called(master)} on other frames: {told}")


def _refusal(weighed: Weighed, teacher: str, *, learnt: bool) -> str:
    """Outputs that come nearer to the teacher's may still say something else."""
    from engines.workbench.trial import loses

    if not learnt:
        return f"it learnt nothing from {teacher}"
    if loses(weighed.before, weighed.after, 0.0):
        told = f"{weighed.before:.2%} -> {weighed.after:.2%}"
        return f"it says less of what {teacher} says of other frames ({told}): give more frames, or a smaller --rate"
    return ""
