"""The outbox's files are deleted, moved or replaced under it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.outbox.file import OutboxError
from appliance.outbox.outbox import Outbox
from tests.conftest import Broker
from tests.outbox_life import entry, waiting
from tests.uplinks import Listener, Running, connected, settings, spool
from tests.waiting import until

NAME = "outbox.db"


def delete(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def replace_by_an_earlier_copy(folder: Path) -> None:
    shutil.copy(folder / NAME, folder / "copy")
    (folder / "copy").replace(folder / NAME)


def move_away(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


@pytest.mark.parametrize(
    "disturb",
    [
        *(shutil.rmtree, move_away, replace_by_an_earlier_copy),
        *(delete(NAME), delete(f"{NAME}-wal"), delete(f"{NAME}.mark"), delete(f"{NAME}.lock")),
    ],
    ids=["folder deleted", "folder moved", "replaced", "file", "log", "mark", "lock"],
)
def test_files_removed_under_an_outbox_are_noticed_and_nothing_is_lost(
    tmp_path: Path, disturb: Callable[[Path], None]
) -> None:
    folder = tmp_path / "state"
    with Outbox(folder / NAME) as outbox:
        outbox.append([entry(str(number)) for number in range(100)])
        outbox.acknowledge({1: 10})
        disturb(folder)
        outbox.append([entry("after")])
        before, epoch = waiting(outbox), outbox.epoch
        with pytest.raises(OutboxError, match="removed or replaced while in use"):
            outbox.settle()
    with Outbox(folder / NAME) as outbox:
        assert not outbox.damage
        assert outbox.epoch == epoch
        assert waiting(outbox) == before
        assert len(before) == 91
        assert outbox.append([entry("later")])[0].seq == 102
        outbox.settle()


def test_another_outbox_that_lies_there_now_loses_nothing_either(tmp_path: Path) -> None:
    """As when the daemon starts before the disk of its state folder is mounted."""
    folder = tmp_path / "state"
    with Outbox(folder / NAME) as outbox:
        outbox.append([entry(f"disk {number}") for number in range(100)])
        outbox.acknowledge({1: 40})
        on_disk = waiting(outbox)
    folder.rename(tmp_path / "disk")
    with Outbox(folder / NAME) as outbox:
        outbox.append([entry(f"early {number}") for number in range(50)])
        early = waiting(outbox)
        shutil.rmtree(folder)
        (tmp_path / "disk").rename(folder)
        with pytest.raises(OutboxError, match="nothing is lost"):
            outbox.settle()
    with Outbox(folder / NAME) as outbox:
        assert not outbox.damage
        assert waiting(outbox) == early | on_disk
        figures = outbox.figures()
        assert figures.accepted == figures.stored + figures.sent == 110


def test_a_crash_between_the_copy_and_its_use_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with Outbox(folder / NAME) as outbox:
        outbox.append([entry(str(number)) for number in range(100)])
        shutil.rmtree(folder)
        with pytest.raises(OutboxError):
            outbox.settle()
        crashed = tmp_path / "crashed"
        shutil.copytree(folder, crashed)
    with Outbox(crashed / NAME) as outbox:
        assert not outbox.damage
        assert len(waiting(outbox)) == 100


def test_where_no_new_files_can_be_made_it_says_why_and_goes_on_until_they_can(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with Outbox(folder / NAME) as outbox:
        outbox.append([entry("before")])
        shutil.rmtree(folder)
        folder.touch()
        outbox.settle()
        assert "no new files" in outbox.damage
        outbox.append([entry("meanwhile")])
        folder.unlink()
        with pytest.raises(OutboxError, match="nothing is lost"):
            outbox.settle()
    with Outbox(folder / NAME) as outbox:
        assert [document["content"] for document in waiting(outbox).values()] == ["before", "meanwhile"]


@pytest.mark.system
def test_the_uplink_goes_on_when_its_state_folder_is_deleted_and_says_so(broker: Broker, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    wanted = settings(broker.url, folder)
    with Listener(broker.port) as listener, Running(wanted) as uplink:
        connected(uplink)
        uplink.mailbox.put(spool(0))
        until(lambda: listener.numbers() == [0])
        shutil.rmtree(folder)
        until(lambda: any("removed or replaced" in alarm for alarm in uplink.figures().alarms))
        for number in range(1, 100):
            uplink.mailbox.put(spool(number))
        until(lambda: len(listener.numbers()) == 100)
        assert listener.numbers() == list(range(100))
        assert {document["spool"]["epoch"] for document in listener.events()} == {uplink.figures().epoch}
        until(lambda: uplink.figures().accepted == 100)
    with Outbox(wanted.outbox_path) as outbox:
        assert outbox.figures().accepted == 100
