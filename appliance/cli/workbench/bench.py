"""What the commands of the workbench share: finding a model, showing how far the work is, leaving a report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.library import Library
    from engines.workbench.report import Report
    from engines.workbench.work import Tell

Command = TypeVar("Command", bound=Callable[..., Any])


def out_option(command: Command) -> Command:
    """`--out FOLDER`."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        callback=_free,
        help="Where the report goes; a new folder [default: NAME-VERB here].",
    )(command)


def format_option(command: Command) -> Command:
    """`--format`, which comes as `kind`."""
    return click.option(
        "--format",
        "kind",
        type=click.Choice(["coco", "yolo", "folders"]),
        help="How DATA is labelled; default: found out.",
    )(command)


def _free(context: click.Context, parameter: click.Parameter, out: Path | None) -> Path | None:
    """Looked at before any work begins: `leave` comes after the last of it."""
    from appliance.cli.model_errors import model_errors
    from engines.workbench.report import check_free

    with model_errors():
        check_free(out or new_folder(Path("report")))
    return out


def find(library: Library, model: str) -> Bundle:
    """An installed model, a shipped one, a bundle folder or an .onnx file; raises EngineError."""
    from appliance.catalogue import Catalogue

    return Catalogue(library, Catalogue.default().shipped).find(model)


@contextlib.contextmanager
def progress() -> Iterator[Tell]:
    """A bar on standard error while work goes on; nothing where nobody looks."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(step: str, done: int, of: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step)
            bars.update(tasks[step], completed=done, total=of)

        yield tell


def leave(report: Report, out: Path | None, name: str) -> Path:
    """Write the report into `out`, or into a new folder here; returns where. Raises EngineError, OSError."""
    from engines.workbench.report import write_folder

    folder = out or new_folder(Path(f"{name}-{report.verb}"))
    write_folder(folder, report.files())
    return folder


def new_folder(wanted: Path) -> Path:
    """`wanted`, or with a number behind it the first that is not there."""
    if not wanted.exists():
        return wanted
    return next(path for number in count(2) if not (path := wanted.with_name(f"{wanted.name}-{number}")).exists())


def called(bundle: Bundle) -> str:
    """Name and version of a model."""
    return f"{bundle.manifest.name} {bundle.manifest.version}"
