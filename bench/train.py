"""``python -m bench.train RECOMMENDER``: train one recommender on one dataset, resumable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench.cli import ending
from bench.cli.loading import Loading, with_loading
from bench.cli.options import (
    BEAM_WIDTH,
    CpuThreads,
    DatasetName,
    DecoderName,
    DeviceName,
    PresetName,
    ScoresKind,
    SeedNumber,
    SettingWords,
    choose_device,
    parse_settings,
    serving_for,
    set_threads,
)
from bench.ground.bounds import BeamWidth, Epochs, Minutes, number
from bench.training import checkpoints
from bench.training.recipes import Recipe, resolve
from models import registry
from models.serving import Scores

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
@with_loading
def main(
    *,
    recommender: Annotated[str, typer.Argument(help="A name that `python -m bench` lists, or package.module:Class.")],
    dataset: DatasetName = "synthetic",
    preset: PresetName = None,
    settings: SettingWords = None,
    seed: SeedNumber = 0,
    max_minutes: Annotated[float | None, number(Minutes, "Training time at most; default: the recipe's.")] = None,
    epochs: Annotated[float | None, number(Epochs, "Epochs at most; default: the recipe's.")] = None,
    decoder: DecoderName = None,
    beam_width: Annotated[int, number(BeamWidth, "Beams of that decoder.")] = BEAM_WIDTH,
    scores: ScoresKind = Scores.FULL_VOCAB,
    device: DeviceName = None,
    threads: CpuThreads = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the checkpoint; default: one below .bench.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Train anew even if there is a checkpoint.")] = False,
    loading: Loading,
) -> None:
    """Train a recommender; interrupted, the same command goes on. `torchrun -m bench.train` uses several GPUs."""
    console = Console(stderr=True, quiet=os.environ.get("RANK", "0") != "0")  # under torchrun, one speaks for all
    set_threads(threads)
    place = choose_device(device)
    chosen: dict[str, Any] = {"seed": seed} | parse_settings(settings or [])
    if preset is not None:
        chosen["preset"] = preset
    loaded = loading.load(dataset)
    built_with, recipe = resolve(recommender, loaded.name, chosen)
    recipe = _changed(recipe, max_minutes=max_minutes, epochs=epochs)
    serving = serving_for(recommender, registry.load(recommender), decoder, beam_width, scores)
    folder = out or checkpoints.folder_for(recommender, built_with, loaded)
    from bench.training.loop import train_unless_done  # transformers' Trainer takes seconds to import

    try:
        card = train_unless_done(
            recommender, built_with, recipe, loaded, serving=serving, device=place, folder=folder, again=again
        )
    except KeyboardInterrupt:
        console.print("interrupted: the same command goes on from the last evaluation", soft_wrap=True)
        raise
    if card is None:
        console.print(f"already trained: {folder} (--again trains anew)", soft_wrap=True)
        return
    for name, value in card.training.items():
        console.print(f"{name}: {value}")
    console.print(f"training: {card.ending}" if card.ending else "training: nothing tells whether it is finished")
    console.print(f"saved {folder}", soft_wrap=True)


def _changed(recipe: Recipe, **changes: float | None) -> Recipe:
    return recipe.model_copy(update={name: value for name, value in changes.items() if value is not None})


if __name__ == "__main__":
    ending.run(app)
