"""What the gate says over many trials: of recorded pairs of the same code, and of made-up ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from bench.gate import trials
from bench.gate.judge import Judge
from bench.gate.sides import Side
from bench.records.gate import GateResult, SideRole
from tests.bench.gate.small import ledger

RECORDING = Path(__file__).with_name("data") / "same-code.npz"

GATES = 100


@pytest.mark.minutes
def test_of_a_hundred_recorded_gates_on_the_same_code_at_most_two_are_called_slower():
    """Real processes, recorded on 2 shared cores by `python -m bench.gate.trials record`."""
    counts = trials.replayed(RECORDING, GATES)
    assert sum(counts.values()) == GATES
    assert counts["SLOWER"] <= 2
    assert counts["FASTER"] <= 2


@pytest.mark.parametrize("gates", [20, pytest.param(GATES, marks=pytest.mark.minutes)])
def test_ten_percent_more_is_seen_in_nine_of_ten_recorded_gates(gates):
    counts = trials.replayed(RECORDING, gates, slow_down=0.1)
    assert counts["SLOWER"] >= 0.9 * gates


@pytest.mark.parametrize("case", [0, 1])
def test_pooled_samples_of_the_same_code_cry_wolf(case):
    """Why the process is the unit: five processes against five others that were measured at other times."""
    rng, called = np.random.default_rng(0), 0
    with np.load(RECORDING) as stored:
        base, head = stored[f"{case}/base/samples_s"], stored[f"{case}/head/samples_s"]
    for _ in range(100):
        drawn = rng.permutation(len(base))[:10]
        called += stats.mannwhitneyu(base[drawn[:5]].ravel(), head[drawn[5:]].ravel()).pvalue < 0.05
    assert called > 20


def made_up(**changes):
    return GateResult(
        base="main", head="main", command="python -m bench.gate", started="2026-01-02T03:04:05+00:00", seconds=60.0,
        pairs=20, machine={}, software={}, cases=Judge().look(ledger(0.01, pairs=20, **changes), 0),
    )  # fmt: skip


def test_a_recording_holds_what_the_processes_timed(tmp_path):
    result = made_up()
    (tmp_path / "gate.json").write_text(result.model_dump_json())
    out = tmp_path / "kept.npz"
    done = CliRunner().invoke(trials.app, ["record", str(tmp_path / "gate.json"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    with np.load(out) as stored:
        kept = stored["0/head/samples_s"]
    expected = [process.samples_s for process in result.cases[0].processes[SideRole.HEAD]]
    assert kept == pytest.approx(np.array(expected), rel=1e-6)
    replayed = CliRunner().invoke(trials.app, ["replay", str(out), "--gates", "10"])
    assert "SAME: 10 of 10 gates" in replayed.output
    slowed = CliRunner().invoke(trials.app, ["replay", str(out), "--gates", "10", "--slow-down", "10"])
    assert "SLOWER: 10 of 10 gates" in slowed.output


def test_a_slowed_copy_takes_longer_by_its_share_and_answers_alike(tmp_path):
    """The appended lines stretch each request, whatever it takes."""
    side = Side("base", tmp_path / "base", tmp_path / "base")
    (side.folder / "models").mkdir(parents=True)
    (side.folder / "models" / "lite_llm4rec.py").write_text(PLAIN)
    with trials._slowed_copy(side, "lite-llm4rec", 0.5) as slowed:
        text = (slowed.folder / "models" / "lite_llm4rec.py").read_text()
    module = {}
    exec(compile(text, "slowed", "exec"), module)
    one = module["LiteLLM4Rec"]()
    start = module["time"].perf_counter()
    assert one.recommend(one.prepare([1]), 5) == "answer"
    assert module["time"].perf_counter() - start >= 1.5 * 0.1
    assert not slowed.folder.exists()


PLAIN = """
import time

class LiteLLM4Rec:
    def prepare(self, histories):
        return histories

    def recommend(self, inputs, k):
        time.sleep(0.1)
        return "answer"
"""


def test_live_trials_go_on_where_they_were_stopped(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(trials, "base_side", lambda revision: Side(revision, tmp_path, tmp_path))
    monkeypatch.setattr(trials, "_gate", lambda *_: ran.append(1) or made_up())
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "lite_llm4rec.py").write_text(PLAIN)
    out = tmp_path / "found" / "trials.jsonl"
    out.parent.mkdir()
    words = ["live", "--out", str(out), "--recommender", "lite-llm4rec"]
    CliRunner().invoke(trials.app, [*words, "--trials", "2"])
    done = CliRunner().invoke(trials.app, [*words, "--trials", "3"])
    assert done.exit_code == 0, done.output
    assert len(ran) == 3
    assert [json.loads(line)["trial"] for line in out.read_text().splitlines()] == [0, 1, 2]
    shown = CliRunner().invoke(trials.app, ["table", str(out)]).output
    assert "| lite-llm4rec | 0 % | 3 | 0 | 3 | 0 | 0 | 20 to 20 | 1.0 |" in shown
    assert "| 0 % | 3 | 32 | SAME |" in shown
