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

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.solvers import _hat_basis
from mtrelu.solvers.progress import Progress

FloatArray = NDArray[np.float64]

# Beyond this share of all points a working set saves nothing.
LARGE_SHARE = 0.6
MAX_ROUNDS = 200


@dataclass(frozen=True)
class SplineFit:
    """Result of :func:`fit_spline`.

    Attributes
    ----------
    network : ReLUNetwork
        Canonical network, one neuron a knot.
    dual : ndarray of shape (N, T) or None
        A dual point in the order of the problem's rows, a hint for the certificate.
    n_iter : int
        Rounds of the working set.
    stopped : bool
        True when ``max_iter`` or ``time_limit`` ended the work before the gap was small.
    """

    network: ReLUNetwork
    dual: FloatArray | None
    n_iter: int
    stopped: bool


def merge_equal_inputs(
    x: FloatArray, Y: FloatArray, weight: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sorted distinct inputs with summed weights and weighted mean labels: exact for squared loss.

    The objective changes by a constant only.
    """
    order = np.argsort(x, kind="stable")
    x, Y, weight = x[order], Y[order], weight[order]
    starts = np.flatnonzero(np.append(True, x[1:] != x[:-1]))
    if len(starts) == len(x):
        return x, Y, weight
    total = np.add.reduceat(weight, starts)
    # Means relative to the first label of each group, so that equal labels stay exact.
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(x))))
    shift = np.add.reduceat(weight[:, None] * (Y - Y[starts][group]), starts, axis=0)
    return x[starts], Y[starts] + shift / total[:, None], total


def fit_spline(
    problem: Problem,
    *,
    tol: float,
    max_iter: int | None = None,
    time_limit: float | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> SplineFit:
    """Solve [9] for one input with the squared loss and ``alpha > 0``.

    Parameters
    ----------
    problem : Problem
        One input column, ``skip="affine"``, squared loss.
    tol : float
        Relative duality gap to reach.
    max_iter, time_limit
        Rounds and seconds after which the best network so far is returned.
    callback : callable, optional
        Called with a :class:`Progress` after each round.

    Notes
    -----
    Each round costs O(N T) for the data and at most O(K T^3) or O(K^3) a Newton step for K knots.
    """
    deadline = np.inf if time_limit is None else time.monotonic() + time_limit
    x, Y, weight = merge_equal_inputs(problem.X[:, 0], problem.Y, problem.sample_weight)
    n = len(x)
    mean_weight = float(weight.mean())
    weight = weight / mean_weight
    width = float(x[-1] - x[0]) if n > 1 else 1.0
    centre = x[0] + (weight @ (x - x[0])) / weight.sum()
    level = (weight @ Y) / weight.sum()
    position = (x - centre) / width
    slope = (weight * position) @ (Y - level) / max(weight @ position**2, np.finfo(float).tiny)
    detrended = Y - level - position[:, None] * slope
    height = float(np.sqrt(np.mean(detrended**2)))
    noise = 4 * np.finfo(float).eps * float(np.abs(Y).max(initial=0.0))
    nodes, C, n_iter, stopped = np.array([0, n - 1]), np.zeros((2, Y.shape[1])), 0, False
    if n > 2 and height > noise:
        unit = (x - x[0]) / width
        labels = np.ascontiguousarray(detrended / height)
        full, many_tasks = labels, labels.shape[1] > n
        if many_tasks:
            # Rotating the tasks changes nothing, so the N columns of R in Y^T = Q R do; the way
            # back needs no Q, for the group weights are common to all tasks.
            labels = np.ascontiguousarray(qr(labels.T, mode="r", check_finite=False)[0][:n].T)
        alpha = problem.alpha / (width * height * mean_weight)

        def report(iteration: int, primal: float, gap: float, n_knots: int) -> None:
            if callback is not None:
                objective = primal * height**2 * mean_weight
                callback(Progress(iteration, objective, gap, n_knots))

        nodes, C, e, n_iter, stopped = _working_set(
            unit, weight, labels, alpha, 0.5 * tol, max_iter or MAX_ROUNDS, deadline, report
        )
        if many_tasks:
            C = _hat_basis.values_given_weights(unit, weight, full, alpha, nodes, e)
    if n == 1:
        network = ReLUNetwork.from_knots([], np.zeros((0, len(level))), 0.0 * level, level)
        return SplineFit(network, None, 0, False)
    rise = np.diff(C, axis=0) / np.diff((x[nodes] - x[0]) / width)[:, None]
    changes = np.diff(rise, axis=0) * (height / width)
    used = changes.any(axis=1)
    left_slope = (slope + height * rise[0]) / width
    start = level + height * C[0] + (x[0] - centre) / width * slope
    network = ReLUNetwork.from_knots(
        x[nodes[1:-1][used]], changes[used], left_slope, start - left_slope * x[0]
    )
    return SplineFit(network, None, n_iter, stopped)


def _working_set(
    x: FloatArray,
    weight: FloatArray,
    Y: FloatArray,
    alpha: float,
    tol: float,
    max_iter: int,
    deadline: float,
    report: Callable[[int, float, float, int], None],
) -> tuple[NDArray[np.int64], FloatArray, FloatArray, int, bool]:
    """Nodes, values and group weights of the best spline found, rounds used, and whether a limit ended it."""
    n = len(x)
    norms = np.empty(n)
    objective = 0.5 * float(weight @ np.einsum("ij,ij->i", Y, Y))
    nodes = _hat_basis.first_nodes(x, weight, Y, alpha)
    gap = 1.0
    best = (np.inf, nodes, np.zeros((len(nodes), Y.shape[1])), np.zeros(len(nodes) - 2))
    pruning = False
    for iteration in range(1, max_iter + 1):
        if not pruning and len(nodes) > max(LARGE_SHARE * n, 12):
            nodes = np.arange(n)
        final = pruning or len(nodes) == n
        inner_tol = objective * (0.1 * tol if final else max(0.1 * tol, 0.02 * gap))
        C, u, e, primal, dual = _hat_basis.fit_on_nodes(
            x, weight, Y, alpha, nodes, inner_tol, norms
        )
        objective = min(objective, primal)
        gap = (primal - dual) / primal
        report(iteration, primal, gap, len(nodes) - 2)
        if pruning and gap > tol:
            # The knots dropped last were needed after all.
            return *best[1:], iteration, False
        if gap <= max(tol, best[0]):
            best = (gap, nodes, C, e)
        # e_k s_k is the same for all knots on the central path: the smaller factor is going to 0.
        slack = 0.5 * (1.0 - np.einsum("ij,ij->i", u, u))
        typical = float(e.mean()) if len(e) else 0.0
        pruning = gap <= tol
        kept = e > (1.0 if pruning else 1e-2) * slack * typical
        if pruning and kept.all():
            return nodes, C, e, iteration, False
        if time.monotonic() > deadline:
            return *best[1:], iteration, gap > tol
        nodes = np.concatenate([nodes[:1], nodes[1:-1][kept], nodes[-1:]])
        if not pruning:
            nodes = np.union1d(nodes, _hat_basis.local_maxima(norms, alpha))
    return *best[1:], max_iter, best[0] > tol
