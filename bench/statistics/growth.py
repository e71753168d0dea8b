"""How a time grows with a quantity: the simplest law that its measured values support.

All laws are cases of ``t(x) = a + b x^c`` with a, b >= 0. They are fitted by least squares on the logarithms of
times, so that a residual is a share of the time, whatever its size. For the fit the law is written as
``s (1 + exp(u) (x / m)^c)``, m the geometric mean of the x: for given u and c the best s is closed form (variable
projection, Golub and Pereyra 1973), so two parameters at most are searched, from the best place of a grid by
Newton's steps, damped as Levenberg's and Marquardt's, for all rows of times at once.

Which law: each measured value is left out in turn and predicted from the others (Stone 1974). A law with one
parameter more must make the error of these predictions smaller by a fifth, and none is added where the error is
within the noise of the medians. AICc, the usual alternative, is not defined for two parameters and a variance on
fewer than five points.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]

LEAST_POINTS = 3
"""Fewest measured values of a law; one of three parameters needs one more."""

MOST_EXPONENT = 3.0
LEAST_EXPONENT = 0.1
"""Least exponent of laws with a constant part: below it the growth could not be told from the constant part."""

GAIN = 0.8
"""Error of prediction that a law with more parameters may keep, as a share of the simpler law's."""

NOISE_FACTOR = 2.0
"""Errors of prediction up to so many standard errors of a median are noise."""

LEAST_ERROR = 1e-3
"""Relative error below which no law needs to be better."""

_REACH = 40.0
"""Largest u: beyond it one of the two parts is below any precision of measuring."""

_TOLD = 4.0
"""Log odds of the two parts at the ends of the x between which a search starts: where one part vanishes, so does the
slope."""

_ODDS = np.arange(-_REACH, _REACH + 1)
_EXPONENTS = np.linspace(LEAST_EXPONENT, MOST_EXPONENT, 30)
_STEPS = 40


class Form(StrEnum):
    """A law's parameters that are not fixed."""

    CONSTANT = "a"
    LINEAR = "a + b x"
    POWER = "b x^c"
    FULL = "a + b x^c"


PARAMETERS = {Form.CONSTANT: 1, Form.LINEAR: 2, Form.POWER: 2, Form.FULL: 3}


@dataclass(frozen=True)
class Laws:
    """Laws of one form side by side: a fit, or the fits of all resamples.

    Attributes:
        form: What was fitted.
        a: The constant part in seconds, [L].
        b: The growing part at x = 1 in seconds, [L].
        c: Its exponent, [L]; 0 where nothing grows.

    """

    form: Form
    a: Floats
    b: Floats
    c: Floats

    def at(self, x: Floats) -> Floats:
        """Return the times at the values [X] in seconds, [L, X]."""
        times: Floats = self.a[:, None] + self.b[:, None] * x ** self.c[:, None]
        return times


def usable(x: Floats, times: Floats) -> NDArray[np.bool_]:
    """Tell which points a law can be fitted to: positive, finite values and times.

    Args:
        x: Values, [N].
        times: Seconds, [..., N]; a point with one unusable time is unusable.

    """
    good = np.isfinite(times) & (times > 0)
    is_usable: NDArray[np.bool_] = good.reshape(-1, len(x)).all(0) & np.isfinite(x) & (x > 0)
    return is_usable


def has_law(x: Floats) -> bool:
    """Tell whether there are values enough for a law."""
    return len(np.unique(x)) >= LEAST_POINTS


def choose(x: Floats, times: Floats, noise: float = 0.0) -> Form:
    """Return the simplest form that predicts left-out points about as well as the best.

    Args:
        x: Values, three or more different ones, [N].
        times: Seconds, [N].
        noise: Relative standard error of a time.

    """
    allowed = [form for form in Form if PARAMETERS[form] < len(np.unique(x))]
    errors = {form: _left_out_error(form, x, times) for form in allowed}
    least = max(LEAST_ERROR, NOISE_FACTOR * noise)
    chosen = Form.CONSTANT
    for count in (2, 3):
        more = [form for form in allowed if PARAMETERS[form] == count]
        best = min(more, key=errors.__getitem__, default=chosen)
        if errors[chosen] > least and errors[best] < GAIN * errors[chosen]:
            chosen = best
    return chosen


def _left_out_error(form: Form, x: Floats, times: Floats) -> float:
    """Return the root mean square of the log errors at points that the fit did not see."""
    errors = []
    for row in range(len(x)):
        others = np.arange(len(x)) != row
        predicted = fit(form, x[others], times[None, others]).at(x[row : row + 1])
        errors.append(float(np.log(predicted[0, 0] / times[row])))
    return float(np.sqrt(np.mean(np.square(errors))))


def fit(form: Form, x: Floats, times: Floats) -> Laws:
    """Fit one form to each row of times.

    Args:
        form: Which parameters are fitted.
        x: Positive values, [N]; where all are equal, nothing can be said to grow.
        times: Positive seconds, [L, N].

    """
    logs, places = np.log(times), np.log(x)
    middle = places.mean()
    places = places - middle
    level, centred = logs.mean(1), logs - logs.mean(1, keepdims=True)
    nothing = np.zeros(len(times))
    flat = Laws(form, np.exp(level), nothing, nothing)
    if form is Form.CONSTANT or np.ptp(x) == 0:
        return flat
    slope = np.ones(len(times)) if form is Form.LINEAR else centred @ places / (places @ places)
    slope = np.clip(slope, 0.0, MOST_EXPONENT)
    steep = Laws(form, nothing, np.exp(level - slope * middle), slope)
    candidates, errors = [flat, steep], [(centred**2).sum(1), ((centred - slope[:, None] * places) ** 2).sum(1)]
    if form is not Form.POWER:
        odds, exponents = _searched(form, places, centred)
        shape = np.logaddexp(0, odds[:, None] + exponents[:, None] * places)  # [L, N]
        scale = np.exp(level - shape.mean(1))
        candidates.append(Laws(form, scale, scale * np.exp(odds - exponents * middle), exponents))
        errors.append(_error(odds, exponents, places, centred))
    return _best(candidates, np.stack(errors))


def _best(candidates: list[Laws], errors: Floats) -> Laws:
    """Return the best candidate of each row; the first, and so the simplest, of those that are as good."""
    slack = 1 + 1e-9
    row, column = (errors <= errors.min(0) * slack + 1e-20).argmax(0), np.arange(errors.shape[1])
    a, b, c = (np.stack([getattr(candidate, name) for candidate in candidates])[row, column] for name in "abc")
    return Laws(candidates[0].form, a, b, np.where(b > 0, c, 0.0))


def _searched(form: Form, places: Floats, centred: Floats) -> tuple[Floats, Floats]:
    """Return u and c of the least squares, each [L].

    Args:
        form: `Form.LINEAR`, where c stays 1, or `Form.FULL`.
        places: log(x / m), [N].
        centred: log times less their mean, [L, N].

    """
    tried = np.array([1.0]) if form is Form.LINEAR else _EXPONENTS
    all_odds, all_exponents = (grid.ravel() for grid in np.meshgrid(_ODDS, tried))
    told = (all_odds + all_exponents * places.max() >= -_TOLD) & (all_odds + all_exponents * places.min() <= _TOLD)
    all_odds, all_exponents = all_odds[told], all_exponents[told]
    shapes = np.logaddexp(0, all_odds[:, None] + all_exponents[:, None] * places)
    shapes -= shapes.mean(1, keepdims=True)  # [grid, N]
    first = ((shapes**2).sum(1) - 2 * centred @ shapes.T).argmin(1)
    odds, exponents = all_odds[first], all_exponents[first]
    error, damping = _error(odds, exponents, places, centred), np.full(len(centred), 1e-3)
    movable = (LEAST_EXPONENT, MOST_EXPONENT) if form is Form.FULL else (1.0, 1.0)
    for _ in range(_STEPS):
        new_odds, new_exponents = _moved(odds, exponents, places, centred, damping, movable)
        new_error = _error(new_odds, new_exponents, places, centred)
        better = new_error < error
        odds, exponents = np.where(better, new_odds, odds), np.where(better, new_exponents, exponents)
        error, damping = np.where(better, new_error, error), np.where(better, damping / 5, np.minimum(damping * 5, 1e9))
    return odds, exponents


def _error(odds: Floats, exponents: Floats, places: Floats, centred: Floats) -> Floats:
    shape = np.logaddexp(0, odds[:, None] + exponents[:, None] * places)
    error: Floats = ((centred - shape + shape.mean(1, keepdims=True)) ** 2).sum(1)
    return error


def _moved(
    odds: Floats, exponents: Floats, places: Floats, centred: Floats, damping: Floats, movable: tuple[float, float]
) -> tuple[Floats, Floats]:
    """Return u and c after a damped step; u takes the one that is best for where c may go.

    Newton's step where the sum of squares is convex, else Gauss's and Newton's, which is slow where residuals are
    large.
    """
    at = odds[:, None] + exponents[:, None] * places
    shape, share = np.logaddexp(0, at), expit(at)  # the share of the growing part in the time
    gap = centred - shape + shape.mean(1, keepdims=True)
    by_odds = share - share.mean(1, keepdims=True)
    by_exponent = share * places - (share * places).mean(1, keepdims=True)
    pull, push = (by_odds * gap).sum(1), (by_exponent * gap).sum(1)
    gauss = np.stack([(by_odds**2).sum(1), (by_odds * by_exponent).sum(1), (by_exponent**2).sum(1)])  # [3, L]
    bend = gap * share * (1 - share)
    newton = gauss - np.stack([bend.sum(1), (bend * places).sum(1), (bend * places**2).sum(1)])
    convex = (newton[0] > 0) & (newton[0] * newton[2] > newton[1] ** 2)
    first, mixed, second = np.where(convex, newton, gauss)
    first, second = first + damping * gauss[0] + 1e-18, second + damping * gauss[2] + 1e-18
    new_exponents = np.clip(exponents + (first * push - mixed * pull) / (first * second - mixed**2), *movable)
    new_odds = np.clip(odds + (pull - mixed * (new_exponents - exponents)) / first, -_REACH, _REACH)
    return new_odds, new_exponents
