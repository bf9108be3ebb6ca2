"""What a device keeps of configurations from afar: small files, each replaced whole, so that a start needs no more."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from appliance.config_errors import ConfigError
from appliance.reconfigure.standing import FILE_ALONE, Standing, Version
from appliance.sync.turn import Turn
from engines.durable import replace, sync, write

logger = logging.getLogger(__name__)

FOLDER = "configuration"
HISTORY = "configuration"
"""In the place of a model's name in the ledger's history."""
USED, RETURNED = "used, on trial", "returned"
"""Events there: of a configuration that was put to use, and of one that is not used, or no more."""
MOST_BYTES = 256 << 10
"""Of a configuration from afar."""
_STANDING = TypeAdapter(Standing)


class Store:
    """Any process, any thread; whoever changes something has its turn."""

    def __init__(self, state_folder: Path, checkpoint: Callable[[str], None] = lambda _words: None) -> None:
        """`checkpoint`: called after everything that is on the disk; here a test pulls the plug."""
        self.folder = state_folder / FOLDER
        self._checkpoint = checkpoint

    @property
    def standing_path(self) -> Path:
        """Written at every move."""
        return self.folder / "standing.json"

    @property
    def ledger(self) -> Path:
        """History, and what was believed of the registry. A start does without it."""
        return self.folder / "ledger.db"

    @property
    def turn(self) -> Turn:
        """Of whoever changes the standing."""
        return Turn(self.folder)

    def standing(self) -> Standing:
        """As it was written last. Damaged, the last one that was kept: a device starts, whatever its disk did."""
        for path in (self.standing_path, self.folder / "good.json"):
            try:
                return _STANDING.validate_json(path.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, ValidationError) as error:
                logger.error("%s: not to be read: %s", path, str(error).splitlines()[0])
        return Standing()

    def put(self, standing: Standing) -> Standing:
        """On the disk when this returns. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        content = _STANDING.dump_json(standing, indent=2) + b"\n"
        replace(self.standing_path, content)
        self._checkpoint(f"{standing.state.value} is written")
        if standing.trial is None:
            replace(self.folder / "good.json", content)
            self._checkpoint(f"{standing.state.value} is written twice")
        return standing

    def keep_text(self, content: bytes) -> str:
        """The digest of a text that is on the disk now. Raises OSError."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if path.exists() and _read(path) == content:
            return digest
        path.unlink(missing_ok=True)
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        write(draft, content)
        draft.rename(path)
        sync(path.parent)
        self._checkpoint("the text is written")
        return digest

    def text(self, version: Version) -> str:
        """Raises ConfigError when the disk does not have it any more, as it was signed."""
        path = self.path_of(version)
        try:
            content = _read(path)
        except OSError as error:
            raise ConfigError(f"{version}: {path}: cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != version.digest:
            raise ConfigError(f"{version}: {path}: is damaged; a newer desired document brings it again")
        return content.decode("utf-8")

    def tidy(self, standing: Standing) -> None:
        """Texts that nobody can come back to."""
        kept = {version.digest for version in (standing.good, standing.before, standing.trial or FILE_ALONE)}
        for path in self._path("").parent.glob("*"):
            if path.stem not in kept:
                path.unlink(missing_ok=True)

    def path_of(self, version: Version) -> Path:
        """Where its text is."""
        return self._path(version.digest)

    def _path(self, digest: str) -> Path:
        return self.folder / "texts" / f"{digest}.toml"


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)
