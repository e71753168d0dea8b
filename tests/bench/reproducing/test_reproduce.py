"""`bench.reproduce`: what a suite comes to, what is done again and what is not, and how it ends."""

import dataclasses
import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench import beams, data, evaluate, leaks, reproduce, train
from bench.cli.loading import Loading
from bench.records.studies import Studies
from bench.reproducing import run
from bench.reproducing.kept import RUN, STUDIES, read_kept
from bench.reproducing.plan import make_plan
from bench.reproducing.run import OutOfTimeError, ReproduceOptions, StepFailedError, Steps, signed, signed_studies
from bench.training import checkpoints
from models.errors import UserError
from tests.bench.factories import make_failure, make_record, write_results, write_studies

SUITE = """
description = "tiny"
datasets = ["synthetic"]
k = 10
beam_widths = [10]
train_minutes = 0.01
threads = 1
[[recommenders]]
name = "popularity"
[[recommenders]]
name = "sasrec"
seeds = [0, 1]
[[recommenders]]
name = "sasrec"
settings = { loss = "bce" }
[[recommenders]]
name = "p5"
decoders = ["exact"]
beams = true
"""
APPS = {"bench.train": train.app, "bench.evaluate": evaluate.app, "bench.beams": beams.app, "bench.leaks": leaks.app}


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("tiny.toml").write_text(SUITE)
    load = data.load

    def load_tiny(name, **given):
        return load(name, **given | {"users": 40, "items": 30, "length": 8})

    monkeypatch.setattr(data, "load", load_tiny)


@pytest.fixture
def ran(monkeypatch):
    """The commands that ran, here instead of in processes of their own."""
    lines = []

    def command(self, what, argv, log, *, timed=True):
        lines.append(argv)
        result = CliRunner().invoke(APPS[argv[0]], list(argv[1:]))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise StepFailedError(f"{what}: {result.exception}")

    monkeypatch.setattr(Steps, "_command", command)
    return lines


def plan(**changes):
    return make_plan("tiny.toml", **{"sources": [], "size": "compact", "only": [], "loading": Loading()} | changes)


def options(**changes):
    values = {
        "loading": Loading(),
        "device": "cpu",
        "threads": 1,
        "quality_users": 10,
        "beam_users": 5,
        "deadline": None,
    }
    return ReproduceOptions(**values | changes)


def names(works):
    return [(work.entry.name, work.chosen["seed"], work.chosen.get("loss")) for work in works]


def test_first_seeds_come_first_and_further_ones_are_not_timed():
    whole = plan()
    order = [("popularity", 0, None), ("sasrec", 0, None), ("sasrec", 0, "bce"), ("p5", 0, None), ("sasrec", 1, None)]
    assert names(whole.work) == order
    (part,) = whole.timed().parts
    assert [entry.name for entry in part.recommenders] == ["popularity"]  # nothing else is trained yet
    assert names(plan(only=["sasrec"]).work) == [order[1], order[2], order[4]]
    assert plan(only=["sasrec"]).timed() is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"only": ["nope"]}, "--only nope: suite tiny.toml has p5, popularity, sasrec"),
        ({"sources": ["nope"]}, "--datasets nope: suite tiny.toml has synthetic"),
        ({"size": "nope"}, "--size nope: use a preset, one of compact"),
    ],
)
def test_names_that_are_not_the_suites_are_refused(changes, words):
    with pytest.raises(UserError, match=words):
        plan(**changes)


def test_a_suite_says_how_long_each_trains_what_ranks_on_a_gpu_and_whether_leaks_are_probed(ran):
    changed = SUITE.replace('name = "p5"', 'name = "p5"\ntrain_minutes = 0.02').replace(
        "threads = 1", 'threads = 1\nleaks = false\nranks_with = { cuda = "compiled" }'
    )
    Path("tiny.toml").write_text(changed)
    here, there = plan(), plan(on_gpu=True)
    assert (here.decoder, there.decoder) == ("exact", "compiled")
    minutes = {work.entry.name: work.recipe.max_minutes for work in here.work}
    assert (minutes["p5"], minutes["sasrec"]) == (0.02, 0.01)
    Steps(plan(only=["popularity"]), options(), lambda _: None).run_all(1)
    assert [argv[0] for argv in ran] == ["bench.evaluate"]


def test_all_users_are_ranked_by_a_decoder_that_the_recommender_has():
    """Not all know beams: a diffusion is ranked by the first of its own, or by the first that the suite names."""
    more = '[[recommenders]]\nname = "deftrec"\n[[recommenders]]\nname = "deftrec"\ndecoders = ["guided"]\n'
    Path("tiny.toml").write_text(SUITE + more.replace('name = "deftrec"\ndec', 'name = "deftrec"\nseeds = [1]\ndec'))
    whole = plan()
    decoders = {(work.entry.name, work.chosen["seed"]): whole.decoder_of(work) for work in whole.work}
    assert decoders["p5", 0] == "exact"
    assert (decoders["deftrec", 0], decoders["deftrec", 1]) == ("ddpm", "guided")
    assert decoders["popularity", 0] is None


def test_everything_is_trained_evaluated_and_studied_once(ran):
    whole, said = plan(), []
    steps = Steps(whole, options(), said.append)
    steps.run_all(1)
    assert steps.failures == []
    kinds = [argv[0] for argv in ran]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "bench.leaks": 1, "bench.train": 4, "bench.evaluate": 5, "bench.beams": 1
    }  # fmt: skip
    found = whole.gathered()
    assert sorted((one.case.recommender, one.seed) for one in found.evaluations) == [
        ("p5", 0), ("popularity", 0), ("sasrec", 0), ("sasrec", 0), ("sasrec", 1)
    ]  # fmt: skip
    assert [beam.width for beam in found.beams[0].beams] == beams.WIDTHS
    assert found.beams[0].users == 5
    assert {"catalogue", "random", "sequential", "sequential-leaky"} < {probe.numbering for probe in found.leaks}
    (part,) = whole.timed().parts
    assert [(entry.name, entry.settings["seed"]) for entry in part.recommenders] == [
        ("popularity", 0), ("sasrec", 0), ("sasrec", 0), ("p5", 0)
    ]  # fmt: skip
    assert all(entry.checkpoint for entry in part.recommenders if entry.name != "popularity")

    ran.clear()
    Steps(plan(), options(), said.append).run_all(1)
    assert ran == []

    again = next(work for work in whole.work if work.entry.name == "sasrec")
    (again.folder / checkpoints.CARD).unlink()
    whole.work[0].results.write_text("{")
    Steps(plan(), options(), said.append).run_all(1)
    assert [argv[0] for argv in ran][:2] == ["bench.evaluate", "bench.train"]
    assert all("sasrec" in str(argv) for argv in ran[2:]), "other weights are evaluated, equal ones are not"


def test_what_an_earlier_run_holds_is_not_made_again(ran, tmp_path, monkeypatch):
    first = plan()
    Steps(first, options(), print).run_all(1)
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    command = "python -m bench.reproduce tiny.toml"
    write_studies(earlier / STUDIES, signed_studies(first.gathered(), command))
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "another"))
    ran.clear()

    quality = plan(kept=read_kept(earlier))
    assert [work.chosen["seed"] for work in quality.work if quality.is_kept(work)] == [1], "first seeds are to be timed"
    timed = make_record("sasrec", provenance=first.gathered().evaluations[0].provenance)
    write_results(earlier / RUN, [timed])
    whole = plan(kept=read_kept(earlier))
    Steps(whole, options(), print).run_all(1)
    assert ran == []
    assert whole.timed() is None
    assert all(whole.done(work) for work in whole.work)
    again = signed_studies(whole.gathered(), "another command")
    assert again == signed_studies(first.gathered(), command)
    merged = whole.kept.with_run({"benchmarks": [{"name": "new"}], "failed_cases": []})
    assert [one["name"] for one in merged["benchmarks"]] == ["bench_request", "new"]

    other = plan(kept=read_kept(earlier), sources=[])
    changed = dataclasses.replace(other.work[1], settings=other.work[1].settings.model_copy(update={"dropout": 0.5}))
    assert not other.is_kept(changed)


@pytest.mark.parametrize("changed", ["recipe", "row"])
def test_times_of_a_dataset_are_kept_whole_or_made_again(ran, tmp_path, changed):
    first = plan()
    Steps(first, options(), print).run_all(1)
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    studies = first.gathered()
    write_studies(earlier / STUDIES, studies)
    here, elsewhere = studies.evaluations[0].provenance, make_record("p5").provenance
    failed = make_failure("p5", "error", "differs").model_copy(update={"provenance": here})
    write_results(
        earlier / RUN, [make_record("sasrec", provenance=here), failed, make_record("p5", provenance=elsewhere)]
    )
    assert all(one.weights.recipe for one in studies.evaluations if one.weights.checkpoint)
    if changed == "recipe":
        Path("tiny.toml").write_text(SUITE.replace("train_minutes = 0.01", "train_minutes = 0.02"))
        kept_seeds = []
    else:
        Path("tiny.toml").write_text(SUITE + '[[recommenders]]\nname = "sasrec"\nsettings = { dropout = 0.5 }\n')
        kept_seeds = [1]
    again = plan(kept=read_kept(earlier))
    assert [work.chosen["seed"] for work in again.work if again.is_kept(work)] == kept_seeds
    assert [one["extra_info"]["case"]["recommender"] for one in again.kept.run["benchmarks"]] == ["p5"]
    assert again.kept.run["failed_cases"] == []
    assert again.timed() is not None


def test_an_evaluation_is_the_one_that_evaluate_prints(ran):
    whole = plan(only=["sasrec"])
    Steps(whole, options(), print).run_all(1)
    work = whole.work[0]
    (kept,) = Studies.model_validate_json(work.results.read_text()).evaluations
    assert CliRunner().invoke(evaluate.app, [str(work.folder), "--out", "anew.json", "--threads", "1"]).exit_code == 0
    (anew,) = Studies.model_validate_json(Path("anew.json").read_text()).evaluations
    assert anew.quality == kept.quality
    assert anew.case == kept.case


def test_a_step_that_fails_is_told_and_the_others_go_on(ran, monkeypatch):
    def failing(*given, **named):
        raise UserError("no room")

    monkeypatch.setattr(train, "resolve", failing)
    steps = Steps(plan(), options(), print)
    steps.run_all(1)
    assert len(steps.failures) == 4
    assert all("no room" in failure for failure in steps.failures)
    assert [one.case.recommender for one in plan().gathered().evaluations] == ["popularity"]


def test_ablations_name_what_their_parts_compare():
    Path("tiny.toml").write_text(
        'description = "d"\nablation = true\ndatasets = ["synthetic"]\n'
        '[[parts]]\ntitle = "loss"\n'
        'recommenders = [{ name = "sasrec" }, { name = "sasrec", settings = { loss = "bce" } }]\n'
        '[[parts]]\ntitle = "beams"\nrecommenders = [{ name = "sasrec" }, { name = "p5" }]\n'
    )
    found = plan().gathered().ablations
    assert [(one.title, one.base, one.others) for one in found] == [
        ("loss", "sasrec", ["sasrec (bce)"]),
        ("beams", "sasrec", ["p5 (exact, beam 20)"]),
    ]
    assert len(plan().work) == 3
    assert [one.title for one in plan(only=["sasrec"]).gathered().ablations] == ["loss"]


def test_a_command_that_fails_gives_its_last_line_and_its_log():
    with pytest.raises(StepFailedError, match=r"reading: .*nothing\.json.*one\.log"):
        Steps(plan(), options(), print)._command("reading", ["json.tool", "nothing.json"], "one.log")
    assert "$ python -m json.tool nothing.json" in Path("home/reproduce/tiny/compact/logs/one.log").read_text()


def test_the_time_budget_ends_what_runs_and_starts_nothing_more():
    steps = Steps(plan(), options(deadline=time.monotonic() + 0.3), print)
    started = time.monotonic()
    with pytest.raises(OutOfTimeError):
        steps._command("waiting", ["timeit", "-n1", "-r1", "__import__('time').sleep(60)"], "wait.log")
    assert time.monotonic() - started < 20
    with pytest.raises(OutOfTimeError):
        steps._command("waiting", ["json.tool"], "wait.log")


def test_an_interruption_ends_the_steps_and_is_passed_on(monkeypatch):
    def interrupted(self, work):
        raise KeyboardInterrupt

    monkeypatch.setattr(Steps, "finish", interrupted)
    monkeypatch.setattr(Steps, "probe_numberings", lambda self: None)
    steps = Steps(plan(), options(), print)
    with pytest.raises(KeyboardInterrupt):
        steps.run_all(1)
    assert steps._stopped.is_set()


def test_results_are_signed_with_the_command_and_not_with_the_computers_name(tmp_path):
    records = [make_record("sasrec"), make_failure("p5", "timed out", "took longer")]
    path = write_results(tmp_path / "found.json", records, machine_info={"node": "mine"})
    content = signed(path, command="python -m bench.reproduce paper", suite="paper")
    assert content["machine_info"]["node"] == ""
    written = [content["benchmarks"][0]["extra_info"], content["failed_cases"][0]]
    assert {record["suite"] for record in written} == {"paper"}
    assert {record["provenance"]["command"] for record in written} == {"python -m bench.reproduce paper"}


def test_the_command_ends_with_a_page(ran, capfd):
    result = CliRunner().invoke(
        reproduce.app,
        ["tiny.toml", "--only", "popularity", "--only", "sasrec", "--no-measure", "--jobs", "1", "--out", "out"],
    )
    assert result.exit_code == 0, result.output
    assert {path.name for path in Path("out").iterdir()} >= {"index.html", "report.md", STUDIES}
    assert "sasrec" in Path("out/report.md").read_text()


@pytest.mark.parametrize("name", ["quick", "smoke", "scaling", "decoding"])
def test_suites_that_reproduce_nothing_are_refused(name):
    if name == "quick":
        assert make_plan(name, sources=[], size="compact", only=[], loading=Loading()).work
        return
    with pytest.raises(UserError, match=f"measure it with pytest bench/ --benchmark-only --suite {name}"):
        make_plan(name, sources=[], size="compact", only=[], loading=Loading())


def test_weights_of_another_recipe_are_trained_again(ran):
    whole = plan(only=["sasrec"])
    work = whole.work[0]
    assert CliRunner().invoke(train.app, ["sasrec", "--max-minutes", "0.005", "--out", str(work.folder)]).exit_code == 0
    assert not work.trained
    Steps(whole, options(), print).run_all(1)
    trained = next(argv for argv in ran if argv[0] == "bench.train" and str(work.folder) in argv)
    assert "--again" in trained
    assert work.trained


def test_weights_that_had_more_minutes_are_as_good():
    work = plan(only=["sasrec"]).work[0]
    assert CliRunner().invoke(train.app, ["sasrec", "--max-minutes", "0.02", "--out", str(work.folder)]).exit_code == 0
    assert work.trained


def test_beams_of_fewer_users_are_studied_again(ran):
    whole = plan(only=["p5"])
    Steps(whole, options(beam_users=3), print).run_all(1)
    ran.clear()
    Steps(whole, options(beam_users=6), print).run_all(1)
    assert [argv[0] for argv in ran] == ["bench.beams"]
    assert whole.gathered().beams[0].users == 6


def test_a_case_that_fails_leaves_the_page_and_the_others(monkeypatch):
    whole = plan(only=["popularity"])

    def command(self, what, argv, log, *, timed=True):
        folder = self._storage / "machine"
        folder.mkdir(parents=True)
        write_results(folder / "0001.json", [make_record("popularity"), make_failure("p5", "error", "differs")])
        raise StepFailedError("measuring: 1 failed")

    monkeypatch.setattr(Steps, "_command", command)
    steps = Steps(whole, options(), print)
    assert steps.measure().name == "0001.json"
    assert steps.failures == ["measuring: 1 failed"]


def test_two_runs_of_one_suite_do_not_mix():
    here = plan().folder
    with reproduce._alone(here), pytest.raises(UserError, match="works in"), reproduce._alone(here):
        pass


def test_measuring_runs_the_benchmarks_on_what_is_trained(monkeypatch):
    whole = plan(only=["popularity"])
    seen = []

    def command(self, what, argv, log, *, timed=True):
        seen.append(argv)
        folder = self._storage / "machine"
        folder.mkdir(parents=True)
        write_results(folder / "0001.json", [make_record("popularity")])

    monkeypatch.setattr(Steps, "_command", command)
    path = Steps(whole, options(), print).measure()
    assert path.name == "0001.json"
    (argv,) = seen
    suite = run.Path(argv[argv.index("--suite") + 1])
    assert json.loads(suite.read_text())["parts"][0]["recommenders"][0]["name"] == "popularity"
