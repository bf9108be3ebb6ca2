"""`appliance bench`: how fast a model is on this machine, alone and in the pipeline."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from appliance.cli.errors import BadInput
from appliance.cli.numbers import Number


@click.command()
@click.argument("model", default="shapes")
@click.option("--seconds", type=Number(min=0.1), default=5.0, show_default=True, help="How long to measure.")
@click.option("--engine", type=click.Choice(["auto", "onnxruntime", "tensorrt"]), default="auto")
@click.option("--json", "as_json", is_flag=True, help="The figures as JSON.")
def bench(model: str, seconds: float, engine: str, as_json: bool) -> None:
    """Measure MODEL (installed name, bundle folder or .onnx file) on a 1280x720 picture or a second of sound.

    `whole` is preparation, inference and decoding; `engine` the network alone on the same tensor, in turn.
    """
    from appliance.catalogue import Catalogue
    from appliance.measure import measure
    from engines.engine import EngineError

    try:
        figures = measure(Catalogue.default().find(model), engine, seconds)
    except EngineError as error:
        raise BadInput(str(error)) from error
    if as_json:
        click.echo(json.dumps(asdict(figures), indent=2))
        return
    click.echo(f"{figures.model} on {figures.engine}, {figures.runs} runs")
    click.echo(f"  whole   p50 {figures.whole_p50_ms:8.2f} ms   p99 {figures.whole_p99_ms:8.2f} ms")
    click.echo(f"  engine  p50 {figures.engine_p50_ms:8.2f} ms   p99 {figures.engine_p99_ms:8.2f} ms")
    click.echo(f"  whole over engine {figures.whole_p50_ms / figures.engine_p50_ms:.3f}")
    click.echo(f"  {figures.per_s:.0f} per second")
