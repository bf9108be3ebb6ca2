from __future__ import annotations

from appliance import installed


def test_what_the_package_made_is_changed_in_ways_that_the_service_and_the_next_upgrade_see() -> None:
    assert installed.command("models build digits", packaged=True) == (
        "runuser -u appliance -- appliance models build digits"
    )
    assert installed.environment("pip install x", packaged=True) == "dpkg-reconfigure edge-inference-appliance"
    built = installed.built("pycuda", packaged=True)
    assert "pip wheel --no-cache-dir pycuda --wheel-dir /opt/appliance/wheels, then dpkg-reconfigure" in built


def test_what_was_made_by_hand_is_changed_by_hand() -> None:
    assert installed.command("models build digits", packaged=False) == "appliance models build digits"
    assert installed.environment("pip install x", packaged=False) == "pip install x"
    assert "pip install --no-cache-dir pycuda" in installed.built("pycuda", packaged=False)
    assert installed.page("jetson.md", packaged=False) == "docs/jetson.md"
