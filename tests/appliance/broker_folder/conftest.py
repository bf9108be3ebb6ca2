"""Brokers that `appliance broker` has set up, at work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.broker_folder.members import MEMBERS
from tests.secured_broker import SecuredBroker, command, needed


@pytest.fixture(scope="session")
def programs() -> None:
    """Tests that ask for it are skipped where these are missing."""
    needed("mosquitto", "openssl")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """A broker with everybody of MEMBERS on it. Tests must leave it as it was."""
    made = SecuredBroker(tmp_path_factory.mktemp("secured") / "broker")
    for name, (role, models) in MEMBERS.items():
        command(f"add-{role.value}", made.folder, name, *(word for model in models for word in ("--model", model)))
    with made:
        yield made


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SecuredBroker]:
    """A broker of the test's own with two devices."""
    made = SecuredBroker(tmp_path / "broker")
    made.add("device", "dock-1", "dock-2")
    with made:
        yield made
