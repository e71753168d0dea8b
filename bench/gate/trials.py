"""``python -m bench.gate.trials``: how often is the gate wrong, and what slow-downs does it see?

``live`` runs whole gates on one commit, with a slow-down injected into head or with none. ``record``
keeps the samples of many pairs of the same code, from which ``replay`` draws as many gates as one likes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bench.cli import ending
from bench.gate.judge import Judge
from bench.gate.pairs import Ledger
from bench.gate.sides import Side, base_side
from bench.ground.home import atomic, home
from bench.records.case import Case
from bench.records.gate import CaseResult, GateResult, Process, SideRole, Verdict
from bench.statistics.process_pairs import LEAST_PAIRS
from models import registry
from models.errors import UserError

app = typer.Typer(add_completion=False, help=__doc__)

VERDICTS = (0, 1, 3)
"""How a gate ends that came to one."""

MOST_REPLAYED = 12
"""Pairs of a replayed gate at most: two more looks than the first."""

GRAVEST = (Verdict.SLOWER, Verdict.AMBIGUOUS, Verdict.NOT_MEASURED, Verdict.FASTER, Verdict.SAME)
"""A gate with several cases counts as its gravest."""

SLOWED = """

import time as _time

_prepare, _recommend = {name}.prepare, {name}.recommend


def _since(self, histories):
    self.__dict__["_began"] = _time.perf_counter()
    return _prepare(self, histories)


def _slowed(self, inputs, k):
    found = _recommend(self, inputs, k)
    end = self.__dict__["_began"] + (_time.perf_counter() - self.__dict__["_began"]) * {factor}
    while _time.perf_counter() < end:
        pass
    return found


{name}.prepare, {name}.recommend = _since, _slowed
"""
"""Appended to a recommender's module: each request takes so many times as long, on a CPU."""


@app.command()
def live(
    out: Annotated[Path, typer.Option(help="JSON lines, one a gate; what is there already is not run again.")],
    recommender: Annotated[str, typer.Option(help="Which to measure, and to slow down.")],
    slow_down: Annotated[float, typer.Option(help="Percent by which head's requests take longer.")] = 0.0,
    trials: Annotated[int, typer.Option(min=1, help="Gates to run.")] = 10,
    budget_minutes: Annotated[float, typer.Option(help="As of bench.gate.")] = 10.0,
    revision: Annotated[str, typer.Option(help="Commit that both sides start from.")] = "HEAD",
    rate: Annotated[float | None, typer.Option(help="Ask both as services, so many requests a second.")] = None,
) -> None:
    """Run whole gates, and keep each one's verdicts."""
    base = base_side(revision)
    if not isinstance(base, Side):
        raise UserError(f"--revision {revision}: give a git revision")
    done = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    kind = {"recommender": recommender, "slow_down_percent": slow_down, "budget_minutes": budget_minutes}
    kind |= {"commit": base.folder.name} | ({} if rate is None else {"rate": rate})
    served = [] if rate is None else ["--scenario", "open", "--rate", f"{rate:g}"]
    before = sum(all(earlier.get(name) == value for name, value in kind.items()) for earlier in done)
    os.environ["BENCH_HOME"] = str(home().resolve())
    for number in range(before, trials):
        with _slowed_copy(base, recommender, slow_down / 100) as head:
            result = _gate(head, base, recommender, budget_minutes, served)
        trial = kind | {"trial": number, "exit_status": result.exit_status, "pairs": result.pairs}
        trial |= {"seconds": round(result.seconds, 1), "cases": [_outcome(case) for case in result.cases]}
        with atomic(out) as path:
            path.write_text("".join(json.dumps(row) + "\n" for row in [*done, trial]))
        done.append(trial)
        typer.echo(f"gate {number + 1} of {trials}: {[case.verdict.value for case in result.cases]}")


def _outcome(case: CaseResult) -> dict[str, Any]:
    kept: dict[str, Any] = {"case": {"batch_size"}, "verdict": True, "latency": True, "noise": True, "detectable": True}
    return case.model_dump(mode="json", include=kept)


@contextmanager
def _slowed_copy(base: Side, recommender: str, share: float) -> Iterator[Side]:
    """Yield a copy of a side whose recommender takes longer by a share of each request's time."""
    module, _, name = registry.available()[recommender].path.partition(":")
    folder = Path(tempfile.mkdtemp(prefix="bench-slowed-"))
    try:
        copy = shutil.copytree(base.folder, folder / "checkout")
        if share:
            path = (copy / Path(*module.split("."))).with_suffix(".py")
            if not path.is_file():
                raise UserError(f"{recommender} is no single file ({path.name}): this script cannot slow it down")
            with path.open("a") as file:
                file.write(SLOWED.format(name=name, factor=1 + share))
        yield Side(f"{share:+.0%}", copy, copy)
    finally:
        shutil.rmtree(folder)


def _gate(head: Side, base: Side, recommender: str, budget_minutes: float, served: Sequence[str]) -> GateResult:
    """Run the command in head's folder."""
    with tempfile.TemporaryDirectory() as out:
        words = ["--against", str(base.folder), "--recommender", recommender, "--out", out, *served]
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, "-m", "bench.gate", *words, "--budget-minutes", str(budget_minutes), "--fail-fast"],
            cwd=head.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in VERDICTS:
            raise UserError(f"a gate ended with status {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
        return GateResult.model_validate_json((Path(out) / "gate.json").read_text())


@app.command()
def table(found: Annotated[Path, typer.Argument(help="What `live` kept.")]) -> None:
    """Print what live gates found as Markdown: a row a slow-down, then a row a gate and case."""
    trials = [json.loads(line) for line in found.read_text().splitlines()]
    typer.echo("| recommender | slow-down | gates | SLOWER | SAME | AMBIGUOUS | FASTER | pairs | minutes a gate |")
    typer.echo("| --- " * 9 + "|")
    for (measured, percent), group in _grouped(trials).items():
        counts = Counter(_gravest({case["verdict"] for case in gate["cases"]}) for gate in group)
        shown = [str(counts[name]) for name in (Verdict.SLOWER, Verdict.SAME, Verdict.AMBIGUOUS, Verdict.FASTER)]
        pairs, minutes = [gate["pairs"] for gate in group], sum(gate["seconds"] for gate in group) / 60 / len(group)
        cells = [measured, f"{percent:g} %", str(len(group)), *shown, f"{min(pairs)} to {max(pairs)}"]
        typer.echo(f"| {' | '.join([*cells, f'{minutes:.1f}'])} |")
    typer.echo("\n| recommender | slow-down | gate | batch | verdict | head / base | itself | could have seen |")
    typer.echo("| --- " * 8 + "|")
    for trial in trials:
        for case in trial["cases"]:
            ratios = [_ratio(case[name]) for name in ("latency", "noise")]
            seen = "" if case["detectable"] is None else f"{case['detectable']:+.1%}"
            cells = [_measured(trial), f"{trial['slow_down_percent']:g} %", str(trial["trial"] + 1)]
            cells.append(str(case["case"]["batch_size"]))
            typer.echo(f"| {' | '.join([*cells, case['verdict'], *ratios, seen])} |")


def _grouped(trials: Sequence[dict[str, Any]]) -> dict[tuple[str, float], list[dict[str, Any]]]:
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for trial in trials:
        groups.setdefault((_measured(trial), trial["slow_down_percent"]), []).append(trial)
    return groups


def _measured(trial: dict[str, Any]) -> str:
    """Name the recommender, and the requests a second that it got as a service."""
    name: str = trial["recommender"]
    return f"{name}, {trial['rate']:,g} a second" if "rate" in trial else name


def _ratio(estimate: dict[str, float] | None) -> str:
    return "" if estimate is None else f"{estimate['ratio']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def _gravest(verdicts: Collection[str]) -> str:
    return next(verdict.value for verdict in GRAVEST if verdict in verdicts)


@app.command()
def record(
    result: Annotated[Path, typer.Argument(help="gate.json of a gate on identical code, with many --pairs.")],
    out: Annotated[Path, typer.Option(help="The recording, .npz.")],
) -> None:
    """Keep the samples of a gate's processes, in single precision."""
    gate_result = GateResult.model_validate_json(result.read_text())
    arrays: dict[str, Any] = {
        f"{number}/{role}/{kind}": np.array([getattr(process, kind) for process in processes], dtype=dtype)
        for number, case in enumerate(gate_result.cases)
        for role, processes in case.processes.items()
        for kind, dtype in (("samples_s", np.float32), ("turns", np.int16))
    }
    names = [case.case.model_dump_json() for case in gate_result.cases]
    with atomic(out) as path, path.open("wb") as file:
        np.savez_compressed(file, **arrays, cases=np.array(names))


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(help="What `record` kept.")],
    gates: Annotated[int, typer.Option(min=1, help="How many to draw.")] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    slow_down: Annotated[float, typer.Option(help="Percent by which head's samples are stretched.")] = 0.0,
) -> None:
    """Draw gates from recorded pairs, and count verdicts."""
    counts = replayed(recording, gates, seed=seed, slow_down=slow_down / 100)
    for verdict, count in counts.items():
        typer.echo(f"{verdict}: {count} of {gates} gates")


def replayed(recording: Path, gates: int, *, seed: int = 0, slow_down: float = 0.0) -> Counter[str]:
    """Count how gates drawn from recorded pairs of the same code end, each by its gravest verdict.

    A gate draws pairs without replacement, and deals the three processes of each to base, head and base
    again by lot. It looks at as many pairs as a live one would, up to `MOST_REPLAYED`.

    Args:
        recording: What `record` kept.
        gates: How many to draw.
        seed: Seed of the draws.
        slow_down: Share by which head's samples are stretched.

    """
    with np.load(recording) as stored:
        cases = [Case.model_validate_json(str(text)) for text in stored["cases"]]
        roles = [SideRole.BASE, SideRole.HEAD, SideRole.AGAIN]
        kept = [
            [list(zip(stored[f"{n}/{role}/samples_s"], stored[f"{n}/{role}/turns"], strict=True)) for role in roles]
            for n in range(len(cases))
        ]
    rng = np.random.default_rng(seed)
    counts: Counter[str] = Counter()
    for _ in range(gates):
        drawn = rng.permutation(len(kept[0][0]))[:MOST_REPLAYED]
        dealt = [rng.permutation(3) for _ in drawn]
        counts[_replay(cases, kept, drawn.tolist(), dealt, slow_down)] += 1
    return counts


def _replay(
    cases: Sequence[Case],
    kept: Sequence[Sequence[Sequence[tuple[np.ndarray, np.ndarray]]]],
    drawn: Sequence[int],
    dealt: Sequence[np.ndarray],
    slow_down: float,
) -> str:
    judge, look, pairs = Judge(), 0, LEAST_PAIRS
    listed = {case.name: (case, 0.05) for case in cases}
    ledger = Ledger(cases={SideRole.BASE: listed, SideRole.HEAD: listed})
    while True:
        for number, case in enumerate(cases):
            if case.name not in judge.given:
                ledger.processes[case.name] = {
                    role: [
                        _process(kept[number][lot[place]][pair], 1 + slow_down * (role is SideRole.HEAD))
                        for pair, lot in zip(drawn[:pairs], dealt, strict=False)
                    ]
                    for place, role in enumerate((SideRole.BASE, SideRole.HEAD, SideRole.AGAIN))
                }
        verdicts = {result.verdict for result in judge.look(ledger, look)}
        more = -(-pairs * 3 // 2)
        if Verdict.AMBIGUOUS not in verdicts or more > len(drawn):
            break
        pairs, look = more, look + 1
    return _gravest(verdicts)


def _process(kept: tuple[np.ndarray, np.ndarray], factor: float) -> Process:
    samples, turns = kept
    return Process(samples_s=(samples * factor).tolist(), turns=turns.tolist())


if __name__ == "__main__":
    ending.run(app)
