"""What is compared with what: suites as TOML."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

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
from bench.records.case import CLOSED
from bench.records.load import Offered
from models.errors import UserError
from models.serving import Scores, SeenItems

SUITES = Path(__file__).parent

OPTIONS = {"k": "top-k", "batch_sizes": "batch-size", "beam_widths": "beam-width"}
"""Options that are not spelled as what they change in a suite."""

WITHOUT_GOALS = {"case_seconds", "min_rounds", "train_minutes", "margin", "percentile"}
"""What may be changed without the suite's goals being lost."""

SIDES = ("one pass", "beams")
"""What is held to shares of the machine's bound."""


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
