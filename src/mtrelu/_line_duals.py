"""Dual variables for a certificate of one input: good guesses, and how to mend them. Private.

Nothing here decides whether a certificate is right, only how tight it is.
"""

from __future__ import annotations

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.oracles.line import project
from mtrelu.problem import Problem
from mtrelu.validation import FloatArray

_ROUNDS = 8  # in degenerate cases, after which the guess is taken as it is


def stationary_at_kinks(
    problem: Problem,
    network: ReLUNetwork,
    own: FloatArray,
    sizes: FloatArray,
    tolerance: float,
) -> FloatArray | None:
    """Choose the entries of P where the loss has a kink, so that the network is stationary.

    On the hat functions H (N, K + 2) over the knots and the two ends, stationarity reads
    Hᵀ P = Dᵀ U, where D maps node values to slope changes and U_k = α δ_k/‖δ_k‖. The other entries
    are known; the free ones are the least-squares solution of least norm. What violates a bound of
    the loss, or the bound α of the dual function, is set to that bound and the rest chosen again.

    Parameters
    ----------
    problem : Problem
        Inputs ascending.
    network : ReLUNetwork
        The network to be certified.
    own : ndarray of shape (N, T)
        Its dual variable, up to the choice at kinks.
    sizes : ndarray of shape (N, T)
        Absolute residuals.
    tolerance : float
        Residuals up to this, relative to the range of labels and residuals, count as zero, and
        so do slope changes that move the network by as little.

    Returns
    -------
    ndarray of shape (N, T), or None
        None where there is nothing to choose.
    """
    x = problem.X[:, 0]
    reach = float(x[-1] - x[0])
    small = tolerance * max(float(np.ptp(problem.Y, axis=0).max()), float(sizes.max()))
    free = (sizes <= small) & problem.used
    canonical = network.canonical()
    knots, changes = canonical.knots(), canonical.slope_changes()
    strength = np.linalg.norm(changes, axis=1)
    inside = (knots > x[0]) & (knots < x[-1]) & (reach * strength > small)
    if not bool(np.any(free)) or reach == 0:
        return None
    knots = knots[inside]
    U = problem.alpha * changes[inside] / strength[inside, np.newaxis]

    for _ in range(_ROUNDS):
        P = _least_squares(problem, own, free, np.concatenate([x[:1], knots, x[-1:]]), U)
        # The dual function at the inputs: sum_{i<j} (x_j - x_i) p_i
        u = np.zeros(P.shape)
        u[1:] = np.cumsum(np.diff(x)[:, np.newaxis] * np.cumsum(P, axis=0)[:-1], axis=0)
        g = np.linalg.norm(u, axis=1)
        peak = g > (1 + 1e-7) * problem.alpha
        peak[1:] &= g[1:] > g[:-1]
        peak[:-1] &= g[:-1] >= g[1:]
        peak &= ~np.isin(x, knots) & (x > x[0]) & (x < x[-1])
        if not bool(np.any(peak)):
            break
        places = np.searchsorted(knots, x[peak])
        knots = np.insert(knots, places, x[peak])
        U = np.insert(U, places, problem.alpha * u[peak] / g[peak, np.newaxis], axis=0)
    return P


def _least_squares(
    problem: Problem, own: FloatArray, free: np.ndarray, nodes: FloatArray, U: FloatArray
) -> FloatArray:
    """Solve Hᵀ P = Dᵀ U for the free entries of P; the hats H and D belong to the nodes."""
    from scipy.linalg import solveh_banded
    from scipy.sparse import csr_array

    x = problem.X[:, 0]
    h = np.diff(nodes)
    target = np.zeros((nodes.size, U.shape[1]))
    target[:-2] += U / h[:-1, np.newaxis]
    target[1:-1] -= U * (1 / h[:-1] + 1 / h[1:])[:, np.newaxis]
    target[2:] += U / h[1:, np.newaxis]

    interval = np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, h.size - 1)
    right = (x - nodes[interval]) / h[interval]
    left = 1.0 - right
    H = csr_array(
        (
            np.column_stack([left, right]).ravel(),
            np.column_stack([interval, interval + 1]).ravel(),
            np.arange(0, 2 * x.size + 1, 2),
        ),
        shape=(x.size, nodes.size),
    )
    lo, hi = problem.dual_bounds()
    P = np.where(free, 0.0, own)
    for t in np.flatnonzero(free.any(axis=0)):
        chosen = np.flatnonzero(free[:, t])
        for _ in range(_ROUNDS):
            gram = np.zeros((2, nodes.size))
            np.add.at(gram[1], interval[chosen], left[chosen] ** 2)
            np.add.at(gram[1], interval[chosen] + 1, right[chosen] ** 2)
            np.add.at(gram[0], interval[chosen] + 1, left[chosen] * right[chosen])
            # Hats without free entries make this singular: a small ridge, repeated until gone.
            gram[1] += 1e-9 * gram[1].max()
            P[chosen, t] = 0.0
            rows = H[chosen]
            for _ in range(4):
                rest = target[:, t] - H.T @ P[:, t]
                P[chosen, t] += rows @ solveh_banded(gram, rest, check_finite=False)
            outside = (P[chosen, t] < lo[chosen, t]) | (P[chosen, t] > hi[chosen, t])
            P[chosen, t] = np.clip(P[chosen, t], lo[chosen, t], hi[chosen, t])
            if not bool(np.any(outside)) or bool(np.all(outside)):
                break
            chosen = chosen[~outside]
    return P


def towards_constraints(
    x: FloatArray, P: FloatArray, lo: FloatArray, hi: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Bring P near the skip constraints inside its bounds; return it with the freedom left.

    Each entry takes a share of the correction in proportion to its distance from both bounds, as
    in an interior-point step, so that entries on a bound stay there. Scaling cannot repair what
    is out of bounds where 0 is itself a bound (logistic loss).
    """
    everywhere = np.broadcast_to(weights, P.shape)
    bounded = np.isfinite(lo) & np.isfinite(hi)
    if not bool(np.any(bounded)):
        return P, everywhere
    width = np.where(bounded & (hi > lo), hi - lo, 1.0)
    for _ in range(20):
        freedom = np.where(bounded, (P - lo) * (hi - P) / width, everywhere)
        # Without two free entries at distinct inputs a task has to move its others.
        movable = freedom > 1e-12 * width
        rightmost = np.max(np.where(movable, x[:, np.newaxis], -np.inf), axis=0)
        leftmost = np.min(np.where(movable, x[:, np.newaxis], np.inf), axis=0)
        stuck = ~((rightmost > leftmost) | (movable.any(axis=0) & (x[0] == x[-1])))
        freedom = np.where(stuck, everywhere, freedom)
        moved, _ = project(x, P, freedom, exact=False)
        within = (moved >= lo) & (moved <= hi)
        if bool(np.all(within | stuck)):
            break
        # Nine tenths of the way to the bound, and the others take the rest next time.
        P = np.where(stuck, P, np.clip(moved, P - 0.9 * (P - lo), P + 0.9 * (hi - P)))
    return P, freedom
