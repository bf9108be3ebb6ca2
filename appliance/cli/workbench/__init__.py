"""`appliance models explain | …`: the workbench on the command line, one file for each verb."""

from __future__ import annotations

import click

from appliance.cli.workbench.explain import explain

COMMANDS: tuple[click.Command, ...] = (explain,)
