"""Interior point method of `_group_newton` where tasks differ in their weights.

Then the Gram matrices ``G`` of the nodes differ too: one a block of tasks that share their weights.
A Newton step eliminates one scalar banded system a block, and what couples the tasks is still one
number a knot: the change of its group weight ``e_k``.  With the blocks' systems solved for every
knot that is a matrix of K rows,

    sum_b (D G_b^-1 D^T + E)^-1 o (U_b U_b^T) + S / E,

so a step costs O(K^2) a block and O(K^3).  A block can have no label between two nodes, and then
``G_b`` is singular; with pivoting its banded system is not, as long as the block has labels at two
inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lapack

from mtrelu.solvers._group_newton import largest_step, step_near_path
from mtrelu.solvers._spline_algebra import differences, subtract_adjoint, subtract_gram
from mtrelu.validation import FloatArray

_MAX_STEPS = 100
_BAND = 3  # neighbours on either side of a diagonal entry of a banded system
# Share of the largest diagonal entry of G that counts where a node has next to no labels.
_FLOOR = 1e-8


@dataclass(frozen=True, eq=False)
class Moments:
    """What the nodes need of the data.

    Attributes
    ----------
    diagonal : ndarray of shape (m, B)
        Diagonals of the Gram matrices, one a block.
    off : ndarray of shape (m - 1, B)
        What stands beside them.
    right : ndarray of shape (m, T)
        ``H^T W Y``.
    block : ndarray of shape (T,)
        The block of each task.
    """

    diagonal: FloatArray
    off: FloatArray
    right: FloatArray
    block: np.ndarray

    @property
    def floor(self) -> FloatArray:
        """Diagonals (m, T) that can be divided by."""
        least = _FLOOR * self.diagonal.max(axis=0)
        return np.asarray(np.maximum(self.diagonal, least)[:, self.block])

    def left_over(self, C: FloatArray, rows: FloatArray, u: FloatArray) -> FloatArray:
        """``B - G C - D^T u``: how far from stationary (m, T)."""
        left = self.right.copy()
        subtract_gram(
            np.ascontiguousarray(self.diagonal[:, self.block]),
            np.ascontiguousarray(self.off[:, self.block]),
            C,
            left,
        )
        subtract_adjoint(rows, u, left)
        return left


def fit_blocks(
    moments: Moments, rows: FloatArray, C: FloatArray, u: FloatArray, e: FloatArray, tol: float
) -> None:
    """Minimise ``1/2 <C, G C> - <B, C> + sum_k ||D_k C||``; updates ``C``, ``u``, ``e`` in place.

    Parameters
    ----------
    moments : Moments
        Gram matrices and right-hand side.
    rows : ndarray of shape (K, 2)
        Scaled second differences.
    C, u, e : ndarray of shape (m, T), (K, T), (K,)
        Where to start, with ``||u_k|| < 1`` and ``e > 0``.
    tol : float
        Absolute duality gap.
    """
    d, dd = np.empty_like(u), np.empty_like(u)
    floor = moments.floor
    n_knots = len(e)
    for _ in range(_MAX_STEPS):
        differences(rows, C, d)
        norm2 = np.einsum("kt,kt->k", u, u)
        s = 0.5 * (1.0 - norm2)
        gap = float(np.linalg.norm(d, axis=1).sum() - np.sum(u * d))
        r1 = moments.left_over(C, rows, u)
        infeasible = float(np.sum(r1 * r1 / floor))
        if gap + infeasible <= tol and infeasible <= 1e-2 * tol:
            return
        mu = float(e @ s) / max(1, n_knots)
        try:
            newton = CoupledStep(moments.diagonal, moments.off, moments.block, rows, u, e, s, d)
        except np.linalg.LinAlgError:
            return
        dC, du, de = newton.towards(r1, 0.0, np.zeros_like(u), np.zeros_like(e))
        step = largest_step(u, du, e, de)
        if n_knots:
            # Mehrotra: the corrector adds the second-order terms of the predictor, as far as the
            # predictor can be trusted.
            moved = u + step * du
            reached = 0.5 * (e + step * de) @ (1.0 - np.einsum("kt,kt->k", moved, moved)) / n_knots
            decrease = max(1e-4, min(1.0, reached / mu) ** 3)
            target = decrease * max(mu, gap / n_knots)
            trust = 1.0 if step > 0.3 else 0.0
            dC, du, de = newton.towards(r1, target, trust * du, trust * de)
            step = largest_step(u, du, e, de)
        if not (np.isfinite(dC).all() and np.isfinite(du).all()):
            return
        differences(rows, dC, dd)
        step = step_near_path(u, du, e, de, d, dd, 0.9999 if step == 1.0 else 0.95 * step)
        C += step * dC
        u += step * du
        e += step * de


class CoupledStep:
    """A Newton step from one point: factors once, any number of right-hand sides.

    Parameters
    ----------
    diagonal, off : ndarray of shape (m, B), (m - 1, B)
        The Gram matrices of B blocks of tasks.
    block : ndarray of shape (T,)
        The block of each task.
    rows, u, e, s, d : ndarray
        Second differences, and the point: ``u`` (K, T), ``e`` and ``s`` (K,), ``d = D C`` (K, T).
    """

    def __init__(
        self,
        diagonal: FloatArray,
        off: FloatArray,
        block: np.ndarray,
        rows: FloatArray,
        u: FloatArray,
        e: FloatArray,
        s: FloatArray,
        d: FloatArray,
    ) -> None:
        self.u, self.e, self.s, self.d = u, e, s, d
        n_knots = len(e)
        m = n_knots + 2
        self.node = np.maximum(0, 2 * np.arange(m) - 1)
        self.knot = 2 * np.arange(n_knots) + 2
        self.tasks = [np.flatnonzero(block == b) for b in range(diagonal.shape[1])]
        self.factors = [
            self._factor(own, beside, rows) for own, beside in zip(diagonal.T, off.T, strict=True)
        ]
        if n_knots:
            units = np.zeros((m + n_knots, n_knots))
            units[self.knot, np.arange(n_knots)] = -1.0
            coupling = np.diag(s / e)
            for tasks, factor in zip(self.tasks, self.factors, strict=True):
                part = u[:, tasks]
                coupling += _solved(factor, units)[self.knot] * (part @ part.T)
            self.coupling = cho_factor(0.5 * (coupling + coupling.T), lower=True)

    def towards(
        self, r1: FloatArray, target: float, du: FloatArray, de: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The step for ``G dC + D^T du = r_1`` and products ``e s = target``.

        With the second-order terms of another step.
        """
        u, e, s = self.u, self.e, self.s
        inner, norm2 = np.einsum("kt,kt->k", u, du), np.einsum("kt,kt->k", du, du)
        second = 0.5 * e * norm2 + de * (inner + 0.5 * norm2)
        centre = (target - e * s + second) / s
        r2 = e[:, np.newaxis] * u - self.d + de[:, np.newaxis] * du
        new_dC, new_du = self._banded(r1, r2)
        new_de = np.zeros_like(e)
        if len(e):
            right = centre * s / e + np.einsum("kt,kt->k", u, new_du)
            new_de = cho_solve(self.coupling, right, check_finite=False)
            new_dC, new_du = self._banded(r1, r2 + u * new_de[:, np.newaxis])
        return new_dC, new_du, new_de

    def _banded(self, r1: FloatArray, r2: FloatArray) -> tuple[FloatArray, FloatArray]:
        dC, du = np.empty_like(r1), np.empty_like(self.u)
        for tasks, factor in zip(self.tasks, self.factors, strict=True):
            right = np.empty((self.node.size + self.knot.size, tasks.size))
            right[self.node], right[self.knot] = r1[:, tasks], r2[:, tasks]
            x = _solved(factor, right)
            dC[:, tasks], du[:, tasks] = x[self.node], x[self.knot]
        return dC, du

    def _factor(
        self, diagonal: FloatArray, off: FloatArray, rows: FloatArray
    ) -> tuple[FloatArray, np.ndarray]:
        """LU factors of [[G, D^T], [D, -E]] in the order of x: node j stands at max(0, 2 j - 1)."""
        node, knot = self.node, self.knot
        band = np.zeros((3 * _BAND + 1, node.size + knot.size))

        def put(i: np.ndarray, j: np.ndarray, values: FloatArray) -> None:
            band[2 * _BAND + i - j, j] = values
            band[2 * _BAND + j - i, i] = values

        put(node, node, diagonal)
        put(node[:-1], node[1:], off)
        put(knot, knot, -self.e)
        put(node[:-2], knot, rows[:, 0])
        put(node[1:-1], knot, -rows.sum(axis=1))
        put(node[2:], knot, rows[:, 1])
        lu, pivots, failed = lapack.dgbtrf(band, _BAND, _BAND)
        if failed:
            raise np.linalg.LinAlgError
        return lu, pivots


def _solved(factor: tuple[FloatArray, np.ndarray], right: FloatArray) -> FloatArray:
    lu, pivots = factor
    return np.asarray(lapack.dgbtrs(lu, _BAND, _BAND, right, pivots)[0])
