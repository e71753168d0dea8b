"""SASRec trained on a few dozen users, and where its checkpoint is."""

from pathlib import Path

from typer.testing import CliRunner

from bench import train
from bench.training.recipes import Recipe

RECIPE = Recipe(
    batch_size=16, learning_rate=1e-3, weight_decay=0.0, warmup_steps=2, epochs=4, evaluate_every=4,
    validation_users=20, patience=500, max_minutes=1.0,
)  # fmt: skip


def trained(*arguments):
    return CliRunner().invoke(train.app, ["sasrec", "--threads", "1", "--seed", "3", *arguments])


def folder():
    """Where the trained SASRec's checkpoint is, finished or not."""
    (found,) = Path("home/checkpoints").glob("*/sasrec-compact-seed3-*")
    return found
