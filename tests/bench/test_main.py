"""The overview of what there is to measure."""

from typer.testing import CliRunner


def test_the_overview_lists_all_that_can_be_named():
    from bench.__main__ import app

    listed_names = CliRunner().invoke(app, ["--names"]).stdout.split()
    assert {"sasrec", "lite-llm4rec", "synthetic", "ml-1m", "quick", "t5-small"} <= set(listed_names)
    told = CliRunner().invoke(app, []).stdout
    assert "quality and cost of one pass and of beams at published sizes" in " ".join(told.split())
    assert all(name in told for name in [*listed_names, "pytest bench/ --benchmark-only"])
