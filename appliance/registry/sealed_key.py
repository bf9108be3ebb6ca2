"""A private key on disk: one JSON file, sealed with a passphrase.

scrypt (RFC 7914) makes the passphrase a key, AES-256-GCM seals the 32 bytes of an Ed25519 key (RFC 8032) with it; the
public parts are sealed in as well, so that no file can be passed off as another role's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from securesystemslib.signer import CryptoSigner

from appliance.registry.errors import RegistryError
from engines.durable import sync

COST = 15
"""Base-2 logarithm of scrypt's N: 32 MiB and some 0.1 s for every guess."""
_MOST_BYTES = 4096


class SealedKey(BaseModel):
    """The file; all but `sealed` can be read without the passphrase."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str = Field(max_length=64)
    """What it was made for, for people: metadata alone says which key signs what."""
    keyid: str = Field(pattern=r"^[0-9a-f]{64}$")
    cost: int = Field(ge=4, le=20)
    salt: str
    nonce: str
    sealed: str

    @classmethod
    def make(cls, role: str, passphrase: str, cost: int = COST) -> tuple[SealedKey, CryptoSigner]:
        """A new key, sealed, and its signer."""
        private = Ed25519PrivateKey.generate()
        signer = CryptoSigner(private)
        salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
        keyid = signer.public_key.keyid
        sealer = AESGCM(_stretch(passphrase, salt, cost))
        sealed = sealer.encrypt(nonce, private.private_bytes_raw(), _about(role, keyid))
        made = cls(role=role, keyid=keyid, cost=cost, salt=_text(salt), nonce=_text(nonce), sealed=_text(sealed))
        return made, signer

    @classmethod
    def read(cls, path: Path) -> SealedKey:
        """Raises RegistryError."""
        try:
            with path.open("rb") as file:
                return cls.model_validate_json(file.read(_MOST_BYTES))
        except OSError as error:
            raise RegistryError(f"{path}: the key cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise RegistryError(f"{path}: not a sealed key of a registry") from error

    def write(self, path: Path) -> None:
        """A new file that its owner alone can read, on the disk when this returns. Raises OSError."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(self.model_dump(), indent=2).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        sync(path.parent)

    def open(self, passphrase: str, path: Path) -> CryptoSigner:
        """The signer; RegistryError names `path` when the passphrase is another one, or the file was changed."""
        try:
            sealer = AESGCM(_stretch(passphrase, _bytes(self.salt), self.cost))
            raw = sealer.decrypt(_bytes(self.nonce), _bytes(self.sealed), _about(self.role, self.keyid))
        except (InvalidTag, ValueError) as error:
            raise RegistryError(f"{path}: sealed with another passphrase, or damaged") from error
        return CryptoSigner(Ed25519PrivateKey.from_private_bytes(raw))


def _stretch(passphrase: str, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=1 << cost, r=8, p=1, dklen=32, maxmem=(1 << 31) - 1)


def _about(role: str, keyid: str) -> bytes:
    return f"{role}\n{keyid}".encode()


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
