"""Item identifiers that are codes: how many collide, and whether they follow the categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score

from models.catalogue import Catalogue
from models.errors import UserError

Identifier = tuple[int, ...]


@dataclass(frozen=True)
class CodeFacts:
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


def facts(identifiers: Mapping[int, Identifier], catalogue: Catalogue) -> CodeFacts:
    """Describe identifiers by item number.

    Args:
        identifiers: Those of some or all items, one code at least each.
        catalogue: Has the categories.

    """
    alike = Counter(codes[:-1] for codes in identifiers.values() if len(codes) > 1)
    lengths = [len(codes) for codes in identifiers.values()]
    paths = {number: catalogue.items[number - 1].categories for number in identifiers}
    categorised = [number for number, path in paths.items() if path]
    firsts, categories = (
        [identifiers[number][0] for number in categorised],
        [paths[number][-1] for number in categorised],
    )
    return CodeFacts(
        items=len(identifiers),
        lengths=(min(lengths), max(lengths)),
        distinct=len(set(identifiers.values())),
        collision_rate=sum(count for count in alike.values() if count > 1) / len(identifiers),
        largest=max(alike.values(), default=1),
        first_codes=len({codes[0] for codes in identifiers.values()}),
        agreement=float(adjusted_mutual_info_score(categories, firsts)) if categorised else None,
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
    schemes: dict[str, dict[int, Identifier]] = {}
    for scheme in table.columns.drop("item_id"):
        for item, codes in zip(table["item_id"], table[scheme], strict=True):
            if isinstance(codes, list) and codes:
                schemes.setdefault(str(scheme), {})[numbers[item]] = tuple(codes)
    return schemes
