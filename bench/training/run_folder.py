"""Folders of checkpoints in the making: whose they are, and what an interrupted training left in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from bench.ground.home import atomic
from bench.ground.outputs import check_out_folder
from bench.training.checkpoints import CARD, RUN, read_card
from bench.training.recipes import Recipe
from models.errors import UserError

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


def forget_another_recipes_run(run: Path, recipe: Recipe) -> None:
    """Delete an unfinished run that another recipe began; only its bound on minutes may differ."""
    note = run / NOTE
    content = recipe.model_dump_json(exclude={"max_minutes"})
    if not note.exists() or note.read_text() != content:
        shutil.rmtree(run, ignore_errors=True)
        with atomic(note) as path:
            path.write_text(content)


def last_whole_checkpoint(run: Path) -> str | None:
    """Return the newest Trainer checkpoint that was written to its end, deleting torn ones."""
    for folder in sorted(run.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), reverse=True):
        try:
            json.loads((folder / "trainer_state.json").read_text())  # the Trainer writes it last
        except (OSError, ValueError):
            shutil.rmtree(folder)
        else:
            return str(folder)
    return None


def pretrained_s(run: Path) -> float:
    """Return the seconds before the loop; a resumed training has them from its first part."""
    try:
        return float(json.loads((run / PRETRAINED).read_text())["seconds"])
    except (OSError, ValueError, KeyError, TypeError):  # begun by an older version, which had nothing to do there
        return 0.0
