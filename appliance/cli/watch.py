"""`appliance watch`: a subscriber that a person enjoys."""

from __future__ import annotations

import json
import queue
import signal
import sys
import threading
from typing import Any

import click

from appliance.cli.errors import BadInput, Failed


@click.command()
@click.option("--broker", default="mqtt://localhost:1883", show_default=True, help="mqtt://host:port of the broker.")
@click.option("--base", default="appliance", show_default=True, help="First level of the topics.")
@click.option("--device", default="+", help="Only this device; default: all.")
@click.option("--json", "as_json", is_flag=True, help="Documents as they come, one per line, with their topic.")
@click.option("--username", help="User name on the broker.")
@click.option("--password-file", type=click.Path(dir_okay=False), help="File that holds the password.")
@click.option("--ca-file", type=click.Path(dir_okay=False), help="Certificate authority of the broker, for mqtts://.")
@click.option("--for", "for_s", type=click.FloatRange(min=0), metavar="SECONDS", help="Stop by itself after this long.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after N documents.")
def watch(
    broker: str,
    base: str,
    device: str,
    as_json: bool,
    username: str | None,
    password_file: str | None,
    ca_file: str | None,
    for_s: float | None,
    count: int | None,
) -> None:
    """Follow the results of an appliance until Ctrl-C.

    For people: events, health and trouble as they come, and on a terminal what every pipeline sees now. With --json:
    every document, for programs.
    """
    from pathlib import Path

    from appliance.config import secret
    from appliance.config_errors import ConfigError
    from appliance.subscriber import Subscriber, UnusableBrokerError

    try:
        password = secret(Path(password_file)) if password_file else None
        subscriber = Subscriber(broker, f"{base}/{device}/#", username, password, ca_file)
    except (ConfigError, UnusableBrokerError) as error:
        raise BadInput(str(error)) from error
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    show = _Raw() if as_json else _Lines()
    shown = 0
    timer = threading.Timer(for_s, stopping.set) if for_s is not None else None
    try:
        with subscriber, show:
            if timer is not None:
                timer.daemon = True
                timer.start()
            while not stopping.is_set() and (count is None or shown < count):
                try:
                    topic, payload = subscriber.messages.get(timeout=0.2)
                except queue.Empty:
                    for sentence in subscriber.news():
                        click.echo(sentence, err=True)
                    continue
                shown += show.message(topic, payload)
    except UnusableBrokerError as error:
        raise Failed(str(error)) from error


class _Raw:
    """`{"topic": …, "document": …}` per line; what is not JSON stands as text or its size."""

    def message(self, topic: str, payload: bytes) -> int:
        try:
            document: Any = json.loads(payload)
        except ValueError:
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

        self._console = Console(highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)
        self._rows: dict[str, str] = {}
        self._last: dict[str, str] = {}

    def __enter__(self) -> _Lines:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def message(self, topic: str, payload: bytes) -> int:
        from appliance.words import news, row

        now = row(topic, payload)
        if now is not None:
            self._rows[topic] = now
            self._live.update("\n".join(self._rows[key] for key in sorted(self._rows)))
        line = news(topic, payload)
        if line is None or self._last.get(topic) == line:
            return 0
        self._last[topic] = line
        self._console.print(line)
        return 1
