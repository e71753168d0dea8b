"""Training on transformers' `Trainer`: early stopping on validation NDCG@10, resumable at any moment."""

from __future__ import annotations

import json
import math
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Sampler
from tqdm.auto import tqdm
from transformers import (
    Adafactor,
    EarlyStoppingCallback,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import ExportableState
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.utils import logging

from bench import checkpoints
from bench.checkpoints import Card
from bench.data.dataset import Dataset, Split
from bench.quality import evaluate
from bench.recipes import Optimizer, Recipe
from models import registry
from models.errors import UserError
from models.recommender import Examples, History, Serving, Settings, TrainableRecommender

RUN = "run"
"""Subfolder of an unfinished checkpoint in which the Trainer keeps what it resumes from."""

METRIC = "NDCG@10"


@dataclass
class Arguments(TrainingArguments):
    """The Trainer's arguments, the seconds that training may take, and over which last part of them it cools down."""

    max_seconds: float = math.inf
    cooldown: float = 0.0


class TimeBudget(TrainerCallback, ExportableState):
    """Shows a bar over the time budget, and evaluates, saves and stops once it is spent.

    Args:
        spent_s: Seconds that earlier parts of the training took; a resumed run restores them.

    """

    def __init__(self, spent_s: float = 0.0) -> None:
        self.spent_s = spent_s
        self._last = time.monotonic()
        self._bar: tqdm[Any] | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock and draw the bar."""
        del state, control
        assert isinstance(args, Arguments)
        self._last = time.monotonic()
        shape = "{desc}: {percentage:3.0f}% of the time |{bar}| {postfix}, at most {remaining} left"
        self._bar = tqdm(
            total=args.max_seconds,
            initial=min(self.spent_s, args.max_seconds),
            desc="training",
            bar_format=shape,
            dynamic_ncols=True,
            mininterval=1,
            disable=None,  # where nobody watches, the lines of evaluations are enough
        )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Move the bar; stop when the budget is spent."""
        assert isinstance(args, Arguments)
        now = time.monotonic()
        self.spent_s += now - self._last
        self._last = now
        if self._bar is not None:
            best = "none yet" if state.best_metric is None else f"{state.best_metric:.4f}"
            done = f"step {state.global_step}, epoch {state.epoch or 0:.1f}, best {METRIC} {best}"
            self._bar.set_postfix_str(done, refresh=False)
            self._bar.update(min(self.spent_s, args.max_seconds) - self._bar.n)
        if self.spent_s >= args.max_seconds:
            control.should_training_stop = control.should_evaluate = control.should_save = True

    def on_evaluate(self, *_: Any, **told: Any) -> None:
        """Leave a line for each evaluation."""
        if self._bar is not None:
            self._bar.write(f"validation {METRIC} {told['metrics'][f'eval_{METRIC}']:.4f}", file=sys.stderr)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def rate(self, args: Arguments, step: int) -> float:
        """Return the share of the learning rate that holds at a step."""
        warm = min(1.0, (step + 1) / max(1, args.warmup_steps))
        left = 1 - self.spent_s / args.max_seconds
        return warm if left >= args.cooldown else warm * max(0.0, left) / args.cooldown

    def state(self) -> dict[str, Any]:
        """Return what a resumed run goes on from."""
        return {"args": {"spent_s": self.spent_s}, "attributes": {}}


class RankingTrainer(Trainer):
    """A `Trainer` that groups examples by length and evaluates by ranking the catalogue."""

    train_dataset: Examples
    rank_validation: Callable[[], dict[str, float]]
    best: ClassVar[str] = f"eval_{METRIC}"

    def _get_train_sampler(self, *_: Any) -> Sampler[int]:
        return LengthGroupedSampler(
            self.args.train_batch_size * self.args.gradient_accumulation_steps, lengths=list(self.train_dataset.lengths)
        )

    @property
    def budget(self) -> TimeBudget:
        """How much time is spent; a resumed run has another one than was given."""
        return next(callback for callback in self.callback_handler.callbacks if isinstance(callback, TimeBudget))

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        """Let the time budget, not the number of steps, decide when the learning rate falls."""
        del num_training_steps
        args, changed = cast("Arguments", self.args), cast("torch.optim.Optimizer", optimizer or self.optimizer)
        self.lr_scheduler = LambdaLR(changed, lambda step: self.budget.rate(args, step))
        return self.lr_scheduler

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Rank validation users; the metrics that early stopping and the best checkpoint go by."""
        metrics = {f"eval_{name}": value for name, value in self.rank_validation().items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def train(
    name: str,
    settings: Settings,
    recipe: Recipe,
    dataset: Dataset,
    *,
    serving: Serving,
    device: torch.device,
    folder: Path,
) -> Card:
    """Train a recommender, or go on where an interrupted training stopped.

    Args:
        name: Registry name or ``package.module:Class`` of a `TrainableRecommender`.
        settings: What to build.
        recipe: How to train it.
        dataset: On what; its training part is learned, its validation targets are ranked.
        serving: How validation users are ranked.
        device: Where.
        folder: The checkpoint to make.

    Raises:
        UserError: The recommender has nothing to train.

    """
    kind = registry.load(name)
    if not issubclass(kind, TrainableRecommender):
        raise UserError(f"{name} has no weights to train: measure it with pytest bench/ --benchmark-only as it is")
    histories = dataset.training()
    model = kind.build(dataset.catalogue, histories, settings)
    model.serving = serving
    run = folder / RUN
    logging.disable_progress_bar()
    examples: Any = model.examples(histories)
    trainer = RankingTrainer(
        model=model,
        args=_arguments(run, recipe, settings.seed, device),
        train_dataset=examples,
        eval_dataset=examples,  # the Trainer insists on one; `evaluate` ranks validation users instead
        data_collator=model.collate,
        optimizers=(_optimizer(model, recipe), None),
        callbacks=[EarlyStoppingCallback(recipe.patience), TimeBudget()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.rank_validation = _validation_ranker(model, dataset, recipe, device)
    with _plain_attention(model) if trainer.args.bf16 and device.type == "cpu" else nullcontext():
        trainer.train(resume_from_checkpoint=_last_whole_checkpoint(run))
    model.save_pretrained(folder)
    card = Card(
        recommender=name,
        settings=settings.model_dump(mode="json"),
        dataset=dataset.name,
        dataset_checksum=dataset.source.checksum,
        dataset_options=dataset.source.options,
        recipe=recipe,
        validation=serving,
        training=_summary(trainer, model.num_parameters()),
    )
    checkpoints.write_card(folder, card)
    shutil.rmtree(run, ignore_errors=True)
    return card


def _optimizer(model: TrainableRecommender, recipe: Recipe) -> torch.optim.Optimizer | None:
    """Return the optimizer where the recipe's is not the Trainer's own AdamW."""
    if recipe.optimizer is not Optimizer.ADAFACTOR:
        return None
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return Adafactor(trained, lr=recipe.learning_rate, scale_parameter=True, relative_step=False, warmup_init=False)


def _arguments(run: Path, recipe: Recipe, seed: int, device: torch.device) -> Arguments:
    return Arguments(
        max_seconds=recipe.max_minutes * 60,
        output_dir=str(run),
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup_steps,
        cooldown=recipe.cooldown,
        num_train_epochs=recipe.epochs,
        bf16=_in_bfloat16(recipe, device),
        use_cpu=device.type == "cpu",
        seed=seed,
        eval_strategy="steps",
        eval_steps=recipe.evaluate_every,
        save_strategy="steps",
        save_steps=recipe.evaluate_every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model=METRIC,
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        remove_unused_columns=False,
        logging_steps=recipe.evaluate_every,
        disable_tqdm=True,
        report_to="none",
    )


def _in_bfloat16(recipe: Recipe, device: torch.device) -> bool:
    """Tell whether matrix products of training are taken in bfloat16, weights staying in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    has = torch.cpu.get_capabilities() if recipe.bf16_on_cpu else {}
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


@contextmanager
def _plain_attention(model: torch.nn.Module) -> Iterator[None]:
    """Attend by plain products: in bfloat16, torch's fused attention takes CPUs a third of a step longer."""
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel) and part is not model]
    before = [part.config._attn_implementation for part in parts]  # noqa: SLF001 - transformers has no public reader
    for part in parts:
        part.set_attn_implementation("eager")
    try:
        yield
    finally:
        for part, kind in zip(parts, before, strict=True):
            part.set_attn_implementation(kind)


def _validation_ranker(
    model: TrainableRecommender, dataset: Dataset, recipe: Recipe, device: torch.device
) -> Callable[[], dict[str, float]]:
    histories, targets = dataset.queries(Split.VALIDATION)
    rows = range(len(histories))
    if len(histories) > recipe.validation_users:
        rows = random.Random(0).sample(rows, recipe.validation_users)  # type: ignore[assignment]
    sample: list[History] = [histories[row] for row in rows]
    goals = [targets[row] for row in rows]

    def rank() -> dict[str, float]:
        model.eval()
        model.index(dataset.catalogue)
        parts = list(evaluate.rank_users(model, sample, goals, k=10, batch_size=64, device=device))
        metrics = evaluate.per_user_metrics(evaluate.join(parts).ranks, 10)
        model.train()
        return {name: float(values.mean()) for name, values in metrics.items()}

    return rank


def _last_whole_checkpoint(run: Path) -> str | None:
    """Return the newest Trainer checkpoint that was written to its end, deleting torn ones."""
    for folder in sorted(run.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True):
        try:
            json.loads((folder / "trainer_state.json").read_text())  # the Trainer writes it last
        except (OSError, ValueError):
            shutil.rmtree(folder)
        else:
            return str(folder)
    return None


def _summary(trainer: RankingTrainer, parameters: int) -> dict[str, str | int | float | bool | None]:
    best = max(trainer.state.log_history, key=lambda entry: entry.get(trainer.best, -1.0))
    metrics = {f"validation {name.removeprefix('eval_')}": best[name] for name in best if name.startswith("eval_")}
    return {
        "seconds": round(trainer.budget.spent_s, 1),
        "steps": trainer.state.global_step,
        "best step": best.get("step"),
        "epochs": round(trainer.state.epoch or 0.0, 2),
        "examples an epoch": len(trainer.train_dataset),
        "parameters": parameters,
        "device": str(trainer.args.device),
        "bfloat16": trainer.args.bf16,
        **metrics,
    }
