"""transformers' `Trainer`, taught to rank validation users, to keep to a time budget and to say how fast it is."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, cast

import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Sampler
from tqdm.auto import tqdm
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from bench.training.batches import LengthGroupedBatches
from models.trainable import Examples

METRIC = "NDCG@10"

MINUTES = "minutes"
"""Under which name the log of an evaluation holds how long the training had taken."""

MEASURED = "eval_"
"""What the Trainer puts before the names of metrics."""


@dataclass
class Arguments(TrainingArguments):
    """The Trainer's arguments, the seconds that training may take, and over which last part of them it cools down."""

    max_seconds: float = math.inf
    cooldown: float = 0.0


class TimeBudget(TrainerCallback, ExportableState):
    """Shows a bar over the time budget, and evaluates, saves and stops once it is spent.

    Args:
        spent_s: Seconds that earlier parts of the training took; a resumed run restores them.
        evaluating_s: How many of them were spent on ranking validation users.

    """

    def __init__(self, spent_s: float = 0.0, evaluating_s: float = 0.0) -> None:
        self.spent_s = spent_s
        self.evaluating_s = evaluating_s
        self._last = time.monotonic()
        self._bar: tqdm[Any] | None = None

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock and draw the bar."""
        del control
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
            disable=None if state.is_world_process_zero else True,  # where nobody watches, lines are enough
        )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Move the bar; stop when the budget is spent."""
        assert isinstance(args, Arguments)
        self._tick()
        if args.world_size > 1:  # the learning rate and the end hang on it: all processes go by the first one's clock
            spent = torch.tensor(self.spent_s, dtype=torch.float64, device=args.device)
            torch.distributed.broadcast(spent, src=0)
            self.spent_s = spent.item()
        if self._bar is not None:
            best = "none yet" if state.best_metric is None else f"{state.best_metric:.4f}"
            done = f"step {state.global_step}, epoch {state.epoch or 0:.1f}, best {METRIC} {best}"
            self._bar.set_postfix_str(done, refresh=False)
            self._bar.update(min(self.spent_s, args.max_seconds) - self._bar.n)
        if self.spent_s >= args.max_seconds:
            control.should_training_stop = control.should_evaluate = control.should_save = True

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **told: Any) -> None:
        """Leave a line for each evaluation."""
        del args, control
        self._tick()
        state.log_history[-1][MINUTES] = self.spent_s / 60  # the entry of this evaluation
        if self._bar is not None:
            value = told["metrics"][f"eval_{METRIC}"]
            at = f"epoch {state.epoch or 0:.1f}, {self.spent_s / 60:.1f} min"
            self._bar.write(f"validation {METRIC} {value:.4f} at {at}", file=sys.stderr)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def rate(self, args: Arguments, step: int, steps: int) -> float:
        """Return the share of the learning rate that holds at one of so many steps."""
        warm = min(1.0, (step + 1) / max(1, args.warmup_steps))
        left = 1 - max(self.spent_s / args.max_seconds, step / steps)
        if args.cooldown == 0 or left >= args.cooldown:  # without one, a step beyond the time has its whole rate
            return warm
        return warm * max(0.0, left) / args.cooldown

    def state(self) -> dict[str, Any]:
        """Return what a resumed run goes on from."""
        return {"args": {"spent_s": self.spent_s, "evaluating_s": self.evaluating_s}, "attributes": {}}

    def _tick(self) -> None:
        now = time.monotonic()
        self.spent_s += now - self._last
        self._last = now


class EpochOrder(TrainerCallback):
    """Asks for the order of the epoch that begins, a resumed one included; accelerate's word does not always arrive.

    Args:
        batches: Whose order.

    """

    def __init__(self, batches: LengthGroupedBatches) -> None:
        self._batches = batches

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Choose the order."""
        del args, control
        self._batches.set_epoch(int(state.epoch or 0))


class RankingTrainer(Trainer):
    """A `Trainer` that groups examples by length and evaluates by ranking the catalogue.

    Attributes:
        rank_validation: Ranks this process' share of the validation users; each user's metrics [U].

    """

    train_dataset: Examples
    rank_validation: Callable[[], dict[str, torch.Tensor]]
    best: ClassVar[str] = f"{MEASURED}{METRIC}"

    @cached_property
    def batches(self) -> LengthGroupedBatches:
        """The order of the examples; batches that are taken side by side have one length."""
        together = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return LengthGroupedBatches(self.train_dataset.lengths, together, self.args.seed)

    def _get_train_sampler(self, *_: Any) -> Sampler[int]:
        return self.batches

    @property
    def budget(self) -> TimeBudget:
        """How much time is spent; a resumed run has another one than was given."""
        return next(callback for callback in self.callback_handler.callbacks if isinstance(callback, TimeBudget))

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        """Let whichever ends first, the epochs or the time budget, decide when the learning rate falls."""
        args, changed = cast("Arguments", self.args), cast("torch.optim.Optimizer", optimizer or self.optimizer)
        self.lr_scheduler = LambdaLR(changed, lambda step: self.budget.rate(args, step, num_training_steps))
        return self.lr_scheduler

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Rank validation users; the metrics that early stopping and the best checkpoint go by."""
        metrics = self.validated()
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def validated(self) -> dict[str, float]:
        """Rank validation users as the model stands, with nothing logged; in all processes alike."""
        started = time.monotonic()
        assert self.model is not None
        if self.args.world_size > 1:  # batch statistics are each process' own; the first one's weights are kept
            kept = self.model.state_dict().keys()
            for name, buffer in self.model.named_buffers():
                if name in kept:
                    torch.distributed.broadcast(buffer, src=0)
        own = self.rank_validation()
        sums = torch.stack([torch.stack([values.sum(), values.new_tensor(len(values))]) for values in own.values()])
        sums = self.accelerator.reduce(sums.to(self.args.device), "sum").cpu()
        metrics = {f"eval_{name}": float(total / users) for name, (total, users) in zip(own, sums, strict=True)}
        self.budget.evaluating_s += time.monotonic() - started
        return metrics
