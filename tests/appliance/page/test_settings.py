"""The table `[page]`: what is refused, and what it says then."""

from __future__ import annotations

import pytest

from appliance.config import parse
from appliance.config_errors import ConfigError

REFUSED = {
    "another address without TLS": ('listen = "0.0.0.0:8080"', "give cert_file, key_file and password_file"),
    "another address without a password": (
        'listen = "192.168.1.5:8443"\ncert_file = "a.crt"\nkey_file = "a.key"',
        "give cert_file, key_file and password_file",
    ),
    "half a pair": ('cert_file = "a.crt"', "give both or neither"),
    "a token alone": ('token_file = "a"', "no use without password_file"),
    "no address": ('listen = "8080"', "is no address"),
}


@pytest.mark.parametrize(("text", "words"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_unsafe_is_refused_with_the_fix(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(f"[page]\n{text}", "a.toml")


def test_without_the_table_there_is_no_page_and_with_it_only_this_machine_reaches_it() -> None:
    assert parse("", "a.toml").page is None
    page = parse("[page]", "a.toml").page
    assert page is not None
    assert page.listen == "127.0.0.1:8080"


def test_another_address_is_fine_with_tls_and_a_password() -> None:
    text = '[page]\nlisten = "[::]:8443"\ncert_file = "a.crt"\nkey_file = "a.key"\npassword_file = "credential:page"'
    assert parse(text, "a.toml").page is not None
