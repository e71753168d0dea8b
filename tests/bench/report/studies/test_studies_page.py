"""Pages of studies: golden texts, studies alone, and every shape of them."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.ground.outputs import MANIFEST
from bench.records import store
from bench.records.studies import Ablation, Studies
from bench.report.__main__ import app
from bench.report.run.page import write_report
from tests.bench.factories import (
    make_beam_study,
    make_evaluation,
    make_failure,
    make_leak_probe,
    make_provenance,
    make_run,
    make_studies,
    make_timed,
    write_results,
    write_studies,
)
from tests.bench.report.test_report import GOLDEN, HOSTILE, RENEW, SCRIPTS, Page

SECTIONS = {"quality": "Quality beside cost", "seeds": "Seeds", "beams": "Beam search against all items"}
SECTIONS |= {"leaks": "Leaks", "ablations": "Ablations"}


def render(folder: Path, studies: Studies, records=()) -> Path:
    files = [write_studies(folder / "studies.json", studies)]
    files += [write_results(folder / "run.json", list(records))] if records else []
    runs, studied = store.read_all(files)
    write_report(runs, folder / "report", studied)
    return folder / "report"


@pytest.mark.parametrize(("name", "timed"), [("studies.md", True), ("studies-alone.md", False)])
def test_the_text_is_what_it_was(tmp_path, name, timed):
    """Golden files; after a wanted change, run once with RENEW_GOLDEN=1 and read the difference."""
    studies, records = make_studies()
    made = (render(tmp_path, studies, records if timed else ()) / "report.md").read_text()
    if os.environ.get(RENEW):
        (GOLDEN / name).write_text(made)
    assert made == (GOLDEN / name).read_text()


def test_the_page_has_all_sections_and_stands_alone(tmp_path):
    studies, records = make_studies()
    out = render(tmp_path, studies, records)
    page = Page((out / "index.html").read_text())
    assert page.loaded == []
    assert page.missing(out) == []
    assert page.anchors <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    for anchor, title in SECTIONS.items():
        assert anchor in page.ids
        assert page.text.count(title) == 1
    drawn = {path.stem for path in (out / "figures").iterdir()}
    assert {"beams", "ablations", "quality_latency"} <= drawn
    assert page.tags.count("svg") == len(drawn)


def test_studies_alone_make_a_page_of_quality(tmp_path):
    studies, _ = make_studies()
    out = render(tmp_path, studies)
    page = Page((out / "index.html").read_text())
    assert page.anchors <= set(page.ids)
    assert {"results", "claim", "latency", "failed"} & set(page.ids) == set()
    assert {path.name for path in out.iterdir()} == {"index.html", "report.md", "figures", "tables", MANIFEST}
    assert {path.name for path in (out / "figures").iterdir()} == {"beams.svg", "beams.png", "beams.csv"}
    assert any("SASRec has the best NDCG@10" in text for text in page.text)


def test_a_page_of_studies_leaves_nothing_of_an_earlier_run(tmp_path):
    studies, records = make_studies()
    render(tmp_path, studies, records)
    (tmp_path / "run.json").unlink()
    out = render(tmp_path, Studies(evaluations=studies.evaluations))
    assert {path.name for path in out.rglob("*") if path.is_file()} - {MANIFEST, "references.bib"} == {
        "index.html", "report.md", "quality-films.tex", "quality-books.tex", "seeds.tex", "training.tex",
        "leaks-what-the-leak-is-worth-to-a-recommender.tex",
    }  # fmt: skip


@pytest.mark.drawn
def test_equal_studies_give_equal_bytes(tmp_path):
    outs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        outs.append(render(tmp_path / name, *make_studies()))
    files = sorted(path.relative_to(outs[0]) for path in outs[0].rglob("*") if path.is_file())
    assert Path("figures/ablations.svg") in files
    for name in files:
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes(), name


def test_quality_of_all_users_is_shown_and_said(tmp_path):
    sasrec = make_evaluation("sasrec")
    text = (render(tmp_path, Studies(evaluations=[sasrec]), [make_timed(sasrec)]) / "report.md").read_text()
    assert "Quality of 1 of these cases is of more users" in text
    assert f"| {sasrec.quality.metrics['NDCG@10'].value:.4f} [" in text
    assert "| 0.2000 [" not in text


@pytest.mark.parametrize(
    ("studies", "title"),
    [
        (Studies(evaluations=[make_evaluation()]), "quality"),
        (Studies(beams=[make_beam_study()]), "beams"),
        (Studies(leaks=[make_leak_probe("random", 0.0)]), "leaks"),
        (Studies(ablations=[Ablation(title="x", dataset="d", base="a", others=[])]), "ablations"),
    ],
    ids=["evaluations", "beams", "leaks", "ablations"],
)
@pytest.mark.parametrize("timed", [True, False], ids=["timed", "alone"])
def test_one_kind_of_study_makes_its_section_alone(tmp_path, studies, title, timed):
    out = render(tmp_path, studies, make_run() if timed else ())
    page = Page((out / "index.html").read_text())
    assert set(page.ids) & set(SECTIONS) == {title}
    assert ("results" in page.ids) is timed
    assert SECTIONS[title] in (out / "report.md").read_text()


def test_a_study_without_beams_is_no_section(tmp_path):
    out = render(tmp_path, Studies(evaluations=[make_evaluation()], beams=[make_beam_study(beams=[])]))
    assert "Beam search against" not in (out / "report.md").read_text()


def test_failures_beside_studies_leave_the_answer_to_the_studies(tmp_path):
    failed = make_failure("p5", "timed out", "took longer than 5 s")
    text = (render(tmp_path, Studies(evaluations=[make_evaluation("sasrec")]), [failed]) / "report.md").read_text()
    assert "No case could be measured" in text
    assert "SASRec has the best NDCG@10" in text


def test_published_numbers_stand_beside_ours(tmp_path):
    ours = make_evaluation("sasrec", case={"dataset": "ml-1m"})
    out = render(tmp_path, Studies(evaluations=[ours]))
    text = (out / "report.md").read_text()
    assert "## Published numbers beside ours" in text
    assert "OpenP5" in text
    assert (
        "Published numbers"
        not in (render(tmp_path, Studies(evaluations=[make_evaluation()])) / "report.md").read_text()
    )


@pytest.mark.drawn
def test_hostile_names_stay_text(tmp_path):
    base = make_evaluation(settings={"note": HOSTILE}, case={"dataset": HOSTILE}, labels=[HOSTILE])
    other = make_evaluation(skill=0.3, settings={"note": f"{HOSTILE}2"}, case={"dataset": HOSTILE})
    names = {"base": base.case.variant, "others": [other.case.variant, HOSTILE]}
    studies = Studies(
        evaluations=[base, other],
        beams=[make_beam_study(HOSTILE, case={"dataset": HOSTILE}, labels=[HOSTILE])],
        leaks=[make_leak_probe(HOSTILE, 0.1, dataset=HOSTILE, labels=[HOSTILE])],
        ablations=[Ablation(title=HOSTILE, dataset=base.case.dataset_variant, **names)],
    )
    out = render(tmp_path, studies, [make_timed(base), make_timed(other, 0.001)])
    page = Page((out / "index.html").read_text())
    assert page.scripts == SCRIPTS
    assert "<script" not in (out / "report.md").read_text()
    assert any(HOSTILE in text for text in page.text)
    assert (out / "figures" / "ablations.svg").exists()


def test_what_weakens_studies_is_listed(tmp_path):
    source = make_provenance(dirty=True, dataset={"synthetic": True})
    evaluation = make_evaluation("p5", labels=["leaky"], provenance=source)
    text = (render(tmp_path, Studies(evaluations=[evaluation], beams=[make_beam_study()])) / "report.md").read_text()
    for doubt in ("Synthetic data", "changed after its last commit", "P5: leaky.", "on 1,000 of 6,040 users"):
        assert doubt in text


def test_the_command_takes_both_kinds_of_files(tmp_path):
    studies, records = make_studies()
    files = [write_studies(tmp_path / "studies.json", studies), write_results(tmp_path / "run.json", records)]
    result = CliRunner().invoke(app, [*map(str, files), "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "ablations.svg" in result.output
    assert (tmp_path / "out" / "results.csv").exists()
