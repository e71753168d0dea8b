"""``python -m bench.load RECOMMENDER...``: how many users a second each answers within a limit on latency."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer

from bench.cli import ending
from bench.cli.loading import Loading, with_loading
from bench.cli.offering import LOADGEN_TOLD, OPTIONS, REFRESH_TOLD, offered_of, words_of
from bench.cli.options import DeviceName, PresetName, SettingWords
from bench.ground.bounds import BatchSize, BeamWidth, Minutes, Users, number
from bench.scenarios.scenarios import SCENARIOS
from bench.suites import definitions
from models import registry
from models.errors import UserError

app = typer.Typer(add_completion=False, help=__doc__)

TOLD = {option.key: option.told for option in OPTIONS}

QUIETLY = ["-q", "--no-header", "--no-summary", "-p", "no:cacheprovider", "--benchmark-columns=rounds"]

Words = list[str]


@app.command()
@with_loading
def main(
    *,
    recommenders: Annotated[
        Words | None, typer.Argument(help="Registry names or checkpoint folders; default: those of the suite load.")
    ] = None,
    dataset: Annotated[Words | None, typer.Option(help="A name or a path; may be repeated.")] = None,
    slo: Annotated[str | None, typer.Option(metavar="80ms@p99", help=TOLD["slo"])] = None,
    rate: Annotated[str | None, typer.Option(metavar="N", help=TOLD["rate"])] = None,
    find_peak: Annotated[
        bool, typer.Option("--find-peak", help="Look for the highest rate; so it is where no rate is named.")
    ] = False,
    scenario: Annotated[str, typer.Option(help=f"How requests arrive: {', '.join(SCENARIOS)}.")] = "open",
    arrivals: Annotated[Path | None, typer.Option(help=TOLD["arrivals"])] = None,
    workers: Annotated[str | None, typer.Option(metavar="N", help=TOLD["workers"])] = None,
    window_ms: Annotated[Words | None, typer.Option(metavar="MS", help=TOLD["window_ms"])] = None,
    largest_batch: Annotated[list[int] | None, number(BatchSize, TOLD["largest_batch"])] = None,
    load_seconds: Annotated[str | None, typer.Option(metavar="SECONDS", help=TOLD["load_seconds"])] = None,
    arrival_seeds: Annotated[str | None, typer.Option(metavar="N", help=TOLD["arrival_seeds"])] = None,
    search_seconds: Annotated[str | None, typer.Option(metavar="SECONDS", help=TOLD["search_seconds"])] = None,
    loadgen: Annotated[bool, typer.Option("--loadgen", help=LOADGEN_TOLD)] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help=REFRESH_TOLD)] = False,
    decoder: Annotated[
        Words | None, typer.Option(help="Decoder of generative recommenders; default: those of the suite load.")
    ] = None,
    beam_width: Annotated[list[int] | None, number(BeamWidth, "Beams; may be repeated.")] = None,
    preset: PresetName = None,
    settings: SettingWords = None,
    untrained: Annotated[bool, typer.Option("--untrained", help="Seeded random weights: measures cost alone.")] = False,
    quality_users: Annotated[int | None, number(Users, "Users ranked for quality; default: all.")] = None,
    train_minutes: Annotated[float | None, number(Minutes, "Bound on training what has no weights.")] = None,
    device: DeviceName = None,
    loading: Loading,
) -> None:
    """Put recommenders behind a batcher, let users arrive at random, and find the highest rate within the limit.

    This is `pytest bench/ --benchmark-only --suite load`, whose options it takes: results land in the same store, an
    interrupted run goes on where it ended, and `python -m bench.report` renders them.
    """
    if find_peak and (rate is not None or scenario != "open"):
        raise UserError("--find-peak: looks for the rate by itself; leave --rate out, and --scenario open")
    named = {
        "slo": slo, "rate": rate, "arrivals": arrivals, "workers": workers, "window_ms": window_ms,
        "largest_batch": largest_batch, "load_seconds": load_seconds, "arrival_seeds": arrival_seeds,
        "search_seconds": search_seconds, "loadgen": loadgen, "refresh": refresh,
    }  # fmt: skip
    words = ["--scenario", scenario, *words_of(offered_of(named)), *loading.words()]
    for name in recommenders or []:
        words += ["--checkpoint" if (Path(name) / "card.json").exists() else "--recommender", name]
    several = {
        "dataset": dataset, "set": settings, "beam-width": beam_width, "preset": preset and [preset],
        "decoder": decoder or _decoders(recommenders or []), "device": device and [device],
        "quality-users": quality_users and [quality_users], "train-minutes": train_minutes and [train_minutes],
    }  # fmt: skip
    for option, values in several.items():
        words += [word for value in values or [] for word in (f"--{option}", str(value))]
    words += ["--untrained"] if untrained else []
    benches = os.path.relpath(Path(__file__).parent)
    sys.argv[1:] = [benches, "--benchmark-only", "--suite", "load", *words]
    raise typer.Exit(pytest.main([*sys.argv[1:], *QUIETLY]))


def _decoders(recommenders: Words) -> Words:
    """Return the decoders that the suite compares, where one of the named recommenders has them."""
    wanted = [name for entry in definitions.read_suite("load").recommenders for name in entry.decoders]
    kinds = [registry.load(name) for name in recommenders if not Path(name).is_dir()]
    able = [kind for kind in kinds if kind.decoders]
    return [name for name in dict.fromkeys(wanted) if able and all(name in kind.decoders for kind in able)]


if __name__ == "__main__":
    ending.run(app)
