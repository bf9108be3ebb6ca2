"""What a power cut leaves of folders and files, of which every change is known.

What was synced is there: the content of a file with its own sync, its name with that of the folder. Of the contents
written since, any sector may be (tests/power_cut.py). Of the names changed since in one folder, as many as there was
time for, in their order; each folder for itself, which is less than any journal promises.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from tests.power_cut import Content
from tests.sqlite_disk import Step
from tests.traced_disk import Act


@dataclass(slots=True, eq=False)
class Folder:
    """Names, and what they lead to."""

    synced: dict[str, Node] = field(default_factory=dict)
    now: dict[str, Node] = field(default_factory=dict)
    pending: list[Mapping[str, Node | None]] = field(default_factory=list)
    """Each is done as a whole; None takes a name away."""

    def change(self, names: Mapping[str, Node | None]) -> None:
        _change(self.now, names)
        self.pending.append(names)

    def sync(self) -> None:
        self.synced = dict(self.now)
        self.pending.clear()

    def left(self, chance: random.Random) -> dict[str, Node]:
        """One of the sets of names that a power cut now may leave."""
        names = dict(self.synced)
        for change in self.pending[: chance.randint(0, len(self.pending))]:
            _change(names, change)
        return names


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    to: Path


Node: TypeAlias = "Folder | Content | Link"


def _change(names: dict[str, Node], change: Mapping[str, Node | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Tree:
    """Follows what is done below a folder, which is there for ever."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._top = Folder()

    def follow(self, act: Act) -> None:
        if act.kind == "say":
            return
        place, name = self._place(act.path), act.path.name
        node = place.now.get(name) if act.path != self._folder else self._top
        if act.kind == "file":
            if node is None:
                place.change({name: Content()})
        elif act.kind == "folder":
            place.change({name: Folder()})
        elif act.kind == "link":
            assert act.to is not None
            place.change({name: Link(act.to)})
        elif act.kind == "remove":
            place.change({name: None})
        elif act.kind == "rename":
            assert act.to is not None
            self._rename(act.path, act.to)
        elif act.kind == "sync":
            assert isinstance(node, Content | Folder)
            node.sync()
        else:
            assert isinstance(node, Content)
            offset = len(node.now()) if act.offset is None else act.offset
            node.pending.append(Step("write" if act.kind == "write" else "truncate", act.path, offset, act.data))

    def _rename(self, path: Path, to: Path) -> None:
        """At once within a folder."""
        place, target = self._place(path), self._place(to)
        node = place.now[path.name]
        if place is target:
            place.change({path.name: None, to.name: node})
        else:
            target.change({to.name: node})
            place.change({path.name: None})

    def _place(self, path: Path) -> Folder:
        """The folder that a path is in."""
        found: Node = self._top
        for name in path.relative_to(self._folder).parts[:-1]:
            assert isinstance(found, Folder)
            found = found.now[name]
        assert isinstance(found, Folder)
        return found

    def now(self) -> dict[Path, bytes]:
        """Content of every file as a program reads it, by its path below the folder."""
        return dict(_contents(self._top, Path()))

    def leave(self, folder: Path, chance: random.Random) -> None:
        """Write into an empty folder what a power cut now may leave."""
        _leave(self._top, folder, chance)


def _contents(folder: Folder, path: Path) -> list[tuple[Path, bytes]]:
    found = []
    for name, node in folder.now.items():
        if isinstance(node, Folder):
            found += _contents(node, path / name)
        elif isinstance(node, Content):
            found.append((path / name, node.now()))
    return found


def _leave(folder: Folder, path: Path, chance: random.Random) -> None:
    for name, node in folder.left(chance).items():
        if isinstance(node, Folder):
            (path / name).mkdir()
            _leave(node, path / name, chance)
        elif isinstance(node, Link):
            (path / name).symlink_to(node.to)
        else:
            (path / name).write_bytes(node.left(chance))
