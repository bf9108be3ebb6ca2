"""C5, C6, C7: how old a picture is when a subscriber hears of it, and what publishing costs."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from appliance.config import load
from appliance.mqtt.broker import BrokerMissingError, LocalBroker
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics
from appliance.result import ModelId, Result, utc
from appliance.uplink.outgoing import Outgoing, Publish, Spool
from appliance.uplink.uplink import Uplink, UplinkSettings
from engines.predictions import Detection
from scripts.benchmarks.bench import Bench
from scripts.benchmarks.goals import Figure, missing
from scripts.benchmarks.handover import measure_handover
from scripts.benchmarks.material import Unavailable
from scripts.benchmarks.plain import letterbox
from scripts.benchmarks.running import Running, configuration
from scripts.benchmarks.subject import bare_session
from scripts.benchmarks.subscriber import Heard, Subscriber, between
from scripts.benchmarks.timing import middle, percentile, turn

GOALS = ("C5", "C6", "C7")
OVER_BARE_MS, P99_OVER_BARE = 2.5, 1.6
ENGINE_TO_SUBSCRIBER_MS, BURST_MS = 3.0, 5.0
HANDOVER_MS = 0.1
PER_S = 30.0


@dataclass(frozen=True, slots=True)
class Ages:
    """One alternative in one round, milliseconds."""

    handed_over: Sequence[float]
    """From the picture handed over by the capture thread to the subscriber's callback."""
    published: Sequence[float]
    """From the end of the inference to the subscriber's callback."""
    bare_ms: float
    """The bare engine's median just before."""


def measure(bench: Bench) -> list[Figure]:
    try:
        with LocalBroker() as broker:
            port = urlsplit(broker.url).port or 0
            return [
                *_camera_to_subscriber(bench, broker.url, port),
                *_bursts(bench, broker.url),
                *_handover(bench, broker.url),
            ]
    except BrokerMissingError as error:
        return [missing(goal, "everything", str(error)) for goal in GOALS]


# -- C5, C6: one camera ------------------------------------------------------------------------------------------------


def _camera_to_subscriber(bench: Bench, url: str, port: int) -> list[Figure]:
    bench.say("  camera to subscriber")
    contenders: dict[str, Callable[[Subscriber], list[Heard]]] = {
        "QoS 0": lambda subscriber: _appliance(bench, url, subscriber, "live"),
        "QoS 1, through the outbox": lambda subscriber: _appliance(bench, url, subscriber, "spooled"),
        "plain loop, QoS 1": lambda subscriber: _plain(bench, port, subscriber),
    }
    if bench.peer is not None and bench.extent.small == 320:
        contenders["Ultralytics predict, QoS 1"] = lambda subscriber: _ultralytics(bench, port, subscriber)
    rounds: dict[str, list[Ages]] = {name: [] for name in contenders}
    for _ in range(bench.extent.latency_rounds):
        for name, contender in contenders.items():
            bare_ms = bare_p50_ms(bench, bench.extent.small)
            with Subscriber(port) as subscriber:
                heard = contender(subscriber)
            handed_over = [(each.arrived_ns - each.ready_ns) / 1e6 for each in heard]
            published = [(each.arrived_ns - each.done_ns) / 1e6 for each in heard]
            rounds[name].append(Ages(handed_over, published, bare_ms))
    return [figure for name, ages in rounds.items() for figure in _ages(name, ages, bench.extent.small)]


def bare_p50_ms(bench: Bench, size: int) -> float:
    """The engine alone, quiet, just now."""
    session = bare_session(str(bench.material.detector(size).stage_path("network")), bench.threads)
    tensors = {session.get_inputs()[0].name: letterbox(bench.material.pictures()[0], size)[0]}
    session.run(None, tensors)
    return middle(turn(lambda: session.run(None, tensors), 30).wall_ms)


def _appliance(bench: Bench, url: str, subscriber: Subscriber, results: str) -> list[Heard]:
    config = configuration(
        url,
        bench.material.detector(bench.extent.small),
        [f"file:{bench.material.film.resolve()}"],
        threads=bench.threads,
        pipeline=f"results = '{results}'",
    )
    with Running(bench.room("latency"), config) as running:
        heard = _while_it_runs(bench, subscriber)
        running.check()
    return heard


def _plain(bench: Bench, port: int, subscriber: Subscriber) -> list[Heard]:
    network = bench.material.detector(bench.extent.small).stage_path("network")
    seconds = bench.extent.latency_s + 2 * bench.extent.settle_s
    arguments = (str(network), bench.extent.small, str(bench.material.film), port, seconds, bench.threads)
    program = Path(__file__).with_name("plain.py")
    with subprocess.Popen([sys.executable, str(program), *map(str, arguments)]):
        return _while_it_runs(bench, subscriber)


def _ultralytics(bench: Bench, port: int, subscriber: Subscriber) -> list[Heard]:
    assert bench.peer is not None
    material = bench.material
    with bench.peer.detector(material, 320, bench.threads) as serving:
        serving.ask("predict", count=2)
        start_ns = time.time_ns() + int(bench.extent.settle_s * 1e9)
        seconds = bench.extent.latency_s + bench.extent.settle_s
        serving.ask("camera", seconds=seconds, fps=PER_S, port=port, topic="ultralytics/result")
        return list(between(subscriber.heard(), start_ns, start_ns + int(bench.extent.latency_s * 1e9)))


def _while_it_runs(bench: Bench, subscriber: Subscriber) -> list[Heard]:
    """What was heard in `latency_s`, beginning a while after the first result."""
    start_ns = subscriber.await_first() + int(bench.extent.settle_s * 1e9)
    end_ns = start_ns + int(bench.extent.latency_s * 1e9)
    time.sleep((end_ns - time.time_ns()) / 1e9 + 0.05)
    heard = [each for each in between(subscriber.heard(), start_ns, end_ns) if each.fields.get("status", "ok") == "ok"]
    if not heard:
        raise Unavailable("no valid result came")
    return heard


def _ages(name: str, rounds: Sequence[Ages], size: int) -> list[Figure]:
    """Medians of the rounds; goals for what is ours."""
    bare = middle([each.bare_ms for each in rounds])
    p50, p90, p99 = (middle([percentile(each.handed_over, share) for each in rounds]) for share in (50, 90, 99))
    sent50, sent99 = (middle([percentile(each.published, share) for each in rounds]) for share in (50, 99))
    over = middle([percentile(each.handed_over, 50) - each.bare_ms for each in rounds])
    ratio = middle([percentile(each.handed_over, 99) / each.bare_ms for each in rounds])
    details = {
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "bare_p50_ms": bare,
        "results": float(len(rounds[0].handed_over)),
    }
    ours = name.startswith("QoS")
    goal = name == "QoS 1, through the outbox"
    who = f"appliance, {name}" if ours else name
    return [
        Figure(
            "C5", f"{who}, at {size}: p50 over bare", over, "ms", most=OVER_BARE_MS if goal else None, details=details
        ),
        Figure(
            "C5", f"{who}, at {size}: p99 over bare", ratio, "x", most=P99_OVER_BARE if goal else None, details=details
        ),
        Figure(
            "C6",
            f"{who}, at 30/s: p99",
            sent99,
            "ms",
            most=ENGINE_TO_SUBSCRIBER_MS if ours else None,
            details={"p50_ms": sent50},
        ),
    ]


# -- C6: three messages at once ----------------------------------------------------------------------------------------


def _bursts(bench: Bench, url: str) -> list[Figure]:
    """The uplink alone, given three documents back to back 30 times a second."""
    bench.say("  bursts of messages")
    topics = Topics("appliance", "bench")
    figures = []
    for name, make in (("QoS 0", _live), ("QoS 1, through the outbox", _spooled)):
        rounds = [_burst(bench, url, topics, make) for _ in range(bench.extent.latency_rounds)]
        p50, p99 = (middle([percentile(ages, share) for ages in rounds]) for share in (50, 99))
        details = {"p50_ms": p50, "messages": float(len(rounds[0]))}
        figures.append(
            Figure("C6", f"appliance, 3 messages at once, {name}: p99", p99, "ms", most=BURST_MS, details=details)
        )
    return figures


def _burst(bench: Bench, url: str, topics: Topics, make: Callable[[Topics, int], Outgoing]) -> list[float]:
    """Milliseconds from hand-over to the subscriber's callback."""
    link = LinkSettings(url=url, client_id="bench-bursts")
    settings = UplinkSettings(link=link, topics=topics, outbox_path=bench.room("bursts") / "outbox.db")
    uplink = Uplink(settings)
    stopping = threading.Event()
    thread = threading.Thread(target=uplink.run, args=(stopping,), daemon=True)
    with Subscriber(urlsplit(url).port or 0) as subscriber:
        thread.start()
        while not uplink.figures().connected:
            time.sleep(0.05)
        due_s = time.monotonic()
        for tick in range(bench.extent.ticks + 10):
            due_s += 1 / PER_S
            time.sleep(max(0.0, due_s - time.monotonic()))
            for part in range(3):
                uplink.mailbox.put(make(topics, tick * 3 + part))
        time.sleep(0.5)
        heard = subscriber.heard()
    stopping.set()
    thread.join(10)
    results = [each for each in heard if each.is_result and "id" in each.fields][30:]
    if len(results) < bench.extent.ticks * 3:
        raise Unavailable(f"only {len(results)} of {bench.extent.ticks * 3} messages came")
    return [(each.arrived_mono_ns - int(each.fields["id"])) / 1e6 for each in results]


def document(seq: int) -> Result:
    """A result like any other, about 1 kB of JSON; its `id` is the monotonic time at which it was made."""
    return Result(
        id=str(time.monotonic_ns()),
        device="bench",
        pipeline="look",
        source="camera",
        seq=seq,
        status="ok",
        captured_at=utc(time.time_ns()),
        clock="synced",
        model=ModelId("detector", "1", "sha256:" + "0" * 64),
        answered_by="local",
        engine="onnxruntime",
        reason="local engine healthy",
        detections=tuple(Detection("person", 0, 0.87, (101.5, 220.25, 340.0, 610.75), track=n) for n in range(8)),
    )


def _live(topics: Topics, seq: int) -> Outgoing:
    return Publish(topics.result("look"), document(seq))


def _spooled(topics: Topics, seq: int) -> Outgoing:
    return Spool(topics.result("look"), document(seq), stream="look")


# -- C7: the engine's thread -------------------------------------------------------------------------------------------


def _handover(bench: Bench, url: str) -> list[Figure]:
    """A whole daemon in a process of its own that times each call of its `post`."""
    bench.say("  handing over to the uplink")
    config = configuration(
        url,
        bench.material.detector(bench.extent.small),
        [f"file:{bench.material.film.resolve()}"],
        threads=bench.threads,
        pipeline="results = 'spooled'",
    )
    folder = bench.room("handover")
    path = folder / "appliance.toml"
    path.write_text(f"[device]\nname = 'bench'\nstate_dir = {str(folder)!r}\n{config}", encoding="utf-8")
    load(path)
    rounds = [measure_handover(path, bench.extent.latency_s) for _ in range(bench.extent.latency_rounds)]
    p50, p99 = (middle([percentile(ms, share) for ms in rounds]) for share in (50, 99))
    details: Mapping[str, float] = {"p50_ms": p50, "documents": float(len(rounds[0]))}
    return [Figure("C7", "handing a document over to the uplink: p99", p99, "ms", most=HANDOVER_MS, details=details)]
