"""What a recipe says, in the words of transformers' `Trainer`: its arguments, the optimizer, number formats."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import Adafactor, PreTrainedModel

from bench.training.processes import processes
from bench.training.recipes import Recipe
from bench.training.trainer import METRIC, Arguments
from models.trainable import TrainableRecommender

LOADERS = min(8, max(1, (os.cpu_count() or 1) - 2))
"""Processes that tokenize and pad for a GPU, which would else wait for one core to fill the prompts."""


def arguments_of(run: Path, recipe: Recipe, seed: int, device: torch.device) -> Arguments:
    """Return the Trainer's arguments.

    Args:
        run: Where it keeps what a resumed training needs.
        recipe: How to train.
        seed: Decides the order of examples, and what dropout leaves out.
        device: Where.

    """
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


def adafactor(model: TrainableRecommender, recipe: Recipe) -> Adafactor:
    """Make the optimizer of T5s from scratch, whose steps are relative to each parameter's size."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return Adafactor(trained, lr=recipe.learning_rate, scale_parameter=True, relative_step=False, warmup_init=False)


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
