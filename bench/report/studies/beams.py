"""Beam searches of growing width held against the ranking of all items: a table, and drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from bench.records.studies import Beam, BeamStudy
from bench.report.drawing.canvas import legend, panels_of
from bench.report.drawing.lines import Along, lines
from bench.report.drawing.live import Live
from bench.report.drawing.palette import Look, look_of, looks
from bench.report.reading.labels import NONE, NOT_AVAILABLE, Quantity, case_labels, metric_of, number, share, whole
from bench.report.reading.naming import dataset_name
from bench.report.studies.variants import UNTOLD

DRAWN = "HR@10"
ALL_ITEMS = "all items ranked by the same scores"


def by_dataset(studies: Sequence[BeamStudy]) -> dict[str, dict[str, BeamStudy]]:
    """Return the studies of each dataset by name, the width of beams left out of it."""
    grouped: dict[str, list[BeamStudy]] = {}
    for study in studies:
        grouped.setdefault(dataset_name(study), []).append(study)
    return {dataset: dict(zip(_names(group), group, strict=True)) for dataset, group in grouped.items()}


def _names(group: Sequence[BeamStudy]) -> list[str]:
    plain = [study.model_copy(update={"case": study.case.model_copy(update={"beam_width": None})}) for study in group]
    return case_labels(plain, UNTOLD)


def table(studies: Sequence[BeamStudy]) -> pd.DataFrame:
    """Return one row a recommender and width: what its beams find, and what ranking all items finds."""
    rows = [
        {"recommender": name, "data": dataset} | _cells(study, beam)
        for dataset, group in by_dataset(studies).items()
        for name, study in group.items()
        for beam in study.beams
    ]
    frame = pd.DataFrame(rows, dtype=object)
    return frame.drop(columns=[name for name in ("cautions",) if name in frame and (frame[name] == NONE).all()])


def _cells(study: BeamStudy, beam: Beam) -> dict[str, str]:
    return {
        "beams": whole(beam.width),
        "HR@10": metric_of(beam.metrics, "HR@10"),
        "HR@10, all items": metric_of(study.exhaustive, "HR@10"),
        "NDCG@10": metric_of(beam.metrics, "NDCG@10"),
        "NDCG@10, all items": metric_of(study.exhaustive, "NDCG@10"),
        "targets found": whole(beam.found),
        "true rank, mean": _rank(beam.true_rank_mean),
        "true rank, median": _rank(beam.true_rank_median),
        "overlap": share(beam.overlap),
        "coverage": share(beam.coverage),
        "coverage, all items": share(study.exhaustive_coverage),
        "valid items": share(beam.valid_rate),
        "duplicates": share(beam.duplicate_rate),
        "users": Quantity(f"{study.users:,} of {study.all_users:,}", study.users),
        "cautions": "; ".join(study.labels) or NONE,
    }


def _rank(rank: float | None) -> str:
    return NOT_AVAILABLE if rank is None else number(rank)


def draw(studies: Sequence[BeamStudy]) -> Figure:
    """Draw HR@10 against the width of beams, one panel a dataset; dashed, what ranking all items gives."""
    grouped = by_dataset(studies)
    figure, panels = panels_of(list(grouped), 3.0)
    by_name = looks([pair for group in grouped.values() for pair in group.items()])
    for dataset, axis in panels.items():
        for name, study in grouped[dataset].items():
            _line(axis, study, by_name[name])
        _widths(axis, sorted({beam.width for study in grouped[dataset].values() for beam in study.beams}))
        axis.set_xlabel("beams (log scale)")
        axis.set_ylabel("HR@10 (bar: 95 % interval)")
        axis.set_ylim(bottom=0)
    handles = [Line2D([], [], **look.marks, markersize=5) for look in by_name.values()]
    handles.append(Line2D([], [], linestyle="--", color="black", linewidth=1.2))
    legend(figure, handles, [*by_name, ALL_ITEMS])
    return figure


def _line(axis: Axes, study: BeamStudy, look: Look) -> None:
    beams = sorted((beam for beam in study.beams if DRAWN in beam.metrics), key=lambda beam: beam.width)
    metrics = [beam.metrics[DRAWN] for beam in beams]
    values = np.array([metric.value for metric in metrics])
    below = [max(metric.value - metric.low, 0) for metric in metrics]
    above = [max(metric.high - metric.value, 0) for metric in metrics]
    axis.errorbar(
        [beam.width for beam in beams],
        values,
        yerr=[below, above],
        **look.marks,
        markersize=5,
        linewidth=1.4,
        capsize=2,
        elinewidth=1,
    )
    if DRAWN in study.exhaustive:
        axis.axhline(study.exhaustive[DRAWN].value, color=look.colour, linestyle="--", linewidth=1.2)


def _widths(axis: Axes, widths: Sequence[int]) -> None:
    axis.set_xscale("log")
    axis.set_xticks(widths, [f"{width:,}" for width in widths])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(widths[0] / 1.3, widths[-1] * 1.3)


def live(studies: Sequence[BeamStudy]) -> Live:
    """Draw the same as lines of the chosen dataset, each named at its widest; dashed, what ranking all items gives."""
    rows: list[dict[str, Any]] = []
    for dataset, group in by_dataset(studies).items():
        for name, study in group.items():
            drawn = sorted((beam for beam in study.beams if DRAWN in beam.metrics), key=lambda beam: beam.width)
            line: dict[str, Any] = {"dataset": dataset, **look_of(study), "line": True}
            for beam in drawn:
                metric = beam.metrics[DRAWN]
                row = {"name": name, "x": beam.width, "y": metric.value, "low": metric.low, "high": metric.high}
                said = f"{metric.value:.4f} with {beam.width} beams"
                rows.append(line | row | {"marked": True, "few": beam is drawn[-1], "told": said})
            if drawn and (level := study.exhaustive.get(DRAWN)) is not None:
                all_items = line | {"name": f"{name}, all items", "dashed": True, "y": level.value}
                rows += [all_items | {"x": beam.width} for beam in (drawn[0], drawn[-1])]
    return lines(rows, Along("beams (log scale)", log=True), Along(f"{DRAWN} (bar: 95 % interval)"))


def points(studies: Sequence[BeamStudy]) -> pd.DataFrame:
    """Return the data behind the figure, one row a recommender and width."""
    rows = []
    for dataset, group in by_dataset(studies).items():
        for name, study in group.items():
            all_items = study.exhaustive.get(DRAWN)
            for beam in study.beams:
                if DRAWN in beam.metrics:
                    metric = beam.metrics[DRAWN]
                    row = {"data": dataset, "recommender": name, "beams": beam.width, DRAWN: metric.value}
                    row |= {f"{DRAWN}_low": metric.low, f"{DRAWN}_high": metric.high}
                    rows.append(row | {f"{DRAWN}_all_items": None if all_items is None else all_items.value})
    return pd.DataFrame(rows)


def describe(studies: Sequence[BeamStudy]) -> str:
    """Say in words what the figure shows, with its numbers."""
    parts = []
    for dataset, group in by_dataset(studies).items():
        for name, study in group.items():
            told = [
                f"{beam.metrics[DRAWN].value:.4f} with {beam.width}" for beam in study.beams if DRAWN in beam.metrics
            ]
            all_items = study.exhaustive.get(DRAWN)
            ending = "" if all_items is None else f"; all items {all_items.value:.4f}"
            parts.append(f"{name} on {dataset}: {', '.join(told)}{ending}")
    return "HR@10 by number of beams. " + ". ".join(parts) + "."
