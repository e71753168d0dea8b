"""What it takes to render a page of 1,000 cases with 1,000 samples each, and to open and to use one of 200."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.records.case import Case, Outcome, WeightsKind
from bench.records.cost import Flops, Latency, Memory, Phase
from bench.records.model import Unavailable
from bench.records.quality import Metric, Quality
from bench.records.record import Provenance, Record, Weights
from bench.records.store import Run
from bench.report.run.formats import Format
from bench.report.run.page import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Page

SAMPLES, TURNS = 1000, 20

GENERATIVE = {"p5", "tiger", "openp5-llama"}
RECOMMENDERS = ("lite-llm4rec", "sasrec", *sorted(GENERATIVE))
BATCHES = (1, 8, 32, 128)
DECODERS = ("reference", "vectorised-trie", "exact", "compiled")

SOURCE = Provenance(
    command="generated", commit=None, dirty=None, started="", machine={"processor": "generated", "cores": 2},
    software={}, dataset={"synthetic": True, "items": 1000},
)  # fmt: skip


def cases(count: int) -> list[Record]:
    """Return records of so many cases: recommenders, decoders and batches, and then their settings over and over."""
    rng = np.random.default_rng(0)
    every = list(product(RECOMMENDERS, DECODERS, BATCHES))
    return [_record(*every[row % len(every)], row // len(every), rng) for row in range(count)]


def _record(recommender: str, decoder: str, batch: int, setting: int, rng: np.random.Generator) -> Record:
    writes = recommender in GENERATIVE
    middle = 1e-3 * (1 + RECOMMENDERS.index(recommender)) * batch**0.5
    samples = np.sort(rng.lognormal(np.log(middle), 0.1, SAMPLES))
    p50, p90, p95, p99 = (float(value) for value in np.percentile(samples, [50, 90, 95, 99]))
    ndcg = float(rng.uniform(0.05, 0.2))
    return Record(
        suite="generated",
        case=Case(
            recommender=recommender,
            settings={"preset": "compact", "dropout": setting / 100}
            | ({} if writes else {"seed": int(decoder == "exact")}),
            dataset=f"generated-{DECODERS.index(decoder) if not writes else 0}",
            weights=WeightsKind.TRAINED,
            device="cpu",
            dtype="float32",
            batch_size=batch,
            k=20,
            seen="remove",
            decoder=decoder if writes else None,
            beam_width=20 if writes else None,
            threads=1,
        ),
        outcome=Outcome.OK,
        weights=Weights(parameters=10**6, parameter_bytes=4 * 10**6),
        latency=Latency(
            rounds=SAMPLES,
            samples_s=rng.permutation(samples).tolist(),
            turns=[row * TURNS // SAMPLES for row in range(SAMPLES)],
            mean_s=float(samples.mean()),
            p50_s=p50,
            p90_s=p90,
            p95_s=p95,
            p99_s=p99,
            device_s=Unavailable(unavailable="no GPU"),
            users_per_second=batch / p50,
        ),
        phases=[Phase(name=name, seconds=p50 / 3, flops_per_user=1e6) for name in ("prepare", "encode", "rank")],
        flops=Flops(per_user=1e7, fvcore_per_user=1e7),
        memory=Memory(peak_bytes=10**7, request_bytes=10**6),
        quality=Quality(
            split="test",
            users=1000,
            cutoff=20,
            seen="remove",
            metrics={name: Metric(value=ndcg, low=0.9 * ndcg, high=1.1 * ndcg) for name in ("NDCG@10", "HR@10")},
            coverage=0.5,
            valid_rate=1.0,
        ),
        provenance=SOURCE,
    )


@pytest.mark.parametrize("count", [30, 1000])
def bench_page(benchmark: BenchmarkFixture, tmp_path: Path, count: int) -> None:
    """Render everything: page, Markdown, tables, figures."""
    run = Run(tmp_path / "run.json", "", tuple(cases(count)))
    benchmark.pedantic(write_report, args=([run], tmp_path / "out"), rounds=1)
    benchmark.extra_info["page_bytes"] = (tmp_path / "out" / "index.html").stat().st_size


USED = 200
"""Cases of the page that is opened and used."""

OPENINGS, CLICKS = 10, 20

PAINTED = """() => performance.getEntriesByName('first-contentful-paint')[0].startTime / 1e3"""

CLICKED = """(row) => new Promise((done) => {
  const inputs = document.querySelectorAll('#choice input[name=batch]');
  const began = performance.now();
  inputs[row % inputs.length].click();
  requestAnimationFrame(() => setTimeout(() => done((performance.now() - began) / 1e3)));
})"""
"""Seconds from a click on a batch to the frame that shows it."""


@pytest.fixture(scope="module")
def page_of_many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render the page that is opened and used."""
    folder = tmp_path_factory.mktemp("used")
    write_report([Run(folder / "run.json", "", tuple(cases(USED)))], folder / "out", wanted=(Format.HTML,))
    return folder / "out" / "index.html"


@pytest.fixture
def tab(request: pytest.FixtureRequest) -> Iterator[Page]:
    """Show the page in Chromium, without a network."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium on PATH: install the distribution's package")
    path: Path = request.getfixturevalue("page_of_many")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(offline=True).new_page()
        _open(page, path)
        yield page
        browser.close()


def _open(page: Page, path: Path | None = None) -> None:
    page.goto(page.url if path is None else path.as_uri())
    page.wait_for_selector("html[data-ready]")


def bench_first_paint(benchmark: BenchmarkFixture, tab: Page) -> None:
    """Open the page until its scripts are done; the first paint, which comes before, stands in ``extra_info``."""
    painted: list[float] = []

    def opened() -> None:
        _open(tab)
        painted.append(tab.evaluate(PAINTED))

    benchmark.pedantic(opened, rounds=OPENINGS, warmup_rounds=1)
    benchmark.extra_info["first_paint_s"] = float(np.median(painted))


@pytest.mark.parametrize("unfolded", [False, True], ids=["folded", "unfolded"])
def bench_choice(benchmark: BenchmarkFixture, tab: Page, *, unfolded: bool) -> None:
    """Click on one batch after the other; seconds to the frame that shows it stand in ``extra_info``."""
    if unfolded:
        tab.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        tab.wait_for_timeout(1000)
    took: list[float] = []
    benchmark.pedantic(lambda: took.append(tab.evaluate(CLICKED, len(took))), rounds=CLICKS, warmup_rounds=1)
    benchmark.extra_info["interaction_s"] = float(np.median(took))
    benchmark.extra_info["slowest_interaction_s"] = float(max(took))
