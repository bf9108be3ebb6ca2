"""`appliance demo`: boxes and words on the terminal, minutes after cloning."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import click

from appliance.cli.errors import Failed


@click.command()
@click.option("--broker", help="Use this broker instead of one of the demo's own.")
@click.option("--for", "for_s", type=click.FloatRange(min=0), metavar="SECONDS", help="Stop by itself after this long.")
@click.option("--json", "as_json", is_flag=True, help="Show the documents as they are.")
@click.pass_context
def demo(context: click.Context, broker: str | None, for_s: float | None, as_json: bool) -> None:
    """Show the appliance at work: a camera and a microphone if there are any, a synthetic scene and sounds if not.

    Ends with Ctrl-C.
    """
    from contextlib import ExitStack

    from appliance.broker import BrokerMissingError, LocalBroker
    from appliance.cli.watch import watch
    from appliance.demo import start_appliance, write_demo

    with ExitStack() as stack:
        try:
            url = broker or stack.enter_context(LocalBroker()).url
        except BrokerMissingError as error:
            raise Failed(str(error)) from error
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appliance-demo-")))
        config = write_demo(folder, url)
        process = start_appliance(config)
        stack.callback(_stop, process)
        click.echo(f"broker {url}; from another terminal: appliance watch --broker {url} --json", err=True)
        click.echo("Ctrl-C ends the demo", err=True)
        context.invoke(watch, broker=url, for_s=for_s, as_json=as_json)
        if process.poll() not in (None, 0):
            raise Failed("the appliance ended by itself; its last words stand above")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
