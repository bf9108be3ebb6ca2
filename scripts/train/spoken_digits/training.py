"""From windows to weights: first from everything, then once more with what is hard: speech that was taken for a digit,
and digits without their first consonant."""

from __future__ import annotations

import copy
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from spoken_digits.network import Recogniser
from spoken_digits.scenes import UNKNOWN, Scenes
from spoken_digits.surroundings import Surroundings
from torch import Tensor, nn

BATCH = 192
PEAK_RATE, SECOND_RATE = 4e-3, 1e-3
_BEGUN_LATE = 0.35
_ECHO_AFTER = 40
"""Steps until a batch is seen again."""
_LOOKED_AT, _KEPT, _PER_BATCH = 200, 300, 8
"""Batches of speech that are searched; windows kept for each digit that is heard in them; so many in each batch."""
_TOLD_EVERY = 100

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long is trained."""

    steps: int
    seed: int

    @property
    def more_steps(self) -> int:
        """Of the second time."""
        return self.steps // 5


def train(scenes: Scenes, surroundings: Surroundings, effort: Effort) -> Recogniser:
    """A recogniser, ready to answer. What it is after so many steps follows from the seed and the material alone."""
    torch.manual_seed(effort.seed)
    return train_again(_train_once(scenes, surroundings, effort), scenes, surroundings, effort)


def _train_once(scenes: Scenes, surroundings: Surroundings, effort: Effort) -> Recogniser:
    network = Recogniser().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=effort.steps, pct_start=0.2)
    batches = _ahead(lambda: surroundings.around(*scenes.batch(BATCH)), effort.steps)
    return _learn(network, batches, optimiser, schedule, np.random.default_rng(effort.seed))


def train_again(network: Recogniser, scenes: Scenes, surroundings: Surroundings, effort: Effort) -> Recogniser:
    """A trained network, better at what sounds most like a digit to it and is none, and at digits that are cut off."""
    dice = np.random.default_rng(effort.seed + 1)
    hard = _hardest(network, scenes, surroundings)
    scenes.begun_late = _BEGUN_LATE
    network = copy.deepcopy(network).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(network.parameters(), lr=SECOND_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, total_iters=effort.more_steps)

    def batch() -> Batch:
        bands, labels = surroundings.around(*scenes.batch(BATCH - _PER_BATCH))
        chosen = hard[torch.from_numpy(dice.integers(len(hard), size=_PER_BATCH))]
        return torch.cat([bands, chosen]), torch.cat([labels, torch.full((_PER_BATCH,), UNKNOWN)])

    return _learn(network, _ahead(batch, effort.more_steps), optimiser, schedule, dice)


def _hardest(network: Recogniser, scenes: Scenes, surroundings: Surroundings) -> Tensor:
    """(windows, 1, bands, frames): of speech without digits, those in which a digit is heard the most, as many for
    each digit: else they would all hold "to" and "for"."""
    heard: list[Tensor] = []
    scores: list[Tensor] = []
    with torch.inference_mode():
        for _ in range(_LOOKED_AT):
            bands, _ = surroundings.around(*scenes.speech(BATCH))
            found = network(bands.contiguous(memory_format=torch.channels_last)).softmax(dim=1)[:, :10]
            kept = found.amax(dim=1) > 0.1
            heard.append(bands[kept].half())
            scores.append(found[kept])
    each = torch.cat(scores)
    numbers = {int(number) for digit in range(10) for number in each[:, digit].argsort(descending=True)[:_KEPT]}
    print(
        f"{len(each)} windows of {_LOOKED_AT * BATCH} without a digit sound like one, {len(numbers)} are kept",
        flush=True,
    )
    return torch.cat(heard)[torch.tensor(sorted(numbers))].float().clone()


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
        bands = _masked(bands, dice)
        with torch.autocast("cpu", torch.bfloat16, enabled=halved):
            scores = network(bands.contiguous(memory_format=torch.channels_last))
        loss = loss_of(scores.float(), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        losses += loss.item()
        right += (scores.argmax(dim=1) == labels).float().mean().item()
        if step % _TOLD_EVERY == 0:
            figures = f"loss {losses / _TOLD_EVERY:.3f}, right {right / _TOLD_EVERY:.3f}"
            print(f"step {step}: {figures}, {time.monotonic() - began:.0f} s", flush=True)
            losses = right = 0.0
    trained: Recogniser = averaged.module
    trained.eval()
    return trained


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
