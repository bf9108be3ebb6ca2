"""The command line: `appliance init`, `run`, `demo` and the rest of COMMANDS."""

from __future__ import annotations

import codecs
import errno
import importlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

COMMANDS = {
    "init": "Write a first configuration from what is attached.",
    "run": "Run the appliance with a configuration.",
    "demo": "Show the appliance at work, with nothing attached.",
    "predict": "Run a model on images, videos or sound files.",
    "replay": "Run recorded clips again and name the first difference.",
    "watch": "Follow the results of an appliance.",
    "serve": "Answer the questions of devices with models, over MQTT.",
    "broker": "Set up a broker with TLS, and give devices and services their names on it.",
    "registry": "Sign, publish and serve models for devices.",
    "models": "Add, list and remove models; make them fit, and find out what they do.",
    "config": "Check a configuration, or write one to start from.",
    "doctor": "Find out what is wrong on this machine and how to mend it.",
    "bench": "Measure a model on this machine.",
}


NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


class LazyGroup(click.Group):
    """Imports a command's module only when that command is used: `appliance --help` stays instant."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """As click's, and a standard output that cannot be written is said in a sentence."""
        _open_standard_streams()
        try:
            return super().main(*args, **extra)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            click.echo(f"Error: the output cannot be written: {error.strerror}", err=True)
            _forget_output()
            sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"appliance.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Help without importing every command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-inference-appliance", prog_name="appliance")
def main() -> None:
    """A camera and a microphone become a source of trustworthy answers over MQTT."""
    # Read once by OpenCV when it is first imported: bombs are refused, its own chatter stays out of our output.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "16777216")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")


def _open_standard_streams() -> None:
    """A service may be started with them closed: the next files opened would take their numbers, and get our words.

    A letter that the output's encoding does not have is written as an escape.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # for as long as the process lives
    codecs.register_error("escape", _escape)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="escape")


def _escape(error: UnicodeError) -> tuple[str, int]:
    """As JSON writes it: Python's own `backslashreplace` writes \\xeb, with which a line of --json is JSON no more."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _forget_output() -> None:
    """What is still in the buffer would be tried again at the end, and fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
