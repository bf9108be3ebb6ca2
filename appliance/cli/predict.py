"""`appliance predict`: a model on files, one result document per line; no broker needed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput, Failed
from appliance.cli.numbers import Number

if TYPE_CHECKING:
    from appliance.result import Result


@click.command()
@click.argument("model")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--json", "as_json", is_flag=True, help="One JSON result document per line.")
@click.option("--every", type=click.IntRange(min=1), default=1, metavar="N", help="Only every Nth frame or window.")
@click.option("--threshold", type=Number(0, 1), metavar="T", help="Least score; default: the model's.")
@click.option(
    "--engine", type=click.Choice(["auto", "onnxruntime", "tensorrt"]), default="auto", help="Which back end runs it."
)
def predict(
    model: str, inputs: tuple[str, ...], as_json: bool, every: int, threshold: float | None, engine: str
) -> None:
    """Run MODEL on every INPUT.

    MODEL is an installed model, a bundle folder or an .onnx file; INPUT is an image, a video, a sound file, or a folder
    of these, in which other files are left alone. A result's `source` is the INPUT as given, its `seq` the number of
    the frame or window in it.
    """
    from appliance.catalogue import Catalogue
    from appliance.predict import Predictor
    from appliance.result import to_json
    from engines.engine import EngineError

    for given in inputs:
        if not _is_there(given):
            raise BadInput(f"{given}: no such file or folder")
    unusable: list[str] = []

    def tell(sentence: str) -> None:
        sys.stdout.flush()
        click.echo(f"Error: {sentence}", err=True)
        unusable.append(sentence)

    failed = 0
    try:
        bundle = Catalogue.default().find(model)
        with Predictor(bundle, engine=engine, threshold=threshold, every=every) as predictor:
            for given in inputs:
                for result in predictor.results(given, tell):
                    failed += result.status == "failed"
                    sys.stdout.write(to_json(result).decode() + "\n" if as_json else _in_words(result) + "\n")
                sys.stdout.flush()
    except EngineError as error:
        raise BadInput(str(error)) from error
    if unusable:
        raise click.exceptions.Exit(2)
    if failed:
        raise Failed(f"{failed} inferences failed; the reason stands in each result")


def _is_there(given: str) -> bool:
    try:
        return bool(given) and Path(given).exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _in_words(result: Result) -> str:
    """One line for a person."""
    head = f"{result.source if result.file is None else Path(result.source) / result.file} #{result.seq}"
    if result.window is not None:
        head += f" {result.window.start_s:.2f} s"
    return f"{head}: {', '.join(_findings(result)) or 'nothing'}"


def _findings(result: Result) -> Iterator[str]:
    if result.status == "failed":
        yield f"failed: {result.reason}"
    for detection in result.detections or ():
        left, top, right, bottom = detection.box
        yield f"{detection.label} {detection.score:.2f} [{left:.0f} {top:.0f} {right:.0f} {bottom:.0f}]"
    for label in result.labels or ():
        yield f"{label.label} {label.score:.2f}"
    for segment in result.segments or ():
        yield f"{segment.label} from {segment.start_s:.2f} s to {segment.end_s:.2f} s"
