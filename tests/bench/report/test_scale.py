"""The estimates of docs/scale.md: laws taken beyond what was measured, and said to be so."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.records.cost import Index
from bench.report import scale
from bench.report.growth.laws import growths
from bench.report.growth.sweeps import sweeps
from models.errors import UserError
from tests.bench.factories import make_case, make_latency, make_provenance, make_record, write_results

ROOT = Path(__file__).parents[3]


def swept():
    """Two recommenders over four catalogues: one grows by 100 ns an item, the other does not grow."""
    records = []
    for items in (1_000, 10_000, 100_000, 1_000_000):
        for name, seconds in (("lite-llm4rec", 0.001 + 1e-7 * items), ("p5", 0.05)):
            facts = {"synthetic": True, "items": items, "users": 10}
            case = make_case(name, dataset=f"synthetic-{items}", batch_size=4)
            records.append(
                make_record(
                    case=case,
                    latency=make_latency(seconds, rounds=60),
                    index=Index(seconds=1.0, bytes=256 * items),
                    provenance=make_provenance(dataset=facts),
                )
            )
    return records


def test_a_line_is_its_law_at_the_size_that_is_asked_for():
    (growth,) = [one for one in growths(sweeps(swept())) if one.sweep.quantity == scale.CATALOGUE]
    table = scale.estimates(growth, items=1e8, rate=1e5).set_index("line")
    grows = next(name for name in table.index if "Lite-LLM4Rec" in name)
    row = table.loc[grows]
    assert row["beyond what was measured"] == "100 times"
    assert row["index"] == f"{256e8 / 2**30:,.3g} GiB"
    processes = int(row["processes for 100,000 users/s"].replace(",", ""))
    assert processes == pytest.approx(1e5 * (0.001 + 1e-7 * 1e8) / 4, rel=0.1)


def test_the_committed_page_is_fresh():
    result = CliRunner().invoke(scale.app, ["--check", "--folder", str(ROOT)])
    assert result.exit_code == 0, result.output


def test_a_page_is_written_between_its_markers_alone(tmp_path):
    place = tmp_path / "reports" / "mine" / "scaling"
    place.mkdir(parents=True)
    write_results(place / "run.json", swept())
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "scale.md"
    page.write_text(f"before\n{scale.START}\nold\n{scale.END}\nafter\n")
    stale = CliRunner().invoke(scale.app, ["--check", "--folder", str(tmp_path)])
    assert stale.exit_code == 1
    assert CliRunner().invoke(scale.app, ["--folder", str(tmp_path)]).exit_code == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "Lite-LLM4Rec" in text


def test_what_is_missing_is_said(tmp_path):
    result = CliRunner().invoke(scale.app, ["--folder", str(tmp_path)])
    assert "name the folder that holds it with --folder" in str(result.exception)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "scale.md").write_text("no markers")
    result = CliRunner().invoke(scale.app, ["--folder", str(tmp_path)])
    assert "needs one line" in str(result.exception)
    with pytest.raises(UserError, match="measure suite scaling first"):
        scale.content(tmp_path)
