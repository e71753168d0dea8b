"""A diffusion over single vectors: noise is added in many steps, and taken away in few.

Ho et al. 2020 (arXiv 2006.11239), with a network of two residual blocks that reads a condition and the step. Fewer
steps than were trained are spaced over all of them, as in Nichol and Dhariwal 2021 (arXiv 2102.09672, section 4);
guidance without a classifier is that of Ho and Salimans 2022 (arXiv 2207.12598).

Shapes: B users, d width of the vectors, c width of the condition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models import forward_costs
from models.phases import phase

TRAINED_STEPS = 1000
LEAST_NOISE, MOST_NOISE = 1e-4, 0.02
KEPT = np.cumprod(1 - np.linspace(LEAST_NOISE, MOST_NOISE, TRAINED_STEPS))
"""Share of the signal's variance that is left after each step, float64 [T]."""

BLOCKS, DROPOUT = 2, 0.2


@dataclass(frozen=True)
class Sampler:
    """How noise is taken away.

    Attributes:
        steps: Number of steps.
        guidance: Weight w in (1 + w) x noise predicted with the condition - w x noise predicted without; None predicts
            with the condition alone.
        first_steps: Whether the steps are the first of those trained, in which hardly any noise was added, and not
            spaced over all: as released.

    """

    steps: int
    guidance: float | None = None
    first_steps: bool = False

    @property
    def times(self) -> list[int]:
        """For each step the trained step that it takes, the noisiest first."""
        if self.first_steps:
            return list(range(self.steps - 1, -1, -1))
        return [(place * TRAINED_STEPS) // self.steps - 1 for place in range(self.steps, 0, -1)]


class Denoiser(nn.Module):
    """Predicts the noise in a vector.

    Args:
        width: d.
        condition: c.
        hidden: Width of the inner layers.

    Attributes:
        times: A fixed random vector a step, [T, d].
        kept: `KEPT`, for training.

    """

    times: Tensor
    kept: Tensor

    def __init__(self, width: int, condition: int, hidden: int) -> None:
        super().__init__()
        self.sizes = width, condition, hidden
        self.blocks = nn.ModuleList([_block(width, hidden, width) for _ in range(BLOCKS)])
        self.tell = _block(condition, hidden, width)
        self.register_buffer("times", torch.randn(TRAINED_STEPS, width) * (2 / (TRAINED_STEPS + width)) ** 0.5)
        self.register_buffer("kept", torch.tensor(KEPT, dtype=torch.float32))

    def forward(self, noisy: Tensor, told: Tensor, time: Tensor | int) -> Tensor:
        """Predict the noise in vectors [B, d] at steps [B] or at one step; `told` is the condition through `tell`."""
        states = noisy + told + self.times[time]
        for block in self.blocks:
            states = states + block(states)
        return states

    def noised(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """Add to vectors [B, d] as much noise as there is after steps [B]."""
        kept = self.kept[time][:, None].to(clean.dtype)
        return kept.sqrt() * clean + (1 - kept).sqrt() * noise

    def sample(
        self, condition: Tensor, nothing: Tensor, noise: Tensor, sampler: Sampler, *, told_once: bool = True
    ) -> Tensor:
        """Make vectors out of noise.

        Args:
            condition: [B, c].
            nothing: What stands for no condition, [c].
            noise: What all users begin with, and what is added after each step but the last, [steps, d] at least.
            sampler: How noise is taken away.
            told_once: Whether the condition is transformed once and not at every step, which changes no result.

        Returns:
            [B, d].

        """
        users, guided = len(condition), sampler.guidance is not None
        asked = torch.cat([condition, nothing.expand_as(condition)]) if guided else condition
        with phase("condition"):
            told = self.tell(asked) if told_once else None
        states = noise[0].expand(users, -1)
        times = sampler.times
        for place, time in enumerate(times):
            with phase(f"diffusion step {place + 1}"):
                told_now = self.tell(asked) if told is None else told
                said = self(states.repeat(2, 1) if guided else states, told_now, time)
                if sampler.guidance is not None:
                    said = (1 + sampler.guidance) * said[:users] - sampler.guidance * said[users:]
                left = KEPT[times[place + 1]] if place + 1 < len(times) else 1.0
                beta = 1 - KEPT[time] / left
                states = (states - float(beta / (1 - KEPT[time]) ** 0.5) * said) / float((1 - beta) ** 0.5)
                if place + 1 < len(times):
                    states = states + float(beta**0.5) * noise[place + 1]
        return states

    def cost(self, users: int, sampler: Sampler, *, told_once: bool = True) -> int:
        """Return the operations of `sample` by a closed formula."""
        width, condition, hidden = self.sizes
        rows = users * (1 if sampler.guidance is None else 2)
        told = forward_costs.products(rows, (condition, hidden), (hidden, width))
        step = BLOCKS * forward_costs.products(rows, (width, hidden), (hidden, width))
        return told * (1 if told_once else sampler.steps) + step * sampler.steps


def _block(before: int, hidden: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(before, hidden),
        nn.ReLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(hidden, after),
    )
