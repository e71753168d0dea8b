"""``python -m bench.report.readme [--check]``: the results in README.md, from the reports that are committed.

Reads ``reports/MACHINE/paper/``: ``run.json.gz``, ``studies.json.gz`` where there is one, and links the page and the
figure that `bench.report` made of them. What stands between the two markers is replaced, nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import pandas as pd
import typer

from bench.cli import ending
from bench.ground.home import atomic
from bench.ground.textfiles import either
from bench.records import store
from bench.records.quality import Quality
from bench.records.record import Record
from bench.records.studies import Studies
from bench.report.drawing.rendering import md_text
from bench.report.reading.distrust import distrust
from bench.report.reading.facets import in_common
from bench.report.reading.findings import times
from bench.report.reading.joining import with_whole_quality
from bench.report.reading.labels import (
    NOT_AVAILABLE,
    case_labels,
    group_name,
    machine_name,
    metric_of,
    milliseconds,
    one_pass_ways,
)
from bench.report.reading.ladder import strongest
from bench.report.reading.naming import base_of, dataset_name, whole_dataset, with_names
from bench.report.reading.ratios import latency_of, measured, metric, ratio_of
from bench.report.reading.trained import how_trained, not_compared
from bench.report.run.first_rows import first_rows
from bench.report.run.opening import opening
from bench.statistics.latency import Ratio
from bench.statistics.quality import quality_difference
from models.errors import UserError

COMMAND = "python -m bench.report.readme"
START = f"<!-- results: made by {COMMAND} -->"
END = "<!-- /results -->"

OF_PAPERS = "papers' decoder"
RUN, STUDIES, PAGE, FIGURE = "run.json.gz", "studies.json.gz", "report.md", "figures/quality_latency.png"
BEST = "NDCG@10"
MOST_ROWS = 5
"""Rows of the table; the page has them all."""

NOTE = (
    "p50: median time of a request; of beam searches under the fastest decoder that keeps their beams, which is named, "
    "and beside it under the papers' own. Brackets: 95 % intervals. Of a recommender's variants: its own settings, and "
    "the best."
)

app = typer.Typer(add_completion=False, help=__doc__)


@dataclass(frozen=True)
class TableRow:
    """One recommender on one dataset, under all decoders that keep the same beams, and all rankers that lose little.

    Attributes:
        name: What tells it apart from the others of its dataset, with its cautions.
        records: Timed, one a batch size and way of serving.

    """

    name: str
    records: tuple[Record, ...]

    @property
    def quality(self) -> Quality | None:
        """The quality over the most users; None where NDCG@10 is not known."""
        ranked = [record for record in self.records if metric(record, BEST) is not None]
        qualities = [record.quality for record in ranked if isinstance(record.quality, Quality)]
        return max(qualities, key=lambda quality: quality.users, default=None)

    def told(self, name: str = BEST) -> str:
        """Write a metric with its interval."""
        return metric_of(self.quality.metrics, name) if self.quality else NOT_AVAILABLE

    def fastest(self, batch: int, *, of_papers: bool = False) -> Record | None:
        """Return the fastest case at a batch size, under the papers' decoder or any; None where there is none."""
        sized = [record for record in self.records if record.case.batch_size == batch]
        allowed = [record for record in sized if record.case.is_reference or not of_papers]
        return min(allowed, key=lambda record: latency_of(record).p50_s, default=None)


@app.command()
def main(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 if README.md is stale.")] = False,
    folder: Annotated[Path, typer.Option(help="Where README.md and reports/ are.")] = Path(),
) -> None:
    """Write the results between the markers of README.md."""
    readme = folder / "README.md"
    try:
        text = readme.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{readme} cannot be read ({error}): name the folder that holds it with --folder") from error
    fresh = with_block(text, results(folder), readme)
    if check and fresh != text:
        typer.echo(f"README.md is stale: run {COMMAND}", err=True)
        raise typer.Exit(1)
    if fresh != text:
        with atomic(readme) as path:
            path.write_text(fresh, encoding="utf-8")
        typer.echo(readme)


def with_block(text: str, content: str, readme: Path) -> str:
    """Return the text of a README with what stands between its markers replaced.

    Raises:
        UserError: The markers are not there, once each and in order.

    """
    start, end = text.find(START), text.find(END)
    if not 0 <= start < end or text.count(START) > 1 or text.count(END) > 1:
        raise UserError(f"{readme} needs one line {START} and below it one line {END}: put them where results belong")
    return f"{text[: start + len(START)]}\n\n{content}\n\n{text[end:]}"


def results(folder: Path) -> str:
    """Render what is committed of each machine, by name of its folder, as Markdown.

    Args:
        folder: Holds ``reports/``; links are relative to it.

    Raises:
        UserError: There is nothing, a file is missing or damaged, or no case of seed 0 was measured.

    """
    papers = sorted((folder / "reports").glob("*/paper"))
    if not papers:
        raise UserError(f"no folder {folder}/reports/MACHINE/paper: put {RUN} there and render it with bench.report")
    return "\n\n".join(_machine(paper, quote(paper.relative_to(folder).as_posix())) for paper in papers)


def _machine(paper: Path, link: str) -> str:
    """Render one machine's figure, sentences, table and links."""
    records, name = _records(paper), paper.parent.name
    datasets = _by_dataset(records)
    machines = ", ".join(dict.fromkeys(map(machine_name, records)))
    common = in_common(list(dict.fromkeys(map(whole_dataset, records))))
    loaded = f"; data{common}" if common else ""
    sentences = [f"- {md_text(_sentence(dataset, rows))}" for dataset, rows in datasets.items()]
    first, rows = next(iter(datasets.items()))
    begun = opening(records, first_rows(records), Studies(), {}, (), distrust(records))
    told = [sentence for sentence in (begun.serve, begun.others, begun.trust) if sentence]
    parts = [
        f"### {md_text(f'{name}: {machines}{loaded}')}",
        "\n".join(f"1. {md_text(sentence)}" for sentence in told),
        f"![{md_text(f'{BEST} against latency on ' + ', '.join(datasets) + f'; {name}')}]({link}/{FIGURE})",
        f"On {md_text(first)}:",
        _markdown(_table({first: _shown(rows)[:MOST_ROWS]})),
        "\n".join(["<details><summary>Dataset by dataset</summary>", "", *sentences, "", "</details>"]),
        f"{NOTE} Everything is on [the page]({link}/{PAGE}).",
    ]
    return "\n\n".join(parts)


def _records(paper: Path) -> list[Record]:
    """Read the measured cases of seed 0, with the quality over all users where that was evaluated."""
    for name in (RUN, PAGE, FIGURE):
        if not either(paper / name).is_file():
            raise UserError(f"{paper / name} is missing: put {RUN} there and render it with bench.report")
    records = [record for record in measured(store.read(either(paper / RUN)).records) if not _seed(record)]
    if not records:
        raise UserError(f"{paper / RUN} holds no measured case of seed 0: measure again")
    studies = either(paper / STUDIES)
    evaluations = store.read_studies(studies).studies.evaluations if studies.exists() else []
    return with_names(with_whole_quality(records, evaluations))


def _seed(record: Record) -> int:
    settings = record.case.settings if record.weights is None else record.weights.settings
    return int(settings.get("seed") or 0)


def _by_dataset(records: Sequence[Record]) -> dict[str, list[TableRow]]:
    """Return the rows of each dataset, and machine where there are several, the best first, without quality last."""
    several = len(set(map(machine_name, records))) > 1
    alike: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        key = _without_rung(record).case.model_dump_json(exclude={"batch_size"})
        key += f"{record.weights and record.weights.sha256} {machine_name(record)}"
        name = f"{dataset_name(record)}, {machine_name(record)}" if several else dataset_name(record)
        alike.setdefault(name, {}).setdefault(key, []).append(record)
    return {dataset: _rows(list(cases.values())) for dataset, cases in alike.items()}


def _rows(alike: Sequence[list[Record]]) -> list[TableRow]:
    names = case_labels([_without_rung(group[0]) for group in alike], ("dataset", "batch"))
    rows = [
        TableRow("; ".join([name, *group[0].labels]), tuple(group)) for name, group in zip(names, alike, strict=True)
    ]
    return sorted(rows, key=lambda row: -(row.quality.metrics[BEST].value if row.quality else 0.0))


def _shown(rows: Sequence[TableRow]) -> list[TableRow]:
    """Return of each recommender the row whose settings are nearest to its own, and the best one without cautions."""
    shown: set[int] = set()
    for name in {row.records[0].case.recommender for row in rows}:
        variants = [row for row in rows if row.records[0].case.recommender == name]
        shown.add(id(min(variants, key=lambda row: len(row.records[0].case.settings))))
        shown.add(id(next((row for row in variants if not row.records[0].labels), variants[0])))
    return [row for row in rows if id(row) in shown]


def _without_rung(record: Record) -> Record:
    """Return a record whose case does not say how it was served, among ways that keep the beams or lose little."""
    rung: dict[str, Any] = {"decoder": None, "search": None} if record.case.keeps_the_beams else {}
    if record.case.decoder is None and record.loses_little:
        rung = {"ranker": None, "ranking": None, "compiled": False}
    return record.model_copy(update={"case": record.case.model_copy(update=rung)})


def _sentence(dataset: str, rows: Sequence[TableRow]) -> str:
    """Say what is best, whether beam search is unnecessary, and what it costs at its strongest."""
    sound = [row for row in rows if row.quality and not row.records[0].labels]
    if not sound:
        return f"On {dataset}, cost alone was measured."
    best = f"On {dataset}, the best {BEST} of what was timed is {sound[0].told()}, by {sound[0].name}"
    batch = min(record.case.batch_size for row in rows for record in row.records)
    claimants = [row for row in sound if row.records[0].claims]
    for ours in sorted(claimants, key=lambda row: len(row.records[0].case.settings)):  # the paper's own before others
        fast = ours.fastest(batch)
        beams = None if fast is None else _strongest(fast, sound)
        if fast is not None and beams is not None:
            return f"{best}; {_verdict(ours, beams[0])}: {_against(ours, fast, *beams)}."
    return f"{best}; no claimant and beam search were timed side by side."


def _strongest(fast: Record, rows: Sequence[TableRow]) -> tuple[TableRow, Record] | None:
    """Return the beam search timed beside a case that it has to beat, by the rule of all pages, and its row."""
    timed = [(row, record) for row in rows for record in row.records if _setting(record) == _setting(fast)]
    rival = strongest(fast, [record for _, record in timed])
    return next(((row, record) for row, record in timed if record is rival), None)


def _setting(record: Record) -> tuple[str, int, int, str]:
    return group_name(record), record.case.batch_size, record.case.threads, machine_name(record)


def _verdict(ours: TableRow, beams: TableRow) -> str:
    """Judge by the difference of NDCG@10 user by user, or where users cannot be compared by the two intervals."""
    assert ours.quality is not None
    assert beams.quality is not None
    if why := not_compared(ours.records[0], beams.records[0]):
        return f"whether beam search gains anything is not told, for {why}"
    paired = quality_difference(ours.quality, beams.quality)
    own, other = ours.quality.metrics[BEST], beams.quality.metrics[BEST]
    low, high = (own.low - other.high, own.high - other.low) if paired is None else (paired.low, paired.high)
    if low > 0:
        return f"{base_of(ours.records[0])} ranks above the best beam search that was trained here"
    return "beam search ranks better" if high < 0 else "beam search gains nothing that shows"


def _against(ours: TableRow, fast: Record, beams: TableRow, slow: Record) -> str:
    """Hold the two against each other: quality, then time at the batch size of both."""
    batch, strongest = fast.case.batch_size, f"{beams.name} under {slow.case.decoder}"
    users = "1 user" if batch == 1 else f"{batch} users"
    served = f" under {_way(fast)}" if _way(fast) else ""
    speed = _speed(ratio_of(slow, fast))
    if not_compared(ours.records[0], beams.records[0]):
        text = f"a request of {users} to {ours.name}{served} is answered {speed} as one to"
        text += f" the strongest beam search, {strongest}"
    else:
        text = f"{ours.name} reaches {ours.told()} and the strongest beam search, {strongest}, {beams.told()}"
        text += f", while a request of {users} is answered {speed} without it{served}"
    reference = beams.fastest(batch, of_papers=True)
    if reference is None or reference is slow:
        return text
    slower = f"{_speed(ratio_of(reference, fast))} where it runs under {reference.case.decoder}, the papers' decoder"
    return f"{text} ({slower})"


def _speed(ratio: Ratio) -> str:
    longer = Ratio(1 / ratio.value, 1 / ratio.high, 1 / ratio.low)
    return f"{times(ratio)} as fast" if ratio.value >= 1 else f"{times(longer)} as slowly"


def _table(datasets: dict[str, list[TableRow]]) -> pd.DataFrame:
    """Return one row a recommender and dataset; what was not timed is n/a."""
    sizes = {record.case.batch_size for rows in datasets.values() for row in rows for record in row.records}
    batches = sorted({min(sizes), max(sizes)})
    frame = pd.DataFrame([_cells(row, batches) for rows in datasets.values() for row in rows])
    empty = [f"{OF_PAPERS}, batch {batches[0]}"]
    return frame.drop(columns=[name for name in empty if (frame[name] == NOT_AVAILABLE).all()])


def _cells(row: TableRow, batches: Sequence[int]) -> dict[str, str]:
    smallest = min(row.records, key=lambda record: (record.case.batch_size, latency_of(record).p50_s))
    least = batches[0]
    return {
        "recommender": row.name,
        BEST: row.told(),
        **{f"p50, batch {batch}": _time(row.fastest(batch)) for batch in batches},
        f"{OF_PAPERS}, batch {least}": _time(row.fastest(least, of_papers=True), told=False),
        "trained to the end": how_trained(smallest),
    }


def _time(record: Record | None, *, told: bool = True) -> str:
    if record is None:
        return NOT_AVAILABLE
    way = f" ({_way(record)})" if told and _way(record) else ""
    return f"{milliseconds(latency_of(record).p50_s)}{way}"


def _way(record: Record) -> str:
    """Name the decoder, or how one pass was served; empty for the usual way."""
    return record.case.decoder or ", ".join(one_pass_ways(record.case))


def _markdown(frame: pd.DataFrame) -> str:
    lines = [list(frame.columns), *frame.itertuples(index=False)]
    head, *rows = ("| " + " | ".join(md_text(str(value)) for value in line) + " |" for line in lines)
    return "\n".join([head, "| " + " | ".join(["---"] * len(frame.columns)) + " |", *rows])


if __name__ == "__main__":
    ending.run(app)
