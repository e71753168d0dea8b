"""``python -m bench.report [FILES...]``: tables, figures and a page from results files and files of studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import commands
from bench.report.page import write_report
from bench.results import store

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    results: Annotated[
        list[Path] | None, typer.Argument(help="Results and files of studies; default: the latest run.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("reports/latest"),
) -> None:
    """Render index.html, report.md, results.csv and the figures as SVG and PNG."""
    runs, studies = store.read_all(results or [store.latest()])
    for path in write_report(runs, out, studies):
        typer.echo(path)


if __name__ == "__main__":
    commands.run(app)
