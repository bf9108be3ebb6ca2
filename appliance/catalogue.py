"""Where a model's name leads: to what the owner installed, else to what the appliance brings along."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from engines.bundle import Bundle
from engines.engine import EngineError
from engines.library import Installed, Library

LONGEST_SHOWN = 60


class Catalogue:
    """Finds models; changing what is installed is the library's."""

    def __init__(self, library: Library, shipped: Library) -> None:
        self.library = library
        self.shipped = shipped

    @classmethod
    def default(cls, state_dir: Path | None = None) -> Catalogue:
        """The library of this machine (see Library.default) before the models of the package."""
        return cls.before_shipped(Library.default(state_dir))

    @classmethod
    def before_shipped(cls, library: Library) -> Catalogue:
        """This library before the models of the package."""
        return cls(library, Library(Path(str(files("appliance") / "bundles"))))

    def brought_along(self) -> tuple[Installed, ...]:
        """The shipped models whose names lead to them: no installed one goes before."""
        installed = {each.name for each in self.library.list()}
        return tuple(each for each in self.shipped.list() if each.name not in installed)

    def find(self, model: str) -> Bundle:
        """An installed model (`people`, `people@3`), a shipped one, a bundle folder or an .onnx file.

        Raises EngineError when there is none, or it is damaged or not recognised.
        """
        try:
            name = model.partition("@")[0]
            if name in {each.name for each in self.brought_along()}:
                return self.shipped.find(model)
            return self.library.find(model)
        except OSError as error:  # no permission; a name longer than any file's
            shown = model if len(model) <= LONGEST_SHOWN else f"{model[:LONGEST_SHOWN]}…"
            raise EngineError(f"{shown}: cannot be read: {error.strerror}") from error
