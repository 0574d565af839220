"""Linear algebra of regression splines: second differences, Gram matrices, block elimination.

A Newton step of the interior point methods solves, for node values ``dC`` (m, T) and multipliers
``du`` (K, T) of the K = m - 2 knots,

    G dC + D^T du = r_1,      D dC - E du = r_2,      E_k = e_k + (e_k / s_k) u_k u_k^T.

``G`` is tridiagonal, one Gram matrix a task, ``D`` takes second differences and ``E`` couples the
tasks.  Two eliminations in T x T blocks, both O(K T^3):

* `block_factor`: ``du`` first, then Cholesky's of ``G + D^T E^-1 D``, two superdiagonals of blocks;
* `saddle_block_factor`: nodes and knots in the order of x, three superdiagonals and about three
  times the work, but ``G`` keeps its digits where ``E`` is next to nothing or knots are close.
"""

# Compiled functions have no annotations: numba infers the types.
# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np
from numba import njit

# Sums may be reordered and contracted, which lets the inner loops vectorise; NaN and inf keep their
# meaning, and a division by zero is not an exception.
compiled = njit(cache=True, fastmath={"reassoc", "contract"}, error_model="numpy", nogil=True)


@compiled
def differences(rows, C, out):
    """``out = D C`` for scaled second differences ``rows`` (K, 2): left and right weights."""
    n_knots, n_tasks = out.shape
    for k in range(n_knots):
        left, right = rows[k, 0], rows[k, 1]
        for t in range(n_tasks):
            out[k, t] = left * (C[k, t] - C[k + 1, t]) + right * (C[k + 2, t] - C[k + 1, t])


@compiled
def subtract_adjoint(rows, u, out):
    """``out -= D^T u``."""
    n_knots, n_tasks = u.shape
    for k in range(n_knots):
        left, right = rows[k, 0], rows[k, 1]
        for t in range(n_tasks):
            out[k, t] -= left * u[k, t]
            out[k + 1, t] += (left + right) * u[k, t]
            out[k + 2, t] -= right * u[k, t]


@compiled
def subtract_gram(diagonal, off, C, out):
    """``out -= G C`` where ``G`` (m,) and (m-1,), or (m, T) and (m-1, T) for one Gram a task."""
    m, n_tasks = C.shape
    for j in range(m):
        for t in range(n_tasks):
            out[j, t] -= diagonal[j, t] * C[j, t]
        if j > 0:
            for t in range(n_tasks):
                out[j, t] -= off[j - 1, t] * C[j - 1, t]
        if j + 1 < m:
            for t in range(n_tasks):
                out[j, t] -= off[j, t] * C[j + 1, t]


@compiled
def tridiagonal_solve(diagonal, off, right):
    """Solve ``G_t x_t = right_t`` in place for every task ``t``."""
    m, n_tasks = right.shape
    pivot = diagonal.copy()
    for j in range(1, m):
        for t in range(n_tasks):
            ratio = off[j - 1, t] / pivot[j - 1, t]
            pivot[j, t] -= ratio * off[j - 1, t]
            right[j, t] -= ratio * right[j - 1, t]
    for t in range(n_tasks):
        right[m - 1, t] /= pivot[m - 1, t]
    for j in range(m - 2, -1, -1):
        for t in range(n_tasks):
            right[j, t] = (right[j, t] - off[j, t] * right[j + 1, t]) / pivot[j, t]


# --- block-banded elimination: nodes as unknowns, U^T U with two block superdiagonals ---


@compiled
def block_assemble(diagonal, off, rows, u, e, s, A0, A1, A2):
    """Upper blocks of ``G + D^T E^-1 D``; ``E_k^-1 = (1 - u_k u_k^T / (s_k + |u_k|^2)) / e_k``."""
    m, n_tasks = diagonal.shape
    A0[:] = 0.0
    A1[:] = 0.0
    A2[:] = 0.0
    for j in range(m):
        for t in range(n_tasks):
            A0[j, t, t] = diagonal[j, t]
        if j + 1 < m:
            for t in range(n_tasks):
                A1[j, t, t] = off[j, t]
    for k in range(rows.shape[0]):
        left, right = rows[k, 0], rows[k, 1]
        middle = -(left + right)
        norm2 = 0.0
        for t in range(n_tasks):
            norm2 += u[k, t] * u[k, t]
        shrink = 1.0 / (s[k] + norm2)
        inverse = 1.0 / e[k]
        for r in range(n_tasks):
            scale = -inverse * shrink * u[k, r]
            for c in range(n_tasks):
                theta = scale * u[k, c]
                A0[k, r, c] += left * left * theta
                A1[k, r, c] += left * middle * theta
                A2[k, r, c] += left * right * theta
                A0[k + 1, r, c] += middle * middle * theta
                A1[k + 1, r, c] += middle * right * theta
                A0[k + 2, r, c] += right * right * theta
            A0[k, r, r] += left * left * inverse
            A1[k, r, r] += left * middle * inverse
            A2[k, r, r] += left * right * inverse
            A0[k + 1, r, r] += middle * middle * inverse
            A1[k + 1, r, r] += middle * right * inverse
            A0[k + 2, r, r] += right * right * inverse


@compiled
def solve_transposed(U, X):
    """``X <- U^-T X`` for upper triangular ``U``, row by row."""
    n, width = X.shape
    for r in range(n):
        for q in range(r):
            factor = U[q, r]
            for c in range(width):
                X[r, c] -= factor * X[q, c]
        inverse = 1.0 / U[r, r]
        for c in range(width):
            X[r, c] *= inverse


@compiled
def subtract_product(X, Y, out):
    """``out -= X^T Y``."""
    n, width = X.shape
    for q in range(n):
        for r in range(width):
            factor = X[q, r]
            for c in range(Y.shape[1]):
                out[r, c] -= factor * Y[q, c]


@compiled
def add_product(X, Y, out):
    """``out += X^T Y``."""
    n, width = X.shape
    for q in range(n):
        for r in range(width):
            factor = X[q, r]
            for c in range(Y.shape[1]):
                out[r, c] += factor * Y[q, c]


@compiled
def cholesky(U):
    """``U^T U`` in place of the upper triangle; False if not numerically positive definite."""
    n = U.shape[0]
    for q in range(n):
        pivot = U[q, q]
        if not pivot > 0.0:
            return False
        inverse = 1.0 / np.sqrt(pivot)
        for c in range(q, n):
            U[q, c] *= inverse
        for r in range(q + 1, n):
            factor = U[q, r]
            for c in range(r, n):
                U[r, c] -= factor * U[q, c]
    return True


@compiled
def block_factor(A0, A1, A2):
    """Cholesky factor in place; False if the matrix is not numerically positive definite."""
    m = A0.shape[0]
    for j in range(m):
        U = A0[j]
        if not cholesky(U):
            return False
        if j + 1 < m:
            solve_transposed(U, A1[j])
            subtract_product(A1[j], A1[j], A0[j + 1])
        if j + 2 < m:
            solve_transposed(U, A2[j])
            subtract_product(A1[j], A2[j], A1[j + 1])
            subtract_product(A2[j], A2[j], A0[j + 2])
    return True


@compiled
def block_solve(A0, A1, A2, x):
    """Solve in place; ``x`` (m, T) holds one vector over all blocks."""
    m, n = x.shape
    for j in range(m):
        U = A0[j]
        for q in range(n):
            if j > 0:
                for r in range(n):
                    x[j, r] -= A1[j - 1, q, r] * x[j - 1, q]
            if j > 1:
                for r in range(n):
                    x[j, r] -= A2[j - 2, q, r] * x[j - 2, q]
        for q in range(n):
            x[j, q] /= U[q, q]
            for r in range(q + 1, n):
                x[j, r] -= U[q, r] * x[j, q]
    for j in range(m - 1, -1, -1):
        U = A0[j]
        for q in range(n - 1, -1, -1):
            total = x[j, q]
            if j + 1 < m:
                for r in range(n):
                    total -= A1[j, q, r] * x[j + 1, r]
            if j + 2 < m:
                for r in range(n):
                    total -= A2[j, q, r] * x[j + 2, r]
            for r in range(q + 1, n):
                total -= U[q, r] * x[j, r]
            x[j, q] = total / U[q, q]


@compiled
def block_step(A0, A1, A2, rows, u, e, s, r1, r2, centre, dC, du, de):
    """Newton step with the block factor."""
    n_knots, n_tasks = u.shape
    for k in range(n_knots):
        for t in range(n_tasks):
            r2[k, t] += u[k, t] * centre[k]
    _apply_inverse(u, e, s, r2, du)
    dC[:] = r1
    subtract_adjoint(rows, -du, dC)
    block_solve(A0, A1, A2, dC)
    differences(rows, dC, du)
    du -= r2
    _apply_inverse(u, e, s, du, du)
    for k in range(n_knots):
        inner = 0.0
        for t in range(n_tasks):
            inner += u[k, t] * du[k, t]
        de[k] = centre[k] + e[k] / s[k] * inner


@compiled
def _apply_inverse(u, e, s, right, out):
    """``out_k = (e_k + (e_k / s_k) u_k u_k^T)^-1 right_k``."""
    n_knots, n_tasks = u.shape
    for k in range(n_knots):
        norm2 = 0.0
        inner = 0.0
        for t in range(n_tasks):
            norm2 += u[k, t] * u[k, t]
            inner += u[k, t] * right[k, t]
        shift = inner / (s[k] + norm2)
        for t in range(n_tasks):
            out[k, t] = (right[k, t] - shift * u[k, t]) / e[k]


# --- the same in the order of x, without normal equations ---


@compiled
def saddle_block_factor(diagonal, off, rows, u, e, s, A):
    """LDL^T of [[G, D^T], [D, -E]] in blocks ``A`` (2 m - 2, 4, T, T); False on a failed pivot.

    Node ``j`` stands at ``max(0, 2 j - 1)``, knot ``k`` at ``2 k + 2``; ``A[i, a]`` is the block of
    row ``i`` and column ``i + a``.  The matrix is quasi-definite: pivots of nodes are positive
    definite, pivots of knots negative definite.
    """
    m, n_tasks = diagonal.shape
    size = A.shape[0]
    A[:] = 0.0
    for j in range(m):
        i = max(0, 2 * j - 1)
        for t in range(n_tasks):
            A[i, 0, t, t] = diagonal[j, t]
            if j + 1 < m:
                A[i, 1 if j == 0 else 2, t, t] = off[j, t]
    for k in range(rows.shape[0]):
        i = 2 * k + 2
        before = max(0, i - 3)
        for r in range(n_tasks):
            A[before, i - before, r, r] = rows[k, 0]
            A[i - 1, 1, r, r] = -(rows[k, 0] + rows[k, 1])
            A[i, 1, r, r] = rows[k, 1]
            A[i, 0, r, r] = -e[k]
            scale = e[k] / s[k] * u[k, r]
            for c in range(n_tasks):
                A[i, 0, r, c] -= scale * u[k, c]
    for i in range(size):
        is_knot = i >= 2 and i % 2 == 0
        pivot = A[i, 0]
        if is_knot:
            for r in range(n_tasks):
                for c in range(n_tasks):
                    pivot[r, c] = -pivot[r, c]
        if not cholesky(pivot):
            return False
        n_next = min(3, size - 1 - i)
        for a in range(1, n_next + 1):
            solve_transposed(pivot, A[i, a])
        for a in range(1, n_next + 1):
            for b in range(a, n_next + 1):
                if is_knot:
                    add_product(A[i, a], A[i, b], A[i + a, b - a])
                else:
                    subtract_product(A[i, a], A[i, b], A[i + a, b - a])
    return True


@compiled
def saddle_block_step(A, u, e, s, r1, r2, centre, dC, du, de):
    """Newton step with the factor from `saddle_block_factor`; arguments as in `block_step`."""
    m, n_tasks = dC.shape
    n_knots = m - 2
    size = A.shape[0]
    x = np.empty((size, n_tasks))
    for j in range(m):
        for t in range(n_tasks):
            x[max(0, 2 * j - 1), t] = r1[j, t]
    for k in range(n_knots):
        for t in range(n_tasks):
            x[2 * k + 2, t] = r2[k, t] + u[k, t] * centre[k]
    for i in range(size):
        sign = -1.0 if i >= 2 and i % 2 == 0 else 1.0
        U = A[i, 0]
        for q in range(n_tasks):
            x[i, q] /= U[q, q]
            for r in range(q + 1, n_tasks):
                x[i, r] -= U[q, r] * x[i, q]
        for a in range(1, min(4, size - i)):
            for q in range(n_tasks):
                factor = sign * x[i, q]
                for r in range(n_tasks):
                    x[i + a, r] -= A[i, a, q, r] * factor
    for i in range(size - 1, -1, -1):
        sign = -1.0 if i >= 2 and i % 2 == 0 else 1.0
        U = A[i, 0]
        for q in range(n_tasks - 1, -1, -1):
            total = x[i, q]
            for a in range(1, min(4, size - i)):
                for r in range(n_tasks):
                    total -= A[i, a, q, r] * x[i + a, r]
            total *= sign
            for r in range(q + 1, n_tasks):
                total -= U[q, r] * x[i, r]
            x[i, q] = total / U[q, q]
    for j in range(m):
        for t in range(n_tasks):
            dC[j, t] = x[max(0, 2 * j - 1), t]
    for k in range(n_knots):
        inner = 0.0
        for t in range(n_tasks):
            du[k, t] = x[2 * k + 2, t]
            inner += u[k, t] * du[k, t]
        de[k] = centre[k] + e[k] / s[k] * inner


@compiled
def step_misfit(diagonal, off, rows, r1, dC, du):
    """``r^T diag(G)^-1 r`` for what a step leaves of ``r_1 - G dC - D^T du = 0``."""
    left = r1.copy()
    subtract_gram(diagonal, off, dC, left)
    subtract_adjoint(rows, du, left)
    total = 0.0
    for j in range(left.shape[0]):
        for t in range(left.shape[1]):
            total += left[j, t] * left[j, t] / diagonal[j, t]
    return total
