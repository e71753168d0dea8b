"""Pages that compare runs: what stands on them, and what the command says of files it cannot compare."""

import csv
import io

import pytest
from typer.testing import CliRunner

from bench.records.case import Outcome, WeightsKind
from bench.records.model import Unavailable
from bench.report.__main__ import app
from bench.report.drawing.writing import COMMENT_LETTERS
from models.errors import UserError
from tests.bench.factories import (
    make_case,
    make_failure,
    make_latency,
    make_provenance,
    make_record,
    make_run,
    write_results,
)
from tests.bench.report.comparing.runs import of_other_code, page, slowed
from tests.bench.report.test_report import HOSTILE, PLAIN, Page


def test_the_page_stands_alone(tmp_path):
    html = page(tmp_path, make_run(), slowed(1.5), slowed(0.8))[0]
    found = Page(html)
    assert found.loaded == []
    assert found.anchors <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert (found.tags.count("svg"), found.tags.count("h1")) == (4, 1)
    assert "<style>" in html


def test_the_markdown_says_what_was_found_and_where_from(tmp_path):
    html, text, _ = page(
        tmp_path, make_run(), slowed(1.5, command="pytest bench/ --suite quick"), slowed(0.8, commit="e" * 40)
    )
    for words in (
        "B against A",
        "C against A",
        "8 SLOWER",
        "8 FASTER",
        "python -m bench.gate",
        "--suite quick",
        "f" * 40,
    ):
        assert words in text
        assert words in html
    assert "| P5 (reference, beam 20), batch 1 | SLOWER | " in text
    assert text.count("<details>") == text.count("</details>") > 0


def test_the_values_are_those_of_both_sides(tmp_path):
    base = [make_record("a"), make_record("b"), make_record("gone")]
    rows = list(
        csv.DictReader(
            io.StringIO(page(tmp_path, base, [of_other_code(make_record("a", median_s=0.004)), make_record("b")])[2])
        )
    )
    first, _, gone = rows
    assert (first["verdict"], first["base_recommender"], first["other_recommender"]) == ("SLOWER", "a", "a")
    assert float(first["p50_ratio"]) == pytest.approx(2, rel=0.02)
    assert float(first["base_latency_p50_s"]) == pytest.approx(0.002, rel=0.02)
    assert (gone["verdict"], gone["base_recommender"], gone["other_recommender"]) == ("only in A", "gone", "")


def test_equal_files_give_equal_bytes(tmp_path):
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        page(folder, make_run(), slowed(1.5))
        out = folder / "out"
        made.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert made[0] == made[1]
    assert len(made[0]) == 10


def test_figures_of_an_earlier_comparison_go(tmp_path):
    page(tmp_path, make_run(), slowed(1.5), slowed(0.8))
    page(tmp_path, make_run(), slowed(1.5))
    assert {path.stem for path in (tmp_path / "out" / "figures").iterdir()} == {"latency-b", "quality-b"}


def test_hostile_names_stay_text(tmp_path):
    case = make_case(HOSTILE, dataset=HOSTILE, settings={"preset": HOSTILE, "note": HOSTILE})
    source = make_provenance(command=HOSTILE, machine={"processor": HOSTILE, "cores": 2})
    record = make_record(case=case, labels=[HOSTILE], provenance=source)
    dtype = make_record(case=case.model_copy(update={"dtype": HOSTILE}), labels=[HOSTILE])
    html, text, _ = page(tmp_path, [record, make_failure(HOSTILE, Outcome.ERROR, HOSTILE)], [dtype])
    found = Page(html)
    assert found.scripts == PLAIN
    assert "<script" not in text
    assert any(HOSTILE in words for words in found.text)


def test_untrained_runs_have_no_table_of_quality(tmp_path):
    why = Unavailable(unavailable="random weights")
    records = [make_record(case=make_case(weights=WeightsKind.UNTRAINED), quality=why)]
    html, text, _ = page(tmp_path, records, records)
    assert "Quality" not in text
    assert "<h3>Quality</h3>" not in html
    assert not (tmp_path / "out" / "figures" / "quality-b.svg").exists()


def test_the_markdown_fits_a_comment_and_says_what_it_leaves_out(tmp_path):
    """150 cases with long names; figures show the first 40 and name the rest."""
    names = [f"recommender-{'long-' * 12}{number}" for number in range(150)]
    html, text, values = page(tmp_path, *[[make_record(name, latency=make_latency(rounds=5)) for name in names]] * 2)
    assert len(text) < COMMENT_LETTERS
    assert "of 150 rows; all of them: `compare.csv`" in text
    assert len(list(csv.DictReader(io.StringIO(values)))) == 150
    assert names[-1] in html


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_compares_files(tmp_path):
    first = write_results(tmp_path / "a.json", make_run())
    second = write_results(tmp_path / "b.json", slowed(1.03))
    out = tmp_path / "out"
    result = invoke("--compare", first, second, "--out", out, "--margin", "20")
    assert result.exit_code == 0, result.output
    assert str(out / "compare.md") in result.output
    assert "8 SAME" in (out / "compare.md").read_text()
    assert "20 %" in (out / "compare.md").read_text()


def test_the_default_folder_is_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("--compare", *[write_results(tmp_path / "a.json", make_run())] * 2)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "reports" / "compare" / "index.html").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such results file"),
        ("{", "damaged"),
        ('{"benchmarks": [{"extra_info": {}}]}', "another project"),
        ('{"benchmarks": [{"extra_info": {"kind": "lite-llm4rec-bench", "schema_version": 99}}]}', "newer version"),
        ('{"benchmarks": [{"extra_info": {"kind": "lite-llm4rec-bench", "schema_version": 3}}]}', "damaged"),
        ("[]", "not a results file"),
    ],
)
@pytest.mark.parametrize("flag", ["--compare", "--history"])
def test_bad_files_are_one_line(tmp_path, flag, content, words):
    good, bad = write_results(tmp_path / "good.json", make_run()), tmp_path / "bad.json"
    if content is not None:
        bad.write_text(content)
    error = invoke(flag, good, bad, "--out", tmp_path / "out").exception
    assert isinstance(error, UserError)
    assert words in str(error)
    assert "bad.json" in str(error)
    assert "\n" not in str(error)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--compare"], "two results files or more"),
        (["--compare", "FILE"], "two results files or more"),
        (["--compare", "--history", "FILE", "FILE"], "give one of them"),
        (["--margin", "3", "FILE"], "--margin goes with"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, words, told):
    file = write_results(tmp_path / "run.json", make_run())
    error = invoke(*(file if word == "FILE" else word for word in words)).exception
    assert isinstance(error, UserError)
    assert told in str(error)


def test_files_without_a_common_case_are_named(tmp_path):
    first = write_results(tmp_path / "first.json", [make_record("a")])
    second = write_results(tmp_path / "second.json", [make_record(case=make_case("b", batch_size=1, k=5))])
    error = invoke("--compare", first, second, "--out", tmp_path / "out").exception
    assert isinstance(error, UserError)
    for words in ("first.json", "second.json", "no case in common", "one case (a;", "one case (b;"):
        assert words in str(error)
