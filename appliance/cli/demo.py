"""`appliance demo`: numbers and words on the terminal, minutes after cloning."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput, Failed
from appliance.cli.numbers import Number

if TYPE_CHECKING:
    from appliance.window.window import Window

STOP_WITHIN_S = 10.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option("--broker", help="Use this broker instead of one of the demo's own.")
@click.option("--for", "for_s", type=Number(min=0), metavar="SECONDS", help="Stop by itself after this long.")
@click.option("--json", "as_json", is_flag=True, help="Show the documents as they are.")
@click.option("--window", "in_window", is_flag=True, help="Show pictures and boxes in a window on this screen.")
@click.pass_context
def demo(context: click.Context, broker: str | None, for_s: float | None, as_json: bool, in_window: bool) -> None:
    """Show the appliance at work: it reads digits in a picture and hears spoken ones.

    From a camera and a microphone if there are any; else from a synthetic scene with a display, a counter and labels,
    and from synthetic voices. Ends with Ctrl-C, or when its window is closed (q).
    """
    from appliance.cli.watch import watch
    from appliance.config_errors import ConfigError
    from appliance.mqtt.broker import BrokerMissingError, LocalBroker
    from appliance.mqtt.settings import broker_url
    from appliance.window.window import NoWindow, Window
    from capture.source import CaptureError

    try:
        given = None if broker is None else broker_url(broker)
    except ConfigError as error:
        raise BadInput(str(error)) from error
    # Like a Ctrl-C, so that nothing is left running; `watch` has its own way with the first two.
    for number in ENDING:
        signal.signal(number, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            window = stack.enter_context(Window()) if in_window else None
            with _signals_wait():
                url = given or stack.enter_context(LocalBroker()).url
            page = _start(url, stack)
            click.echo(f"broker: {url}; from another terminal: {_ourselves()} watch --broker {url} --json", err=True)
            click.echo("Ctrl-C ends the demo", err=True)
            if window is not None:
                _show(page, window, for_s)
                return
            context.invoke(watch, broker=url, for_s=for_s, as_json=as_json)
    except (BrokerMissingError, CaptureError, NoWindow) as error:
        raise Failed(str(error)) from error
    except _EndedError as error:
        raise Failed("the appliance ended by itself; its last words stand above") from error
    except KeyboardInterrupt:
        pass


class _EndedError(Exception):
    """The appliance ended although nobody asked it to."""


@contextmanager
def _signals_wait() -> Iterator[None]:
    """What is started in the block is known to whoever must stop it before a signal can end us."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for waiting in came:
            signal.raise_signal(waiting)


def _show(page: str, window: Window, for_s: float | None) -> None:
    from appliance.oip.settings import address
    from appliance.window.showing import follow

    host, port = address(page)
    follow(host, port, window, for_s)


def _start(broker: str, stack: ExitStack) -> str:
    """The appliance in a process of its own, stopped by `stack`; until then its end by itself is raised as _EndedError.
    The address of its page.

    CaptureError where there is no OpenCV.
    """
    from appliance.demo import choose_camera, choose_microphone, page_address, start_appliance, write_config
    from capture.camera import cameras
    from capture.opencv import load_opencv

    load_opencv()  # the synthetic scene needs it as well
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="appliance-demo-")))
    camera, microphone = choose_camera(cameras()), choose_microphone(folder)
    click.echo(f"camera: {camera.words}\nmicrophone: {microphone.words}", err=True)
    page = page_address()
    config = write_config(folder, broker, camera, microphone, page)
    click.echo(f"live page: http://{page}/", err=True)
    with _signals_wait():
        process = start_appliance(config)
        stack.callback(_stop, process)

    def notice(*_: object) -> None:
        if process.poll() is not None:
            raise _EndedError

    stack.callback(signal.signal, signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, notice)
    notice()
    return page


def _stop(process: subprocess.Popen[bytes]) -> None:
    with _signals_wait():
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ourselves() -> str:
    """What to type to run this program, in the folder where we are."""
    program = sys.argv[0]
    return "appliance" if shutil.which("appliance") == program else shlex.quote(os.path.relpath(program))
