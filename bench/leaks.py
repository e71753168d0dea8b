"""``python -m bench.leaks RECOMMENDER``: which item numberings give the answer away, without any model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from bench.cli import ending
from bench.cli.loading import Loading, with_loading
from bench.cli.options import DatasetName, SeedNumber, SettingWords, StudiesFile, parse_settings
from bench.data.dataset import Split
from bench.ground.outputs import check_out_file, write_file
from bench.quality import leaks
from bench.records.studies import LeakProbe, Studies
from bench.running.opening import command_of
from bench.running.provenance import provenance
from bench.training.recipes import resolve
from models import registry
from models.errors import UserError
from models.identified import NumbersItems

app = typer.Typer(add_completion=False, help=__doc__)

SHOWN = ("HR@1", "HR@5", "HR@10")


@app.command()
@with_loading
def main(
    *,
    recommender: Annotated[str, typer.Argument(help="One that knows items by numbered IDs, such as p5.")] = "p5",
    dataset: DatasetName = "synthetic",
    settings: SettingWords = None,
    seed: SeedNumber = 0,
    out: StudiesFile = None,
    loading: Loading,
) -> None:
    """Recommend the numbers after the highest one of the history, under each numbering: what it finds is leaked."""
    check_out_file(out)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    kind: Any = registry.load(recommender)
    if not isinstance(kind, NumbersItems):
        raise UserError(f"{recommender} does not number items: name one that does, such as p5")
    loaded = loading.load(dataset)
    chosen, _ = resolve(recommender, loaded.name, {"seed": seed} | parse_settings(settings or []))
    histories, targets = loaded.queries(Split.TEST)
    source = provenance(command_of("bench.leaks"), loaded, torch.device("cpu"), started)
    probes = [
        LeakProbe(
            dataset=loaded.variant,
            numbering=numbering.name,
            labels=list(numbering.labels),
            users=len(histories),
            metrics=leaks.probe(histories, targets, numbering.numbers),
            provenance=source,
        )
        for numbering in kind.numberings(loaded.catalogue, loaded.training(), chosen)
    ]
    Console().print(_table(probes))
    if out is not None:
        write_file(out, Studies(leaks=probes).model_dump_json(indent=1) + "\n")


def _table(probes: list[LeakProbe]) -> Table:
    first = probes[0]
    table = Table(
        title=f"{first.dataset}, {first.users} users: the numbers after the highest of the history, as recommendations",
        title_justify="left",
        box=None,
    )
    table.add_column("numbering")
    for name in SHOWN:
        table.add_column(name, justify="right")
    table.add_column("", overflow="fold")
    for probe in probes:
        table.add_row(probe.numbering, *(f"{probe.metrics[name].value:.4f}" for name in SHOWN), ", ".join(probe.labels))
    return table


if __name__ == "__main__":
    ending.run(app)
