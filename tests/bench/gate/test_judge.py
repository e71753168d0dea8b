"""From ledgers to verdicts, and what fails a gate besides latency."""

import json
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from bench.gate import render
from bench.gate.checks import compare_facts
from bench.gate.judge import Judge
from bench.gate.stored import read_stored
from bench.records.gate import Check, GateResult, Process, RankedUser, SideRole, Verdict
from bench.records.load import Offered
from models.errors import UserError
from tests.bench.factories import make_case, make_quality, make_record, write_results
from tests.bench.gate.small import facts, ledger, side

NAME = make_case("lite-llm4rec").name


def result_of(made, judge=None, **changes):
    cases = (judge or Judge()).look(made, 0)
    values = {
        "base": "main (1a2b3c4)", "head": "working folder", "command": "python -m bench.gate --against main",
        "started": "2026-01-02T03:04:05+00:00", "seconds": 60.0, "pairs": 5, "machine": {"cores": 2}, "software": {},
    }  # fmt: skip
    return GateResult(**values | {"cases": cases} | changes)


@pytest.mark.parametrize(("head_s", "verdict", "status"), [
    (0.011, Verdict.SLOWER, 1), (0.01, Verdict.SAME, 0), (0.009, Verdict.FASTER, 0),
])  # fmt: skip
def test_latency_decides(head_s, verdict, status):
    result = result_of(ledger(head_s))
    assert result.cases[0].verdict is verdict
    assert result.exit_status == status


def test_what_cannot_be_told_is_ambiguous_and_its_power_is_said():
    result = result_of(ledger(0.0105, between=0.05))
    assert result.cases[0].verdict is Verdict.AMBIGUOUS
    assert result.exit_status == 3
    assert "could have seen a slow-down of" in render.power(result)
    assert result.cases[0].detectable > 0.05


def test_the_margin_on_the_command_line_goes_before_the_suites():
    assert result_of(ledger(0.011)).cases[0].verdict is Verdict.SLOWER
    assert result_of(ledger(0.011), Judge(margin=0.2)).cases[0].verdict is Verdict.SAME
    assert result_of(ledger(0.011, margin=0.3)).cases[0].verdict is Verdict.SAME


def test_a_change_cannot_widen_its_own_margin():
    made = ledger(0.011)
    case, _ = made.cases[SideRole.HEAD][NAME]
    made.cases[SideRole.HEAD][NAME] = case, 0.9
    assert result_of(made).cases[0].verdict is Verdict.SLOWER


def test_other_settings_under_the_same_name_are_told():
    made = ledger()
    case, margin = made.cases[SideRole.HEAD][NAME]
    made.cases[SideRole.HEAD][NAME] = case.model_copy(update={"threads": 4}), margin
    (found,) = result_of(made).cases
    assert found.violations[0].said == "changed: threads 4, base 1"
    assert found.fails


def test_a_check_that_the_same_code_does_not_pass_says_nothing():
    made = ledger()
    made.facts[NAME] = {
        SideRole.BASE: facts(),
        SideRole.HEAD: facts(operators=110),
        SideRole.AGAIN: facts(operators=105),
    }
    (found,) = result_of(made).cases
    assert found.violations[0].accepted
    assert "against itself" in found.violations[0].said
    assert not found.fails


def test_a_verdict_once_given_stays():
    judge = Judge()
    assert judge.look(ledger(0.011), 0)[0].verdict is Verdict.SLOWER
    assert judge.look(ledger(0.01), 1)[0].verdict is Verdict.SLOWER


def test_where_the_same_code_differs_from_itself_nothing_is_slower():
    made = ledger(0.012)
    made.processes[NAME][SideRole.AGAIN] = side(0.0115, seed=3)
    (found,) = Judge().look(made, 0)
    assert found.verdict is Verdict.AMBIGUOUS
    assert "differs from itself by +1" in found.why


def test_more_cases_need_clearer_evidence():
    """Holm: the p-value of the same samples grows with the number of cases."""
    one = Judge().look(ledger(0.0103), 0)[0]
    many = Judge().look(ledger(0.0103, names=[f"mine:{letter}" for letter in "abcdef"]), 0)[0]
    assert many.p_slower == pytest.approx(6 * one.p_slower, rel=0.01)


@pytest.mark.parametrize(("change", "check", "words"), [
    ({"flops_per_user": 1.1e6}, Check.FLOPS, "1,100,000, base 1,000,000 (+10.00%)"),
    ({"operators": 101}, Check.OPERATORS, "101, base 100"),
    ({"parameters": 1001}, Check.PARAMETERS, "1,001, base 1,000"),
    ({"peak_bytes": 2**21}, Check.MEMORY, "(+100.00%)"),
    ({"lists": [RankedUser(user=user, items=[9, 8, 7], scores=[3.0, 2.0, 1.0]) for user in range(4)]}, Check.LISTS,
     "4 of 4 users get another top 3: user 0 9, 8, 7"),
    ({"lists": [RankedUser(user=9, items=[1], scores=[1.0])]}, Check.LISTS, "other users were asked"),
])  # fmt: skip
def test_more_work_or_other_answers_fail_however_fast(change, check, words):
    made = ledger(0.005)
    made.facts[NAME][SideRole.HEAD] = facts(**change)
    result = result_of(made)
    assert [violation.check for violation in result.cases[0].violations] == [check]
    assert words in result.cases[0].violations[0].said
    assert result.exit_status == 1
    forgiven = result_of(made, Judge(accepted=[check]))
    assert forgiven.exit_status == 0
    assert "(accepted)" in render.findings(forgiven)[0]


def test_less_work_and_lists_that_differ_in_ties_are_welcome():
    tied = [RankedUser(user=0, items=[1, 2, 3], scores=[2.0, 2.0, 1.0])]
    swapped = [RankedUser(user=0, items=[2, 1, 3], scores=[2.0, 2.0, 1.0])]
    base = facts(lists=tied)
    head = facts(lists=swapped, flops_per_user=9e5, operators=90, parameters=900, peak_bytes=2**19)
    assert compare_facts(base, head, dtype="float32", accepted=()) == []


def test_a_list_that_lost_places_differs():
    base, head = facts(), facts(lists=[RankedUser(user=user, items=[1 + user], scores=[3.0]) for user in range(4)])
    (found,) = compare_facts(base, head, dtype="float32", accepted=())
    assert found.check is Check.LISTS


def test_small_scores_are_compared_by_their_own_size():
    """Probabilities over a catalogue are all below 1e-4, which is no tie."""
    base = facts(lists=[RankedUser(user=0, items=[1, 2, 3], scores=[3e-5, 2e-5, 1e-5])])
    head = facts(lists=[RankedUser(user=0, items=[7, 8, 9], scores=[3e-5, 2e-5, 1e-5])])
    (found,) = compare_facts(base, head, dtype="float32", accepted=())
    assert found.check is Check.LISTS


def test_quality_below_bases_interval_fails():
    base, within, below = make_quality(0.2), make_quality(0.19), make_quality(0.17)
    assert compare_facts(facts(quality=base), facts(quality=within), dtype="float32", accepted=()) == []
    (found,) = compare_facts(facts(quality=base), facts(quality=below), dtype="float32", accepted=())
    assert found.check is Check.QUALITY
    assert "0.1700 lies below base's 0.2000 [0.1800, 0.2200]" in found.said


def test_of_short_lists_the_longest_cut_off_counts():
    short = [quality.model_copy(update={"metrics": {"NDCG@5": quality.metrics["NDCG@10"]}})
             for quality in (make_quality(0.2), make_quality(0.1))]  # fmt: skip
    (found,) = compare_facts(facts(quality=short[0]), facts(quality=short[1]), dtype="float32", accepted=())
    assert found.said.startswith("NDCG@5 0.1000")


@pytest.mark.parametrize(("change", "words"), [
    (lambda made: made.cases[SideRole.HEAD].pop(NAME), "missing: base has this case"),
    (lambda made: made.cases[SideRole.BASE].pop(NAME), "new: head has this case"),
    (lambda made: made.failures.update({NAME: {SideRole.HEAD: "error: no"}}), "failed on head: error: no"),
    (lambda made: made.failures.update({NAME: {SideRole.BASE: "error: no"}}), "failed on base: error: no"),
])  # fmt: skip
def test_a_case_that_is_not_on_both_sides_fails_unless_that_is_allowed(change, words):
    made = ledger(names=("lite-llm4rec", "sasrec"))
    change(made)
    result = result_of(made)
    found = next(case for case in result.cases if case.case.name == NAME)
    assert found.verdict is Verdict.NOT_MEASURED
    assert words in found.violations[0].said
    assert result.exit_status == 1
    assert result_of(made, Judge(accepted=[Check.PRESENCE])).exit_status == 0


def test_nothing_measured_is_no_pass():
    assert result_of(ledger(), cases=[]).exit_status == 3
    assert result_of(ledger(), interrupted="it was interrupted").exit_status == 3


def test_a_gates_file_is_a_base_with_its_processes_and_facts(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.measure.machine.machine", lambda device: {"cores": 2})
    path = tmp_path / "gate.json"
    path.write_text(result_of(ledger(0.01)).model_dump_json())
    stored = read_stored(path, "cpu")
    assert stored.foreign == ""
    assert len(stored.processes[NAME]) == 5
    made = ledger(0.012)
    made.processes[NAME][SideRole.AGAIN] = side(0.012, seed=3)
    assert Judge(stored=stored).look(made, 0)[0].verdict is Verdict.SLOWER
    near = ledger(0.0103)
    near.processes[NAME][SideRole.AGAIN] = side(0.0103, seed=3)
    assert Judge(stored=stored).look(near, 0)[0].verdict is not Verdict.SLOWER
    made.facts[NAME][SideRole.HEAD] = facts(operators=101)
    assert Judge(stored=stored).look(made, 0)[0].violations[0].check is Check.OPERATORS


def test_another_machines_file_says_nothing_of_latency(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.measure.machine.machine", lambda device: {"cores": 64})
    path = tmp_path / "gate.json"
    path.write_text(result_of(ledger(0.01)).model_dump_json())
    (found,) = Judge(stored=read_stored(path, "cpu")).look(ledger(0.02), 0)
    assert found.verdict is Verdict.AMBIGUOUS
    assert found.why == "the file was measured on another machine (cores: 2, here 64)"


def test_pytest_benchmarks_file_is_a_base_of_one_process(tmp_path, monkeypatch):
    record = make_record()
    monkeypatch.setattr("bench.measure.machine.machine", lambda device: dict(record.provenance.machine))
    stored = read_stored(write_results(tmp_path / "run.json", [record]), "cpu")
    assert len(stored.processes[record.case.name]) == 1
    assert stored.facts[record.case.name].flops_per_user == 4e6
    assert stored.foreign == ""


def test_a_damaged_gates_file_is_one_line(tmp_path):
    path = tmp_path / "gate.json"
    path.write_text('{"kind": "lite-llm4rec-bench-gate", "cases": 3}')
    with pytest.raises(UserError, match=r"gate\.json: .*damaged"):
        read_stored(path, "cpu")


def test_every_rendering_tells_the_verdict_the_reason_and_the_power():
    made = ledger(0.012, names=("lite-llm4rec", "sasrec"))
    made.facts[NAME][SideRole.HEAD] = facts(operators=120)
    result = result_of(made, notes=["the harness differs"])
    markdown = render.markdown(result)
    assert markdown.startswith("### Latency gate: FAIL")
    assert "SLOWER" in markdown
    assert "dispatched operators: 120, base 100 (+20.00%)" in markdown
    assert "could have seen a slow-down of" in markdown
    assert "- the harness differs" in markdown
    suite = ET.fromstring(render.junit(result))
    assert suite.attrib["failures"] == "2"
    assert {test.find("failure") is not None for test in suite} == {True}
    assert "SLOWER" in suite[0].find("failure").attrib["message"]
    assert json.loads(result.model_dump_json())["cases"][0]["verdict"] == "SLOWER"


def test_ambiguous_is_an_error_in_junit_and_a_pass_is_neither():
    assert ET.fromstring(render.junit(result_of(ledger(0.0105, between=0.05)))).attrib["errors"] == "1"
    passed = ET.fromstring(render.junit(result_of(ledger())))
    assert (passed.attrib["failures"], passed.attrib["errors"]) == ("0", "0")


def with_tail(one, factor):
    """A process whose slowest tenth takes so many times as long."""
    bound = np.percentile(one.samples_s, 90)
    return Process(samples_s=[s * factor if s > bound else s for s in one.samples_s], turns=one.turns)


@pytest.mark.parametrize(("served", "verdict"), [(True, Verdict.SLOWER), (False, Verdict.SAME)])
def test_a_service_is_judged_by_its_tail_and_one_client_by_the_median(served, verdict):
    load = {"scenario": "open", "batch_size": 1, "load": Offered(rate=50, workers=1)} if served else {}
    found = ledger(pairs=8, case=load, rounds=1200, between=0.001)
    for sides in found.processes.values():
        sides[SideRole.HEAD] = [with_tail(one, 1.3) for one in sides[SideRole.HEAD]]
    (result,) = Judge().look(found, 0)
    assert result.verdict is verdict
