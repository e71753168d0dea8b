"""The pytest face: what `pytest bench/ --benchmark-only` leaves behind, and how it says no."""

import errno
import json
import os
import sys
from pathlib import Path

import pytest

import bench
import bench.conftest
import bench.training.loop
from bench.records.case import Outcome, WeightsKind
from bench.records.model import Unavailable
from bench.records.record import Record

pytest_plugins = ["pytester"]

BENCH = Path(bench.__file__).parent

SUITE = """
description = "tiny"
datasets = ["synthetic"]
synthetic = { users = 40, items = 30, length = 8 }
batch_sizes = [4]
k = 5
beam_widths = [5]
train_minutes = 0.02
case_seconds = 0.05
min_rounds = 3

[[recommenders]]
name = "popularity"

[[recommenders]]
name = "sasrec"
"""

OURS = """
    import multiprocessing
    import os
    import time
    import torch
    from transformers import BatchFeature
    from models.ragged import pad
    from models.recommender import Recommender
    from models.serving import Recommendations
    from models.ranking.lists import top_items

    class Ours(Recommender):
        labels = ("one of our own",)

        def index(self, catalogue):
            self.items = len(catalogue)

        def prepare(self, histories):
            return BatchFeature({"seen": pad([history.items for history in histories])})

        def recommend(self, inputs, k):
            scores = -torch.arange(self.items + 1).float().expand(len(inputs["seen"]), -1).clone()
            return top_items(scores, k, inputs["seen"])

    class Greedy(Ours):
        def recommend(self, inputs, k):
            raise MemoryError

    class Slow(Ours):
        def index(self, catalogue):
            time.sleep(30)

    class Broken(Ours):
        def index(self, catalogue):
            raise ZeroDivisionError("no items per shelf")

    class Fickle(Ours):
        def recommend(self, inputs, k):
            found = super().recommend(inputs, k)
            if len(found.items) < 5:  # evaluation asks for more users at a time
                return Recommendations(found.items.roll(1, 1), found.scores)
            return found

    class Keeping(Ours):
        kept = {}

        def prepare(self, histories):
            key = tuple(history.user for history in histories)
            if key not in self.kept:
                time.sleep(0.003)
            self.kept[key] = True
            return super().prepare(histories)

    class Slowable(Ours):
        def recommend(self, inputs, k):
            time.sleep(0.02 if os.path.exists("slow") else 0.001)
            return super().recommend(inputs, k)

    class Counting(Ours):
        def index(self, catalogue):
            super().index(catalogue)
            if multiprocessing.parent_process() is None:
                with open("indexed.txt", "a") as file:
                    file.write("once ")
"""


@pytest.fixture
def face(pytester, monkeypatch):
    """Run the face within this process on a tiny suite; what it saved is below `home`."""
    home = pytester.path / "home"
    monkeypatch.setenv("BENCH_HOME", str(home))
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.setattr("bench.measure.peaks.SIZES", {"cpu": (64,)})
    monkeypatch.setattr("bench.measure.peaks.COPY_BYTES", {"cpu": 2**20})
    monkeypatch.setattr("bench.measure.peaks.BUDGET_S", 0.001)
    monkeypatch.setattr("bench.measure.overhead.BLOCKS", (5, 10))
    pytester.makefile(".toml", suite=SUITE)
    pytester.makepyfile(ours=OURS)
    monkeypatch.delitem(sys.modules, "ours", raising=False)

    def run(*options, isolated=False):
        arguments = [
            *([] if isolated else ["--in-process"]),
            "-p",
            "no:cacheprovider",
            "-p",
            "no:hypothesispytest",
            "--benchmark-only",
            "--threads=1",
            str(BENCH),
        ]
        if not any(option.startswith("--suite") for option in options):
            arguments.append("--suite=suite.toml")
        return pytester.runpytest_inprocess(*arguments, *options)

    run.home = home
    return run


def saved(home):
    """Return the one results file."""
    (path,) = [path for path in (home / "results").glob("*/*.json") if path.parent.name != "unfinished"]
    return json.loads(path.read_text())


def failures(home):
    return {record.case.recommender: record for record in map(Record.model_validate, saved(home)["failed_cases"])}


def ours(*names):
    return [f"--recommender=ours:{name}" for name in names]


def test_a_run_leaves_one_record_a_case_with_the_samples_that_were_timed(face):
    """Train, evaluate, measure: quality and cost of the same weights stand in one benchmark's extra_info."""
    result = face("--case-timeout=60")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*quality and cost of the same weights*", "*sasrec*ok*"])
    output = saved(face.home)
    assert output["failed_cases"] == []
    records = {}
    for benchmark in output["benchmarks"]:
        record = Record.model_validate(benchmark["extra_info"])
        assert benchmark["stats"]["data"] == pytest.approx(record.latency.samples_s, abs=1e-12)
        assert benchmark["stats"]["rounds"] == record.latency.rounds >= 3
        assert record.case.name in benchmark["name"]
        assert record.outcome is Outcome.OK
        assert set(record.quality.metrics) == {"HR@1", "NDCG@1", "HR@5", "NDCG@5", "MRR@5"}
        assert (record.quality.users, record.audit.different) == (40, 0)
        assert record.audit.identical + record.audit.ties == record.audit.users
        assert 0 < record.audit.users <= 40
        assert record.flops.per_user == pytest.approx(sum(phase.flops_per_user for phase in record.phases))
        assert "prepare" in [phase.name for phase in record.phases]
        assert isinstance(record.energy_j_per_1000_users, Unavailable) == (record.energy is None)
        assert record.flops.operators > 0
        assert record.flops.disagreement < 0.001
        assert record.flops.closed_form_per_user == pytest.approx(record.flops.forward_per_user, rel=0.001)
        assert record.roofline.bound_s < record.latency.p50_s
        assert record.roofline.bytes >= record.roofline.touched_bytes > 0
        assert record.conditions.threads == 1
        assert record.latency.warmup_rounds > 0
        assert record.overhead.low <= record.overhead.seconds <= record.overhead.high
        assert sum(record.memory.parts.values()) >= record.weights.parameter_bytes
        assert set(record.memory.phases) == {phase.name for phase in record.phases}
        assert record.provenance.dataset["synthetic"] is True
        assert "generated data" in record.provenance.dataset_warnings
        records[record.case.recommender] = record
    assert records["popularity"].case.weights is WeightsKind.AS_BUILT
    sasrec = records["sasrec"]
    assert sasrec.case.weights is WeightsKind.TRAINED
    assert len(list(face.home.glob(f"checkpoints/*/{sasrec.weights.checkpoint}/model.safetensors"))) == 1
    assert sasrec.weights.training["steps"] > 0
    assert len(sasrec.weights.sha256) == 64
    assert sasrec.memory.peak_bytes >= sasrec.weights.parameter_bytes > 0
    assert not list((face.home / "results" / "unfinished").iterdir()), "a run that ended needs nothing kept"


def test_a_ranker_is_held_against_scoring_every_item_by_the_same_weights(face):
    rankers = ["--ranker=exact-fused", "--ranker=int8-rescored"]
    face("--recommender=sasrec", "--recommender=popularity", "--top-k=10", *rankers).assert_outcomes(passed=3)
    records = [Record.model_validate(benchmark["extra_info"]) for benchmark in saved(face.home)["benchmarks"]]
    found = {record.case.ranker: record for record in records}
    assert found[None].ranked is None
    for name in ("exact-fused", "int8-rescored"):
        assert found[name].ranked.recall == found[name].agreement.overlap > 0.9
        assert found[name].ranked.users == 40
        assert found[name].agreement.compared_with == "every item scored"
        assert found[name].ranked.ndcg_lost is not None
    assert found["exact-fused"].ranked.bytes == 0 < found["int8-rescored"].ranked.bytes
    assert found["int8-rescored"].ranked.proven > 0.5
    assert found["int8-rescored"].flops.closed_form_per_user == found["int8-rescored"].flops.forward_per_user


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process of its own is read from Linux's /proc")
def test_memory_is_that_of_a_process_that_serves_the_case_alone(face):
    face("--untrained", "--recommender=sasrec").assert_outcomes(passed=1)
    (one,) = saved(face.home)["benchmarks"]
    memory = Record.model_validate(one["extra_info"]).memory
    assert isinstance(memory.process_bytes, int), memory.process_bytes
    assert memory.process_bytes > memory.peak_bytes


def test_who_keeps_answers_is_an_error(face):
    result = face("--dataset=synthetic-100", "--batch-size=1", *ours("Keeping"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*answers seem to be kept*"])


def test_pytest_benchmarks_own_gate_goes_on_working(face, pytester):
    face(*ours("Slowable")).assert_outcomes(passed=1)
    compare = ["--benchmark-compare", "--benchmark-compare-fail=median:300%", *ours("Slowable")]
    assert face(*compare).ret == pytest.ExitCode.OK
    (pytester.path / "slow").touch()
    result = face(*compare)
    assert result.ret != pytest.ExitCode.OK
    result.stderr.fnmatch_lines(["*Performance has regressed*"])


def test_a_percentile_asked_for_gets_its_rounds(face):
    face("--recommender=popularity", "--percentile=95").assert_outcomes(passed=1)
    record = Record.model_validate(saved(face.home)["benchmarks"][0]["extra_info"])
    assert record.latency.rounds >= 100
    assert record.latency.p95_s is not None


def test_untrained_weights_are_called_so_and_have_no_quality(face):
    result = face("--untrained", "--recommender=sasrec", "--recommender=popularity")
    result.assert_outcomes(passed=2)
    records = {
        record.case.recommender: record
        for record in (Record.model_validate(one["extra_info"]) for one in saved(face.home)["benchmarks"])
    }
    assert records["sasrec"].case.weights is WeightsKind.UNTRAINED
    assert "untrained" in records["sasrec"].case.name
    assert "--untrained" in records["sasrec"].quality.unavailable
    assert isinstance(records["sasrec"].audit, Unavailable)
    assert records["popularity"].case.weights is WeightsKind.AS_BUILT
    assert not (face.home / "checkpoints").exists() or not list((face.home / "checkpoints").iterdir())


def test_what_generated_scores_mean_stands_in_the_record_and_the_unusual_meaning_is_a_caution(face):
    options = ["--untrained", "--recommender=p5", "--decoder=reference"]
    face(*options, "--scores=full-vocab", "--scores=renormalised").assert_outcomes(passed=2)
    full, renormalised = (Record.model_validate(one["extra_info"]) for one in saved(face.home)["benchmarks"])
    assert (full.case.scores, renormalised.case.scores) == ("full-vocab", "renormalised")
    assert (full.agreement, renormalised.agreement.compared_with) == (None, full.case.variant)
    assert 12 <= renormalised.agreement.users <= 40, "as many as were timed, for want of evaluated lists"
    assert full.labels == []
    assert "renormalised scores rank otherwise" in renormalised.labels[0]


def test_a_checkpoint_is_measured_as_it_was_trained_or_refused_on_other_data(face, pytester):
    face("--recommender=sasrec", "--set=loss=bce")
    (folder,) = face.home.glob("checkpoints/*/sasrec-*")
    for path in face.home.glob("results/*/*.json"):
        path.unlink()
    options = [f"--checkpoint={folder}", "--quality-users=10", "--dtype=bfloat16", "--seen=keep", "--top-k=7"]
    face(*options).assert_outcomes(passed=1)
    record = Record.model_validate(saved(face.home)["benchmarks"][0]["extra_info"])
    assert record.weights.checkpoint == folder.name
    assert record.case.settings == {"preset": "compact", "loss": "bce"}
    assert (record.case.dtype, record.case.seen, record.case.k) == ("bfloat16", "keep", 7)
    assert (record.quality.users, record.quality.cutoff) == (10, 7)
    assert record.weights.parameter_bytes == 2 * record.weights.parameters
    for path in face.home.glob("results/*/*.json"):
        path.unlink()
    face(f"--checkpoint={folder}", "--max-history=3").assert_outcomes(xfailed=1)
    refused = failures(face.home)["sasrec"]
    assert refused.outcome is Outcome.UNSUPPORTED
    assert "was trained on synthetic loaded with" in refused.detail


def test_a_recommender_of_ones_own_is_measured_from_outside_the_repository(face):
    face(*ours("Ours"), "--batch-size=1", "--batch-size=3").assert_outcomes(passed=2)
    records = [Record.model_validate(one["extra_info"]) for one in saved(face.home)["benchmarks"]]
    assert [record.case.batch_size for record in records] == [1, 3]
    assert records[0].labels == ["one of our own"]
    assert 5 / 30 <= records[0].quality.coverage < 0.5


def test_failed_cases_are_rows_that_say_how_and_the_run_goes_on(face):
    """Memory, time and bugs end a case; a wrong answer does, too; the next one is measured all the same."""
    options = ours("Greedy", "Slow", "Broken", "Fickle", "Ours")
    result = face(*options, "--case-timeout=2", "--untrained")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, xfailed=2, failed=2)
    found = failures(face.home)
    assert {name: record.outcome for name, record in found.items()} == {
        "ours:Greedy": Outcome.OUT_OF_MEMORY,
        "ours:Slow": Outcome.TIMED_OUT,
        "ours:Broken": Outcome.ERROR,
        "ours:Fickle": Outcome.ERROR,
    }
    assert found["ours:Slow"].detail == "took longer than the 2 s that --case-timeout allows"
    assert found["ours:Broken"].detail == "ZeroDivisionError: no items per shelf"
    assert found["ours:Fickle"].detail == "40 of 40 timed lists differ from the evaluated ones"
    assert all(record.latency is None and record.quality is None for record in found.values())
    assert [one["extra_info"]["case"]["recommender"] for one in saved(face.home)["benchmarks"]] == ["ours:Ours"]
    assert "Traceback" not in result.stdout.str()


def test_a_run_in_which_every_case_failed_is_saved_too(face):
    face(*ours("Greedy")).assert_outcomes(xfailed=1)
    output = saved(face.home)
    assert output["benchmarks"] == []
    assert failures(face.home)["ours:Greedy"].outcome is Outcome.OUT_OF_MEMORY
    assert output["machine_info"]


def test_what_a_killed_run_had_finished_is_not_measured_again(face, monkeypatch):
    """The first of two groups is kept when the second is interrupted, and comes from there in the next run."""
    from bench.running.runner import Runner

    measure = Runner.measure

    def interrupted(self, group, **how):
        if group[0].case.batch_size == 3:
            raise KeyboardInterrupt
        return measure(self, group, **how)

    options = [*ours("Counting"), "--batch-size=2", "--batch-size=3"]
    monkeypatch.setattr(Runner, "measure", interrupted)
    assert face(*options).ret == 130
    assert Path("indexed.txt").read_text().split() == ["once"]
    (kept,) = (face.home / "results" / "unfinished").glob("*/case-*.json")
    finished = json.loads(kept.read_text())["latency"]["samples_s"]

    monkeypatch.setattr(Runner, "measure", measure)
    face(*options).assert_outcomes(passed=2)
    assert Path("indexed.txt").read_text().split() == ["once", "once"], "only the second group was measured"
    first, second = saved_last(face.home)["benchmarks"]
    assert first["stats"]["data"] == pytest.approx(finished)
    assert second["extra_info"]["case"]["batch_size"] == 3
    assert not list((face.home / "results" / "unfinished").iterdir())


def test_timings_of_a_group_survive_a_kill_before_their_costs_are_known(face, monkeypatch):
    """Two cases were timed side by side, and the second's counting is interrupted: neither is timed again."""
    from bench.running.runner import Runner

    costs = Runner._costs

    def interrupted(self, one):
        if one.case.recommender == "ours:Counting":
            raise KeyboardInterrupt
        return costs(self, one)

    options = [*ours("Ours", "Counting"), "--untrained"]
    monkeypatch.setattr(Runner, "_costs", interrupted)
    assert face(*options).ret == 130
    folder = face.home / "results" / "unfinished"
    assert len(list(folder.glob("*/case-*.json"))) == 1
    timed = {
        record.case.recommender: record.latency.samples_s
        for record in (Record.model_validate_json(path.read_text()) for path in folder.glob("*/timed-*.json"))
    }
    assert set(timed) == {"ours:Ours", "ours:Counting"}

    monkeypatch.setattr(Runner, "_costs", costs)
    face(*options).assert_outcomes(passed=2)
    for one in saved(face.home)["benchmarks"]:
        record = Record.model_validate(one["extra_info"])
        assert record.latency.samples_s == timed[record.case.recommender]
        assert record.flops is not None
        assert record.memory is not None


def saved_last(home):
    return json.loads(max((home / "results").glob("*/*.json"), key=lambda path: path.stat().st_mtime_ns).read_text())


@pytest.mark.parametrize(("options", "message"), [
    (["--recommender=nosuch"], "unknown recommender 'nosuch': use one of *popularity*"),
    (["--recommender=nosuch.module:Class"], "*cannot be imported: No module named 'nosuch'*PYTHONPATH*"),
    (["--recommender=ours:time"], "*ours:time is not a subclass of models.recommender.Recommender"),
    (["--dataset=nosuch"], "*'nosuch' is not known*synthetic*"),
    (["--suite=nosuch"], "no suite 'nosuch': use one of ablation, *smoke*"),
    (["--suite=nosuch.toml"], "no suite 'nosuch.toml'*"),
    (["--suite=torn.toml"], "torn.toml: invalid TOML*"),
    (["--suite=folder.toml"], "folder.toml: is a folder, not a file*"),
    (["--suite=binary.toml"], "binary.toml: is no UTF-8 text*"),
    (["--recommender=:X"], "recommender ':X' cannot be imported: Empty module name*"),
    (["--recommender=torn:X"], "recommender 'torn:X' cannot be imported: SyntaxError: *mend torn"),
    (["--recommender=leaving:X"], "recommender 'leaving:X' cannot be imported: SystemExit: 5; mend leaving"),
    (["--suite=wrong.toml"], "wrong.toml: colour: extra inputs are not permitted"),
    (["--dtype=float8"], "--dtype float8: use one of float32, bfloat16, float16, int8"),
    (["--checkpoint=nosuch"], "nosuch is no checkpoint: there is no card.json*"),
    (["--set=dropout"], "--set dropout: write it as name=value*"),
    (["--set=dropout=much"], "sasrec: setting dropout: *its settings are*"),
    (["--device=abacus"], "--device abacus cannot be used*"),
    (["--threads=100000"], "--threads 100000: input should be less than or equal to 4096; change it"),
    (["--batch-size=0"], "--batch-size 0: input should be greater than or equal to 1; change it"),
    (["--beam-width=-1"], "--beam-width -1: *"),
    (["--top-k=0"], "--top-k 0: *"),
    (["--case-seconds=0"], "--case-seconds 0: *"),
    (["--min-rounds=0"], "--min-rounds 0: *"),
    (["--decoder=telepathy", "--recommender=p5"], "p5 has no decoder 'telepathy': use one of *reference*"),
    (["--max-history=0"], "--max-history 0: *"),
    (["--data-dir=nosuch", "--dataset=ml-1m"], "--data-dir nosuch: there is no such folder*"),
])  # fmt: skip
def test_a_wrong_option_is_one_line_and_status_4(face, pytester, options, message):
    pytester.mkdir("folder.toml")
    (pytester.path / "binary.toml").write_bytes(b"\x80\xff")
    pytester.makepyfile(torn="def", leaving="import sys; sys.exit(5)")
    pytester.makefile(".toml", torn="description = [", wrong=SUITE.replace("[[rec", "colour = 1\n[[rec", 1))
    result = face(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = result.stderr.str() + result.stdout.str()
    assert "Traceback" not in said
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


def test_help_explains_every_option(face):
    result = face("--help")
    said = result.stdout.str().partition("recommender benchmarks:")[2]
    for option in ("--suite", "--checkpoint", "--untrained", "--case-timeout", "--beam-width"):
        assert option in said


def test_a_folder_means_the_serving_benchmark_and_others_run_when_named(face, pytester, monkeypatch):
    """A file that measures no cases makes no session: nothing is loaded for it."""
    folder = pytester.mkdir("suites")
    for name in ("conftest.py", "bench_serving.py"):
        (folder / name).write_text((BENCH / name).read_text())
    other = folder / "bench_other.py"
    other.write_text("def bench_sum(benchmark):\n    benchmark(sum, [1, 2])\n")
    plain = [
        "-p",
        "no:cacheprovider",
        "-p",
        "no:hypothesispytest",
        "--benchmark-only",
        "-v",
        "-c",
        BENCH.parent / "pyproject.toml",
    ]
    cases = ["--suite=suite.toml", "--recommender=popularity"]
    pytester.runpytest_inprocess(*plain, folder, *cases).stdout.no_fnmatch_line("*bench_other*")
    named = pytester.runpytest_inprocess(*plain, f"{other}::bench_sum", "--dataset=nosuch")
    named.assert_outcomes(passed=1)
    pytester.runpytest_inprocess(*plain, other, folder, *cases).assert_outcomes(passed=2)


def test_it_runs_as_a_command_of_its_own(pytester, monkeypatch):
    """The one run in a process of its own: plain pytest, the repository on the path, nothing installed."""
    monkeypatch.setenv("BENCH_HOME", str(pytester.path / "home"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(BENCH.parent), str(pytester.path)]))
    pytester.makefile(".toml", suite=SUITE)
    arguments = ["-p", "no:cacheprovider", "--benchmark-only", "--suite=suite.toml", "--recommender=popularity"]
    result = pytester.runpytest_subprocess(str(BENCH), *arguments)
    result.assert_outcomes(passed=1)
    assert Record.model_validate(saved(pytester.path / "home")["benchmarks"][0]["extra_info"]).outcome is Outcome.OK


def test_a_full_disk_leaves_no_torn_file_and_loses_nothing(face, monkeypatch):
    """The results cannot be written, so that the same command is given again: nothing is measured anew."""
    write = Path.write_bytes

    def full(self, data):
        if b'"benchmarks"' in data:
            write(self, data[:1000])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    result = face(*ours("Counting"))
    assert result.ret == 2
    result.stdout.fnmatch_lines(
        ["error: *No space left on device: the results are not saved; what was measured is kept*"]
    )
    assert not list(face.home.glob("results/*/*.json*")) or not list(face.home.glob("results/Linux*/*"))
    monkeypatch.setattr(Path, "write_bytes", write)
    face(*ours("Counting")).assert_outcomes(passed=1)
    assert Path("indexed.txt").read_text().split() == ["once"]
    assert len(saved(face.home)["benchmarks"]) == 1


def test_ctrl_c_while_measuring_is_one_line_and_status_130(face, monkeypatch):
    from bench.running.runner import Runner

    def interrupted(self, group, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(Runner, "measure", interrupted)
    result = face(*ours("Ours"))
    assert result.ret == 130
    result.stdout.fnmatch_lines(["*interrupted: the same command goes on*"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_home_that_is_a_file_is_one_line(face, pytester, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(pytester.makefile(".txt", home="no folder")))
    result = face(*ours("Ours"))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *home.txt* cannot be made*set BENCH_HOME to a folder you may write"])
