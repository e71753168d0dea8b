"""The pytest face: what `pytest bench/ --benchmark-only` leaves behind, and how it says no."""

import sys

import pytest

from bench.records.case import Outcome, WeightsKind
from bench.records.model import Unavailable
from bench.records.record import Record
from tests.bench.face.tiny import failures, ours, saved

pytest_plugins = ["pytester"]


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
