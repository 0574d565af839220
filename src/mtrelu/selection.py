"""Choose alpha by cross-validation over held-out points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrelu.api import solve
from mtrelu.losses import Loss
from mtrelu.problem import Problem, alpha_max
from mtrelu.validation import InvalidInputError

__all__ = ["Selection", "select_alpha"]

AS_GOOD = 0.01
"""Held-out losses that differ by less than this share count as the same."""
WORSE = 0.05
"""With several inputs smaller alphas are not tried once the loss is this share above the least."""
FEWEST_INPUTS = 5
"""With fewer distinct inputs a fold would be fitted to three points."""


@dataclass(frozen=True)
class _Plan:
    """How thoroughly to look: fits of several inputs take far longer than those of one."""

    depth: float
    per_decade: int
    n_folds: int
    tol: float
    stops_early: bool


ONE_INPUT = _Plan(depth=1e-5, per_decade=5, n_folds=10, tol=1e-6, stops_early=False)
# On the shipped cars a gap of 1e-2 moves the held-out losses near the least by below 0.2 %.
SEVERAL_INPUTS = _Plan(depth=1e-4, per_decade=3, n_folds=5, tol=1e-2, stops_early=True)


@dataclass(frozen=True, eq=False)
class Selection:
    """How well each alpha predicts points that the fit has not seen.

    Attributes
    ----------
    alpha : float
        The choice: the largest alpha whose mean held-out loss is within 1 % of the least, since a
        stronger penalty that predicts as well is the simpler fit.
    alphas : ndarray of shape (A,)
        Those tried, from ``alpha_max`` down.
    scores : ndarray of shape (A, F)
        Held-out loss of each alpha and fold, per label (per unit of sample weight and task).
    n_held_out : ndarray of shape (F,), int
        Held-out samples in each fold.
    """

    alpha: float
    alphas: np.ndarray
    scores: np.ndarray
    n_held_out: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Mean held-out loss per label, shape (A,)."""
        return np.asarray(self.scores.mean(axis=1))

    @property
    def standard_error(self) -> np.ndarray:
        """Standard error of `mean` over the folds, shape (A,)."""
        return np.asarray(self.scores.std(axis=1, ddof=1) / np.sqrt(self.scores.shape[1]))

    @property
    def least_at_edge(self) -> bool:
        """Whether the smallest alpha tried has the least loss: even less might do better."""
        return bool(np.argmin(self.mean) == len(self.alphas) - 1)


def select_alpha(
    X: Any,
    Y: Any,
    *,
    loss: str | Loss = "squared",
    sample_weight: Any = None,
    n_folds: int | None = None,
    tol: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Selection:
    """Choose alpha by holding points out and predicting them.

    With one input the distinct inputs strictly between the two ends are dealt to the folds in turn,
    so that a held-out point nearly always lies between kept neighbours: what is scored is how well
    the curves fill gaps, not how they go on beyond the data. With several inputs all distinct ones
    are dealt, in an order shuffled once and always the same; alpha falls from ``alpha_max``, and
    smaller ones are not tried once the held-out loss has risen 5 % above the least. Equal inputs
    are held out together, and the same division is used for every alpha. A fold is fitted with
    alpha in proportion to the sample weight it keeps, since losses are sums.

    Parameters
    ----------
    X : array-like of shape (N, d) or (N,)
        Inputs, in any order, on one scale.
    Y : array-like of shape (N,) or (N, T)
        Labels, one column per task.
    loss : str or Loss, default="squared"
        The loss that is fitted and scored.
    sample_weight : array-like of shape (N,), optional
        Weight of each sample, in the fits and in the scores.
    n_folds : int, optional
        Number of folds, ≥ 2; fewer are made where there are fewer inputs to deal. By default 10
        with one input, 5 with several.
    tol : float, optional
        Relative duality gap of the fits; by default 1e-6 with one input, 1e-2 with several.
    progress : callable, optional
        Called with (fits done, fits in all) after every fit.

    Returns
    -------
    Selection
        The chosen alpha, the grid and the score of each.

    Raises
    ------
    InvalidInputError
        If there are fewer than five distinct inputs, or `n_folds` is below 2.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = np.linspace(0, 1, 30)
    >>> Y = np.abs(x - 0.5)[:, None] * [1.0, -2.0] + 0.05 * rng.standard_normal((30, 2))
    >>> choice = select_alpha(x, Y, n_folds=3)
    >>> choice.scores.shape
    (26, 3)
    >>> bool(choice.alphas[-1] < choice.alpha < choice.alphas[0])
    True
    """
    if n_folds is not None and n_folds < 2:
        raise InvalidInputError(
            f"n_folds is {n_folds}, but choosing alpha needs points to fit and points to check; "
            "use at least 2, or give alpha yourself."
        )
    problem = Problem.make(X, Y, 1.0, loss=loss, sample_weight=sample_weight)
    plan = ONE_INPUT if problem.n_inputs == 1 else SEVERAL_INPUTS
    weight = problem.sample_weight
    fold = _folds(problem.X, n_folds or plan.n_folds)
    n_folds = int(fold.max()) + 1

    top = alpha_max(problem.X, problem.Y, loss=loss, sample_weight=weight)
    decades = -np.log10(plan.depth)
    # Data on straight lines have alpha_max = 0: then every alpha gives the same fit.
    grid = (top or 1.0) * np.geomspace(1.0, plan.depth, round(decades * plan.per_decade) + 1)

    scores = np.empty((len(grid), n_folds))
    n_tried = len(grid)
    for a, alpha in enumerate(grid):
        for f in range(n_folds):
            out = fold == f
            kept = weight[~out].sum() / weight.sum()
            solution = solve(
                problem.X[~out],
                problem.Y[~out],
                alpha * kept,
                loss=problem.loss,
                tol=plan.tol if tol is None else tol,
                sample_weight=weight[~out],
            )
            losses = problem.loss.value(problem.Y[out], solution.network(problem.X[out]))
            scores[a, f] = np.average(losses.mean(axis=1), weights=weight[out])
            if progress is not None:
                progress(a * n_folds + f + 1, scores.size)
        mean = scores[: a + 1].mean(axis=1)
        if plan.stops_early and mean[-1] > (1.0 + WORSE) * mean.min():
            n_tried = a + 1
            break
    grid, scores = grid[:n_tried], scores[:n_tried]
    mean = scores.mean(axis=1)
    chosen = grid[np.argmax(mean <= (1.0 + AS_GOOD) * mean.min())]
    held_out = np.array([(fold == f).sum() for f in range(n_folds)])
    return Selection(float(chosen), grid, scores, held_out)


def _folds(X: np.ndarray, n_folds: int) -> np.ndarray:
    """The fold of each sample, shape (N,); −1 for those that are never held out."""
    distinct, place = np.unique(X, axis=0, return_inverse=True)
    if len(distinct) < FEWEST_INPUTS:
        raise InvalidInputError(
            f"X has {len(distinct)} distinct values, too few to hold some out and fit the rest: "
            f"choosing alpha needs at least {FEWEST_INPUTS}. Give alpha yourself."
        )
    fold = np.full(len(distinct), -1)
    if X.shape[1] == 1:
        inner = len(distinct) - 2
        fold[1:-1] = np.arange(inner) % min(n_folds, inner)
    else:
        fold[np.random.default_rng(0).permutation(len(distinct))] = np.arange(len(distinct)) % min(
            n_folds, len(distinct)
        )
    return np.asarray(fold[place.reshape(-1)])
