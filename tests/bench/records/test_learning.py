"""Learning curves: which trainings count as finished."""

import pytest

from bench.records.learning import CurvePoint, Ending, ending


def curve(*values):
    return [
        CurvePoint(step=step, epochs=step, examples=100 * step, metrics={"NDCG@10": value})
        for step, value in enumerate(values, 1)
    ]


@pytest.mark.parametrize(
    ("values", "cooldown", "patience", "expected"),
    [
        ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 0.0, 5, Ending.CUT_SHORT),
        ((0.1, 0.2, 0.3, 0.3, 0.305, 0.308), 0.0, 5, Ending.FINISHED),
        ((0.1, 0.2, 0.3, 0.3, 0.31, 0.311), 0.0, 5, Ending.CUT_SHORT),
        # what rises over the cool-down alone is finished; what rose before it is not
        ((0.1, 0.3, 0.302, 0.35, 0.38, 0.4), 0.5, 5, Ending.FINISHED),
        ((0.1, 0.2, 0.3, 0.35, 0.38, 0.4), 0.5, 5, Ending.CUT_SHORT),
        # not even the cool-down brought anything
        ((0.1, 0.2, 0.38, 0.38, 0.39, 0.385), 0.5, 5, Ending.FINISHED),
        # patience: nothing better in the last evaluations
        ((0.1, 0.4, 0.2, 0.3), 0.0, 2, Ending.FINISHED),
        ((0.4,), 0.0, 5, Ending.CUT_SHORT),
        ((0.0, 0.0, 0.0), 0.0, 5, Ending.CUT_SHORT),
    ],
)
def test_a_training_is_finished_where_more_of_it_would_not_help(values, cooldown, patience, expected):
    assert ending(curve(*values), cooldown=cooldown, patience=patience) is expected


def test_without_a_curve_nobody_knows():
    assert ending([], cooldown=0.5, patience=5) is None
