"""The keys that are at hand: sealed files in some folders, opened when something has to be signed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from securesystemslib.signer import CryptoSigner, Key
from tuf.api.metadata import Metadata, Role, T

from appliance.registry.errors import RegistryError
from appliance.registry.sealed_key import COST, SealedKey

SUFFIX = ".key"
LEAST_PASSPHRASE = 12
"""Characters; short ones are guessed, whatever scrypt does."""


class Keyring:
    """Keys of one owner. The first folder is where new ones are put; the others may be on a stick."""

    def __init__(self, folders: Iterable[Path], passphrase: str, cost: int = COST) -> None:
        """`cost`: of guessing the passphrase, for new keys. Raises RegistryError for a passphrase that is too short, or
        a key file that is none."""
        if len(passphrase) < LEAST_PASSPHRASE:
            raise RegistryError(f"the passphrase needs at least {LEAST_PASSPHRASE} characters")
        self.folders = tuple(folders)
        self._passphrase = passphrase
        self._cost = cost
        self._opened: dict[str, CryptoSigner] = {}
        self._sealed = {key.keyid: (key, path) for key, path in sealed_keys(self.folders)}

    def has(self, keyid: str) -> bool:
        return keyid in self._sealed

    def make(self, role: str) -> Key:
        """A new key in the first folder; its public half. Raises RegistryError, OSError."""
        sealed, signer = SealedKey.make(role, self._passphrase, self._cost)
        folder = self.folders[0]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / f"{role}-{sealed.keyid[:8]}{SUFFIX}"
        sealed.write(path)
        self._sealed[sealed.keyid] = (sealed, path)
        self._opened[sealed.keyid] = signer
        return signer.public_key

    def sign(self, metadata: Metadata[T], name: str, roles: Iterable[Role]) -> None:
        """Sign afresh with every key at hand of each of `roles`, of which each needs its threshold.

        More than one role is a root and the root before it. Raises RegistryError.
        """
        metadata.signatures.clear()
        for role in roles:
            present = [keyid for keyid in role.keyids if self.has(keyid)]
            if len(present) < role.threshold:
                missing = ", ".join(keyid[:8] for keyid in role.keyids if keyid not in present)
                raise RegistryError(
                    f"{name}: {role.threshold} of its keys must sign and {len(present)} are here; bring one of "
                    f"{missing} with --keys FOLDER"
                )
            for keyid in present:
                if keyid not in metadata.signatures:
                    metadata.sign(self._signer(keyid), append=True)

    def _signer(self, keyid: str) -> CryptoSigner:
        if keyid not in self._opened:
            sealed, path = self._sealed[keyid]
            self._opened[keyid] = sealed.open(self._passphrase, path)
        return self._opened[keyid]


def sealed_keys(folders: Iterable[Path]) -> list[tuple[SealedKey, Path]]:
    """Every sealed key in these folders; raises RegistryError for a file that is none."""
    found = []
    for folder in folders:
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            found.append((SealedKey.read(path), path))
    return found
