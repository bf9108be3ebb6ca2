"""A report is written whatever its numbers are, and only where nothing is yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engines.workbench.report import Report, check_free, write_folder
from engines.workbench.work import WorkbenchError

NAN, INF = float("nan"), float("inf")


def test_numbers_that_are_not_finite_are_null() -> None:
    facts = {"losses": [(NAN, 0.5), [INF, -INF]], "inner": {"loss": NAN}, "rounds": 2, "name": "a"}
    document = json.loads(Report("prune", "title", facts, "text").files()["prune.json"])
    assert document == {"losses": [[None, 0.5], [None, None]], "inner": {"loss": None}, "rounds": 2, "name": "a"}


def test_a_folder_that_cannot_be_made_is_known_before(tmp_path: Path) -> None:
    check_free(tmp_path / "new" / "inner")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for taken in (tmp_path, tmp_path / "file", tmp_path / "link"):
        with pytest.raises(WorkbenchError, match="nothing is overwritten"):
            write_folder(taken, {})
    with pytest.raises(WorkbenchError, match="file is no folder that can be written to"):
        check_free(tmp_path / "file" / "inner")
