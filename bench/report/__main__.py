"""``python -m bench.report [FILES...]``: tables, figures and a page from results files and files of studies.

``--compare A.json B.json ...`` holds results files against the first of them; ``--history`` follows the latency of each
case through all stored runs; ``--site FOLDER`` renders all results below a folder, and an index over them.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from bench.report.run.known import known_of
from bench.report.run.money import read_prices
from bench.report.run.page import write_known
from bench.report.run.text import print_opening, print_rows
from bench.report.site.page import write_site
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
    site: Annotated[
        Path | None, typer.Option(help="Render every folder of results below this one, and an index over them.")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Print the rows that matter, and write nothing.")] = False,
    margin: Annotated[
        float | None,
        number(Percent, "Percent by which runs may differ and still be the same; default: 5."),
    ] = None,
) -> None:
    """Render the page, Markdown, tables and figures; each `index.html` stands alone."""
    within = MARGIN if margin is None else margin / 100
    kind = _page(compare=compare, history=history, site=site, text=text)
    if margin is not None and kind not in ("--compare", "--history"):
        raise UserError("--margin goes with --compare or --history")
    if (kinds or figures) and kind:
        raise UserError(f"--format and --figure go with the page of a run, not with {kind}")
    if prices and kind in ("--compare", "--history"):
        raise UserError(f"--prices goes with the page of a run, with --site or --text, not with {kind}")
    if text:
        runs, studies = store.read_all(results or [store.latest()])
        print_rows([record for run in runs for record in run.records], studies, read_prices(prices))
        return
    if site is not None:
        if results or out:
            raise UserError(f"--site {site} reads and writes below that folder: give no files and no --out")
        _say(write_site(site, read_prices(prices)))
        return
    folder = out or Path("reports/compare" if compare else "reports/history" if history else "reports/latest")
    wanted = tuple(kinds or Format)
    check_out_folder(folder, page_names(kind[2:]) if kind else names(wanted))
    if compare:
        paths = write_comparison([store.read(path) for path in results or []], folder, margin=within, past=store.past())
    elif history:
        paths = write_history(store.stored(results or []), folder, margin=within)
    else:
        taken, studies = store.read_all(results or [store.latest()])
        page = known_of(taken, studies, read_prices(prices), folder)
        paths = write_known(page, wanted=wanted, only=figures or ())
        print_opening(page.opening, page.rows, page.prices)
    _say(paths)


def _page(*, compare: bool, history: bool, site: Path | None, text: bool) -> str:
    """Return the option that asks for another page than that of a run; empty where none does."""
    given = {"--compare": compare, "--history": history, "--site": site is not None, "--text": text}
    chosen = [name for name, wanted in given.items() if wanted]
    if len(chosen) > 1:
        raise UserError(f"{' and '.join(chosen)} are {len(chosen)} pages: give one of them")
    return "".join(chosen)


def _say(paths: Sequence[Path]) -> None:
    for path in paths:
        typer.echo(path)


if __name__ == "__main__":
    ending.run(app)
