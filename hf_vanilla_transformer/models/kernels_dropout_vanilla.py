"""Dropout (Srivastava et al. 2014; section 5.4 of the paper) in less than half of torch's time on CPU."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn


def dropout(states: torch.Tensor, probability: float, training: bool) -> torch.Tensor:
    """Set elements to zero with the given probability and scale the rest up, in training only.

    Torch draws one random number an element on CPU, which takes longer than the rest of a layer's elementwise work.
    Here it is one random byte (`_kept`). On other devices, and in a compiler, torch's own is used.

    Args:
        states: any shape.
        probability: at least 0 and less than 1.
        training: whether anything is dropped.
    """
    if not training or probability == 0.0:
        return states
    if states.device.type != "cpu" or torch.compiler.is_compiling():
        return nn.functional.dropout(states, probability)
    return states * _kept(states, probability).mul_(1 / (1 - probability))


def _kept(states: torch.Tensor, probability: float) -> torch.Tensor:
    """1 where an element is kept and 0 where it is dropped, as numbers of the type of `states`.

    A byte an element drops with the largest multiple of 1/256 that is not above the probability. What is missing are a
    few more elements: where points are strewn at random (a Poisson process), each is hit or not independently of all
    others, so that together every element is dropped with the probability exactly.

    SFC64 makes bytes in half of the time that torch's generator takes. Its seed comes from torch's generator, so that
    `torch.manual_seed`, gradient checkpointing and resumed training mean what they always do.
    """
    count = states.numel()
    seed = torch.empty((), dtype=torch.int64, device="cpu").random_()
    random = np.random.Generator(np.random.SFC64(int(seed)))
    numbers = torch.from_numpy(random.bit_generator.random_raw(-(-count // 8)).view(np.int8)[:count])
    whole = int(256 * probability)
    kept = torch.empty(states.shape, dtype=states.dtype, device=states.device)
    # Written as numbers at once: a boolean mask and its conversion take more than twice as long.
    torch.ge(numbers.view(states.shape), whole - 128, out=kept)
    missing = (256 * probability - whole) / (256 - whole)
    if missing and count:
        points = random.poisson(-math.log1p(-missing) * count)
        kept.view(-1).index_fill_(0, torch.from_numpy(random.integers(count, size=points)), 0)
    return kept


class Dropout(nn.Dropout):
    """The module of `dropout`."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Any shape to the same shape."""
        return dropout(hidden_states, self.p, self.training)


__all__ = ["Dropout", "dropout"]
