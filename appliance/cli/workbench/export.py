"""`appliance models export`: the same model, for a server of another make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.model_errors import model_errors
from appliance.cli.workbench.bench import called, find

if TYPE_CHECKING:
    from engines.library import Library


@click.command()
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "kind", type=click.Choice(["triton"]), default="triton", show_default=True)
@click.pass_obj
def export(library: Library, /, model: str, folder: Path, kind: str) -> None:
    """Write MODEL into the new FOLDER as a model repository of Triton Inference Server.

    The networks run there; preparing samples and decoding answers stays with the client, as bundle.json says.
    """
    from engines.workbench.export_triton import triton_repository
    from engines.workbench.report import write_folder
    from engines.workbench.tensors import inputs_of_stages, noise

    with model_errors():
        bundle = find(library, model)
        inputs_of_stages(bundle, noise(bundle.manifest.input, 1))  # a model that does not answer here is refused
        files = triton_repository(bundle)
        write_folder(folder, files)
    names = sorted(name.partition("/")[0] for name in files if name.endswith("config.pbtxt"))
    click.echo(f"{called(bundle)}: {folder} holds {', '.join(names)}: tritonserver --model-repository={folder}")
