"""``python -m bench.identifiers RECOMMENDER``: do its item IDs collide, and do they follow the categories?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table
from sklearn.metrics import adjusted_mutual_info_score

from bench import commands
from bench.bounds import Seed, number
from bench.loading import Loading, with_loading
from bench.options import parse_settings
from bench.recipes import resolve
from models import registry
from models.errors import UserError
from models.identified import CodesItems
from models.recommender import Catalogue

app = typer.Typer(add_completion=False, help=__doc__)

Identifier = tuple[int, ...]


@dataclass(frozen=True)
class Facts:
    """What can be said of a catalogue's identifiers without a recommender.

    Attributes:
        items: Items that have one.
        lengths: Fewest and most codes.
        distinct: Different identifiers; fewer than items if some cannot be told apart.
        collision_rate: Share of items that differ from another one in the last code alone, or not at all.
        largest: Most items that do.
        first_codes: Different first codes.
        agreement: Adjusted mutual information (Vinh et al. 2010) of the first code with the items' most
            specific category: 0 as by chance, 1 the same grouping. None where there are no categories.

    """

    items: int
    lengths: tuple[int, int]
    distinct: int
    collision_rate: float
    largest: int
    first_codes: int
    agreement: float | None


def facts(identifiers: Mapping[int, Identifier], catalogue: Catalogue) -> Facts:
    """Describe identifiers by item number.

    Args:
        identifiers: Those of some or all items, one code at least each.
        catalogue: Has the categories.

    """
    alike = Counter(codes[:-1] for codes in identifiers.values() if len(codes) > 1)
    lengths = [len(codes) for codes in identifiers.values()]
    paths = {number: catalogue.items[number - 1].categories for number in identifiers}
    known = [number for number, path in paths.items() if path]
    firsts, categories = [identifiers[number][0] for number in known], [paths[number][-1] for number in known]
    return Facts(
        items=len(identifiers),
        lengths=(min(lengths), max(lengths)),
        distinct=len(set(identifiers.values())),
        collision_rate=sum(count for count in alike.values() if count > 1) / len(identifiers),
        largest=max(alike.values(), default=1),
        first_codes=len({codes[0] for codes in identifiers.values()}),
        agreement=float(adjusted_mutual_info_score(categories, firsts)) if known else None,
    )


def read_identifiers(path: Path, catalogue: Catalogue) -> dict[str, dict[int, Identifier]]:
    """Read identifiers that others made: JSON lines with ``item_id`` and one field a scheme, a list of codes.

    Fields that are no lists are passed over, and so are items that the catalogue has not.

    Raises:
        UserError: The file cannot be read, is not of this form, or has none of the catalogue's items.

    """
    try:
        table = pd.read_json(path, lines=True, dtype={"item_id": str})
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no JSON lines can be read ({error}): name a .jsonl or .jsonl.gz file") from error
    if "item_id" not in table:
        raise UserError(f"{path}: no field item_id: write a line an item, such as {{'item_id': 'B00', 'mine': [1, 2]}}")
    numbers = {name: number for number, name in enumerate(catalogue.ids, 1)}
    table = table[table["item_id"].isin(numbers)]
    if table.empty:
        raise UserError(f"{path}: none of its items is in {catalogue.name}: name the file of this dataset")
    found: dict[str, dict[int, Identifier]] = {}
    for scheme in table.columns.drop("item_id"):
        for item, codes in zip(table["item_id"], table[scheme], strict=True):
            if isinstance(codes, list) and codes:
                found.setdefault(str(scheme), {})[numbers[item]] = tuple(codes)
    return found


@app.command()
@with_loading
def main(
    *,
    recommender: Annotated[str, typer.Argument(help="One that knows items by codes, such as tiger.")],
    dataset: Annotated[str, typer.Option(help="A name that `python -m bench` lists, or a path.")] = "synthetic",
    beside: Annotated[
        Path | None, typer.Option(help="Also describe these: JSON lines with item_id and lists of codes.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the recommender, name=value; may be repeated.")
    ] = None,
    seed: Annotated[int, number(Seed, "Decides the codes.")] = 0,
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
    known = {f"{recommender}, {name}": dict(enumerate(codes, 1)) for name, codes in own.items()} | others
    Console(width=120).print(_table(catalogue, [(name, facts(one, catalogue)) for name, one in known.items()]))


def _table(catalogue: Catalogue, rows: Sequence[tuple[str, Facts]]) -> Table:
    table = Table(title=f"identifiers of {len(catalogue):,} items of {catalogue.name}", title_justify="left", box=None)
    table.add_column("identifiers")
    columns = ("items", "codes", "distinct", "collide but for the last", "most", "first codes", "AMI with categories")
    for name in columns:
        table.add_column(name, justify="right")
    for name, one in rows:
        low, high = one.lengths
        table.add_row(
            name,
            f"{one.items:,}",
            f"{low}" if low == high else f"{low} to {high}",
            f"{one.distinct:,}",
            f"{one.collision_rate:.1%}",
            str(one.largest),
            f"{one.first_codes:,}",
            "n/a" if one.agreement is None else f"{one.agreement:.3f}",
        )
    return table


if __name__ == "__main__":
    commands.run(app)
