"""The configuration of a service: strict, and in words."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.catalogue import Catalogue
from appliance.cli import main
from appliance.config_errors import ConfigError
from appliance.service.backend import Local
from appliance.service.backends import backends
from appliance.service.settings import ServiceConfig, load


def written(folder: Path, text: str) -> Path:
    path = folder / "service.toml"
    path.write_text(text)
    return path


def test_the_example_is_a_configuration(tmp_path: Path) -> None:
    text = CliRunner().invoke(main, ["serve", "--example"]).output
    config = load(written(tmp_path, text))
    assert [model.name for model in config.model] == ["shapes", "tones"]
    commented = "\n".join(
        line.removeprefix("# ") if "=" in line or line.startswith("# [") else line for line in text.splitlines()
    )
    everything = load(written(tmp_path, commented))
    assert everything.oip is not None
    assert everything.harvest is not None
    assert everything.harvest.folder == Path("/var/lib/appliance/collected")
    assert everything.model[0].batch == 8


WRONG = {
    "an unknown key": ("[serve]\nidd = 'a'", "idd"),
    "an id with a slash": ("[serve]\nid = 'a/b'", "letters, digits"),
    "two models of one name": ("[[model]]\nname = 'a'\n[[model]]\nname = 'a'", "used twice"),
    "a name no topic holds": ("[[model]]\nname = 'a+b'", "letters, digits"),
    "a server that is a word": ("[[model]]\nname = 'a'\nserver = 'triton'", "server"),
    "no port": ("[mqtt]\nbroker = 'mqtt://host:port'", "mqtt://host:1883"),
    "too many at once": ("[serve]\neach = 100000", "at most 1000"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_named_with_its_place(name: str, tmp_path: Path) -> None:
    text, words = WRONG[name]
    with pytest.raises(ConfigError, match=r"service\.toml") as error:
        load(written(tmp_path, text))
    assert words in str(error.value)


def test_no_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="appliance serve --example"):
        load(tmp_path / "none.toml")


def test_options_and_a_file_exclude_each_other(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    result = CliRunner().invoke(main, ["serve", "--config", str(path), "--model", "tones"])
    assert result.exit_code == 2
    assert "leave the other options out" in result.output


def test_wrong_options_are_named_as_keys_of_the_file() -> None:
    result = CliRunner().invoke(main, ["serve", "--id", "a/b"])
    assert result.exit_code == 2
    assert "id" in result.output


def test_without_a_model_the_shipped_ones_are_served(tmp_path: Path) -> None:
    catalogue = Catalogue.default(tmp_path)
    made = backends(ServiceConfig(), catalogue)
    assert set(made) == {each.name for each in catalogue.brought_along()}
    assert {"shapes", "tones"} <= set(made)
    assert all(isinstance(make(), Local) for make in made.values())
