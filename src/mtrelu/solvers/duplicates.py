"""Equal inputs are one sample: for the squared loss, with the mean of their labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mtrelu.losses import SquaredLoss
from mtrelu.problem import Problem
from mtrelu.validation import FloatArray


@dataclass(frozen=True, eq=False)
class Distinct:
    """A problem without equal inputs, and the way back.

    The loss of equal inputs is the loss at the mean of their labels, with the sum of their weights,
    plus a constant: ½ Σ w_i ‖y_i − ȳ‖². Without that constant, which can be 10⁶ times the penalty
    of an α near zero, no digits are lost to it.

    Attributes
    ----------
    problem : Problem
        The problem with distinct inputs.
    constant : float
        What the objective of the given problem has besides.
    group : ndarray of shape (N,)
        Which of the distinct inputs each sample has.
    """

    problem: Problem
    constant: float
    group: np.ndarray
    _given: Problem

    @classmethod
    def of(cls, problem: Problem) -> Distinct:
        """Merge equal inputs, for the squared loss or α = 0; else nothing is merged.

        Examples
        --------
        >>> twice = Problem.make([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]], [1.0, 3.0, 5.0], alpha=1.0)
        >>> distinct = Distinct.of(twice)
        >>> distinct.problem.Y.ravel(), distinct.problem.sample_weight, distinct.constant
        (array([2., 5.]), array([2., 1.]), 1.0)
        """
        n = problem.n_samples
        if problem.alpha > 0.0 and not isinstance(problem.loss, SquaredLoss):
            return cls(problem, 0.0, np.arange(n), problem)
        X, group = np.unique(problem.X, axis=0, return_inverse=True)
        group = group.reshape(-1)
        if len(X) == n:
            return cls(problem, 0.0, np.arange(n), problem)
        weights = np.zeros((len(X), *problem.sample_weight.shape[1:]))
        np.add.at(weights, group, problem.sample_weight)
        merged = replace(problem, X=X, Y=np.zeros((len(X), problem.n_tasks)), sample_weight=weights)
        share = _share(problem, merged, group)
        Y = np.zeros((len(X), problem.n_tasks))
        np.add.at(Y, group, share * problem.Y)
        for _ in range(2):  # so that equal labels keep all digits
            np.add.at(Y, group, share * (problem.Y - Y[group]))
        spread = problem.weights * (problem.Y - Y[group]) ** 2
        merged = replace(merged, Y=Y)
        return cls(merged, 0.5 * float(spread.sum()), group, problem)

    def dual(self, P: FloatArray) -> FloatArray:
        """Return the dual variable of the given problem for one of the distinct inputs."""
        problem, given = self.problem, self._given
        if problem is given:
            return P
        weights, share = given.weights, _share(given, problem, self.group)
        if problem.alpha == 0.0:
            return np.asarray(share * P[self.group])
        return np.asarray(weights * (given.Y - problem.Y[self.group]) + share * P[self.group])


def _share(given: Problem, merged: Problem, group: np.ndarray) -> FloatArray:
    """Return the part that a sample has of the weight of its distinct input, (N, 1) or (N, T)."""
    total = merged.weights[group]
    share: FloatArray = np.divide(given.weights, total, out=np.zeros_like(total), where=total > 0.0)
    return share
