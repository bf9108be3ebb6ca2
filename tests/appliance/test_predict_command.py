"""`appliance predict` as a person or a program uses it: what it prints, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.system


def predict(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance", "predict", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=cwd,
    )


def documents(done: subprocess.CompletedProcess[str]) -> list[Any]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_one_document_per_frame_with_the_input_as_given(data: Path) -> None:
    video = os.path.relpath(data / "video" / "car-detection.mp4")
    results = documents(predict(data / "models" / "FastestDet.onnx", video, "--json", "--every", "50"))
    assert [result["seq"] for result in results] == list(range(0, 377, 50))
    assert {result["source"] for result in results} == {video}
    assert {result["status"] for result in results} == {"ok"}
    assert any(result["detections"] for result in results)
    assert results[0]["frame"] == {"width": 768, "height": 432}


def test_the_threshold_is_obeyed(data: Path) -> None:
    arguments = (data / "models" / "FastestDet.onnx", data / "images" / "fd_0.jpg", "--json", "--threshold")
    few = documents(predict(*arguments, "0.6"))[0]["detections"]
    many = documents(predict(*arguments, "0.1"))[0]["detections"]
    assert 0 < len(few) < len(many)
    assert all(detection["score"] >= 0.6 for detection in few)


def test_a_folder_is_its_pictures_by_name(data: Path) -> None:
    results = documents(predict(data / "models" / "ultraface-slim-320.onnx", data / "images", "--json"))
    assert [result["file"] for result in results] == ["faces_26.jpg", "fd_0.jpg", "fd_1.jpg", "fd_3.jpg"]
    assert [result["seq"] for result in results] == [0, 1, 2, 3]
    assert len(results[0]["detections"]) > 10


def test_several_inputs_are_answered_in_turn(data: Path) -> None:
    images = [str(data / "images" / name) for name in ("fd_0.jpg", "fd_1.jpg")]
    results = documents(predict(data / "models" / "FastestDet.onnx", *images, "--json"))
    assert [result["source"] for result in results] == images


def test_speech_comes_as_windows_and_finished_segments(data: Path) -> None:
    results = documents(predict(data / "models" / "silero_vad_16k_op15.onnx", data / "speech.wav", "--json"))
    assert [result["seq"] for result in results] == list(range(len(results)))
    assert all(result["labels"][0]["label"] in ("speech", "silence") for result in results)
    segments = [segment for result in results for segment in result.get("segments", ())]
    assert len(segments) > 5
    assert all(segment["start_s"] < segment["end_s"] for segment in segments)


def test_a_person_gets_a_line_per_picture(data: Path) -> None:
    done = predict(data / "models" / "FastestDet.onnx", data / "images" / "fd_0.jpg")
    assert done.returncode == 0
    assert "fd_0.jpg #0: " in done.stdout


def test_the_shipped_model_is_found_by_name_anywhere(tmp_path: Path) -> None:
    import cv2

    from capture.options import VideoOptions
    from capture.shapes import Shapes

    with Shapes("scene", VideoOptions(realtime=False)) as scene:
        frame = next(iter(scene))
    cv2.imwrite(str(tmp_path / "scene.png"), frame.pixels)
    results = documents(predict("shapes", "scene.png", "--json", cwd=tmp_path))
    assert results[0]["model"]["name"] == "shapes"
    assert results[0]["detections"]


def refusal(*arguments: str | Path) -> str:
    """Standard error of a call that must end with code 2 and one sentence, without a traceback."""
    done = predict(*arguments)
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("Error: ")
    return done.stderr


def test_an_input_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "none.mp4: no such file" in refusal("shapes", tmp_path / "none.mp4")


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    assert "nobody" in refusal("nobody", tmp_path / "a.png")


@pytest.mark.parametrize("name", ["half.mp4", "noise.jpg", "empty.png"])
def test_an_input_that_is_garbage_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"" if name.startswith("empty") else os.urandom(4000))
    assert name in refusal("shapes", tmp_path / name)


def test_a_half_written_video_gives_what_it_holds_and_says_so(data: Path, tmp_path: Path) -> None:
    whole = (data / "video" / "bottle-detection.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    assert "half.mp4" in refusal("shapes", tmp_path / "half.mp4", "--json")


def test_one_bad_input_does_not_take_the_others_with_it(data: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.jpg").write_bytes(os.urandom(4000))
    done = predict("shapes", tmp_path / "noise.jpg", data / "images" / "fd_0.jpg", "--json")
    assert done.returncode == 2
    assert [json.loads(line)["source"] for line in done.stdout.splitlines()] == [str(data / "images" / "fd_0.jpg")]


def test_a_model_that_is_not_onnx_is_named(data: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(os.urandom(4000))
    assert "bad.onnx" in refusal(tmp_path / "bad.onnx", data / "images" / "fd_0.jpg")


def test_sound_given_to_a_picture_model_is_refused_in_words(data: Path) -> None:
    assert "speech.wav" in refusal("shapes", data / "speech.wav")


def test_a_picture_given_to_a_sound_model_is_refused_in_words(data: Path) -> None:
    assert "fd_0.jpg" in refusal("tones", data / "images" / "fd_0.jpg")


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder as people have them: two pictures, notes, a thumbnail, a broken picture, a folder in the folder."""
    import cv2
    import numpy as np

    folder = tmp_path / "mixed"
    (folder / "sub").mkdir(parents=True)
    for name in ("b.PNG", "d ö.jpg", "sub/e.png"):
        (folder / name).write_bytes(cv2.imencode(Path(name).suffix, np.zeros((48, 64, 3), np.uint8))[1].tobytes())
    (folder / "a.txt").write_text("notes")
    (folder / "Thumbs.db").write_bytes(os.urandom(100))
    return folder


def test_other_files_in_a_folder_are_left_alone(mixed: Path) -> None:
    results = documents(predict("shapes", mixed, "--json"))
    assert [(result["seq"], result["file"]) for result in results] == [(0, "b.PNG"), (1, "d ö.jpg")]


def test_a_broken_picture_in_a_folder_does_not_take_the_others_with_it(mixed: Path) -> None:
    (mixed / "c.jpg").write_bytes(b"\xff\xd8\xff" + os.urandom(1000))
    done = predict("shapes", mixed)
    assert done.returncode == 2
    assert "c.jpg" in done.stderr
    assert [line.split(" #")[0] for line in done.stdout.splitlines()] == [str(mixed / "b.PNG"), str(mixed / "d ö.jpg")]


def test_a_folder_without_anything_for_the_model_is_named(mixed: Path) -> None:
    assert "mixed: no sound file in this folder" in refusal("tones", mixed)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "pipe.mp4: neither a file nor a folder" in refusal("shapes", tmp_path / "pipe.mp4")


@pytest.mark.parametrize("name", ["x" * 300, "y/" * 3000])
def test_a_name_that_no_file_can_have_is_refused(name: str, tmp_path: Path) -> None:
    assert "no such file" in refusal("shapes", name)
    (tmp_path / "a.png").write_bytes(b"")
    assert "File name too long" in refusal(name, tmp_path / "a.png")


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_sound_that_is_not_a_number_fails_there_and_is_answered_before_and_after(tmp_path: Path, rate_hz: int) -> None:
    import numpy as np
    import soundfile  # type: ignore[import-untyped] # it has no types

    sound = np.sin(np.arange(10 * rate_hz) * 440 * 2 * np.pi / rate_hz).astype(np.float32) * 0.3
    sound[5 * rate_hz] = np.nan
    soundfile.write(tmp_path / "broken.wav", sound, rate_hz, subtype="FLOAT")
    done = predict("tones", tmp_path / "broken.wav", "--json")
    assert done.returncode == 1
    results = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [result for result in results if result["status"] == "failed"]
    assert failed
    assert all("no numbers" in result["reason"] for result in failed)
    for result in results:
        window = result["window"]
        away = window["start_s"] > 5.5 or window["start_s"] + window["seconds"] < 4.5
        assert result["status"] == "ok" or not away
