"""C10: what the appliance costs while little happens."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from appliance.mqtt.broker import BrokerMissingError, LocalBroker
from scripts.benchmarks.bench import Bench
from scripts.benchmarks.goals import Figure, missing
from scripts.benchmarks.plain import letterbox
from scripts.benchmarks.running import Running, configuration, cpu_s_by_thread, cpu_s_of
from scripts.benchmarks.subject import bare_session
from scripts.benchmarks.subscriber import Subscriber, between

GOALS = ("C10",)
FPS = 10.0
OVER_BARE = 1.10
NO_CAMERA = 0.01
LOADED_S = 1.0
"""After so long the model is loaded, also where no result tells."""
BACK_OFF_S = 4.0
"""After so long a source that is not there is tried at its slowest."""


def measure(bench: Bench) -> list[Figure]:
    try:
        with LocalBroker() as broker:
            figures = [_paced(bench, broker.url, size) for size in (bench.extent.large, bench.extent.small)]
            return [*figures, *_no_camera(bench, broker.url)]
    except BrokerMissingError as error:
        return [missing("C10", "everything", str(error))]


def _paced(bench: Bench, url: str, size: int) -> Figure:
    """CPU time for each picture at 10/s over that of the bare engine at the same pace. What the camera costs is known
    from the same appliance with its pipeline disabled, and left out."""
    bench.say(f"  10 pictures a second at {size}")
    bare_ms = _bare_cpu_ms(bench, size)
    camera_s, _ = _appliance(bench, url, size, enabled=False)
    all_s, results = _appliance(bench, url, size, enabled=True)
    seconds = bench.extent.idle_s
    per_picture_ms = (all_s - camera_s) * 1e3 / max(results, 1)
    details = {
        "cpu_ms_per_picture": per_picture_ms,
        "bare_cpu_ms": bare_ms,
        "camera_cores": camera_s / seconds,
        "all_cores": all_s / seconds,
        "results": float(results),
    }
    what = f"CPU time per picture at 10/s over the bare engine, at {size}"
    # Only at the large size is everything around the engine small beside it; at the small one C1 has the goal.
    most = OVER_BARE if size == bench.extent.large else None
    return Figure("C10", what, per_picture_ms / bare_ms, "x", most=most, details=details)


def _bare_cpu_ms(bench: Bench, size: int) -> float:
    """Of `session.run`, 10 times a second."""
    session = bare_session(str(bench.material.detector(size).stage_path("network")), bench.threads)
    tensors = {session.get_inputs()[0].name: letterbox(bench.material.pictures()[0], size)[0]}
    for _ in range(3):
        session.run(None, tensors)
    count = max(3, int(bench.extent.idle_s * FPS / 2))
    cpu_s, due_s = 0.0, time.monotonic()
    for _ in range(count):
        due_s += 1 / FPS
        time.sleep(max(0.0, due_s - time.monotonic()))
        before_s = time.process_time()
        session.run(None, tensors)
        cpu_s += time.process_time() - before_s
    return cpu_s * 1e3 / count


def _appliance(bench: Bench, url: str, size: int, *, enabled: bool) -> tuple[float, int]:
    """CPU seconds in `idle_s`, and the results that came."""
    config = configuration(
        url,
        bench.material.detector(size),
        [f"file:{bench.material.film.resolve()}"],
        threads=bench.threads,
        camera=f"loop = true\nfps = {FPS}",
        pipeline=f"enabled = {str(enabled).lower()}",
    )
    with Subscriber(urlsplit(url).port or 0) as subscriber, Running(bench.room("idle"), config) as running:
        subscriber.await_first("/result" if enabled else "/source/c0/available")
        time.sleep(LOADED_S + bench.extent.settle_s)
        start_ns, cpu_s = time.time_ns(), cpu_s_of(running.pid)
        time.sleep(bench.extent.idle_s)
        end_ns, cpu_s = time.time_ns(), cpu_s_of(running.pid) - cpu_s
        running.check()
        return cpu_s, len(list(between(subscriber.heard(), start_ns, end_ns)))


def _no_camera(bench: Bench, url: str) -> list[Figure]:
    """A configured camera that is not there, with its model loaded and its broker connected."""
    bench.say("  no camera")
    size = bench.extent.small
    config = configuration(
        url, bench.material.detector(size), ["camera:/dev/video97"], threads=bench.threads, camera=""
    )
    with Running(bench.room("no-camera"), config) as running:
        time.sleep(BACK_OFF_S * min(1.0, bench.extent.settle_s) + bench.extent.settle_s)
        before_s, cpu_s = cpu_s_by_thread(running.pid), cpu_s_of(running.pid)
        started_s = time.monotonic()
        time.sleep(bench.extent.idle_s)
        seconds = time.monotonic() - started_s
        cpu_s = cpu_s_of(running.pid) - cpu_s
        busiest_s = max(now - before_s.get(thread, 0.0) for thread, now in cpu_s_by_thread(running.pid).items())
        running.check()
    details = {"threads": float(len(before_s)), "busiest_thread": busiest_s / seconds}
    return [
        Figure("C10", "no camera: share of a core", cpu_s / seconds, "", most=NO_CAMERA, details=details),
    ]
