"""What training takes: padding of an epoch, memory of the loss, interactions a second, each beside the plain way."""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor
from torch.nn import functional
from torch.utils.data import RandomSampler
from transformers.trainer_pt_utils import LengthGroupedSampler

from bench.cli.options import choose_device, set_threads
from bench.data.dataset import Dataset
from bench.face.session import loading_of, read_numbers
from bench.measure import memory
from bench.statistics.intervals import bootstrap
from bench.training.arguments import adafactor, in_bfloat16, plain_attention
from bench.training.batches import LengthGroupedBatches
from bench.training.recipes import Optimizer, Recipe, resolve
from models import registry
from models.dropout import Dropout
from models.losses import catalogue_cross_entropy
from models.trainable import Examples, TrainableRecommender

WIDTH = 64
TURNS = 8
STEPS = 6
"""Training steps a turn."""

USUAL = ("sasrec", "lite-llm4rec")

ON_A_DECODER = {"tiger": "compact-llama", "openp5-llama": "compact"}
"""Generative recommenders that can learn every item of a history, and their presets without an encoder."""

WITH_AN_ENCODER = ("tiger", "p5")
"""Generative recommenders whose encoder reads the whole prompt, so that a prompt teaches one target."""

DROPOUT = 0.1
"""As T5 and its recommenders are published."""

Loss = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]


def whole(queries: Tensor, vectors: Tensor, targets: Tensor, bias: Tensor | None = None) -> Tensor:
    """Hold all logits at once."""
    return functional.cross_entropy(functional.linear(queries, vectors, bias).float(), targets)


@pytest.fixture(scope="module")
def dataset(request: pytest.FixtureRequest) -> Dataset:
    """The dataset that the command line names, generated data where it names none."""
    option = request.config.option
    read_numbers(option)
    set_threads(option.threads or 1)
    name: str = (option.dataset or ["synthetic"])[0]
    return loading_of(option).load(name)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Train what the command line names."""
    if "recommender" in metafunc.fixturenames:
        metafunc.parametrize("recommender", metafunc.config.option.recommender or USUAL)


def _built(
    recommender: str, dataset: Dataset, chosen: dict[str, Any] | None = None
) -> tuple[TrainableRecommender, Recipe, Examples]:
    settings, recipe = resolve(recommender, dataset.name, chosen or {})
    model: Any = registry.load(recommender).build(dataset.catalogue, dataset.training(), settings)
    return model, recipe, model.examples(dataset.training())


ORDERS: dict[str, Callable[[Sequence[int], int], Sequence[int]]] = {
    "sorted over the epoch": lambda lengths, size: list(LengthGroupedBatches(lengths, size, seed=0)),
    "sorted within 50 batches": lambda lengths, size: list(LengthGroupedSampler(size, lengths=list(lengths))),
    "shuffled": lambda lengths, _: list(RandomSampler(lengths)),
}


@pytest.mark.parametrize("order", ORDERS)
def bench_padding(
    benchmark: BenchmarkFixture, dataset: Dataset, order: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Order an epoch of SASRec's windows; which share of the places of its batches is padding?"""
    _, recipe, examples = _built("sasrec", dataset)
    benchmark.group = f"an epoch's order, {dataset.variant}"
    rows = benchmark(ORDERS[order], examples.lengths, recipe.batch_size)
    lengths = np.array(examples.lengths)[rows]
    cuts = [lengths[start : start + recipe.batch_size] for start in range(0, len(lengths), recipe.batch_size)]
    padding = 1 - lengths.sum() / sum(int(cut.max()) * len(cut) for cut in cuts)
    benchmark.extra_info |= {"padding": padding, "batch size": recipe.batch_size, "examples": len(lengths)}
    _tell(capsys, f"{dataset.variant}, batches of {recipe.batch_size}, {order}: {padding:.1%} padding")


@pytest.mark.parametrize("loss", [whole, catalogue_cross_entropy], ids=["whole", "chunked"])
@pytest.mark.parametrize(
    ("rows", "items"), [(1_000, 3_000), (8_000, 3_000), (1_000, 12_000), (8_000, 12_000), (1_000, 100_000)]
)
def bench_loss(
    benchmark: BenchmarkFixture, rows: int, items: int, loss: Loss, capsys: pytest.CaptureFixture[str]
) -> None:
    """Take loss and gradients over a catalogue; what does it hold at its peak beyond inputs and gradients?"""
    benchmark.group = f"cross-entropy, {rows:,} predictions, {items:,} items"
    make = torch.Generator().manual_seed(0)
    queries, vectors = (torch.randn(count, WIDTH, generator=make).requires_grad_() for count in (rows, items))
    bias, targets = torch.zeros(items, requires_grad=True), torch.randint(0, items, (rows,), generator=make)

    def step() -> Tensor:
        queries.grad = vectors.grad = bias.grad = None
        value = loss(queries, vectors, targets, bias)
        value.backward()
        return value

    torch.testing.assert_close(step(), whole(queries, vectors, targets, bias))
    benchmark.pedantic(step, rounds=10, warmup_rounds=1)
    held = memory.allocated(step, device=torch.device("cpu")).peak
    logits = rows * items * 4
    benchmark.extra_info |= {"peak_bytes": held, "logits_bytes": logits}
    _tell(capsys, f"{rows:,} x {items:,}: {held / 2**20:,.0f} MiB held, logits alone {logits / 2**20:,.0f} MiB")


def bench_throughput(
    benchmark: BenchmarkFixture,
    dataset: Dataset,
    recommender: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Train as the recipe says and in the plain way, in turns: shuffled batches, all logits, float32.

    Examples are windows or prefixes, whose lengths count interactions; prompts would count tokens.
    """
    model, recipe, examples = _built(recommender, dataset)
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=recipe.learning_rate)
    home: Any = sys.modules[type(model).__module__]
    lengths = list(examples.lengths)
    in_bf16 = in_bfloat16(recipe, choose_device("cpu"))
    orders = {"recipe": ORDERS["sorted over the epoch"], "plain": ORDERS["shuffled"]}
    ways = {
        way: Training(model, examples, optimizer, _batches(order(lengths, recipe.batch_size), recipe.batch_size))
        for way, order in orders.items()
    }

    def turn(way: str) -> float:
        """Return the interactions a second of some steps."""
        if hasattr(home, "catalogue_cross_entropy"):  # those that write item IDs have their backbone's own loss
            monkeypatch.setattr(home, "catalogue_cross_entropy", catalogue_cross_entropy if way == "recipe" else whole)
        seconds, rows = ways[way].steps(in_bf16=in_bf16 and way == "recipe")
        return sum(lengths[row] for row in rows) / seconds

    for way in orders:
        turn(way)
    pairs = [(turn("recipe"), turn("plain")) for _ in range(TURNS)]
    benchmark.pedantic(turn, args=("recipe",), rounds=1)
    benchmark.extra_info |= {"bfloat16": in_bf16}
    _tell_ratio(benchmark, capsys, pairs, f"{recommender} on {dataset.variant}", "plain")


@pytest.mark.parametrize("system", ON_A_DECODER)
def bench_targets(
    benchmark: BenchmarkFixture, dataset: Dataset, system: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Learn every item of a history in one pass, and one target a prompt, over histories of one length, in turns."""
    device = choose_device("cpu")
    ways: dict[str, Callable[[], float]] = {}
    chosen: dict[str, Any] = {"preset": ON_A_DECODER[system]}
    for targets in ("all", "next"):
        model, recipe, examples = _built(system, dataset, chosen | {"targets": targets})
        chosen["max_history"] = model.config.settings["max_history"]
        optimizer = torch.optim.AdamW(model.train().parameters(), lr=recipe.learning_rate)
        order = ORDERS["sorted over the epoch"](examples.lengths, recipe.batch_size)
        training = Training(model, examples, optimizer, _batches(order, recipe.batch_size))
        learned = list(examples.lengths) if targets == "all" else [1] * len(examples)
        ways[targets] = partial(_learned_per_second, training, learned, in_bf16=in_bfloat16(recipe, device))
    for way in ways.values():
        way()
    pairs = [(ways["all"](), ways["next"]()) for _ in range(TURNS)]
    benchmark.pedantic(ways["all"], rounds=1)
    _tell_ratio(benchmark, capsys, pairs, f"{system} on a decoder alone, {dataset.variant}", "one target a prompt")


@pytest.mark.parametrize("system", WITH_AN_ENCODER)
def bench_prompts(
    benchmark: BenchmarkFixture, dataset: Dataset, system: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Learn one target a prompt as the recipe says and as T5s are usually trained, with dropout, in turns.

    Usually: shuffled batches, torch's own dropout, Adafactor, float32.
    """
    model, recipe, examples = _built(system, dataset, {"dropout": DROPOUT})
    usual = copy.deepcopy(model)
    for parent in usual.modules():
        for name, child in parent.named_children():
            if isinstance(child, Dropout):
                setattr(parent, name, torch.nn.Dropout(child.p))
    in_bf16 = in_bfloat16(recipe, choose_device("cpu"))
    plain = recipe.model_copy(update={"optimizer": Optimizer.ADAFACTOR, "learning_rate": 1e-2})
    ways = {
        "recipe": (model, recipe, ORDERS["sorted over the epoch"], in_bf16),
        "plain": (usual, plain, ORDERS["shuffled"], False),
    }
    learned = [1] * len(examples)
    turns: dict[str, Callable[[], float]] = {}
    for way, (learner, steps, order, bf16) in ways.items():
        batches = _batches(order(examples.lengths, recipe.batch_size), recipe.batch_size)
        training = Training(learner, examples, _optimizer(learner.train(), steps), batches)
        turns[way] = partial(_learned_per_second, training, learned, in_bf16=bf16)
    for turn in turns.values():
        turn()
    pairs = [(turns["recipe"](), turns["plain"]()) for _ in range(TURNS)]
    benchmark.pedantic(turns["recipe"], rounds=1)
    _tell_ratio(benchmark, capsys, pairs, f"{system}, one target a prompt, {dataset.variant}", "as usual")


@dataclass
class Training:
    """A model in training.

    Attributes:
        model: In training mode.
        examples: What it learns.
        optimizer: Takes the steps.
        batches: Numbers of examples, batch by batch.

    """

    model: TrainableRecommender
    examples: Examples
    optimizer: torch.optim.Optimizer
    batches: Iterator[Sequence[int]]

    def steps(self, *, in_bf16: bool) -> tuple[float, list[int]]:
        """Take some steps; returns the seconds and the examples that were learned."""
        taken = [next(self.batches) for _ in range(STEPS)]
        with plain_attention(self.model) if in_bf16 else nullcontext():
            started = time.perf_counter()
            for rows in taken:
                batch = self.model.collate([self.examples[row] for row in rows])
                with torch.autocast("cpu", torch.bfloat16, enabled=in_bf16):
                    loss = self.model(**batch).loss
                loss.backward()
                self.optimizer.step()
                self.optimizer.zero_grad()
            seconds = time.perf_counter() - started
        return seconds, [row for rows in taken for row in rows]


def _optimizer(model: TrainableRecommender, recipe: Recipe) -> torch.optim.Optimizer:
    """Make the optimizer that the training loop has for a recipe."""
    if recipe.optimizer is Optimizer.ADAFACTOR:
        return adafactor(model, recipe)
    return torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, fused=True)


def _learned_per_second(training: Training, learned: Sequence[int], *, in_bf16: bool) -> float:
    seconds, rows = training.steps(in_bf16=in_bf16)
    return sum(learned[row] for row in rows) / seconds


def _tell_ratio(
    benchmark: BenchmarkFixture,
    capsys: pytest.CaptureFixture[str],
    pairs: Sequence[tuple[float, float]],
    what: str,
    beside: str,
) -> None:
    """Keep and print interactions a second of two ways that took turns, and their ratio."""
    fast, slow = np.array(pairs).T
    log_ratio = bootstrap(np.log(fast / slow))
    ratio, low, high = np.exp([log_ratio.value, log_ratio.low, log_ratio.high]).tolist()
    told = {"interactions per second": float(np.median(fast)), "beside": float(np.median(slow))}
    benchmark.extra_info |= told | {"ratio": ratio, "low": low, "high": high}
    speeds = f"{np.median(fast):,.0f} interactions/s, {beside} {np.median(slow):,.0f}"
    _tell(capsys, f"{what}: {speeds}: {ratio:.2f} times [{low:.2f}, {high:.2f}]")


def _batches(order: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    whole_ones = [order[start : start + size] for start in range(0, len(order) - size + 1, size)]
    while True:
        yield from whole_ones


def _tell(capsys: pytest.CaptureFixture[str], line: str) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{line}\n")
