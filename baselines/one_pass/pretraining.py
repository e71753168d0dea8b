"""Short trainings of their own, for what must be learned before a recommender's training proper begins."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from pydantic import Field
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import get_linear_schedule_with_warmup
from transformers.trainer_pt_utils import LengthGroupedSampler

from baselines.one_pass.sasrec import SASRec, SASRecConfig, blocks
from models import recommender
from models.catalogue import History
from models.trainable import Examples

WARM_UP = 0.05
"""Share of the steps over which the learning rate rises; then it falls to 0."""

Collate = Callable[[list[dict[str, object]]], dict[str, Tensor]]


class Settings(recommender.Settings):
    """How long is trained what others start from.

    Attributes:
        pretrain_epochs: Epochs; 0 leaves random weights.
        pretrain_batch: Examples a step.
        pretrain_rate: Highest learning rate.

    """

    pretrain_epochs: float = Field(default=4.0, ge=0, le=10_000)
    pretrain_batch: int = Field(default=128, ge=1, le=65_536)
    pretrain_rate: float = Field(default=1e-3, gt=0, le=1)


def collaborative_vectors(
    items: int,
    histories: Sequence[History],
    settings: Settings,
    *,
    size: dict[str, int],
    places: int,
    dropout: float,
    device: torch.device,
) -> Tensor:
    """Train a SASRec by cross-entropy over the catalogue and return its item vectors, [n + 1, D]; row 0 is padding's.

    Args:
        items: Size n of the catalogue.
        histories: The training part.
        settings: How it is trained.
        size: Width D, layers and heads.
        places: Most items that it reads of a history.
        dropout: On embeddings, attention and residual branches.
        device: Where it is trained.

    """
    backbone = blocks(size, rows=items + 1, places=places, dropout=dropout)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        model = SASRec(SASRecConfig(items, "ce", places, backbone.to_diff_dict()))
    nn.Module.to(model, device).train()

    def loss(batch: dict[str, Tensor]) -> Tensor:
        cross_entropy: Tensor = model(**batch).loss
        return cross_entropy

    fit(
        loss,
        model.parameters(),
        model.examples(histories),
        model.collate,
        epochs=settings.pretrain_epochs,
        batch_size=settings.pretrain_batch,
        learning_rate=settings.pretrain_rate,
        seed=settings.seed,
        title="item vectors",
    )
    vectors: Tensor = model.backbone.wte.weight.detach().clone()
    return vectors


def fit(
    loss: Callable[[dict[str, Tensor]], Tensor],
    weights: Iterable[nn.Parameter],
    examples: Examples,
    collate: Collate,
    *,
    epochs: float,
    batch_size: int,
    learning_rate: float,
    seed: int,
    title: str,
) -> None:
    """Minimise a loss by AdamW over batches of similar length; the seed settles it, and torch's generator with it.

    Args:
        loss: Mean loss of one batch.
        weights: What moves; the first one says on which device.
        examples: What is learned.
        collate: Pads examples into a batch.
        epochs: How often everything is seen; 0 leaves the weights as they are.
        batch_size: Examples a step.
        learning_rate: The highest one.
        seed: Seed of order and dropout.
        title: What the bar is called.

    """
    moved = list(weights)
    steps = math.ceil(epochs * len(examples) / batch_size)
    if not steps:
        return
    device = moved[0].device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        optimiser = torch.optim.AdamW(moved, lr=learning_rate, weight_decay=0.0)
        schedule = get_linear_schedule_with_warmup(optimiser, round(WARM_UP * steps), steps)
        batches = _batches(examples, batch_size, seed)
        for _ in tqdm(range(steps), desc=title, mininterval=1, disable=None, leave=False):
            batch = collate([examples[number] for number in next(batches)])
            optimiser.zero_grad()
            loss({name: value.to(device) for name, value in batch.items()}).backward()
            nn.utils.clip_grad_norm_(moved, 1.0)
            optimiser.step()
            schedule.step()
        optimiser.zero_grad()  # or gradients would stay in memory


def _batches(examples: Examples, size: int, seed: int) -> Iterator[list[int]]:
    """Yield batches for ever, every example once an epoch."""
    generator = torch.Generator().manual_seed(seed)
    lengths = list(examples.lengths)
    while True:
        order = list(LengthGroupedSampler(size, lengths=lengths, generator=generator))
        yield from (order[start : start + size] for start in range(0, len(order), size))
