"""Runs that comparisons are tried on: a slower one, earlier ones, other code; and a page of them."""

from pathlib import Path

from bench.records.store import Run, read
from bench.report.comparing.page import write_comparison
from tests.bench.factories import make_latency, make_provenance, make_run, write_results

LATER = "2026-02-03T04:05:06+00:00"


def slowed(factor: float, **changes):
    """The run of the factories, another time, every case taking so many times as long."""
    source = make_provenance(**{"started": LATER, "commit": "f" * 40} | changes)
    return [
        one.model_copy(
            update={
                "latency": one.latency and make_latency(factor * one.latency.p50_s, seed=1),
                "provenance": source,
            }
        )
        for one in make_run()
    ]


def earlier(record, spread=0.001, runs=8):
    """Other runs of the same code, which differ a little."""
    if record.latency is None:
        return []
    return [
        record.model_copy(
            update={
                "latency": make_latency(record.latency.p50_s * (1 + spread * (number - runs / 2)), seed=number),
                "provenance": record.provenance.model_copy(update={"started": f"2026-01-{number + 10}T00:00:00"}),
            }
        )
        for number in range(runs)
    ]


def read_of(records):
    """A run as if it were read."""
    return Run(Path("run.json"), "2026-01-02T03:05:00+00:00", tuple(records))


def of_other_code(record):
    source = record.provenance.model_copy(update={"started": LATER, "commit": "f" * 40})
    return record.model_copy(update={"provenance": source})


def page(folder, *files):
    """Render files that are written first, beside runs like the first; return the HTML, the Markdown and the CSV."""
    runs = [
        read(write_results(folder / f"{name}.json", records)) for name, records in zip("abcdef", files, strict=False)
    ]
    before = [run for record in files[0] for run in earlier(record)]
    write_comparison(runs, folder / "out", past=[read_of(before)] if before else [])
    return tuple((folder / "out" / name).read_text() for name in ("index.html", "compare.md", "compare.csv"))
