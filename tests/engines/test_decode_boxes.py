"""Object detectors: arrays as each family writes them, to detections in the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from engines.decode import Asked, make_decoder
from engines.engine import Array, EngineError, TensorSpec
from engines.manifest import Manifest
from engines.placement import place
from engines.predictions import Detection
from engines.stream import Stream
from tests.engines import references
from tests.engines.models import manifest, pictures

LABELS = ("car", "cat", "cup")
WIDTH, HEIGHT = 640, 480
"""Size of the picture; the input is 320 x 320, so a letterbox has 40 rows of border above and below."""


def model(decoder: str, fit: str = "letterbox", labels: Sequence[str] = LABELS, **settings: Any) -> Manifest:
    return manifest("detect", pictures(320, 320, fit=fit), labels, name=decoder, **({"nms_iou": 0.45} | settings))


def decode(
    of: Manifest,
    outputs: Mapping[str, Array] | Array,
    threshold: float = 0.5,
    labels: frozenset[str] | None = None,
) -> list[Detection]:
    """What the decoder makes of the outputs for one sample, given without the first axis."""
    named = outputs if isinstance(outputs, Mapping) else {"out": outputs}
    specs = [TensorSpec(name, (1, *array.shape), np.dtype("f4")) for name, array in named.items()]
    asked = Asked(threshold, labels, Stream(of.input, None), place(of.input, HEIGHT, WIDTH))  # type: ignore[arg-type]
    given = {name: array.astype(np.float32) for name, array in named.items()}
    found = make_decoder(of, specs).decode(given, asked)
    assert all(isinstance(each, Detection) for each in found)
    return list(found)  # type: ignore[arg-type]


def yolo_v8(*rows: Sequence[float]) -> Array:
    return np.asarray(np.array(rows).T)


def test_yolo_v8_boxes_come_back_to_the_picture_the_best_first() -> None:
    [first, second] = decode(
        model("yolo-v8"),
        yolo_v8([160, 160, 100, 50, 0.1, 0.6, 0.2], [60, 100, 20, 40, 0.8, 0, 0], [10, 10, 5, 5, 0.4, 0.4, 0.4]),
    )
    assert first == Detection("car", 0, 0.8, (100.0, 80.0, 140.0, 160.0))
    assert second == Detection("cat", 1, 0.6, (220.0, 190.0, 420.0, 290.0))


def test_yolo_v5_scores_are_objectness_times_class() -> None:
    rows = np.array([[160, 160, 100, 50, 0.9, 0.1, 0.8, 0.3], [160, 160, 100, 50, 0.6, 0.7, 0, 0]])
    [found] = decode(model("yolo-v5"), rows)
    assert found == Detection("cat", 1, 0.72, (220.0, 190.0, 420.0, 290.0))


def test_yolo_end_to_end_rows_are_taken_as_they_are() -> None:
    rows = np.array([[110, 135, 210, 185, 0.7, 2], [110, 135, 210, 185, 0.9, 2], [0, 0, 0, 0, 0, 0]])
    found = decode(model("yolo-end2end", nms_iou=None), rows)
    assert found == [Detection("cup", 2, score, (220.0, 190.0, 420.0, 290.0)) for score in (0.9, 0.7)]


@pytest.mark.parametrize("number", [-1, 3, 80])
def test_a_class_without_a_label_is_an_error(number: int) -> None:
    with pytest.raises(EngineError, match=f"class {number}, but the model has 3 labels"):
        decode(model("yolo-end2end", nms_iou=None), np.array([[0, 0, 9, 9, 0.9, number]]))


def test_ssd_corners_are_shares_of_the_input_and_the_background_is_no_class() -> None:
    of = model("ssd", fit="stretch", options={"boxes": "b", "scores": "s", "normalised": True, "background": True})
    boxes = np.array([[0.25, 0.5, 0.5, 0.75], [0.25, 0.5, 0.5, 0.75]])
    scores = np.array([[0.1, 0.2, 0.7, 0.0], [0.9, 0.0, 0.05, 0.05]])
    assert decode(of, {"b": boxes, "s": scores}) == [Detection("cat", 1, 0.7, (160.0, 240.0, 320.0, 360.0))]


def test_ssd_corners_may_be_pixels_and_scores_raw() -> None:
    of = model("ssd", fit="stretch", options={"boxes": "b", "scores": "s", "activation": "softmax"})
    boxes, scores = np.array([[80, 160, 160, 240]]), np.log(np.array([[0.2, 0.7, 0.1]]))
    assert decode(of, {"b": boxes, "s": scores}) == [Detection("cat", 1, 0.7, (160.0, 240.0, 320.0, 360.0))]


def test_a_prior_of_an_ssd_may_show_several_classes() -> None:
    of = model("ssd", fit="stretch", options={"boxes": "b", "scores": "s", "activation": "sigmoid"})
    found = decode(of, {"b": np.array([[0, 0, 32, 32]]), "s": np.array([[3.0, -3.0, 2.0]])})
    assert [(each.label, each.score) for each in found] == [("car", 0.95257), ("cup", 0.8808)]


def test_fastestdet_cells_are_decoded_as_its_authors_say() -> None:
    random = np.random.default_rng(5)
    grid = random.normal(0, 1, (8, 22, 20))
    grid[0], grid[5:] = random.uniform(0, 1, (22, 20)), random.dirichlet([0.3] * 3, (22, 20)).transpose(2, 0, 1)
    ours = decode(model("fastestdet", fit="stretch"), grid, threshold=0.6)
    expected = references.fastestdet(grid.astype(np.float32)[np.newaxis], WIDTH, HEIGHT, threshold=0.6)
    assert len(expected) > 20
    overlap, difference = references.match([(each.class_id, each.score, each.box) for each in ours], expected)
    assert overlap > 0.999
    assert difference < 2e-5


def test_yolo_v5_agrees_with_a_plain_decoding() -> None:
    random = np.random.default_rng(6)
    rows = np.concatenate((random.uniform(20, 300, (400, 4)), random.uniform(0, 1, (400, 4))), axis=1)
    of = manifest("detect", pictures(WIDTH, HEIGHT), LABELS, name="yolo-v5", nms_iou=0.45)
    expected = references.yolo_v5(rows.astype(np.float32)[np.newaxis], 0.3, 0.45)
    clipped = [(number, score, references.clip(box, WIDTH, HEIGHT)) for number, score, box in expected]
    ours = decode(of, rows, threshold=0.3)
    assert len(ours) > 20
    overlap, difference = references.match([(each.class_id, each.score, each.box) for each in ours], clipped)
    assert overlap > 0.99
    assert difference < 2e-5


# -- what is reported -------------------------------------------------------------------------------------------------


def test_a_score_of_exactly_the_threshold_is_reported_and_the_one_below_is_not() -> None:
    below = float(np.nextafter(np.float32(0.25), np.float32(0)))
    rows = yolo_v8([40, 60, 20, 20, 0.25, 0, 0], [200, 200, 20, 20, below, 0, 0])
    assert [each.score for each in decode(model("yolo-v8"), rows, threshold=0.25)] == [0.25]


def test_only_the_labels_asked_for_are_reported() -> None:
    rows = yolo_v8([60, 100, 20, 40, 0.8, 0, 0], [160, 160, 40, 40, 0, 0.9, 0], [260, 160, 40, 40, 0, 0, 0.7])
    found = decode(model("yolo-v8"), rows, labels=frozenset({"cup", "car", "unheard of"}))
    assert [each.label for each in found] == ["car", "cup"]


def test_labels_not_asked_for_take_no_place_and_suppress_nothing() -> None:
    of = model("yolo-v8", class_aware=False, max_detections=1)
    rows = yolo_v8([60, 100, 20, 40, 0.8, 0, 0], [60, 100, 20, 40, 0, 0.9, 0])
    assert [each.label for each in decode(of, rows)] == ["cat"]
    assert [each.label for each in decode(of, rows, labels=frozenset({"car"}))] == ["car"]


def test_without_regard_to_class_the_better_of_two_equal_boxes_stays() -> None:
    rows = yolo_v8([60, 100, 20, 40, 0.8, 0, 0], [60, 100, 20, 40, 0, 0.9, 0])
    assert len(decode(model("yolo-v8"), rows)) == 2
    assert [each.label for each in decode(model("yolo-v8", class_aware=False), rows)] == ["cat"]


@pytest.mark.parametrize("nms_iou", [0.45, None])
def test_no_more_than_the_model_allows_are_reported(nms_iou: float | None) -> None:
    rows = yolo_v8(*([20 + 30 * n, 60, 10, 10, 0.5 + 0.01 * n, 0, 0] for n in range(10)))
    found = decode(model("yolo-v8", max_detections=3, nms_iou=nms_iou), rows)
    assert [each.score for each in found] == [0.59, 0.58, 0.57]


def test_boxes_end_at_the_edge_of_the_picture() -> None:
    [found] = decode(model("yolo-v8"), yolo_v8([0, 160, 400, 400, 0.9, 0, 0]))
    assert found.box == (0.0, 0.0, 400.0, 480.0)


def test_numbers_are_short_and_plain() -> None:
    [found] = decode(model("yolo-v8"), yolo_v8([100.123456, 160.98765, 33.3333, 44.4444, 0.123456789, 0, 0]), 0.1)
    assert found == Detection("car", 0, 0.12346, (166.91, 197.53, 233.58, 286.42))
    assert all(type(number) is float for number in (*found.box, found.score))


@pytest.mark.parametrize("decoder", ["yolo-v8", "yolo-v5", "yolo-end2end", "fastestdet"])
def test_nothing_above_the_threshold_is_an_empty_answer(decoder: str) -> None:
    shape = {"yolo-v8": (7, 50), "yolo-v5": (50, 8), "yolo-end2end": (50, 6), "fastestdet": (8, 4, 5)}[decoder]
    assert decode(model(decoder, fit="stretch"), np.zeros(shape)) == []


# -- what cannot be believed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("decoder", "shape", "places"),
    [
        ("yolo-v8", (7, 9000), [(0, 0), (3, 8999)]),
        ("yolo-v5", (9000, 8), [(0, 0), (8999, 4), (17, 7)]),
        ("yolo-end2end", (300, 6), [(0, 0), (299, 4), (3, 5)]),
        ("fastestdet", (8, 22, 22), [(0, 0, 0), (4, 3, 3), (7, 21, 21)]),
    ],
)
def test_nan_and_infinity_are_errors_wherever_they_stand(
    decoder: str, shape: tuple[int, ...], places: list[tuple[int, ...]], bad: float
) -> None:
    for place_ in places:
        output = np.zeros(shape)
        output[place_] = bad
        with pytest.raises(EngineError, match="output out holds NaN or infinity"):
            decode(model(decoder, fit="stretch"), output)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_among_the_scores_of_yolo_v8_are_errors(bad: float) -> None:
    output = np.zeros((7, 9000))
    output[5, 4321] = bad
    with pytest.raises(EngineError, match="output out holds NaN or infinity"):
        decode(model("yolo-v8"), output)


@pytest.mark.parametrize("tensor", ["b", "s"])
def test_nan_in_either_tensor_of_an_ssd_is_an_error(tensor: str) -> None:
    of = model("ssd", fit="stretch", options={"boxes": "b", "scores": "s"})
    outputs = {"b": np.zeros((10, 4)), "s": np.zeros((10, 3))}
    outputs[tensor][9, 2] = np.nan
    with pytest.raises(EngineError, match=f"output {tensor} holds NaN"):
        decode(of, outputs)


# -- what does not fit ------------------------------------------------------------------------------------------------


def outputs(**shapes: tuple[int | None, ...]) -> list[TensorSpec]:
    return [TensorSpec(name, shape, np.dtype("f4")) for name, shape in shapes.items()]


@pytest.mark.parametrize(
    ("decoder", "shape"),
    [
        ("yolo-v8", (1, 84, 8400)),
        ("yolo-v8", (1, 7)),
        ("yolo-v5", (1, 25200, 85)),
        ("yolo-end2end", (1, 300, 7)),
        ("fastestdet", (1, 85, 22, 22)),
        ("fastestdet", (1, 8, 22)),
    ],
)
def test_a_network_with_other_shapes_is_refused_when_it_is_opened(decoder: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(EngineError, match=f"decoder {decoder} does not fit the network: output out has shape"):
        make_decoder(model(decoder), outputs(out=shape))


def test_of_several_outputs_one_must_be_named() -> None:
    several = outputs(out=(1, 7, 100), grid=(1, 3, 20, 20, 8))
    with pytest.raises(EngineError, match=r"several outputs \(out, grid\): name one in decoder.options.output"):
        make_decoder(model("yolo-v8"), several)
    assert make_decoder(model("yolo-v8", options={"output": "out"}), several).shapes == {"out": (7, None)}


def test_an_output_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(EngineError, match="reads output other, but the network has out"):
        make_decoder(model("yolo-v8", options={"output": "other"}), outputs(out=(1, 7, 100)))


def test_an_ssd_must_say_which_output_is_which() -> None:
    with pytest.raises(EngineError, match="needs options boxes and scores: 'scores' is missing"):
        make_decoder(model("ssd", options={"boxes": "b"}), outputs(b=(1, 10, 4), s=(1, 10, 3)))


def test_boxes_without_scores_are_an_error() -> None:
    of = model("ssd", fit="stretch", options={"boxes": "b", "scores": "s"})
    with pytest.raises(EngineError, match="10 boxes with 9 rows of scores"):
        decode(of, {"b": np.zeros((10, 4)), "s": np.zeros((9, 3))})
