"""``python -m bench.kernels RECOMMENDER...``: which kernels or operators does one request spend its time in?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import torch
import typer
from rich.console import Console
from rich.table import Table
from torch.profiler import ProfilerActivity

from bench.cli import ending
from bench.cli.loading import Loading, with_loading
from bench.cli.options import (
    BEAM_WIDTH,
    CpuThreads,
    DatasetName,
    DecoderName,
    DeviceName,
    PresetName,
    RankerName,
    SettingWords,
    choose_device,
    parse_settings,
    serving_for,
    set_threads,
)
from bench.data.dataset import Dataset, Split
from bench.ground.bounds import BatchSize, BeamWidth, ListLength, Rounds, number
from bench.ground.outputs import check_out_folder, write_folder
from bench.measure.phases import quiet_profile
from bench.measure.subject import user_batches
from bench.report.drawing.spreadsheets import csv_bytes
from bench.running.opening import open_recommender
from bench.training import checkpoints
from bench.training.recipes import resolve
from models import registry
from models.phases import PHASE
from models.recommender import Recommender
from models.serving import Scores

app = typer.Typer(add_completion=False, help=__doc__)

WARM_UP = 3
"""Requests before the profiled one: the first ones choose kernels, compile and capture."""


@app.command()
@with_loading
def main(
    *,
    recommenders: Annotated[
        list[str], typer.Argument(help="Registry names or package.module:Class, random weights; or checkpoint folders.")
    ],
    dataset: DatasetName = "synthetic",
    preset: PresetName = None,
    settings: SettingWords = None,
    decoder: DecoderName = None,
    ranker: RankerName = None,
    beam_width: Annotated[int, number(BeamWidth, "Beams of generative recommenders.")] = BEAM_WIDTH,
    batch_size: Annotated[int, number(BatchSize, "Users of the request.")] = 1,
    k: Annotated[int, number(ListLength, "Length of the lists.")] = 20,
    rows: Annotated[int, number(Rounds, "Kernels shown of each recommender, those that take most time.")] = 15,
    device: DeviceName = None,
    threads: CpuThreads = None,
    out: Annotated[Path | None, typer.Option(help="Also write all of them to this CSV file.")] = None,
    loading: Loading,
) -> None:
    """Profile one request of each recommender; times under the profiler are shares, not latencies."""
    if out is not None:
        check_out_folder(out.parent, [out.name])
    set_threads(threads)
    place = choose_device(device)
    loaded = loading.load(dataset)
    chosen: dict[str, Any] = parse_settings(settings or []) | ({"preset": preset} if preset else {})
    frames = []
    for name in recommenders:
        recommender = _built(name, loaded, chosen).to(place).eval()
        recommender.serving = serving_for(name, recommender, decoder, beam_width, Scores.FULL_VOCAB, ranker=ranker)
        recommender.index(loaded.catalogue)
        (request,) = user_batches(loaded.queries(Split.TEST)[0], batch_size)[:1]
        frame = kernels(recommender, request, k=k, device=place)
        Console().print(_table(name, frame.head(rows), int(frame["calls"].sum())))
        frames.append(frame.assign(recommender=name))
    if out is not None:
        joined = pd.concat(frames)[["recommender", "kernel", "calls", "microseconds"]]
        write_folder(out.parent, {out.name: csv_bytes(joined)}, made_by="bench.kernels")


def kernels(recommender: Recommender, request: Any, *, k: int, device: torch.device) -> pd.DataFrame:
    """Profile one request.

    Args:
        recommender: Indexed, on `device`.
        request: Histories of the users that ask.
        k: Length of the lists.
        device: Where it computes.

    Returns:
        Columns ``kernel``, ``calls`` and ``microseconds``, the longest first: kernels of a GPU, operators of a CPU,
        without what they call in turn.

    """
    on_cuda = device.type == "cuda"

    def ask() -> None:
        recommender.recommend(recommender.prepare(request).to(device), k)
        if on_cuda:
            torch.cuda.synchronize(device)

    with torch.inference_mode():
        for _ in range(WARM_UP):
            ask()
        with quiet_profile(
            activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
        ) as profiler:
            ask()
    rows = [
        (event.key, event.count, event.self_device_time_total if on_cuda else event.self_cpu_time_total)
        for event in profiler.key_averages()
        if not event.key.startswith(PHASE)
    ]
    frame = pd.DataFrame(rows, columns=["kernel", "calls", "microseconds"])
    return frame[frame["microseconds"] > 0].sort_values("microseconds", ascending=False, ignore_index=True)


def _built(name: str, dataset: Dataset, chosen: dict[str, Any]) -> Recommender:
    if (Path(name) / checkpoints.CARD).exists():
        return open_recommender(name, dataset, chosen).recommender
    settings, _ = resolve(name, dataset.name, chosen)
    return registry.load(name).build(dataset.catalogue, dataset.training(), settings)


def _table(name: str, frame: pd.DataFrame, calls: int) -> Table:
    table = Table(title=f"{name}: {calls:,} calls", title_justify="left", box=None)
    table.add_column("kernel", overflow="ellipsis", no_wrap=True, max_width=80)
    for column in ("calls", "ms"):
        table.add_column(column, justify="right")
    for row in frame.itertuples():
        table.add_row(str(row.kernel), f"{row.calls:,}", f"{float(row.microseconds) / 1e3:.3f}")  # type: ignore[arg-type]
    return table


if __name__ == "__main__":
    ending.run(app)
