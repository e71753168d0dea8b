"""``python -m bench.report [FILES...]``: tables, figures and a page from results files and files of studies.

``--compare A.json B.json ...`` holds results files against the first of them; ``--history`` follows the latency of each
case through all stored runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import ending
from bench.ground.bounds import Percent, number
from bench.ground.outputs import check_out_folder
from bench.records import store
from bench.report.comparing.comparison import MARGIN
from bench.report.comparing.page import write_comparison
from bench.report.drawing.writing import page_names
from bench.report.history.page import write_history
from bench.report.run.formats import Format, names
from bench.report.run.money import read_prices
from bench.report.run.page import write_report
from models.errors import UserError

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Results and files of studies; default: the latest run. With --compare results files, the base first; "
            "with --history results files or folders of them, default: all stored runs."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; default: reports/latest, reports/compare, reports/history.")
    ] = None,
    kinds: Annotated[
        list[Format] | None, typer.Option("--format", help="Kind of file; may be repeated. Default: all.")
    ] = None,
    figures: Annotated[
        list[str] | None,
        typer.Option("--figure", help="Figure that is written as files of its own; may be repeated. Default: all."),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="What an hour of a device costs, like bench/report/run/prices.toml.")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Hold results files against the first one.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Follow each case through all stored runs.")] = False,
    margin: Annotated[
        float | None,
        number(Percent, "Percent by which runs may differ and still be the same; default: 5."),
    ] = None,
) -> None:
    """Render the page, Markdown, tables and figures; each `index.html` stands alone."""
    within = MARGIN if margin is None else margin / 100
    if compare and history:
        raise UserError("--compare and --history are two pages: give one of them")
    if margin is not None and not (compare or history):
        raise UserError("--margin goes with --compare or --history")
    if (kinds or figures or prices) and (compare or history):
        raise UserError("--format, --figure and --prices go with the page of a run, not with --compare or --history")
    folder = out or Path("reports/compare" if compare else "reports/history" if history else "reports/latest")
    wanted = tuple(kinds or Format)
    check_out_folder(folder, page_names("compare" if compare else "history") if compare or history else names(wanted))
    if compare:
        paths = write_comparison([store.read(path) for path in results or []], folder, margin=within, past=store.past())
    elif history:
        paths = write_history(store.stored(results or []), folder, margin=within)
    else:
        taken, studies = store.read_all(results or [store.latest()])
        paths = write_report(taken, folder, studies, wanted=wanted, only=figures or (), prices=read_prices(prices))
    for path in paths:
        typer.echo(path)


if __name__ == "__main__":
    ending.run(app)
