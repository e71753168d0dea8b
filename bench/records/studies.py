"""What is known of quality beyond single cases: all users ranked, several seeds, beams against all items, leaks.

`bench.evaluate`, `bench.beams`, `bench.leaks` and `bench.reproduce` write one `Studies` to a file; the report reads
it beside the records of what was timed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.records.case import Case
from bench.records.model import AtLeastOne, Count, Model, NonNegative, Positive, Share
from bench.records.naming import Named
from bench.records.quality import Metric, Quality
from bench.records.record import SCHEMA_VERSION, Provenance, Weights

KIND = "lite-llm4rec-studies"


class Evaluation(Model):
    """Full-ranking quality of one set of weights, served in one way.

    Attributes:
        case: What was ranked, named as in records; `batch_size` is that of ranking.
        named: What people call it; None in studies made before there were names.
        labels: Cautions that must stand beside the figures.
        weights: What ranked, and how it was trained.
        quality: Quality of all users; it holds where each target stands, so that evaluations compare user by user.
        seconds: Time that ranking took.
        provenance: How to get the figures again.

    """

    case: Case
    named: Named | None = None
    labels: list[str] = Field(default=[])
    weights: Weights
    quality: Quality
    seconds: NonNegative
    provenance: Provenance

    @property
    def seed(self) -> int:
        """Seed of weights and batches."""
        return int(self.weights.settings.get("seed") or 0)


class Beam(Model):
    """What a beam search finds, held against the ranking of all items by the same scores.

    Attributes:
        width: Beams.
        metrics: HR and NDCG of the beam search's lists.
        found: Targets among the first ten of its lists.
        true_rank_mean: Mean rank of those targets in the ranking of all items; None where there are none.
        true_rank_median: Their median rank.
        overlap: Mean share of the first ten of all items that the first ten of the beams have, too.
        coverage: Share of the catalogue in the first ten of some user.
        valid_rate: Share of the first ten places that hold an item of the catalogue.
        duplicate_rate: Share of the first ten places that repeat an item of the same list.

    """

    width: AtLeastOne
    metrics: dict[str, Metric]
    found: Count
    true_rank_mean: Positive | None
    true_rank_median: Positive | None
    overlap: Share
    coverage: Share
    valid_rate: Share
    duplicate_rate: Share


class BeamStudy(Model):
    """Beam searches of growing width against the ranking of all items, for one set of weights.

    Attributes:
        case: The weights, under the decoder that searched with the first width.
        named: As `Evaluation.named`.
        labels: Cautions that must stand beside the figures.
        weights: What ranked.
        users: Users ranked, a seeded sample where not all.
        all_users: Users there are.
        exhaustive: Quality of the ranking of all items.
        exhaustive_coverage: As `Beam.coverage`.
        beams: By width.
        provenance: How to get the figures again.

    """

    case: Case
    named: Named | None = None
    labels: list[str] = Field(default=[])
    weights: Weights
    users: AtLeastOne
    all_users: AtLeastOne
    exhaustive: dict[str, Metric]
    exhaustive_coverage: Share
    beams: list[Beam]
    provenance: Provenance


class LeakProbe(Model):
    """What "the next numbers after the highest of the history" finds under one numbering, without any model.

    Attributes:
        dataset: Name of the dataset, and what it was loaded with.
        numbering: Name of the numbering.
        labels: Cautions, such as that it is known to leak.
        users: Users probed.
        metrics: HR@1, HR@10 ... of the list max + 1, max + 2, ...
        provenance: How to get the figures again.

    """

    dataset: str
    numbering: str
    labels: list[str] = Field(default=[])
    users: AtLeastOne
    metrics: dict[str, Metric]
    provenance: Provenance


class Limited(Model):
    """How well a recommender ranks when only a user's newest items are known.

    Attributes:
        recommender: `Case.variant` of what ranked.
        label: What people call it; empty in studies made before there were names.
        sha256: Digest of its weights; None where nothing is trained.
        last: How many of the newest items are known; None for all.
        metrics: NDCG@10, HR@10 ...

    """

    recommender: str
    label: str = ""
    sha256: str | None = None
    last: AtLeastOne | None = None
    metrics: dict[str, Metric]


class ShortcutProbe(Model):
    """How far a dataset can be solved by looking things up; see `bench.quality.shortcuts.Structure`.

    Attributes:
        dataset: Name of the dataset, and what it was loaded with.
        users: Users whose targets were looked at.
        branching: How many items follow an item.
        follows: Share of targets that directly follow the last item in training.
        same_brand: Share of targets with the last item's brand; None without brands.
        same_category: Share of targets with its category; None without categories.
        smoothness: Mean cosine of the words of last item and target; None without words.
        by_chance: The same of targets of other users.
        limited: Recommenders that see only the newest items.
        provenance: How to get the figures again.

    """

    dataset: str
    users: AtLeastOne
    branching: NonNegative
    follows: Share
    same_brand: Share | None
    same_category: Share | None
    smoothness: float | None
    by_chance: float | None
    limited: list[Limited] = Field(default=[])
    provenance: Provenance


class Ablation(Model):
    """Which cases one part of an ablation suite compares.

    Attributes:
        title: What is varied.
        dataset: `Case.dataset_variant` of all of them.
        base: `Case.variant` that the others are held against.
        others: `Case.variant` of the others, in the suite's order.
        weights: SHA-256 of the weights of each, so that longer trainings of the same name are not taken for them.

    """

    title: str
    dataset: str
    base: str
    others: list[str]
    weights: dict[str, str] = Field(default={})


class Studies(Model):
    """One file of studies."""

    kind: Literal["lite-llm4rec-studies"] = "lite-llm4rec-studies"
    schema_version: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    evaluations: list[Evaluation] = Field(default=[])
    beams: list[BeamStudy] = Field(default=[])
    leaks: list[LeakProbe] = Field(default=[])
    shortcuts: list[ShortcutProbe] = Field(default=[])
    ablations: list[Ablation] = Field(default=[])

    @property
    def probes(self) -> list[LeakProbe | ShortcutProbe]:
        """Studies of a dataset, rather than of a case."""
        return [*self.leaks, *self.shortcuts]

    def joined(self, other: Studies) -> Studies:
        """Return all studies of both."""
        return Studies(
            evaluations=[*self.evaluations, *other.evaluations],
            beams=[*self.beams, *other.beams],
            leaks=[*self.leaks, *other.leaks],
            shortcuts=[*self.shortcuts, *other.shortcuts],
            ablations=[*self.ablations, *other.ablations],
        )
