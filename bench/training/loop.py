"""Training on transformers' `Trainer`: early stopping on validation NDCG@10, resumable at any moment."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers import EarlyStoppingCallback, PrinterCallback
from transformers.utils import logging

from bench.data.dataset import Dataset, Split
from bench.ground.home import atomic
from bench.measure import machine
from bench.quality import evaluate
from bench.records.learning import CurvePoint
from bench.training import checkpoints, recipes
from bench.training.arguments import adafactor, arguments_of, plain_attention
from bench.training.checkpoints import CARD, RUN, Card, read_card
from bench.training.processes import alone, rank, said_by_first
from bench.training.recipes import Optimizer, Recipe
from bench.training.run_folder import (
    PRETRAINED,
    check_folder,
    forget_another_recipes_run,
    last_whole_checkpoint,
    pretrained_s,
)
from bench.training.trainer import MEASURED, MINUTES, Arguments, EpochOrder, RankingTrainer, TimeBudget
from models import registry
from models.catalogue import History
from models.errors import UserError
from models.recommender import Settings
from models.serving import Serving
from models.trainable import TrainableRecommender

LEAST_LEARNED = 2
"""Items that a history must have for a next one to be learned."""


def train_unless_done(
    name: str,
    settings: Settings,
    recipe: Recipe,
    dataset: Dataset,
    *,
    serving: Serving,
    device: torch.device,
    folder: Path,
    again: bool = False,
) -> Card | None:
    """Train as `train` does, where there is no checkpoint yet; whoever comes second waits for the first, and finds one.

    Args:
        name: See `train`, and so the others.
        settings: See `train`.
        recipe: See `train`.
        dataset: See `train`.
        serving: See `train`.
        device: See `train`.
        folder: See `train`.
        again: Whether to train although there is a checkpoint.

    Returns:
        The card of what was trained; None where there was a checkpoint.

    Raises:
        UserError: The recommender has nothing to train, the folder is not ours, or it holds another checkpoint.

    """
    if rank() == 0:
        check_folder(folder)  # before a lock is put beside it
    with alone(folder):
        done = False
        if rank() == 0:
            check_folder(folder)
            done = not again and (folder / CARD).exists()
            if done:
                _refuse_another(folder, name, settings, dataset)
        if said_by_first(done, device):
            return None
        if again and rank() == 0:
            (folder / CARD).unlink(missing_ok=True)
        return train(name, settings, recipe, dataset, serving=serving, device=device, folder=folder)


def _refuse_another(folder: Path, name: str, settings: Settings, dataset: Dataset) -> None:
    """Refuse a folder that holds another checkpoint than the one that is asked for.

    Raises:
        UserError: Its card names another recommender, other settings, or other data.

    """
    card = read_card(folder)
    wanted = {"recommender": name, "settings": settings.model_dump(mode="json")}
    held = {"recommender": card.recommender, "settings": card.settings}
    for what, value in wanted.items():
        if held[what] != value:
            raise UserError(
                f"--out {folder}: holds a checkpoint of another {what.rstrip('s')} ({held[what]}, not {value}); give "
                "another folder, or --again to replace it"
            )
    card.check(dataset, folder)


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
    """Train a recommender, or go on where an interrupted training stopped; under torchrun, in all processes.

    Args:
        name: Registry name or ``package.module:Class`` of a `TrainableRecommender`.
        settings: What to build.
        recipe: How to train it.
        dataset: On what; its training part is learned, its validation targets are ranked.
        serving: How validation users are ranked.
        device: Where.
        folder: The checkpoint to make.

    Raises:
        UserError: The recommender has nothing to train, or the dataset nothing to learn from.

    """
    kind = registry.load(name)
    if not issubclass(kind, TrainableRecommender):
        raise UserError(f"{name} has no weights to train: measure it with pytest bench/ --benchmark-only as it is")
    histories = dataset.training()
    if all(len(history.items) < LEAST_LEARNED for history in histories):
        raise UserError(
            f"{dataset.name}: no user has {LEAST_LEARNED} items to learn from beside the targets; "
            "give longer histories, or measure what needs no training"
        )
    model = kind.build(dataset.catalogue, histories, settings)
    model.serving = serving
    taught_by = _teach(model, name, recipe, dataset, serving, device)
    run = folder / RUN
    logging.disable_progress_bar()
    args = arguments_of(run, recipe, settings.seed, device)
    trainer = _trainer(model, name, recipe, dataset, args)
    with args.main_process_first(local=False):
        forget_another_recipes_run(run, recipe)
        last = last_whole_checkpoint(run)
    with plain_attention(model) if args.bf16 and device.type == "cpu" else nullcontext():
        if last is None:
            _pretrain(model, histories, args, run)
        trainer.train(resume_from_checkpoint=last)
    chosen = _choose(model, trainer)
    card = Card(
        recommender=name,
        settings=settings.model_dump(mode="json"),
        dataset=dataset.name,
        dataset_checksum=dataset.source.checksum,
        dataset_options=dataset.source.options,
        recipe=recipe,
        validation=serving,
        commit=machine.commit()[0],
        training=_summary(trainer, model.num_parameters(), pretrained_s(run)) | taught_by | chosen,
        curve=_curve(trainer),
    )
    with args.main_process_first(local=False):
        if trainer.is_world_process_zero():
            model.save_pretrained(folder)
            checkpoints.write_card(folder, card)
            shutil.rmtree(run, ignore_errors=True)
    return card


def _choose(model: TrainableRecommender, trainer: RankingTrainer) -> dict[str, float]:
    """Let the best weights choose the rest on validation; return what the card says of it, with the metrics then."""
    chosen = model.choose_on_validation(lambda: trainer.validated()[trainer.best])
    if not chosen:
        return {}
    return {f"chosen {name}": value for name, value in chosen.items()} | _of_validation(trainer.validated())


def _of_validation(entry: Mapping[str, float]) -> dict[str, float]:
    return {f"validation {name.removeprefix(MEASURED)}": entry[name] for name in entry if name.startswith(MEASURED)}


def _trainer(
    model: TrainableRecommender, name: str, recipe: Recipe, dataset: Dataset, args: Arguments
) -> RankingTrainer:
    """Make the Trainer that stops early, keeps to its minutes and ranks validation users.

    Raises:
        UserError: There is no example to learn from.

    """
    examples: Any = model.examples(dataset.training())
    if not len(examples):
        raise UserError(
            f"{dataset.name}: no user has a training item with another before it, so that {name} has nothing to learn "
            "from; give longer histories (popularity needs no training)"
        )
    trainer = RankingTrainer(
        model=model,
        args=args,
        train_dataset=examples,
        eval_dataset=examples,  # the Trainer insists on one; `evaluate` ranks validation users instead
        data_collator=model.collate,
        optimizers=(adafactor(model, recipe), None) if recipe.optimizer is Optimizer.ADAFACTOR else (None, None),
        callbacks=[EarlyStoppingCallback(recipe.patience), TimeBudget()],
    )
    trainer.add_callback(EpochOrder(trainer.batches))
    trainer.remove_callback(PrinterCallback)
    trainer.rank_validation = _validation_ranker(model, dataset, recipe, args)
    return trainer


def _teach(
    model: TrainableRecommender, name: str, recipe: Recipe, dataset: Dataset, serving: Serving, device: torch.device
) -> dict[str, str]:
    """Give a student its teacher, trained first where it has no checkpoint; return what the card says of it."""
    asked = model.teacher
    if asked is None:
        return {}
    settings, its = recipes.resolve(name, dataset.name, dict(asked))
    its = its.model_copy(update={"max_minutes": min(its.max_minutes, recipe.max_minutes)})
    folder = checkpoints.folder_for(name, settings, dataset)
    train_unless_done(name, settings, its, dataset, serving=serving, device=device, folder=folder)
    teacher, card = checkpoints.load(folder)
    card.check(dataset, folder)
    assert isinstance(teacher, TrainableRecommender)
    model.learn_from(torch.nn.Module.to(teacher, device).eval())
    return {"teacher": folder.name}


def _pretrain(model: TrainableRecommender, histories: Sequence[History], args: Arguments, run: Path) -> None:
    """Let a recommender learn what comes before the loop, and note how long that took.

    Autocast keeps no casts of weights here: these would be those of the first step until all steps are done.
    """
    started = time.monotonic()
    with torch.autocast(args.device.type, torch.bfloat16, enabled=args.bf16, cache_enabled=False):
        model.train().pretrain(histories)
    if args.world_size > 1:  # processes need not round alike: all go on from what the first one learned
        learned = model.state_dict()
        for value in learned.values():
            torch.distributed.broadcast(value, src=0)
        model.load_state_dict(learned)
    with args.main_process_first(local=False), atomic(run / PRETRAINED) as path:
        path.write_text(json.dumps({"seconds": time.monotonic() - started}))


def _validation_ranker(
    model: TrainableRecommender, dataset: Dataset, recipe: Recipe, args: Arguments
) -> Callable[[], dict[str, torch.Tensor]]:
    """Rank the validation users that fall to this process."""
    histories, targets = dataset.queries(Split.VALIDATION)
    rows = list(range(len(histories)))
    if len(histories) > recipe.validation_users:
        rows = random.Random(0).sample(rows, recipe.validation_users)
    own = rows[args.process_index :: args.world_size]
    sample, goals = [histories[row] for row in own], [targets[row] for row in own]

    def rank() -> dict[str, torch.Tensor]:
        model.eval()
        model.index(dataset.catalogue)
        items = len(dataset.catalogue)
        parts = list(evaluate.rank_users(model, sample, goals, k=10, batch_size=64, device=args.device, items=items))
        metrics = evaluate.per_user_metrics(evaluate.join(parts).ranks, 10)
        model.train()
        return {name: torch.from_numpy(values) for name, values in metrics.items()}

    return rank


def _curve(trainer: RankingTrainer) -> tuple[CurvePoint, ...]:
    """Return what each evaluation found; that of a resumed training has those of its earlier parts, too."""
    examples = len(trainer.train_dataset)
    return tuple(
        CurvePoint(
            step=entry["step"],
            epochs=round(entry["epoch"], 3),
            examples=round(entry["epoch"] * examples),
            minutes=entry.get(MINUTES) and round(entry[MINUTES], 3),
            metrics={name.removeprefix(MEASURED): value for name, value in entry.items() if name.startswith(MEASURED)},
        )
        for entry in trainer.state.log_history
        if trainer.best in entry
    )


def _summary(
    trainer: RankingTrainer, parameters: int, pretrained_s: float
) -> dict[str, str | int | float | bool | None]:
    best = max(trainer.state.log_history, key=lambda entry: entry.get(trainer.best, -1.0))
    learnt, examples = trainer.state.epoch or 0.0, trainer.train_dataset
    interactions = getattr(examples, "interactions", len(examples))
    seconds = trainer.budget.spent_s - trainer.budget.evaluating_s
    return {
        "seconds": round(pretrained_s + trainer.budget.spent_s, 1),
        "seconds of pretraining": round(pretrained_s, 1),
        "seconds of evaluation": round(trainer.budget.evaluating_s, 1),
        "interactions per second": round(learnt * interactions / max(seconds, 1e-9), 1),
        "padding": round(trainer.batches.padding, 4),
        "steps": trainer.state.global_step,
        "best step": best.get("step"),
        "epochs": round(learnt, 2),
        "examples an epoch": len(examples),
        "processes": trainer.args.world_size,
        "threads": torch.get_num_threads(),
        "parameters": parameters,
        "device": str(trainer.args.device),
        "bfloat16": trainer.args.bf16,
        **_of_validation(best),
    }
