"""What somebody may try who owns the network, the server, or some of the keys: each is refused, with one sentence."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root, TargetFile

from appliance.registry.publish import revoke
from appliance.registry.rotate import rotate
from appliance.sync.carrier import CarrierError, Piece
from appliance.sync.clock_floor import MARK
from appliance.sync.ledger import Ledger
from appliance.sync.published import CHUNK_BYTES, Reference, chunks_of, stored
from appliance.sync.trust import Distrust
from tests.appliance.sync.world import Device, Hands, copied
from tests.registries import Owner, as_version, noise, shipped

pytestmark = pytest.mark.system

DAY_S = 86_400.0
EXTRA = 2 * CHUNK_BYTES + 1000


class Scene:
    """The device has shapes@1 and wants shapes@2, which is there."""

    def __init__(self, owner: Owner, hands: Hands, device: Device, tmp: Path) -> None:
        self.owner, self.hands, self.device, self.tmp = owner, hands, device, tmp
        self.wanted = "shapes@2"
        self.shapes = shipped("shapes")
        owner.publish(as_version(self.shapes, "1", tmp / "bundles", noise(EXTRA, 1)))
        owner.publish(shipped("tones"))
        device.pull("shapes@1")
        self.old = copied(owner.folder, tmp / "old")
        owner.publish(as_version(self.shapes, "2", tmp / "bundles", noise(EXTRA, 2)))

    def seen(self) -> None:
        """The device has had a look at what there is now."""
        self.device.pull("shapes@1")

    def change(self, words: str, how: Callable[[Piece, int], Piece]) -> None:
        """What is given of files with these words in their path."""
        self.hands.changed = lambda path, offset, piece: how(piece, offset) if words in path else piece

    def sign(self, change: Callable[[dict[str, TargetFile]], Any], family: str = "shapes") -> None:
        """Somebody has the keys of a family."""
        repository = self.owner.repository
        change(repository.families[family].signed.targets)
        repository.commit(self.owner.keyring, families=frozenset({family}))

    def put(self, path: str, content: bytes, custom: Any = None) -> TargetFile:
        """A file of the attacker's, ready to be signed."""
        made = TargetFile.from_data(path, content, ["sha256"])
        place = self.owner.folder / "targets" / stored(path, made.hashes["sha256"])
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        made.unrecognized_fields["custom"] = custom or {"chunks": chunks_of(place), "serial": 9}
        return made

    def manifest(self, **changes: Any) -> bytes:
        document = json.loads((self.tmp / "bundles/shapes/2/bundle.json").read_bytes())
        return json.dumps(document | changes).encode()


def _flip(piece: Piece, _offset: int) -> Piece:
    return Piece(piece.content[:-1] + bytes([piece.content[-1] ^ 1]), piece.total) if piece.content else piece


def tampered_byte(scene: Scene) -> None:
    scene.change(".extra.bin", _flip)


def chunk_of_another_place(scene: Scene) -> None:
    content = noise(EXTRA, 2)
    scene.change(
        ".extra.bin",
        lambda piece, offset: (
            Piece(content[offset - CHUNK_BYTES :][: len(piece.content)], piece.total)
            if offset >= CHUNK_BYTES
            else piece
        ),
    )


def chunk_of_another_version(scene: Scene) -> None:
    content = noise(EXTRA, 1)
    scene.change(".extra.bin", lambda piece, offset: Piece(content[offset:][: len(piece.content)], piece.total))


def chunk_that_never_fits(scene: Scene) -> None:
    scene.change(".extra.bin", lambda piece, _offset: Piece(bytes(len(piece.content)), piece.total))


def endless_metadata(scene: Scene) -> None:
    def endless(_path: str, _offset: int, _piece: Piece) -> Piece:
        return Piece(b" " * (64 << 10), 1 << 40)

    scene.hands.changed = endless


def damaged_metadata(scene: Scene) -> None:
    scene.change("timestamp.json", lambda piece, _offset: Piece(b"{" + b" " * (piece.total - 1), piece.total))


def deep_metadata(scene: Scene) -> None:
    deep = b"[" * 8000
    scene.hands.changed = lambda path, offset, piece: (
        Piece(deep[offset:] if piece.content else b"", len(deep)) if "timestamp" in path else piece
    )


def rollback(scene: Scene) -> None:
    scene.seen()
    scene.hands.folder = scene.old
    scene.wanted = "shapes@1"


def rollback_after_the_cache_was_lost(scene: Scene) -> None:
    rollback(scene)
    shutil.rmtree(scene.device.folder / "tuf")


def freeze(scene: Scene) -> None:
    scene.hands.folder = scene.old
    scene.device.wall_s = lambda: time.time() + 3 * DAY_S


def freeze_with_the_clock_set_back(scene: Scene) -> None:
    scene.hands.folder = scene.old
    scene.device.wall_s = lambda: 0.0
    with Ledger(scene.device.folder / "models.db") as ledger:
        ledger.raise_mark(MARK, int(time.time() + 3 * DAY_S))


def wrong_keys(scene: Scene) -> None:
    other = Owner(scene.tmp / "other")
    other.publish(as_version(scene.shapes, "2", scene.tmp / "theirs"))
    for name in ("tones", "digits"):  # as many changes, so that its numbers are not lower
        other.publish(shipped(name))
    scene.hands.folder = other.folder


def old_snapshot_under_a_new_timestamp(scene: Scene) -> None:
    _exchange(scene, "snapshot")


def old_family_under_a_new_snapshot(scene: Scene) -> None:
    _exchange(scene, "shapes")


def _exchange(scene: Scene, role: str) -> None:
    """The file of the newest version holds the one before."""
    folder = scene.owner.folder / "metadata"
    newest = max(int(path.name.split(".")[0]) for path in folder.glob(f"*.{role}.json"))
    shutil.copy(folder / f"{newest - 1}.{role}.json", folder / f"{newest}.{role}.json")


def root_below_its_threshold(scene: Scene) -> None:
    rotate(scene.owner.repository, scene.owner.keyring, "snapshot", None)
    path = scene.owner.folder / "metadata/2.root.json"
    document = json.loads(path.read_bytes())
    document["signatures"] = document["signatures"][:1]
    path.write_text(json.dumps(document))


def root_of_somebody_else(scene: Scene) -> None:
    other = Owner(scene.tmp / "other")
    rotate(other.repository, other.keyring, "snapshot", None)
    shutil.copy(other.folder / "metadata/2.root.json", scene.owner.folder / "metadata/2.root.json")


def expired_root(scene: Scene) -> None:
    repository = scene.owner.repository
    repository.terms = repository.terms.model_copy(update={"root_days": -1})
    repository.commit(scene.owner.keyring, root=True)
    assert isinstance(Metadata[Root].from_file(str(repository.anchor)).signed, Root)


def family_that_signs_anothers_model(scene: Scene) -> None:
    scene.wanted = "shapes@3"
    made = scene.put("shapes/3/bundle.json", scene.manifest(version="3"))
    scene.sign(lambda targets: targets.update({made.path: made}), family="tones")


def revoked_version(scene: Scene) -> None:
    revoke(scene.owner.repository, scene.owner.keyring, Reference("shapes", "2"))


def file_that_is_not_signed(scene: Scene) -> None:
    scene.sign(lambda targets: targets.pop("shapes/2/extra.bin"))


def file_with_another_content_than_its_manifest_names(scene: Scene) -> None:
    made = scene.put("shapes/2/extra.bin", b"other")
    scene.sign(lambda targets: targets.update({made.path: made}))


def manifest_of_another_model(scene: Scene) -> None:
    made = scene.put("shapes/2/bundle.json", scene.manifest(name="tones"))
    scene.sign(lambda targets: targets.update({made.path: made}))


def path_trick_in_a_signed_manifest(scene: Scene) -> None:
    files = {"../../../../etc/cron.d/mine": "sha256:" + "0" * 64}
    made = scene.put("shapes/2/bundle.json", scene.manifest(files=files))
    scene.sign(lambda targets: targets.update({made.path: made}))


def signed_without_chunks(scene: Scene) -> None:
    made = scene.put("shapes/2/bundle.json", scene.manifest(), custom={"serial": 9})
    scene.sign(lambda targets: targets.update({made.path: made}))


def chunks_that_are_not_the_whole(scene: Scene) -> None:
    made = scene.put("shapes/2/extra.bin", noise(EXTRA, 2))
    made.hashes["sha256"], real = "1" * 64, made.hashes["sha256"]
    document = json.loads(scene.manifest())
    document["files"]["extra.bin"] = "sha256:" + "1" * 64
    manifest = scene.put("shapes/2/bundle.json", json.dumps(document).encode())
    folder = scene.owner.folder / "targets/shapes/2"
    (folder / f"{real}.extra.bin").rename(folder / f"{'1' * 64}.extra.bin")
    scene.sign(lambda targets: targets.update({made.path: made, manifest.path: manifest}))


def oversize(scene: Scene) -> None:
    scene.device.most_bytes = EXTRA


def symlink_where_a_part_will_be(scene: Scene) -> None:
    target = next((scene.owner.folder / "targets/shapes/2").glob("*.extra.bin")).name.split(".")[0]
    (scene.tmp / "precious").write_text("precious")
    (scene.device.folder / "parts" / f"{target}.part").symlink_to(scene.tmp / "precious")


def silence(scene: Scene) -> None:
    scene.hands.silent = True
    scene.device.tries = 1


BYTES = "sends other bytes than its owner has signed"
OLDER = "older or another state"
KEYS = "not signed by the keys"
ATTACKS: dict[Callable[[Scene], None], str] = {
    tampered_byte: BYTES,
    chunk_of_another_place: BYTES,
    chunk_of_another_version: BYTES,
    chunk_that_never_fits: BYTES,
    endless_metadata: "sends more than any of its files holds",
    damaged_metadata: "metadata is damaged",
    deep_metadata: "metadata is damaged",
    rollback: OLDER,
    rollback_after_the_cache_was_lost: "number",
    freeze: "have expired",
    freeze_with_the_clock_set_back: "have expired",
    wrong_keys: KEYS,
    old_snapshot_under_a_new_timestamp: OLDER,
    old_family_under_a_new_snapshot: OLDER,
    root_below_its_threshold: KEYS,
    root_of_somebody_else: KEYS,
    expired_root: "have expired",
    family_that_signs_anothers_model: "nobody has signed it",
    revoked_version: "it was revoked",
    file_that_is_not_signed: "is not signed",
    file_with_another_content_than_its_manifest_names: "another content than its manifest names",
    manifest_of_another_model: "its manifest says tones@2",
    path_trick_in_a_signed_manifest: "should match pattern",
    signed_without_chunks: "signed without chunks",
    chunks_that_are_not_the_whole: "the whole is not",
    oversize: "more than the",
    symlink_where_a_part_will_be: "symbolic",
    silence: "",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_it_is_refused(
    attack: Callable[[Scene], None], owner: Owner, hands: Hands, device: Device, tmp_path: Path
) -> None:
    scene = Scene(owner, hands, device, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("precious")}
    attack(scene)
    with pytest.raises((Distrust, CarrierError, OSError)) as refused:
        device.pull(scene.wanted)
    words = str(refused.value)
    print(f"{attack.__name__.replace('_', ' ')}: {words}")  # the table: pytest -rP
    assert ATTACKS[attack] in words
    assert "\n" not in words
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not (tmp_path / "precious").exists() or (tmp_path / "precious").read_text() == "precious"


def test_what_is_not_attacked_is_fetched(owner: Owner, hands: Hands, device: Device, tmp_path: Path) -> None:
    files = Scene(owner, hands, device, tmp_path).device.pull("shapes@2")
    assert files["extra.bin"].read_bytes() == noise(EXTRA, 2)
    assert json.loads(files["bundle.json"].read_bytes())["version"] == "2"


def test_after_an_attack_the_true_registry_is_believed_again(
    owner: Owner, hands: Hands, device: Device, tmp_path: Path
) -> None:
    scene = Scene(owner, hands, device, tmp_path)
    for attack in (tampered_byte, damaged_metadata, endless_metadata):
        attack(scene)
        with pytest.raises(Distrust):
            device.pull("shapes@2")
    hands.changed = lambda _path, _offset, piece: piece
    assert device.pull("shapes@2")["extra.bin"].read_bytes() == noise(EXTRA, 2)


def test_a_device_follows_its_owners_new_keys(owner: Owner, hands: Hands, device: Device, tmp_path: Path) -> None:
    Scene(owner, hands, device, tmp_path)
    for role in ("targets", "snapshot", "timestamp", "shapes"):
        rotate(owner.repository, owner.keyring, role, None)
        assert device.pull("shapes@2"), role
    old = owner.repository.role("root").keyids[0]
    rotate(owner.repository, owner.keyring, "root", old)
    assert device.pull("shapes@2")
