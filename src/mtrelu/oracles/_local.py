"""Whether a hyperplane through data points is a local maximiser of the dual function."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True)
def is_maximiser(
    Z: np.ndarray, P: np.ndarray, pinned: np.ndarray, active: np.ndarray, w: np.ndarray
) -> bool:
    """Say whether the dual function falls in all directions that keep points on the hyperplane.

    All directions in which all pinned points but one stay on one side each or the other: with the
    gradient Σ α_i (z_i, 1) beyond the radial part, and kinks c_i, it must hold that 0 ≤ α_i ≤ −c_i.
    One point at least may serve as the pivot.

    Parameters
    ----------
    Z, P : ndarray of shape (N, q), (N, T)
        Data and dual variable.
    pinned : ndarray of shape (m,)
        Affinely independent points on the hyperplane.
    active : ndarray of shape (N,)
        Which points are above it.
    w : ndarray of shape (q,)
        Its unit normal.
    """
    q, m, n_tasks = Z.shape[1], pinned.size, P.shape[1]
    s, gradient, size, square = np.zeros(n_tasks), np.zeros(q + 1), 0.0, 0.0
    for i in range(Z.shape[0]):
        height = 0.0
        for a in range(q):
            height += w[a] * (Z[i, a] - Z[pinned[0], a])
        for t in range(n_tasks):
            s[t] += P[i, t] * height if active[i] else 0.0
    for t in range(n_tasks):
        square += s[t] * s[t]
    for i in range(Z.shape[0]):
        slope = 0.0
        for t in range(n_tasks):
            slope += s[t] * P[i, t] if active[i] else 0.0
        for a in range(q):
            gradient[a] += slope * Z[i, a]
        gradient[q] += slope
        size += abs(slope)
    # The α_i by least squares: modified Gram-Schmidt, with the gradient as the last column.
    Q, R, weights = np.empty((m, q + 1)), np.zeros((m, m)), np.empty(m)
    for a in range(q):
        gradient[a] -= square * w[a]
    for row in range(m):
        for a in range(q + 1):
            Q[row, a] = Z[pinned[row], a] if a < q else 1.0
        for other in range(row + 1):
            for a in range(q + 1):
                R[other, row] += Q[other, a] * Q[row, a]
            if other == row:
                R[row, row] = math.sqrt(R[row, row])
            for a in range(q + 1):
                if other < row:
                    Q[row, a] -= R[other, row] * Q[other, a]
                else:
                    Q[row, a] /= R[row, row]
        weights[row] = 0.0
        for a in range(q + 1):
            weights[row] += Q[row, a] * gradient[a]
        for a in range(q + 1):
            gradient[a] -= weights[row] * Q[row, a]
    for row in range(m - 1, -1, -1):
        for other in range(row + 1, m):
            weights[row] -= R[row, other] * weights[other]
        weights[row] /= R[row, row]
    violated = 0
    for row in range(m):
        kink = 0.0
        for t in range(n_tasks):
            kink += s[t] * P[pinned[row], t]
        room = 1e-9 * (size + abs(kink))
        if weights[row] < -room or weights[row] > -kink + room:
            violated += 1
    return violated <= 1
