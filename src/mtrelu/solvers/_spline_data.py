"""What the working set of knots solves, for each kind of data: fit on some knots, look at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from mtrelu.losses import Loss
from mtrelu.solvers import _hat_basis
from mtrelu.solvers._loss_newton import dual_norms, fenchel_gap, fit_loss, locate, rows_from_nodes
from mtrelu.solvers._spline_algebra import differences, subtract_adjoint
from mtrelu.validation import FloatArray

Nodes = NDArray[np.int64]


@dataclass(frozen=True)
class NodeFit:
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


class Data(Protocol):
    """The problem on sorted distinct inputs ``x``, in units of its own."""

    x: FloatArray
    penalty: float
    unit: float  # of the objective
    objective: float  # without any neuron; a scale for the first tolerance

    def first_nodes(self) -> Nodes: ...
    def fit(self, nodes: Nodes, tol: float, start: NodeFit | None) -> NodeFit: ...
    def values(self, fit: NodeFit) -> FloatArray: ...
    def dual_rows(self, fit: NodeFit) -> FloatArray: ...


class SquaredData:
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
            self._labels = np.ascontiguousarray(_triangle(self._labels).T)
        self.objective = 0.5 * float(self._weight @ np.einsum("it,it->i", labels, labels))
        self.objective /= self._height**2

    def first_nodes(self) -> Nodes:
        nodes: Nodes = _hat_basis.first_nodes(
            self._position, self._weight, self._labels, self.penalty
        )
        return nodes

    def fit(self, nodes: Nodes, tol: float, start: NodeFit | None) -> NodeFit:
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
        return NodeFit(nodes, C, u, e, primal, dual, norms, S)

    def values(self, fit: NodeFit) -> FloatArray:
        if self._labels is self._all_labels:
            return fit.C * self._height
        return self._height * self._all_tasks(fit)[0]

    def dual_rows(self, fit: NodeFit) -> FloatArray:
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
            P = rows_from_nodes(segment, up, C)
            np.subtract(self._all_labels, P, out=P)
            P *= self._weight[:, None]
        # In place: with many tasks each array of this shape is most of the memory.
        P *= self._height
        P /= self._weight[:, None]
        x, Y, weight = self._rows
        if len(x) > len(self.x):  # labels of equal inputs differ from their mean
            group = np.searchsorted(self.x, x)
            P = P[group]
            P += Y - self._means[group]
        P *= weight[:, None]
        return P

    def _all_tasks(self, fit: NodeFit) -> tuple[FloatArray, FloatArray]:
        """Node values and multipliers of the tasks before compression, scaled."""
        # The way back needs no Q: the group weights are common to all tasks.
        C, u = _hat_basis.fit_given_weights(
            self._position, self._weight, self._all_labels, self.penalty, fit.nodes, fit.e
        )
        return C, u


class AnyLossData:
    """Any loss and any weights: every label keeps its own dual variable, inputs are in [0, 1]."""

    unit = 1.0

    def __init__(
        self, loss: Loss, x: FloatArray, Y: FloatArray, weight: FloatArray, alpha: float
    ) -> None:
        self.x, self._first_row, self._group = np.unique(x, return_index=True, return_inverse=True)
        width = self.x[-1] - self.x[0]
        self._loss, self._Y = loss, np.ascontiguousarray(Y)
        self._weight = weight.reshape(len(weight), -1)
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
        total = np.add.reduceat(self._weight, self._first_row)
        mean = np.add.reduceat(self._weight * response, self._first_row)
        mean = np.divide(mean, total, out=np.zeros_like(mean), where=total > 0.0)
        weight = total.mean(axis=1)
        nodes: Nodes = _hat_basis.first_nodes(
            self._position, weight * curvature, mean, self.penalty
        )
        return nodes

    def fit(self, nodes: Nodes, tol: float, start: NodeFit | None) -> NodeFit:
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
        return NodeFit(nodes, C, u, e, primal, primal - gap, norms, P)

    def values(self, fit: NodeFit) -> FloatArray:
        return fit.C

    def dual_rows(self, fit: NodeFit) -> FloatArray:
        return fit.dual_source


def _triangle(labels: FloatArray) -> FloatArray:
    """Return R of labels.T = Q R, (N, N), for labels (N, T) with T > N.

    By blocks of tasks, so that no copy of all labels is made.
    """
    n, n_tasks = labels.shape
    R = np.empty((0, n))
    for start in range(0, n_tasks, 4 * n):
        block = np.vstack([R, labels[:, start : start + 4 * n].T])
        R = qr(block, mode="r", overwrite_a=True, check_finite=False)[0][:n]
    return R


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
