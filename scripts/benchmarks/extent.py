"""How much is measured: the whole run, a quick look, or just enough to see that everything works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extent:
    """Counts and durations of every part."""

    name: str
    large: int = 640
    """Size of the larger detector's input, in pixels."""
    small: int = 320
    film_s: int = 10
    rounds: int = 5
    """Of alternatives that take turns in this process."""
    pictures: int = 10
    """Per alternative and round, at the large size; twice as many at the small one."""
    latency_rounds: int = 3
    latency_s: float = 3.0
    settle_s: float = 1.0
    """Left out after the first result of a process."""
    viewer_rounds: int = 40
    """Of the same length."""
    beside_rounds: int = 10
    """Of something else at work beside the pipeline."""
    cameras: tuple[int, ...] = (1, 2, 4, 8)
    cameras_s: float = 4.0
    ticks: int = 90
    """Messages, or bursts of messages, at 30 a second."""
    idle_s: float = 6.0
    starts: int = 5
    commits: int = 400
    kills: int = 3
    sound_steps: int = 150


FULL = Extent("full")
QUICK = Extent(
    "quick",
    rounds=3,
    pictures=6,
    latency_rounds=1,
    latency_s=2.0,
    settle_s=0.5,
    viewer_rounds=12,
    beside_rounds=6,
    cameras=(1, 4),
    cameras_s=2.0,
    ticks=45,
    idle_s=2.0,
    starts=2,
    commits=100,
    kills=1,
    sound_steps=40,
)
TINY = Extent(
    "tiny",
    large=96,
    small=64,
    film_s=1,
    rounds=1,
    pictures=2,
    latency_rounds=1,
    latency_s=0.5,
    settle_s=0.1,
    viewer_rounds=2,
    beside_rounds=2,
    cameras=(1, 2),
    cameras_s=0.5,
    ticks=5,
    idle_s=0.5,
    starts=1,
    commits=10,
    kills=1,
    sound_steps=5,
)
EXTENTS = {extent.name: extent for extent in (FULL, QUICK, TINY)}
