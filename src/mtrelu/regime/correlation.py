"""How fast uniqueness returns as the correlation of two tasks falls from 1.

A task y that many networks fit equally well is trained together with a second one of correlation
ρ. At ρ = 1 the two are one task and nothing is gained. For one input and |ρ| < 1 Theorem 3.1 makes
the optimal function unique with probability one, however near to 1; for several inputs the polytope
of optimal networks decides. So uniqueness is all or nothing, but how firm it is is not.

The *price of disagreement* [beyond the paper] measures that: how much more than the optimum,
relatively, a network must cost whose first task takes a value that only other optima of y alone
take. An optimiser of relative accuracy ``tol`` tells the optima apart once that price exceeds
``tol``; until then it may return any of them, and two runs may disagree.

Rotate the tasks into the common part u = (f₁ + f₂)/√2 and the difference w = (f₁ − f₂)/√2, whose
labels have a size of ε = √(1 − ρ²). A neuron of common weight u_k carries a difference w_k for
√(u_k² + w_k²) − |u_k|: that is about w_k²/(2|u_k|), of order ε², if the neuron is there anyway, and
|w_k|, of order ε, if it is not. That explains the two laws that are measured for one input:

* Values *inside* the range of the optima of y belong to mixtures of optima, which have all the
  neurons that the difference needs: their price is proportional to ε², that is to 1 − ρ.
* The *ends* of the range belong to extreme optima, with few neurons, and the difference needs
  some of its own: their price is proportional to ε, that is to √(1 − ρ).

With several inputs, values inside may stay free, where two tasks still leave a choice, and the
price of the ends has been measured to fall with exponents of 1 − ρ between ½ and 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrelu.api import solve
from mtrelu.optimal_polytope import OptimalPolytope
from mtrelu.optimal_set import OptimalSet
from mtrelu.regime.designs import sup_points
from mtrelu.regime.rates import Rate, fit_rate
from mtrelu.solvers.interpolation import Interpolant, Verdict, interpolate
from mtrelu.validation import (
    FloatArray,
    InvalidInputError,
    as_generator,
    as_inputs,
    as_labels,
)

__all__ = ["CorrelatedTasks", "correlated_tasks", "fit_price", "second_task"]

NEAR = 1e-3
"""The largest 1 − ρ that counts as near to 1 when exponents are fitted."""
RESOLVED = 0.1
"""A price whose bracket is wider than this share of it is left out of the fit."""

_FIT_TOL = 1e-12  # of the fit whose fitted values are the labels, so that they are exact
_TOL = 1e-8  # of the interpolants; most are then proved to 1e-9
_MOST_SOLVES = 24  # for one price
_VISIBLE = 1e-3  # of the variation of y that optima must differ by to be worth following


@dataclass(frozen=True, eq=False)
class CorrelatedTasks:
    """What a second task of correlation ρ leaves of the freedom of the first.

    Made by `correlated_tasks`, for R correlations, S draws of the second task, and Q shares.

    Attributes
    ----------
    rho : ndarray of shape (R,)
        Correlations.
    shares : ndarray of shape (Q,)
        How much of the range of one task, around its middle, the price is for.
    query : ndarray of shape (d,)
        Where the optima of the first task alone differ most, of all points looked at.
    low, high : float
        Their range there, in the units of y.
    verdicts : ndarray of shape (R, S), str
        ``"unique"``, ``"not unique"`` or ``"undecided"``, of both tasks together.
    widths : ndarray of shape (R, S)
        Width of the range of the first task at the query over all optima for both tasks, in the
        units of y; NaN where it is not known exactly.
    price_low, price_high : ndarray of shape (R, S, Q)
        Bracket of the price of disagreement: an optimiser must accept a relative excess of the
        path norm [3] in between before the first task can take every value of that share of
        [low, high]. Both ends follow from the duality gaps of certified interpolants.
    """

    rho: FloatArray
    shares: FloatArray
    query: FloatArray
    low: float
    high: float
    verdicts: np.ndarray
    widths: FloatArray
    price_low: FloatArray
    price_high: FloatArray


@dataclass(frozen=True)
class _Cut:
    """The least cost as a function of the free label t: bounds at t, and a lower bound elsewhere.

    At t' the cost is at least lower + slope (t' − t), for the dual variable stays feasible.
    """

    t: float
    lower: float
    upper: float
    slope: float


def second_task(y: Any, rho: float, random_state: Any = None) -> FloatArray:
    """Draw a task whose sample correlation with y is exactly ρ.

    It is ȳ + ρ (y − ȳ) + √(1 − ρ²) z with Gaussian noise z, made orthogonal to the constants and
    to y and as large as y − ȳ. Mean and variance are those of y.

    Parameters
    ----------
    y : array_like of shape (N,)
        The first task, not constant; N >= 3.
    rho : float
        From −1 to 1.
    random_state : int, Generator or None
        Seed of z; the same for every ρ makes tasks that differ in ρ only.

    Returns
    -------
    ndarray of shape (N,), float64

    Raises
    ------
    InvalidInputError
        Constant labels, whose correlation with anything is undefined; fewer than three; several
        tasks; ρ outside [−1, 1].

    Examples
    --------
    >>> y = [0.0, 0.0, 1.0, 3.0]
    >>> other = second_task(y, 0.9, random_state=0)
    >>> np.corrcoef(y, other).round(12)
    array([[1. , 0.9],
           [0.9, 1. ]])
    """
    labels = _one_task(y)
    _as_correlations([rho])
    centred = labels - labels.mean()
    size = float(np.linalg.norm(centred))
    z = as_generator(random_state).standard_normal(labels.size)
    for _ in range(2):  # the second time removes what rounding left behind
        z -= z.mean()
        z -= centred / size * (centred / size @ z)
    z *= size / np.linalg.norm(z)
    # (1 − ρ)(1 + ρ) keeps all digits of 1 − ρ.
    return np.asarray(labels.mean() + rho * centred + np.sqrt((1.0 - rho) * (1.0 + rho)) * z)


def correlated_tasks(
    X: Any,
    y: Any,
    rho: Any,
    *,
    alpha: float = 0.0,
    n_draws: int = 5,
    shares: Any = (0.5, 1.0),
    tol: float = 1e-2,
    random_state: Any = None,
) -> CorrelatedTasks:
    """Measure what a second task of correlation ρ leaves of the freedom of the first.

    Parameters
    ----------
    X : array_like of shape (N, d) or (N,)
        Inputs, all different.
    y : array_like of shape (N,)
        Labels of the first task, of which several networks are optimal.
    rho : array_like of shape (R,)
        Correlations from −1 to 1. See `second_task`.
    alpha : float
        Penalty of verdicts and widths. With several inputs it must be positive, for almost nothing
        about uniqueness can be proved for 0; then y is replaced by its fit for this penalty, of
        which the optima of the fit are all the optimal interpolants. The price is always one of
        interpolants.
    n_draws : int
        How many second tasks; each is followed over all ρ.
    shares : array_like of shape (Q,)
        Above 0, up to 1, the whole range; see `CorrelatedTasks`.
    tol : float
        Relative width at which the bracket of a price is narrow enough. With several inputs the
        duality gaps, of about 1e-9 of the cost, may leave it wider.
    random_state : int, Generator or None
        Seed of the second tasks.

    Returns
    -------
    CorrelatedTasks

    Raises
    ------
    InvalidInputError
        Only one network is optimal for y alone, so that nothing can return; equal inputs;
        arguments out of range; or as `second_task`.

    Examples
    --------
    >>> x, y = [0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 1.0, 3.0, 2.0]
    >>> found = correlated_tasks(x, y, [1.0, 0.9999, 0.0], n_draws=1, random_state=0)
    >>> found.low, found.high, found.verdicts.ravel().tolist()
    (0.0, 0.5, ['not unique', 'unique', 'unique'])
    >>> found.price_high[:, 0, 1].round(4)
    array([0.    , 0.0029, 0.1277])
    """
    inputs, labels = as_inputs(X), _one_task(y)
    labels = as_labels(labels, inputs.shape[0], name="y")[:, 0]
    correlations = _as_correlations(rho)
    parts = np.asarray(shares, dtype=np.float64).reshape(-1)
    if not (parts.size and np.all((parts > 0.0) & (parts <= 1.0))):
        raise InvalidInputError(
            f"shares is {shares!r}, but it must be numbers above 0, up to 1, the whole range."
        )
    if not isinstance(n_draws, int | np.integer) or n_draws < 1:
        raise InvalidInputError(
            f"n_draws is {n_draws!r}; pass how many second tasks to draw, a whole number >= 1."
        )
    if np.unique(inputs, axis=0).shape[0] < inputs.shape[0]:
        raise InvalidInputError(
            "X has equal inputs, where the noise of the second task would contradict itself; "
            "average their labels first."
        )
    if alpha == 0.0 and inputs.shape[1] > 1:
        raise InvalidInputError(
            "alpha is 0, but with several inputs almost nothing about uniqueness can be proved "
            "then; pass a small alpha > 0, for example 1e-3."
        )
    alone = solve(inputs, labels, alpha, tol=_FIT_TOL)
    optima = alone.optimal_set()
    if alpha > 0.0:
        # The neurons of the polytope are nearer to the optimal ones than those of the fit.
        fit = optima.network if isinstance(optima, OptimalPolytope) else alone.network
        labels = fit(inputs)[:, 0]
    query, low, high = _widest(optima, inputs)
    if high - low <= _VISIBLE * float(np.ptp(labels)):
        raise InvalidInputError(
            f"y alone has no two optimal networks that are known to differ visibly (verdict: "
            f"{optima.verdict.value}), so there is no uniqueness to return; pass labels of which "
            "neighbouring ones bend in the same direction."
        )
    draws = as_generator(random_state).integers(2**63, size=n_draws)
    shape = (correlations.size, n_draws)
    verdicts = np.empty(shape, dtype="<U10")
    widths = np.empty(shape)
    prices = np.empty((*shape, parts.size, 2))
    for i, s in np.ndindex(shape):
        Y = np.column_stack([labels, second_task(labels, float(correlations[i]), int(draws[s]))])
        both = solve(inputs, Y, alpha, tol=_FIT_TOL).optimal_set()
        verdicts[i, s] = both.verdict.value
        widths[i, s] = _width(both, query)
        disagreement = _Disagreement(inputs, Y, query, float(correlations[i]))
        for q, part in enumerate(parts):
            middle, reach = 0.5 * (low + high), 0.5 * part * (high - low)
            prices[i, s, q] = disagreement.price((middle - reach, middle + reach), tol)
    return CorrelatedTasks(
        correlations, parts, query, low, high, verdicts, widths, prices[..., 0], prices[..., 1]
    )


def fit_price(rho: Any, price_low: Any, price_high: Any) -> Rate:
    """Fit price ≈ constant · x^exponent with x = 1/(1 − ρ), to 0 < 1 − ρ ≤ 0.001.

    Parameters
    ----------
    rho : array_like of shape (R,)
        Correlations.
    price_low, price_high : array_like of shape (R, S)
        Brackets of the price for one share, of S draws, as in `CorrelatedTasks`. Those wider than
        10 % are left out.

    Returns
    -------
    Rate
        With a bootstrap interval over the draws. An exponent of −1 says that the price is
        proportional to 1 − ρ, one of −½ to its root. The laws hold once the noise of the second
        task costs less than y; where y is much smoother than noise, that takes a smaller 1 − ρ.

    Raises
    ------
    InvalidInputError
        As `mtrelu.regime.rates.fit_rate`: shapes that do not fit, a correlation named twice.

    Examples
    --------
    >>> price = [[0.2], [0.1], [0.01], [0.001]]
    >>> round(fit_price([0.0, 0.999, 0.9999, 0.99999], price, price).exponent, 6)
    -1.0
    """
    correlations = _as_correlations(rho)
    low, high = np.asarray(price_low, dtype=np.float64), np.asarray(price_high, dtype=np.float64)
    if low.shape != high.shape or low.ndim != 2 or low.shape[0] != correlations.size:
        raise InvalidInputError(
            f"price_low and price_high have shapes {low.shape} and {high.shape}, but both need "
            f"one row a correlation, of which there are {correlations.size}, and one column a draw."
        )
    near = (correlations < 1.0) & (1.0 - correlations <= NEAR * (1.0 + 1e-6))
    price = np.where(high - low <= RESOLVED * high, 0.5 * (low + high), np.nan)
    return fit_rate(1.0 / (1.0 - correlations[near]), price[near].T)


class _Disagreement:
    """What it costs two tasks that the first takes a value at the query."""

    def __init__(self, X: FloatArray, Y: FloatArray, query: FloatArray, rho: float) -> None:
        self.X, self.Y = np.vstack([X, query]), Y
        if X.shape[1] == 1:
            fit = interpolate(X, Y)
            error = float(fit.errors.sum())
            self.least, self.most = fit.cost - error, fit.cost + error
            self.values = fit(query[np.newaxis])[0]
        else:
            found = solve(X, Y, 0.0, tol=_TOL)
            self.least, self.most = found.certificate.dual, found.certificate.primal
            self.values = found.network(query[np.newaxis])[0]
            self._start = found.network
        self.rho = rho
        # The second task moves with the first, and by its own noise.
        noise = np.sqrt(max(1.0 - rho**2, 1e-12))
        self.step = 0.3 * float(np.ptp(Y[:, 0])) * noise

    def price(self, values: Iterable[float], tol: float) -> tuple[float, float]:
        """Bracket the larger of the prices of these values of the first task."""
        low = high = 0.0
        # The value that is farther from the optimum is nearly always the dearer one.
        for value in sorted(values, key=lambda value: -abs(value - self.values[0])):
            least, most = self._least_cost(value, tol, floor=(1.0 + low) * self.least)
            low = max(low, (least - self.most) / self.most)
            high = max(high, (most - self.least) / self.least)
        return low, high

    def _least_cost(self, value: float, tol: float, floor: float) -> tuple[float, float]:
        """Bracket the least cost over the label of the second task, which is free.

        The cost is convex in that label, so two cuts with slopes of opposite signs bound it where
        they meet. The next label is there or where the slopes, interpolated, vanish, in turns.
        The search also ends when the cost is known to be below the floor.
        """
        t = float(self.values[1] + self.rho * (value - self.values[0]))
        cuts, step = [self._cut(value, t)], self.step
        while True:
            most = min(cut.upper for cut in cuts)
            falling = max((c for c in cuts if c.slope <= 0.0), key=lambda c: c.t, default=None)
            rising = min((c for c in cuts if c.slope >= 0.0), key=lambda c: c.t, default=None)
            if falling is None or rising is None:
                least = 0.0
                t = cuts[-1].t - np.copysign(step, cuts[-1].slope)
                step *= 4.0
            else:
                t, least = _meeting(falling, rising)
                if len(cuts) % 2 and rising.slope > falling.slope:
                    share = -falling.slope / (rising.slope - falling.slope)
                    t = falling.t + share * (rising.t - falling.t)
            narrow = most - least <= tol * max(most - self.most, 0.0)
            known = 4.0 * min(cut.upper - cut.lower for cut in cuts) + self.most - self.least
            if narrow or most - least <= known or most <= floor or len(cuts) == _MOST_SOLVES:
                return least, most
            cuts.append(self._cut(value, t))

    def _cut(self, value: float, t: float) -> _Cut:
        """Interpolate with one more data point."""
        Y = np.vstack([self.Y, [value, t]])
        if self.X.shape[1] == 1:
            fit = interpolate(self.X, Y)
            error = float(fit.errors.sum())
            return _Cut(t, fit.cost - error, fit.cost + error, _slope(fit, self.X[-1, 0]))
        found = solve(self.X, Y, 0.0, tol=_TOL, warm_start=self._start)
        proved = found.certificate
        assert found.dual is not None  # generated neurons always come with one
        # The certificate may rest on another dual variable, of which the slope is not known.
        lower = min(proved.dual, float(np.sum(found.dual * Y)))
        return _Cut(t, lower, proved.primal, float(found.dual[-1, 1]))


def _meeting(falling: _Cut, rising: _Cut) -> tuple[float, float]:
    """Return where two cuts meet, as a label between theirs, and the height there."""
    if rising.slope == falling.slope:  # both are flat, so each is a bound by itself
        return falling.t, max(falling.lower, rising.lower)
    width = rising.t - falling.t
    rise = falling.lower - rising.lower + rising.slope * width
    ahead = rise / (rising.slope - falling.slope)
    return falling.t + min(max(ahead, 0.0), width), falling.lower + falling.slope * ahead


def _slope(fit: Interpolant, x: float) -> float:
    """Return the derivative of the cost of an interpolant by the second task's label at x.

    Two data points or more are on either side.
    """
    j = int(np.searchsorted(fit.x, x))
    changes = fit.slope_changes[j - 2 : j + 1]
    norms = np.linalg.norm(changes, axis=1)
    u = np.divide(changes[:, 1], norms, out=np.zeros(3), where=norms > 0.0)
    before, after = np.diff(fit.x[j - 1 : j + 2])
    return float((u[0] - u[1]) / before + (u[2] - u[1]) / after)


def _widest(optima: OptimalSet | OptimalPolytope, X: FloatArray) -> tuple[FloatArray, float, float]:
    """Return where optima of one task differ most, and their range there."""
    if isinstance(optima, OptimalSet):  # then the farthest optimum bends there
        points = optima.extremes()[1].knots()[:, np.newaxis]
        if points.size == 0:
            points = X
    else:
        points = sup_points(X)
    low, high = optima.range(points)
    at = int(np.argmax(high[:, 0] - low[:, 0]))
    return points[at], float(low[at, 0]), float(high[at, 0])


def _width(optima: OptimalSet | OptimalPolytope, query: FloatArray) -> float:
    """Return how much optima of the first task differ at the query; NaN if that is not known."""
    if optima.verdict is Verdict.UNIQUE:
        return 0.0
    incomplete = isinstance(optima, OptimalPolytope) and not optima.complete
    if incomplete or optima.verdict is Verdict.UNDECIDED:
        return float("nan")
    low, high = optima.range(query[np.newaxis])
    return float(high[0, 0] - low[0, 0])


def _one_task(y: Any) -> FloatArray:
    """Return the labels (N,) of one task that has a correlation with others."""
    labels = as_inputs(y, name="y")
    if labels.shape[1] != 1:
        raise InvalidInputError(
            f"y has {labels.shape[1]} columns, but it is one task, to which a second is drawn; "
            "pass one column."
        )
    if labels.shape[0] < 3:
        raise InvalidInputError(
            f"y has {labels.shape[0]} labels, but noise that is orthogonal to the constants and "
            "to y needs three; pass more samples."
        )
    if np.ptp(labels) <= 1e-12 * np.abs(labels).max():
        raise InvalidInputError(
            f"y is constant ({labels[0, 0]:g}), and correlation with a constant is undefined; pass "
            "labels that vary."
        )
    return labels[:, 0]


def _as_correlations(rho: Any) -> FloatArray:
    """Return correlations as a vector, refusing what is none."""
    correlations = as_inputs(rho, name="rho")
    if correlations.shape[1] != 1 or np.abs(correlations).max() > 1.0:
        raise InvalidInputError(
            f"rho is {rho!r}, but correlations are numbers from -1 to 1, in one column."
        )
    return correlations[:, 0]
