"""What a registry gives away, over HTTP."""

from __future__ import annotations

import http.client
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.registry.http import HttpServer
from appliance.registry.shelf import Missing, Shelf
from appliance.sync.published import CHUNK_BYTES
from tests.registries import Owner, as_version, noise, shipped

SIZE = CHUNK_BYTES + 1000


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    made = Owner(tmp_path / "registry")
    made.publish(as_version(shipped("shapes"), "1", tmp_path, noise(SIZE)))
    return made


@pytest.fixture
def extra(owner: Owner) -> str:
    return str(next((owner.folder / "targets").glob("shapes/1/*.extra.bin")).relative_to(owner.folder))


@pytest.fixture
def server(owner: Owner) -> Iterator[HttpServer]:
    made = HttpServer(Shelf(owner.folder), "127.0.0.1", 0)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join()


def get(server: HttpServer, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body, dict(response.getheaders())


OUTSIDE = [
    "keys/root.key",
    "terms.json",
    "metadata/../terms.json",
    "targets/../terms.json",
    "metadata/",
    "metadata/.hidden.json",
    "/etc/passwd",
    "metadata//etc/passwd",
    "targets/shapes/1/bundle.json",
    "metadata/timestamp.json\n",
    "",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_but_what_is_published_can_be_had(owner: Owner, path: str) -> None:
    with pytest.raises(Missing):
        Shelf(owner.folder).read(path, 0, 10)


def test_links_are_not_followed(owner: Owner, extra: str) -> None:
    shelf = Shelf(owner.folder)
    secret = next((owner.folder / "keys").iterdir())
    (owner.folder / "metadata/linked.json").symlink_to(secret)
    os.link(secret, owner.folder / "metadata/twin.json")
    os.mkfifo(owner.folder / "metadata/pipe.json")
    (owner.folder / "targets/shapes/2").symlink_to(owner.folder / "targets/shapes/1")
    names = ["metadata/linked.json", "metadata/twin.json", "metadata/pipe.json", extra.replace("/1/", "/2/")]
    for name in names:
        with pytest.raises(Missing):
            shelf.read(name, 0, 10)
    assert shelf.read(extra, 0, 10).total == SIZE


def test_ranges_and_whole_files_come_as_they_are(server: HttpServer, extra: str) -> None:
    assert get(server, f"/{extra}")[:2] == (200, noise(SIZE))
    status, body, headers = get(server, f"/{extra}", Range="bytes=10-19")
    assert (status, body, headers["Content-Range"]) == (206, noise(SIZE)[10:20], f"bytes 10-19/{SIZE}")
    assert get(server, f"/{extra}", Range=f"bytes={SIZE - 5}-")[1] == noise(SIZE)[-5:]
    assert get(server, f"/{extra}", Range=f"bytes={SIZE}-")[0] == 416
    assert get(server, f"/{extra}", Range="bytes=20-10")[0] == 416


@pytest.mark.parametrize("path", ["/keys/root.key", "/%2e%2e/etc/passwd", "/metadata/%2e%2e/terms.json", "/none"])
def test_what_is_not_there_is_404(server: HttpServer, path: str) -> None:
    assert get(server, path)[0] == 404


def test_what_is_no_get_is_refused(server: HttpServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    connection.request("PUT", "/metadata/timestamp.json", body=b"mine")
    assert connection.getresponse().status == 501
    connection.close()
