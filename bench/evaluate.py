"""``python -m bench.evaluate``: full-ranking quality of checkpoints, or of what needs no training."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Annotated

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
from bench.records.record import Quality
from bench.records.studies import Evaluation, Studies
from bench.running.opening import command_of, open_recommender
from bench.running.provenance import provenance
from models.recommender import Scores, SeenItems

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
    """Rank the whole catalogue for every user; HR, NDCG, MRR with bootstrap intervals, coverage, valid items."""
    from bench.quality import evaluate

    check_out_file(out)
    set_threads(threads)
    place = choose_device(device)
    loaded = loading.load(dataset)
    histories, goals = loaded.queries(targets)
    chosen = {"seed": seed} | parse_settings(settings or []) | ({"preset": preset} if preset else {})
    found = []
    for name in recommenders:
        started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
        opened = open_recommender(name, loaded, chosen)
        recommender = opened.recommender.to(place)
        recommender.serving = serving_for(name, recommender, decoder, beam_width, scores, seen=seen)
        recommender.index(loaded.catalogue)
        items = len(loaded.catalogue)
        batches = evaluate.rank_users(
            recommender, histories, goals, k=k, batch_size=batch_size, device=place, items=items
        )
        total = -(-len(histories) // batch_size)
        lists = evaluate.join(list(track(batches, name, total, console=Console(stderr=True), transient=True)))
        case = opened.case(recommender.serving, device=place, batch_size=batch_size, k=k)
        found.append(
            Evaluation(
                case=case,
                labels=opened.labels(case),
                weights=opened.weights(case),
                quality=evaluate.summarise(lists, histories, goals, items=items, split=targets, seen=seen),
                seconds=round(time.monotonic() - clock, 1),
                provenance=provenance(command_of("bench.evaluate"), loaded, place, started),
            )
        )
    if unreachable := found[0].quality.unreachable:
        print(  # noqa: T201 - rich would fold the line
            f"note: {unreachable:,} of {len(goals):,} targets are in the user's own history, which is removed from the "
            "lists, so that nothing can find them; --seen keep ranks them",
            file=sys.stderr,
        )
    Console().print(_table(dict(zip(recommenders, (one.quality for one in found), strict=True)), loaded))
    if out is not None:
        write_file(out, Studies(evaluations=found).model_dump_json(indent=1) + "\n")


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
