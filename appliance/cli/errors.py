"""How a command ends when it cannot do what was asked: one sentence on standard error, and an exit code."""

from __future__ import annotations

import click


class BadInput(click.ClickException):
    """Wrong usage or bad input: exit code 2."""

    exit_code = 2


class Failed(click.ClickException):
    """It was asked rightly and failed at run time: exit code 1."""

    exit_code = 1
