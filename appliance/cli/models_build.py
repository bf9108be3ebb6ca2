"""`appliance models build`: plans for the GPU before they are needed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput, Failed

if TYPE_CHECKING:
    from engines.bundle import Bundle
    from engines.library import Library
    from engines.tensorrt.builder import Builder, Built
    from engines.tensorrt.builder import Failed as BuildFailed
    from engines.tensorrt.engine import Offer
    from engines.tensorrt.options import GpuOptions
    from engines.tensorrt.recipe import Recipe


@click.command()
@click.argument("model", nargs=-1)
@click.option("--config", "path", type=click.Path(path_type=Path), help="Build what this configuration uses, its way.")
@click.option("--again", is_flag=True, help="Build even what is there already.")
@click.pass_obj
def build(library: Library, /, model: tuple[str, ...], path: Path | None, again: bool) -> None:
    """Build the plans of MODEL for the GPU of this machine, and compile the kernel that prepares pictures.

    The appliance does so by itself while ONNX Runtime answers; this shows how far it is and what it came to. Ends with
    Ctrl-C.
    """
    from engines.engine import EngineError
    from engines.tensorrt.crash_guard import forget
    from engines.tensorrt.engine import offer

    names, options = _wanted(model, path)
    try:
        found = offer()
        forget(options.folder)
        _compile(found, options)
        for name in names:
            for recipe in _recipes(_find(library, name), options):
                _build(name, recipe, found, again)
    except EngineError as error:
        raise Failed(str(error)) from error


def _wanted(model: tuple[str, ...], path: Path | None) -> tuple[tuple[str, ...], GpuOptions]:
    """Names of the models, and how to build them."""
    from appliance.assembly import read
    from appliance.config import Config
    from appliance.config_errors import ConfigError
    from appliance.gpu_options import gpu_options

    try:
        config = Config() if path is None else read(path)
    except ConfigError as error:
        raise BadInput(str(error)) from error
    names = model or tuple(dict.fromkeys(each.model for each in config.pipeline if each.engine != "onnxruntime"))
    if not names:
        raise BadInput("which model? Name one (`appliance models list` shows them), or give --config")
    return names, gpu_options(config.gpu, config.device.max_batch)


def _find(library: Library, name: str) -> Bundle:
    from appliance.catalogue import Catalogue

    return Catalogue(library, Catalogue.default().shipped).find(name)


def _compile(found: Offer, options: GpuOptions) -> None:
    from engines.engine import EngineUnavailable
    from engines.tensorrt import kernels

    try:
        kernels.compile_for(found.gpu.compute_capability, options.folder)
    except EngineUnavailable as error:
        click.echo(f"warning: pictures will be prepared on the processor: {error}", err=True)


def _recipes(bundle: Bundle, options: GpuOptions) -> list[Recipe]:
    from engines.tensorrt.recipe import recipe_of

    return [recipe_of(bundle, stage.name, options) for stage in bundle.manifest.stages]


def _build(name: str, recipe: Recipe, found: Offer, again: bool) -> None:
    from engines.tensorrt.builder import Builder, Built
    from engines.tensorrt.plan_cache import PlanCache, PlanMissing, PlanRefused

    cache, key = PlanCache(recipe.options.folder), recipe.key(found.target)
    if again:
        cache.discard(key)
    try:
        made = cache.load(key).description
        click.echo(f"{name}: built already: {made.precision}, {made.drift}")
        return
    except (PlanMissing, PlanRefused):
        pass
    with Builder(recipe, found.target) as builder:
        state = _watch(name, builder)
    if not isinstance(state, Built):
        raise Failed(f"{name}: no plan: {state.reason}")
    made = state.description
    click.echo(f"{name}: built in {made.build_s:.0f} s: {made.precision}, {made.drift}")


def _watch(name: str, builder: Builder) -> Built | BuildFailed:
    """A bar until there is a result."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from engines.tensorrt.builder import Building

    columns = (TextColumn(name), BarColumn(), TextColumn("{task.percentage:3.0f} %"), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}"), transient=True) as progress:
        bar = progress.add_task("starting", total=1.0)
        while isinstance(state := builder.poll(), Building):
            progress.update(bar, completed=state.fraction, description=state.phase[:60])
            time.sleep(0.1)
    return state
