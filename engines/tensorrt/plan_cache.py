"""Plans on the disk. A plan is code for the GPU: only what this machine has built and sealed itself is ever loaded.

Each file is sealed with a key that never leaves the machine (HMAC-SHA256 over its name in the cache, its description
and its bytes): one that was cut off, changed, renamed or copied from elsewhere is told from ours before TensorRT sees a
byte of it. Everything here may be lost at any moment; then it is built again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hmac
import json
import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.durable import replace, sync, write
from engines.engine import EngineError
from engines.tensorrt.options import Target

logger = logging.getLogger(__name__)

_MAGIC = b"appliance plan 1\n"
_SEAL_BYTES = 32
_KEPT = 32
"""Plans; the ones used longest ago go first."""
_DRAFTS = ".new-*"


class PlanMissing(EngineError):
    """There is no plan for this network, machine and options yet."""


class PlanRefused(EngineError):
    """There is a file, and it is not a plan that this machine has sealed; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a plan that was admitted."""

    precision: str
    """What it was built with: fp32, fp16 or int8."""
    drift: str
    """In words, how far its answers are from those of ONNX Runtime, and why quicker precisions were refused."""
    build_s: float
    tensorrt: str
    gpu: str


@dataclass(frozen=True, slots=True)
class Plan:
    """An admitted plan."""

    content: bytes
    description: Description


class PlanCache:
    """The folder of plans. Any number of processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str) -> Path:
        """Where the plan of this key is, or would be."""
        return self.folder / f"{key}.plan"

    def has(self, key: str) -> bool:
        """Whether there is a file; only `load` tells whether it can be used."""
        return self.path(key).is_file()

    def load(self, key: str) -> Plan:
        """Raises PlanMissing, or PlanRefused when the file is not what was sealed here; that file is gone then."""
        path = self.path(key)
        try:
            content = path.read_bytes()
            secret = self._secret()
        except FileNotFoundError as error:
            raise PlanMissing("no plan has been built for this network on this machine yet") from error
        except OSError as error:
            raise PlanRefused(f"the plan {path} cannot be read: {error.strerror}") from error
        try:
            plan = _unsealed(content, key, secret)
        except PlanRefused as error:
            self.discard(key)
            raise PlanRefused(f"the plan {path.name} {error}; it was removed and is built again") from error
        with contextlib.suppress(OSError):  # a read-only cache still serves
            os.utime(path)
        return plan

    def store(self, key: str, plan: Plan) -> None:
        """On the disk when this returns: whole or not at all, whenever the power fails. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace(self.path(key), _sealed(plan, key, self._secret(make=True)))
        self._forget_the_oldest()

    def discard(self, key: str) -> None:
        """Remove a plan that turned out to be of no use."""
        try:
            self.path(key).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("%s: a plan that cannot be used cannot be removed: %s", self.path(key), error.strerror)

    # -- TensorRT's timing cache --------------------------------------------------------------------------------------

    def timings(self, target: Target) -> bytes:
        """What earlier builds measured on this machine, to be given to the next one; empty at first."""
        try:
            return self._timings_path(target).read_bytes()
        except OSError:
            return b""

    def keep_timings(self, target: Target, content: bytes) -> None:
        """Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace(self._timings_path(target), content)

    def _timings_path(self, target: Target) -> Path:
        return self.folder / f"timings-{target.slug}.cache"

    # -- one builder at a time ----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def building(self) -> Iterator[None]:
        """Wait until no other process builds into this folder; what a killed one left behind is cleared away."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            for draft in self.folder.glob(_DRAFTS):
                shutil.rmtree(draft) if draft.is_dir() else draft.unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for whoever builds; where it is killed, the next one clears it away."""
        with tempfile.TemporaryDirectory(prefix=".new-build-", dir=self.folder) as folder:
            yield Path(folder)

    def _forget_the_oldest(self) -> None:
        plans = sorted(self.folder.glob("*.plan"), key=lambda path: path.stat().st_mtime)
        for path in plans[:-_KEPT]:
            path.unlink(missing_ok=True)

    def _secret(self, *, make: bool = False) -> bytes:
        """The key of the seal; FileNotFoundError where nothing was ever built, or its key was damaged."""
        path = self.folder / "seal.key"
        with contextlib.suppress(FileNotFoundError):
            secret = path.read_bytes()
            if len(secret) == _SEAL_BYTES:
                return secret
            path.unlink()
        if not make:
            raise FileNotFoundError(errno.ENOENT, "there is no key of the seal", str(path))
        draft = self.folder / f".new-key-{secrets.token_hex(4)}"
        write(draft, secrets.token_bytes(_SEAL_BYTES))
        draft.chmod(0o600)
        with contextlib.suppress(FileExistsError):  # of two that make one at the same moment, the first stays
            path.hardlink_to(draft)
        draft.unlink()
        sync(self.folder)
        return path.read_bytes()


def _sealed(plan: Plan, key: str, secret: bytes) -> bytes:
    description = json.dumps(asdict(plan.description)).encode()
    body = len(description).to_bytes(4, "little") + description + plan.content
    return _MAGIC + _seal(key, body, secret) + body


def _unsealed(content: bytes, key: str, secret: bytes) -> Plan:
    if not content.startswith(_MAGIC):
        raise PlanRefused("is not a plan of this version of the appliance")
    seal, body = content[len(_MAGIC) :][:_SEAL_BYTES], content[len(_MAGIC) + _SEAL_BYTES :]
    if not hmac.compare_digest(seal, _seal(key, body, secret)):
        raise PlanRefused("was cut off, changed, or made on another machine")
    size = int.from_bytes(body[:4], "little")
    return Plan(body[4 + size :], Description(**json.loads(body[4 : 4 + size])))


def _seal(key: str, body: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, key.encode() + b"\0" + body, "sha256").digest()
