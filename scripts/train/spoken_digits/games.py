"""English by actors, without digits: what two games that Debian packages let their figures say.

    apt-get install --no-install-recommends hedgewars-data warzone2100-data

Nothing is trained on it, so that nothing of it is in the model; the threshold is chosen with it. Not among it: songs,
the robot's voice, and the folders in which Warzone 2100 counts.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from spoken_digits.bank import RATE_HZ, Word, load

HEDGEWARS = Path("/usr/share/games/hedgewars/Data/Sounds/voices")
WARZONE = Path("/usr/share/games/warzone2100/base.wz")
_VOICES = ("British", "Classic", "Default", "HillBilly", "Mobster", "Pirate", "Surfer")
_FOLDERS = ("tutorial", "memressp/missmesg", "memressp/research", "memressp/console", "memressp/detect", "coltive")
_SHORTEST_S = 0.5


def played() -> dict[str, list[Word]]:
    """What is said in each game that is installed."""
    said = {"Hedgewars": _hedgewars(), "Warzone": _warzone()}
    return {game: [word for word in words if len(word.sound) > _SHORTEST_S * RATE_HZ] for game, words in said.items()}


def _hedgewars() -> list[Word]:
    paths = [path for voice in _VOICES for path in sorted((HEDGEWARS / voice).glob("*.ogg"))]
    return [Word("", None, path.parent.name, load(path)) for path in paths]


def _warzone() -> list[Word]:
    if not WARZONE.is_file():
        return []
    with zipfile.ZipFile(WARZONE) as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".ogg")]
        chosen = [name for name in names if any(name.startswith(f"audio/{folder}/") for folder in _FOLDERS)]
        return [Word("", None, Path(name).parent.name, load(io.BytesIO(archive.read(name)))) for name in chosen]
