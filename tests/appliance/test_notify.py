from __future__ import annotations

import socket
from pathlib import Path

import pytest

from appliance.notify import Notifier


def test_systemd_is_told_in_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "15000000")
        notifier = Notifier()
        notifier.tell(READY=1, STATUS="ok: all at work")
        assert systemd.recv(4096) == b"READY=1\nSTATUS=ok: all at work"
        assert notifier.watchdog_s == 15.0


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.tell(READY=1)
    assert notifier.watchdog_s is None


def test_a_supervisor_that_went_away_does_not_stop_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Notifier().tell(WATCHDOG=1)
    assert not (tmp_path / "gone").exists()
