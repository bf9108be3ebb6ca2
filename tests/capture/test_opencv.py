"""OpenCV's settings are made before anybody imports it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from capture import CaptureError
from capture.opencv import load_opencv


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)


def test_importing_capture_settles_what_opencv_reads_when_it_is_loaded() -> None:
    done = run("import capture, os; print(os.environ['OPENCV_IO_MAX_IMAGE_PIXELS'])")
    assert done.stdout.split() == ["16777216"]


def test_opencv_leaves_the_other_cores_to_the_models() -> None:
    done = run("from capture.opencv import load_opencv; print(load_opencv().getNumThreads())")
    assert done.stdout.split() == ["1"]


def test_the_operator_may_override_a_setting() -> None:
    done = run("import capture, os; print(os.environ['OPENCV_LOG_LEVEL'])", OPENCV_LOG_LEVEL="DEBUG")
    assert done.stdout.split() == ["DEBUG"]


def test_a_machine_without_opencv_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(CaptureError, match="pip install 'edge-inference-appliance\\[desktop\\]'"):
        load_opencv()
