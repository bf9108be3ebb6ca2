"""Lines of the log, as the journal and as programs read them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.log import Json, Text, in_journal
from tests.conftest import REPOSITORY

SAYS = """
import logging, threading
from appliance.log import start_logging
start_logging("info", {form!r})
log = logging.getLogger("appliance.pipeline.feed")
log.debug("never seen")
log.info("dock: opened")
log.warning("dock: no picture\\nfor 2 s")
thread = threading.Thread(target=lambda: 1 / 0, name="capture dock")
thread.start()
thread.join()
"""


def said(form: str, *, journal: bool, folder: Path) -> list[str]:
    """What such a process writes to standard error."""
    place = folder / "stderr"
    with place.open("wb") as errors:
        status = os.fstat(errors.fileno())
        stream = f"{status.st_dev}:{status.st_ino}" if journal else "1:1"
        subprocess.run(
            [sys.executable, "-c", SAYS.format(form=form)],
            stderr=errors,
            check=True,
            timeout=30,
            env={**os.environ, "JOURNAL_STREAM": stream, "PYTHONPATH": str(REPOSITORY)},
        )
    return place.read_text().splitlines()


def test_every_line_for_the_journal_brings_its_priority(tmp_path: Path) -> None:
    lines = said("text", journal=True, folder=tmp_path)
    assert lines[:3] == ["<6>dock: opened", "<4>dock: no picture", "<4>for 2 s"]
    assert lines[3] == "<2>capture dock: ended by a bug: division by zero"
    assert lines[4:]
    assert all(line.startswith("<2>") for line in lines[4:])


def test_a_stream_that_the_journal_does_not_read_gets_the_time_instead(tmp_path: Path) -> None:
    lines = said("text", journal=False, folder=tmp_path)
    assert lines[0].endswith(" INFO    dock: opened")
    assert lines[0][:2] == "20"


@pytest.mark.parametrize("journal", [True, False])
def test_for_programs_every_event_is_one_object_on_one_line(tmp_path: Path, journal: bool) -> None:
    lines = said("json", journal=journal, folder=tmp_path)
    assert len(lines) == 3
    assert [line[:3] for line in lines] == (["<6>", "<4>", "<2>"] if journal else ['{"a'] * 3)
    events = [json.loads(line[3:] if journal else line) for line in lines]
    assert [event["level"] for event in events] == ["info", "warning", "critical"]
    assert events[0]["message"] == "dock: opened"
    assert events[0]["logger"] == "appliance.pipeline.feed"
    assert events[1]["message"] == "dock: no picture\nfor 2 s"
    assert events[2]["thread"] == "capture dock"
    assert "ZeroDivisionError" in events[2]["error"]
    assert all(event["at"].endswith("Z") for event in events)


def test_levels_between_the_named_ones_are_not_lost() -> None:
    record = logging.LogRecord("x", 25, "x.py", 1, "%s", ("more than info",), None)
    assert Text(journal=True).format(record) == "<6>more than info"
    assert Json(journal=True).format(record).startswith("<6>{")
    assert Text(journal=True).format(logging.LogRecord("x", 5, "x.py", 1, "", (), None)) == "<7>"


def test_a_descriptor_that_is_closed_is_not_the_journal() -> None:
    assert not in_journal(987)
