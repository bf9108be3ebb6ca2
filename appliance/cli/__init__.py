"""The command line: `appliance run | demo | predict | watch | models | config | doctor | bench`."""

from __future__ import annotations

import importlib
import os

import click

COMMANDS = {
    "run": "Run the appliance with a configuration.",
    "demo": "Show the appliance at work, with nothing attached.",
    "predict": "Run a model on images, videos or sound files.",
    "watch": "Follow the results of an appliance.",
    "models": "Add, list, show and remove models.",
    "config": "Check a configuration, or write one to start from.",
    "doctor": "Find out what is wrong on this machine and how to mend it.",
    "bench": "Measure a model on this machine.",
}


class LazyGroup(click.Group):
    """Imports a command's module only when that command is used: `appliance --help` stays instant."""

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
