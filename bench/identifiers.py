"""``python -m bench.identifiers RECOMMENDER``: do its item IDs collide, and do they follow the categories?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench.cli import ending
from bench.cli.loading import Loading, with_loading
from bench.cli.options import DatasetName, SeedNumber, SettingWords, parse_settings
from bench.quality.identifiers import CodeFacts, facts, read_identifiers
from bench.training.recipes import resolve
from models import registry
from models.catalogue import Catalogue
from models.errors import UserError
from models.identified import CodesItems

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
@with_loading
def main(
    *,
    recommender: Annotated[str, typer.Argument(help="One that knows items by codes, such as tiger.")],
    dataset: DatasetName = "synthetic",
    beside: Annotated[
        Path | None, typer.Option(help="Also describe these: JSON lines with item_id and lists of codes.")
    ] = None,
    settings: SettingWords = None,
    seed: SeedNumber = 0,
    loading: Loading,
) -> None:
    """Describe every kind of identifier that a recommender can give a dataset's items."""
    kind: Any = registry.load(recommender)
    if not isinstance(kind, CodesItems):
        raise UserError(f"{recommender} has no codes to describe: name one that has, such as tiger")
    loaded = loading.load(dataset)
    catalogue = loaded.catalogue
    others = {} if beside is None else read_identifiers(beside, catalogue)
    chosen, _ = resolve(recommender, loaded.name, {"seed": seed} | parse_settings(settings or []))
    own = kind.code_schemes(catalogue, chosen)
    schemes = {f"{recommender}, {name}": dict(enumerate(codes, 1)) for name, codes in own.items()} | others
    Console(width=120).print(_table(catalogue, [(name, facts(scheme, catalogue)) for name, scheme in schemes.items()]))


def _table(catalogue: Catalogue, rows: Sequence[tuple[str, CodeFacts]]) -> Table:
    table = Table(title=f"identifiers of {len(catalogue):,} items of {catalogue.name}", title_justify="left", box=None)
    table.add_column("identifiers")
    columns = ("items", "codes", "distinct", "collide but for the last", "most", "first codes", "AMI with categories")
    for name in columns:
        table.add_column(name, justify="right")
    for name, figures in rows:
        low, high = figures.lengths
        table.add_row(
            name,
            f"{figures.items:,}",
            f"{low}" if low == high else f"{low} to {high}",
            f"{figures.distinct:,}",
            f"{figures.collision_rate:.1%}",
            str(figures.largest),
            f"{figures.first_codes:,}",
            "n/a" if figures.agreement is None else f"{figures.agreement:.3f}",
        )
    return table


if __name__ == "__main__":
    ending.run(app)
