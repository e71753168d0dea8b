"""From a ledger to verdicts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench.gate.checks import compare_facts, unsteady
from bench.gate.pairs import Ledger
from bench.records.case import Case
from bench.records.gate import CaseResult, Check, Facts, Process, SideRole, Verdict, Violation
from bench.statistics import process_pairs
from bench.statistics.process_pairs import ProcessComparison

NOISY = "the same code differs from itself"


@dataclass(frozen=True)
class Stored:
    """A side that was measured earlier.

    Attributes:
        cases: What it lists.
        processes: By case.
        facts: By case.
        foreign: Why its latency cannot be compared, such as that another machine measured it; empty where it can.

    """

    cases: dict[str, Case]
    processes: dict[str, list[Process]]
    facts: dict[str, Facts]
    foreign: str = ""


@dataclass
class Judge:
    """Gives verdicts; those once given stay.

    Attributes:
        margin: For all cases, whatever their suite says; None leaves it to the suite.
        accepted: Checks whose failure is forgiven.
        stored: The base, where it is a file.
        given: Verdicts on latency so far, without AMBIGUOUS ones.

    """

    margin: float | None = None
    accepted: Collection[Check] = ()
    stored: Stored | None = None
    given: dict[str, Verdict] = field(default_factory=dict)

    def look(self, ledger: Ledger, number: int) -> list[CaseResult]:
        """Judge all cases by what is known, at the so-manieth look (from 0)."""
        base = self.stored.cases if self.stored else {n: case for n, (case, _) in ledger.cases[SideRole.BASE].items()}
        head = {name: case for name, (case, _) in ledger.cases[SideRole.HEAD].items()}
        compared = {
            name: self._compare(ledger, name, self._margin(ledger, name))
            for name in head
            if name in base and name not in ledger.failures and _pairs_of(ledger, name) > 1
        }
        slower = _adjusted({name: comparison.p_slower for name, (comparison, _) in compared.items()})
        faster = _adjusted({name: comparison.p_faster for name, (comparison, _) in compared.items()})
        risk = process_pairs.risk_at(number)
        results = []
        for name in dict.fromkeys([*head, *base]):
            result = self._facts(ledger, name, head.get(name), base.get(name))
            if name in compared:
                adjusted, margin = (slower[name], faster[name]), result.margin
                timing = _timing(compared[name], *adjusted, risk=risk, cases=len(compared), margin=margin)
                timing |= self._verdict(name, compared[name], adjusted, margin, risk)
                result = result.model_copy(update=timing | {"p95": self._tail(ledger, name)})
            results.append(result)
        return results

    def _margin(self, ledger: Ledger, name: str) -> float:
        """Return the margin: a change must not widen its own, so the narrower of both sides' counts."""
        own = [
            ledger.cases[role][name][1] for role in (SideRole.HEAD, SideRole.BASE) if name in ledger.cases.get(role, {})
        ]
        return self.margin or min(own, default=0.05)

    def _sides(self, ledger: Ledger, name: str) -> tuple[Sequence[Process], Sequence[Process]]:
        timed = ledger.processes[name]
        return timed[SideRole.HEAD], self.stored.processes.get(name, []) if self.stored else timed[SideRole.BASE]

    def _compare(self, ledger: Ledger, name: str, margin: float) -> tuple[ProcessComparison, ProcessComparison]:
        """Compare head with base, and the same code with itself."""
        head, base = self._sides(ledger, name)
        again = ledger.processes[name][SideRole.AGAIN]
        load = ledger.cases[SideRole.HEAD][name][0].load
        percentile = 50.0 if load is None else load.slo.percentile

        def in_pairs(tops: Sequence[Process], bottoms: Sequence[Process]) -> ProcessComparison:
            return process_pairs.compare_pairs(tops, bottoms, margin=margin, percentile=percentile)

        if self.stored:
            stored = process_pairs.compare_with_stored(head, base, margin=margin, percentile=percentile)
            return stored, in_pairs(again, head)
        return in_pairs(head, base), in_pairs(again, base)

    def _tail(self, ledger: Ledger, name: str) -> object:
        head, base = self._sides(ledger, name)
        return None if self.stored else process_pairs.tail_ratio(head, base)

    def _verdict(
        self,
        name: str,
        comparisons: tuple[ProcessComparison, ProcessComparison],
        adjusted: tuple[float, float],
        margin: float,
        risk: float,
    ) -> dict[str, object]:
        comparison, noise = comparisons
        if self.stored and self.stored.foreign:
            return {"verdict": Verdict.AMBIGUOUS, "why": self.stored.foreign}
        if self.stored:
            comparison = _discounted(comparison, margin)
            adjusted = max(adjusted[0], comparison.p_slower), max(adjusted[1], comparison.p_faster)
        if name in self.given:
            return {"verdict": self.given[name]}
        slower, faster = adjusted
        verdict = process_pairs.decide(comparison, margin=margin, p_slower=slower, p_faster=faster, risk=risk)
        itself = process_pairs.decide(noise, margin=margin, p_slower=noise.p_slower, p_faster=noise.p_faster, risk=risk)
        if verdict is not Verdict.SAME and itself in (Verdict.SLOWER, Verdict.FASTER):
            said = f"{NOISY} by {noise.estimate.ratio - 1:+.1%}: other work disturbs this machine"
            return {"verdict": Verdict.AMBIGUOUS, "why": said}
        if verdict is not Verdict.AMBIGUOUS:
            self.given[name] = verdict
        return {"verdict": verdict}

    def _facts(self, ledger: Ledger, name: str, head: Case | None, base: Case | None) -> CaseResult:
        """Return what is known without a clock."""
        case = head or base
        assert case is not None
        facts = dict(ledger.facts.get(name, {}))
        if self.stored and name in self.stored.facts:
            facts[SideRole.BASE] = self.stored.facts[name]
        violations = []
        absent = _absence(head, base, ledger.failures.get(name, {})) or _changed(head, base)
        if absent:
            forgiven = Check.PRESENCE in self.accepted
            violations.append(Violation(check=Check.PRESENCE, said=absent, accepted=forgiven))
        elif SideRole.BASE in facts and SideRole.HEAD in facts:
            violations = compare_facts(
                facts[SideRole.BASE], facts[SideRole.HEAD], dtype=case.dtype, accepted=self.accepted
            )
            itself = facts[SideRole.HEAD if self.stored else SideRole.BASE]
            shaky = unsteady(itself, facts[SideRole.AGAIN], dtype=case.dtype) if SideRole.AGAIN in facts else set()
            violations = [_forgiven(violation) if violation.check in shaky else violation for violation in violations]
        processes = dict(ledger.processes.get(name, {}))
        if self.stored and name in self.stored.processes:
            processes[SideRole.BASE] = self.stored.processes[name]
        return CaseResult(
            case=case,
            verdict=Verdict.NOT_MEASURED if absent else Verdict.AMBIGUOUS,
            why="" if absent else "too few processes were measured",
            margin=self._margin(ledger, name),
            facts={role: side_facts for role, side_facts in facts.items() if role is not SideRole.AGAIN},
            processes=processes,
            violations=violations,
        )


def _pairs_of(ledger: Ledger, name: str) -> int:
    return len(ledger.processes.get(name, {}).get(SideRole.HEAD, []))


def _timing(
    comparisons: tuple[ProcessComparison, ProcessComparison],
    slower: float,
    faster: float,
    *,
    risk: float,
    cases: int,
    margin: float,
) -> dict[str, object]:
    comparison, noise = comparisons
    spread = float(np.sqrt((comparison.spread**2 + noise.spread**2) / 2))
    return {
        "latency": comparison.estimate,
        "noise": noise.estimate,
        "p_slower": slower,
        "p_faster": faster,
        "detectable": process_pairs.detectable(spread, comparison.pairs, risk=risk / cases, margin=margin),
        "why": "",
    }


def _discounted(comparison: ProcessComparison, margin: float) -> ProcessComparison:
    """Ask for more of a base that was measured at another time: only a difference beyond the margin is one.

    How sessions differ (the clock, the neighbours) is in neither side's spread.
    """
    slower, faster = comparison.estimate.low > 1 + margin, comparison.estimate.high < 1 / (1 + margin)
    return replace(
        comparison,
        p_slower=comparison.p_slower if slower else 1.0,
        p_faster=comparison.p_faster if faster else 1.0,
    )


def _changed(head: Case | None, base: Case | None) -> str:
    """Say in which settings two cases of one name differ, such as threads; empty where they do not."""
    if head is None or base is None or head == base:
        return ""
    after, before = head.model_dump(mode="json"), base.model_dump(mode="json")
    told = (f"{name} {after[name]}, base {before[name]}" for name in after if after[name] != before[name])
    return f"changed: {'; '.join(told)}"


def _forgiven(violation: Violation) -> Violation:
    said = f"{violation.said} (so does the same code against itself: this check says nothing here)"
    return violation.model_copy(update={"accepted": True, "said": said})


def _absence(head: Case | None, base: Case | None, failures: Mapping[SideRole, str]) -> str:
    """Say why a case is not on both sides; empty where it is."""
    if head is None:
        return "missing: base has this case and head does not (deleted or renamed?)"
    if base is None:
        return "new: head has this case and base does not"
    sides = {("head" if role is SideRole.HEAD else "base"): said for role, said in failures.items()}
    return "; ".join(f"failed on {side}: {said}" for side, said in sides.items())


def _adjusted(p_values: dict[str, float]) -> dict[str, float]:
    return dict(zip(p_values, process_pairs.holm(list(p_values.values())), strict=True))
