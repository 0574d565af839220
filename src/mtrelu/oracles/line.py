"""One input: the dual function at the data points, exact and in linear time.

For ``w = +1`` and ``w = -1`` the dual function is the same, given the constraints of the affine
skip (``sum_i p_i = 0``, ``sum_i p_i x_i = 0``), and between data points its square is convex in
the bias. So its maximum over all neurons lies at a data point, where

    g(x_j) = || sum_{i<j} (x_j - x_i) p_i ||_2

follows from two cumulative sums. They are kept in doubled precision (`mtrelu.doubled`): offsets of
1e10 and gaps of 1e-9 of the range cost no digits.
"""

import math

import numpy as np
from numba import njit

from mtrelu.doubled import accumulate, accumulate_scaled, add, two_product, two_sum
from mtrelu.oracles import OracleResult

_PASSES = 5  # two are enough but for weights of very different size
_TOLERANCE = 1e-25  # what may be left of a constraint, relative to its terms
_BLOCK = 128  # tasks treated together, so that their running sums stay in the cache


@njit(cache=True)
def _sum_of_squares(values: np.ndarray) -> float:
    result = 0.0
    for value in values:
        result += value * value
    return result


@njit(cache=True)
def _left_norms(x: np.ndarray, P: np.ndarray, P_low: np.ndarray, out: np.ndarray) -> None:
    n, n_tasks = P.shape
    out_low = np.zeros(n)
    out[:] = 0.0
    for first in range(0, n_tasks, _BLOCK):
        last = min(first + _BLOCK, n_tasks)
        mass, mass_low = np.zeros(last - first), np.zeros(last - first)
        u, u_low = np.zeros(last - first), np.zeros(last - first)
        for i in range(n):
            if i > 0:
                h, h_low = two_sum(x[i], -x[i - 1])
                accumulate_scaled(u, u_low, mass, mass_low, h, h_low)
                out[i], e = two_sum(out[i], _sum_of_squares(u))
                out_low[i] += e
            accumulate(mass, mass_low, P[i, first:last], P_low[i, first:last])
    for i in range(n):
        out[i] = np.sqrt(out[i] + out_low[i])


@njit(cache=True)
def _subtract_line_at(
    p: np.ndarray,
    p_low: np.ndarray,
    weights: np.ndarray,
    level: np.ndarray,
    slope: np.ndarray,
    mean: np.ndarray,
    xi: float,
) -> None:
    for t in range(p.size):
        q, e = two_product(weights[t], -(level[t] + slope[t] * (xi - mean[t])))
        p[t], p_low[t] = add(p[t], p_low[t], q, e)


@njit(cache=True)
def _moments(
    xi: np.ndarray, weights: np.ndarray, first: int, m: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Mass, mean and spread of the weights of m tasks. About the mean, so that a weight that is
    # 1e14 times another leaves digits to the spread.
    mass, mean, spread = np.zeros(m), np.zeros(m), np.zeros(m)
    columns = min(m, weights.shape[1])  # one weight for all tasks of a sample, or one each
    for i in range(xi.size):
        for t in range(columns):
            mass[t] += weights[i, first + t]
            mean[t] += weights[i, first + t] * xi[i]
    for t in range(columns):
        mean[t] = mean[t] / mass[t] if mass[t] > 0 else 0.0
    for i in range(xi.size):
        for t in range(columns):
            spread[t] += weights[i, first + t] * (xi[i] - mean[t]) ** 2
    if columns < m:
        mass[:], mean[:], spread[:] = mass[0], mean[0], spread[0]
    return mass, mean, spread


@njit(cache=True)
def _add_sizes(sizes: np.ndarray, p: np.ndarray) -> None:
    for t in range(p.size):
        sizes[t] += abs(p[t])


@njit(cache=True)
def _subtract_weighted_line(
    x: np.ndarray,
    xi: np.ndarray,
    P: np.ndarray,
    P_low: np.ndarray,
    weights: np.ndarray,
    passes: int,
    tolerance: float,
) -> None:
    # Subtracts weights_it (level_t + slope_t (xi_i - mean_t)) in place, so that
    # sum p = sum p x = 0. The two coefficients are float64: each pass gains some 15 digits.
    n, n_tasks = P.shape
    half = 0.5 * (x[n - 1] - x[0])
    shared = weights.shape[1] < n_tasks
    for first in range(0, n_tasks, _BLOCK):
        last = min(first + _BLOCK, n_tasks)
        m = last - first
        total, mean, spread = _moments(xi, weights, 0 if shared else first, m)
        level, slope, row = np.zeros(m), np.zeros(m), np.empty(m)
        for step in range(passes + 1):
            if step == passes and tolerance == 0:
                break
            sizes = np.zeros(m)
            mass, mass_low = np.zeros(m), np.zeros(m)
            tilt, tilt_low = np.zeros(m), np.zeros(m)
            for i in range(n):
                p, p_low = P[i, first:last], P_low[i, first:last]
                h, h_low = two_sum(x[i], -x[0])
                accumulate(mass, mass_low, p, p_low)
                accumulate_scaled(tilt, tilt_low, p, p_low, h, h_low)
                _add_sizes(sizes, p)
            met = np.abs(mass) <= tolerance * sizes
            if half > 0:
                met &= np.abs(tilt) <= tolerance * sizes * half
            if step == passes:  # zero is a dual variable, what violates the constraints is not
                for failed in np.flatnonzero(~met):
                    P[:, first + failed] = 0.0
                    P_low[:, first + failed] = 0.0
                break
            if np.all(met):
                break
            for t in range(m):
                level[t] = mass[t] / total[t] if total[t] > 0 else 0.0
                slope[t] = 0.0
                if half > 0 and spread[t] > 0:
                    # xi = (x - x_0) / half - 1
                    slope[t] = (tilt[t] / half - (1.0 + mean[t]) * mass[t]) / spread[t]
            for i in range(n):
                if shared:
                    row[:] = weights[i, 0]
                else:
                    row = weights[i, first:last]
                _subtract_line_at(
                    P[i, first:last], P_low[i, first:last], row, level, slope, mean, xi[i]
                )


def project(
    x: np.ndarray, P: np.ndarray, weights: np.ndarray, *, exact: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Make ``P`` satisfy the constraints of the affine skip.

    Every column loses a multiple of ``weights * (1, x)``, which makes ``sum_i p_i`` and
    ``sum_i p_i x_i`` vanish to 1e-25 of their terms, most often to 1e-30. A column that cannot be
    brought there (weights may differ by more than float64 can hold) becomes zero.

    Parameters
    ----------
    x : ndarray of shape (N,)
        Inputs, ascending; ties allowed.
    P : ndarray of shape (N, T)
        Any dual variable.
    weights : ndarray of shape (N, T) or (N, 1)
        How much of the correction each entry takes, at least 0.
    exact : bool
        False for a first approximation, which may leave some 1e-15 of the violation.

    Returns
    -------
    P, P_low : ndarray of shape (N, T)
        The projection, in doubled precision: it is ``P + P_low``.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 2.0])
    >>> P, P_low = project(x, np.array([[1.0], [0.0], [0.0]]), np.ones((3, 1)))
    >>> (P.ravel() * 6).round(12)
    array([ 1., -2.,  1.])
    """
    high, low = np.array(P, dtype=float, order="C"), np.zeros(P.shape)
    half = 0.5 * (x[-1] - x[0])
    xi = (x - x[0]) / half - 1.0 if half > 0 else np.zeros(x.size)
    _subtract_weighted_line(
        np.array(x, dtype=float), xi, high, low,
        np.array(weights, dtype=float, order="C"),
        _PASSES if exact else 1, _TOLERANCE if exact else 0.0,
    )  # fmt: skip
    return high, low


def dual_function(x: np.ndarray, P: np.ndarray, P_low: np.ndarray | None = None) -> np.ndarray:
    """Dual function at the data points: ``||sum_{i<j} (x_j - x_i) p_i||_2`` for every j.

    Parameters
    ----------
    x : ndarray of shape (N,)
        Inputs, ascending; ties allowed.
    P : ndarray of shape (N, T)
        Dual variable with ``sum_i p_i = 0`` and ``sum_i p_i x_i = 0`` (see `project`).
    P_low : ndarray of shape (N, T), optional
        Low part of a dual variable in doubled precision.

    Returns
    -------
    ndarray of shape (N,)
        Values, in units of ``P`` times those of ``x``; exact to a few roundings.

    Examples
    --------
    >>> dual_function(np.array([0.0, 1.0, 3.0]), np.array([[2.0], [-3.0], [1.0]]))
    array([0., 2., 0.])
    """
    low = np.zeros(P.shape) if P_low is None else P_low
    # Powers of two bring extreme units to about 1, so that no square over- or underflows.
    scale_x, scale_p = _power_of_two(x[-1] - x[0]), _power_of_two(max(P.max(), -P.min()))
    if not 1e-60 < scale_x < 1e60 or not 1e-60 < scale_p < 1e60:
        return dual_function(x / scale_x, P / scale_p, low / scale_p) * scale_p * scale_x
    out = np.empty(x.size)
    _left_norms(np.ascontiguousarray(x), np.ascontiguousarray(P), np.ascontiguousarray(low), out)
    return out


def search(x: np.ndarray, P: np.ndarray, P_low: np.ndarray | None = None) -> OracleResult:
    """Maximise the dual function over all neurons of one input.

    Parameters
    ----------
    x, P, P_low
        As in `dual_function`.

    Returns
    -------
    OracleResult
        Exact. Its value is rounded up, so that rounding cannot make an infeasible dual variable
        look feasible; its neurons are the local maximisers among the data points, with ``w = 1``.

    Examples
    --------
    >>> result = search(np.array([0.0, 1.0, 3.0]), np.array([[2.0], [-3.0], [1.0]]))
    >>> result.exactness, round(result.value, 9), result.b
    ('exact', 2.0, array([-1.]))
    """
    return peaks(x, dual_function(x, P, P_low), P.shape[1])


def peaks(x: np.ndarray, g: np.ndarray, n_tasks: int) -> OracleResult:
    """Return the answer of `search`, given the values of the dual function at the data points.

    Parameters
    ----------
    x, g : ndarray of shape (N,)
        Inputs, ascending, and the values there.
    n_tasks : int
        Over how many tasks the values are norms, which says how far they may be rounded.

    Returns
    -------
    OracleResult
        As for `search`.

    Examples
    --------
    >>> peaks(np.array([0.0, 1.0, 3.0]), np.array([0.0, 2.0, 0.0]), n_tasks=1).b
    array([-1.])
    """
    first_of_ties = np.flatnonzero(np.diff(x, prepend=-np.inf))
    values = g[first_of_ties]
    peak = values > 0
    peak[1:] &= values[1:] > values[:-1]
    peak[:-1] &= values[:-1] >= values[1:]
    order = np.flatnonzero(peak)
    order = order[np.argsort(-values[order], kind="stable")]
    # The cumulative sums are exact to about 1e-30; what rounds is the norm: at most half an eps for
    # each square of a block, halved again by the root, and a little around that.
    rounding = (4.0 + 0.25 * min(n_tasks, _BLOCK)) * float(np.finfo(float).eps)
    top = float(g.max()) * (1.0 + rounding)
    return OracleResult(
        value=top if top >= 0 else math.inf,  # not a number after overflow: no bound at all
        exactness="exact",
        w=np.ones((order.size, 1)),
        b=-x[first_of_ties[order]],
        g=values[order],
    )


def _power_of_two(value: float) -> float:
    return float(2.0 ** (np.frexp(value)[1] - 1)) if 0 < value < np.inf else 1.0
