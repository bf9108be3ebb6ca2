"""What is desired, as it may come: stale, half bad, hostile."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from appliance.commands import BadCommand
from appliance.sync.desired import read
from appliance.sync.fetch import Progress
from appliance.sync.states import State
from appliance.sync.wishes import NOTE, Wishes
from tests.appliance.sync.machines import machine, tools
from tests.chaos.telling import tell
from tests.registries import Owner


def document(n: Any, **models: Any) -> bytes:
    return json.dumps({"n": n, "models": models}).encode()


def test_each_model_is_judged_alone() -> None:
    heard = read(document(3, people={"version": "2"}, cars={"version": 7}, **{"../x": {"version": "1"}}))
    assert (heard.n, heard.models) == (3, {"people": "2"})
    assert set(heard.errors) == {"cars", "../x"}


BAD = {
    "no JSON": b"{",
    "no object": b"[1]",
    "no number": b'{"models": {}}',
    "a number of another kind": b'{"n": "3", "models": {}}',
    "a number below one": b'{"n": 0, "models": {}}',
    "no models": b'{"n": 3}',
    "unknown fields": b'{"n": 3, "models": {}, "run": "rm -rf /"}',
    "twice the same": b'{"n": 3, "n": 4, "models": {}}',
    "too many": document(3, **{f"m{i}": {"version": "1"} for i in range(101)}),
    "too deep": b'{"n":3,"models":' + b'{"a":' * 40 + b"1" + b"}" * 41,
    "too long": document(3, m={"version": "1" * 70_000}),
    "no UTF-8": b'{"n": 3, "models": {"\xff": {}}}',
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_desired_document_is_refused_whole(case: str) -> None:
    with pytest.raises(BadCommand):
        read(BAD[case])


class Listener:
    """The models of a device without an appliance around them, turned by hand."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.wishes = Wishes()
        self.report: Any = None

    def turn(self, *used: str) -> Any:
        """Hear and report; no job is carried on."""
        with machine(self.folder, tools("http://127.0.0.1:9", self.root)) as at_work:
            self.wishes.turn(at_work, may_begin=True, used=used)
        self.report = next(iter(self.wishes.reports.take_all(0)), self.report)
        return self.report


@pytest.fixture
def listener(tmp_path: Path, owner: Owner) -> Listener:
    (tmp_path / "root.json").write_bytes(owner.anchor)
    return Listener(tmp_path / "device", tmp_path / "root.json")


def test_what_is_desired_begins_and_is_reported(listener: Listener) -> None:
    listener.wishes.desire(document(1, shapes={"version": "2"}, tones={"version": "1"}))
    report = listener.turn()
    assert report["n"] == 1
    on_its_way = {"active": "1", "version": "2", "state": "fetch", "reason": ""}
    assert report["models"]["shapes"] == {**on_its_way, "percent": 0, "offered": "2", "notes": ""}
    untouched = {"active": "1", "version": None, "state": None, "reason": ""}
    assert report["models"]["tones"] == {**untouched, "percent": None, "offered": None, "notes": ""}
    assert report["errors"] == {}


def test_a_lower_number_changes_nothing_and_is_said(listener: Listener) -> None:
    listener.wishes.desire(document(5, shapes={"version": "2"}))
    listener.turn()
    listener.wishes.desire(document(4, shapes={"version": "3"}))
    report = listener.turn()
    assert (report["n"], report["models"]["shapes"]["version"]) == (5, "2")
    assert "number 5 was taken before" in report["errors"][""]
    listener.wishes.desire(document(5, shapes={"version": "2"}))  # as the broker keeps it
    assert listener.turn()["errors"] == {}


def test_a_bad_field_leaves_what_was_wanted_before(listener: Listener) -> None:
    listener.wishes.desire(document(1, shapes={"version": "2"}, tones={"version": "5"}))
    listener.turn()
    listener.wishes.desire(document(2, shapes={"version": ["3"]}, tones={"version": "6"}))
    report = listener.turn()
    assert report["models"]["shapes"]["version"] == "2"
    assert report["models"]["tones"]["version"] == "6"
    assert "shapes" in report["errors"]


def test_the_last_good_document_is_kept_for_ever(listener: Listener) -> None:
    listener.wishes.desire(document(1, shapes={"version": "2"}))
    listener.turn()
    for payload in (b"", b"nonsense"):
        listener.wishes.desire(payload)
        listener.turn()
    reborn = Listener(listener.folder, listener.root)
    report = reborn.turn()
    assert (report["n"], report["models"]["shapes"]["version"]) == (1, "2")


def test_what_has_returned_is_not_tried_again_and_again(listener: Listener) -> None:
    listener.wishes.desire(document(1, shapes={"version": "2"}))
    listener.turn()
    with machine(listener.folder, tools("http://127.0.0.1:9", listener.root)) as at_work:
        job = at_work.ledger.job("shapes")
        assert job is not None
        at_work.activation.give_back(job, "it was bad", deny=True)
    for _ in range(3):
        report = listener.turn()
    back = {"active": "1", "version": "2", "state": "returned", "reason": "it was bad"}
    assert report["models"]["shapes"] == {**back, "percent": None, "offered": None, "notes": ""}


def test_what_is_pinned_is_not_changed_from_afar(listener: Listener) -> None:
    with machine(listener.folder, tools("http://127.0.0.1:9", listener.root)) as at_work:
        at_work.ledger.put_note("pin shapes", "1")
    listener.wishes.desire(document(1, shapes={"version": "2"}))
    assert "pinned to 1" in listener.turn()["errors"]["shapes"]


NEWEST = {
    "nothing is desired": ("3", None, None, "3"),
    "it is active": ("1", None, None, None),
    "an operator desires another": ("3", "2", None, "2"),
    "an operator desires what is active": ("3", "1", None, None),
    "another is pinned": ("3", None, "1", None),
    "it is pinned, and not here yet": ("3", None, "3", "3"),
    "the registry was never asked": (None, None, None, None),
}


@pytest.mark.parametrize("case", NEWEST)
def test_what_is_offered_of_a_model_in_use(case: str, listener: Listener) -> None:
    newest, wanted, pinned, offered = NEWEST[case]
    with machine(listener.folder, tools("http://127.0.0.1:9", listener.root)) as at_work:
        at_work.ledger.put_note("newest shapes", newest)
        at_work.ledger.put_note("pin shapes", pinned)
    if wanted:
        listener.wishes.desire(document(1, shapes={"version": wanted}))
    assert listener.turn("shapes")["models"]["shapes"]["offered"] == offered


def test_what_is_offered_begins_once_it_is_taken(listener: Listener) -> None:
    with pytest.raises(BadCommand, match="no model shapes; known: none yet"):
        listener.wishes.install("shapes")
    listener.turn("shapes")
    with pytest.raises(BadCommand, match="no other version than 1 is offered"):
        listener.wishes.install("shapes")
    with machine(listener.folder, tools("http://127.0.0.1:9", listener.root)) as at_work:
        at_work.ledger.put_note("newest shapes", "2")
    assert listener.turn("shapes")["models"]["shapes"]["state"] is None
    assert listener.wishes.install("shapes") == "2"
    assert listener.turn("shapes")["models"]["shapes"]["state"] == "fetch"


def test_a_fetch_is_reported_at_each_hundredth(listener: Listener) -> None:
    listener.wishes.desire(document(1, shapes={"version": "2"}))
    listener.turn()
    with machine(listener.folder, tools("http://127.0.0.1:9", listener.root)) as at_work:
        job = at_work.ledger.job("shapes")
    assert job is not None
    seen = []
    for done in range(0, 1001, 4):
        listener.wishes.tell(job, Progress(total_bytes=1000, fetched_bytes=done))
        seen += [report["models"]["shapes"]["percent"] for report in listener.wishes.reports.take_all(0)]
    assert seen == list(range(101))


def test_500_random_documents_leave_the_last_good_one(listener: Listener) -> None:
    """Stale, unknown, half bad and hostile ones: what is reported is what the highest good number said."""
    chance, made = random.Random(7), tools("http://127.0.0.1:9", listener.root)
    best, restarts, slowest_s = 0, 0, 0.0
    wanted: dict[str, str] = {}
    for _ in range(500):
        n = chance.randint(1, 400)
        kind = chance.choice(["good", "half", "hostile"])
        version = str(chance.randint(2, 9))
        if kind == "good":
            payload = document(n, shapes={"version": version})
        elif kind == "half":
            payload = document(n, shapes={"version": version}, tones={"version": chance.choice([None, 1, "..", "/"])})
        else:
            payload = chance.choice([*BAD.values(), bytes(chance.randbytes(50))])
        if kind != "hostile" and n > best:
            best, wanted = n, {"shapes": version}
        began_s = time.monotonic()
        listener.wishes.desire(payload)
        with machine(listener.folder, made) as at_work:
            listener.wishes.turn(at_work, may_begin=False)
            note = at_work.ledger.note(NOTE)
        slowest_s = max(slowest_s, time.monotonic() - began_s)
        if chance.random() < 0.25:
            listener, restarts = Listener(listener.folder, listener.root), restarts + 1
    assert note["n"] == best
    assert note["models"] == wanted
    report = listener.turn()
    assert report["models"]["shapes"]["version"] == wanted["shapes"]
    assert State.FETCH.value == report["models"]["shapes"]["state"]
    tell("G31 wishes", documents=500, restarts=restarts, slowest_report_s=round(slowest_s, 2))
