"""Squared loss through the hat basis on a subset of the points: moments, fit, residual scan.

Node ``j`` is the data point ``nodes[j]``; the first and the last point are always nodes, so every
row lies in one segment between two nodes and touches two hat functions.
"""

# Compiled functions have no annotations: numba infers the types.
# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from mtrelu.solvers._group_newton import group_interior_point, saddle_factor, saddle_solve
from mtrelu.solvers._spline_algebra import (
    compiled,
    differences,
    subtract_adjoint,
    tridiagonal_solve,
)

# Newton steps of one solve; 25 is already rare.
MAX_NEWTON = 100


@compiled
def hat_moments(x, weight, Y, nodes):
    """Gram diagonal (m,) and off-diagonal (m-1,) and right-hand side ``H^T W Y`` (m, T)."""
    m = nodes.shape[0]
    n_tasks = Y.shape[1]
    diagonal = np.zeros(m)
    off = np.zeros(m - 1)
    right = np.zeros((m, n_tasks))
    for j in range(m - 1):
        start, stop = nodes[j], nodes[j + 1]
        width = 1.0 / (x[stop] - x[start])
        for i in range(start, stop):
            up = (x[i] - x[start]) * width
            down = 1.0 - up
            a = weight[i] * down
            b = weight[i] * up
            diagonal[j] += a * down
            off[j] += a * up
            diagonal[j + 1] += b * up
            for t in range(n_tasks):
                right[j, t] += a * Y[i, t]
                right[j + 1, t] += b * Y[i, t]
    last = nodes[m - 1]
    diagonal[m - 1] += weight[last]
    for t in range(n_tasks):
        right[m - 1, t] += weight[last] * Y[last, t]
    return diagonal, off, right


@compiled
def coarsen(x, diagonal, off, right, keep):
    """Moments on the nodes ``keep`` from those on all nodes ``x``: ``R^T G R`` and ``R^T B``.

    A hat function on a subset of nodes is a combination of the hat functions on all nodes.
    """
    m = keep.shape[0]
    n_tasks = right.shape[1]
    new_diagonal = np.zeros(m)
    new_off = np.zeros(m - 1)
    new_right = np.zeros((m, n_tasks))
    for j in range(m - 1):
        start, stop = keep[j], keep[j + 1]
        width = 1.0 / (x[stop] - x[start])
        for i in range(start, stop):
            up = (x[i] - x[start]) * width
            down = 1.0 - up
            next_up = (x[i + 1] - x[start]) * width
            next_down = 1.0 - next_up
            cross = off[i]
            new_diagonal[j] += diagonal[i] * down * down + 2.0 * cross * down * next_down
            new_diagonal[j + 1] += diagonal[i] * up * up + 2.0 * cross * up * next_up
            new_off[j] += diagonal[i] * up * down + cross * (down * next_up + up * next_down)
            for t in range(n_tasks):
                new_right[j, t] += down * right[i, t]
                new_right[j + 1, t] += up * right[i, t]
    last = keep[m - 1]
    new_diagonal[m - 1] += diagonal[last]
    for t in range(n_tasks):
        new_right[m - 1, t] += right[last, t]
    return new_diagonal, new_off, new_right


@compiled
def second_difference_rows(x, scale):
    """Scaled second differences at the inner nodes: ``scale / h`` to the left and to the right."""
    rows = np.empty((max(0, x.shape[0] - 2), 2))
    for k in range(rows.shape[0]):
        rows[k, 0] = scale / (x[k + 1] - x[k])
        rows[k, 1] = scale / (x[k + 2] - x[k + 1])
    return rows


@compiled
def scan_residual(x, weight, Y, nodes, C, norms):
    """Norm of ``U_i = sum_{j<i} (x_i - x_j) p_j`` at every point, for ``p = weight (Y - f)``.

    Fills ``norms`` (n,); returns ``sum p y`` and ``sum p^2 / weight``.
    """
    n_tasks = Y.shape[1]
    total = np.zeros(n_tasks)
    moment = np.zeros(n_tasks)
    inner = 0.0
    square = 0.0
    norms[0] = 0.0
    for j in range(nodes.shape[0] - 1):
        start, stop = nodes[j], nodes[j + 1]
        width = 1.0 / (x[stop] - x[start])
        for i in range(start, stop):
            up = (x[i] - x[start]) * width
            down = 1.0 - up
            step = x[i + 1] - x[i]
            norm2 = 0.0
            for t in range(n_tasks):
                residual = Y[i, t] - down * C[j, t] - up * C[j + 1, t]
                p = weight[i] * residual
                inner += p * Y[i, t]
                square += p * residual
                total[t] += p
                moment[t] += step * total[t]
                norm2 += moment[t] * moment[t]
            norms[i + 1] = np.sqrt(norm2)
    last = nodes[nodes.shape[0] - 1]
    for t in range(n_tasks):
        residual = Y[last, t] - C[nodes.shape[0] - 1, t]
        inner += weight[last] * residual * Y[last, t]
        square += weight[last] * residual * residual
    norms[last] = 0.0
    return inner, square


@compiled
def local_maxima(norms, threshold):
    """Inner points where ``norms`` exceeds ``threshold`` and is not below its neighbours."""
    count = 0
    found = np.empty(norms.shape[0], np.int64)
    for i in range(1, norms.shape[0] - 1):
        value = norms[i]
        if value > threshold and value >= norms[i - 1] and value > norms[i + 1]:
            found[count] = i
            count += 1
    return found[:count]


@compiled
def thinned(x, nodes, ratio):
    """Leave out nodes that stand closer to the one before than ``ratio`` times the gaps around.

    Two such knots are one in float64: the slope between them would be rounding.
    """
    last = x[nodes[-1]]
    kept = np.ones(nodes.shape[0], np.bool_)
    before, gap_before = x[nodes[0]], 0.0
    for j in range(1, nodes.shape[0] - 1):
        here = x[nodes[j]]
        gap = here - before
        gap_after = x[nodes[j + 1]] - here
        if gap < ratio * max(gap_before, gap_after) or last - here < ratio * gap:
            kept[j] = False
        else:
            before, gap_before = here, gap
    return nodes[kept]


@compiled
def least_squares(diagonal, off, right):
    """Values at the nodes of the spline without penalty."""
    n_tasks = right.shape[1]
    gram = np.empty((diagonal.shape[0], n_tasks))
    gram_off = np.empty((off.shape[0], n_tasks))
    for t in range(n_tasks):
        gram[:, t] = diagonal
        gram_off[:, t] = off
    C = right.copy()
    tridiagonal_solve(gram, gram_off, C)
    return C


@compiled
def first_nodes(x, weight, Y, scale):
    """Nodes to start from: as fine as the slope changes stand out against the penalty.

    On nodes ``2^l`` points apart the least-squares spline bends by ``d`` at a knot, and the penalty
    shrinks that bend by about its variance ``D G^-1 D^T``.  Where ``||d||`` is larger the knot will
    stay: start at the finest level where at least half of them do.  O(N T) over all levels.
    """
    n, n_tasks = Y.shape
    nodes = np.arange(n)
    diagonal = weight.copy()
    off = np.zeros(n - 1)
    right = np.empty((n, n_tasks))
    for i in range(n):
        for t in range(n_tasks):
            right[i, t] = weight[i] * Y[i, t]
    while nodes.shape[0] > 12:
        rows = second_difference_rows(x[nodes], scale)
        bend = np.empty((rows.shape[0], n_tasks))
        differences(rows, least_squares(diagonal, off, right), bend)
        stand_out = 0
        for k in range(rows.shape[0]):
            left, ahead = rows[k, 0], rows[k, 1]
            variance = (
                left * left / diagonal[k]
                + (left + ahead) ** 2 / diagonal[k + 1]
                + ahead * ahead / diagonal[k + 2]
            )
            norm2 = 0.0
            for t in range(n_tasks):
                norm2 += bend[k, t] * bend[k, t]
            stand_out += norm2 > variance * variance
        if 2 * stand_out > rows.shape[0]:
            break
        count = (nodes.shape[0] + 2) // 2
        keep = np.minimum(2 * np.arange(count), nodes.shape[0] - 1)
        diagonal, off, right = coarsen(x[nodes], diagonal, off, right, keep)
        nodes = nodes[keep]
    return nodes


@compiled
def fit_on_nodes(x, weight, Y, scale, nodes, tol, C, u, e, warm, norms):
    """Solve with knots at the inner ``nodes`` only, then measure the result on all points.

    ``scale`` is alpha and ``tol`` bounds the absolute gap of the restricted problem.  Fills the
    node values ``C``, the multipliers ``u``, the group weights ``e`` and the dual norms ``norms``;
    ``warm`` says that ``u`` and ``e`` hold a point near the central path to start from.  Returns
    the node values of the dual variable, and primal and dual value on all points.
    """
    n_tasks = Y.shape[1]
    diagonal, off, right = hat_moments(x, weight, Y, nodes)
    rows = second_difference_rows(x[nodes], scale)
    n_knots = rows.shape[0]
    bend = np.empty((n_knots, n_tasks))
    if warm:
        # Stationarity exactly: the bends of the knots that were left out are gone.
        C[:] = right
        subtract_adjoint(rows, u, C)
        C[:] = least_squares(diagonal, off, C)
    else:
        C[:] = least_squares(diagonal, off, right)
        u[:] = 0.0
        differences(rows, C, bend)
        mean = 0.0
        for k in range(n_knots):
            e[k] = np.sqrt(np.sum(bend[k] ** 2))
            mean += e[k] / n_knots
        for k in range(n_knots):
            e[k] = max(e[k], 0.1 * mean)
    group_interior_point(diagonal, off, right, rows, C, u, e, tol, MAX_NEWTON)
    differences(rows, C, bend)
    penalty = 0.0
    for k in range(n_knots):
        penalty += np.sqrt(np.sum(bend[k] ** 2))
    # The dual variable P = w (Y - H S) obeys H^T P = D^T u to rounding, S = C + G^-1 r_1: what the
    # Newton steps left of r_1 is nothing beside the labels, but can be much beside alpha.
    left = np.empty(C.shape)
    adjoint = np.zeros(C.shape)
    subtract_adjoint(rows, -u, adjoint)
    for j in range(C.shape[0]):
        for t in range(n_tasks):
            value = diagonal[j] * C[j, t]
            if j > 0:
                value += off[j - 1] * C[j - 1, t]
            if j + 1 < C.shape[0]:
                value += off[j] * C[j + 1, t]
            left[j, t] = right[j, t] - value - adjoint[j, t]
    shift = least_squares(diagonal, off, left)
    S = C + shift
    inner, square = scan_residual(x, weight, Y, nodes, S, norms)
    misfit = square
    for j in range(C.shape[0]):
        for t in range(n_tasks):
            misfit += shift[j, t] * (2.0 * adjoint[j, t] + left[j, t])
    # The dual value at s P is s <P, Y> - s^2 |P|^2 / 2, feasible while s max ||U_i|| <= alpha.
    largest = np.max(norms)
    shrink = 1.0 if largest <= scale else scale / largest
    if inner < shrink * square:
        shrink = inner / square
    dual = shrink * inner - 0.5 * shrink * shrink * square
    return S, 0.5 * misfit + penalty, dual


@compiled
def fit_given_weights(x, weight, Y, scale, nodes, e):
    """Node values and multipliers of any tasks when the group weights ``e`` are known.

    The optimal spline is a fixed linear smoother of the labels once ``e`` is fixed: one solve.
    """
    n_tasks = Y.shape[1]
    diagonal, off, right = hat_moments(x, weight, Y, nodes)
    rows = second_difference_rows(x[nodes], scale)
    band = np.empty((2 * nodes.shape[0] - 2, 4))
    saddle_factor(diagonal, off, rows, e, band)
    solution = np.zeros((band.shape[0], n_tasks))
    for j in range(nodes.shape[0]):
        solution[max(0, 2 * j - 1)] = right[j]
    saddle_solve(band, solution)
    u = np.empty((e.shape[0], n_tasks))
    for j in range(nodes.shape[0]):
        right[j] = solution[max(0, 2 * j - 1)]
    for k in range(e.shape[0]):
        u[k] = solution[2 * k + 2]
    return right, u
