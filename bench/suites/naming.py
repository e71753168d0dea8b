"""What people call the recommenders of cases: the words of a suite, or else those of the recommender's class."""

from __future__ import annotations

from collections.abc import Mapping

from bench.records.naming import Named
from bench.training import recipes
from models import registry
from models.recommender import Recommender
from models.spoken import Spoken, Value


def spoken_of(kind: type[Recommender]) -> Spoken:
    """Return what a class calls itself; what it was derived from goes by another name."""
    own = vars(kind).get("spoken")
    return own if isinstance(own, Spoken) else Spoken()


def named_of(recommender: str, dataset: str, settings: Mapping[str, Value], label: str | None = None) -> Named:
    """Return what people call a recommender with these settings.

    Args:
        recommender: Registry name or ``package.module:Class``.
        dataset: The dataset's name.
        settings: The preset and what differs from the recommender's recipe, as in a case.
        label: What a suite calls it; None for what its class says.

    Raises:
        UserError: There is no such recommender or setting.

    """
    spoken = spoken_of(registry.load(recommender))
    if label is None:
        whole, _ = recipes.resolve(recommender, dataset, dict(settings))
        label = spoken.label(recommender, whole.model_dump(mode="json"))
    return Named(name=spoken.plain(recommender), label=label, said=spoken.said(settings))
