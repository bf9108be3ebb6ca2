"""Windows of sound into input tensors, with what a stream remembers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engines.engine import EngineError, TensorSpec
from engines.manifest import AudioInput
from engines.sounds import Sounds
from engines.stream import Stream
from tests.engines.models import sounds


def stream(spec: AudioInput) -> Stream:
    return Stream(spec, memory=None)


def ramp(start: int, count: int) -> Any:
    return np.arange(start, start + count, dtype=np.float32)


@pytest.mark.parametrize(("layout", "shape"), [("bn", (1, 8)), ("bcn", (1, 1, 8)), ("n", (8,))])
def test_a_window_is_laid_out_as_the_manifest_says(layout: str, shape: tuple[int, ...]) -> None:
    spec = sounds(8, layout=layout)
    inputs = Sounds(spec, 1, ())
    inputs.put(0, ramp(1, 8), stream(spec))
    tensor = inputs.tensors(1)["x"]
    assert tensor.shape == shape
    np.testing.assert_array_equal(tensor.reshape(-1), ramp(1, 8))


def test_the_end_of_the_window_before_is_put_in_front() -> None:
    spec = sounds(8, context=3)
    inputs, heard = Sounds(spec, 1, ()), stream(spec)
    seen = []
    for start in (1, 9, 17):
        assert inputs.put(0, ramp(start, 8), heard) == (start - 1, start + 7)
        seen.append(inputs.tensors(1)["x"][0].tolist())
    assert seen == [
        [0, 0, 0, *range(1, 9)],
        [6, 7, 8, *range(9, 17)],
        [14, 15, 16, *range(17, 25)],
    ]


def test_windows_that_overlap_get_what_lies_before_them() -> None:
    spec = sounds(8, context=2, hop=4)
    inputs, heard = Sounds(spec, 1, ()), stream(spec)
    seen = []
    for start in (1, 5, 9):
        inputs.put(0, ramp(start, 8), heard)
        seen.append(inputs.tensors(1)["x"][0].tolist())
    assert seen == [[0, 0, *range(1, 9)], [3, 4, *range(5, 13)], [7, 8, *range(9, 17)]]


def test_windows_with_sound_left_out_between_them_get_no_false_context() -> None:
    spec = sounds(8, context=2, hop=20)
    inputs, heard = Sounds(spec, 1, ()), stream(spec)
    inputs.put(0, ramp(1, 8), heard)
    assert inputs.put(0, ramp(21, 8), heard) == (20, 28)
    assert inputs.tensors(1)["x"][0].tolist() == [0, 0, *range(21, 29)]


def test_two_streams_keep_their_own_context() -> None:
    spec = sounds(4, context=2, batch=None)
    inputs, one, two = Sounds(spec, 2, ()), stream(spec), stream(spec)
    for start in (1, 5):
        inputs.put(0, ramp(start, 4), one)
        inputs.put(1, ramp(100 + start, 4), two)
    assert inputs.tensors(2)["x"].tolist() == [[3, 4, 5, 6, 7, 8], [103, 104, 105, 106, 107, 108]]


def test_the_last_window_of_a_recording_may_be_short_and_zeros_fill_it() -> None:
    spec = sounds(8)
    inputs, heard = Sounds(spec, 1, ()), stream(spec)
    inputs.put(0, ramp(1, 8), heard)
    assert inputs.put(0, ramp(9, 3), heard) == (8, 11)
    assert inputs.tensors(1)["x"][0].tolist() == [9, 10, 11, 0, 0, 0, 0, 0]
    assert heard.end == 11


def test_after_lost_sound_nothing_is_remembered() -> None:
    spec = sounds(4, context=2)
    inputs, heard = Sounds(spec, 1, ()), stream(spec)
    inputs.put(0, ramp(1, 4), heard)
    heard.seek(4)  # as expected: nothing was lost
    assert heard.context.tolist() == [3, 4]
    heard.seek(100)
    assert inputs.put(0, ramp(101, 4), heard) == (100, 104)
    assert inputs.tensors(1)["x"][0].tolist() == [0, 0, 101, 102, 103, 104]


@pytest.mark.parametrize(
    "wrong",
    [np.zeros(9, np.float32), np.zeros(0, np.float32), np.zeros(8, np.float64), np.zeros((1, 8), np.float32)],
    ids=["long", "empty", "double", "two axes"],
)
def test_anything_else_than_a_window_is_refused_and_the_stream_stays_where_it_was(wrong: Any) -> None:
    spec = sounds(8)
    heard = stream(spec)
    with pytest.raises(EngineError, match=r"a window of sound must be float32 \(8,\)"):
        Sounds(spec, 1, ()).put(0, wrong, heard)
    assert heard.position == 0


@pytest.mark.parametrize("shape", [(), (1,), (None,)])
def test_constants_take_the_type_and_shape_of_the_network(shape: tuple[int | None, ...]) -> None:
    inputs = [TensorSpec("x", (1, 8), np.dtype("f4")), TensorSpec("sr", shape, np.dtype("i8"))]
    tensors = Sounds(sounds(8, constants={"sr": 16_000}), 1, inputs).tensors(1)
    assert tensors["sr"].dtype == np.int64
    assert tensors["sr"].shape == tuple(size or 1 for size in shape)
    assert tensors["sr"].item() == 16_000


def test_a_constant_that_the_network_does_not_take_is_refused() -> None:
    with pytest.raises(EngineError, match="no input sr"):
        Sounds(sounds(8, constants={"sr": 16_000}), 1, [TensorSpec("x", (1, 8), np.dtype("f4"))])


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused_and_leave_no_trace(broken: float) -> None:
    spec = sounds(8, context=3)
    inputs, heard = Sounds(spec, 1, ()), stream(spec)
    window = ramp(1, 8)
    window[3] = broken
    with pytest.raises(EngineError, match="no numbers"):
        inputs.put(0, window, heard)
    assert heard.position == 0
    heard.seek(8)
    inputs.put(0, ramp(9, 8), heard)
    assert inputs.tensors(1)["x"][0].tolist() == [0, 0, 0, *range(9, 17)]
