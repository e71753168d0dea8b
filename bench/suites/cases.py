"""What is compared with what: suites as TOML, expanded to groups of cases that are measured side by side."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.ground.bounds import (
    BatchSize,
    BeamWidth,
    Count,
    ListLength,
    Minutes,
    Percentile,
    Rounds,
    Seconds,
    Seed,
    Threads,
    fault,
)
from bench.ground.textfiles import read_json, read_text
from bench.records.case import CLOSED, Case, WeightsKind
from bench.records.decoders import Search
from bench.records.load import Offered
from bench.records.naming import Named
from bench.records.rankers import Ranking
from bench.scenarios.scenarios import SCENARIOS
from bench.suites.naming import named_of
from bench.training import recipes
from models import registry
from models.decoder import Decoder
from models.errors import UserError
from models.ranker import Ranker
from models.recommender import Recommender, Scores, SeenItems, Settings, TrainableRecommender

SUITES = Path(__file__).parent

OPTIONS = {"k": "top-k", "batch_sizes": "batch-size", "beam_widths": "beam-width"}
"""Options that are not spelled as what they change in a suite."""

WITHOUT_GOALS = {"case_seconds", "min_rounds", "train_minutes", "margin", "percentile"}
"""What may be changed without the suite's goals being lost."""

SIDES = ("one pass", "beams")
"""What is held to shares of the machine's bound."""

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "int8": torch.float32}
"""What weights and activations are kept in; under int8 the weights of products are rounded further."""


class Entry(BaseModel):
    """One recommender of a suite.

    Attributes:
        name: Registry name or ``package.module:Class``.
        label: What pages call it under these settings; None leaves that to the recommender.
        settings: What differs from its defaults.
        decoders: Which decoders to measure; none named means the default one.
        rankers: Which rankers to measure of what ranks by inner product; none named means the default one.
        scores: What their scores mean; none named means as the suite says.
        dtypes: Number formats of these cases alone, in turns with the suite's first; none named means as the suite's.
        checkpoint: Trained weights; None looks for the recommender's own and trains when there are none.
        margin: See `Suite`, for these cases alone.
        seeds: Seeds of the trainings that `bench.reproduce` makes and evaluates; the first one is timed, too.
        beams: Whether `bench.reproduce` holds its beam search against the ranking of all items.
        train_minutes: Bound on the training of this recommender that `bench.reproduce` makes.
        presets: What `bench.reproduce` takes in the place of a size that it is asked for, by size.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    label: str | None = Field(default=None, min_length=1)
    settings: dict[str, str | int | float | bool] = {}
    decoders: list[str] = []
    rankers: list[str] = []
    scores: list[Scores] = []
    dtypes: list[str] = []
    checkpoint: Path | None = None
    margin: float | None = Field(default=None, gt=0, lt=1)
    seeds: list[Seed] = Field(default=[0], min_length=1)
    beams: bool = False
    train_minutes: Minutes | None = None
    presets: dict[str, str] = {}


class Part(BaseModel):
    """Cases of a suite that have lists of their own; what is not named is the suite's.

    Attributes:
        title: What the part shows, a few words.
        recommenders: As in `Suite`, and so the others.
        datasets: See `recommenders`.
        batch_sizes: See `recommenders`.
        beam_widths: See `recommenders`.
        scores: See `recommenders`.
        dtypes: See `recommenders`.
        min_rounds: See `recommenders`.
        goals: At least how many times as long as `goal_decoder` the reference is to take, by kind of device
            and batch size.
        goal_decoder: The decoder that is held to the goals.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    title: str
    recommenders: list[Entry] | None = None
    datasets: list[str] | None = Field(default=None, min_length=1)
    batch_sizes: list[BatchSize] | None = None
    beam_widths: list[BeamWidth] | None = None
    scores: list[Scores] | None = None
    dtypes: list[str] | None = None
    min_rounds: Rounds | None = None
    goals: dict[str, dict[BatchSize, float]] = {}
    goal_decoder: str | None = None

    @model_validator(mode="after")
    def _somebody_is_held_to_the_goals(self) -> Self:
        if self.goals and self.goal_decoder is None:
            raise ValueError(f"part {self.title!r} has goals: name the decoder that is held to them, goal_decoder")
        return self


class Suite(BaseModel):
    """A set of cases: the product of what its lists name.

    Attributes:
        description: One line.
        datasets: Names or paths.
        synthetic: Sizes of the generated dataset.
        recommenders: What is compared; may be empty where there are parts.
        claimants: Names of the recommenders whose claim is tried: pages hold them against the strongest beam search.
        parts: Products of their own, instead of one.
        min_count: Least interactions of users and items (k-core) that `bench.reproduce` keeps; 0 keeps all.
        ranks_with: Decoder by which `bench.reproduce` ranks all users, by kind of device; one that keeps the beams.
        leaks: Whether `bench.reproduce` probes the numberings of items for answers that they give away.
        own_process: Whether each case's memory is measured in a process that serves it alone, too.
        eager: Whether one-pass recommenders are timed on a GPU without a graph, too.
        compiled: Whether one-pass recommenders are timed on a CPU compiled, too.
        bound_goals: At least which share of the machine's bound the strongest of each side is to reach, by kind of
            device, side and batch size.
        ablation: Whether each part holds its recommenders against its first one.
        untrained: Whether weights are random, which measures cost alone.
        batch_sizes: Users a request.
        k: Length of the lists.
        beam_widths: Numbers of beams of generative recommenders' beam searches.
        scores: What the scores of generated items mean.
        dtypes: Number formats of weights and activations.
        seen: Whether items of the history may come back.
        scenario: How requests arrive.
        load: What is asked of the recommenders as services, under scenarios other than ``closed``.
        threads: CPU threads of every case; None leaves one core to all else.
        train_minutes: Bound on training a recommender on the fly; None leaves it to the recipe.
        case_seconds: Timed seconds a case.
        min_rounds: Timed rounds a case, however long they take.
        margin: By which share latency may change and still count as the same, for `bench.gate`.
        percentile: The highest percentile that is wanted: as many rounds are timed as it needs.
        flush_cache: Whether to overwrite a GPU's L2 cache before each timed request.

    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    description: str
    datasets: list[str] = Field(min_length=1)
    synthetic: dict[Literal["users", "items", "length"], int] = {}
    recommenders: list[Entry] = []
    claimants: list[str] = []
    parts: list[Part] = []
    min_count: Count = 0
    ranks_with: dict[Literal["cpu", "cuda"], str] = {}
    leaks: bool = True
    own_process: bool = True
    eager: bool = True
    compiled: bool = False
    bound_goals: dict[Literal["cpu", "cuda"], dict[str, dict[BatchSize, float]]] = {}
    ablation: bool = False
    untrained: bool = False
    batch_sizes: list[BatchSize] = Field(default=[1], min_length=1)
    k: ListLength = 20
    beam_widths: list[BeamWidth] = Field(default=[20], min_length=1)
    scores: list[Scores] = Field(default=[Scores.FULL_VOCAB], min_length=1)
    dtypes: list[str] = Field(default=["float32"], min_length=1)
    seen: SeenItems = SeenItems.REMOVE
    scenario: str = CLOSED
    load: Offered = Offered()
    threads: Threads | None = None
    train_minutes: Minutes | None = None
    case_seconds: Seconds = 5.0
    min_rounds: Rounds = 10
    margin: float = Field(default=0.05, gt=0, lt=1)
    percentile: Percentile = 50
    flush_cache: bool = False

    @model_validator(mode="after")
    def _compares(self) -> Self:
        named = [part.recommenders or self.recommenders for part in self.parts] or [self.recommenders]
        if not all(named):
            raise ValueError("no recommenders: name some, here or in every part")
        for side in {side for goals in self.bound_goals.values() for side in goals} - {*SIDES}:
            raise ValueError(f"a goal for {side!r}: use one of {', '.join(SIDES)}")
        for part in self.parts:
            held = {size for goals in part.goals.values() for size in goals}
            if loose := held.difference(part.batch_sizes or self.batch_sizes):
                raise ValueError(f"{part.title}: a goal for batch size {min(loose)}, which is not measured")
        return self

    def pieces(self) -> list[tuple[Part, Suite]]:
        """Return each part beside the suite as it is for that part; without parts, the suite beside an untitled one."""
        fields = set(Part.model_fields) & set(type(self).model_fields)
        return [
            (
                part,
                self.model_copy(update={name: value for name in fields if (value := getattr(part, name)) is not None}),
            )
            for part in self.parts or [Part(title="")]
        ]


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


def suites() -> dict[str, str]:
    """Return the suites that come along, by name, with their descriptions."""
    return {path.stem: read_suite(path.stem).description for path in sorted(SUITES.glob("*.toml"))}


def read_suite(name: str) -> Suite:
    """Read a suite by name, or from a TOML or JSON file.

    Raises:
        UserError: There is no such suite, or its file is not a suite.

    """
    if not name.strip():
        raise UserError("--suite: names nothing (a variable that is not set?); `python -m bench` lists the suites")
    path = Path(name) if name.endswith((".toml", ".json")) else SUITES / f"{name}.toml"
    if not path.exists():
        names = ", ".join(sorted(path.stem for path in SUITES.glob("*.toml")))
        raise UserError(f"no suite {name!r}: use one of {names}, or a path that ends in .toml or .json")
    try:
        values = read_json(path) if path.suffix == ".json" else tomllib.loads(read_text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{path}: invalid TOML: {error}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: is no suite but a {type(values).__name__}; see bench/suites/quick.toml")
    try:
        return Suite(**values)
    except ValidationError as error:
        raise UserError(f"{path}: {fault(error, 'the suite')}") from error


def changed(suite: Suite, **changes: Any) -> Suite:
    """Return a suite with what the user named put in; None leaves a value as it is.

    Raises:
        UserError: A value is out of range.

    """
    named = {name: value for name, value in changes.items() if value is not None}
    if "load" in named:
        named["load"] = suite.load.model_dump() | named["load"]
    values = suite.model_dump() | named
    settled = not named.keys() - WITHOUT_GOALS
    values["bound_goals"] = values["bound_goals"] if settled else {}
    values["parts"] = [
        {name: value for name, value in part.items() if name not in named and (name != "goals" or settled)}
        for part in values["parts"]
    ]
    own = named.keys() & {"scores", "dtypes"}
    for piece in (values, *values["parts"]):
        for entry in piece.get("recommenders") or ():
            entry.update({key: [] for key in own})
    try:
        return Suite(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        option = OPTIONS.get(name, name.replace("_", "-"))
        raise UserError(f"--{option} {first['input']}: {first['msg'].lower()}; change it") from error


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
