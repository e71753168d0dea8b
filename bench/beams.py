"""``python -m bench.beams RECOMMENDER``: does a beam search find what the model itself ranks first?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
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
from bench.data.dataset import Split
from bench.ground.bounds import BeamWidth, Users, number
from bench.ground.outputs import check_out_file, write_file
from bench.quality import beams, evaluate
from bench.records.quality import Metric
from bench.records.studies import BeamStudy, Studies
from bench.running.opening import command_of, open_recommender
from bench.running.provenance import provenance
from models.decoder import ALL_ITEMS
from models.errors import UserError
from models.serving import Scores

app = typer.Typer(add_completion=False, help=__doc__)

WIDTHS = [10, 20, 50, 100]


@app.command()
@with_loading
def main(
    *,
    recommender: Annotated[
        str, typer.Argument(help="A generative one: registry name, package.module:Class, or checkpoint folder.")
    ],
    dataset: DatasetName = "synthetic",
    beam_width: Annotated[list[int] | None, number(BeamWidth, "Beams; default 10, 20, 50 and 100.")] = None,
    decoder: DecoderName = None,
    scores: ScoresKind = Scores.FULL_VOCAB,
    users: Annotated[int, number(Users, "Users ranked, a seeded sample: all items are scored.")] = 500,
    preset: PresetName = None,
    settings: SettingWords = None,
    seed: SeedNumber = 0,
    device: DeviceName = None,
    threads: CpuThreads = None,
    out: StudiesFile = None,
    loading: Loading,
) -> None:
    """Rank all items by the scores that beams are ranked by, then search with beams, for the same users."""
    check_out_file(out)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    set_threads(threads)
    place = choose_device(device)
    loaded = loading.load(dataset)
    chosen = {"seed": seed} | parse_settings(settings or []) | ({"preset": preset} if preset else {})
    opened = open_recommender(recommender, loaded, chosen)
    decoders = opened.recommender.decoders.values()
    whole_catalogue = next((row.name for row in decoders if row.kind == ALL_ITEMS), None)
    searches = [row.name for row in decoders if row.has_beams]
    if whole_catalogue is None or not searches:
        raise UserError(f"{recommender} searches with no beams: name a generative one, such as p5 or tiger")
    if decoder not in (None, *searches):
        raise UserError(f"--decoder {decoder}: use a beam search, one of {', '.join(searches)}")
    histories, targets = loaded.queries(Split.TEST)
    rows = evaluate.sample(len(histories), users)
    histories, targets = histories.pick(rows), [targets[row] for row in rows]
    model, items = opened.recommender.to(place), len(loaded.catalogue)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("all items", total=len(rows))
        model.serving = serving_for(recommender, model, whole_catalogue, BEAM_WIDTH, scores)
        model.index(loaded.catalogue)
        exhaustive, places = beams.rank_all(
            model, histories, targets, items=items, device=place, progress=lambda done: bar.update(task, completed=done)
        )
        comparisons = []
        for width in beam_width or WIDTHS:
            task = bar.add_task(f"{width} beams", total=len(rows))
            model.serving = serving_for(recommender, model, decoder, width, scores)
            model.index(loaded.catalogue)
            parts = []
            batches = evaluate.rank_users(
                model, histories, targets, k=beams.CUTOFF, batch_size=evaluate.BATCH, device=place, items=items
            )
            for part in batches:
                parts.append(part)
                bar.update(task, advance=len(part.users))
            comparisons.append(beams.compare(width, evaluate.join(parts), targets, exhaustive, places))
    serving = serving_for(recommender, model, decoder, (beam_width or WIDTHS)[0], scores)
    case = opened.case(serving, device=place, batch_size=evaluate.BATCH, k=beams.CUTOFF)
    study = BeamStudy(
        case=case,
        named=opened.named(case),
        labels=opened.labels(case),
        weights=opened.weights(case),
        users=len(rows),
        all_users=len(loaded.queries(Split.TEST)[0]),
        exhaustive=beams.metrics(exhaustive),
        exhaustive_coverage=beams.coverage(exhaustive, items),
        beams=comparisons,
        provenance=provenance(command_of("bench.beams"), loaded, place, started),
    )
    Console().print(_table(study))
    if out is not None:
        write_file(out, Studies(beams=[study]).model_dump_json(indent=1) + "\n")


def _table(study: BeamStudy) -> Table:
    table = Table(
        title=f"{study.case.recommender} on {study.case.dataset_variant}: {study.users} of {study.all_users} users",
        title_justify="left",
        box=None,
    )
    table.add_column("search")
    columns = ("HR@10", "NDCG@10", "targets found", "their true rank, mean", "median", "overlap", "coverage")
    for name in columns:
        table.add_column(name, justify="right")
    table.add_row("all items", *_quality(study.exhaustive), "", "", "", "", f"{study.exhaustive_coverage:.1%}")
    for beam in study.beams:
        mean, median = (
            "n/a" if rank is None else f"{rank:.1f}" for rank in (beam.true_rank_mean, beam.true_rank_median)
        )
        cells = (str(beam.found), mean, median, f"{beam.overlap:.1%}", f"{beam.coverage:.1%}")
        table.add_row(f"{beam.width} beams", *_quality(beam.metrics), *cells)
    return table


def _quality(metrics: dict[str, Metric]) -> list[str]:
    return [
        f"{metrics[name].value:.4f} [{metrics[name].low:.3f}, {metrics[name].high:.3f}]"
        for name in ("HR@10", "NDCG@10")
    ]


if __name__ == "__main__":
    ending.run(app)
