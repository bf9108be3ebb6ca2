"""When deflating pays, and when it is not even tried."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from appliance.questions import packing
from appliance.questions.packing import PROBE_BYTES, packed

LONG = 8 * PROBE_BYTES


def test_noise_is_sent_as_it_is() -> None:
    noise = np.random.default_rng(1).integers(0, 256, LONG, np.uint8)
    entry, raw = packed("x", noise)
    assert raw == noise.tobytes()
    assert "deflate" not in entry["parameters"]


def test_what_repeats_is_deflated() -> None:
    entry, raw = packed("x", np.tile(np.arange(16, dtype=np.uint8), LONG // 16))
    assert entry["parameters"]["deflate"] is True
    assert entry["parameters"]["binary_data_size"] == len(raw) < LONG / 10


def test_of_a_long_tensor_a_part_is_tried_first(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    compress = zlib.compress

    def noted(data: bytes, level: int) -> bytes:
        tried.append(len(data))
        return compress(data, level)

    monkeypatch.setattr(packing, "zlib", type("Zlib", (), {"compress": staticmethod(noted)}))
    packed("x", np.random.default_rng(1).integers(0, 256, LONG, np.uint8))
    assert tried == [PROBE_BYTES]
    packed("x", np.zeros(LONG, np.uint8))
    assert tried[1:] == [PROBE_BYTES, LONG]


@pytest.mark.parametrize("size", [0, 1, packing.DEFLATE_FROM_BYTES - 1])
def test_short_tensors_are_never_deflated(size: int) -> None:
    entry: dict[str, Any]
    entry, raw = packed("x", np.zeros(size, np.uint8))
    assert len(raw) == size
    assert "deflate" not in entry["parameters"]
