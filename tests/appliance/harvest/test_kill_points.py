"""Device and service end at every single step of a sample's way, and begin again: it is there once, whole, or was never
said to be kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.harvest.barn import Barn
from appliance.harvest.sample import Harvested, from_json, to_json
from engines import durable
from tests.appliance.harvest.samples import PICTURE, kept, store

SAMPLES = 2


class Death(BaseException):
    """The process is gone: nothing may catch it."""


class Steps:
    """Counts everything that changes the disk, and ends the process before the one of a given number; a file that was
    being written then is left half written."""

    def __init__(self, patch: pytest.MonkeyPatch, die_at: int) -> None:
        self.count = 0
        self._die_at = die_at
        write = durable.write

        def torn(path: Path, content: bytes) -> None:
            if self._ends_now():
                if self.count == self._die_at and path.parent.is_dir():
                    path.write_bytes(content[: len(content) // 2])
                raise Death
            write(path, content)

        patch.setattr(durable, "write", torn)
        for name in ("replace", "unlink", "mkdir"):
            patch.setattr(Path, name, self._counted(getattr(Path, name)))

    def _ends_now(self) -> bool:
        """And whoever is dead tidies up nothing."""
        self.count += 1
        return self.count >= self._die_at > 0

    def _counted(self, act: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if self._ends_now():
                raise Death
            return act(*arguments, **options)

        return counted


def live(folder: Path, done: list[Harvested]) -> None:
    """Keep what is still to be kept, then bring everything to the owner."""
    shelf = store(folder / "device")
    barn = Barn(folder / "barn")
    barn.prepare()
    while len(done) < SAMPLES:
        done += kept(shelf)
    while shelf.oldest is not None:
        found = shelf.read(shelf.oldest)
        if found is not None:
            about, data = found
            assert barn.put("box", to_json(about), data).status == "stored"
            shelf.remove(about.name)


def steps_of_a_whole_life(folder: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        steps = Steps(patch, die_at=0)
        live(folder, [])
    return steps.count


@pytest.mark.faults
def test_whatever_step_was_the_last_every_sample_comes_once_and_whole(tmp_path: Path) -> None:
    total = steps_of_a_whole_life(tmp_path / "undisturbed")
    assert total > 20
    for die_at in range(1, total + 1):
        folder = tmp_path / str(die_at)
        done: list[Harvested] = []
        with pytest.MonkeyPatch.context() as patch:
            Steps(patch, die_at)
            with pytest.raises(Death):
                live(folder, done)
        live(folder, done)
        pictures = sorted((folder / "barn").rglob("*.jpg"))
        documents = [from_json(path.with_suffix(".json").read_bytes()) for path in pictures]
        names = [each.name for each in documents]
        assert len(set(names)) == len(names), f"step {die_at}: one came twice"
        assert {each.name for each in done} <= set(names), f"step {die_at}: one is lost"
        assert len(names) - SAMPLES in (0, 1), f"step {die_at}: at most the one that was being kept comes on top"
        assert all(path.read_bytes() == PICTURE for path in pictures), f"step {die_at}"
        assert len({each.series for each in documents}) == 1, f"step {die_at}"
        left = [path.name for path in folder.rglob("*") if path.is_file() and path.suffix not in (".jpg", ".json")]
        assert not left, f"step {die_at}: {left}"
