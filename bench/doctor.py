"""``python -m bench.doctor``: is this machine fit to measure on, and what should be changed?"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.cli import ending
from bench.cli.options import choose_device
from bench.measure.fitness import Finding, FitnessLevel, examine

app = typer.Typer(add_completion=False, help=__doc__)

VERDICTS = {
    FitnessLevel.FIT: "This machine is fit to measure on.",
    FitnessLevel.CAUTION: "This machine can measure ratios of cases that are timed in turns; mind the cautions.",
    FitnessLevel.FAULT: "This machine is not fit to measure on now: put the faults right first.",
}


@app.command()
def main(
    device: Annotated[
        str | None, typer.Option(help="Where you want to measure; default: a GPU if there is one.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long equal pieces of work are timed.")] = 2.0,
) -> None:
    """Say what disturbs timings on this machine and what cannot be measured here; exit status 1 for a fault."""
    findings = examine(choose_device(device), seconds=seconds)
    worst = worst_of(findings)
    console = Console()
    console.print(_table(findings))
    console.print()
    console.print(VERDICTS[worst], soft_wrap=True)
    raise typer.Exit(1 if worst is FitnessLevel.FAULT else 0)


def worst_of(findings: list[Finding]) -> FitnessLevel:
    """Return the gravest level that was found."""
    levels = list(FitnessLevel)
    return levels[max((levels.index(finding.level) for finding in findings), default=0)]


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("", "about", "what was found", "what to change"):
        table.add_column(name, overflow="fold")
    for finding in sorted(findings, key=lambda finding: -list(FitnessLevel).index(finding.level)):
        table.add_row(finding.level.value, finding.about, finding.said, finding.remedy)
    return table


if __name__ == "__main__":
    ending.run(app)
