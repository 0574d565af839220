"""One input, ``alpha > 0``: group trend filtering by a working set of knots.

Problem [9] has a solution that is linear between data points, so its unknowns are the values at
the sorted distinct inputs.  Few slope changes are nonzero unless ``alpha`` is tiny: solve with few
knots, look at the dual norms ``||U_i||`` on all points, add their local maxima above ``alpha``,
drop the knots that have left, repeat until the duality gap over all points is small.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mtrelu.losses import SquaredLoss
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.solvers import _hat_basis
from mtrelu.solvers._block_spline import BlockData
from mtrelu.solvers._spline_data import AnyLossData, Data, NodeFit, SquaredData
from mtrelu.solvers.progress import Progress
from mtrelu.validation import FloatArray, shared

# Beyond this share of all points a working set saves nothing.
LARGE_SHARE = 0.6
# With so few nodes to start from there may be no knot at all: try that first.
FEW = 12
# The best line is cheap, and near alpha_max its dual variable decides whether there is a knot.
LINE_ACCURACY = 1e-12
MAX_ROUNDS = 200
# After so many rounds without progress no knot leaves any more, so that knots cannot come and go.
MAX_STALLED = 4
# Neighbouring gaps between knots in a smaller ratio than this leave no digits to the slope between.
CLOSEST = 1e-14


@dataclass(frozen=True)
class SplineFit:
    """Result of :func:`fit_spline`.

    Attributes
    ----------
    network : ReLUNetwork
        Canonical network, one neuron a knot.
    dual : callable
        Returns the solver's dual variable (N, T) in the order of the problem's rows, or None.
        Where the loss is smooth the network determines one nearly as good, so that only a
        certificate that just fails needs to ask for it.
    n_iter : int
        Rounds of the working set.
    stopped : bool
        True when ``max_iter`` or ``time_limit`` ended the work before the gap was small.
    """

    network: ReLUNetwork
    dual: Callable[[], FloatArray | None]
    n_iter: int
    stopped: bool


def fit_spline(
    problem: Problem,
    *,
    tol: float,
    max_iter: int | None = None,
    time_limit: float | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> SplineFit:
    """Solve [9] for one input and ``alpha > 0``.

    Parameters
    ----------
    problem : Problem
        One input column, ``skip="affine"``, any loss.
    tol : float
        Relative duality gap to reach.
    max_iter, time_limit
        Rounds and seconds after which the best network so far is returned.
    callback : callable, optional
        Called with a :class:`Progress` after each round.

    Notes
    -----
    Each round costs O(N T) for the data and, for K knots, at most O(K T^3) or O(K^3) a Newton step
    (squared loss), O(N T + K T^3) for other losses.
    """
    open_tasks = np.flatnonzero(_needs_knots(problem))
    if open_tasks.size < problem.n_tasks:
        return _fit_some(problem, open_tasks, tol, max_iter, time_limit, callback)
    deadline = np.inf if time_limit is None else time.monotonic() + time_limit
    order = np.argsort(problem.X[:, 0], kind="stable")
    x, Y, weight = problem.X[order, 0], problem.Y[order], problem.sample_weight[order]
    if x[0] == x[-1]:
        A, c, P = problem.affine_fit()
        return SplineFit(_line_network(A[:, 0], c), lambda: P, 0, False)
    level, slope, centre = _best_lines(x, Y, weight)
    labels = Y
    if problem.loss.of_residual:
        labels = (Y - level) - (x - centre)[:, None] * slope
        if weight.ndim == 2:
            labels = np.where(weight > 0.0, labels, 0.0)
        if np.abs(labels).max() <= 4 * np.finfo(float).eps * np.abs(Y).max():
            line = _line_network(slope, level - slope * centre)
            return SplineFit(line, lambda: None, 0, False)
    else:
        level, slope = 0.0 * level, 0.0 * slope
    data: Data
    if isinstance(problem.loss, SquaredLoss) and weight.ndim == 2:
        data = BlockData(x, labels, weight, problem.alpha)
    elif isinstance(problem.loss, SquaredLoss):
        data = SquaredData(x, labels, weight, problem.alpha)
    else:
        data = AnyLossData(problem.loss, x, labels, weight, problem.alpha)

    def report(iteration: int, fit: NodeFit) -> None:
        if callback is not None:
            callback(Progress(iteration, fit.primal * data.unit, fit.gap, len(fit.nodes) - 2))

    fit, n_iter, stopped = _working_set(data, 0.5 * tol, max_iter or MAX_ROUNDS, deadline, report)
    at = data.x[fit.nodes]
    values = data.values(fit)
    rise = np.diff(values, axis=0) / np.diff(at)[:, None]
    changes = np.diff(rise, axis=0)
    used = changes.any(axis=1)
    first = slope + rise[0]
    start = level + (at[0] - centre) * slope + values[0]
    network = ReLUNetwork.from_knots(at[1:-1][used], changes[used], first, start - first * at[0])

    def dual() -> FloatArray | None:
        P = np.empty(problem.Y.shape)
        P[order] = data.dual_rows(fit)
        return P if bool(np.isfinite(P).all()) else None

    return SplineFit(network, dual, n_iter, stopped)


def _working_set(
    data: Data,
    tol: float,
    max_iter: int,
    deadline: float,
    report: Callable[[int, NodeFit], None],
) -> tuple[NodeFit, int, bool]:
    """The best fit found, rounds used, and whether a limit ended the search."""
    n = len(data.x)
    objective = data.objective
    first = nodes = data.first_nodes()
    if len(nodes) <= FEW:
        nodes = nodes[[0, -1]]
    gap = 1.0
    best: NodeFit | None = None
    pruning = False
    stuck = stalled = 0
    for iteration in range(1, max_iter + 1):
        if not pruning and len(nodes) > max(LARGE_SHARE * n, FEW):
            nodes = np.arange(n)
        final = pruning or len(nodes) in (2, n)
        nodes = _hat_basis.thinned(data.x, nodes, CLOSEST)
        accuracy = 0.1 * tol if final else max(0.1 * tol, 0.02 * gap)
        if pruning:
            accuracy *= 0.1  # so that a warm start takes a step
        if len(nodes) == 2:
            accuracy = min(accuracy, LINE_ACCURACY)
        again = best is not None and np.array_equal(nodes, best.nodes)
        fit = data.fit(nodes, objective * accuracy, best if pruning or again else None)
        objective = min(objective, fit.primal)
        gap = min(fit.gap, 1.0)
        report(iteration, fit)
        if pruning and gap > tol:
            break  # the knots dropped last were needed after all
        stalled = stalled + 1 if best is not None and gap > 0.5 * best.gap else 0
        if best is None or fit.gap <= max(tol, best.gap):
            best = fit
        # e_k s_k is the same for all knots on the central path: the smaller factor goes to 0.
        slack = 0.5 * (1.0 - np.einsum("kt,kt->k", fit.u, fit.u))
        typical = float(fit.e.mean()) if len(fit.e) else 0.0
        pruning = gap <= tol
        negligible = 1e-3 * tol * fit.primal / max(1, len(fit.e))
        kept = fit.e > np.maximum((1.0 if pruning else 1e-2) * slack * typical, negligible)
        if (pruning and kept.all()) or time.monotonic() > deadline:
            break
        if stalled <= MAX_STALLED or pruning:
            nodes = np.concatenate([nodes[:1], nodes[1:-1][kept], nodes[-1:]])
        if not pruning:
            nodes = np.union1d(nodes, _hat_basis.local_maxima(fit.norms, data.penalty))
            if len(fit.nodes) == 2:
                nodes = np.union1d(nodes, first)
            # The same knots again and no better than before: rounding sets the limit.
            same = len(nodes) == len(fit.nodes) and bool(np.all(nodes == fit.nodes))
            stuck = stuck + 1 if stalled and (same or final) else 0
            if stuck > 2:
                break
    assert best is not None
    return best, iteration, best.gap > tol and stuck <= 2


def _line_network(slope: FloatArray, intercept: FloatArray) -> ReLUNetwork:
    return ReLUNetwork.from_knots([], np.zeros((0, len(slope))), slope, intercept)


def _needs_knots(problem: Problem) -> np.ndarray:
    """Which tasks have labels at three inputs or more; a line fits the others as well as can be."""
    if problem.shares_weights:
        return np.ones(problem.n_tasks, dtype=bool)
    many = np.empty(problem.n_tasks, dtype=bool)
    for tasks, _, part in problem.by_weights():
        many[tasks] = np.unique(part.X[:, 0]).size > 2
    return many


def _fit_some(
    problem: Problem,
    chosen: NDArray[np.intp],
    tol: float,
    max_iter: int | None,
    time_limit: float | None,
    callback: Callable[[Progress], None] | None,
) -> SplineFit:
    """Fit the chosen tasks, which share nothing with the others, whose best fits are lines."""
    A, c, P = problem.affine_fit()
    if not chosen.size:
        return SplineFit(_line_network(A[:, 0], c), lambda: P, 0, False)
    rows = np.flatnonzero(problem.sample_weight[:, chosen].any(axis=1))
    kept = np.ix_(rows, chosen)
    part = replace(
        problem,
        X=problem.X[rows],
        Y=np.ascontiguousarray(problem.Y[kept]),
        sample_weight=shared(problem.sample_weight[kept]),
    )
    fit = fit_spline(part, tol=tol, max_iter=max_iter, time_limit=time_limit, callback=callback)
    v = np.zeros((fit.network.n_neurons, problem.n_tasks))
    v[:, chosen], A[chosen], c[chosen] = fit.network.v, fit.network.A, fit.network.c

    def dual() -> FloatArray | None:
        found, whole = fit.dual(), P.copy()
        if found is None:
            return None
        whole[:, chosen] = 0.0
        whole[kept] = found
        return whole

    network = ReLUNetwork(fit.network.w, fit.network.b, v, A, c)
    return SplineFit(network, dual, fit.n_iter, fit.stopped)


def _best_lines(
    x: FloatArray, Y: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """As `_least_squares_line`, for each task by its own weights (N,) or (N, T)."""
    if weight.ndim == 1:
        return _least_squares_line(x, Y, weight)
    centre = 0.5 * float(x[0] + x[-1])
    level, slope = np.empty(Y.shape[1]), np.empty(Y.shape[1])
    for t in range(Y.shape[1]):
        used = np.flatnonzero(weight[:, t])
        own_level, own_slope, own = _least_squares_line(
            x[used], Y[used, t : t + 1], weight[used, t]
        )
        level[t], slope[t] = own_level[0] + (centre - own) * own_slope[0], own_slope[0]
    return level, slope, centre


def _least_squares_line(
    x: FloatArray, Y: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Level (T,) at the centre, slope (T,) and centre of the best line under squared loss."""
    share = weight / weight.sum()
    centre = float(x[0] + share @ (x - x[0]))
    level = Y[0] + share @ (Y - Y[0])
    offset = x - centre
    spread = share @ offset**2
    return level, (share * offset) @ (Y - level) / spread, centre
