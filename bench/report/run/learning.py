"""How each training went: learning curves, and whether it was trained to its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from bench.records.case import WeightsKind
from bench.records.learning import METRIC, CurvePoint
from bench.records.record import Weights
from bench.report.drawing.canvas import legend, panels_of
from bench.report.drawing.figure import drawn
from bench.report.drawing.lines import Along, lines
from bench.report.drawing.live import Live
from bench.report.drawing.palette import look_of, looks
from bench.report.drawing.section import Titled
from bench.report.reading.labels import NOT_AVAILABLE, Quantity, case_labels, significant, whole
from bench.report.reading.naming import Told, dataset_name
from bench.report.reading.trained import verdict
from bench.report.run.chapter import About, Chapter, Content, Material
from bench.report.studies.variants import UNTOLD

NOTE = (
    f"Validation {METRIC} of a sample of users, which a training goes by; test users are never looked at. Finished: "
    "the last third of the examples before the learning rate falls, or its whole fall, brought less than 3 %, or "
    "nothing better came for as many evaluations as the recipe waits. Cut short: it still rose when its epochs or "
    "minutes were over. Where a training was cut short, or no curve was kept, no quality is held against it in the "
    "answer."
)

TITLE = "Validation quality against examples seen"

Named = Mapping[str, Sequence[tuple[str, Told]]]
"""What was trained, by dataset and by what tells it apart."""


def trained(material: Material) -> dict[str, list[tuple[str, Told]]]:
    """Return what was served or ranked with trained weights, the first of each, by dataset and name."""
    once: dict[str, Told] = {}
    everything: list[Told] = [*material.studies.evaluations, *material.records]
    for told in everything:
        if told.weights is not None and told.case.weights is WeightsKind.TRAINED:
            once.setdefault(f"{dataset_name(told)} {told.weights.sha256 or told.case.name}", told)
    by_dataset: dict[str, list[Told]] = {}
    for told in once.values():
        by_dataset.setdefault(dataset_name(told), []).append(told)
    return {dataset: list(zip(_names(group), group, strict=True)) for dataset, group in by_dataset.items()}


def _names(group: Sequence[Told]) -> list[str]:
    return case_labels(group, (*UNTOLD, "decoder", "beam width", "weights"))


def _weights(told: Told) -> Weights:
    assert told.weights is not None, "what `trained` returns was trained"
    return told.weights


def table(named: Named) -> pd.DataFrame:
    """Return one row a training: verdict, best validation quality, what it saw and how long it took."""
    rows = [
        {"recommender": name, "data": dataset, "training": verdict(_weights(told))} | _cells(_weights(told))
        for dataset, group in named.items()
        for name, told in group
    ]
    return pd.DataFrame(rows, dtype=object)


def _cells(weights: Weights) -> dict[str, str]:
    best = max(weights.curve, key=lambda point: point.metrics.get(METRIC, 0.0), default=None)
    last = weights.curve[-1] if weights.curve else None
    epochs, seconds = weights.training.get("epochs"), weights.training.get("seconds")
    return {
        f"validation {METRIC}": NOT_AVAILABLE if best is None else _number(best.metrics.get(METRIC, 0.0)),
        "at examples": NOT_AVAILABLE if best is None else whole(best.examples),
        "of": NOT_AVAILABLE if last is None else whole(last.examples),
        "epochs": _number(epochs) if isinstance(epochs, (int, float)) else NOT_AVAILABLE,
        "minutes": _number(seconds / 60) if isinstance(seconds, (int, float)) else NOT_AVAILABLE,
    }


def _number(value: float) -> str:
    return Quantity(significant(value), value)


def draw(named: Named) -> Figure:
    """Draw validation quality against examples on a log scale, one panel a dataset; a ring marks what was kept."""
    figure, panels = panels_of(list(named), 3.0)
    by_name = looks([pair for group in named.values() for pair in group])
    for dataset, axis in panels.items():
        for name, told in named[dataset]:
            colour, curve = by_name[name].colour, _weights(told).curve
            axis.plot([point.examples for point in curve], _values(curve), color=colour, linewidth=1.4)
            best = max(curve, key=lambda point: point.metrics.get(METRIC, 0.0))
            axis.plot(best.examples, best.metrics.get(METRIC, 0.0), "o", color=colour, markersize=5, fillstyle="none")
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_xlabel("training examples seen (log scale)")
        axis.set_ylabel(f"validation {METRIC}")
        axis.set_ylim(bottom=0)
    legend(figure, [Line2D([], [], color=look.colour) for look in by_name.values()], list(by_name))
    return figure


def _values(curve: Sequence[CurvePoint]) -> list[float]:
    return [point.metrics.get(METRIC, 0.0) for point in curve]


def points(named: Named) -> pd.DataFrame:
    """Return the data behind the figure, one row an evaluation."""
    return pd.DataFrame(
        [
            {"data": dataset, "recommender": name, "examples": point.examples, "epochs": point.epochs}
            | {"minutes": point.minutes, METRIC: point.metrics.get(METRIC)}
            for dataset, group in named.items()
            for name, told in group
            for point in _weights(told).curve
        ]
    )


def live(named: Named) -> Live:
    """Draw the same as lines of the chosen dataset, each named where it was best."""
    rows: list[dict[str, Any]] = []
    for dataset, group in named.items():
        for name, told in group:
            curve = _weights(told).curve
            best = max(curve, key=lambda point: point.metrics.get(METRIC, 0.0), default=None)
            line = {"dataset": dataset, "name": name, **look_of(told), "line": True, "marked": True}
            for point in curve:
                value = point.metrics.get(METRIC, 0.0)
                said = f"{significant(value)} after {point.examples:,} examples"
                rows.append(line | {"x": point.examples, "y": value, "few": point is best, "told": said})
    return lines(rows, Along("training examples seen (log scale)", log=True), Along(f"validation {METRIC}"))


def describe(named: Named) -> str:
    """Say in words where each curve ends."""
    said = [
        f"{name} on {dataset}: {significant(max(_values(curve)))} at best, after {curve[-1].examples:,}"
        for dataset, group in named.items()
        for name, curve in ((name, _weights(told).curve) for name, told in group)
    ]
    return f"{TITLE}. {'; '.join(said)}."


def _learning(material: Material) -> Content:
    named = trained(material)
    if not named:
        return Content()
    curves = {
        dataset: [(name, told) for name, told in group if _weights(told).curve] for dataset, group in named.items()
    }
    curves = {dataset: group for dataset, group in curves.items() if group}
    shown = (Titled("", table(named)),)
    if not curves:
        return Content(shown, NOTE)
    answering = live(curves) if material.offers(curves) else None
    draw_all = partial(draw, curves)
    drawing = drawn("learning", TITLE, draw_all, describe(curves), points(curves), live=answering)
    return Content(shown, NOTE, (drawing,))


LEARNING = Chapter(
    "training", "Training", _learning, dropped=12, about=About.QUALITY, asks="who was trained to the end"
)
