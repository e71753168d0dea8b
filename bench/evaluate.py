"""``python -m bench.evaluate``: full-ranking quality of checkpoints, or of what needs no training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench import checkpoints, commands, data
from bench.data.dataset import Dataset, Split
from bench.home import atomic
from bench.options import BEAM_WIDTH, choose_device, parse_settings, serving_for, set_threads
from bench.recipes import resolve
from bench.results.record import Quality
from models import registry
from models.errors import UserError
from models.recommender import Recommender, Scores, SeenItems, TrainableRecommender

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    recommenders: Annotated[
        list[str], typer.Argument(help="Registry names, package.module:Class, or checkpoint folders.")
    ],
    dataset: Annotated[str, typer.Option(help="A name that `python -m bench` lists, or a path.")] = "synthetic",
    split: Annotated[Split, typer.Option(help="Which targets are ranked.")] = Split.TEST,
    k: Annotated[int, typer.Option(min=1, help="Length of the lists.")] = 20,
    seen: Annotated[
        SeenItems, typer.Option(help="Items of the history: removed from the lists, or kept.")
    ] = SeenItems.REMOVE,
    decoder: Annotated[str | None, typer.Option(help="Decoder of generative recommenders.")] = None,
    beam_width: Annotated[int, typer.Option(min=1, help="Beams of generative recommenders.")] = BEAM_WIDTH,
    scores: Annotated[Scores, typer.Option(help="What scores of generated items are taken over.")] = Scores.FULL_VOCAB,
    preset: Annotated[str | None, typer.Option(help="Preset of the checkpoint.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the checkpoint, name=value.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the checkpoint.")] = 0,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with the dataset's files; default $BENCH_DATA.")] = None,
    min_count: Annotated[int, typer.Option(help="Keep users and items with this many interactions (k-core).")] = 0,
    max_history: Annotated[int | None, typer.Option(help="Keep this many last items of each history.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Users ranked at a time.")] = 64,
    device: Annotated[str | None, typer.Option(help="cpu, cuda ...; default: a GPU if there is one.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: torch's.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the figures as JSON here.")] = None,
) -> None:
    """Rank the whole catalogue for every user; HR, NDCG, MRR with bootstrap intervals, coverage, valid items."""
    from bench.quality import evaluate

    set_threads(threads)
    place = choose_device(device)
    loaded = data.load(dataset, data_dir=data_dir, min_count=min_count, max_history=max_history)
    histories, targets = loaded.queries(split)
    chosen = parse_settings(settings or []) | {"seed": seed} | ({"preset": preset} if preset else {})
    results = {}
    for name in recommenders:
        recommender = open_recommender(name, loaded, chosen).to(place).eval()
        recommender.serving = serving_for(name, recommender, decoder, beam_width, scores, seen=seen)
        recommender.index(loaded.catalogue)
        batches = evaluate.rank_users(recommender, histories, targets, k=k, batch_size=batch_size, device=place)
        total = -(-len(histories) // batch_size)
        lists = evaluate.join(list(track(batches, name, total, console=Console(stderr=True), transient=True)))
        results[name] = evaluate.summarise(lists, items=len(loaded.catalogue), split=split.value, seen=seen.value)
    Console().print(_table(results, loaded))
    if out is not None:
        with atomic(out) as path:
            values = {name: quality.model_dump(mode="json") for name, quality in results.items()}
            path.write_text(json.dumps(values, indent=2) + "\n")


def open_recommender(name: str, dataset: Dataset, chosen: dict[str, str | int]) -> Recommender:
    """Load a checkpoint folder or a recommender's checkpoint; build what needs no training.

    Raises:
        UserError: There is no such checkpoint, or it was trained on other data.

    """
    if (Path(name) / checkpoints.CARD).exists():
        recommender, card = checkpoints.load(Path(name))
        card.check(dataset, Path(name))
        return recommender
    kind = registry.load(name)
    settings, _ = resolve(name, dataset.name, chosen)
    if not issubclass(kind, TrainableRecommender):
        return kind.build(dataset.catalogue, dataset.training(), settings)
    folder = checkpoints.folder_for(name, settings, dataset)
    if not (folder / checkpoints.CARD).exists():
        raise UserError(
            f"{name} has no checkpoint for {dataset.name} at {folder}: "
            f"train it with python -m bench.train {name} --dataset {dataset.source.name}"
        )
    return checkpoints.load(folder)[0]


def _table(results: dict[str, Quality], dataset: Dataset) -> Table:
    first = next(iter(results.values()))
    kind = "synthetic data" if dataset.source.synthetic else "real data"
    title = f"{dataset.name} ({kind}), {first.split}: {first.users} users, all {len(dataset.catalogue)} items ranked"
    table = Table(
        title=title, caption=f"seen items: {first.seen}; ties at their expectation; 95 % bootstrap intervals over users"
    )
    table.add_column("metric")
    for name in results:
        table.add_column(name, justify="right")
    for metric in first.metrics:
        values = (quality.metrics[metric] for quality in results.values())
        table.add_row(metric, *(f"{value.value:.5f} [{value.low:.4f}, {value.high:.4f}]" for value in values))
    table.add_row("coverage", *(f"{quality.coverage:.4f}" for quality in results.values()))
    table.add_row("valid items", *(f"{quality.valid_rate:.4f}" for quality in results.values()))
    return table


if __name__ == "__main__":
    commands.run(app)
