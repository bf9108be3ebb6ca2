"""`appliance models harvest`: shown, copied once however often it is asked for, and deleted only where that is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.cli import main
from appliance.harvest.store import FOLDER
from appliance.harvest.store import kept as names
from tests.appliance.harvest.samples import PICTURE, kept, store


class Site:
    """A device whose pipeline `shapes` keeps samples, and `other` none."""

    def __init__(self, folder: Path, harvest: str = "[pipeline.harvest]\ndisagreed = true\n") -> None:
        self.folder = folder / "state"
        self.samples = self.folder / FOLDER / "shapes"
        self.config = folder / "appliance.toml"
        pipeline = '[[pipeline]]\nname = "{}"\nsource = "dock"\nmodel = "shapes"\n'
        camera = '[[camera]]\nname = "dock"\nuri = "scene:shapes"\n'
        text = pipeline.format("other") + pipeline.format("shapes") + harvest
        self.config.write_text(f'[device]\nname = "box"\nstate_dir = "{self.folder}"\n{camera}{text}')

    def __call__(self, *words: object) -> Result:
        return CliRunner().invoke(main, ["models", "harvest", *map(str, words), "--config", str(self.config)])

    def fine(self, *words: object) -> str:
        result = self(*words)
        assert result.exit_code == 0, result.output
        return result.stdout


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_is_there_is_told_in_short_in_lines_and_as_json(site: Site) -> None:
    assert site.fine() == "shapes: no sample is kept\n"
    abouts = kept(store(site.samples), 3)
    assert f"shapes: 3 samples, 0.0 MB, in {site.samples}" in site.fine()
    lines = site.fine("--list").splitlines()
    assert [line.split()[2] for line in lines] == [about.name for about in abouts]
    assert lines[0].endswith("shapes@1  unsure: a test")
    told = [json.loads(line) for line in site.fine("shapes", "--json").splitlines()]
    assert [each["name"] for each in told] == [about.name for about in abouts]
    assert told[0]["said"]["labels"][0]["label"] == "red"


def test_samples_are_copied_once_and_stay_unless_told_otherwise(site: Site, tmp_path: Path) -> None:
    shelf, out = store(site.samples), tmp_path / "stick"
    kept(shelf, 2)
    assert site.fine("--out", out) == f"{out}: 2 samples copied\n"
    kept(shelf)
    assert site.fine("--out", out) == f"{out}: 1 sample copied, 2 had been before\n"
    assert len(list(names(site.samples))) == 3
    assert site.fine("--out", out, "--delete") == f"{out}: 0 samples copied, 3 had been before\n"
    assert not list(names(site.samples))
    pictures = sorted((out / "shapes" / "box").glob("*.jpg"))
    assert [path.read_bytes() for path in pictures] == [PICTURE] * 3
    assert kept(store(site.samples))[0].number == 4


def test_what_was_damaged_is_not_copied_and_stays(site: Site, tmp_path: Path) -> None:
    [about] = kept(store(site.samples))
    (site.samples / f"{about.name}.jpg").write_bytes(PICTURE[:-1])
    result = site("--out", tmp_path / "stick", "--delete")
    assert result.exit_code == 1
    assert "it was changed on its way" in result.stderr
    assert list(names(site.samples)) == [about.name]


def test_what_cannot_be_meant_is_a_sentence(site: Site, tmp_path: Path) -> None:
    for words, sentence in {
        ("--delete",): "--delete: deletes what was copied: give --out FOLDER",
        ("other",): "other: no pipeline of this name keeps samples; those that do: shapes",
    }.items():
        result = site(*words)
        assert result.exit_code == 2
        assert sentence in result.stderr
    result = Site(tmp_path, "")()
    assert result.exit_code == 2
    assert "no pipeline keeps samples: add [pipeline.harvest]" in result.stderr
