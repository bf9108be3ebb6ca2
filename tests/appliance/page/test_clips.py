"""Clips on the page: listed, played in ranges, and nothing else of the disk given out."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from appliance.page.serving import LivePage
from appliance.recorder.clip import Clip
from tests.appliance.page.conftest import Visitor, configured, offered
from tests.recordings import developed, entry, event, shelf_at

SCENE = [entry(seq, seq / 10, *([event(seq)] if seq == 3 else []), memory=seq == 0) for seq in range(12)]


@pytest.fixture
def kept(tmp_path: Path) -> Clip:
    """One clip of the pipeline `shapes`."""
    return developed(shelf_at(tmp_path / "recordings" / "shapes"), SCENE)


@pytest.fixture
def recording_page(page: LivePage, tmp_path: Path, kept: Clip) -> LivePage:
    page.recordings = {"shapes": tmp_path / "recordings" / "shapes"}
    return page


@pytest.fixture
def visitor(recording_page: LivePage) -> Visitor:
    return Visitor(recording_page)


def test_clips_are_listed_newest_first_without_what_nobody_needs(visitor: Visitor, tmp_path: Path, kept: Clip) -> None:
    later = [entry(each.seq, each.at_s + 60, *each.events, data=each.data) for each in SCENE]
    second = developed(shelf_at(tmp_path / "recordings" / "shapes"), later)
    status, body, headers = visitor.ask("/api/clips")
    assert (status, headers["cache-control"]) == (200, "no-store")
    listed = json.loads(body)["clips"]
    assert [each["name"] for each in listed] == [second.name, kept.name]
    assert listed[0]["labels"] == ["red"]
    assert listed[0]["file"] == second.file
    assert "settings" not in listed[0]


def test_a_clip_its_picture_and_its_answers_are_given_out(visitor: Visitor, tmp_path: Path, kept: Clip) -> None:
    folder = tmp_path / "recordings" / "shapes"
    for ending, kind in (("webm", "video/webm"), ("jpg", "image/jpeg"), ("jsonl", "application/x-ndjson")):
        status, body, headers = visitor.ask(f"/api/clip/shapes/{kept.name}.{ending}")
        assert status == 200
        assert headers["content-type"] == kind
        assert headers["x-content-type-options"] == "nosniff"
        assert body == (folder / f"{kept.name}.{ending}").read_bytes()


RANGES = {
    "bytes=0-99": (206, slice(0, 100)),
    "bytes=100-": (206, slice(100, None)),
    "bytes=-50": (206, slice(-50, None)),
    "bytes=99999999-": (416, None),
    "bytes=5-2": (400, None),
}


@pytest.mark.parametrize("wanted", RANGES)
def test_any_range_of_bytes_can_be_asked_for(visitor: Visitor, tmp_path: Path, kept: Clip, wanted: str) -> None:
    content = (tmp_path / "recordings" / "shapes" / kept.file).read_bytes()
    status, part = RANGES[wanted]
    answered, body, headers = visitor.ask(f"/api/clip/shapes/{kept.file}", headers={"Range": wanted})
    assert answered == status
    if part is not None:
        assert body == content[part]
        assert headers["content-range"].endswith(f"/{len(content)}")


TRICKS = [
    "/api/clip/shapes/../../outbox.db",
    "/api/clip/shapes/..%2f..%2foutbox.db",
    "/api/clip/shapes/%2e%2e/secret.webm",
    "/api/clip/../shapes/{file}",
    "/api/clip/%2e%2e/{file}",
    "/api/clip/nobody/{file}",
    "/api/clip/shapes/{file}/",
    "/api/clip/shapes/{file}%00.jpg",
    "/api/clip/shapes/{name}.part",
    "/api/clip/shapes/{name}.frames",
    "/api/clip/shapes/{name}.json",
    "/api/clip/shapes/{name}",
    "/api/clip/shapes/00000099-20270115T080000Z.webm",
    "/api/clip/shapes/linked",
    "/api/clip/shapes/",
]


@pytest.mark.parametrize("trick", TRICKS)
def test_nothing_but_clips_can_be_asked_for(visitor: Visitor, tmp_path: Path, kept: Clip, trick: str) -> None:
    (tmp_path / "outbox.db").write_text("secret")
    (tmp_path / "recordings" / "shapes" / f"{kept.name}.frames").write_text("secret")
    (tmp_path / "recordings" / "shapes" / f"{kept.name}.part").write_text("secret")
    path = trick.format(name=kept.name, file=kept.file)
    with socket.create_connection((visitor.host, visitor.port), 5) as raw:  # a client would tidy the path up
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] in (b"404", b"405", b"307"), answer[:200]
    assert b"secret" not in answer


def test_a_link_in_the_folder_is_not_followed(visitor: Visitor, tmp_path: Path, kept: Clip) -> None:
    (tmp_path / "secret").write_text("secret")
    video = tmp_path / "recordings" / "shapes" / kept.file
    video.unlink()
    video.symlink_to(tmp_path / "secret")
    assert visitor.ask(f"/api/clip/shapes/{kept.file}")[0] == 404


def test_a_page_with_a_password_gives_out_no_clip_without_it(tmp_path: Path, kept: Clip) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    (tmp_path / "token").write_text("a-token\n")
    more = f'password_file = "{tmp_path / "password"}"\ntoken_file = "{tmp_path / "token"}"\n'
    with offered(configured(more)) as page:
        page.recordings = {"shapes": tmp_path / "recordings" / "shapes"}
        visitor = Visitor(page)
        for path in ("/api/clips", f"/api/clip/shapes/{kept.file}"):
            assert visitor.ask(path)[0] == 401
            assert visitor.ask(path, headers={"Authorization": "Bearer a-token"})[0] == 200
            assert visitor.ask(path, headers={"Authorization": "Bearer a-token", "Origin": "http://evil"})[0] == 403
            assert visitor.ask(path, headers={"Host": "evil.example"})[0] == 421


def test_a_clip_that_is_deleted_meanwhile_is_gone_and_nothing_else_happens(
    visitor: Visitor, tmp_path: Path, kept: Clip
) -> None:
    (tmp_path / "recordings" / "shapes" / kept.file).unlink()
    assert visitor.ask(f"/api/clip/shapes/{kept.file}")[0] == 404
    assert visitor.ask("/api/clips")[0] == 200


def test_the_page_knows_the_folders_of_the_pipelines_that_keep_clips(page: LivePage, tmp_path: Path) -> None:
    config = configured()
    kept = config.pipeline[0].model_validate({**config.pipeline[0].model_dump(), "recorder": {}})
    page.describe(config.model_copy(update={"pipeline": [kept, config.pipeline[1]]}), tmp_path)
    assert page.recordings == {"shapes": tmp_path / "recordings" / "shapes"}
