"""`appliance models explain | split | …`: the workbench on the command line, one file for each verb."""

from __future__ import annotations

import click

from appliance.cli.workbench.compare import compare
from appliance.cli.workbench.distill import distill
from appliance.cli.workbench.evaluate import evaluate
from appliance.cli.workbench.explain import explain
from appliance.cli.workbench.export import export
from appliance.cli.workbench.prune import prune
from appliance.cli.workbench.quantize import quantize
from appliance.cli.workbench.split import split

COMMANDS: tuple[click.Command, ...] = (
    explain,
    evaluate,
    compare,
    quantize,
    prune,
    distill,
    split,
    export,
)
