"""Fits of one task over fixed neurons: with a weighted ridge [18], or with an l1 penalty [19]."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.optimize import linprog

from mtrelu._affine import skip_basis
from mtrelu.losses import Loss
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.solvers.loss_master import fit_fixed_neurons
from mtrelu.solvers.ridge import fit_ridge, refuse_unproved
from mtrelu.validation import FloatArray


@dataclass(frozen=True, eq=False)
class TaskFits:
    """The neurons of a network, ready to be fitted to single tasks of a problem."""

    problem: Problem
    network: ReLUNetwork

    def ridge(self, s: int, strengths: FloatArray) -> ReLUNetwork:
        """Fit task s with the penalty (α/2) Σ_k v_k²/n_k [18], strengths n (K,)."""
        problem, (Phi, B, _) = self.problem, self._features
        labels, weights = self._labels(s), problem.sample_weight
        fit = fit_ridge(labels, weights, problem.loss, Phi, B, strengths, problem.alpha)
        v = fit.V[:, 0]
        penalty = 0.5 * np.sum(np.divide(v**2, strengths, out=np.zeros_like(v), where=v != 0.0))
        return self._proved(s, v, fit.theta, float(penalty), fit.gap)

    def l1(self, s: int) -> ReLUNetwork:
        """Fit task s with the penalty α Σ_k abs(v_k) [19]."""
        problem, (Phi, B, _) = self.problem, self._features
        labels, weights = self._labels(s), problem.sample_weight
        if problem.alpha == 0.0:
            return self._network(*_basis_pursuit(labels, weights, problem.loss, Phi, B))
        fit = fit_fixed_neurons(labels, weights, problem.loss, Phi, B, problem.alpha, gap=0.0)
        v = fit.V[:, 0]
        return self._proved(s, v, fit.theta, float(np.sum(np.abs(v))), fit.gap)

    @cached_property
    def _features(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Features Φ (N, K), skip functions B (N, q) and their coefficients (1 + d, q)."""
        B, to_coefficients = skip_basis(self.problem)
        Phi = np.maximum(self.problem.X @ self.network.w.T + self.network.b, 0.0)
        return Phi, B, to_coefficients

    def _labels(self, s: int) -> FloatArray:
        """Return the labels (N, 1) of task s, if its fits have a minimum."""
        problem = self.problem
        if problem.alpha > 0.0 and problem.loss.name == "logistic":
            undecided = np.full_like(problem.Y, 0.5)  # stands for tasks that do have a minimum
            undecided[:, s] = problem.Y[:, s]
            replace(problem, Y=undecided).affine_fit()  # refuses classes that can be separated
        return problem.Y[:, s : s + 1]

    def _network(self, v: FloatArray, theta: FloatArray) -> ReLUNetwork:
        """Return the network of output weights v (K,) and skip coefficients theta (q, 1)."""
        coefficients = self._features[2] @ theta
        net = self.network
        return ReLUNetwork(net.w, net.b, v[:, np.newaxis], coefficients[1:].T, coefficients[0])

    def _proved(
        self, s: int, v: FloatArray, theta: FloatArray, penalty: float, gap: float
    ) -> ReLUNetwork:
        """Return the network, unless its duality gap says that the fit failed."""
        problem, network = self.problem, self._network(v, theta)
        y = problem.Y[:, s]
        values = problem.loss.value(y, network(problem.X)[:, 0])
        objective = problem.sample_weight @ values + problem.alpha * penalty
        size = problem.sample_weight @ problem.loss.value(y, np.zeros_like(y))
        if problem.alpha > 0.0:
            refuse_unproved(gap, float(objective), float(size), f" in column {s}")
        return network


def _basis_pursuit(
    Y: FloatArray, weights: FloatArray, loss: Loss, Phi: FloatArray, B: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return v (K,) with the least Σ_k abs(v_k) and θ (q, 1) with BΘ + Φv = Y."""
    # Any interpolant, which also refuses labels without one; others differ by a null vector.
    some = fit_ridge(Y, weights, loss, Phi, B, np.ones(Phi.shape[1]), 0.0)
    v, theta = some.V[:, 0], some.theta
    size = float(np.max(np.abs(v), initial=0.0))
    if size == 0.0:
        return v, theta
    into_skip = B.T @ (weights[:, np.newaxis] * Phi)
    root = np.sqrt(weights)[:, np.newaxis]
    _, singular, right = np.linalg.svd(root * (Phi - B @ into_skip), full_matrices=False)
    rows = right[singular > singular[0] * max(Phi.shape) * np.finfo(np.float64).eps]
    found = linprog(
        np.ones(2 * v.size),
        A_eq=np.hstack([rows, -rows]),
        b_eq=rows @ v / size,
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if found.x is None:
        raise RuntimeError(f"linear program of the l1 fit failed: {found.message}")
    least = size * (found.x[: v.size] - found.x[v.size :])
    return least, theta + (into_skip @ (v - least))[:, np.newaxis]
