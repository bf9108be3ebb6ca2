"""What is signed, and what is not."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from appliance.registry.errors import RegistryError
from appliance.registry.keyring import Keyring
from appliance.registry.publish import listed, revoke
from appliance.registry.repository import Repository
from appliance.registry.rotate import endings, renew, rotate
from appliance.sync.published import CHUNK_BYTES, Reference, chunks_of, read_custom, stored
from tests.registries import PASSPHRASE, Owner, as_version, noise, shipped


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    return Owner(tmp_path / "registry")


def keyring_without(owner: Owner, tmp_path: Path, *roles: str) -> Keyring:
    """The keys of a machine that was not given those of these roles."""
    folder = tmp_path / "some-keys"
    folder.mkdir()
    for path in (owner.folder / "keys").iterdir():
        if path.name.rpartition("-")[0] not in roles:
            shutil.copy(path, folder)
    return Keyring([folder], PASSPHRASE)


def test_every_file_of_a_bundle_is_signed_with_its_chunks(owner: Owner, tmp_path: Path) -> None:
    bundle = as_version(shipped("shapes"), "1", tmp_path, noise(3 * CHUNK_BYTES + 5))
    made = owner.publish(bundle)
    targets = owner.repository.families["shapes"].signed.targets
    assert set(targets) == {f"shapes/1/{name}" for name in ["bundle.json", *bundle.files]}
    extra = targets["shapes/1/extra.bin"]
    chunks = read_custom("extra", extra.length, extra.custom).chunks
    assert len(chunks) == 4
    assert chunks == chunks_of(bundle.files["extra.bin"])
    for path, target in targets.items():
        assert owner.repository.path_of(stored(path, target.hashes["sha256"])).stat().st_size == target.length
    assert made.files == len(targets)


def test_a_family_that_is_known_signs_without_root_and_targets_keys(owner: Owner, tmp_path: Path) -> None:
    owner.publish(as_version(shipped("shapes"), "1", tmp_path))
    owner.keyring = keyring_without(owner, tmp_path, "root", "targets")
    owner.publish(as_version(shipped("shapes"), "2", tmp_path))
    assert [str(each.reference) for each in listed(owner.repository)] == ["shapes@2", "shapes@1"]


def test_a_new_family_needs_the_targets_key(owner: Owner, tmp_path: Path) -> None:
    owner.keyring = keyring_without(owner, tmp_path, "targets")
    with pytest.raises(RegistryError, match=r"targets: 1 of its keys must sign and 0 are here; bring one of"):
        owner.publish(shipped("shapes"))
    assert listed(owner.repository) == []


def test_two_models_of_one_family_are_signed_by_one_key(owner: Owner) -> None:
    owner.publish(shipped("shapes"), "demo")
    owner.publish(shipped("tones"), "demo")
    assert {each.family for each in listed(owner.repository)} == {"demo"}
    with pytest.raises(RegistryError, match="the family demo signs it"):
        owner.publish(shipped("shapes"), "other")


def test_a_version_keeps_its_content(owner: Owner, tmp_path: Path) -> None:
    owner.publish(as_version(shipped("shapes"), "1", tmp_path / "a"))
    with pytest.raises(RegistryError, match="published with another content"):
        owner.publish(as_version(shipped("shapes"), "1", tmp_path / "b", b"more"))
    with pytest.raises(RegistryError, match="published already; --again"):
        owner.publish(as_version(shipped("shapes"), "1", tmp_path / "c"))


def test_a_version_that_is_published_again_is_the_newest_once_more(owner: Owner, tmp_path: Path) -> None:
    first = as_version(shipped("shapes"), "1", tmp_path)
    owner.publish(first)
    owner.publish(as_version(shipped("shapes"), "2", tmp_path))
    owner.publish(first, again=True)
    assert [(str(each.reference), each.serial) for each in listed(owner.repository)] == [
        ("shapes@1", 3),
        ("shapes@2", 2),
    ]


def test_a_revoked_version_is_gone_and_its_serial_never_comes_again(owner: Owner, tmp_path: Path) -> None:
    owner.publish(as_version(shipped("shapes"), "1", tmp_path))
    owner.publish(as_version(shipped("shapes"), "2", tmp_path))
    assert revoke(owner.repository, owner.keyring, Reference("shapes", "2")) == "shapes"
    assert not list((owner.folder / "targets/shapes/2").glob("*.json"))
    owner.publish(as_version(shipped("shapes"), "3", tmp_path))
    assert [(str(each.reference), each.serial) for each in listed(owner.repository)] == [
        ("shapes@3", 3),
        ("shapes@1", 1),
    ]
    with pytest.raises(RegistryError, match="shapes@2: not published"):
        revoke(owner.repository, owner.keyring, Reference("shapes", "2"))


def test_a_role_of_tuf_is_no_family(owner: Owner) -> None:
    with pytest.raises(RegistryError, match="snapshot: a role of TUF"):
        owner.publish(shipped("shapes"), "snapshot")


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp", "shapes"])
def test_a_new_key_signs_from_now_on(owner: Owner, role: str) -> None:
    owner.publish(shipped("shapes"))
    before = owner.repository.role(role).keyids
    made = rotate(owner.repository, owner.keyring, role, None)
    repository = owner.repository
    [now] = repository.role(role).keyids
    assert now.startswith(made)
    assert now not in before
    signed = {"targets": repository.top, "snapshot": repository.snapshot, "timestamp": repository.timestamp}
    metadata = signed.get(role, repository.families["shapes"])
    assert list(metadata.signatures) == [now]


def test_a_root_key_is_exchanged_with_the_signatures_of_before_and_now(owner: Owner) -> None:
    before = owner.repository.root
    old = before.signed.roles["root"].keyids[0]
    rotate(owner.repository, owner.keyring, "root", old[:8])
    after = owner.repository.root
    assert after.signed.version == 2
    assert old not in after.signed.roles["root"].keyids
    before.signed.verify_delegate("root", after.signed_bytes, after.signatures)
    after.signed.verify_delegate("root", after.signed_bytes, after.signatures)


def test_which_of_several_keys_goes_must_be_said(owner: Owner) -> None:
    with pytest.raises(RegistryError, match="which key goes"):
        rotate(owner.repository, owner.keyring, "root", None)
    with pytest.raises(RegistryError, match="no such role"):
        rotate(owner.repository, owner.keyring, "people", None)


def test_what_ends_soon_is_signed_again_as_far_as_keys_are_here(owner: Owner, tmp_path: Path) -> None:
    some = keyring_without(owner, tmp_path, "root", "targets")
    soon = timedelta(days=2)
    assert renew(owner.repository, some, timedelta(hours=1)) == []
    assert renew(owner.repository, some, soon) == ["timestamp"]
    assert owner.repository.timestamp.signed.version == 2
    done = renew(owner.repository, some, timedelta(days=1000))
    assert done == ["snapshot", "timestamp"]
    assert endings(owner.repository)["snapshot"] > datetime.now(timezone.utc) + timedelta(days=6)


def test_a_change_that_was_cut_short_before_the_timestamp_changes_nothing(owner: Owner, tmp_path: Path) -> None:
    owner.publish(as_version(shipped("shapes"), "1", tmp_path))
    timestamp = (owner.folder / "metadata/timestamp.json").read_bytes()
    owner.publish(as_version(shipped("shapes"), "2", tmp_path))
    (owner.folder / "metadata/timestamp.json").write_bytes(timestamp)
    assert [str(each.reference) for each in listed(owner.repository)] == ["shapes@1"]
    owner.publish(as_version(shipped("shapes"), "3", tmp_path))
    assert [str(each.reference) for each in listed(owner.repository)] == ["shapes@3", "shapes@1"]


def test_a_root_that_devices_may_have_is_never_signed_in_another_form(owner: Owner) -> None:
    first = (owner.folder / "metadata/1.root.json").read_bytes()
    rotate(owner.repository, owner.keyring, "snapshot", None)
    second = (owner.folder / "metadata/2.root.json").read_bytes()
    (owner.folder / "metadata/root.json").write_bytes(first)  # the power went before this one was replaced
    rotate(owner.repository, owner.keyring, "timestamp", None)
    assert (owner.folder / "metadata/2.root.json").read_bytes() == second
    assert owner.repository.root.signed.version == 3


def test_one_changes_it_at_a_time(owner: Owner) -> None:
    other = Repository(owner.folder)
    with (
        owner.repository.changing(),
        pytest.raises(RegistryError, match="somebody else is changing it"),
        other.changing(),
    ):
        pass
