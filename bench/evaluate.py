"""``python -m bench.evaluate``: full-ranking quality of checkpoints, or of what needs no training."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.cli import ending
from bench.cli.loading import Loading, with_loading
from bench.cli.options import (
    BEAM_WIDTH,
    CpuThreads,
    DatasetName,
    DecoderName,
    DeviceName,
    PresetName,
    RankerName,
    ScoresKind,
    SeedNumber,
    SettingWords,
    StudiesFile,
    choose_device,
    parse_settings,
    serving_for,
    set_threads,
)
from bench.data.dataset import Dataset, Split
from bench.ground.bounds import BatchSize, BeamWidth, ListLength, number
from bench.ground.outputs import check_out_file, write_file
from bench.records.quality import Quality
from bench.records.studies import Evaluation, Studies
from bench.running.opening import command_of, open_recommender
from bench.running.provenance import provenance
from bench.running.together import speaks, together
from models import shards
from models.serving import Scores, SeenItems

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
@with_loading
def main(
    *,
    recommenders: Annotated[
        list[str], typer.Argument(help="Registry names, package.module:Class, or checkpoint folders.")
    ],
    dataset: DatasetName = "synthetic",
    targets: Annotated[Split, typer.Option(help="Which targets are ranked.")] = Split.TEST,
    k: Annotated[int, number(ListLength, "Length of the lists.")] = 20,
    seen: Annotated[
        SeenItems, typer.Option(help="Items of the history: removed from the lists, or kept.")
    ] = SeenItems.REMOVE,
    decoder: DecoderName = None,
    ranker: RankerName = None,
    beam_width: Annotated[int, number(BeamWidth, "Beams of generative recommenders.")] = BEAM_WIDTH,
    scores: ScoresKind = Scores.FULL_VOCAB,
    preset: PresetName = None,
    settings: SettingWords = None,
    seed: SeedNumber = 0,
    batch_size: Annotated[int, number(BatchSize, "Users ranked at a time.")] = 64,
    device: DeviceName = None,
    threads: CpuThreads = None,
    out: StudiesFile = None,
    loading: Loading,
) -> None:
    """Rank the whole catalogue for every user; HR, NDCG, MRR with bootstrap intervals, coverage, valid items.

    `torchrun -m bench.evaluate` shares users and items among processes, and gives the same numbers.
    """
    check_out_file(out)
    set_threads(threads)
    chosen = {"seed": seed} | parse_settings(settings or []) | ({"preset": preset} if preset else {})
    with together(choose_device(device)) as place:
        loaded = loading.load(dataset)
        asked = Asked(loaded, targets, k, seen, decoder, ranker, beam_width, scores, batch_size, place)
        evaluated = [_evaluated(name, asked, chosen) for name in recommenders]
    if not speaks():
        return
    studies = [study for study in evaluated if study is not None]
    if unreachable := studies[0].quality.unreachable:
        print(  # noqa: T201 - rich would fold the line
            f"note: {unreachable:,} of {studies[0].quality.users:,} targets are in the user's own history, which is "
            "removed from the lists, so that nothing can find them; --seen keep ranks them",
            file=sys.stderr,
        )
    Console().print(_table(dict(zip(recommenders, (study.quality for study in studies), strict=True)), loaded))
    if out is not None:
        write_file(out, Studies(evaluations=studies).model_dump_json(indent=1) + "\n")


@dataclass(frozen=True)
class Asked:
    """What is ranked, and how."""

    dataset: Dataset
    targets: Split
    k: int
    seen: SeenItems
    decoder: str | None
    ranker: str | None
    beam_width: int
    scores: Scores
    batch_size: int
    device: torch.device


def _evaluated(name: str, asked: Asked, chosen: dict[str, Any]) -> Evaluation | None:
    """Rank all users with one recommender; None in processes that do not speak for all."""
    from bench.quality import evaluate

    loaded, place, batch_size, k = asked.dataset, asked.device, asked.batch_size, asked.k
    histories, goals = loaded.queries(asked.targets)
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    opened = open_recommender(name, loaded, chosen)
    recommender = opened.recommender.to(place)
    recommender.serving = serving_for(
        name, recommender, asked.decoder, asked.beam_width, asked.scores, seen=asked.seen, ranker=asked.ranker
    )
    recommender.index(loaded.catalogue)
    items = len(loaded.catalogue)
    part = shards.rank(), shards.processes()
    batches = evaluate.rank_users(
        recommender, histories, goals, k=k, batch_size=batch_size, device=place, items=items, part=part
    )
    total = -(-len(histories) // (batch_size * part[1]))
    console = Console(stderr=True, quiet=not speaks())
    parts = shards.gathered(list(track(batches, name, total, console=console, transient=True)))
    if parts is None:
        return None
    lists = evaluate.join([batch for own in parts for batch in own])
    case = opened.case(recommender.serving, device=place, batch_size=batch_size, k=k)
    return Evaluation(
        case=case,
        named=opened.named(case),
        labels=opened.labels(case),
        weights=opened.weights(case),
        quality=evaluate.summarise(lists, histories, goals, items=items, split=asked.targets, seen=asked.seen),
        seconds=round(time.monotonic() - clock, 1),
        provenance=provenance(command_of("bench.evaluate"), loaded, place, started),
    )


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
    ending.run(app)
