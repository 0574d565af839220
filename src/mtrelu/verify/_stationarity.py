"""How far a network is from stationary in its output weights and skip connection.

With its neurons (w_k, b_k) held fixed, the problem is convex in the output weights v and the skip
connection. They are optimal when, for P a dual variable of the network itself and unit ‖w_k‖,

    q_k = Σ_i p_i (w_k·x_i + b_k)₊ = α v_k/‖v_k‖,    Σ_i p_i = 0,    Σ_i p_i x_iᵀ = 0.

The stationarity is the largest of three relative violations. For the neurons it is

    Σ_k c_k ‖v_k/‖v_k‖ − q_k/α‖ / Σ_k c_k,    c_k = ‖v_k‖‖w_k‖,

so that neurons which do next to nothing count for next to nothing. For the skip connection it is
‖Σ_i p_i z_iᵀ‖ / Σ_i ‖p_i‖‖z_i‖, with z_i = 1 and with z_i = x_i − centre. What rounding of labels
and parameters makes of P counts as 0.
"""

from __future__ import annotations

import numpy as np

from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.validation import FloatArray
from mtrelu.verify._common import BLOCK_ENTRIES, EPS, LARGEST


class Stationarity:
    """Adds up the violations over blocks of tasks.

    Parameters
    ----------
    problem : Problem
        With one input: the inputs ascending.
    network : ReLUNetwork
        The network.
    """

    def __init__(self, problem: Problem, network: ReLUNetwork) -> None:
        from mtrelu._line_exact import row_norms

        w_size, v_size = row_norms(network.w), row_norms(network.v)
        self._cost = w_size * v_size
        active = np.flatnonzero(self._cost > 0)
        self._cost, self._v_size = self._cost[active], v_size[active]
        self._v = network.v[active]
        centre = problem.X[0] + np.mean(problem.X - problem.X[0], axis=0)
        self._D = problem.X - centre
        self._w = network.w[active] / w_size[active, np.newaxis]
        self._b = (network.w[active] @ centre + network.b[active]) / w_size[active]
        self._problem = problem
        self._deviation = np.zeros(active.size)
        self._size = np.zeros(problem.n_samples)
        # Rounding of a label or a parameter moves p by no more than this, for all our losses.
        slope = float(self._cost.sum() + np.linalg.norm(network.A))
        constant = float(np.abs(network.b) @ v_size + np.linalg.norm(network.c))
        size = row_norms(problem.Y) + slope * row_norms(problem.X) + constant
        self._rounding = 4 * EPS * problem.row_weight * size
        self._level = self._tilt = 0.0

    def add(self, P: FloatArray, tasks: slice = slice(None)) -> None:
        """Take in the network's dual variable for some tasks."""
        self._size += np.einsum("it,it->i", P, P)
        self._level += float(np.sum(np.sum(P, axis=0) ** 2))
        self._tilt += float(np.sum((self._D.T @ P) ** 2))
        if self._cost.size:
            directions = self._v[:, tasks] / self._v_size[:, np.newaxis]
            self._deviation += np.sum((directions - self._forces(P)) ** 2, axis=1)

    def value(self) -> float:
        """Return the stationarity, at least 0 and finite."""
        size, rounding, neurons = np.sqrt(self._size), self._rounding, 0.0
        if self._cost.size:
            noise = self._forces(rounding[:, np.newaxis])[:, 0]
            deviation = np.maximum(np.sqrt(self._deviation) - noise, 0.0)
            neurons = float(self._cost @ deviation) / float(self._cost.sum())
        distance = np.linalg.norm(self._D, axis=1)
        level = _share(self._level**0.5 - float(rounding.sum()), float(size.sum()))
        tilt = 0.0
        if self._problem.skip == "affine":
            tilt = _share(self._tilt**0.5 - float(rounding @ distance), float(size @ distance))
        worst = max(neurons, level, tilt)
        return worst if np.isfinite(worst) else LARGEST

    def _forces(self, P: FloatArray) -> FloatArray:
        """Return q_k/α, shape (K, T)."""
        forces = self._on_line(P) if self._problem.n_inputs == 1 else self._in_space(P)
        return forces / self._problem.alpha

    def _in_space(self, P: FloatArray) -> FloatArray:
        forces = np.zeros((self._b.size, P.shape[1]))
        step = max(1, BLOCK_ENTRIES // self._b.size)
        for start in range(0, P.shape[0], step):
            rows = slice(start, start + step)
            hidden = np.maximum(self._D[rows] @ self._w.T + self._b, 0.0)
            forces += hidden.T @ P[rows]
        return forces

    def _on_line(self, P: FloatArray) -> FloatArray:
        """The sums over each side of a knot, from sums between the knots."""
        x = self._D[:, 0]
        knots = -self._b * self._w[:, 0]
        first = np.searchsorted(x, knots)
        starts = np.union1d(first[first < x.size], [0])
        nothing = np.zeros((1, P.shape[1]))
        mass, moment = (
            np.cumsum(np.vstack([nothing, np.add.reduceat(part, starts, axis=0)]), axis=0)
            for part in (P, x[:, np.newaxis] * P)
        )
        before = np.searchsorted(starts, first)  # segments to the left of each knot
        left_mass, left_moment = mass[before], moment[before]
        position = knots[:, np.newaxis]
        left = position * left_mass - left_moment
        right = (moment[-1] - left_moment) - position * (mass[-1] - left_mass)
        return np.asarray(np.where(self._w > 0, right, left))


def _share(part: float, whole: float) -> float:
    return part / whole if part > 0 else 0.0
