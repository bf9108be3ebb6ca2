"""The table of refusals, run: every row is one sentence with a next step, somebody answered, nothing crashed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.refusals import table
from scripts.refusals.case import Case, Outcome

REPOSITORY = Path(__file__).parents[3]
SENTENCE = "no CUDA driver: install NVIDIA's driver"

WITHOUT_PYCUDA = {
    "driver library",
    "device",
    "CUDA error: init",
    "CUDA error: device",
    "package tensorrt",
    "package pycuda",
}
WITH_PYCUDA = {
    *("CUDA error: context", "CUDA error: memory", "CUDA error: stream", "CUDA error: copy", "CUDA error: network"),
    *("CUDA error: recording", "CUDA error: kernel", "TensorRT answers"),
    *("plan cut off", "plan changed", "plan of another", "plan unreadable"),
}
GOES_ON = {"CUDA error: recording", "CUDA error: kernel"}
"""What fails there costs speed: the GPU answers, in another way."""


@pytest.mark.system
@pytest.mark.timeout(900)
def test_every_refusal_is_a_sentence_with_a_next_step_and_somebody_answers(tmp_path: Path, long_run: bool) -> None:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed: the driver on host memory cannot be made")
    every = "1" if long_run else "29"
    told = tmp_path / "outcomes.json"
    ended = subprocess.run(
        [sys.executable, "-m", "scripts.refusals", "--every", every, "--json", str(told)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout[-4000:] + ended.stderr
    outcomes: list[dict[str, Any]] = json.loads(told.read_text())
    groups = {each["group"] for each in outcomes}
    assert groups >= WITHOUT_PYCUDA
    assert groups >= WITH_PYCUDA or "PyCUDA was left out" in ended.stdout
    for each in outcomes:
        assert each["faults"] == []
        assert each["sentence"]
        assert "\n" not in each["sentence"]
        assert each["served_by"] == "onnxruntime" or (each["group"] in GOES_ON and each["served_by"] == "tensorrt")
        assert each["statuses"][-1] == 0
    assert f"{len(outcomes)} cases in " in ended.stdout


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (("", "onnxruntime", (0,), ""), "not one clear sentence"),
        (("Traceback: see that", "onnxruntime", (0,), ""), "not one clear sentence"),
        (("one line\nand another: reboot", "onnxruntime", (0,), ""), "not one clear sentence"),
        (("it does not work", "onnxruntime", (0,), ""), "no next step"),
        ((SENTENCE, "", (1, 1, 1, 1, 1), ""), "nobody answered"),
        ((SENTENCE, "onnxruntime", (-11, 0), ""), "ended with"),
        ((SENTENCE, "onnxruntime", (0, 3), ""), "ended with"),
        ((SENTENCE, "onnxruntime", (0,), "PyCUDA WARNING"), "wrote to standard error"),
    ],
)
def test_what_a_user_would_complain_about_is_a_fault(
    outcome: tuple[str, str, tuple[int, ...], str], fault: str
) -> None:
    found = table.faults(Outcome(Case("group", "name"), *outcome))
    assert any(fault in each for each in found), found


def test_what_is_clear_and_answered_is_no_fault() -> None:
    assert table.faults(Outcome(Case("group", "name"), SENTENCE, "onnxruntime", (0,), "")) == []
    lost_thrice = Outcome(Case("group", "name"), SENTENCE, "onnxruntime", (1, 1, 1, 0), "what PyCUDA says of it")
    assert table.faults(lost_thrice) == []


def test_codes_that_come_to_the_same_are_one_row() -> None:
    def outcome(code: int, sentence: str) -> Outcome:
        return Outcome(Case("CUDA error: init", "cuInit", code=code), sentence, "onnxruntime", (0,), "")

    same = [outcome(code, f"cuInit failed with CUDA error {code} (some words): reboot") for code in (1, 4, 5, 6)]
    rows = table.folded([*same, outcome(34, "libcuda is a stub: install it")])
    assert [row.codes for row in rows] == [(1, 4, 5, 6), (34,)]
    assert "cuInit answers 1, 4-6" in table.text(rows)
    assert "| libcuda is a stub: install it | onnxruntime | 0 |" in table.markdown(rows)
