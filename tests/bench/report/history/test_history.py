"""Stored runs in order of time: what makes a line, what is a change, and what a page says of it."""

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from bench.records.case import Outcome
from bench.records.store import read, stored
from bench.report.__main__ import app
from bench.report.comparing.comparison import ChangeVerdict, Past
from bench.report.drawing.writing import COMMENT_LETTERS
from bench.report.history.figures import PANELS, RUNS, draw
from bench.report.history.history import history, moment, summary
from bench.report.history.page import write_history
from bench.report.history.tables import changes, last, steps
from bench.statistics.between_runs import Spread
from models.errors import UserError
from tests.bench.factories import (
    make_case,
    make_failure,
    make_latency,
    make_provenance,
    make_record,
    make_run,
    make_studies,
    write_results,
    write_studies,
)
from tests.bench.report.test_report import HOSTILE, PLAIN, Page


def at(day: int, median_s: float = 0.002, recommender: str = "sasrec", *, seed: int | None = None, **source):
    """A record of one day, its commit the day's digit."""
    provenance = make_provenance(
        **{"started": f"2026-01-{day:02d}T00:00:00+00:00", "commit": f"{day % 16:x}" * 40} | source
    )
    latency = make_latency(median_s, seed=day if seed is None else seed)
    return make_record(recommender, latency=latency, provenance=provenance)


def write(folder, *runs):
    """Files of runs, a list of records each."""
    return [read(write_results(folder / f"{place:03d}.json", records)) for place, records in enumerate(runs)]


@pytest.fixture
def steady(monkeypatch):
    """Let equal runs be known to lie a third of a percent apart."""
    monkeypatch.setattr(Past, "spread_of", lambda self, record, compared: Spread(0.003, 8))


def test_without_two_runs_of_the_same_code_there_is_no_verdict(tmp_path):
    """Two nights of other code tell nothing; with two runs of one of them the step is judged."""
    (machine,) = history(write(tmp_path, [at(1)], [at(2, 0.004)]))
    assert [point.verdict for point in machine.lines[0].points] == [None, ChangeVerdict.ONE_RUN_EACH]
    assert "1 UNCLEAR (one run each)" in summary(machine, 0.05)
    nights = [[at(1)], [at(2, 0.002001, commit="1" * 40)], [at(3, 0.002002, commit="1" * 40)], [at(4, 0.004)]]
    (machine,) = history(write(tmp_path, *nights))
    assert [point.verdict for point in machine.lines[0].points][1:] == [
        ChangeVerdict.SAME,
        ChangeVerdict.SAME,
        ChangeVerdict.SLOWER,
    ]


@pytest.mark.usefixtures("steady")
def test_runs_are_put_in_order_of_time_not_of_files(tmp_path):
    runs = [at(3)], [at(1)], [at(2)]
    (machine,) = history(write(tmp_path, *runs))
    (line,) = machine.lines
    assert [point.record.provenance.started[8:10] for point in line.points] == ["01", "02", "03"]
    assert [point.verdict for point in line.points] == [None, ChangeVerdict.SAME, ChangeVerdict.SAME]


def test_times_are_compared_across_time_zones():
    words = ["no time", "2026-01-01T12:00:00", "2026-01-01T12:30:00+02:00", "2026-01-01T09:00:00Z"]
    assert sorted(words, key=moment) == [words[3], words[2], words[1], words[0]]


@pytest.mark.usefixtures("steady")
def test_a_change_is_told_from_the_run_before_alone(tmp_path):
    """Slower once, and then as slow: that is one change, not two."""
    times = (0.002, 0.002, 0.003, 0.003, 0.001)
    (machine,) = history(write(tmp_path, *([at(day, time)] for day, time in enumerate(times, start=1))))
    points = machine.lines[0].points
    assert [point.verdict for point in points[1:]] == [
        ChangeVerdict.SAME,
        ChangeVerdict.SLOWER,
        ChangeVerdict.SAME,
        ChangeVerdict.FASTER,
    ]
    assert points[2].ratio.value == pytest.approx(1.5, rel=0.03)
    assert "1 SLOWER, 1 FASTER, 2 SAME, 0 UNCLEAR" in summary(machine, 0.05)
    assert list(changes(machine)["verdict"]) == ["FASTER", "SLOWER"]  # the newest first
    assert list(last(machine)["run"]) == ["2026-01-05T00:00:00+00:00"]


@pytest.mark.usefixtures("steady")
def test_the_margin_decides_what_is_a_change(tmp_path):
    runs = write(tmp_path, [at(1)], [at(2, 0.0023)])
    assert history(runs)[0].lines[0].points[1].changed
    assert not history(runs, margin=0.5)[0].lines[0].points[1].changed


@pytest.mark.parametrize(
    "facts",
    [
        {"processor": "another", "cores": 2},
        {"processor": "a processor", "cores": 4},
        {"processor": "a processor", "cores": 2, "memory GiB": 64.0},
        {"processor": "a processor", "cores": 2, "GPU": "H100"},
    ],
)
def test_machines_never_share_a_line(tmp_path, facts):
    machines = history(write(tmp_path, [at(1)], [at(2, 0.02, machine=facts)]))
    assert [len(machine.lines[0].points) for machine in machines] == [1, 1]
    assert len({machine.name for machine in machines}) == 2
    assert all("nothing to compare" in summary(machine, 0.05) for machine in machines)
    assert len(draw(machines)) == 2


def test_another_kernel_is_the_same_machine_and_told(tmp_path):
    systems = [{"processor": "a processor", "cores": 2, "system": f"Linux {version}"} for version in (5, 6)]
    (machine,) = history(write(tmp_path, *([at(day, machine=facts)] for day, facts in enumerate(systems, start=1))))
    assert list(steps(machine)["what else changed"]) == ["", "system Linux 5 → Linux 6"]


def test_other_data_and_software_are_told(tmp_path):
    runs = write(tmp_path, [at(1)], [at(2, dataset={"checksum": "other"}, software={"torch": "2.14.0"})])
    told = list(steps(history(runs)[0])["what else changed"])[1]
    assert "torch 2.13.0 → 2.14.0" in told
    assert "other data" in told


def test_a_run_that_two_files_hold_counts_once(tmp_path):
    (machine,) = history(write(tmp_path, [at(1)], [at(1)], [at(2)]))
    assert len(machine.lines[0].points) == 2


def test_a_run_whose_groups_began_apart_is_one_run(tmp_path):
    first = at(1, recommender="a")
    later = at(1, recommender="b", started="2026-01-01T00:07:00+00:00")
    (machine,) = history(write(tmp_path, [later, first]))
    assert {point.run[0] for point in machine.points} == {"2026-01-01T00:00:00+00:00"}


@pytest.mark.usefixtures("steady")
def test_a_failed_run_is_told_and_passed_over(tmp_path):
    failed = make_failure("sasrec", Outcome.OUT_OF_MEMORY, "too large").model_copy(
        update={"provenance": at(2).provenance}
    )
    (machine,) = history(write(tmp_path, [at(1)], [failed], [at(3, 0.004)]))
    first, second, third = machine.lines[0].points
    assert (first.verdict, second.verdict, third.verdict) == (None, ChangeVerdict.NOT_MEASURED, ChangeVerdict.SLOWER)
    assert second.median is None
    assert "Of 1 step from" in summary(machine, 0.05)
    assert list(steps(machine)["p50"])[1] == "out of memory"


@pytest.mark.usefixtures("steady")
def test_one_sample_is_no_change(tmp_path):
    once = at(2).model_copy(update={"latency": make_latency(0.02, rounds=1, turns=1)})
    (machine,) = history(write(tmp_path, [at(1)], [once]))
    assert machine.lines[0].points[1].verdict is ChangeVerdict.UNCLEAR


def test_only_failures_make_a_page_without_figures(tmp_path):
    failed = make_failure("sasrec", Outcome.ERROR, "no")
    write_history(write(tmp_path, [failed]), tmp_path / "out")
    assert "No case has times" in (tmp_path / "out" / "index.html").read_text()
    assert not list(tmp_path.glob("out/figures/*"))


def test_no_run_is_said():
    with pytest.raises(UserError, match="no stored runs"):
        history([])


def page(folder, *runs, **kinds):
    write_history(write(folder, *runs), folder / "out", **kinds)
    return tuple((folder / "out" / name).read_text() for name in ("index.html", "history.md", "history.csv"))


def test_a_dirty_tree_is_marked(tmp_path):
    html, text, _ = page(tmp_path, [at(1)], [at(2, dirty=True)])
    assert "2222222+, since 1111111" in text
    assert "uncommitted changes" in html
    assert "Uncommitted changes: 1 of 2 points" in text
    assert "1111111+" not in text


def test_the_page_stands_alone(tmp_path):
    html = page(tmp_path, make_run(), [at(5), at(5, machine={"processor": "another", "cores": 64})])[0]
    found = Page(html)
    assert found.loaded == []
    assert found.anchors <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert (found.tags.count("svg"), found.tags.count("h1")) == (2, 1)


@pytest.mark.usefixtures("steady")
def test_the_markdown_names_changes_and_sources(tmp_path):
    text = page(tmp_path, [at(1)], [at(2, 0.004, command="pytest bench/ --suite quick")])[1]
    for words in ("1 SLOWER", "| SASRec | 2026-01-02T00:00:00+00:00 | 2222222, since 1111111 |", "--suite quick"):
        assert words in text
    assert "python -m bench.gate" in text
    assert text.count("<details>") == text.count("</details>") > 0


@pytest.mark.usefixtures("steady")
def test_the_values_hold_every_step(tmp_path):
    rows = list(csv.DictReader(io.StringIO(page(tmp_path, [at(1)], [at(2, 0.004)])[2])))
    assert [row["verdict"] for row in rows] == ["", "SLOWER"]
    assert float(rows[1]["ratio_to_run_before"]) == pytest.approx(2, rel=0.03)
    low, value, high = (float(rows[1][name]) for name in ("p50_low_s", "latency_p50_s", "p50_high_s"))
    assert low <= value <= high
    assert (rows[1]["commit"], rows[1]["commit_before"]) == ("2" * 40, "1" * 40)


def test_equal_runs_give_equal_bytes(tmp_path):
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        page(folder, make_run(), [at(5)], [at(6, 0.004)])
        out = folder / "out"
        made.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert made[0] == made[1]
    assert len(made[0]) == 7


def test_hostile_names_stay_text(tmp_path):
    record = at(1, recommender=HOSTILE, commit=HOSTILE, command=HOSTILE, machine={"processor": HOSTILE, "cores": 2})
    html, text, _ = page(tmp_path, [record], [at(2)])
    assert Page(html).scripts == PLAIN
    assert "<script" not in text
    assert any(HOSTILE in words for words in Page(html).text)


@pytest.mark.drawn
@pytest.mark.parametrize("count", [1, 4, PANELS])
def test_any_number_of_cases_is_drawn(tmp_path, count):
    records = [at(1, 0.001 * (1 + number), f"recommender-{number}") for number in range(count)]
    (drawing,) = draw(history(write(tmp_path, records)))
    assert drawing.left_out == ()
    assert f"recommender-{count - 1}: " in drawing.text


def test_what_a_figure_has_no_room_for_is_named(tmp_path):
    """The cases with the most runs stay, and the last runs."""
    many = [[at(1, recommender=f"recommender-{number}") for number in range(PANELS + 1)]]
    runs = [[at(day, recommender="recommender-30")] for day in range(2, RUNS + 3)]
    (drawing,) = draw(history(write(tmp_path, *many, *runs)))
    assert drawing.left_out == ("recommender-29", f"the first 2 of {RUNS + 2} runs")
    assert "recommender-30" in drawing.text


def test_the_markdown_fits_a_comment(tmp_path):
    short = {"latency": make_latency(rounds=10)}
    names = [f"recommender-{'long-' * 40}{number}" for number in range(20)]
    runs = [[at(day, recommender=name).model_copy(update=short) for name in names] for day in range(1, 9)]
    text = page(tmp_path, *runs)[1]
    assert len(text) < COMMENT_LETTERS
    assert "of 160 rows; all of them: `history.csv`" in text


def test_folders_give_their_runs_and_pass_over_what_is_not_ours(tmp_path):
    """Benchmarks of parts, files of studies and results of the gate lie in the same folders."""
    deep = tmp_path / "machine" / "deep"
    deep.mkdir(parents=True)
    first, second = write_results(tmp_path / "b.json", [at(1)]), write_results(deep / "a.json", [at(2)])
    (tmp_path / "training.json").write_text(json.dumps({"benchmarks": [{"extra_info": {}}]}))
    write_studies(tmp_path / "studies.json", make_studies()[0])
    assert [run.path for run in stored([tmp_path])] == [first, second]
    assert [run.path for run in stored([second, tmp_path])] == [second, first]


def test_a_damaged_run_in_a_folder_is_passed_over_and_named(tmp_path, capsys):
    sound = write_results(tmp_path / "0001_run.json", [at(1)])
    (tmp_path / "0002_run.json").write_text(sound.read_text()[:-30])
    assert CliRunner().invoke(app, ["--history", str(tmp_path), "--out", str(tmp_path / "out")]).exit_code == 0
    assert (tmp_path / "out" / "history.md").exists()


def test_all_stored_runs_are_shown_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "home" / "results" / "Linux-CPython"
    folder.mkdir(parents=True)
    for day in (1, 2):
        write_results(folder / f"000{day}_run.json", [at(day)])
    (folder.parent / "unfinished" / "part").mkdir(parents=True)
    (folder.parent / "unfinished" / "part" / "group.json").write_text('[{"kind": "lite-llm4rec-bench"}]')
    result = CliRunner().invoke(app, ["--history"])
    assert result.exit_code == 0, result.output
    assert "1 case, in 2 runs" in (tmp_path / "reports" / "history" / "history.md").read_text()


@pytest.mark.parametrize("words", [["--history"], ["--history", "empty"], ["--history", "nowhere"]])
def test_nothing_stored_is_one_line(tmp_path, monkeypatch, words):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    error = CliRunner().invoke(app, words).exception
    assert isinstance(error, UserError)
    assert "no stored runs" in str(error) or "no such results file" in str(error)


def test_cases_are_told_apart_by_what_differs(tmp_path):
    records = [make_record(case=make_case(batch_size=size)) for size in (1, 32)]
    (machine,) = history(write(tmp_path, records))
    assert [line.name for line in machine.lines] == ["Lite-LLM4Rec, batch 1", "Lite-LLM4Rec, batch 32"]
