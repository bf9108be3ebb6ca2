"""Carries out commands on the running appliance and answers requests. Runs on the main thread."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from appliance import commands, health, leftovers
from appliance.commands import BadCommand, Request, SetPipeline, SetSource, Setting
from appliance.documents import PipelineState, Response, SourceState
from appliance.pipeline.snapshot import jpeg
from appliance.uplink.outgoing import Publish

if TYPE_CHECKING:
    from appliance.daemon import Daemon
    from appliance.mqtt.incoming import Incoming
    from appliance.page.orders import Order
    from appliance.pipeline.feed import Feed
    from appliance.pipeline.pipeline import Pipeline

logger = logging.getLogger(__name__)

LONGEST_TOPIC = 256
LONGEST_NAME = 64


def hear(daemon: Daemon, incoming: Incoming) -> None:
    """One message from the broker: a command, a request, or a document that it kept from before."""
    if daemon.announcer is not None and daemon.announcer.is_for_us(incoming.topic):
        daemon.announcer.hear(incoming)
        return
    if incoming.topic == daemon.topics.models_desired:
        if daemon.models is not None:
            daemon.models.wishes.desire(incoming.payload)
        return
    if incoming.topic == daemon.topics.config_desired:
        if daemon.configuration is not None:
            daemon.configuration.desire(incoming.payload)
        return
    levels = incoming.topic.removeprefix(daemon.topics.root + "/").split("/")
    if levels[0] == "request" or levels[2:] == ["set"]:
        obey(daemon, incoming)
        return
    document = leftovers.put_right(incoming, daemon.topics, daemon.assembly)
    if document is not None:
        daemon.post(document)


def obey(daemon: Daemon, incoming: Incoming) -> None:
    """One message from the broker. What is wrong with it is told to its sender, never raised."""
    if incoming.retain:
        # It would come again at every connect, long after the one who sent it has forgotten it.
        logger.warning(
            "%s: ignored: commands must not be retained; an empty retained message clears it", incoming.topic
        )
        return
    if not incoming.payload and incoming.topic.endswith("/set"):
        return  # somebody clears a retained command
    transaction = None
    try:
        command = commands.read(incoming.topic, incoming.payload, daemon.topics.root)
        if isinstance(command, Setting):
            _set(daemon, command)
        else:
            transaction = command.transaction
            _respond(daemon, incoming, command.name, transaction, data=_answer(daemon, command))
    except BadCommand as error:
        logger.warning("%s: refused: %s", incoming.topic[:LONGEST_TOPIC], error)
        name = incoming.topic.rsplit("/", 1)[-1] if "/request/" in incoming.topic else "set"
        known = 0 < len(name) <= LONGEST_NAME
        _respond(daemon, incoming, name if known else "unknown", transaction, error=str(error))


def carry_out(daemon: Daemon, order: Order) -> None:
    """One command of the live page. What is wrong with it is told to its sender, never raised."""
    if not order.done.set_running_or_notify_cancel():
        return  # nobody waits for it any more
    try:
        command = commands.read(order.topic, order.payload, daemon.topics.root)
        if isinstance(command, Setting):
            _set(daemon, command)
            order.done.set_result(None)
        else:
            order.done.set_result(_answer(daemon, command))
    except BadCommand as error:
        logger.warning("%s: refused: %s", order.topic[:LONGEST_TOPIC], error)
        order.done.set_exception(error)


def tell_pipeline(daemon: Daemon, pipeline: Pipeline) -> None:
    """Publish the retained state of what commands may change."""
    state: PipelineState = {
        "enabled": pipeline.settings.enabled,
        "threshold": pipeline.settings.threshold,
        "snapshot": pipeline.settings.snapshot,
    }
    daemon.post(Publish(daemon.topics.state("pipeline", pipeline.name), state, qos=1, retain=True))


def tell_source(daemon: Daemon, feed: Feed) -> None:
    """As `tell_pipeline`, for a source."""
    state: SourceState = {"enabled": feed.enabled}
    daemon.post(Publish(daemon.topics.state("source", feed.name), state, qos=1, retain=True))


def _set(daemon: Daemon, command: Setting) -> None:
    """Apply a change; it lasts until the configuration is loaded again."""
    if isinstance(command.change, SetSource):
        feed = daemon.assembly.feeds.get(command.name)
        if feed is None:
            raise BadCommand(f"no source {command.name}; known: {', '.join(daemon.assembly.feeds)}")
        feed.enabled = command.change.enabled
        tell_source(daemon, feed)
        logger.info("source %s: enabled = %s", feed.name, feed.enabled)
        return
    pipeline = _pipeline(daemon, command.name)
    change: SetPipeline = command.change
    for key in change.model_fields_set:
        setattr(pipeline.settings, key, getattr(change, key))
    daemon.assembly.worker_of(pipeline).wake()
    tell_pipeline(daemon, pipeline)
    logger.info("pipeline %s: %s", pipeline.name, change.model_dump(exclude_unset=True))


def _pipeline(daemon: Daemon, name: str) -> Pipeline:
    pipeline = daemon.assembly.pipelines.get(name)
    if pipeline is None:
        raise BadCommand(f"no pipeline {name}; known: {', '.join(daemon.assembly.pipelines)}")
    return pipeline


def _answer(daemon: Daemon, request: Request) -> Any:
    """The data of a response; raises BadCommand."""
    if request.name == "status":
        return health.as_document(daemon.reporter.health(time.monotonic_ns()))
    if request.name == "reload":
        daemon.reload()
        return {"restart_required": daemon.restart_required}
    if request.name == "snapshot":
        pipeline = _pipeline(daemon, commands.snapshot_data(request.data).pipeline)
        frame = pipeline.last_frame
        if frame is None:
            raise BadCommand(f"{pipeline.name}: no picture yet")
        topic = daemon.topics.snapshot(pipeline.name)
        daemon.post(Publish(topic, jpeg(frame.pixels), qos=1, retain=True))
        return {"topic": topic, "seq": frame.seq}
    if request.name == "install":
        model = commands.install_data(request.data).model
        return {"model": model, "version": _install(daemon, model)}
    raise BadCommand(f"no request {request.name}; known: install, reload, snapshot, status")


def _install(daemon: Daemon, model: str) -> str:
    """Begin to put the version that is offered of a model in the place of the active one; which that is.

    Raises BadCommand.
    """
    if daemon.models is None:
        raise BadCommand(f"{model[:64]}: the configuration has no [models]: no version is offered")
    return daemon.models.wishes.install(model)


def _respond(
    daemon: Daemon,
    incoming: Incoming,
    name: str,
    transaction: str | int | None,
    data: Any = None,
    error: str | None = None,
) -> None:
    """On the sender's MQTT 5 response topic when it gave a harmless one, else on `…/response/<name>`.

    Harmless is what no appliance publishes or obeys: nobody makes us speak for ourselves or for another device.
    """
    topic = daemon.topics.response(name)
    wanted = incoming.response_topic
    if wanted and len(wanted) <= LONGEST_TOPIC and not set(wanted) & set("+#\0") and not wanted.startswith("$"):
        inside = wanted.startswith(daemon.topics.base + "/")
        topic = topic if inside and not wanted.startswith(daemon.topics.response("")) else wanted
    document: Response = {
        "data": data,
        "status": "error" if error else "ok",
        "error": error,
        "transaction": transaction,
    }
    daemon.post(Publish(topic, document, qos=1, response_to=incoming.correlation))
