"""From windows to weights."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from spoken_digits.network import Recogniser
from spoken_digits.scenes import Scenes
from spoken_digits.surroundings import Surroundings
from torch import Tensor, nn

BATCH = 192
PEAK_RATE = 4e-3
_ECHO_AFTER = 40
"""Steps until a batch is seen again."""
_TOLD_EVERY = 100


@dataclass(frozen=True, slots=True)
class Effort:
    """How long is trained."""

    steps: int
    seed: int


def train(scenes: Scenes, surroundings: Surroundings, effort: Effort) -> Recogniser:
    """A recogniser, ready to answer. What it is after so many steps follows from the seed and the material alone."""
    torch.manual_seed(effort.seed)
    dice = np.random.default_rng(effort.seed)
    network = Recogniser().to(memory_format=torch.channels_last)
    averaged = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=True
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=effort.steps, pct_start=0.2)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    halved = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # where the processor multiplies 16 bits, twice as fast
    began, losses, right = time.monotonic(), 0.0, 0.0
    network.train()
    for step, (bands, labels) in enumerate(islice(_batches(scenes, surroundings, effort), effort.steps), start=1):
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
            passed = time.monotonic() - began
            print(
                f"step {step}/{effort.steps}: loss {losses / _TOLD_EVERY:.3f}, right {right / _TOLD_EVERY:.3f}, "
                f"{passed:.0f} s",
                flush=True,
            )
            losses = right = 0.0
    trained: Recogniser = averaged.module
    trained.eval()
    return trained


def _batches(scenes: Scenes, surroundings: Surroundings, effort: Effort) -> Iterator[tuple[Tensor, Tensor]]:
    """Log-mel windows and labels, made ahead on a thread of their own; each batch comes twice, some steps apart, since
    making one costs as much as learning from it (data echoing: Choi and others, 2019)."""
    ready: queue.Queue[tuple[Tensor, Tensor]] = queue.Queue(maxsize=4)

    def make() -> None:
        for _ in range((effort.steps + 1) // 2):
            ready.put(surroundings.around(*scenes.batch(BATCH)))

    maker = threading.Thread(target=make, name="windows", daemon=True)
    maker.start()
    kept: deque[tuple[Tensor, Tensor]] = deque()
    for _ in range((effort.steps + 1) // 2):
        kept.append(ready.get())
        yield kept[-1]
        if len(kept) > _ECHO_AFTER:
            yield kept.popleft()
    yield from kept
    maker.join()


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
