"""``python -m bench``: what there is to measure, and the commands that measure it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench import data
from bench.cli import ending
from bench.reproducing.queue import queues
from bench.suites import definitions
from models import registry
from models.backbones import PRESETS

app = typer.Typer(add_completion=False, help=__doc__)

COMMANDS = {
    "pytest bench/ --benchmark-only": "train what is not trained, evaluate, measure; --help explains the options",
    "python -m bench.report": "render the latest results: tables, figures, a page",
    "python -m bench.train RECOMMENDER": "train one recommender, resumable",
    "python -m bench.evaluate RECOMMENDER...": "full-ranking quality of what is trained",
    "python -m bench.reproduce SUITE": "train, evaluate, measure and render a whole suite: paper, ablation",
    "python -m bench.reproduce gpu": "the same for a GPU that is to be had for minutes, the most valuable jobs first",
    "python -m bench.kernels RECOMMENDER...": "which kernels or operators one request spends its time in",
    "python -m bench.load RECOMMENDER...": "users a second within a limit on latency, and what happens beyond",
    "python -m bench.beams RECOMMENDER": "does a beam search find what the model itself ranks first",
    "python -m bench.shortcuts": "how far a dataset can be solved without training",
    "python -m bench.leaks": "which item numberings give the answer away, without any model",
    "python -m bench.identifiers RECOMMENDER": "do its item IDs collide, do they follow the categories",
    "python -m bench.gate --against REV": "is this code slower, costlier, or answers it otherwise",
    "python -m bench.doctor": "is this machine fit to measure on, what should be changed",
}


@app.command()
def main(names: Annotated[bool, typer.Option("--names", help="Print bare names, one a line.")] = False) -> None:
    """List recommenders, datasets, suites, presets and commands."""
    recommenders = {name: entry.summary for name, entry in registry.available().items()}
    if names:
        for name in (*recommenders, *data.available(), *definitions.suites(), *PRESETS):
            typer.echo(name)
        return
    console = Console()
    _show(console, "recommenders (or package.module:Class)", recommenders)
    _show(console, "datasets (or a path)", data.available())
    _show(console, "suites (or a .toml file)", definitions.suites())
    _show(console, "queues for bench.reproduce (or a .toml file)", queues())
    _show(console, "backbone presets (or a local directory, or a hub name)", _presets())
    _show(console, "commands", COMMANDS)


def _presets() -> dict[str, str]:
    told = ("d_model", "hidden_size", "num_layers", "num_hidden_layers", "num_heads", "num_attention_heads")
    return {
        name: ", ".join([config.model_type, *(f"{key} {values[key]}" for key in told if key in values)])
        for name, (config, values) in PRESETS.items()
    }


def _show(console: Console, title: str, rows: Mapping[str, str]) -> None:
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, text in rows.items():
        table.add_row(f"  {name}", text)
    console.print(table)
    console.print()


if __name__ == "__main__":
    ending.run(app)
