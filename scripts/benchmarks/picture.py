"""C1, C2, C3, C15: what one picture costs, from capture to the encoded document, against the bare engine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from appliance.pipeline.compose import Served, compose
from appliance.result import ModelId, to_json
from engines.engine import EngineError
from engines.model import Model
from engines.predictions import Answer, Detection
from scripts.benchmarks.bench import Bench, frame
from scripts.benchmarks.goals import Figure, missing
from scripts.benchmarks.material import Unavailable
from scripts.benchmarks.peer import Serving
from scripts.benchmarks.subject import Subject
from scripts.benchmarks.timing import Timed, take_turns, turn

GOALS = ("C1", "C2", "C3", "C15")
PER_PICTURE = {"large": 1.04, "small": 1.12}
WITH_CAPTURE = 1.12
AGAINST_PEER = 0.50
STAGE_TIMES = 0.01
LONE = 0.002
"""Share of boxes that may lack a partner: Ultralytics moves classes apart in single precision, which lets an overlap of
0.4502 pass for less than 0.45."""


def measure(bench: Bench) -> list[Figure]:
    """Both sizes; the peer's network as well where there is a peer."""
    figures: list[Figure] = []
    for kind, size in (("large", bench.extent.large), ("small", bench.extent.small)):
        bench.say(f"  one picture at {size}")
        figures += _own_detector(bench, kind, size)
        figures += _peers_detector(bench, kind, size)
    return figures


def _own_detector(bench: Bench, kind: str, size: int) -> list[Figure]:
    film = bench.material.film
    pictures = bench.material.pictures()
    with ExitStack() as stack:
        subject = Subject(bench, bench.material.detector(size), size, stack)
        subject.add_bare(pictures)
        subject.add_ours(pictures, film)
        subject.add_plain(pictures, film)
        subject.add_capture(film)
        timed = subject.take_turns(kind)
        figures = _ratios(subject, timed, kind, "own detector")
        figures += _stage_times(bench, subject, timed["bare engine"])
    return figures


def _peers_detector(bench: Bench, kind: str, size: int) -> list[Figure]:
    """The same with YOLO11n, beside Ultralytics on the same file."""
    what = f"preparation + decoding + glue over Ultralytics', YOLO11n at {size}"
    if bench.peer is None or size not in (640, 320):
        return [missing("C2", what, bench.no_peer if bench.peer is None else f"the peer has no network for {size}")]
    material = bench.material
    pictures = material.pictures()
    try:
        network = bench.peer.network(material, size)
        with ExitStack() as stack:
            subject = Subject(bench, material.bundle(network, size, "images", "output0"), size, stack)
            subject.add_bare(pictures)
            subject.add_ours(pictures, material.film)
            serving = stack.enter_context(bench.peer.detector(material, size, bench.threads))
            subject.add_peer(serving)
            timed = subject.take_turns(kind)
            figures = _ratios(subject, timed, kind, "YOLO11n")
            figures += _against_peer(subject, serving, pictures, what, size)
    except Unavailable as error:
        return [missing("C2", what, str(error))]
    return figures


def _ratios(subject: Subject, timed: Mapping[str, Timed], kind: str, network: str) -> list[Figure]:
    """CPU time over the bare engine's: with a goal for what is ours, to compare for the rest."""
    bare = timed["bare engine"]
    of = f"{network} at {subject.size}"
    results = sum(each.results for each in subject.appliances)
    per_picture = {
        "detections_per_picture": sum(each.detections for each in subject.appliances) / results,
        "events_per_picture": sum(each.events for each in subject.appliances) / results,
    }
    details = _details(bare, bare) | per_picture
    figures = [Figure("C1", f"bare engine, {of}", bare.cpu_ms, "ms CPU", details=details)]
    goals: dict[str, tuple[str, float | None]] = {
        "model": ("C1", None),
        "appliance": ("C1", PER_PICTURE[kind]),
        "plain loop": ("C1", None),
        "Ultralytics predict": ("C1", None),
        "capture alone": ("C3", None),
        "appliance with capture": ("C3", WITH_CAPTURE if kind == "large" else None),
        "plain loop with capture": ("C3", None),
        "Ultralytics stream": ("C3", None),
    }
    for name, (goal, most) in goals.items():
        if name in timed:
            each = timed[name]
            what = f"{name}, {of}"
            figures.append(Figure(goal, what, each.ratio(bare), "x bare CPU", most=most, details=_details(each, bare)))
    return figures


def _details(timed: Timed, bare: Timed) -> dict[str, float]:
    return {
        "cpu_ms": timed.cpu_ms,
        "wall_p50_ms": timed.wall_ms,
        "wall_over_bare": timed.wall_ratio(bare),
        "least_ratio": min(one.cpu_ms / base.cpu_ms for one, base in zip(timed.turns, bare.turns, strict=True)),
        "most_ratio": max(one.cpu_ms / base.cpu_ms for one, base in zip(timed.turns, bare.turns, strict=True)),
    }


def _against_peer(
    subject: Subject, serving: Serving, pictures: npt.NDArray[np.uint8], what: str, size: int
) -> list[Figure]:
    # Round by round, the turn for warming up left out.
    ours, theirs = ([statistics.median(each) for each in subject.outside_ms[name][1:]] for name in ("model", "peer"))
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    details = {"ours_ms": statistics.median(ours), "ultralytics_ms": statistics.median(theirs)}
    figure = Figure("C2", what, ratio, "x", most=AGAINST_PEER, details=details)
    with Model(subject.bundle, threads=subject.bench.threads) as model:
        answers = [model.predict([pixels])[0] for pixels in pictures]
    height, width = pictures.shape[1:3]
    found = [
        [each for each in answer.predictions if isinstance(each, Detection)] if isinstance(answer, Answer) else []
        for answer in answers
    ]
    other = serving.ask("boxes")
    worst, lone = _distance(found, other, width, height)
    details = {"boxes": float(sum(map(len, found))), "without_partner": float(lone)}
    return [
        figure,
        Figure("C2", f"farthest corner from Ultralytics' box, at {size}", worst, "px", most=0.5, details=details),
        Figure("C2", f"boxes without a partner, at {size}", float(lone), "boxes", most=LONE * details["boxes"]),
    ]


def _distance(
    ours: list[list[Detection]], theirs: list[list[list[float]]], width: int, height: int
) -> tuple[float, int]:
    """The farthest corner, in pixels, of boxes of the same class and score; and how many have no partner."""
    worst, lone = 0.0, 0
    for mine, others in zip(ours, theirs, strict=True):
        lone += abs(len(mine) - len(others))
        for detection in mine:
            distances = [
                max(
                    abs(a - min(max(b, 0), edge))
                    for a, b, edge in zip(detection.box, box, (width, height) * 2, strict=True)
                )
                for *box, score, kind in others
                if int(kind) == detection.class_id and abs(score - detection.score) < 0.001
            ]
            lone += not distances
            worst = max(worst, min(distances, default=0.0))
    return worst, lone


def _stage_times(bench: Bench, subject: Subject, bare: Timed) -> list[Figure]:
    """What the stage times add to a result: reading the clock, composing, encoding. An upper bound: composing an
    answer is compared with composing a failure, which lacks the boxes as well."""
    with Model(subject.bundle, threads=bench.threads) as model:
        pixels = bench.material.pictures()[0]
        answer = model.predict([pixels])[0]
    assert isinstance(answer, Answer)
    sample = frame(pixels, 0)
    served = Served(sample.ready_ns, time.monotonic_ns(), "onnxruntime", ModelId("bench", "1", "sha256:0"), "asked")
    result = compose("bench", "look", sample, answer, served, "synced")
    bare_of_times = replace(result, latency_ms=None)
    failure = EngineError("asked")
    steps: dict[str, Callable[[], object]] = {
        "clock": lambda: [time.perf_counter_ns() for _ in range(4)],
        "composed": lambda: compose("bench", "look", sample, answer, served, "synced"),
        "failed": lambda: compose("bench", "look", sample, failure, served, "synced"),
        "encoded": lambda: to_json(result),
        "encoded without": lambda: to_json(bare_of_times),
    }
    alternatives = {name: (lambda count, step=step: turn(step, count)) for name, step in steps.items()}
    timed = take_turns(alternatives, rounds=bench.extent.rounds, count=bench.extent.pictures * 20, warm=20)
    cost = {name: each.cpu_ms for name, each in timed.items()}
    added_ms = cost["clock"] + cost["composed"] - cost["failed"] + cost["encoded"] - cost["encoded without"]
    details = {f"{name.replace(' ', '_')}_us": value * 1e3 for name, value in cost.items()}
    what = f"stage times over the bare engine, at {subject.size}"
    share = sum(each.timed for each in subject.appliances) / len(subject.appliances)
    return [
        Figure("C15", what, added_ms / bare.cpu_ms, "of bare CPU", most=STAGE_TIMES, details=details),
        Figure("C15", f"runs in which every result has its stage times, at {subject.size}", share, "", least=1.0),
    ]
