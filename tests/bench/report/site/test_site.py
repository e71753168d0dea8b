"""The site: an index over all results, pages that link back and to each other, in the forms that they had."""

import re

import pytest
from typer.testing import CliRunner

from bench.ground.outputs import write_folder
from bench.records.case import WeightsKind
from bench.report.__main__ import app
from bench.report.run.first_rows import first_rows
from bench.report.site.page import newest, write_site
from models.errors import UserError
from tests.bench.factories import (
    make_case,
    make_provenance,
    make_record,
    make_run,
    make_studies,
    write_results,
    write_studies,
)
from tests.bench.report.test_report import HOSTILE, Page

LATER = "2026-02-03T00:00:00+00:00"


@pytest.fixture
def root(tmp_path):
    """Two machines: one with two folders of results, one with a folder of studies, and files of somebody else's."""
    quick, gpu, studied = (tmp_path / name for name in ("two-cores/quick", "gpu/run", "two-cores/studies"))
    for folder in (quick, gpu, studied):
        folder.mkdir(parents=True)
    write_results(quick / "run.json", make_run())
    source = make_provenance(machine={"GPU": "a GPU"}, started=LATER, dataset={"items": 3})
    fast = make_record(case=make_case(device="cuda:0", dtype="bfloat16", dataset="films"), provenance=source)
    write_results(gpu / "run.json.gz", [fast])
    studies, _ = make_studies()
    write_studies(studied / "studies.json", studies)
    (tmp_path / "two-cores" / "notes.json").write_text("{}")
    return tmp_path


def test_every_folder_of_results_is_a_page_and_the_index_leads_to_all(root):
    paths = write_site(root)
    assert paths[0] == root / "index.html"
    pages = {
        name: Page((root / name / "index.html").read_text())
        for name in ("two-cores/quick", "gpu/run", "two-cores/studies")
    }
    index = Page(paths[0].read_text())
    assert {link.partition("#")[0] for link in index.links if not link.startswith("#")} == {
        f"{name}/index.html" for name in pages
    }
    assert index.anchors <= set(index.ids)
    for name, page in pages.items():
        assert page.missing(root / name) == []
        assert "../../index.html" in page.links
    assert "../../gpu/run/index.html" in pages["two-cores/quick"].links
    assert not (root / "two-cores" / "index.html").exists()


def test_titles_differ(root):
    paths = [path for path in write_site(root) if path.name == "index.html"]
    titles = [path.read_text().partition("<title>")[2].partition("</title>")[0] for path in paths]
    assert len(set(titles)) == len(titles) == 4


def test_cautions_of_all_pages_stand_in_one_place_each_once_with_the_pages_that_tell_it(root):
    index = write_site(root)[0].read_text()
    told = index.partition("What to distrust in all of them")[2]
    assert told.index("Comparisons to be careful with") < told.index("Numbers that are less certain than they look")
    cautions = re.findall(r"<li>(.*?) <span class=\"sub\">(.*?)</span></li>", told)
    assert len({text for text, _ in cautions}) == len(cautions) > 1
    few = "Fewer than"
    assert any(few in text and "two-cores/quick/index.html#distrust" in links for text, links in cautions), cautions


def test_pages_that_ask_the_same_are_told_apart(root):
    again = root / "two-cores" / "again"
    again.mkdir()
    write_results(again / "run.json", make_run())
    index = write_site(root)[0].read_text()
    headings = re.findall(r"<h3><a href=\"[^\"]*\">(.*?)</a>", index)
    assert len(set(headings)) == len(headings) == 4
    assert sum(heading.endswith(("(quick)", "(again)")) for heading in headings) == 2


def test_a_page_keeps_the_forms_that_it_had(root):
    folder = root / "gpu" / "run"
    write_folder(
        folder, {"index.html": b"old", "figures/cost.png": b"old", "results.csv": b"old"}, made_by="bench.report"
    )
    write_site(root)
    made = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"index.html", "report.md", "figures/cost.png", "results.csv", "phases.csv"} <= made
    assert not any(name.endswith((".svg", ".tex", ".parquet")) for name in made)
    assert (folder / "figures" / "cost.png").read_bytes() != b"old"


def test_the_same_results_give_the_same_site(root):
    first = {path: path.read_bytes() for path in write_site(root)}
    assert first == {path: path.read_bytes() for path in write_site(root)}


def test_the_leaderboard_has_the_newest_of_each_case_and_no_cost_of_generated_data_alone():
    old, new = make_record(ndcg=0.1), make_record(ndcg=0.2, provenance=make_provenance(started=LATER))
    random = make_record(case=make_case("p5", weights=WeightsKind.UNTRAINED), quality=None)
    found = newest([new, old, random])
    assert found == [new]
    assert len(first_rows(found)) == 1


def test_no_foreign_file_is_replaced(root):
    (root / "index.html").write_text("my own page")
    with pytest.raises(UserError, match="was not written by this command"):
        write_site(root)
    assert (root / "index.html").read_text() == "my own page"


def test_a_damaged_file_is_passed_over_and_said(root, capsys):
    (root / "gpu" / "broken.json").write_text('{"kind": "lite-llm4rec-bench", ')
    assert write_site(root)
    assert "passed over" in capsys.readouterr().err


def test_damaged_files_alone_are_named_and_nothing_is_written(tmp_path, capsys):
    (tmp_path / "gpu").mkdir()
    (tmp_path / "gpu" / "run.json.gz").write_bytes(b"\x1f\x8bno gzip")
    with pytest.raises(UserError, match="holds no results that can be read"):
        write_site(tmp_path)
    assert "run.json.gz: is no whole gzip file" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["gpu", "run.json.gz"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--site", "nowhere"], "nowhere: no such folder"),
        (["--site", "."], "holds no results that can be read"),
        (["--site", ".", "--compare"], "--compare and --site are 2 pages"),
        (["--site", ".", "--out", "x"], "give no files and no --out"),
        (["--site", ".", "--format", "csv"], "--format and --figure go with the page of a run"),
        (["--text", "--history"], "--history and --text are 2 pages"),
    ],
)
def test_wrong_use_is_one_line(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    assert said in str(CliRunner().invoke(app, words).exception)
    assert list(tmp_path.iterdir()) == []


def test_hostile_names_stay_text_in_the_index(root):
    folder = root / "gpu" / "hostile"
    folder.mkdir()
    case = make_case(HOSTILE, dataset=HOSTILE, settings={"preset": HOSTILE, "note": HOSTILE})
    write_results(folder / "run.json", [make_record(case=case, labels=[HOSTILE])])
    page = Page(write_site(root)[0].read_text())
    assert page.scripts == ["choices-data", "vega", "ours"]
    assert any(HOSTILE in text for text in page.text)
