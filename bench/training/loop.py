"""Training on transformers' `Trainer`: early stopping on validation NDCG@10, resumable at any moment."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from filelock import FileLock
from transformers import Adafactor, EarlyStoppingCallback, PreTrainedModel, PrinterCallback
from transformers.utils import logging

from bench.data.dataset import Dataset, Split
from bench.ground.home import atomic
from bench.ground.outputs import check_out_folder
from bench.measure import machine
from bench.quality import evaluate
from bench.records.learning import CurvePoint
from bench.training import checkpoints, recipes
from bench.training.checkpoints import CARD, RUN, Card, read_card
from bench.training.recipes import Optimizer, Recipe
from bench.training.trainer import MEASURED, METRIC, MINUTES, Arguments, EpochOrder, RankingTrainer, TimeBudget
from models import registry
from models.errors import UserError
from models.recommender import History, Serving, Settings, TrainableRecommender

LEAST_LEARNED = 2
"""Items that a history must have for a next one to be learned."""

LONGEST_WAIT = timedelta(days=7)
"""How long torchrun's other processes wait for the first, which may wait for another training."""

LOADERS = min(8, max(1, (os.cpu_count() or 1) - 2))
"""Processes that tokenize and pad for a GPU, which would else wait for one core to fill the prompts."""

PRETRAINED = "pretrained.json"
"""File of an unfinished run that says how many seconds were spent before the loop."""

NOTE = "recipe.json"
"""File of an unfinished run that says by which recipe; a folder without it is not ours."""


def check_folder(folder: Path) -> None:
    """See that a checkpoint can be made in a folder: a new or empty one, or one that holds a checkpoint of ours.

    Args:
        folder: Where it is to be made.

    Raises:
        UserError: It holds somebody else's files, or cannot be written to.

    """
    if (folder / RUN).exists() and not (folder / RUN / NOTE).is_file():
        raise UserError(f"--out {folder}: holds a folder {RUN} that is not ours; move it, or give another folder")
    if (folder / CARD).exists():
        read_card(folder)  # which refuses a file of that name that is no card
    elif folder.is_dir() and any(path.name != RUN and not path.name.startswith(".") for path in folder.iterdir()):
        raise UserError(f"--out {folder}: is not empty and holds no checkpoint of ours; give another folder")
    check_out_folder(folder)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process trains the checkpoint of a folder; under torchrun the first process waits for all."""
    if _rank() != 0:
        yield
        return
    path = folder.absolute().resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


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
    if _rank() == 0:
        check_folder(folder)  # before a lock is put beside it
    with alone(folder):
        done = False
        if _rank() == 0:
            check_folder(folder)
            done = not again and (folder / CARD).exists()
            if done:
                _refuse_another(folder, name, settings, dataset)
        if _said_by_first(done, device):
            return None
        if again and _rank() == 0:
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


def _rank() -> int:
    """Return which of torchrun's processes this is."""
    return int(os.environ.get("RANK", "0"))


def _said_by_first(value: bool, device: torch.device) -> bool:
    """Return the first process's value in all of them, however long it had to wait for its turn."""
    if processes() == 1:
        return value
    PartialState(cpu=device.type == "cpu", timeout=LONGEST_WAIT)
    values = [value]
    broadcast_object_list(values, from_process=0)
    return values[0]


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
    examples: Any = model.examples(histories)
    if not len(examples):
        raise UserError(
            f"{dataset.name}: no user has a training item with another before it, so that {name} has nothing to learn "
            "from; give longer histories (popularity needs no training)"
        )
    interactions = getattr(examples, "interactions", len(examples))
    args = _arguments(run, recipe, settings.seed, device)
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
    with args.main_process_first(local=False):
        _forget_another_recipes_run(run, recipe)
        last = _last_whole_checkpoint(run)
    with plain_attention(model) if args.bf16 and device.type == "cpu" else nullcontext():
        if last is None:
            _pretrain(model, histories, args, run)
        trainer.train(resume_from_checkpoint=last)
    card = Card(
        recommender=name,
        settings=settings.model_dump(mode="json"),
        dataset=dataset.name,
        dataset_checksum=dataset.source.checksum,
        dataset_options=dataset.source.options,
        recipe=recipe,
        validation=serving,
        commit=machine.commit()[0],
        training=_summary(trainer, model.num_parameters(), interactions, _pretrained_s(run)) | taught_by,
        curve=_curve(trainer),
    )
    with args.main_process_first(local=False):
        if trainer.is_world_process_zero():
            model.save_pretrained(folder)
            checkpoints.write_card(folder, card)
            shutil.rmtree(run, ignore_errors=True)
    return card


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
    """Let a recommender learn what comes before the loop, and note how long that took."""
    started = time.monotonic()
    with torch.autocast(args.device.type, torch.bfloat16, enabled=args.bf16):
        model.train().pretrain(histories)
    if args.world_size > 1:  # processes need not round alike: all go on from what the first one learned
        learned = model.state_dict()
        for value in learned.values():
            torch.distributed.broadcast(value, src=0)
        model.load_state_dict(learned)
    with args.main_process_first(local=False), atomic(run / PRETRAINED) as path:
        path.write_text(json.dumps({"seconds": time.monotonic() - started}))


def _pretrained_s(run: Path) -> float:
    """Return the seconds before the loop; a resumed training has them from its first part."""
    try:
        return float(json.loads((run / PRETRAINED).read_text())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):  # begun by an older version, which had nothing to do there
        return 0.0


def processes() -> int:
    """Return how many processes train together: what torchrun says, else 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def adafactor(model: TrainableRecommender, recipe: Recipe) -> Adafactor:
    """Make the optimizer of T5s from scratch, whose steps are relative to each parameter's size."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return Adafactor(trained, lr=recipe.learning_rate, scale_parameter=True, relative_step=False, warmup_init=False)


def _arguments(run: Path, recipe: Recipe, seed: int, device: torch.device) -> Arguments:
    return Arguments(
        max_seconds=recipe.max_minutes * 60,
        output_dir=str(run),
        per_device_train_batch_size=max(1, recipe.batch_size // processes()),
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warmup_steps=recipe.warmup_steps,
        cooldown=recipe.cooldown,
        num_train_epochs=recipe.epochs,
        bf16=in_bfloat16(recipe, device),
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
        dataloader_num_workers=LOADERS if device.type == "cuda" else 0,
        report_to="none",
    )


def in_bfloat16(recipe: Recipe, device: torch.device) -> bool:
    """Tell whether matrix products of training are taken in bfloat16, weights staying in float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    has = torch.cpu.get_capabilities() if recipe.bf16_on_cpu else {}
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


@contextmanager
def plain_attention(model: torch.nn.Module) -> Iterator[None]:
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


def _forget_another_recipes_run(run: Path, recipe: Recipe) -> None:
    """Delete an unfinished run that another recipe began; only its bound on minutes may differ."""
    note = run / NOTE
    content = recipe.model_dump_json(exclude={"max_minutes"})
    if not note.exists() or note.read_text() != content:
        shutil.rmtree(run, ignore_errors=True)
        with atomic(note) as path:
            path.write_text(content)


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
    trainer: RankingTrainer, parameters: int, interactions: int, pretrained_s: float
) -> dict[str, str | int | float | bool | None]:
    best = max(trainer.state.log_history, key=lambda entry: entry.get(trainer.best, -1.0))
    metrics = {f"validation {name.removeprefix(MEASURED)}": best[name] for name in best if name.startswith(MEASURED)}
    learnt, examples = trainer.state.epoch or 0.0, trainer.train_dataset
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
        **metrics,
    }
