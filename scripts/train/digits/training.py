"""From scenes to a trained detector."""

from __future__ import annotations

import copy
import functools
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, distributed

from digits.batches import Batches
from digits.dataset import Dataset
from digits.loss import Truth, Wrong, loss
from digits.network import Detector

logger = logging.getLogger(__name__)


_TOLD, _KEPT = 50, 500
"""Steps between two lines of the log, and between two files of weights."""
PROCESSES = 2
"""Each computes half of every batch on one core: quicker than one process on two, and the same on any machine."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast is learnt."""

    steps: int
    batch: int = 16
    rate: float = 4e-3
    warm_up: int = 300
    """Steps in which the rate rises."""
    falling: float = 0.54
    """Share of the training, at its end, in which the rate falls."""
    decay: float = 0.02
    averaging: float = 0.999
    """Of the weights that are kept: a running mean of those that are trained."""
    sides: tuple[int, ...] = (160, 192, 224, 256)
    """Sizes of sheets, windows and single displays; a batch has one of them."""
    plain: float = 0.18
    """Share of the training, at its end, with scenes as they are."""
    plain_sides: tuple[int, ...] = (256, 320)
    """Sizes of those: the network's own and a smaller one, which is quicker."""


def train(data: Dataset, recipe: Recipe, seed: int, scratch: Path) -> Detector:
    """A detector in evaluation mode; `scratch` is a folder for what lies between."""
    weights = scratch / "weights.pt"
    torch.multiprocessing.spawn(_learn, (data, recipe, seed, scratch / "meeting", weights), nprocs=PROCESSES)
    detector = Detector()
    detector.load_state_dict(torch.load(weights))
    detector.eval()
    return detector


def _learn(rank: int, data: Dataset, recipe: Recipe, seed: int, meeting: Path, weights: Path) -> None:
    """Body of each process."""
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(seed)
    distributed.init_process_group("gloo", init_method=f"file://{meeting.resolve()}", rank=rank, world_size=PROCESSES)
    network = Detector().to(memory_format=torch.channels_last)
    mean = copy.deepcopy(network)
    optimiser = _optimiser(network, recipe)
    shared, own = np.random.default_rng([seed, 7]), np.random.default_rng([seed, 8, rank])
    batches = Batches(data, np.arange(rank, len(data.kinds), PROCESSES), own)
    started, sums = time.monotonic(), np.zeros(3)
    for step in range(recipe.steps):
        if step < (1 - recipe.plain) * recipe.steps:
            pictures, truth = batches.mixed(recipe.batch // PROCESSES, int(shared.choice(recipe.sides)))
        else:
            pictures, truth = batches.plain(recipe.batch // PROCESSES, int(shared.choice(recipe.plain_sides)))
        wrong = _step(network, optimiser, pictures, truth, recipe, _rate(step, recipe))
        _follow(mean, network, min(recipe.averaging, (step + 1) / (step + 10)))
        sums += np.array([float(wrong.loss.detach()), wrong.overlap, wrong.named]) / _TOLD
        if step % _TOLD == _TOLD - 1:
            told = (step + 1, recipe.steps, *sums, (time.monotonic() - started) / 60)
            logger.info("step %d of %d: loss %.3f, overlap %.3f, named %.3f after %.1f minutes", *told)
            sums[:] = 0
        if rank == 0 and (step % _KEPT == _KEPT - 1 or step == recipe.steps - 1):
            torch.save(mean.state_dict(), weights)
    distributed.destroy_process_group()


def _step(
    network: Detector, optimiser: torch.optim.Optimizer, pictures: Tensor, truth: Truth, recipe: Recipe, rate: float
) -> Wrong:
    for group in optimiser.param_groups:
        group["lr"] = rate
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=_quick_bfloat16()):
        answers = network(pictures)
    wrong = loss(answers.float(), truth, pictures.shape[2])
    optimiser.zero_grad(set_to_none=True)
    wrong.loss.backward()
    _share_gradients(network)
    torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
    optimiser.step()
    return wrong


@functools.cache
def _quick_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself: then it takes little more than half the time of float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _optimiser(network: Detector, recipe: Recipe) -> torch.optim.Optimizer:
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": recipe.decay},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.rate, fused=True)


def _share_gradients(network: Detector) -> None:
    """Every process goes on with the mean of all."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= PROCESSES
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def _rate(step: int, recipe: Recipe) -> float:
    """Rises, stays, then falls along half a cosine."""
    if step < recipe.warm_up:
        return recipe.rate * (step + 1) / recipe.warm_up
    falling = recipe.steps * recipe.falling
    done = max(0.0, 1 - (recipe.steps - step) / falling) if falling else 0.0
    return recipe.rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def _follow(mean: Detector, network: Detector, share: float) -> None:
    with torch.no_grad():
        ours, theirs = list(mean.state_dict().values()), list(network.state_dict().values())
        real = [place for place, value in enumerate(ours) if value.is_floating_point()]
        torch._foreach_lerp_([ours[place] for place in real], [theirs[place] for place in real], 1 - share)
