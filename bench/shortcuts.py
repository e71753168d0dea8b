"""``python -m bench.shortcuts [RECOMMENDER...]``: how far can a dataset be solved without training?"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.cli import ending
from bench.cli.loading import Loading, with_loading
from bench.cli.options import (
    BEAM_WIDTH,
    CpuThreads,
    DatasetName,
    DeviceName,
    PresetName,
    SeedNumber,
    SettingWords,
    StudiesFile,
    choose_device,
    parse_settings,
    serving_for,
    set_threads,
)
from bench.data.dataset import Split
from bench.ground.bounds import HistoryLength, Users, number
from bench.ground.outputs import check_out_file, write_file
from bench.quality import evaluate
from bench.quality.shortcuts import forgetting, structure
from bench.records.studies import Limited, ShortcutProbe, Studies
from bench.running.opening import command_of, open_recommender
from bench.running.provenance import provenance
from models.serving import Scores

app = typer.Typer(add_completion=False, help=__doc__)

LAST = (1, 2, 5)
CUTOFF = 10
SHOWN = "NDCG@10"


@app.command()
@with_loading
def main(
    *,
    recommenders: Annotated[
        list[str] | None,
        typer.Argument(help="What ranks by the newest items alone, names or checkpoints; default: shortcut."),
    ] = None,
    dataset: DatasetName = "synthetic",
    last: Annotated[
        list[int] | None, number(HistoryLength, "Newest items that are known; may be repeated. Default: 1, 2 and 5.")
    ] = None,
    users: Annotated[int, number(Users, "Users ranked, a seeded sample.")] = 5000,
    preset: PresetName = None,
    settings: SettingWords = None,
    seed: SeedNumber = 0,
    device: DeviceName = None,
    threads: CpuThreads = None,
    out: StudiesFile = None,
    loading: Loading,
) -> None:
    """Describe what of a dataset invites shortcuts, and rank test users by their newest items alone."""
    check_out_file(out)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    set_threads(threads)
    place = choose_device(device)
    loaded = loading.load(dataset)
    histories, targets = loaded.queries(Split.TEST)
    measured = structure(loaded.catalogue, loaded.training(), histories, targets)
    rows = evaluate.sample(len(histories), users)
    some, goals = histories.pick(rows), [targets[row] for row in rows]
    chosen = {"seed": seed} | parse_settings(settings or []) | ({"preset": preset} if preset else {})
    items = len(loaded.catalogue)
    limited = []
    for name in recommenders or ["shortcut"]:
        opened = open_recommender(name, loaded, chosen)
        model = opened.recommender.to(place)
        model.serving = serving_for(name, model, None, BEAM_WIDTH, Scores.FULL_VOCAB)
        model.index(loaded.catalogue)
        case = opened.case(model.serving, device=place, batch_size=evaluate.BATCH, k=CUTOFF)
        for count in (*(last or LAST), None):
            with nullcontext() if count is None else forgetting(model, count):
                ranked = evaluate.rank_users(
                    model, some, goals, k=CUTOFF, batch_size=evaluate.BATCH, device=place, items=items
                )
                parts = list(ranked)
            metrics = evaluate.per_user_metrics(evaluate.join(parts).ranks, CUTOFF)
            limited.append(
                Limited(
                    recommender=case.variant,
                    label=opened.named(case).label,
                    sha256=opened.weights(case).sha256,
                    last=count,
                    metrics={metric: evaluate.interval(values) for metric, values in metrics.items()},
                )
            )
    source = provenance(command_of("bench.shortcuts"), loaded, place, started)
    probe = ShortcutProbe(
        dataset=loaded.variant, users=len(histories), limited=limited, provenance=source, **asdict(measured)
    )
    Console().print(_table(probe))
    if out is not None:
        write_file(out, Studies(shortcuts=[probe]).model_dump_json(indent=1) + "\n")


def _table(probe: ShortcutProbe) -> Table:
    table = Table(title=f"{probe.dataset}, {probe.users:,} users", title_justify="left", box=None, show_header=False)
    rows = {
        "items that follow an item": f"{probe.branching:.1f}",
        "targets that follow the last item in training": f"{probe.follows:.1%}",
        "targets of the last item's brand": _share(probe.same_brand),
        "targets of the last item's category": _share(probe.same_category),
        "cosine of last item and target, by chance": f"{_number(probe.smoothness)}, {_number(probe.by_chance)}",
    }
    rows |= {
        f"{SHOWN} of {probed.recommender}, {'all items' if probed.last is None else f'last {probed.last}'} known": (
            f"{probed.metrics[SHOWN].value:.4f} [{probed.metrics[SHOWN].low:.4f}, {probed.metrics[SHOWN].high:.4f}]"
        )
        for probed in probe.limited
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    ending.run(app)
