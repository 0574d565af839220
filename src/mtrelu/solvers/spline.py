"""One input, ``alpha > 0``: group trend filtering by a working set of knots.

Problem [9] has a solution that is linear between data points, so its unknowns are the values at
the sorted distinct inputs.  Few slope changes are nonzero unless ``alpha`` is tiny: solve with few
knots, look at the dual norms ``||U_i||`` on all points, add their local maxima above ``alpha``,
drop the knots that have left, repeat until the duality gap over all points is small.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from mtrelu.losses import Loss, SquaredLoss
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.solvers import _hat_basis
from mtrelu.solvers._loss_newton import dual_norms, fenchel_gap, fit_loss, locate, rows_from_nodes
from mtrelu.solvers._spline_algebra import differences, subtract_adjoint
from mtrelu.solvers.progress import Progress
from mtrelu.validation import FloatArray

Nodes = NDArray[np.int64]

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
    deadline = np.inf if time_limit is None else time.monotonic() + time_limit
    order = np.argsort(problem.X[:, 0], kind="stable")
    x, Y, weight = problem.X[order, 0], problem.Y[order], problem.sample_weight[order]
    if x[0] == x[-1]:
        A, c, P = problem.affine_fit()
        return SplineFit(_line_network(A[:, 0], c), lambda: P, 0, False)
    level, slope, centre = _least_squares_line(x, Y, weight)
    labels = Y
    if problem.loss.of_residual:
        labels = (Y - level) - (x - centre)[:, None] * slope
        if np.abs(labels).max() <= 4 * np.finfo(float).eps * np.abs(Y).max():
            line = _line_network(slope, level - slope * centre)
            return SplineFit(line, lambda: None, 0, False)
    else:
        level, slope = 0.0 * level, 0.0 * slope
    data: _Data
    if isinstance(problem.loss, SquaredLoss):
        data = _SquaredData(x, labels, weight, problem.alpha)
    else:
        data = _AnyLossData(problem.loss, x, labels, weight, problem.alpha)

    def report(iteration: int, fit: _NodeFit) -> None:
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
        P = np.empty_like(Y)
        P[order] = data.dual_rows(fit)
        return P if bool(np.isfinite(P).all()) else None

    return SplineFit(network, dual, n_iter, stopped)


@dataclass(frozen=True)
class _NodeFit:
    """The optimum with knots at the inner ``nodes`` only, measured on all points."""

    nodes: Nodes
    C: FloatArray  # values at the nodes (m, T)
    u: FloatArray  # multipliers in the unit ball (K, T)
    e: FloatArray  # group weights (K,)
    primal: float
    dual: float
    norms: FloatArray  # dual norms at all points, to be compared with the penalty
    # Squared loss: node values whose residuals are the dual variable; else that of every row.
    dual_source: FloatArray

    @property
    def gap(self) -> float:
        gap = self.primal - self.dual
        if gap <= 0.0:
            return 0.0
        return gap / self.primal if np.isfinite(gap) and self.primal > 0.0 else np.inf


class _Data(Protocol):
    """The problem on sorted distinct inputs ``x``, in units of its own."""

    x: FloatArray
    penalty: float
    unit: float  # of the objective
    objective: float  # without any neuron; a scale for the first tolerance

    def first_nodes(self) -> Nodes: ...
    def fit(self, nodes: Nodes, tol: float, start: _NodeFit | None) -> _NodeFit: ...
    def values(self, fit: _NodeFit) -> FloatArray: ...
    def dual_rows(self, fit: _NodeFit) -> FloatArray: ...


class _SquaredData:
    """Squared loss: equal inputs merged, everything scaled to order one, tasks compressed."""

    def __init__(self, x: FloatArray, Y: FloatArray, weight: FloatArray, alpha: float) -> None:
        self._rows = x, Y, weight
        self.x, labels, weight = _merge_equal_inputs(x, Y, weight)
        self._means = labels
        width = self.x[-1] - self.x[0]
        self._height = float(np.sqrt(np.mean(labels**2))) or 1.0
        mean_weight = float(weight.mean())
        self._position = (self.x - self.x[0]) / width
        self._weight = weight / mean_weight
        self._all_labels = np.ascontiguousarray(labels / self._height)
        self.unit = self._height**2 * mean_weight
        self.penalty = float(alpha / (width * self._height * mean_weight))
        self._labels = self._all_labels
        if labels.shape[1] > len(self.x):
            # Rotating the tasks changes nothing, so the N columns of R in Y^T = Q R do.
            R = qr(self._labels.T, mode="r", check_finite=False)[0][: len(self.x)]
            self._labels = np.ascontiguousarray(R.T)
        self.objective = 0.5 * float(self._weight @ np.einsum("it,it->i", labels, labels))
        self.objective /= self._height**2

    def first_nodes(self) -> Nodes:
        nodes: Nodes = _hat_basis.first_nodes(
            self._position, self._weight, self._labels, self.penalty
        )
        return nodes

    def fit(self, nodes: Nodes, tol: float, start: _NodeFit | None) -> _NodeFit:
        norms = np.empty(len(self.x))
        n_tasks = self._labels.shape[1]
        C = np.empty((len(nodes), n_tasks))
        if start is None or self._labels is not self._all_labels:
            # (Compressed tasks come back through e alone, which a warm start leaves less exact.)
            start = None
            u, e = np.empty((len(nodes) - 2, n_tasks)), np.empty(len(nodes) - 2)
        else:
            # Idle knots left out of a point near the central path leave one.
            kept = np.searchsorted(start.nodes, nodes)
            u, e = start.u[kept[1:-1] - 1], start.e[kept[1:-1] - 1]
        S, primal, dual = _hat_basis.fit_on_nodes(
            self._position, self._weight, self._labels, self.penalty, nodes, tol,
            C, u, e, start is not None, norms,
        )  # fmt: skip
        return _NodeFit(nodes, C, u, e, primal, dual, norms, S)

    def values(self, fit: _NodeFit) -> FloatArray:
        if self._labels is self._all_labels:
            return fit.C * self._height
        return self._height * self._all_tasks(fit)[0]

    def dual_rows(self, fit: _NodeFit) -> FloatArray:
        if self._labels is self._all_labels:
            C, u = fit.dual_source, fit.u
        else:
            C, u = self._all_tasks(fit)
        if len(fit.nodes) == len(self.x):
            # Feasible by construction: P = D^T u, while a residual is rounded where it is tiny.
            P = np.zeros_like(C)
            rows = _hat_basis.second_difference_rows(self._position, self.penalty)
            subtract_adjoint(rows, -u, P)
        else:
            at = self._position[fit.nodes]
            segment, up = locate(self._position, at)
            P = self._weight[:, None] * (self._all_labels - rows_from_nodes(segment, up, C))
        x, Y, weight = self._rows
        group = np.searchsorted(self.x, x)
        share = (self._height * P / self._weight[:, None])[group]
        return weight[:, None] * ((Y - self._means[group]) + share)

    def _all_tasks(self, fit: _NodeFit) -> tuple[FloatArray, FloatArray]:
        """Node values and multipliers of the tasks before compression, scaled."""
        # The way back needs no Q: the group weights are common to all tasks.
        C, u = _hat_basis.fit_given_weights(
            self._position, self._weight, self._all_labels, self.penalty, fit.nodes, fit.e
        )
        return C, u


class _AnyLossData:
    """Any loss: every row keeps its own dual variable, inputs are scaled to [0, 1]."""

    unit = 1.0

    def __init__(
        self, loss: Loss, x: FloatArray, Y: FloatArray, weight: FloatArray, alpha: float
    ) -> None:
        self.x, self._first_row, self._group = np.unique(x, return_index=True, return_inverse=True)
        width = self.x[-1] - self.x[0]
        self._loss, self._Y, self._weight = loss, np.ascontiguousarray(Y), weight[:, None]
        self._position = (self.x - self.x[0]) / width
        self.penalty = float(alpha / width)
        self.objective = float(np.sum(self._weight * loss.value(Y, np.zeros_like(Y))))

    def first_nodes(self) -> Nodes:
        # The loss to second order at the centre of its dual interval is a squared loss.
        lo, hi = np.broadcast_arrays(*self._loss.dual_bounds(self._Y))
        centre = np.where(np.isfinite(lo + hi), 0.5 * (lo + hi), 0.0)
        z, slope = self._loss.dual_fit(self._Y, centre)
        response = z + slope * centre
        curvature = 1.0 / np.maximum(np.mean(slope), np.abs(response).mean())
        weight = np.add.reduceat(self._weight[:, 0], self._first_row)
        mean = np.add.reduceat(self._weight * response, self._first_row) / weight[:, None]
        nodes: Nodes = _hat_basis.first_nodes(
            self._position, weight * curvature, mean, self.penalty
        )
        return nodes

    def fit(self, nodes: Nodes, tol: float, start: _NodeFit | None) -> _NodeFit:
        at = self._position[nodes]
        segment, up = locate(self._position[self._group], at)
        rows = _hat_basis.second_difference_rows(at, self.penalty)
        C, u, e, p = fit_loss(
            self._loss, self._Y, self._weight, segment, up, rows, self.penalty, tol
        )
        P = self._weight * p
        norms = dual_norms(self._position, np.add.reduceat(P, self._first_row))
        bend = np.empty(u.shape)
        differences(rows, C, bend)
        fitted = rows_from_nodes(segment, up, C)
        penalty = float(np.linalg.norm(bend, axis=1).sum())
        primal = float(np.sum(self._weight * self._loss.value(self._Y, fitted))) + penalty
        scale = 1.0 / max(1.0, float(norms.max()) / self.penalty)
        gap = fenchel_gap(self._loss, self._Y, self._weight, fitted, scale * p)
        gap += penalty - scale * float(np.sum(u * bend))
        return _NodeFit(nodes, C, u, e, primal, primal - gap, norms, P)

    def values(self, fit: _NodeFit) -> FloatArray:
        return fit.C

    def dual_rows(self, fit: _NodeFit) -> FloatArray:
        return fit.dual_source


def _working_set(
    data: _Data,
    tol: float,
    max_iter: int,
    deadline: float,
    report: Callable[[int, _NodeFit], None],
) -> tuple[_NodeFit, int, bool]:
    """The best fit found, rounds used, and whether a limit ended the search."""
    n = len(data.x)
    objective = data.objective
    first = nodes = data.first_nodes()
    if len(nodes) <= FEW:
        nodes = nodes[[0, -1]]
    gap = 1.0
    best: _NodeFit | None = None
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


def _merge_equal_inputs(
    x: FloatArray, Y: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Distinct inputs with summed weights and weighted mean labels, from sorted ``x``.

    Exact for the squared loss: the objective changes by a constant only.
    """
    starts = np.flatnonzero(np.append(True, x[1:] != x[:-1]))
    if len(starts) == len(x):
        return x, Y, weight
    total = np.add.reduceat(weight, starts)
    # Means relative to the first label of each group, so that equal labels stay exact.
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(x))))
    shift = np.add.reduceat(weight[:, None] * (Y - Y[starts][group]), starts, axis=0)
    return x[starts], Y[starts] + shift / total[:, None], total
