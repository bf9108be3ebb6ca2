"""From scenes to a trained detector."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, distributed
from torch.nn import functional

from digits.dataset import Dataset
from digits.loss import Truth, loss
from digits.network import Detector, centres
from digits.scene import SIDE

logger = logging.getLogger(__name__)


PROCESSES = 2
"""Each computes half of every batch on one core: quicker than one process on two, and the same on any machine."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long and how fast is learnt."""

    epochs: int
    batch: int = 16
    rate: float = 3e-3
    warm_up: int = 150
    """Steps in which the rate rises."""
    decay: float = 0.02
    averaging: float = 0.998
    """Of the weights that are kept: a running mean of those that are trained."""
    sides: tuple[int, ...] = (160, 192, 224)
    """Sizes of pictures; a batch has one of them."""
    full_size: float = 0.12
    """Share of the training, at its end, with pictures in full size."""


def train(data: Dataset, recipe: Recipe, seed: int, scratch: Path) -> Detector:
    """A detector in evaluation mode; `scratch` is a folder for files of the meantime."""
    weights = scratch / "weights.pt"
    torch.multiprocessing.spawn(_learn, (data, recipe, seed, scratch / "meeting", weights), nprocs=PROCESSES)  # type: ignore[no-untyped-call]
    detector = Detector()
    detector.load_state_dict(torch.load(weights))
    return detector.eval()


def _learn(rank: int, data: Dataset, recipe: Recipe, seed: int, meeting: Path, weights: Path) -> None:
    """Body of each process."""
    logging.basicConfig(level=logging.INFO if rank == 0 else logging.WARNING, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=PROCESSES)
    network = Detector().to(memory_format=torch.channels_last)
    mean = copy.deepcopy(network)
    optimiser = _optimiser(network, recipe)
    shared, own = np.random.default_rng([seed, 7]), np.random.default_rng([seed, 8, rank])
    many = len(data.pixels)
    steps = recipe.epochs * (many // recipe.batch)
    started, sums = time.monotonic(), np.zeros(3)
    for step, numbers in enumerate(_batches(many, recipe, shared)):
        for group in optimiser.param_groups:
            group["lr"] = _rate(step, steps, recipe)
        side = int(shared.choice(recipe.sides))
        side = SIDE if step >= (1 - recipe.full_size) * steps else side
        pictures, truth = _batch(data, numbers[rank::PROCESSES], side, own)
        wrong = loss(network(pictures), truth, *centres(side, side))
        optimiser.zero_grad(set_to_none=True)
        wrong.loss.backward()  # type: ignore[no-untyped-call]
        _share_gradients(network)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
        _follow(mean, network, min(recipe.averaging, (step + 1) / (step + 10)))
        sums += np.array([float(wrong.loss.detach()), wrong.overlap, wrong.named]) / 50
        if step % 50 == 49:
            minutes = (time.monotonic() - started) / 60
            told = (step + 1, steps, *sums, minutes)
            logger.info("step %d of %d: loss %.3f, overlap %.3f, named %.3f after %.1f minutes", *told)
            sums[:] = 0
            if rank == 0:
                torch.save(mean.state_dict(), weights)
    if rank == 0:
        torch.save(mean.state_dict(), weights)
    distributed.destroy_process_group()


def _optimiser(network: Detector, recipe: Recipe) -> torch.optim.Optimizer:
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": recipe.decay},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.rate)


def _share_gradients(network: Detector) -> None:
    """Every process goes on with the mean of all."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= PROCESSES
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def _rate(step: int, steps: int, recipe: Recipe) -> float:
    if step < recipe.warm_up:
        return recipe.rate * (step + 1) / recipe.warm_up
    return recipe.rate * (
        0.01 + 0.99 * (1 + math.cos(math.pi * (step - recipe.warm_up) / (steps - recipe.warm_up))) / 2
    )


def _follow(mean: Detector, network: Detector, share: float) -> None:
    with torch.no_grad():
        for ours, theirs in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
            if ours.is_floating_point():
                ours.lerp_(theirs, 1 - share)
            else:
                ours.copy_(theirs)


def _batches(many: int, recipe: Recipe, dice: np.random.Generator) -> Iterator[np.ndarray]:
    for _ in range(recipe.epochs):
        order = dice.permutation(many)
        for first in range(0, many - recipe.batch + 1, recipe.batch):
            yield np.sort(order[first : first + recipe.batch])


def _batch(data: Dataset, numbers: np.ndarray, side: int, dice: np.random.Generator) -> tuple[Tensor, Truth]:
    pictures = torch.from_numpy(np.ascontiguousarray(data.pixels[numbers])).permute(0, 3, 1, 2).float().div_(255)
    if side != SIDE:
        pictures = functional.interpolate(pictures, size=(side, side), mode="area")
    pictures = torch.stack([_varied(picture, dice) for picture in pictures])
    found = [data.digits(int(number)) for number in numbers]
    which = np.concatenate([np.full(len(digits), place, np.int64) for place, (digits, _) in enumerate(found)])
    truth = Truth(
        torch.from_numpy(which),
        torch.from_numpy(np.concatenate([digits for digits, _ in found])),
        torch.from_numpy(np.concatenate([boxes for _, boxes in found]) * np.float32(side / SIDE)),
    )
    return pictures.contiguous(memory_format=torch.channels_last), truth


def _varied(picture: Tensor, dice: np.random.Generator) -> Tensor:
    """Digits stay digits in other colours: negative, channels exchanged, brighter or darker."""
    if dice.random() < 0.2:
        picture = 1 - picture
    if dice.random() < 0.3:
        picture = picture[torch.from_numpy(dice.permutation(3))]
    if dice.random() < 0.4:
        picture = (picture * dice.uniform(0.7, 1.3) + dice.uniform(-0.1, 0.1)).clamp(0, 1)
    return picture
