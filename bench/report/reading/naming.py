"""How cases, their recommenders and their data are called: alike in all tables and figures of a page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from bench.records.case import Case, WeightsKind
from bench.records.naming import Named, named_before
from bench.records.record import Provenance, Record, Weights
from bench.records.studies import BeamStudy, Evaluation, Limited, Studies

CORE = re.compile(r"\bmin_count (\d+)")
"""How a dataset says that users and items with fewer interactions were left out."""

Key = tuple[str, frozenset[tuple[str, object]]]
"""What has one label: a recommender and the settings that differ from its recipe."""


class Told(Protocol):
    """What is known of one case: a record, an evaluation, a study of beams."""

    @property
    def case(self) -> Case:
        """What was measured or ranked."""

    @property
    def named(self) -> Named | None:
        """What people call its recommender; None where nobody said so."""

    @property
    def weights(self) -> Weights | None:
        """What was ranked with; None where nothing came of it."""

    @property
    def labels(self) -> list[str]:
        """Cautions that must stand beside its figures."""

    @property
    def provenance(self) -> Provenance:
        """How to get it again."""


AnyTold = TypeVar("AnyTold", Record, Evaluation, BeamStudy)


class Shown(Named):
    """What a case is called on one page.

    Attributes:
        base: What its recommender is called for itself; `label` is never that of other settings.
        dataset: Its data, without what all data of the page were loaded with.
        preset: Its preset; empty where that is the page's usual one.

    """

    base: str
    dataset: str
    preset: str


def named(told: Told) -> Named:
    """Return what people call the recommender of a case."""
    known = {} if told.weights is None else told.weights.settings
    return told.named or named_before(told.case.recommender, told.case.changed, known)


def label_of(told: Told) -> str:
    """Name the recommender of a case as people do."""
    return named(told).label


def base_of(told: Told) -> str:
    """Name the recommender of a case as if there were no others with other settings."""
    return told.named.base if isinstance(told.named, Shown) else label_of(told)


def caption(told: Told) -> str:
    """Name the recommender with how it is served, and say so when its weights are random."""
    return _caption(label_of(told), told.case)


def _caption(label: str, case: Case) -> str:
    if served := ", ".join(case.served):
        label = f"{label[:-1]}; {served})" if label.endswith(")") else f"{label} ({served})"
    return f"{label}, untrained" if case.weights is WeightsKind.UNTRAINED else label


def dataset_name(told: Told) -> str:
    """Name the dataset, with what it was loaded with unless a page says so once, and say so when it is generated."""
    return told.named.dataset if isinstance(told.named, Shown) else whole_dataset(told)


def whole_dataset(told: Told) -> str:
    """Name the dataset with what it was loaded with, and say so when it is generated."""
    return generated(told.case.dataset_variant, told.provenance)


def preset_name(told: Told) -> str:
    """Name the preset, unless it is the page's usual one."""
    return told.named.preset if isinstance(told.named, Shown) else _preset(told)


def _preset(told: Told) -> str:
    return str(told.case.settings.get("preset"))


def usual_preset(told: Sequence[Told]) -> str | None:
    """Return the preset of more than half of all recommenders and settings; None where there is none."""
    presets = Counter(preset for _, preset in {(_key(each.case), _preset(each)) for each in told})
    preset, times = next(iter(presets.most_common(1)), ("", 0))
    return preset if 2 * times > presets.total() else None


def generated(dataset: str, source: Provenance) -> str:
    """Name a dataset in words, and say so when it is generated and its name does not tell."""
    words = CORE.sub(r"\1-core", dataset)
    return f"{words} (synthetic)" if source.dataset.get("synthetic") and "synthetic" not in words else words


class Names:
    """The names of a page: one label a recommender and setting, and no label twice.

    Args:
        told: Everything that the page shows.
        say_once: Whether the page says what all datasets were loaded with, and which preset is usual, so that names
            need not.

    """

    def __init__(self, told: Sequence[Told], *, say_once: bool = True) -> None:
        self._base: dict[Key, str] = {}
        said: dict[Key, Mapping[str, str]] = {}
        for each in told:
            self._base.setdefault(_key(each.case), base_of(each))
            said.setdefault(_key(each.case), named(each).said)
        self._labels = _told_apart(self._base, said)
        loaded = {repr(sorted(each.case.loaded_with.items())) for each in told}
        short = {each.case.dataset_variant: each.case.dataset for each in told}
        self._datasets = short if say_once and len(loaded) == 1 else {}
        self._usual = usual_preset(told) if say_once else None

    def caption(self, told: Told) -> str:
        """Name the recommender of a case with how it is served, as `caption` does."""
        return _caption(self._labels[_key(told.case)], told.case)

    def dataset(self, variant: str) -> str:
        """Name a dataset without what all of the page were loaded with: that is said once."""
        return self._datasets.get(variant, variant)

    def of(self, told: AnyTold) -> AnyTold:
        """Return a case under the names of the page."""
        key = _key(told.case)
        dataset = generated(self.dataset(told.case.dataset_variant), told.provenance)
        preset = preset_name(told)
        facts = {"label": self._labels[key], "base": self._base[key], "dataset": dataset}
        facts["preset"] = "" if preset == self._usual else preset
        return told.model_copy(update={"named": Shown(**named(told).model_dump(include={"name", "said"}), **facts)})


def _key(case: Case) -> Key:
    return case.recommender, frozenset(case.changed.items())


def _told_apart(base: Mapping[Key, str], said: Mapping[Key, Mapping[str, str]]) -> dict[Key, str]:
    """Add to equal labels the settings in which they differ, in words; and where those are equal, what is typed."""
    alike: dict[str, list[Key]] = {}
    for key, label in base.items():
        alike.setdefault(label, []).append(key)
    labels = dict(base)
    for keys in alike.values():
        common = frozenset.intersection(*(key[1] for key in keys))
        for key in keys if len(keys) > 1 else ():
            own = sorted(name for name, _ in key[1] - common)
            labels[key] = ", ".join([base[key], *(said[key].get(name, f"{name} {dict(key[1])[name]}") for name in own)])
    taken: dict[str, int] = {}
    for label in labels.values():
        taken[label] = taken.get(label, 0) + 1
    return {key: label if taken[label] == 1 else f"{label} [{_typed(key)}]" for key, label in labels.items()}


def _typed(key: Key) -> str:
    recommender, changed = key
    return " ".join([recommender, *(f"{name}={value!r}" for name, value in sorted(changed, key=str))])


def captions(told: Sequence[Told]) -> list[str]:
    """Name each case as `caption` does; where names are not those of a page yet, settings tell equal ones apart."""
    names = Names(told)
    return [names.caption(each) for each in told]


def with_names(told: Sequence[AnyTold]) -> list[AnyTold]:
    """Return cases under names that tell them apart; see `Names`."""
    names = Names(told)
    return [names.of(each) for each in told]


def page_names(records: Sequence[Record], studies: Studies) -> tuple[list[Record], Studies]:
    """Return all that a page shows under its names; what was written as `Case.variant` is said in these, too."""
    names = Names([*records, *studies.evaluations, *studies.beams])
    shown = [names.of(record) for record in records]
    evaluations = [names.of(evaluation) for evaluation in studies.evaluations]
    beams = [names.of(study) for study in studies.beams]
    every: list[Told] = [*shown, *evaluations, *beams]
    by_variant = {told.case.variant: caption(told) for told in every}
    return [_beside(record, by_variant) for record in shown], studies.model_copy(
        update={
            "evaluations": evaluations,
            "beams": beams,
            "leaks": [probe.model_copy(update={"dataset": names.dataset(probe.dataset)}) for probe in studies.leaks],
            "shortcuts": [
                probe.model_copy(
                    update={
                        "dataset": names.dataset(probe.dataset),
                        "limited": [_limited(ranking, by_variant) for ranking in probe.limited],
                    }
                )
                for probe in studies.shortcuts
            ],
        }
    )


def _beside(record: Record, by_variant: Mapping[str, str]) -> Record:
    """Say in words whose lists a record's were held against, and in which dtype where that is another."""
    if record.agreement is None:
        return record
    variant, dtype = record.agreement.compared_with, ""
    if variant not in by_variant:
        variant, comma, dtype = variant.rpartition(", ")
        dtype = comma + dtype
    if variant not in by_variant:
        return record
    told = f"{by_variant[variant]}{dtype}"
    return record.model_copy(update={"agreement": record.agreement.model_copy(update={"compared_with": told})})


def _limited(ranking: Limited, by_variant: Mapping[str, str]) -> Limited:
    """Say in words what ranked by the newest items alone."""
    before = named_before(ranking.recommender.partition(" (")[0], {}, {}).label
    told = by_variant.get(ranking.recommender) or ranking.label or before
    return ranking.model_copy(update={"label": told})
