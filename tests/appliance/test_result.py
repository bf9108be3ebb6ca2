from __future__ import annotations

import json

from appliance.pipeline.compose import Served, compose
from appliance.result import ModelId, Result, to_json, utc
from capture.samples import AudioWindow, Frame, Stamp
from engines.engine import EngineError
from engines.predictions import Answer, Detection, Keypoint, Label, Mask, Pose, StageTimes
from tests.arrays import picture, silence

SERVED = Served(5_000_000, 9_000_000, "onnxruntime", ModelId("people", "3", "sha256:0"), "local engine healthy")
TIMES = StageTimes(0.5, 3.0, 0.2)


def frame() -> Frame:
    return Frame("dock", 7, Stamp(1_000_000, 1_700_000_000_123_456_789), picture(64, 48), ready_ns=3_000_000)


def result(answer: Answer | EngineError) -> Result:
    return compose("dock-1", "people", frame(), answer, SERVED, "synced")


def test_a_moment_is_written_as_utc_with_microseconds() -> None:
    assert utc(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456Z"


def test_the_stamp_of_the_grab_reaches_the_document_unchanged() -> None:
    assert result(Answer("detect", (), TIMES)).captured_at == "2023-11-14T22:13:20.123456Z"


def test_latency_counts_from_the_grab_and_is_told_per_stage() -> None:
    latency = result(Answer("detect", (), TIMES)).latency_ms
    assert latency is not None
    assert (latency.capture, latency.wait, latency.total) == (2.0, 2.0, 8.0)
    assert (latency.prepare, latency.infer, latency.decode) == (0.5, 3.0, 0.2)


def test_an_empty_scene_has_an_empty_list_of_detections() -> None:
    document = json.loads(to_json(result(Answer("detect", (), TIMES))))
    assert document["status"] == "ok"
    assert document["detections"] == []


def test_a_failed_inference_never_looks_like_an_empty_scene() -> None:
    document = json.loads(to_json(result(EngineError("the output holds NaN"))))
    assert document["status"] == "failed"
    assert document["reason"] == "the output holds NaN"
    assert "detections" not in document
    assert "labels" not in document


def test_a_detection_is_published_with_its_box() -> None:
    found = Detection("person", 0, 0.91, (412.0, 80.0, 520.5, 391.0))
    document = json.loads(to_json(result(Answer("detect", (found,), TIMES))))
    assert document["detections"] == [
        {"label": "person", "class_id": 0, "score": 0.91, "box": [412.0, 80.0, 520.5, 391.0]}
    ]
    assert document["frame"] == {"width": 64, "height": 48}


def test_sound_says_where_in_the_stream_it_was_heard() -> None:
    window = AudioWindow("hall", 3, Stamp(0, 0), silence(8000), 16_000, gap=5, ready_ns=600_000_000, start=32_000)
    heard = Answer("audio-labels", (Label("low", 1, 0.8),), TIMES)
    document = json.loads(to_json(compose("dock-1", "tones", window, heard, SERVED, "unsynced")))
    assert document["window"] == {"start_s": 2.0, "seconds": 0.5, "rate_hz": 16_000, "gap": 5}
    assert document["labels"] == [{"label": "low", "class_id": 1, "score": 0.8}]
    assert "detections" not in document


def test_outlines_points_and_turned_corners_are_published_where_a_model_finds_them() -> None:
    found = Detection(
        "person",
        0,
        0.91,
        (1.0, 2.0, 9.0, 8.0),
        mask=Mask((((1.0, 2.0), (9.0, 2.0), (9.0, 8.0)),)),
        pose=Pose((Keypoint(3.0, 4.0, 0.5),)),
        corners=((1.0, 5.0), (5.0, 2.0), (9.0, 5.0), (5.0, 8.0)),
    )
    [published] = json.loads(to_json(result(Answer("detect", (found,), TIMES))))["detections"]
    assert published["mask"] == {"polygons": [[[1.0, 2.0], [9.0, 2.0], [9.0, 8.0]]]}
    assert published["pose"] == {"points": [{"x": 3.0, "y": 4.0, "score": 0.5}]}
    assert published["corners"] == [[1.0, 5.0], [5.0, 2.0], [9.0, 5.0], [5.0, 8.0]]
