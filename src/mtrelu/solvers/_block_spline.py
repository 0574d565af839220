"""Squared loss with labels left out, or weights that differ between tasks, on nodes."""

from __future__ import annotations

import numpy as np

from mtrelu._label_weights import equal_columns
from mtrelu.losses import SquaredLoss
from mtrelu.solvers import _hat_basis
from mtrelu.solvers._block_newton import Moments, fit_blocks
from mtrelu.solvers._loss_newton import locate, quadratic_interior_point, rows_from_nodes
from mtrelu.solvers._spline_algebra import differences, tridiagonal_solve
from mtrelu.solvers._spline_data import NodeFit, Nodes
from mtrelu.validation import FloatArray

# Where a node has next to no labels, this share of the largest diagonal entry of G stands for it.
_RIDGE = 1e-12
_START = 0.1  # the same for the node values to start from


class BlockData:
    """Equal inputs merged, everything scaled to order one, tasks of equal weights in one block.

    Parameters
    ----------
    x : ndarray of shape (N,)
        Inputs, ascending, not all equal.
    Y, weight : ndarray of shape (N, T)
        Labels without their best lines, and weights; every task has labels at two inputs at least.
    alpha : float
        Penalty.
    """

    def __init__(self, x: FloatArray, Y: FloatArray, weight: FloatArray, alpha: float) -> None:
        self._rows = Y, weight
        starts = np.flatnonzero(np.append(True, x[1:] != x[:-1]))
        self.x, self._group = x[starts], np.repeat(
            np.arange(starts.size), np.diff(np.append(starts, x.size))
        )  # fmt: skip
        total = np.add.reduceat(weight, starts)
        self._means = _quotient(np.add.reduceat(weight * Y, starts), total)
        # A second time, for the rounding of the first.
        rest = np.add.reduceat(weight * (Y - self._means[self._group]), starts)
        self._means += _quotient(rest, total)

        width = self.x[-1] - self.x[0]
        mean_weight = float(weight.sum() / np.count_nonzero(weight))
        square = float(np.sum(total * self._means**2) / total.sum())
        self._height = float(np.sqrt(square)) or 1.0
        self._position = (self.x - self.x[0]) / width
        self._total, self._weight = total, total / mean_weight
        self._labels = self._means / self._height
        self.unit = self._height**2 * mean_weight
        self.penalty = float(alpha / (width * self._height * mean_weight))
        self.objective = 0.5 * float(np.sum(self._weight * self._labels**2))
        blocks = equal_columns(self._weight)
        self._block = np.empty(Y.shape[1], dtype=np.intp)
        for b, tasks in enumerate(blocks):
            self._block[tasks] = b
        self._blocks = [
            (
                tasks,
                np.ascontiguousarray(self._weight[:, tasks[0]]),
                np.ascontiguousarray(self._labels[:, tasks]),
            )
            for tasks in blocks
        ]

    def first_nodes(self) -> Nodes:
        """As for shared weights, a label that is left out being on the best line."""
        nodes: Nodes = _hat_basis.first_nodes(
            self._position, self._weight.mean(axis=1), self._labels, self.penalty
        )
        return nodes

    def fit(self, nodes: Nodes, tol: float, start: NodeFit | None) -> NodeFit:
        """Fit on these nodes and look at all points."""
        rows = _hat_basis.second_difference_rows(self._position[nodes], self.penalty)
        moments = self._moments(nodes)
        if self._is_large(len(rows)):
            C, u, e = self._fit_rows(nodes, rows, tol)
        else:
            C, u, e = self._start(nodes, rows, moments, start)
            fit_blocks(moments, rows, C, u, e, tol)
        bend = np.empty(u.shape)
        differences(rows, C, bend)
        penalty = float(np.linalg.norm(bend, axis=1).sum())
        # The dual variable P = w (Y - H S) obeys H^T P = D^T u, S = C + G^-1 r_1.
        S = C + _solved(moments, _RIDGE, moments.left_over(C, rows, u))
        misfit = self._scan(nodes, C)[1]
        inner, square, norms = self._scan(nodes, S)
        # The dual value at s P is s <P, Y> - s^2 |P|^2 / 2, feasible while s max ||U_i|| <= alpha.
        largest = float(norms.max())
        shrink = 1.0 if largest <= self.penalty else self.penalty / largest
        if inner < shrink * square:
            shrink = inner / square
        dual = shrink * inner - 0.5 * shrink * shrink * square
        return NodeFit(nodes, C, u, e, 0.5 * misfit + penalty, dual, norms, S)

    def values(self, fit: NodeFit) -> FloatArray:
        """Node values in units of the labels."""
        return fit.C * self._height

    def dual_rows(self, fit: NodeFit) -> FloatArray:
        """The dual variable of every row."""
        segment, up = locate(self._position, self._position[fit.nodes])
        P = self._total * (
            self._means - self._height * rows_from_nodes(segment, up, fit.dual_source)
        )
        Y, weight = self._rows
        share = _quotient(P, self._total)[self._group]
        return np.asarray(weight * ((Y - self._means[self._group]) + share))

    def _moments(self, nodes: Nodes) -> Moments:
        diagonal, off = np.empty((len(nodes), len(self._blocks))), []
        right = np.empty((len(nodes), self._labels.shape[1]))
        for b, (tasks, weight, labels) in enumerate(self._blocks):
            diagonal[:, b], beside, right[:, tasks] = _hat_basis.hat_moments(
                self._position, weight, labels, nodes
            )
            off.append(beside)
        return Moments(diagonal, np.column_stack(off), right, self._block)

    def _scan(self, nodes: Nodes, C: FloatArray) -> tuple[float, float, FloatArray]:
        """``sum p y``, ``sum p^2 / w`` and all dual norms, for ``p = w (Y - H C)``."""
        inner = square = 0.0
        norms, part = np.zeros(self.x.size), np.empty(self.x.size)
        for tasks, weight, labels in self._blocks:
            found = _hat_basis.scan_residual(
                self._position, weight, labels, nodes, np.ascontiguousarray(C[:, tasks]), part
            )
            inner, square = inner + found[0], square + found[1]
            norms = np.hypot(norms, part)
        return inner, square, norms

    def _start(
        self, nodes: Nodes, rows: FloatArray, moments: Moments, start: NodeFit | None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        if start is not None:
            kept = np.searchsorted(start.nodes, nodes)
            inner = kept[1:-1] - 1
            return start.C[kept].copy(), start.u[inner].copy(), start.e[inner].copy()
        n_tasks = self._labels.shape[1]
        C = _solved(moments, _START if len(rows) else 0.0, moments.right)
        bend = np.empty((len(rows), n_tasks))
        differences(rows, C, bend)
        e = np.linalg.norm(bend, axis=1)
        least = 0.1 * float(e.mean()) if e.size else 0.0
        e = np.maximum(e, max(least, float(np.finfo(float).tiny)))
        return C, np.zeros((len(rows), n_tasks)), e

    def _is_large(self, n_knots: int) -> bool:
        """Whether one matrix of all knots takes longer than elimination in T x T blocks."""
        n, n_tasks = self._labels.shape
        one_matrix = n_knots**2 * (n_knots / 3 + 20 * len(self._blocks))
        return bool(one_matrix > 10 * (10 * n_knots * n_tasks**3 + 30 * n * n_tasks))

    def _fit_rows(
        self, nodes: Nodes, rows: FloatArray, tol: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        segment, up = locate(self._position, self._position[nodes])
        return quadratic_interior_point(
            SquaredLoss(), self._labels, self._weight, segment, up, rows, tol
        )[:3]


def _quotient(values: FloatArray, by: FloatArray) -> FloatArray:
    """Divide, with 0 / 0 = 0."""
    return np.divide(values, by, out=np.zeros_like(values), where=by > 0.0)


def _solved(moments: Moments, ridge: float, right: FloatArray) -> FloatArray:
    """``(G + ridge)^-1 right``, the ridge relative to the largest diagonal entry."""
    diagonal = moments.diagonal + ridge * moments.diagonal.max(axis=0)
    values = right.copy()
    tridiagonal_solve(
        np.ascontiguousarray(diagonal[:, moments.block]),
        np.ascontiguousarray(moments.off[:, moments.block]),
        values,
    )
    return values
