"""What the process that builds is asked for, as one line of JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from engines.engine import EngineError
from engines.manifest import Manifest
from engines.tensorrt.options import GpuOptions, Target
from engines.tensorrt.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Job:
    """One plan that is wanted."""

    recipe: Recipe
    target: Target
    key: str
    """Its name in the cache."""

    def line(self) -> bytes:
        """For the pipe."""
        recipe = self.recipe
        document = {
            "network": str(recipe.network),
            "options": asdict(recipe.options) | {"plans": str(recipe.options.folder)},
            "sizes": {name: list(size) for name, size in recipe.sizes.items()},
            "int8": None if recipe.int8 is None else str(recipe.int8),
            "manifest": None if recipe.manifest is None else recipe.manifest.model_dump(mode="json", by_alias=True),
            "golden": None if recipe.golden is None else str(recipe.golden),
            "target": asdict(self.target),
            "key": self.key,
        }
        return json.dumps(document).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Job:
        """What `line` made."""
        document: dict[str, Any] = json.loads(line)
        options = document["options"]
        recipe = Recipe(
            network=Path(document["network"]),
            options=GpuOptions(**options | {"plans": Path(options["plans"])}),
            sizes={name: tuple(size) for name, size in document["sizes"].items()},
            int8=None if document["int8"] is None else Path(document["int8"]),
            manifest=None if document["manifest"] is None else Manifest.model_validate(document["manifest"]),
            golden=None if document["golden"] is None else Path(document["golden"]),
        )
        target = document["target"]
        capability = tuple(target["compute_capability"])
        return cls(recipe, Target(target["tensorrt"], target["gpu"], (capability[0], capability[1])), document["key"])


class BuildCancelled(EngineError):
    """Whoever waited for this plan does not want it any more."""
