"""A window on the screen, on a real X display."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.window.drawing import colour, drawn
from appliance.window.showing import Words
from appliance.window.window import display_fault
from tests.conftest import REPOSITORY
from tests.displays import Display, display
from tests.waiting import until

SHOW = """
import select, sys, numpy as np
from appliance.window.window import NoWindow, Window
import cv2
with Window() as window:
    while window.turn():
        window.show("a", np.full((300, 400, 3), (10, 200, 90), np.uint8))
        if sys.stdin in select.select([sys.stdin], [], [], 0.01)[0]:
            sys.stdin.readline()
            cv2.destroyWindow("a")  # as a person who closes it
print("closed")
"""
HEADLESS = """
import cv2
cv2.currentUIFramework = lambda: ""  # as opencv-python-headless answers
from click.testing import CliRunner
from appliance.cli import main
done = CliRunner().invoke(main, ["demo", "--window"])
print(done.exit_code, done.output)
"""


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Display]:
    with display(tmp_path) as screen:
        yield screen


def python(code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
    )


@pytest.mark.system
def test_a_picture_is_on_the_screen_until_its_window_is_closed(screen: Display) -> None:
    with python(SHOW, DISPLAY=screen.name) as process:

        def seen() -> bool:
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            return int((screen.look() == (10, 200, 90)).all(-1).sum()) > 50_000

        until(seen, 80)
        output, _ = process.communicate("close\n", 30)
    assert output.strip().endswith("closed")
    assert process.returncode == 0


@pytest.mark.system
@pytest.mark.broker
def test_the_demo_shows_its_scene_in_a_window_and_ends_with_ctrl_c(screen: Display, tmp_path: Path) -> None:
    before = screen.look().copy()
    with (tmp_path / "demo.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance", "demo", "--window"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=REPOSITORY,
            env={**os.environ, "DISPLAY": screen.name},
        )
    try:

        def changed() -> bool:
            assert process.poll() is None, (tmp_path / "demo.log").read_text()
            return int((screen.look() != before).any(-1).sum()) > 100_000

        until(changed, 60)
        first = screen.look().copy()
        until(lambda: int((screen.look() != first).any(-1).sum()) > 500, 30, what="the picture moves")
        until(lambda: _boxes(screen) > 200, 30, what="boxes are drawn")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


def _boxes(screen: Display) -> int:
    """Pixels in the colours of digits."""
    seen = screen.look().astype(int)
    return sum(int((abs(seen - colour(str(digit))).max(-1) < 6).sum()) for digit in range(10))


@pytest.mark.system
def test_an_opencv_without_windows_is_said_in_a_sentence() -> None:
    with python(HEADLESS) as process:
        output, _ = process.communicate(timeout=60)
    assert output.startswith("1 Error: this OpenCV cannot show windows (a headless build): install opencv-python"), (
        output
    )


DISPLAYS = {
    "none": ({}, "DISPLAY is not set"),
    "nonsense": ({"DISPLAY": "screen"}, "names no display"),
    "nobody there": ({"DISPLAY": ":987"}, "does not answer"),
    "nobody there either": ({"DISPLAY": "127.0.0.1:59.0"}, "does not answer"),
}


@pytest.mark.parametrize("case", DISPLAYS)
def test_a_display_that_is_not_there_is_told_before_the_toolkit_ends_the_process(case: str) -> None:
    environment, words = DISPLAYS[case]
    assert words in (display_fault(environment) or "")


def test_a_display_over_the_network_is_believed_when_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr("appliance.window.window.X_PORT", server.getsockname()[1] - 10)
        assert display_fault({"DISPLAY": "127.0.0.1:10.0"}) is None


def test_boxes_are_drawn_where_they_are_also_in_a_smaller_picture() -> None:
    detection = {"label": "red", "score": 0.9, "box": [200, 200, 400, 300], "track": 3}
    result = {"pipeline": "p", "status": "ok", "answered_by": "local", "detections": [detection]}
    head = {"width": 800, "height": 600, "results": [result]}
    blank = np.zeros((300, 400, 3), np.uint8)
    made = drawn(blank, head, ["seven", "größer"])
    assert (blank == 0).all(), "the picture that was given stays as it was"
    red = (np.abs(made.astype(int) - colour("red")).max(-1) < 40)[118:]
    rows, columns = np.nonzero(red)
    assert abs(int(columns.min()) - 100) <= 2
    assert abs(int(columns.max()) - 200) <= 2
    assert abs(int(rows.max()) + 118 - 150) <= 2


def test_whatever_a_result_says_can_be_drawn() -> None:
    results = [
        {"pipeline": "p", "status": "failed", "answered_by": "local", "reason": "no answer within 2 s"},
        {"pipeline": "p", "status": "ok", "answered_by": "remote:a", "labels": [{"label": "dog", "score": 0.5}]},
        {
            "pipeline": "p",
            "status": "ok",
            "answered_by": "local",
            "latency_ms": {"total": 7.1},
            "detections": [
                {
                    "label": "\u0000\U0001f600",
                    "score": 1.0,
                    "box": [-50.0, -50.0, 9999.0, 9999.0],
                    "corners": [[0, 0], [10, 0], [10, 10], [0, 10]],
                    "mask": {"polygons": [[[0, 0], [5, 5], [0, 5]]]},
                }
            ],
        },
    ]
    made = drawn(np.zeros((48, 64, 3), np.uint8), {"width": 64, "height": 48, "results": results}, [])
    assert made.shape == (48, 64, 3)
    assert made.any()


def test_words_stay_for_a_while_and_objects_are_no_words() -> None:
    words = Words()
    words.take({"type": "event", "event": "new", "after": {"label": "seven"}}, 0.0)
    words.take({"type": "event", "event": "end", "before": {"label": "six"}}, 0.0)
    words.take({"type": "event", "event": "new", "after": {"label": "red", "box": [0, 0, 1, 1]}}, 0.0)
    assert words.said(5.0) == ["seven"]
    assert words.said(7.0) == []
