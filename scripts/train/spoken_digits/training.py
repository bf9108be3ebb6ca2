"""From windows to weights."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from spoken_digits.network import Recogniser, levelled
from spoken_digits.scenes import UNKNOWN, Scenes
from spoken_digits.surroundings import Surroundings
from torch import Tensor, nn

BATCH = 192
PEAK_RATE = 4e-3
_ECHO_AFTER = 40
"""Steps until a batch is seen again."""
_LESS_UNKNOWN = 0.7
"""How much is taken off the score of `unknown` in the end. In what is trained with it is the commonest label by far, so
that of a strange voice it is said too often. How sure a word must be to become an event is decided later."""
_TOLD_EVERY = 100

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long is trained."""

    steps: int
    seed: int


def train(scenes: Scenes, surroundings: Surroundings, effort: Effort) -> Recogniser:
    """A recogniser, ready to answer. What it is after so many steps follows from the seed and the material alone."""
    torch.manual_seed(effort.seed)
    network = Recogniser().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=effort.steps, pct_start=0.2)
    batches = _ahead(lambda: surroundings.around(*scenes.batch(BATCH)), effort.steps)
    network = _learn(network, batches, optimiser, schedule, np.random.default_rng(effort.seed))
    with torch.no_grad():
        for last in (body[-1] for body in network.bodies):
            last.bias[UNKNOWN] -= _LESS_UNKNOWN
    return network


def _learn(
    network: Recogniser,
    batches: Iterator[Batch],
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    dice: np.random.Generator,
) -> Recogniser:
    """The average of the last weights, after all batches."""
    averaged = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    halved = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # where the processor multiplies 16 bits, twice as fast
    began, losses, right = time.monotonic(), 0.0, 0.0
    network.train()
    for step, (bands, labels) in enumerate(batches, start=1):
        with torch.autocast("cpu", torch.bfloat16, enabled=halved):
            scores = torch.stack([_heard_by(body, _masked(bands, dice)) for body in network.bodies]).float()
        loss = torch.stack([loss_of(each, labels) for each in scores]).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        losses += loss.item() / len(scores)
        right += (scores.mean(dim=0).argmax(dim=1) == labels).float().mean().item()
        if step % _TOLD_EVERY == 0:
            figures = f"loss {losses / _TOLD_EVERY:.3f}, right {right / _TOLD_EVERY:.3f}"
            print(f"step {step}: {figures}, {time.monotonic() - began:.0f} s", flush=True)
            losses = right = 0.0
    trained: Recogniser = averaged.module
    trained.eval()
    return trained


def _heard_by(body: nn.Module, bands: Tensor) -> Tensor:
    scores: Tensor = body(levelled(bands).contiguous(memory_format=torch.channels_last))
    return scores


def _ahead(make: Callable[[], Batch], steps: int) -> Iterator[Batch]:
    """So many batches, made ahead on a thread of their own; each comes twice, some steps apart, since making one costs
    as much as learning from it (data echoing: Choi and others, 2019)."""
    ready: queue.Queue[Batch] = queue.Queue(maxsize=4)
    fresh = (steps + 1) // 2

    def fill() -> None:
        for _ in range(fresh):
            ready.put(make())

    maker = threading.Thread(target=fill, name="windows", daemon=True)
    maker.start()
    yield from islice(_twice(ready.get() for _ in range(fresh)), steps)
    maker.join()


def _twice(batches: Iterator[Batch]) -> Iterator[Batch]:
    kept: deque[Batch] = deque()
    for batch in batches:
        kept.append(batch)
        yield batch
        if len(kept) > _ECHO_AFTER:
            yield kept.popleft()
    yield from kept


def _masked(bands: Tensor, dice: np.random.Generator) -> Tensor:
    """In half of the windows a few bands, in half a few frames are set to the window's mean (SpecAugment)."""
    count, _, height, width = bands.shape
    mean = bands.mean(dim=(2, 3), keepdim=True)
    row, column = torch.arange(height).view(1, 1, -1, 1), torch.arange(width).view(1, 1, 1, -1)
    for axis, size, most in ((row, height, 6), (column, width, 10)):
        length = torch.from_numpy(dice.integers(0, most, (count, 1, 1, 1)) * (dice.random((count, 1, 1, 1)) < 0.5))
        first = torch.from_numpy(dice.integers(0, size - most, (count, 1, 1, 1)))
        bands = torch.where((axis >= first) & (axis < first + length), mean, bands)
    return bands
