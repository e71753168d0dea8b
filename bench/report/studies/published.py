"""What others published, beside what was evaluated here: the rows of ``published.toml``, matched to evaluations."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import ConfigDict, Field, ValidationError

from bench.ground.bounds import fault
from bench.records.case import Case, WeightsKind
from bench.records.decoders import FULL_VOCAB
from bench.records.model import Model
from bench.records.studies import Evaluation
from bench.report.reading.labels import NOT_AVAILABLE, metric_of, significant
from bench.report.reading.naming import captions, dataset_name
from models.errors import UserError

PUBLISHED = Path(__file__).with_name("published.toml")

ALL_ITEMS = "all items"
"""A search that scores every item; published rows go by another unless they name it."""

COLUMNS = [
    "dataset", "published", "source", "their HR@5", "their NDCG@5", "their HR@10", "their NDCG@10", "ours",
    "our HR@10", "our NDCG@10", "ours / theirs", "why they differ",
]  # fmt: skip

MetricName = Literal["HR@1", "HR@5", "NDCG@5", "HR@10", "NDCG@10", "HR@20", "NDCG@20"]

Share = Annotated[float, Field(gt=0, lt=1)]


class Beside(Model):
    """Which evaluations a published row stands beside. What else is named is a setting and must have that value.

    Attributes:
        recommender: Name in the registry.
        decoder: Decoder of generative recommenders; None takes any but one that scores all items.

    """

    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, str | int | float | bool]

    recommender: str
    decoder: str | None = None

    @property
    def settings(self) -> dict[str, str | int | float | bool]:
        """What else is named."""
        return self.__pydantic_extra__

    def fits(self, evaluation: Evaluation) -> bool:
        """Tell whether an evaluation is of this recommender, decoder and these settings."""
        case, settings = evaluation.case, evaluation.weights.settings
        all_items = case.search is not None and case.search.kind == ALL_ITEMS
        decoder = not all_items if self.decoder is None else case.decoder == self.decoder
        same = all(settings.get(name) == value for name, value in self.settings.items())
        return case.recommender == self.recommender and decoder and same


class Published(Model):
    """One row that somebody published: leave-one-out, the whole catalogue ranked.

    Attributes:
        dataset: Our name of the dataset.
        method: Their name of the method.
        source: Paper or repository, and the table or file.
        metrics: As printed, shares of 1; only those printed.
        beside: What of ours it stands beside.
        differs: What is known to differ from ours, one sentence.
        items: Size of their catalogue, where it is known and ours may have another.
        misprint: Whether the row cannot be right as it stands.

    """

    model_config = ConfigDict(strict=True)

    dataset: str
    method: str
    source: str
    metrics: dict[MetricName, Share] = Field(min_length=1)
    beside: Beside
    differs: str
    items: int | None = None
    misprint: bool = False


class _Table(Model):
    row: list[Published]


@cache
def published_rows(path: Path = PUBLISHED) -> tuple[Published, ...]:
    """Read the published rows, in the order of the file; a file is read once.

    Raises:
        UserError: The file is missing or damaged.

    """
    try:
        return tuple(_Table(**tomllib.loads(path.read_text(encoding="utf-8"))).row)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}): install the package again") from error
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise UserError(f"{path} is no table of published rows ({error}): the file is damaged") from error
    except ValidationError as error:
        raise UserError(f"{path}: {fault(error)}: the file is damaged") from error


def published_beside(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Return what was published beside what was evaluated, one row a published row that has a counterpart.

    Of several evaluations that fit, the one nearest to the recommender as it comes is taken, see `_distance`.

    Args:
        evaluations: Evaluations of anything; untrained weights and validation targets are passed over.

    Returns:
        Texts in `COLUMNS`, sorted by dataset, ours, and their NDCG@10, the highest first. "ours / theirs" is the ratio
        of NDCG@10, or of HR@10 where only that was published; misprints have none. No rows where nothing fits.

    """
    pairs = nearest(evaluations)
    names = dict(zip(map(id, evaluations), captions(evaluations), strict=True))
    pairs.sort(key=lambda pair: (*_names(pair[1].case), -pair[0].metrics.get("NDCG@10", 0.0)))
    return pd.DataFrame([_cells(row, ours, names[id(ours)]) for row, ours in pairs], columns=COLUMNS, dtype=object)


def nearest(evaluations: Sequence[Evaluation]) -> list[tuple[Published, Evaluation]]:
    """Return each published row that has a counterpart, with the evaluation that it stands beside."""
    usable = [
        evaluation
        for evaluation in evaluations
        if evaluation.quality.split == "test" and evaluation.case.weights is not WeightsKind.UNTRAINED
    ]
    pairs = []
    for row in published_rows():
        fitting = [
            evaluation
            for evaluation in usable
            if evaluation.case.dataset == row.dataset and row.beside.fits(evaluation)
        ]
        if fitting:
            pairs.append((row, min(fitting, key=lambda evaluation: _distance(evaluation, row))))
    return pairs


def _distance(evaluation: Evaluation, row: Published) -> tuple[int, ...]:
    """Sort evaluations: their catalogue first, then fewest settings named, lowest seed, usual serving, most users."""
    case = evaluation.case
    other = row.items is not None and evaluation.provenance.dataset.get("items") != row.items
    named = len(case.settings.keys() - {"preset", "seed"})
    return (
        other,
        named,
        evaluation.seed,
        case.seen != "remove",
        case.scores not in (None, FULL_VOCAB),
        case.dtype != "float32",
        -evaluation.quality.users,
    )


def _names(case: Case) -> tuple[str, str]:
    return case.dataset_variant, case.variant


def _cells(row: Published, ours: Evaluation, name: str) -> dict[str, str]:
    return {
        "dataset": dataset_name(ours),
        "published": f"{row.method} (misprint)" if row.misprint else row.method,
        "source": row.source,
        "their HR@5": _theirs(row, "HR@5"),
        "their NDCG@5": _theirs(row, "NDCG@5"),
        "their HR@10": _theirs(row, "HR@10"),
        "their NDCG@10": _theirs(row, "NDCG@10"),
        "ours": name,
        "our HR@10": metric_of(ours.quality.metrics, "HR@10"),
        "our NDCG@10": metric_of(ours.quality.metrics, "NDCG@10"),
        "ours / theirs": _ratio(row, ours),
        "why they differ": row.differs + _catalogues(row, ours),
    }


def _theirs(row: Published, name: MetricName) -> str:
    return f"{row.metrics[name]:.4f}" if name in row.metrics else NOT_AVAILABLE


def _ratio(row: Published, ours: Evaluation) -> str:
    """Write the ratio of NDCG@10, else of HR@10, which is then named."""
    ratio = ratio_to(row, ours)
    told = "" if _compared(row) == "NDCG@10" else " (HR@10)"
    return NOT_AVAILABLE if ratio is None else f"{significant(ratio)}{told}"


def ratio_to(row: Published, ours: Evaluation) -> float | None:
    """Return ours over theirs of NDCG@10, else of HR@10; None where either is missing, or theirs is a misprint."""
    name = _compared(row)
    metric = ours.quality.metrics.get(name)
    return None if row.misprint or metric is None or name not in row.metrics else metric.value / row.metrics[name]


def _compared(row: Published) -> MetricName:
    return "NDCG@10" if "NDCG@10" in row.metrics else "HR@10"


def _catalogues(row: Published, ours: Evaluation) -> str:
    """Say so where the catalogues are known to differ in size."""
    items = ours.provenance.dataset.get("items")
    if row.items is None or items is None or items == row.items:
        return ""
    return f" Their catalogue has {row.items:,} items, ours {items:,}."
