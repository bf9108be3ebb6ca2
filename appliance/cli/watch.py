"""`appliance watch`: a subscriber that a person enjoys."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.errors import BadInput, Failed
from appliance.cli.numbers import Number

if TYPE_CHECKING:
    from appliance.mqtt.settings import LinkSettings
    from appliance.mqtt.subscriber import Subscriber
    from appliance.reading import Settled

FILE = click.Path(dir_okay=False, path_type=Path)
LOOK_EVERY_S = 0.2
MOST_ROWS = 50
SCHEMA_WITHIN_S = 5.0


def _level(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """One level of a topic."""
    if value is not None and (not value or set(value) & set("+#/\0")):
        raise click.BadParameter(f"{value!r}: expected one level of a topic, without + # /", ctx, param)
    return value


@click.command()
@click.option("--broker", default="mqtt://localhost:1883", show_default=True, help="mqtt://host:port of the broker.")
@click.option("--base", default="appliance", show_default=True, callback=_level, help="First level of the topics.")
@click.option("--device", callback=_level, help="Only this device; default: all.")
@click.option("--json", "as_json", is_flag=True, help="Documents as they come, one per line, with their topic.")
@click.option("--schema", is_flag=True, help="What is published where, as the device tells it (AsyncAPI), and stop.")
@click.option("--username", help="User name on the broker.")
@click.option("--password-file", type=FILE, help="File that holds the password.")
@click.option("--ca-file", type=FILE, help="Certificate authority of the broker, for mqtts://.")
@click.option("--cert-file", type=FILE, help="Client certificate, where the broker wants one.")
@click.option("--key-file", type=FILE, help="Key of the client certificate.")
@click.option("--for", "for_s", type=Number(min=0), metavar="SECONDS", help="Stop by itself after this long.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after N documents.")
def watch(
    broker: str,
    base: str,
    device: str | None,
    as_json: bool,
    schema: bool,
    username: str | None,
    password_file: Path | None,
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
    for_s: float | None,
    count: int | None,
) -> None:
    """Follow the results of an appliance until Ctrl-C.

    For people: events, health and trouble as they come, and on a terminal what every pipeline sees now. With --json:
    every document, for programs. With --schema: the AsyncAPI document of the device, or of the first that answers.
    """
    from appliance.config_errors import ConfigError
    from appliance.mqtt.settings import LinkSettings, broker_url
    from appliance.mqtt.subscriber import Subscriber, UnusableBrokerError
    from appliance.mqtt.topics import Topics

    if password_file is not None and username is None:
        raise BadInput("--password-file is of no use without --username: give both")
    try:
        url = broker_url(broker)
    except ConfigError as error:
        raise BadInput(str(error)) from error
    settings = LinkSettings(
        url=url,
        client_id="",
        username=username,
        password_file=password_file,
        ca_file=ca_file,
        cert_file=cert_file,
        key_file=key_file,
    )
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    try:
        if schema:
            _tell_schema(settings, Topics(base, device or "+").schema, SCHEMA_WITHIN_S if for_s is None else for_s)
            return
        with Subscriber(settings, f"{base}/{device or '+'}/#") as subscriber, _Raw() if as_json else _Lines() as show:
            _follow(subscriber, show, stopping, for_s, count)
    except ConfigError as error:
        raise BadInput(str(error)) from error
    except UnusableBrokerError as error:
        raise Failed(str(error)) from error


def _tell_schema(settings: LinkSettings, topic: str, within_s: float) -> None:
    """Print the document that a broker keeps of a device; raises Failed when it keeps none."""
    from appliance.mqtt.subscriber import Subscriber

    with Subscriber(settings, topic) as subscriber:
        message = subscriber.messages.take(within_s)
    if message is None:
        raise Failed(f"{topic}: the broker keeps nothing there: is the appliance connected, are base and device right?")
    click.echo(json.dumps(json.loads(message[1]), indent=2, ensure_ascii=False))


def _follow(
    subscriber: Subscriber, show: _Raw | _Lines, stopping: threading.Event, for_s: float | None, count: int | None
) -> None:
    until_s = None if for_s is None else time.monotonic() + for_s
    shown = 0
    while not stopping.is_set() and (count is None or shown < count):
        for sentence in subscriber.news():
            click.echo(sentence, err=True)
        left_s = LOOK_EVERY_S if until_s is None else min(LOOK_EVERY_S, until_s - time.monotonic())
        if left_s <= 0:
            return
        message = subscriber.messages.take(left_s)
        if message is not None:
            shown += show.message(*message)


class _Raw:
    """`{"topic": …, "document": …}` per line; what is not JSON stands as text or its size."""

    def message(self, topic: str, payload: bytes) -> int:
        if topic.count("/") == 2 and topic.endswith("/schema"):
            return 0  # a long one, the same every time: --schema
        try:
            document: Any = json.loads(payload)
        except (ValueError, RecursionError):
            try:
                document = payload.decode("utf-8")
            except UnicodeDecodeError:
                document = f"{len(payload)} bytes"
        sys.stdout.write(json.dumps({"topic": topic, "document": document}, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return 1

    def __enter__(self) -> _Raw:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Lines:
    """For people: news as lines, and on a terminal below them one live row per pipeline, overwritten in place."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        from appliance.reading import Settled

        self._console = Console(highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)
        self._rows: dict[str, str] = {}
        self._last: dict[str, str] = {}
        self._settled: dict[str, Settled] = defaultdict(Settled)
        """Of every topic in `_rows`."""

    def __enter__(self) -> _Lines:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def message(self, topic: str, payload: bytes) -> int:
        from appliance.words import news, numbers_read, row

        now = row(topic, payload)
        if now is not None and (topic in self._rows or len(self._rows) < MOST_ROWS):
            self._rows[topic] = now
            self._live.update("\n".join(self._rows[key] for key in sorted(self._rows)))
            pipeline, numbers = numbers_read(topic, payload)
            for number in self._settled[topic].news(numbers, time.monotonic()):
                self._console.print(f"[cyan]=[/] [bold]{number}[/] {pipeline} [dim]read[/]")
        line = news(topic, payload)
        if line is None or self._last.get(topic) == line:
            return 0
        self._last[topic] = line
        self._console.print(line)
        return 1
