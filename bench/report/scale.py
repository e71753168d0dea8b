"""``python -m bench.report.scale [--check]``: what large catalogues would cost, from the laws of the committed sweeps.

Reads ``reports/MACHINE/scaling/run.json.gz`` and writes the table between the two markers of docs/scale.md, nothing
else. Each figure is a law beyond what it was fitted to, and says how far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from bench.cli import ending
from bench.ground.home import atomic
from bench.ground.textfiles import either
from bench.records import store
from bench.records.cost import Memory
from bench.records.record import Record
from bench.report.growth.laws import FittedLine, Growth, between, duration, growths, law_text
from bench.report.growth.sweeps import sweeps
from bench.report.reading.labels import NOT_AVAILABLE, significant
from models.errors import UserError

COMMAND = "python -m bench.report.scale"
START = f"<!-- estimates: made by {COMMAND} -->"
END = "<!-- /estimates -->"
RUN = "run.json.gz"

CATALOGUE = "catalogue, items"
ITEMS = 1e8
USERS_A_SECOND = 1e5

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if docs/scale.md is stale.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where docs/ and reports/ are.")] = Path(),
) -> None:
    """Write the estimates between the markers of docs/scale.md."""
    page = folder / "docs" / "scale.md"
    try:
        text = page.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{page} cannot be read ({error}): name the folder that holds it with --folder") from error
    start, end = text.find(START), text.find(END)
    if not 0 <= start < end or text.count(START) > 1 or text.count(END) > 1:
        raise UserError(f"{page} needs one line {START} and below it one line {END}: put them where estimates belong")
    fresh = f"{text[: start + len(START)]}\n\n{content(folder)}\n\n{text[end:]}"
    if check and fresh != text:
        typer.echo(f"{page} is stale: run {COMMAND}", err=True)
        raise typer.Exit(1)
    if fresh != text:
        with atomic(page) as path:
            path.write_text(fresh, encoding="utf-8")
        typer.echo(page)


def content(folder: Path) -> str:
    """Render the estimates of each machine whose scaling is committed, as Markdown.

    Args:
        folder: Holds ``reports/``.

    Raises:
        UserError: There is none, or it holds no sweep over catalogues.

    """
    parts = []
    for place in sorted((folder / "reports").glob("*/scaling")):
        records = store.read(either(place / RUN)).records
        for growth in growths(sweeps(records)):
            if growth.sweep.quantity == CATALOGUE:
                parts.append(f"{place.parent.name}: {growth.sweep.setting}")
                parts.append(estimates(growth).to_markdown(index=False))
    if not parts:
        raise UserError(f"no sweep over catalogues below {folder}/reports/MACHINE/scaling: measure suite scaling first")
    return "\n\n".join(parts)


def estimates(growth: Growth, *, items: float = ITEMS, rate: float = USERS_A_SECOND) -> pd.DataFrame:
    """Return what each line of a sweep over catalogues would take, one row a line.

    Args:
        growth: The sweep with its laws.
        items: Size of the catalogue.
        rate: Users a second.

    """
    return pd.DataFrame([_row(line, growth.sweep.lines.get(line.name, []), items, rate) for line in growth.lines])


def _row(line: FittedLine, points: Sequence[tuple[float, Record]], items: float, rate: float) -> dict[str, str]:
    where = np.array([items])
    seconds = float(line.law.at(where)[0, 0])
    low, high = between(seconds, line.laws.at(where)[:, 0])
    batch = points[-1][1].case.batch_size if points else 1
    size = _bytes_an_item(points[-1][1]) if points else None
    return {
        "line": line.name,
        "law of the median": law_text(line.law),
        "beyond what was measured": f"{significant(items / float(line.x[-1]), 2)} times",
        f"a request, {items:,.0f} items": f"{duration(seconds)} [{duration(low)}, {duration(high)}]",
        f"processes for {rate:,.0f} users/s": f"{math.ceil(rate * seconds / batch):,}",
        "index": NOT_AVAILABLE if size is None else f"{size * items / 2**30:,.3g} GiB",
    }


def _bytes_an_item(record: Record) -> float | None:
    """Return what an item takes in the index of the largest catalogue; None where that is not known."""
    items = record.provenance.dataset.get("items")
    if record.index is None or not isinstance(items, int) or not isinstance(record.memory, Memory):
        return None
    return record.index.bytes / items


if __name__ == "__main__":
    ending.run(app)
