"""The block of results in README.md: what it says, and that it is written once and told when stale."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.records.case import WeightsKind
from bench.records.learning import Ending
from bench.records.model import Unavailable
from bench.records.quality import Hits
from bench.records.rankers import Ranked, Ranking
from bench.records.record import Weights
from bench.records.studies import Evaluation, Studies
from bench.report.readme import END, START, app
from models.errors import UserError
from tests.bench.factories import make_case, make_failure, make_provenance, make_quality, make_record, write_results

ROOT = Path(__file__).parents[3]

HOSTILE = "a|b <img src=x> [c](http://d) `e` *f* _g_ $h$ \\ <!-- /results -->"


def timed(recommender, median_s, ndcg=0.1, *, sha256=None, training=None, seed=0, labels=(), **case):
    """Make a measured case up, on real data and with weights of its own."""
    return make_record(
        case=make_case(recommender, **{"dataset": "ml-1m", "batch_size": 1} | case),
        median_s=median_s,
        quality=make_quality(ndcg),
        labels=list(labels),
        weights=Weights(
            ending=Ending.FINISHED,
            parameters=1000,
            parameter_bytes=4000,
            sha256=sha256 or recommender,
            training=training or {},
            settings={"preset": "compact", "seed": seed},
        ),
        provenance=make_provenance(dataset={"items": 50}),
    )


def beam_search(decoder, median_s, ndcg=0.1, recommender="p5", **changes):
    return timed(recommender, median_s, ndcg, decoder=decoder, beam_width=20, scores="full-vocab", **changes)


RECORDS = [
    timed("sasrec", 0.001, 0.25, training={"seconds": 90.0}),
    timed("sasrec", 0.004, 0.25, training={"seconds": 90.0}, batch_size=32),
    timed("lite-llm4rec", 0.002, 0.2),
    timed("lite-llm4rec", 0.012, 0.2, batch_size=32),
    timed("lite-llm4rec", 0.001, 0.15, settings={"preset": "compact", "item_llm": "ids"}, sha256="ids"),
    beam_search("reference", 0.04),
    beam_search("exact", 0.008),
    beam_search("exact", 0.02, batch_size=32),
    beam_search("exact", 0.001, 0.05, recommender="tiger"),
]


def served(ranker, median_s, *, lost=0.0, **case):
    ranking = Ranking(kind="a ranker")
    found = Ranked(build_s=0, bytes=0, users=9, recall=0.9, identical=0, ndcg_lost=lost)
    record = timed("lite-llm4rec", median_s, 0.2, ranker=ranker, ranking=ranking, **case)
    return record.model_copy(update={"ranked": found})


def evaluated(record, ndcg, **changes):
    """Evaluate the weights of a record on all of 1,000 users."""
    quality = make_quality(ndcg).model_copy(update={"users": 1000})
    values = {"case": record.case, "weights": record.weights, "quality": quality, "seconds": 1.0}
    return Evaluation(**values | {"provenance": record.provenance} | changes)


def lay_out(
    folder, records=RECORDS, evaluations=(), machine="a-machine", text=f"# Title\n\n{START}\nold\n{END}\n\nEnd\n"
):
    """Write a README and what is committed of one machine."""
    paper = folder / "reports" / machine / "paper"
    (paper / "figures").mkdir(parents=True)
    write_results(paper / "run.json", records)
    (paper / "report.md").write_text("# Page\n")
    (paper / "figures" / "quality_latency.png").write_bytes(b"")
    if evaluations:
        (paper / "studies.json").write_text(Studies(evaluations=list(evaluations)).model_dump_json())
    (folder / "README.md").write_text(text)
    return folder


def run(folder, *options):
    return CliRunner().invoke(app, ["--folder", str(folder), *options])


def written(folder, *args, **kwargs):
    """Return the README after the command."""
    found = run(lay_out(folder, *args, **kwargs))
    assert found.exit_code == 0, found.output
    return (folder / "README.md").read_text()


def cells(text):
    """Return the table: a dictionary a row, by the heading."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [dict(zip(table[0], row, strict=True)) for row in table[2:]]


def test_the_block_is_replaced_and_nothing_else(tmp_path):
    text = written(tmp_path)
    assert text.startswith(f"# Title\n\n{START}\n\n### a-machine: a processor (2 cores)\n\n1. Serve SASRec: of what")
    assert text.endswith(f"\n\n{END}\n\nEnd\n")
    assert "old" not in text
    assert "](reports/a-machine/paper/figures/quality_latency.png)" in text
    assert "[the page](reports/a-machine/paper/report.md)" in text


def test_the_sentence_holds_the_best_of_both_kinds_against_each_other(tmp_path):
    (sentence,) = [line for line in written(tmp_path).splitlines() if line.startswith("- ")]
    assert "by SASRec; Lite-LLM4Rec ranks above the best beam search that was trained here" in sentence
    assert "Lite-LLM4Rec reaches 0.200 [0.180, 0.220]" in sentence  # and not the variant that ranks worse
    assert "the strongest beam search, P5 (beam 20) under exact, 0.100 [0.090, 0.110]" in sentence  # not TIGER
    assert re.search(r"a request of 1 user is answered (4\.00|3\.9\d) times \[\S+ \S+\] as fast without it", sentence)
    assert re.search(r"\((20\.0|19\.\d) times \[\S+ \S+\] as fast where it runs under reference", sentence)


def test_of_variants_the_table_has_its_own_and_the_best_that_is_sound(tmp_path):
    variants = [
        timed("lite-llm4rec", 0.001, ndcg, settings={"preset": "compact", "item_llm": name}, sha256=name, labels=labels)
        for name, ndcg, labels in (("leaky", 0.4, ["leaky"]), ("minilm", 0.3, []), ("ids", 0.22, []))
    ]
    names = [row["recommender"] for row in cells(written(tmp_path, [*RECORDS[:4], *variants]))]
    assert names == ["Lite-LLM4Rec, Item LLM minilm", "SASRec", "Lite-LLM4Rec"]


def test_the_table_has_a_row_a_recommender_the_best_first(tmp_path):
    table = cells(written(tmp_path))
    assert [row["recommender"] for row in table] == [
        "SASRec", "Lite-LLM4Rec", "P5 (beam 20)", "TIGER (beam 20)",
    ]  # fmt: skip
    assert list(table[0]) == [
        "recommender", "NDCG@10", "p50, batch 1", "p50, batch 32", "papers' decoder, batch 1", "trained to the end",
    ]  # fmt: skip
    p5 = table[2]
    assert p5["p50, batch 1"].endswith(" ms (exact)")
    assert float(p5["papers' decoder, batch 1"].split()[0]) == pytest.approx(40, rel=0.05)
    assert p5["p50, batch 32"].startswith(("19.", "20."))
    assert (table[3]["p50, batch 32"], table[0]["papers' decoder, batch 1"]) == ("n/a", "n/a")


def test_rankers_that_lose_little_are_ways_to_serve_one_row_and_the_fastest_is_named(tmp_path):
    rankers = [served("int8-rescored", 0.0015), served("ivf", 0.0001, lost=0.3)]
    text = written(tmp_path, [*RECORDS, *rankers])
    rows = {row["recommender"]: row for row in cells(text)}
    assert re.fullmatch(r"1\.5\d ms \(int8-rescored\)", rows["Lite-LLM4Rec"]["p50, batch 1"])
    assert "without it under int8-rescored" in text
    assert not any("int8" in name for name in rows)


def test_quality_is_that_of_all_users_where_it_was_evaluated(tmp_path):
    """An evaluation under one exact decoder holds for the others; that of another seed does not."""
    reference, lite = RECORDS[5], RECORDS[2]
    other = lite.weights.model_copy(update={"sha256": "another seed"})
    text = written(tmp_path, evaluations=[evaluated(reference, 0.3), evaluated(lite, 0.4, weights=other)])
    table = {row["recommender"]: row["NDCG@10"] for row in cells(text)}
    assert table["P5 (beam 20)"] == "0.300 [0.270, 0.330]"
    assert table["Lite-LLM4Rec"].startswith("0.200 ")
    assert "by P5 (beam 20); beam search ranks better: " in text


def test_a_difference_is_judged_user_by_user(tmp_path):
    """The intervals are far apart, but the same users are hit at the same places."""
    hits = Hits(rows=[0, 1], better=[0, 1], tied=[1, 1])
    evaluations = [evaluated(record, record.quality.metrics["NDCG@10"].value) for record in (RECORDS[2], RECORDS[5])]
    evaluations = [
        one.model_copy(update={"quality": one.quality.model_copy(update={"hits": hits})}) for one in evaluations
    ]
    assert "beam search gains nothing that shows" in written(tmp_path, evaluations=evaluations)


def test_a_slower_one_pass_is_said_to_be_slower(tmp_path):
    text = written(tmp_path, [timed("lite-llm4rec", 0.02, 0.2), beam_search("exact", 0.01)])
    assert "times [2.00, 2.00] as slowly without it." in text


def test_other_seeds_failures_and_cautions_are_kept_apart(tmp_path):
    records = [
        timed("lite-llm4rec", 0.002, 0.2),
        timed("lite-llm4rec", 0.002, 0.9, seed=1, sha256="seed 1"),
        beam_search("exact", 0.01),
        beam_search("exact", 0.01, 0.8, labels=["leaky item IDs"], sha256="leaky"),
        make_failure("p5", "error", "no"),
    ]
    text = written(tmp_path, records)
    assert [row["NDCG@10"][:3] for row in cells(text)] == ["0.8", "0.2", "0.1"]
    assert cells(text)[0]["recommender"].endswith("; leaky item IDs")
    assert "the best NDCG@10 of what was timed is 0.200 " in text
    assert "0.9000" not in text


def test_what_was_not_timed_side_by_side_is_not_compared(tmp_path):
    records = [timed("lite-llm4rec", 0.002, 0.2), beam_search("exact", 0.01, threads=8), timed("sasrec", 0.1, 0.1)]
    assert "no claimant and beam search were timed side by side" in written(tmp_path, records)


def test_without_quality_only_cost_is_told(tmp_path):
    gone = Unavailable(unavailable="the weights are random (--untrained)")
    record = timed("lite-llm4rec", 0.002, weights=WeightsKind.UNTRAINED).model_copy(
        update={"quality": gone, "flops": None}
    )
    text = written(tmp_path, [record])
    assert "- On ml-1m, cost alone was measured." in text
    (row,) = cells(text)
    assert (row["recommender"], row["NDCG@10"]) == ("Lite-LLM4Rec, untrained", "n/a")


def test_machines_and_datasets_have_their_own_parts(tmp_path):
    lay_out(tmp_path, machine="gpu")
    text = written(tmp_path, [*RECORDS, timed("sasrec", 0.1, dataset="beauty")], machine="cpu (2)")
    assert text.index("### cpu (2): ") < text.index("### gpu: ")
    assert "](reports/cpu%20%282%29/paper/report.md)" in text
    assert text.count("- On ml-1m, ") == 2
    assert text.count("- On beauty, ") == 1


def test_a_second_run_changes_nothing(tmp_path):
    first = written(tmp_path)
    before = (tmp_path / "README.md").stat().st_mtime_ns
    found = run(tmp_path)
    assert (found.exit_code, found.output) == (0, "")
    assert (tmp_path / "README.md").read_text() == first
    assert (tmp_path / "README.md").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["README.md"]


def test_check_tells_and_writes_nothing(tmp_path):
    lay_out(tmp_path)
    before = (tmp_path / "README.md").read_text()
    found = run(tmp_path, "--check")
    assert (found.exit_code, found.output) == (1, "README.md is stale: run python -m bench.report.readme\n")
    assert (tmp_path / "README.md").read_text() == before
    assert run(tmp_path).exit_code == 0
    found = run(tmp_path, "--check")
    assert (found.exit_code, found.output) == (0, "")


def test_hostile_names_stay_text(tmp_path):
    record = timed(HOSTILE, 0.002, labels=[f"{HOSTILE}\nsecond line"], dataset=HOSTILE)
    text = written(tmp_path, [record])
    assert text.count(END) == 1
    assert "<img" not in text
    assert "](http" not in re.sub(r"\\\]\(", "", text)
    (row,) = cells(text)
    assert row["recommender"].startswith(r"a\|b &lt;img src=x&gt; \[c\](http://d) \`e\` \*f\* \_g\_ \$h\$ \\")
    assert row["recommender"].endswith("second line")
    assert run(tmp_path, "--check").exit_code == 0


@pytest.mark.parametrize(
    "text",
    ["# No marker\n", f"{START}\n", f"{END}\n{START}\n", f"{START}\n{START}\n{END}\n", f"{START}\n{END}\n{END}\n"],
)
def test_missing_markers_are_named(tmp_path, text):
    found = run(lay_out(tmp_path, text=text))
    assert isinstance(found.exception, UserError)
    assert START in str(found.exception)
    assert (tmp_path / "README.md").read_text() == text


@pytest.mark.parametrize("name", ["run.json", "report.md", "figures/quality_latency.png"])
def test_a_missing_file_is_named(tmp_path, name):
    lay_out(tmp_path)
    (tmp_path / "reports" / "a-machine" / "paper" / name).unlink()
    found = run(tmp_path)
    assert isinstance(found.exception, UserError)
    assert f"{name}{'.gz' if name == 'run.json' else ''} is missing" in str(found.exception)


def test_nothing_to_show_is_said(tmp_path):
    (tmp_path / "README.md").write_text(f"{START}\n{END}\n")
    assert "no folder" in str(run(tmp_path).exception)
    assert "cannot be read" in str(run(tmp_path / "nowhere").exception)
    lay_out(tmp_path, [timed("sasrec", 0.1, seed=3)])
    assert "no measured case of seed 0" in str(run(tmp_path).exception)


def test_damaged_studies_are_one_line_and_status_2(tmp_path):
    lay_out(tmp_path)
    (tmp_path / "reports" / "a-machine" / "paper" / "studies.json").write_text("{")
    done = subprocess.run(
        [sys.executable, "-m", "bench.report.readme", "--folder", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"BENCH_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "studies.json" in done.stderr


def test_the_readme_of_this_repository_is_not_stale():
    if START not in (ROOT / "README.md").read_text(encoding="utf-8"):
        pytest.skip("README.md has no block of results yet")
    found = run(ROOT, "--check")
    assert found.exit_code == 0, found.output or found.exception


def test_datasets_of_different_machines_name_them(tmp_path):
    other = make_provenance(dataset={"items": 50}, machine={"processor": "another", "cores": 2})
    books = [
        one.model_copy(update={"case": one.case.model_copy(update={"dataset": "books"}), "provenance": other})
        for one in RECORDS
    ]
    text = written(tmp_path, [*RECORDS, *books])
    sentences = [line for line in text.splitlines() if line.startswith("- ")]
    assert sentences[0].startswith("- On ml-1m, a processor (2 cores), the best")
    assert sentences[1].startswith("- On books, another (2 cores), the best")
    assert "### a-machine: a processor (2 cores), another (2 cores)" in text


def test_no_quality_is_held_against_a_training_that_was_cut_short(tmp_path):
    def unfinished(record, verdict):
        weights = record.weights.model_copy(update={"ending": verdict})
        return record.model_copy(update={"weights": weights}) if record.case.decoder else record

    for place, (verdict, words) in enumerate([(Ending.CUT_SHORT, "was cut short"), (None, "nobody knows whether")]):
        text = written(tmp_path / str(place), [unfinished(record, verdict) for record in RECORDS])
        (sentence,) = (line for line in text.splitlines() if line.startswith("- On"))
        assert "whether beam search gains anything is not told, for" in sentence
        assert words in sentence
        assert "reaches" not in sentence
        assert cells(text)[2]["trained to the end"] == ("cut short" if verdict else "not known")
