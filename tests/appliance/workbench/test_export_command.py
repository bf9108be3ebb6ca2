"""`appliance models export` as a person uses it."""

from __future__ import annotations

from pathlib import Path

from tests.appliance.workbench.bench import Bench


def test_a_repository_is_written_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert "holds tones: tritonserver --model-repository=" in bench.fine("export", "tones", bench.out)
    assert (bench.out / "tones" / "config.pbtxt").read_text().startswith('name: "tones"\n')
    result = bench("export", "tones", bench.out)
    assert (result.exit_code, "nothing is overwritten" in result.stderr) == (2, True)
