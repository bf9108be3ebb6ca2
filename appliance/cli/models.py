"""`appliance models`: add, list, show and remove models; the workbench stands in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from appliance.cli import models_harvest, models_sync, parameters, workbench
from appliance.cli.errors import BadInput
from appliance.cli.model_errors import model_errors
from appliance.cli.models_build import build
from appliance.cli.numbers import Number
from engines.engine import EngineError, EngineUnavailable
from engines.manifest import DecoderName, Fit, Manifest, Task

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.library import Installed, Library


@click.group()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="APPLIANCE_MODELS",
    help="Where models are installed [env: APPLIANCE_MODELS; default: the service's or your own state folder].",
)
@click.pass_context
def models(ctx: click.Context, folder: Path | None) -> None:
    """Add, list, show and remove models; make them fit, and find out what they do."""
    from engines.library import Library

    ctx.obj = Library(folder) if folder else Library.default()


# -- add --------------------------------------------------------------------------------------------------------------


@models.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--name", callback=parameters.name, metavar="NAME", help="What to call it; default: from the file's name."
)
@click.option("--version", callback=parameters.name, metavar="VERSION", help="Default: the next one.")
@click.option("--labels", type=click.Path(path_type=Path), metavar="FILE", help="Names of the classes, one a line.")
@click.option("--threshold", type=Number(0, 1), metavar="T", help="Least score that is reported.")
@click.option(
    "--size", callback=parameters.size, metavar="WxH", help="Picture that the network gets, where it takes any size."
)
@click.option("--task", type=click.Choice(get_args(Task)), help="What it is for.")
@click.option("--decoder", type=click.Choice(get_args(DecoderName)), help="How its outputs are read.")
@click.option(
    "--scale", type=click.Choice(["0..1", "-1..1", "0..255", "imagenet"]), help="Values that its input takes."
)
@click.option("--channels", type=click.Choice(["rgb", "bgr"]), help="Order of the colours.")
@click.option("--fit", type=click.Choice(get_args(Fit)), help="How a picture gets its size.")
@click.option("--boxes", type=click.Choice(["normalised", "pixels"]), help="What the corners of an SSD's boxes are.")
@click.option("--rate", "rate_hz", type=click.IntRange(1000, 384_000), metavar="HZ", help="Rate of the sound it takes.")
@click.option("--samples", type=click.IntRange(1, 10_000_000), metavar="N", help="Samples of sound it takes at once.")
@click.option(
    "--time-limit",
    type=Number(min=0, min_open=True),
    metavar="SECONDS",
    default=30.0,
    show_default=True,
    help="How long it may take to answer the first time.",
)
@click.pass_obj
def add(
    library: Library,
    /,
    file: Path,
    name: str | None,
    version: str | None,
    labels: Path | None,
    time_limit: float,
    **given: Any,
) -> None:
    """Install FILE, an .onnx file or a bundle folder, after it has answered once.

    What an ONNX file is for is told from what its exporter wrote into it; the options say what it does not tell.
    """
    from engines.recognise import Hints

    if not file.exists():
        raise BadInput(f"{file}: no such file or folder")
    hints = Hints(labels=parameters.read_labels(labels) if labels else None, **given)
    with model_errors():
        trial = _try_out(_preview(file, hints), time_limit)
        added = library.add(file, name=name, version=version, hints=hints)
    for warning in added.warnings:
        click.echo(f"warning: {warning}", err=True)
    manifest = added.bundle.manifest
    if not added.new:
        click.echo(f"{manifest.name} {manifest.version}: this very model is installed already; nothing was changed")
        return
    click.echo(f"{manifest.name} {manifest.version}: {in_words(manifest)}; {trial}")
    current = next(each.current for each in library.list() if each.name == manifest.name)
    if current != manifest.version:
        click.echo(f"version {current} stays the one that is used")


def _preview(file: Path, hints: Any) -> Bundle:
    """The model as it would be installed, where it is now."""
    from engines.bundle import Bundle
    from engines.recognise import examine

    if file.is_dir():
        return Bundle.open(file)
    found = examine(file, hints=hints)
    return Bundle(found.manifest, file.parent, found.files)


def _try_out(bundle: Bundle, limit_s: float) -> str:
    """Let it answer twice, and say how long it took; raises EngineError when it cannot, or takes longer than that."""
    from engines.model import Model

    begun_s = time.perf_counter()
    try:
        with Model(bundle) as model, _alarm(limit_s, model.cancel):
            model.warm_up()
            warm_s = time.perf_counter()
            model.warm_up()
            took_ms = (time.perf_counter() - warm_s) * 1000
            return f"answers in {took_ms:.1f} ms on {model.engine_name}"
    except EngineUnavailable:
        raise
    except EngineError as error:
        late = time.perf_counter() - begun_s >= limit_s
        why = f"no answer within {limit_s:g} s" if late else str(error)
        raise EngineError(f"{bundle.manifest.name}: it does not run here, so it was not added: {why}") from error


@contextlib.contextmanager
def _alarm(after_s: float, action: Callable[[], None]) -> Iterator[None]:
    timer = threading.Timer(after_s, action)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


# -- list, show, remove -----------------------------------------------------------------------------------------------


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.pass_obj
def list_models(library: Library, as_json: bool) -> None:
    """List the installed models, and those that the appliance brings along; their files are not checked."""
    from appliance.catalogue import Catalogue

    catalogue = Catalogue.before_shipped(library)
    with model_errors():
        rows = [_row(library, installed) | {"shipped": False} for installed in library.list()]
        shipped = [_row(catalogue.shipped, each) | {"shipped": True} for each in catalogue.brought_along()]
    if as_json:
        click.echo(json.dumps(rows + shipped, indent=2))
        return
    _print_table(rows + shipped)
    if not rows:
        click.echo(f"none is installed in {library.folder}; `appliance models add FILE.onnx` adds one")


def _row(library: Library, installed: Installed) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": installed.name,
        "version": installed.current,
        "versions": list(installed.versions),
        "pinned": installed.pinned,
        "folder": str(library.folder / installed.name / installed.current),
    }
    try:
        manifest = library.manifest(installed.name, installed.current)
    except EngineError as error:
        return row | {"task": None, "labels": None, "digest": None, "words": None, "fault": str(error)}
    words = in_words(manifest)
    return row | {
        "task": manifest.task,
        "labels": len(manifest.labels),
        "digest": manifest.digest,
        "words": words,
        "fault": None,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "version", "what it does", "other versions", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        others = [version for version in row["versions"] if version != row["version"]]
        mark = " (shipped)" if row["shipped"] else " (pinned)" if row["pinned"] else ""
        version = row["version"] + mark
        table.add_row(row["name"], version, row["words"] or f"[red]{row['fault']}[/red]", ", ".join(others))
    Console().print(table)


@models.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="The manifest and where its files are, as one JSON document.")
@click.pass_obj
def show(library: Library, model: str, as_json: bool) -> None:
    """Check and describe MODEL: NAME, NAME@VERSION, a bundle folder or an .onnx file."""
    from appliance.catalogue import Catalogue

    with model_errors():
        bundle = Catalogue.before_shipped(library).find(model)
    manifest = bundle.manifest
    document = {
        "digest": manifest.digest,
        "folder": str(bundle.folder),
        "files": {name: str(path) for name, path in bundle.files.items()},
        "manifest": manifest.model_dump(mode="json", by_alias=True),
    }
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in _lines(bundle):
        table.add_row(key, value)
    Console(highlight=False).print(table)


def _lines(bundle: Bundle) -> Iterator[tuple[str, str]]:
    manifest = bundle.manifest
    yield "model", f"{manifest.name} {manifest.version}"
    yield "digest", manifest.digest
    yield "does", in_words(manifest)
    yield "labels", _first(manifest.labels, 20)
    yield "decoder", f"{manifest.decoder.name}, threshold {manifest.decoder.threshold:g}"
    for name, path in bundle.files.items():
        yield name, f"{path} ({path.stat().st_size / 1e6:.1f} MB)"
    yield from manifest.about.items()


@models.command()
@click.argument("model")
@click.pass_obj
def remove(library: Library, model: str) -> None:
    """Remove MODEL: NAME with all its versions, or NAME@VERSION."""
    from appliance.catalogue import Catalogue

    with model_errors():
        name = model.partition("@")[0]
        if name in {each.name for each in Catalogue.before_shipped(library).brought_along()}:
            raise BadInput(f"{name}: comes with the appliance and stays; a model added under this name goes before it")
        gone = library.remove(model)
    click.echo(f"{model.partition('@')[0]}: removed version{'s' * (len(gone) > 1)} {', '.join(gone)}")


for command in (build, *models_sync.COMMANDS, models_harvest.harvest, *workbench.COMMANDS):
    models.add_command(command)


# -- words ------------------------------------------------------------------------------------------------------------


def in_words(manifest: Manifest) -> str:
    """What a model does, in a few words: `detects 80 classes (person, bicycle, car, …) at 320x320`."""
    spec = manifest.input
    count = len(manifest.labels)
    kinds = f"{count} class{'es' * (count > 1)} ({_first(manifest.labels, 3)})"
    if spec.kind == "image":
        verb = "detects" if manifest.task == "detect" else "names"
        return f"{verb} {kinds} at {spec.width}x{spec.height}"
    if manifest.task == "vad":
        return f"finds speech in sound of {spec.rate_hz} Hz"
    return f"names {kinds} in {spec.samples / spec.rate_hz:g} s of sound of {spec.rate_hz} Hz"


def _first(labels: tuple[str, ...], most: int) -> str:
    return ", ".join(labels[:most]) + (", …" if len(labels) > most else "")
