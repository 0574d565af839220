"""Interior point method for a regression spline with a group penalty on its slope changes.

With the hat basis on ``m`` nodes (two ends and ``K = m - 2`` candidate knots) problem [9] with the
squared loss is

    minimise  1/2 <C, G C> - <B, C> + sum_k ||D_k C||        C (m, T), G (m, m) tridiagonal,

where ``D_k`` is the second difference at knot ``k``, scaled so that its multiplier ``u_k`` lives in
the unit ball.  At the optimum ``D_k C = e_k u_k`` with ``e_k >= 0``, and ``e_k s_k = 0`` for
``s_k = (1 - ||u_k||^2) / 2``.  The method follows the path ``e_k s_k = mu`` (Mehrotra's predictor
and corrector).  Each Newton step solves

    G dC + D^T du = r_1,      D dC - (e_k + (e_k / s_k) u_k u_k^T) du = r_2,

which is one scalar banded system for all tasks plus one rank-one coupling a knot.  Eliminating in
``T x T`` blocks (`_spline_algebra`) costs O(K T^3); eliminating the banded part leaves the
``K x K`` matrix of the couplings, O(K^3 + K^2 T), or, where the couplings are local (small alpha),
a few conjugate gradient steps of O(K T).  The cheapest one is used.
"""

# Compiled functions have no annotations: numba infers the types.
# mypy: allow-untyped-defs

from __future__ import annotations

import numpy as np

from mtrelu.solvers._spline_algebra import (
    block_assemble,
    block_factor,
    block_step,
    compiled,
    differences,
    saddle_block_factor,
    saddle_block_step,
    step_misfit,
    subtract_adjoint,
    subtract_gram,
    tridiagonal_solve,
)

# --- conjugate gradients on the couplings, one scalar banded solve for all tasks a product ---

# Neighbours of a knot that the preconditioner sees.
REACH = 3
# Beyond this many products a direct factorisation is the better buy.
MAX_CG = 25


@compiled
def saddle_factor(diagonal, off, rows, e, band):
    """LDL^T of [[G, D^T], [D, -E]] interleaved C_0, C_1, u_1, C_2, u_2, ...: half-bandwidth 3.

    Node ``j`` stands at ``max(0, 2 j - 1)``, knot ``k`` at ``2 k + 2``.  The matrix is
    quasi-definite, so elimination without pivoting exists in any order.
    """
    m = diagonal.shape[0]
    size = band.shape[0]
    band[:] = 0.0
    for j in range(m):
        band[max(0, 2 * j - 1), 0] = diagonal[j]
    band[0, 1] = off[0]
    for j in range(1, m - 1):
        band[2 * j - 1, 2] = off[j]
    for k in range(m - 2):
        band[2 * k + 2, 0] = -e[k]
        band[max(0, 2 * k - 1), 3 if k > 0 else 2] = rows[k, 0]
        band[2 * k + 1, 1] = -(rows[k, 0] + rows[k, 1])
        band[2 * k + 2, 1] = rows[k, 1]
    for i in range(size):
        for a in range(1, min(4, size - i)):
            ratio = band[i, a] / band[i, 0]
            for b in range(a, min(4, size - i)):
                band[i + a, b - a] -= ratio * band[i, b]
        for a in range(1, 4):
            band[i, a] /= band[i, 0]


@compiled
def saddle_solve(band, x):
    """Solve in place for every column of ``x``."""
    size, width = x.shape
    for i in range(size - 3):
        one, two, three = band[i, 1], band[i, 2], band[i, 3]
        for c in range(width):
            x[i + 1, c] -= one * x[i, c]
            x[i + 2, c] -= two * x[i, c]
            x[i + 3, c] -= three * x[i, c]
    for i in range(max(0, size - 3), size):
        for a in range(1, size - i):
            for c in range(width):
                x[i + a, c] -= band[i, a] * x[i, c]
    for i in range(size - 1, max(0, size - 3) - 1, -1):
        for c in range(width):
            x[i, c] /= band[i, 0]
        for a in range(1, size - i):
            for c in range(width):
                x[i, c] -= band[i, a] * x[i + a, c]
    for i in range(size - 4, -1, -1):
        inverse, one, two, three = 1.0 / band[i, 0], band[i, 1], band[i, 2], band[i, 3]
        for c in range(width):
            x[i, c] = (
                x[i, c] * inverse - one * x[i + 1, c] - two * x[i + 2, c] - three * x[i + 3, c]
            )


@compiled
def _precondition_factor(band, u, e, s, near):
    """Banded Cholesky of the couplings between knots at most ``REACH`` apart.

    The coupling of knots k and l is ``(M^-1)_kl (u_k . u_l)``, ``M = D G^-1 D^T + E``; the entries
    of ``M^-1`` near the diagonal follow from the factor by Takahashi's recurrence.  False where
    rounding spoils them.
    """
    n_knots, n_tasks = u.shape
    size = band.shape[0]
    reach = 2 * REACH
    window = np.zeros((reach + 4, reach + 4))  # inverse entries of rows i .. i + reach + 3
    for i in range(size - 1, -1, -1):
        for a in range(reach + 3, 0, -1):
            for b in range(reach + 3, 0, -1):
                window[a, b] = window[a - 1, b - 1]
        for b in range(1, reach + 1):
            total = 0.0
            for a in range(1, 4):
                total -= band[i, a] * window[a, b]
            window[0, b] = total
            window[b, 0] = total
        total = 1.0 / band[i, 0]
        for a in range(1, 4):
            total -= band[i, a] * window[0, a]
        window[0, 0] = total
        if i >= 2 and i % 2 == 0:
            k = i // 2 - 1
            for a in range(min(REACH + 1, n_knots - k)):
                inner = 0.0
                for t in range(n_tasks):
                    inner += u[k, t] * u[k + a, t]
                near[k, a] = -window[0, 2 * a] * inner
            near[k, 0] += s[k] / e[k]
    for k in range(n_knots):
        if not near[k, 0] > 0.0:
            return False
        diagonal = near[k, 0]
        for a in range(1, min(REACH + 1, k + 1)):
            diagonal -= near[k - a, a] ** 2
        # Cutting the band can cost definiteness; a preconditioner may be bent back.
        near[k, 0] = np.sqrt(max(diagonal, 1e-2 * near[k, 0]))
        for a in range(1, min(REACH + 1, n_knots - k)):
            value = near[k, a]
            for b in range(1, min(REACH + 1 - a, k + 1)):
                value -= near[k - b, b] * near[k - b, a + b]
            near[k, a] = value / near[k, 0]
    return True


@compiled
def _precondition(near, x):
    """Solve in place with the factor from :func:`_precondition_factor`."""
    n_knots = x.shape[0]
    for k in range(n_knots):
        x[k] /= near[k, 0]
        for a in range(1, min(REACH + 1, n_knots - k)):
            x[k + a] -= near[k, a] * x[k]
    for k in range(n_knots - 1, -1, -1):
        for a in range(1, min(REACH + 1, n_knots - k)):
            x[k] -= near[k, a] * x[k + a]
        x[k] /= near[k, 0]


@compiled
def _coupling_product(band, u, e, s, v, x, out):
    """``out = (M^-1 o U U^T + S / E) v``; ``x`` is workspace."""
    n_knots, n_tasks = u.shape
    x[:] = 0.0
    for k in range(n_knots):
        for t in range(n_tasks):
            x[2 * k + 2, t] = -u[k, t] * v[k]
    saddle_solve(band, x)
    for k in range(n_knots):
        total = s[k] / e[k] * v[k]
        for t in range(n_tasks):
            total += u[k, t] * x[2 * k + 2, t]
        out[k] = total


@compiled
def _conjugate_gradients(band, near, u, e, s, right, tol, max_iter, out):
    """Solve for the couplings until no product ``e_k s_k`` is off by more than ``tol[k]``.

    False if that takes more than ``max_iter`` products.
    """
    n_knots, n_tasks = u.shape
    x = np.empty((2 * n_knots + 2, n_tasks))
    out[:] = 0.0
    residual = right.copy()
    z = right.copy()
    _precondition(near, z)
    direction = z.copy()
    product = np.empty(n_knots)
    rho = np.dot(residual, z)
    for _ in range(max_iter):
        if np.all(np.abs(residual) * e <= tol):
            return True
        _coupling_product(band, u, e, s, direction, x, product)
        length = rho / np.dot(direction, product)
        for k in range(n_knots):
            out[k] += length * direction[k]
            residual[k] -= length * product[k]
            z[k] = residual[k]
        _precondition(near, z)
        previous = rho
        rho = np.dot(residual, z)
        for k in range(n_knots):
            direction[k] = z[k] + rho / previous * direction[k]
    return np.all(np.abs(residual) * e <= tol)


# --- the couplings as one dense matrix ---


@compiled
def _coupling_factor(band, u, e, s):
    """Cholesky factor of ``M^-1 o U U^T + S / E``, and whether rounding let it exist."""
    n_knots = u.shape[0]
    columns = np.zeros((2 * n_knots + 2, n_knots))
    for k in range(n_knots):
        columns[2 * k + 2, k] = -1.0
    saddle_solve(band, columns)
    matrix = np.dot(u, u.T)
    for k in range(n_knots):
        for j in range(n_knots):
            matrix[k, j] *= columns[2 * k + 2, j]
        matrix[k, k] += s[k] / e[k]
    try:
        return np.linalg.cholesky(matrix), True
    except Exception:  # numba knows no narrower kind
        return np.empty((0, 0)), False


@compiled
def _cholesky_solve(lower, x):
    n = x.shape[0]
    for i in range(n):
        total = x[i]
        for j in range(i):
            total -= lower[i, j] * x[j]
        x[i] = total / lower[i, i]
    for i in range(n - 1, -1, -1):
        x[i] /= lower[i, i]
        for j in range(i):
            x[j] -= lower[i, j] * x[i]


@compiled
def _coupled_step(band, near, lower, u, e, s, r1, r2, centre, tol, dC, du, de):
    """Newton step through the couplings: for ``de`` first, then exactly for ``dC`` and ``du``.

    Whatever the accuracy of ``de``, stationarity and ``D C = e u`` are linearised exactly; only
    complementarity feels it.  False where conjugate gradients are too slow.
    """
    n_knots, n_tasks = u.shape
    m = n_knots + 2
    x = np.empty((m + n_knots, n_tasks))
    for pass_ in range(2):
        for j in range(m):
            for t in range(n_tasks):
                x[max(0, 2 * j - 1), t] = r1[j, t]
        for k in range(n_knots):
            for t in range(n_tasks):
                x[2 * k + 2, t] = r2[k, t]
                if pass_ == 1:
                    x[2 * k + 2, t] += u[k, t] * de[k]
        saddle_solve(band, x)
        if pass_ == 0:
            right = np.empty(n_knots)
            for k in range(n_knots):
                right[k] = centre[k] * s[k] / e[k]
                for t in range(n_tasks):
                    right[k] += u[k, t] * x[2 * k + 2, t]
            if lower.shape[0] > 0:
                de[:] = right
                _cholesky_solve(lower, de)
            elif not _conjugate_gradients(band, near, u, e, s, right, tol, MAX_CG, de):
                return False
    for j in range(m):
        for t in range(n_tasks):
            dC[j, t] = x[max(0, 2 * j - 1), t]
    for k in range(n_knots):
        for t in range(n_tasks):
            du[k, t] = x[2 * k + 2, t]
    return True


# --- the method ---


@compiled
def largest_step(u, du, e, de):
    """Largest step in [0, 1] that keeps ``e > 0`` and every ``||u_k|| < 1``."""
    step = 1.0
    n_knots, n_tasks = u.shape
    for k in range(n_knots):
        if de[k] < 0.0:
            step = min(step, -e[k] / de[k])
        a = 0.0
        b = 0.0
        c = 1.0
        for t in range(n_tasks):
            a += du[k, t] * du[k, t]
            b += u[k, t] * du[k, t]
            c -= u[k, t] * u[k, t]
        if a + 2.0 * b > c:  # ||u + du|| > 1
            root = np.sqrt(b * b + a * c)
            step = min(step, c / (b + root) if b > 0.0 else (root - b) / a)
    return step


@compiled
def step_near_path(u, du, e, de, d, dd, step):
    """Shorten ``step`` until no ``e_k s_k`` runs ahead of the others or of the duality gap."""
    n_knots, n_tasks = u.shape
    if n_knots == 0:
        return step
    for _ in range(60):
        gap = 0.0
        total = 0.0
        smallest = np.inf
        for k in range(n_knots):
            norm2 = 0.0
            d2 = 0.0
            inner = 0.0
            for t in range(n_tasks):
                u_kt = u[k, t] + step * du[k, t]
                d_kt = d[k, t] + step * dd[k, t]
                norm2 += u_kt * u_kt
                d2 += d_kt * d_kt
                inner += u_kt * d_kt
            product = (e[k] + step * de[k]) * 0.5 * (1.0 - norm2)
            total += product
            smallest = min(smallest, product)
            gap += np.sqrt(d2) - inner
        if total >= 0.1 * gap and smallest >= 1e-3 * total / n_knots:
            break
        step *= 0.8
    return step


@compiled
def group_interior_point(diagonal, off, B, rows, C, u, e, tol, max_iter):
    """Minimise ``1/2 <C, G C> - <B, C> + sum_k ||D_k C||``; updates ``C``, ``u``, ``e`` in place.

    ``diagonal`` (m,) and ``off`` (m-1,) are the Gram matrix, ``rows`` (K, 2) the scaled second
    differences.  ``tol`` bounds the absolute duality gap.  Needs ``||u_k|| < 1`` and ``e > 0`` at
    the start.  Returns the number of Newton steps.
    """
    m, n_tasks = C.shape
    n_knots = m - 2
    gram = np.empty((m, n_tasks))
    gram_off = np.empty((m - 1, n_tasks))
    for t in range(n_tasks):
        gram[:, t] = diagonal
        gram_off[:, t] = off
    if n_knots == 0:
        C[:] = B
        tridiagonal_solve(gram, gram_off, C)
        return 0
    A0 = np.empty((0, n_tasks, n_tasks))
    A1 = np.empty((0, n_tasks, n_tasks))
    A2 = np.empty((0, n_tasks, n_tasks))
    saddle = np.empty((0, 4, n_tasks, n_tasks))
    in_order = False
    band = np.empty((m + n_knots, 4))
    near = np.zeros((n_knots, REACH + 1))
    d = np.empty((n_knots, n_tasks))
    dd = np.empty((n_knots, n_tasks))
    s = np.empty(n_knots)
    r1 = np.empty((m, n_tasks))
    r2 = np.empty((n_knots, n_tasks))
    dC = np.empty((m, n_tasks))
    du = np.zeros((n_knots, n_tasks))
    de = np.zeros(n_knots)
    centre = np.empty(n_knots)
    tolerance = np.empty(n_knots)
    lower = np.empty((0, 0))
    # Conjugate gradients while the couplings are local, then the cheaper factorisation; the
    # constants are seconds per operation as measured.
    block_cost = n_knots * (1.3e-9 * n_tasks**3 + 3e-8 * n_tasks**2)
    dense_cost = n_knots**2 * (1.2e-11 * n_knots + 1.2e-8 + 1e-10 * n_tasks)
    dense = dense_cost < block_cost
    local = min(block_cost, dense_cost) > 2e-5 + n_knots * n_tasks * 1e-7
    for iteration in range(max_iter):
        gap = 0.0
        mu = 0.0
        differences(rows, C, d)
        for k in range(n_knots):
            norm2 = 0.0
            d2 = 0.0
            inner = 0.0
            for t in range(n_tasks):
                norm2 += u[k, t] * u[k, t]
                d2 += d[k, t] * d[k, t]
                inner += u[k, t] * d[k, t]
            s[k] = 0.5 * (1.0 - norm2)
            mu += e[k] * s[k] / n_knots
            gap += np.sqrt(d2) - inner
        r1[:] = B
        subtract_gram(gram, gram_off, C, r1)
        subtract_adjoint(rows, u, r1)
        # G is at least half its diagonal, so r_1 costs at most <r_1, diag(G)^-1 r_1>.
        infeasible = 0.0
        for j in range(m):
            for t in range(n_tasks):
                infeasible += r1[j, t] * r1[j, t] / diagonal[j]
        if gap + infeasible <= tol and infeasible <= 1e-2 * tol:
            return iteration
        if local or dense:
            saddle_factor(diagonal, off, rows, e, band)
        if local:
            local = _precondition_factor(band, u, e, s, near)
        if not local and dense:
            lower, dense = _coupling_factor(band, u, e, s)
        if not local and not dense:
            if A0.shape[0] == 0:
                A0 = np.empty((m, n_tasks, n_tasks))
                A1 = np.empty((m, n_tasks, n_tasks))
                A2 = np.empty((m, n_tasks, n_tasks))
            if not in_order:
                block_assemble(gram, gram_off, rows, u, e, s, A0, A1, A2)
                in_order = not block_factor(A0, A1, A2)
            if in_order:
                if saddle.shape[0] == 0:
                    saddle = np.empty((m + n_knots, 4, n_tasks, n_tasks))
                if not saddle_block_factor(gram, gram_off, rows, u, e, s, saddle):
                    return iteration
        target = 0.0
        trust = 0.0
        step = 0.0
        for phase in range(2):
            for k in range(n_knots):
                # Mehrotra: the corrector adds the second-order terms of the predictor, as far as
                # the predictor can be trusted.
                second = 0.0
                if phase == 1:
                    norm2 = 0.0
                    inner = 0.0
                    for t in range(n_tasks):
                        norm2 += du[k, t] * du[k, t]
                        inner += u[k, t] * du[k, t]
                    second = trust * (0.5 * e[k] * norm2 + de[k] * (inner + 0.5 * norm2))
                for t in range(n_tasks):
                    bend = trust * de[k] * du[k, t]
                    r2[k, t] = e[k] * u[k, t] - d[k, t] + bend
                centre[k] = (target - e[k] * s[k] + second) / s[k]
                tolerance[k] = 0.1 * (target if phase == 1 else e[k] * s[k])
            if not local and not dense:
                if in_order:
                    saddle_block_step(saddle, u, e, s, r1, r2, centre, dC, du, de)
                else:
                    block_step(A0, A1, A2, rows, u, e, s, r1, r2, centre, dC, du, de)
                    rounding = step_misfit(gram, gram_off, rows, r1, dC, du)
                    if not rounding <= 0.1 * max(infeasible, 1e-2 * tol):
                        # Rounding spoilt the step: take it again with the other elimination.
                        in_order = True
                        step = 0.0
                        break
            elif not _coupled_step(
                band, near, lower, u, e, s, r1, r2, centre, tolerance, dC, du, de
            ):
                local = False
                step = 0.0
                de[:] = 0.0
                du[:] = 0.0
                break
            step = largest_step(u, du, e, de)
            if phase == 0:
                reached = 0.0
                for k in range(n_knots):
                    norm2 = 0.0
                    for t in range(n_tasks):
                        norm2 += (u[k, t] + step * du[k, t]) ** 2
                    reached += (e[k] + step * de[k]) * 0.5 * (1.0 - norm2) / n_knots
                # The gap per knot equals mu on the path; off it, mu alone can be far too small.
                decrease = max(1e-4, min(1.0, reached / mu) ** 3)
                target = decrease * max(mu, gap / n_knots)
                trust = 1.0 if step > 0.3 else 0.0
        if step == 0.0:
            continue
        differences(rows, dC, dd)
        step = step_near_path(u, du, e, de, d, dd, 0.9999 if step == 1.0 else 0.95 * step)
        for j in range(m):
            for t in range(n_tasks):
                C[j, t] += step * dC[j, t]
        for k in range(n_knots):
            e[k] += step * de[k]
            for t in range(n_tasks):
                u[k, t] += step * du[k, t]
    return max_iter
