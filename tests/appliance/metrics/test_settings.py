"""Where the numbers may be offered."""

from __future__ import annotations

import pytest

from appliance.config import parse
from appliance.config_errors import ConfigError


def test_without_the_table_they_are_not_offered() -> None:
    assert parse("", "x.toml").metrics is None
    assert parse("[metrics]", "x.toml").metrics is not None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('listen = "0.0.0.0:9464"', "can be reached from other machines"),
        ('listen = "[::]:9464"\ncert_file = "a"\nkey_file = "b"', "token_file"),
        ('cert_file = "a"', "belong together"),
        ('listen = "9464"', "is no address"),
        ('listen = "127.0.0.1:99999"', "is no address"),
    ],
)
def test_other_machines_need_a_certificate_and_a_token(more: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(f"[metrics]\n{more}", "x.toml")


def test_with_both_other_machines_may_ask() -> None:
    config = parse('[metrics]\nlisten = "0.0.0.0:9464"\ncert_file = "a"\nkey_file = "b"\ntoken_file = "c"', "x.toml")
    assert config.metrics is not None
