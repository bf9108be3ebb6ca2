"""What the page gives out and what it refuses, over real sockets."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.commands import MOST_BYTES, BadCommand
from appliance.page.http import static_files
from appliance.page.serving import LivePage
from appliance.page.session import COOKIE, FREE_TRIES
from tests.appliance.page.conftest import Visitor, Watcher, configured, offered
from tests.certificates import Authority
from tests.waiting import until

pytestmark = pytest.mark.system

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates") / "authority")


@pytest.fixture
def locked(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LivePage, Visitor]]:
    """A page that other machines could reach: TLS, a password and a token."""
    certificate, key = authority.sign("page")
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    (tmp_path / "token").write_text("a-token\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key.parent))
    more = (
        f'cert_file = "{certificate}"\nkey_file = "credential:{key.name}"\npassword_file = "{tmp_path / "password"}"\n'
        f'token_file = "{tmp_path / "token"}"\nhosts = ["Dock.Example.Com"]'
    )
    with offered(configured(more, listen="0.0.0.0:0")) as page:
        visitor = Visitor(page, ssl.create_default_context(cafile=str(authority.certificate)))
        visitor.host = "127.0.0.1"
        yield page, visitor


def carried_out(page: LivePage) -> None:
    """Settle the next order as the main thread would."""
    order = page.orders.take(5)
    assert order is not None
    if "nobody" in order.topic:
        order.done.set_exception(BadCommand("no pipeline nobody; known: shapes"))
    else:
        order.done.set_result({"topic": order.topic, "payload": order.payload.decode()})


# -- what it gives ----------------------------------------------------------------------------------------------------


def test_the_page_and_all_its_parts_are_there_and_small(visitor: Visitor) -> None:
    status, body, headers = visitor.ask("/")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    parts = [path for path in static_files() if path != "/"]
    answers = [visitor.ask(path) for path in parts]
    assert {status for status, _, _ in answers} == {200}
    assert len(body) + sum(len(body) for _, body, _ in answers) < 300_000
    assert {"/static/main.js", "/static/style.css", "/static/theme.js", "/static/icon.svg"} <= set(parts)


def test_nothing_on_the_page_comes_from_elsewhere() -> None:
    for path, each in static_files().items():
        text = each.content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, path
        assert "https://" not in text, path


def test_nothing_of_what_devices_say_is_ever_read_as_markup() -> None:
    for path, each in static_files().items():
        if path.endswith(".js"):
            assert b"innerHTML" not in each.content, path
            assert b"insertAdjacentHTML" not in each.content, path
            assert b"eval(" not in each.content, path
    page = static_files()["/"].content
    assert b"<style" not in page
    assert b" style=" not in page
    assert b" on" not in page.replace(b" on the", b"")


def test_every_answer_forbids_scripts_of_others_and_frames(visitor: Visitor) -> None:
    for path in ("/", "/static/main.js", "/api/health", "/nowhere"):
        _, _, headers = visitor.ask(path)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_what_has_not_changed_is_not_sent_again(visitor: Visitor) -> None:
    _, _, headers = visitor.ask("/static/main.js")
    status, body, _ = visitor.ask("/static/main.js", headers={"If-None-Match": headers["etag"]})
    assert (status, body) == (304, b"")


def test_a_command_goes_the_way_of_those_over_mqtt(page: LivePage, visitor: Visitor) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(visitor.ask, "/api/pipeline/shapes/set", "POST", b'{"enabled": false}')
        carried_out(page)
    status, body, _ = asked.result()
    assert status == 200
    data = json.loads(body)["data"]
    assert data == {"topic": "appliance/box/pipeline/shapes/set", "payload": '{"enabled": false}'}


def test_what_is_wrong_with_a_command_is_told_in_words(page: LivePage, visitor: Visitor) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(visitor.ask, "/api/pipeline/nobody/set", "POST", b"{}")
        carried_out(page)
    status, body, _ = asked.result()
    assert (status, json.loads(body)["error"]) == (400, "no pipeline nobody; known: shapes")


# -- what it refuses --------------------------------------------------------------------------------------------------

PATHS = (
    "/static/",
    "/static/../http.py",
    "/static/..%2fhttp.py",
    "/static/%2e%2e/%2e%2e/config.py",
    "/static//etc/passwd",
    "//etc/passwd",
    "/static/main.js%00.html",
    "/static/main.js/",
    "/index.html",
    "/static/index.html",
    "/etc/passwd",
    "/.git/config",
)


@pytest.mark.parametrize("path", PATHS)
def test_no_other_path_leads_to_a_file(visitor: Visitor, path: str) -> None:
    with socket.create_connection((visitor.host, visitor.port), 5) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = raw.makefile("rb").read()
    assert answer.split(b" ", 2)[1] in (b"404", b"400", b"307")
    assert b"root:" not in answer
    assert b"import" not in answer


@pytest.mark.parametrize(
    "path", ["/api/pipeline/%2e%2e/set", "/api/pipeline/a%2Fb/set", "/api/pipeline/%2B/set", "/api/request/%23"]
)
def test_a_name_is_never_more_than_one_level_of_a_topic(page: LivePage, visitor: Visitor, path: str) -> None:
    status, _, _ = visitor.ask(path, "POST", b"{}")
    assert status == 404
    assert not len(page.orders)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "192.168.1.1"]
)
def test_under_a_name_that_is_not_ours_nothing_is_given(visitor: Visitor, host: str) -> None:
    for path in ("/", "/api/health", "/api/live"):
        status, _, _ = visitor.ask(path, headers={"Host": host})
        assert status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:1", "http://localhost"])
@pytest.mark.parametrize("path", ["/api/live", "/api/health", "/api/pipeline/shapes/set", "/api/login"])
def test_pages_of_other_sites_may_not_ask(page: LivePage, visitor: Visitor, origin: str, path: str) -> None:
    method = "POST" if path.endswith(("set", "login")) else "GET"
    status, _, _ = visitor.ask(path, method, b"{}" if method == "POST" else None, {"Origin": origin})
    assert status == 403
    assert not len(page.orders)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_a_browser_says_comes_from_elsewhere_is_refused_and_a_link_is_not(visitor: Visitor, site: str) -> None:
    status, _, _ = visitor.ask("/api/health", headers={"Sec-Fetch-Site": site})
    assert status == 403
    status, _, _ = visitor.ask("/", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"})
    assert status == 200


def test_our_own_page_may_ask(visitor: Visitor) -> None:
    own = {"Origin": f"http://127.0.0.1:{visitor.port}", "Sec-Fetch-Site": "same-origin"}
    status, _, _ = visitor.ask("/api/health", headers=own)
    assert status == 200


def test_a_body_that_is_too_large_is_not_read_to_its_end(page: LivePage, visitor: Visitor) -> None:
    status, body, _ = visitor.ask("/api/pipeline/shapes/set", "POST", b" " * (MOST_BYTES + 1))
    assert status == 413
    assert "too" in json.loads(body)["error"] or "at most" in json.loads(body)["error"]
    assert not len(page.orders)


def test_a_thousand_open_sockets_do_not_keep_anybody_out(visitor: Visitor) -> None:
    watcher = Watcher(visitor)
    sockets = []
    try:
        for _ in range(1000):
            one = socket.create_connection((visitor.host, visitor.port), 5)
            one.setblocking(False)
            sockets.append(one)
        assert visitor.ask("/")[0] == 200
        beats = len(watcher.records("beat"))
        until(lambda: len(watcher.records("beat")) > beats, 10, what="who watched before goes on watching")
        later = Watcher(visitor)
        later.awaits("hello")
        later.close()
    finally:
        watcher.close()
        for one in sockets:
            one.close()


# -- with a password ------------------------------------------------------------------------------------------------


def login(visitor: Visitor, password: str = PASSWORD) -> tuple[int, str]:
    """Status, and the cookie as it would be sent back."""
    status, _, headers = visitor.ask("/api/login", "POST", json.dumps({"password": password}).encode())
    return status, headers.get("set-cookie", "").partition(";")[0]


@pytest.mark.parametrize("path", ["/api/live", "/api/health", "/api/pipeline/shapes/set", "/api/request/status"])
def test_without_a_session_nothing_is_given(locked: tuple[LivePage, Visitor], path: str) -> None:
    page, visitor = locked
    method = "POST" if "set" in path or "request" in path else "GET"
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"{COOKIE}=1999999999.x.y"}):
        status, _, _ = visitor.ask(path, method, b"{}" if method == "POST" else None, headers)
        assert status == 401
    assert page.hub.watched == 0
    assert not len(page.orders)


def test_the_page_itself_is_given_so_that_one_can_log_in(locked: tuple[LivePage, Visitor]) -> None:
    _, visitor = locked
    assert visitor.ask("/")[0] == 200


def test_with_the_password_one_gets_a_cookie_that_scripts_and_other_sites_never_see(
    locked: tuple[LivePage, Visitor],
) -> None:
    _, visitor = locked
    _, _, headers = visitor.ask("/api/login", "POST", json.dumps({"password": PASSWORD}).encode())
    words = {word.strip().lower() for word in headers["set-cookie"].split(";")}
    assert {"httponly", "secure", "samesite=strict", "path=/"} <= words
    cookie = headers["set-cookie"].partition(";")[0]
    assert visitor.ask("/api/health", headers={"Cookie": cookie})[0] == 200
    assert visitor.ask("/api/logout", "POST", b"", {"Cookie": cookie})[0] == 200
    assert visitor.ask("/api/health", headers={"Cookie": cookie})[0] == 401


def test_a_program_may_send_the_token(locked: tuple[LivePage, Visitor]) -> None:
    _, visitor = locked
    assert visitor.ask("/api/health", headers={"Authorization": "Bearer a-token"})[0] == 200


def test_one_who_guesses_has_to_wait_even_with_the_right_password(locked: tuple[LivePage, Visitor]) -> None:
    _, visitor = locked
    assert {login(visitor, "a guess")[0] for _ in range(FREE_TRIES)} == {403}
    status, _, headers = visitor.ask("/api/login", "POST", json.dumps({"password": PASSWORD}).encode())
    assert status == 429
    assert int(headers["retry-after"]) >= 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"password": 1}', b'{"password": null}', b"[" * 60000, b"\xff"])
def test_what_is_no_password_is_refused_in_words(locked: tuple[LivePage, Visitor], body: bytes) -> None:
    _, visitor = locked
    status, answer, _ = visitor.ask("/api/login", "POST", body)
    assert status == 400
    assert "password" in json.loads(answer)["error"]


HOSTS = {"dock.example.com": 200, "box.local:8443": 200, "192.168.7.7": 200, "evil.example": 421}


@pytest.mark.parametrize(("host", "expected"), HOSTS.items(), ids=HOSTS)
def test_in_a_network_it_goes_by_its_names_and_addresses(
    locked: tuple[LivePage, Visitor], host: str, expected: int
) -> None:
    _, visitor = locked
    assert visitor.ask("/", headers={"Host": host})[0] == expected


def test_a_thousand_sockets_that_never_shake_hands_do_not_keep_anybody_out(locked: tuple[LivePage, Visitor]) -> None:
    page, visitor = locked
    before = threading.active_count()
    sockets = [socket.create_connection((visitor.host, visitor.port), 5) for _ in range(1000)]
    try:
        assert visitor.ask("/")[0] == 200
        assert login(visitor)[0] == 200
        assert page._listener is not None
        assert sum(each.fileno() >= 0 for each in page._listener._open) <= 100
        assert threading.active_count() <= before + 1
    finally:
        for one in sockets:
            one.close()
