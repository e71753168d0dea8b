"""How pairs are measured: who is asked when, and what becomes of workers that fail."""

from pathlib import Path

import pytest

from bench.gate.judge import Judge
from bench.gate.pairs import ORDERS, Pairs, _deal
from bench.gate.run import Gate, Limits
from bench.gate.sides import Side
from bench.records.gate import PROTOCOL, SideRole, Verdict
from bench.suites.planning import Job
from models.errors import UserError
from tests.bench.factories import make_case
from tests.bench.gate.small import DIED, FAILED, FakeWorker

CASES = [make_case("sasrec"), make_case("lite-llm4rec")]
NAMES = [case.name for case in CASES]
BASE, HEAD = (Side(name, Path("/nowhere") / name, Path("/nowhere") / name) for name in ("base", "head"))


def pairs_of(log, act=lambda side, what, details: None, cases=CASES, said=None):
    sides = {SideRole.BASE: BASE, SideRole.HEAD: HEAD, SideRole.AGAIN: BASE}
    return Pairs(
        sides,
        Job(suite="gate"),
        start=lambda side: FakeWorker(side, log, cases, act),
        quality_users=10,
        progress=(said if said is not None else []).append,
    )


def everything(ledger):
    return ledger.measurable()


def test_nobody_follows_itself_and_everybody_has_every_place_as_often():
    for number, orders in ORDERS.items():
        flat = [place for order in orders for place in order]
        if number > 2:
            assert all(one != other for one, other in zip(flat, flat[1:] + flat[:1], strict=True))
        for position in range(number):
            assert sorted(order[position] for order in orders) == sorted([*range(number)] * (len(orders) // number))


def test_a_pair_times_each_case_in_turns_and_counts_facts_once():
    log = []
    pairs = pairs_of(log)
    pairs.measure(everything)
    pairs.measure(everything)
    ledger = pairs.ledger
    assert ledger.pairs == 2
    assert ledger.measurable() == NAMES
    for name in NAMES:
        assert {role: len(found) for role, found in ledger.processes[name].items()} == dict.fromkeys(SideRole, 2)
        assert {len(process.samples_s) for found in ledger.processes[name].values() for process in found} == {24}
        assert ledger.processes[name][SideRole.HEAD][0].involuntary_switches == 3
        assert ledger.processes[name][SideRole.HEAD][0].turns == [turn for turn in range(12) for _ in range(2)]
        assert set(ledger.facts[name]) == set(SideRole)
    assert [what for _, what, _ in log].count("facts") == 6, "three processes, two cases, the first pair alone"
    assert [what for _, what, _ in log].count("end") == 6


def test_turns_are_as_short_as_requests_allow():
    def dealt(request_s, rounds):
        return _deal([{"request_s": request_s, "rounds": rounds}])

    assert dealt(0.001, 1000) == (5, 204)
    assert dealt(0.1, 30) == (1, 30)
    assert dealt(3.0, 5) == (1, 12)
    assert dealt(0.0001, 2000 * 50) == (50, 2004)


def test_a_service_is_asked_for_seconds_and_in_every_order():
    def dealt(**said):
        return _deal([{"request_s": 0.001, "rounds": 500, "of_a_turn": 500, **said}])

    assert dealt(turn_s=0.25) == (500, 24)
    assert dealt(turn_s=2.5) == (500, 6)
    assert dealt() == (500, 6), "an older worker does not say how long"


def test_a_case_that_fails_on_one_side_is_left_out_and_told():
    def act(side, what, details):
        if what == "open" and side is HEAD and details["case"] == NAMES[0]:
            raise FAILED("unsupported: no such thing")

    said = []
    pairs = pairs_of([], act, said=said)
    pairs.measure(everything)
    assert pairs.ledger.failures == {NAMES[0]: {SideRole.HEAD: "unsupported: no such thing"}}
    assert pairs.ledger.measurable() == NAMES[1:]
    assert any("head: sasrec" in line and "no such thing" in line for line in said)


def test_a_worker_that_dies_once_costs_a_second_try():
    deaths = iter([True])

    def act(side, what, details):
        if what == "turn" and side is HEAD and next(deaths, False):
            raise DIED("killed by SIGKILL in 'turn'")

    log, said = [], []
    pairs = pairs_of(log, act, said=said)
    pairs.measure(everything)
    assert pairs.ledger.failures == {}
    assert len(pairs.ledger.processes[NAMES[0]][SideRole.HEAD]) == 1
    assert [what for _, what, _ in log].count("plan") == 6, "three fresh processes"
    assert any("killed by SIGKILL" in line and "once more" in line for line in said)


def test_a_worker_that_dies_twice_at_a_case_fails_it_and_the_others_go_on():
    def act(side, what, details):
        if what == "warm" and side is HEAD and log[-2][1] != "plan" and current(log) == NAMES[0]:
            raise DIED("hung for 3 s in 'warm' and was killed (--case-timeout)")

    def current(log):
        return [details["case"] for _, what, details in log if what == "open"][-1]

    log = []
    pairs = pairs_of(log, act)
    pairs.measure(everything)
    assert "hung for 3 s" in pairs.ledger.failures[NAMES[0]][SideRole.HEAD]
    assert "2 times" in pairs.ledger.failures[NAMES[0]][SideRole.HEAD]
    assert len(pairs.ledger.processes[NAMES[1]][SideRole.BASE]) == 1


def test_a_worker_that_dies_while_a_failed_case_is_closed_costs_fresh_workers_alone():
    def act(side, what, details):
        if what == "open" and side is HEAD and details["case"] == NAMES[0]:
            raise FAILED("error: broken")
        if what == "close" and side is HEAD and not survived:
            survived.append(True)
            raise DIED("killed by SIGKILL in 'close'")

    survived = []
    pairs = pairs_of([], act)
    pairs.measure(everything)
    assert "broken" in pairs.ledger.failures[NAMES[0]][SideRole.HEAD]
    assert len(pairs.ledger.processes[NAMES[1]][SideRole.HEAD]) == 1


def test_a_worker_that_dies_once_while_starting_is_started_again():
    deaths = iter([True])

    def act(side, what, details):
        if what == "plan" and side is HEAD and next(deaths, False):
            raise DIED("killed by SIGKILL in 'plan'")

    pairs = pairs_of([], act)
    pairs.measure(everything)
    assert pairs.ledger.measurable() == NAMES


def test_who_begins_changes_from_pair_to_pair():
    log = []
    pairs = pairs_of(log)
    for _ in range(3):
        pairs.measure(everything)
    opened = [side for side, what, details in log if what == "open" and details["case"] == NAMES[0]]
    assert opened == ["base", "head", "base", "head", "base", "base", "base", "base", "head"]


def test_a_base_that_would_run_heads_code_is_refused():
    def act(side, what, details):
        if what == "plan":
            return {
                "protocol": PROTOCOL,
                "cases": [],
                "code": {"mine": "/nowhere/head/mine.py"},
                "machine": {},
                "software": {},
            }
        return None

    with pytest.raises(UserError, match=r"base would run head's mine \(/nowhere/head/mine\.py\)"):
        pairs_of([], act).measure(everything)


def test_a_side_that_cannot_start_is_an_error_of_use():
    def act(side, what, details):
        if what == "plan" and side is BASE:
            raise DIED("has no bench.worker: it is older than the gate")

    with pytest.raises(UserError, match=r"base has no bench\.worker"):
        pairs_of([], act).measure(everything)


def test_sides_that_speak_other_protocols_are_told_apart():
    def act(side, what, details):
        if what == "plan" and side is HEAD:
            return {"protocol": 99, "code": {}}
        return None

    with pytest.raises(UserError, match="head speaks another version of the gate"):
        pairs_of([], act).measure(everything)


def gate_of(act, *, limits, kept=None, judge=None):
    return Gate(
        HEAD,
        BASE,
        base_name="base",
        job=Job(suite="gate"),
        judge=judge or Judge(),
        limits=limits,
        command="python -m bench.gate",
        start=lambda side: FakeWorker(side, [], CASES, act),
        quality_users=10,
        progress=lambda _: None,
        keep=(kept if kept is not None else []).append,
    )


def slowed(share):
    def act(side, what, details):
        return [0.01 * (1 + share * (side is HEAD))] * details["rounds"] if what == "turn" else None

    return act


def test_a_gate_ends_with_the_pairs_it_needs_and_keeps_each():
    kept = []
    result = gate_of(slowed(0.1), limits=Limits(5, 60), kept=kept).run()
    assert result.exit_status == 1
    assert result.pairs == 5
    assert [one.pairs for one in kept] == [1, 2, 3, 4, 5]
    assert [bool(one.interrupted) for one in kept] == [True] * 4 + [False]
    assert {case.verdict for case in result.cases} == {Verdict.SLOWER}


def test_more_pairs_are_taken_while_a_case_is_ambiguous_and_time_is_left():
    """Head changes sides from pair to pair, so nothing can be shown."""
    calls = iter(range(10_000))
    state = {}

    def act(side, what, details):
        if what == "warm" and side is HEAD:
            state["factor"] = 3.0 ** (1 - 2 * (next(calls) // 2 % 2))
        return [0.01 * (state["factor"] if side is HEAD else 1)] * details["rounds"] if what == "turn" else None

    ticks = iter(range(10_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.gate.run.time.monotonic", lambda: next(ticks))
        result = gate_of(act, limits=Limits(5, 60)).run()
    assert result.pairs > 5
    assert result.exit_status == 3


def test_fail_fast_stops_at_the_first_pair_that_settles_it():
    def act(side, what, details):
        if what == "open" and side is HEAD:
            raise FAILED("error: broken")

    result = gate_of(act, limits=Limits(5, 60, fail_fast=True)).run()
    assert result.pairs == 1
    assert result.exit_status == 1


def test_where_nothing_is_left_to_measure_no_more_pairs_are_taken():
    def act(side, what, details):
        if what == "open" and side is HEAD:
            raise FAILED("error: broken")

    assert gate_of(act, limits=Limits(5, 60)).run().pairs == 1
