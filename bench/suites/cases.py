"""What is compared with what: suites as TOML, expanded to groups of cases that are measured side by side."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench.records.case import Case, WeightsKind
from bench.records.decoders import Search
from bench.records.naming import Named
from bench.records.rankers import Ranking
from bench.scenarios.scenarios import SCENARIOS
from bench.suites.definitions import Entry, Suite
from bench.suites.naming import named_of
from bench.training import recipes
from models import registry
from models.decoder import Decoder
from models.errors import UserError
from models.ranker import Ranker
from models.recommender import Recommender, Settings
from models.trainable import TrainableRecommender

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "int8": torch.float32}
"""What weights and activations are kept in; under int8 the weights of products are rounded further."""


@dataclass(frozen=True)
class Planned:
    """A case that is to be measured.

    Attributes:
        case: What is measured.
        checkpoint: Which weights it takes.
        min_rounds: Timed rounds at least.
        part: Title of the suite's part; empty where it has none.
        goal: How many times as long as this case the reference is to take, at least; None where nothing is asked.
        margin: By which share its latency may change and still count as the same.
        claims: Whether the suite tries this recommender's claim.
        named: What people call its recommender.

    """

    case: Case
    checkpoint: Path | None = None
    min_rounds: int = 10
    part: str = ""
    goal: float | None = None
    margin: float = 0.05
    claims: bool = False
    named: Named | None = None


def expand(
    suite: Suite,
    dataset: str,
    *,
    source: str | None = None,
    loaded_with: dict[str, str | int | bool | None] | None = None,
    device: torch.device,
    threads: int,
    chosen: dict[str, Any],
    untrained: bool,
) -> list[list[Planned]]:
    """List the cases of a dataset in groups; a group's cases differ in what recommends, and are timed in turns.

    A case that is named twice is listed once, in its first group. On a GPU one-pass recommenders are listed twice,
    the second time compiled: a beam search that is, too, would else be held against launching kernels one by one. On a
    CPU that takes seconds for each size of request, so there it is for the suite to say.

    Args:
        suite: What is compared.
        dataset: The loaded dataset's name.
        source: What the suite calls it; None takes the parts of all datasets.
        loaded_with: Unusual options of the dataset, which the cases' names tell.
        device: Where all cases run.
        threads: CPU threads of all cases.
        chosen: Settings named on the command line; they go to every recommender that has them.
        untrained: Whether weights are random, which measures cost alone.

    Raises:
        UserError: A recommender, setting, decoder, dtype or scenario does not exist.

    """
    shared = {"dataset": dataset, "loaded_with": loaded_with or {}, "device": str(device), "threads": threads}
    shared |= {"k": suite.k, "seen": suite.seen.value, "scenario": suite.scenario}
    if suite.scenario not in SCENARIOS:
        raise UserError(f"there is no scenario {suite.scenario!r}: use one of {', '.join(SCENARIOS)}")
    shared |= {"load": SCENARIOS[suite.scenario].offered(suite.load, device)}
    random = untrained or suite.untrained
    groups: list[list[Planned]] = []
    planned_names: set[str] = set()
    for part, piece in suite.pieces():
        if source is not None and source not in piece.datasets:
            continue
        for unknown in {*piece.dtypes, *(dtype for entry in piece.recommenders for dtype in entry.dtypes)} - {*DTYPES}:
            raise UserError(f"--dtype {unknown}: use one of {', '.join(DTYPES)}")
        goals = part.goals.get(device.type, {})
        for dtype in piece.dtypes:
            for batch_size in piece.batch_sizes if shared["load"] is None else [1]:  # a service makes its own batches
                common = shared | {"batch_size": batch_size}
                plan: dict[str, Any] = {"min_rounds": piece.min_rounds, "part": part.title}
                group = [
                    Planned(
                        Case(**common, **serving, dtype=own),
                        entry.checkpoint,
                        margin=entry.margin or suite.margin,
                        claims=entry.name in suite.claimants,
                        named=named_of(entry.name, dataset, serving["settings"], _label(entry, chosen)),
                        goal=goals.get(batch_size) if goals and serving.get("decoder") == part.goal_decoder else None,
                        **plan,
                    )
                    for entry in piece.recommenders
                    for own in entry.dtypes or [dtype]
                    for serving in servings(entry, piece, dataset, chosen, device, untrained=random)
                ]
                fresh: dict[str, Planned] = {}
                for planned in group:
                    if planned.case.name not in planned_names:
                        fresh.setdefault(planned.case.name, planned)
                planned_names |= set(fresh)
                groups.append(list(fresh.values()))
    return [group for group in groups if group]


def named_settings(recommender: str, dataset: str, settings: Settings) -> dict[str, Any]:
    """Return the preset and what differs from the recommender's recipe: by these a case is known.

    Args:
        recommender: Registry name or ``package.module:Class``.
        dataset: The dataset's name.
        settings: What it is built with.

    """
    preset = {"preset": settings.preset}
    usual = recipes.resolve(recommender, dataset, preset)[0].model_dump(mode="json")
    named = {name: value for name, value in settings.model_dump(mode="json").items() if value != usual[name]}
    for name in list(named):  # what the recipe adds to the others need not be named
        fewer = {other: value for other, value in named.items() if other != name}
        with suppress(UserError):  # the others cannot be without this one
            if recipes.resolve(recommender, dataset, preset | fewer)[0] == settings:
                named = fewer
    return preset | named


def servings(
    entry: Entry, suite: Suite, dataset: str, chosen: dict[str, Any], device: torch.device, *, untrained: bool
) -> list[dict[str, Any]]:
    """Return the parts of a case that one recommender decides: settings, weights, how it is served.

    Args:
        entry: Which recommender.
        suite: Names scores and beam widths where the entry has none of its own.
        dataset: The dataset's name.
        chosen: Settings named on the command line.
        device: Where it runs.
        untrained: Whether weights are random.

    Raises:
        UserError: A setting or a decoder does not exist.

    """
    kind = registry.load(entry.name)
    fitting = {name: value for name, value in chosen.items() if name in kind.settings_type.model_fields}
    settings, _ = recipes.resolve(entry.name, dataset, entry.settings | fitting)
    if not issubclass(kind, TrainableRecommender):
        weights = WeightsKind.AS_BUILT
    else:
        weights = WeightsKind.UNTRAINED if untrained else WeightsKind.TRAINED
    common = {"recommender": entry.name, "settings": named_settings(entry.name, dataset, settings), "weights": weights}
    if not kind.decoders:
        return [
            common | ranker | {"compiled": compiled}
            for ranker in _rankers(entry, kind)
            for compiled in _ways(kind, suite, device)
        ]
    for decoder in entry.decoders:
        if decoder not in kind.decoders:
            raise UserError(f"{entry.name} has no decoder {decoder!r}: use one of {', '.join(kind.decoders)}")
    decoders = [kind.decoders[name] for name in entry.decoders or list(kind.decoders)[:1]]
    return [
        common | {"decoder": row.name, "search": search_of(row), "scores": scores.value, "beam_width": width}
        for row in decoders
        for scores in entry.scores or suite.scores
        for width in (suite.beam_widths if row.has_beams else [None])
    ]


def _label(entry: Entry, chosen: dict[str, Any]) -> str | None:
    """Return what the suite calls an entry, unless settings named on the command line made something else of it."""
    kept = all(entry.settings.get(name, value) == value for name, value in chosen.items())
    return entry.label if kept else None


def _ways(kind: type[Recommender], suite: Suite, device: torch.device) -> tuple[bool, ...]:
    """Return whether a one-pass recommender is timed compiled, as it is, or both."""
    if not kind.compilable or not (device.type == "cuda" or suite.compiled):
        return (False,)
    return (False, True) if suite.eager or device.type != "cuda" else (True,)


def _rankers(entry: Entry, kind: type[Recommender]) -> list[dict[str, Any]]:
    """Return the parts of a case that its ranker decides; the default one goes without saying."""
    for ranker in entry.rankers:
        if ranker not in kind.rankers:
            advice = f"use one of {', '.join(kind.rankers)}" if kind.rankers else "it does not rank by inner product"
            raise UserError(f"{entry.name} has no ranker {ranker!r}: {advice}")
    usual = next(iter(kind.rankers), None)
    named = [None if name == usual else name for name in entry.rankers] or [None]
    return [{"ranker": name, "ranking": None if name is None else ranking_of(kind.rankers[name])} for name in named]


def ranking_of(ranker: Ranker) -> Ranking:
    """Return what records say of a ranker."""
    return Ranking(kind=ranker.kind, is_exact=ranker.is_exact)


def search_of(decoder: Decoder) -> Search:
    """Return what records say of a decoder."""
    return Search(kind=decoder.kind, has_beams=decoder.has_beams, rung=decoder.rung)
