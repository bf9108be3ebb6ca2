"""Where a model's name leads: to what the owner installed, else to what the appliance brings along."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from engines.bundle import Bundle
from engines.engine import EngineError
from engines.library import Library

LONGEST_SHOWN = 60


class Catalogue:
    """Finds models; changing what is installed is the library's."""

    def __init__(self, library: Library, shipped: Library) -> None:
        self.library = library
        self.shipped = shipped

    @classmethod
    def default(cls, state_dir: Path | None = None) -> Catalogue:
        """The library of this machine (see Library.default) before the models of the package."""
        return cls(Library.default(state_dir), Library(Path(str(files("appliance") / "bundles"))))

    def find(self, model: str) -> Bundle:
        """An installed model (`people`, `people@3`), a shipped one, a bundle folder or an .onnx file.

        Raises EngineError when there is none, or it is damaged or not recognised.
        """
        try:
            name = model.partition("@")[0]
            names = {installed.name for installed in self.library.list()}
            if name not in names and name in {shipped.name for shipped in self.shipped.list()}:
                return self.shipped.find(model)
            return self.library.find(model)
        except OSError as error:  # no permission; a name longer than any file's
            shown = model if len(model) <= LONGEST_SHOWN else f"{model[:LONGEST_SHOWN]}…"
            raise EngineError(f"{shown}: cannot be read: {error.strerror}") from error
