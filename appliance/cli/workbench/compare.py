"""`appliance models compare`: two versions on the same input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.model_errors import model_errors
from appliance.cli.workbench.bench import find, leave, out_option, progress

if TYPE_CHECKING:
    from engines.library import Library


@click.command()
@click.argument("first")
@click.argument("second")
@click.argument("given", metavar="INPUT")
@click.option("--most", type=click.IntRange(1), default=500, show_default=True, help="Frames or windows to look at.")
@click.option("--every", type=click.IntRange(1), default=1, metavar="N", help="Only every Nth frame or window.")
@out_option
@click.pass_obj
def compare(library: Library, /, first: str, second: str, given: str, most: int, every: int, out: Path | None) -> None:
    """Ask FIRST and SECOND, two versions of a model, about the same INPUT, and tell where they differ.

    INPUT is a file, a folder of files, or a source such as camera:0.
    """
    from appliance.material import material
    from engines.model import Model
    from engines.workbench import compare as verb
    from engines.workbench.agreement import compare as ask_both
    from engines.workbench.by_window import by_window

    with model_errors(), progress() as tell:
        bundles = find(library, first), find(library, second)
        with Model(by_window(bundles[0])) as one, Model(by_window(bundles[1])) as other:
            agreement = ask_both(one, other, material(given, bundles[0].manifest, most, every), tell)
        report = verb.report(agreement, *bundles, given)
        where = leave(report, out, bundles[0].manifest.name)
    click.echo(report.text)
    click.echo(f"report: {where / 'compare.md'}")
