"""Samples to keep, without a pipeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from appliance.harvest.basket import Said
from appliance.harvest.sample import Harvested, Opinion
from appliance.harvest.store import Bounds, Store
from appliance.pipeline.snapshot import jpeg
from appliance.result import ModelId
from capture.samples import Frame, Stamp
from engines.digest import of_bytes
from engines.predictions import Answer, Detection, Label, StageTimes

MODEL = ModelId("shapes", "1", "sha256:1")
OTHER = ModelId("shapes", "2", "sha256:2")
T0_S = 1_800_000_000.0
"""15 January 2027, 08:00 UTC."""


def bounds(**changes: Any) -> Bounds:
    made = Bounds(per_day=1000, bytes_per_day=10**9, most_bytes=10**9, keep_s=86_400.0, leave_free=0)
    return replace(made, **changes)


def store(folder: Path, **changes: Any) -> Store:
    made = Store(folder, bounds(**changes))
    made.prepare()
    return made


def labels(**scores: float) -> Answer:
    said = tuple(Label(name, number, score) for number, (name, score) in enumerate(scores.items()))
    return Answer("classify", said, StageTimes(0.1, 1.0, 0.1))


def found(*boxes: tuple[str, float, tuple[float, float, float, float]]) -> Answer:
    said = tuple(Detection(label, 0, score, box) for label, score, box in boxes)
    return Answer("detect", said, StageTimes(0.1, 1.0, 0.1))


def said(answer: Answer, by: str = "local", model: ModelId = MODEL) -> Said:
    return Said(by, model, answer)


def frame(seq: int = 0, size: tuple[int, int] = (120, 160), value: int = 90) -> Frame:
    pixels = np.full((*size, 3), value, np.uint8)
    return Frame("dock", seq, Stamp(seq * 10**9, int(T0_S * 1e9) + seq * 10**9), pixels, seq * 10**9)


PICTURE = jpeg(np.full((24, 32, 3), 90, np.uint8))


def kept(into: Store, count: int = 1, data: bytes = PICTURE, unix_s: float = T0_S) -> list[Harvested]:
    """So many samples, kept one after the other."""
    made = []
    for _ in range(count):
        series, name = into.begin(len(data), unix_s)
        about = sample(series, name, data)
        into.add(about, data)
        made.append(about)
    return made


def sample(series: str, name: str, data: bytes = PICTURE) -> Harvested:
    return Harvested(
        name=name,
        series=series,
        device="box",
        pipeline="shapes",
        source="dock",
        seq=0,
        captured_at="2027-01-15T08:00:00.000000Z",
        clock="synced",
        reason="unsure",
        why="a test",
        kind="jpg",
        digest=of_bytes(data),
        said=Opinion.of("local", MODEL, labels(red=0.5)),
    )
