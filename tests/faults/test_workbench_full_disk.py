"""The disk is full while the workbench works: a sentence, and nothing half-written, whichever disk it is."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.bundle import Bundle
from tests.appliance.workbench.bench import Bench
from tests.appliance.workbench.test_evaluate_command import squares, tone
from tests.appliance.workbench.test_liars import HAS_TORCH, honest
from tests.disks import fill
from tests.disks import small_disk as mounted

pytestmark = pytest.mark.faults


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk") as folder:
        yield folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    squares(tmp_path / "data", 4)
    document = honest(tmp_path / "net")
    (tmp_path / "net" / "bundle.json").write_text(json.dumps(document))
    (tmp_path / "net" / "labels.txt").write_text("\n".join(document["labels"]) + "\n")
    for hertz in (200, 1000, 4000):
        tone(tmp_path / "data" / f"{hertz}.wav", hertz)
    return tmp_path / "data"


VERBS = {
    "explain": ("explain", "shapes", "{data}/0.png", "--masks", "20"),
    "split": ("split", "tones", "reducemean3"),
    "suggest": ("split", "tones", "--suggest"),
    "compare": ("compare", "shapes", "shapes", "{data}"),
    "evaluate": ("evaluate", "shapes", "{data}"),
    "quantize": ("quantize", "tones", "--frames", "{data}", "--tolerance", "1", "--for", "tensorrt"),
    "export": ("export", "shapes"),
}
if HAS_TORCH:  # the train extra
    VERBS["prune"] = ("prune", "{data}/../net", "--frames", "{data}", "--rounds", "1", "--tolerance", "1")
    VERBS["distill"] = ("distill", "{data}/../net", "--teacher", "{data}/../net", "--frames", "{data}", "--rounds", "1")


def arguments(verb: str, data: Path, out: Path) -> list[str]:
    words = [word.format(data=data) for word in VERBS[verb]]
    return [*words, str(out)] if verb == "export" else [*words, "--out", str(out)]


def left_behind(disk: Path) -> set[str]:
    return {path.relative_to(disk).as_posix() for path in disk.rglob("*") if path.name != ".lock"}


@pytest.mark.parametrize("verb", VERBS)
def test_results_that_find_no_room_are_not_there_at_all(verb: str, small_disk: Path, data: Path) -> None:
    bench = Bench(small_disk)
    bench.library.mkdir()
    before = left_behind(small_disk)
    others = fill(small_disk)
    # The report of a split finds room elsewhere, so that the library is what does not.
    result = bench(*arguments(verb, data, data.parent / "report" if verb == "split" else bench.out))
    assert result.exit_code == 1, result.output
    assert result.stderr.strip().splitlines()[-1].endswith("No space left on device")
    others.unlink()
    assert left_behind(small_disk) == before
    again = bench(*arguments(verb, data, bench.out))
    # One round of training may well teach nothing; the disk is no reason any more.
    assert again.exit_code == 0 or again.stderr.rstrip().endswith("nothing was installed"), again.output
    for folder in bench.library.glob("*/*/"):
        Bundle.open(folder)


@pytest.mark.parametrize("verb", ["split", "suggest", "quantize"])
def test_a_full_disk_for_temporary_files_is_a_sentence(
    verb: str, small_disk: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path / "elsewhere")
    scratch = small_disk / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    others = fill(small_disk)
    result = bench(*arguments(verb, data, bench.out))
    others.unlink()
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit)
    assert "No space left on device" in result.stderr
    assert not bench.out.exists()
    assert not list(bench.library.glob("*/*/"))
    assert not list(scratch.iterdir())
