"""The squared loss over a fixed set of neurons: the group lasso, in as many unknowns as neurons.

With ‖v‖ = min_η ½(‖v‖²/η + η) the output weights can be eliminated. What is left is to minimise
over η ≥ 0 the convex function

    h(η) = tr(Yᵀ C⁻¹ Y) + Σ_k η_k,     C = αI + Σ_k η_k φ_k φ_kᵀ,

whatever the number of tasks. With R = C⁻¹Y, the residual divided by α, and z_k = Rᵀφ_k the output
weights are v_k = η_k z_k, the gradient is 1 − ‖z_k‖², and the Hessian 2 (φ_kᵀC⁻¹φ_l)(z_k·z_l).
A primal–dual interior point method needs 5 to 25 steps of O(K³).

Where tasks differ in their weights their features differ as well: then the first term of h, and of
its derivatives, is a sum over blocks of tasks that share theirs, and a step costs O(K³) a block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack

from mtrelu.validation import FloatArray

_MAX_STEPS = 80

# Features (N, K) and labels (N, r) of tasks that share their weights, one pair a block of tasks.
Blocks = list[tuple[FloatArray, FloatArray]]


@dataclass(frozen=True, eq=False)
class Master:
    """Optimal output weights over fixed neurons.

    Attributes
    ----------
    V : ndarray of shape (K, r)
        Output weights.
    eta : ndarray of shape (K,)
        Their norms, ‖v_k‖₂, smoothed by the interior point method: positive.
    residual : ndarray of shape (N, r)
        Y − Φ V.
    gap : float
        Objective minus a lower bound of it over these neurons.
    """

    V: FloatArray
    eta: FloatArray
    residual: FloatArray
    gap: float


def solve_master(
    blocks: Blocks,
    alpha: float,
    *,
    gap: float,
    eta: FloatArray | None = None,
) -> Master:
    """Minimise ½ Σ_b ‖Y_b − Φ_b V_b‖² + α Σ_k ‖v_k‖₂, v_k being the row k of all V_b.

    Parameters
    ----------
    blocks : list of (Phi, Y)
        Features (N, K) and labels (N, r) of tasks that share their weights; both weighted and
        projected off the skip connection.
    alpha : float
        Penalty, > 0.
    gap : float
        Duality gap, in units of the objective, at which to stop.
    eta : ndarray of shape (K,), optional
        A guess of ‖v_k‖₂.

    Returns
    -------
    Master
        The best point found; its gap is larger than asked for only when rounding ends the work.

    Examples
    --------
    >>> master = solve_master([(np.eye(2), np.array([[3.0], [0.5]]))], 1.0, gap=1e-9)
    >>> master.V.ravel().round(6), bool(master.gap <= 1e-9)
    (array([2., 0.]), True)
    """
    n_neurons = blocks[0][0].shape[1]
    Y = np.hstack([labels for _, labels in blocks])
    nothing = Master(np.zeros((n_neurons, Y.shape[1])), np.zeros(n_neurons), Y, math.inf)
    lengths = np.max([np.linalg.norm(Phi, axis=0) for Phi, _ in blocks], axis=0)
    if n_neurons == 0 or not lengths.any():
        return Master(nothing.V, nothing.eta, Y, 0.0)
    # In units of the label size, and of α/(length of a feature), everything is of order one.
    grams = [Phi.T @ Phi for Phi, _ in blocks]
    crosses = [Phi.T @ labels for Phi, labels in blocks]
    top = float(np.linalg.norm(np.hstack(crosses), axis=1).max())
    if top <= alpha:
        return Master(nothing.V, nothing.eta, Y, 0.0)
    level = float(np.linalg.norm(Y)) / float(lengths.max())
    floor = 1e-3 * level / n_neurons
    x = np.full(n_neurons, level / n_neurons) if eta is None else np.maximum(eta, floor)
    s = np.ones(n_neurons)
    mu = float(x.mean())

    best = nothing
    stalled = 0
    for _ in range(_MAX_STEPS):
        root = np.sqrt(x)
        factors = [_factor(gram, root, alpha) for gram in grams]
        if not all(exists for _, exists in factors):
            break
        Zs = [
            cho_solve((factor, True), root[:, np.newaxis] * cross, check_finite=False)
            / root[:, np.newaxis]
            for (factor, _), cross in zip(factors, crosses, strict=True)
        ]
        Z = np.hstack(Zs)
        sizes = np.einsum("kt,kt->k", Z, Z)
        V = x[:, np.newaxis] * Z
        residual = Y - _product(blocks, V)
        now = _gap(blocks, Y, V, residual, alpha)
        if now < best.gap:
            stalled = 0 if now < 0.9 * best.gap else stalled + 1
            best = Master(V, x, residual, now)
        else:
            stalled += 1
        if best.gap <= gap or stalled > 12:
            break

        # Newton for the secular form 1/‖z‖ − 1 = s, s η = μ: for neurons that do not overlap,
        # 1/‖z‖ is linear in η. Rows are scaled so that the matrix is symmetric, of order one.
        hessian = sum(
            _curvature(factor, block, alpha) for (factor, _), block in zip(factors, Zs, strict=True)
        )
        lengths = np.maximum(np.sqrt(sizes), 1e-8)
        slack = 1.0 / lengths - 1.0
        row = 2.0 * lengths**3
        matrix = hessian + np.diag(row * s + 1e-14)
        solver = _positive_factor(matrix)
        if solver is None:
            break

        def direction(
            complementarity: FloatArray,
            root: FloatArray = root,
            x: FloatArray = x,
            s: FloatArray = s,
            slack: FloatArray = slack,
            row: FloatArray = row,
            solver: tuple[FloatArray, bool] = solver,
        ) -> tuple[FloatArray, FloatArray]:
            # s dx + x ds = complementarity − x s;  H dx / row − ds = s − slack
            right = row * (complementarity / x - slack)
            dx = root * cho_solve(solver, root * right, check_finite=False)
            ds = (complementarity - x * s - s * dx) / x
            return dx, ds

        dx, ds = direction(np.zeros(n_neurons))
        tp, td = _to_boundary(x, dx), _to_boundary(s, ds)
        mu = float(x @ s) / n_neurons
        predicted = float((x + tp * dx) @ (s + td * ds)) / n_neurons
        centering = min(max((predicted / mu) ** 3, 1e-4), 1.0)
        dx, ds = direction(centering * mu - dx * ds)
        tp, td = 0.99 * _to_boundary(x, dx), 0.99 * _to_boundary(s, ds)
        x = np.maximum(x + min(tp, 1.0) * dx, 1e-14 * x)
        s = np.maximum(s + min(td, 1.0) * ds, 1e-14 * s)
    return best


def _factor(gram: FloatArray, root: FloatArray, alpha: float) -> tuple[FloatArray, bool]:
    """Cholesky factor of αI + √η ΦᵀΦ √η, and whether it exists."""
    inner = gram * np.outer(root, root)
    inner.flat[:: root.size + 1] += alpha
    factor, failed = lapack.dpotrf(inner, lower=1, overwrite_a=1)
    return factor, not failed


def _curvature(factor: FloatArray, Z: FloatArray, alpha: float) -> FloatArray:
    """A block's part of the Hessian, times √η from both sides."""
    inverse, _ = lapack.dpotri(factor, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    hessian = -alpha * inverse
    hessian.flat[:: len(Z) + 1] += 1.0
    hessian *= 2.0 * (Z @ Z.T)
    return np.asarray(hessian)


def _split(columns: FloatArray, blocks: Blocks) -> list[FloatArray]:
    """Return the columns (·, Σ r) of all tasks block by block."""
    ends = np.cumsum([labels.shape[1] for _, labels in blocks])
    return np.split(columns, ends[:-1], axis=1)


def _product(blocks: Blocks, V: FloatArray) -> FloatArray:
    """Φ_b V_b of all blocks, side by side."""
    parts = zip(blocks, _split(V, blocks), strict=True)
    return np.hstack([Phi @ part for (Phi, _), part in parts])


def _gap(blocks: Blocks, Y: FloatArray, V: FloatArray, residual: FloatArray, alpha: float) -> float:
    """Duality gap of V over these neurons, without cancellation between large numbers."""
    parts = zip(blocks, _split(residual, blocks), strict=True)
    forces = np.hstack([Phi.T @ part for (Phi, _), part in parts])
    largest = float(np.linalg.norm(forces, axis=1).max())
    fitted = Y - residual
    square = float(np.sum(residual**2))
    along = float(np.sum(residual * fitted))
    limit = alpha / largest if largest > 0 else 1.0
    scale = min(1.0 + along / square, limit) if square > 0 else 0.0
    scale = max(scale, 0.0)
    path = alpha * float(np.linalg.norm(V, axis=1).sum())
    return max(0.5 * (1.0 - scale) ** 2 * square + path - scale * along, 0.0)


def _positive_factor(matrix: FloatArray) -> tuple[FloatArray, bool] | None:
    """Cholesky factor, of a slightly more positive matrix where rounding makes that necessary."""
    size = float(np.abs(np.diagonal(matrix)).max())
    for ridge in (0.0, 1e-14, 1e-12, 1e-10, 1e-8):
        try:
            shifted = matrix if ridge == 0.0 else matrix + ridge * size * np.eye(matrix.shape[0])
            factor: tuple[FloatArray, bool] = cho_factor(shifted, lower=True, check_finite=False)
            return factor
        except np.linalg.LinAlgError:
            continue
    return None


def _to_boundary(x: FloatArray, dx: FloatArray) -> float:
    """Largest step up to 1/0.99 that keeps x + t dx ≥ 0."""
    falling = dx < 0
    return min(1.0 / 0.99, float(np.min(x[falling] / -dx[falling], initial=math.inf)))
