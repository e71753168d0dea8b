"""``python -m bench.report [FILES...]``: tables, figures and a page from results files and files of studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench import commands
from bench.report.formats import Format
from bench.report.money import read_prices
from bench.report.page import write_report
from bench.results import store

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    results: Annotated[
        list[Path] | None, typer.Argument(help="Results and files of studies; default: the latest run.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("reports/latest"),
    kinds: Annotated[
        list[Format] | None, typer.Option("--format", help="Kind of file; may be repeated. Default: all.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="What an hour of a device costs, like bench/report/prices.toml.")
    ] = None,
) -> None:
    """Render the page, Markdown, tables and figures; `index.html` stands alone."""
    runs, studies = store.read_all(results or [store.latest()])
    for path in write_report(runs, out, studies, wanted=kinds or tuple(Format), prices=read_prices(prices)):
        typer.echo(path)


if __name__ == "__main__":
    commands.run(app)
