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

GRID_DEPTH = 1e-5
GRID_PER_DECADE = 5
AS_GOOD = 0.01
"""Held-out losses that differ by less than this share count as the same."""
FEWEST_INPUTS = 5
"""With fewer distinct inputs a fold would be fitted to three points."""


@dataclass(frozen=True, eq=False)
class Selection:
    """How well each alpha predicts points that the fit has not seen.

    Attributes
    ----------
    alpha : float
        The choice: the largest alpha whose mean held-out loss is within 1 % of the least, since a
        stronger penalty that predicts as well is the simpler fit.
    alphas : ndarray of shape (A,)
        The grid, from ``alpha_max`` down.
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
        """Whether the smallest alpha of the grid has the least loss: even less might do better."""
        return bool(np.argmin(self.mean) == len(self.alphas) - 1)


def select_alpha(
    x: Any,
    Y: Any,
    *,
    loss: str | Loss = "squared",
    sample_weight: Any = None,
    n_folds: int = 10,
    tol: float = 1e-6,
    progress: Callable[[int, int], None] | None = None,
) -> Selection:
    """Choose alpha by holding points out and predicting them.

    The distinct inputs strictly between the two ends are dealt to the folds in turn, so that a
    held-out point nearly always lies between kept neighbours: what is scored is how well the curves
    fill gaps, not how they go on beyond the data. The same division is used for every alpha, and
    nothing is random. A fold is fitted with alpha in proportion to the sample weight it keeps,
    since losses are sums.

    Parameters
    ----------
    x : array-like of shape (N,) or (N, 1)
        Inputs, in any order.
    Y : array-like of shape (N,) or (N, T)
        Labels, one column per task.
    loss : str or Loss, default="squared"
        The loss that is fitted and scored.
    sample_weight : array-like of shape (N,), optional
        Weight of each sample, in the fits and in the scores.
    n_folds : int, default=10
        Number of folds, ≥ 2; fewer are made where there are fewer inputs between the ends.
    tol : float, default=1e-6
        Relative duality gap of the fits.
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
    if n_folds < 2:
        raise InvalidInputError(
            f"n_folds is {n_folds}, but choosing alpha needs points to fit and points to check; "
            "use at least 2, or give alpha yourself."
        )
    problem = Problem.make(x, Y, 1.0, loss=loss, sample_weight=sample_weight)
    inputs, weight = problem.X[:, 0], problem.sample_weight
    distinct, place = np.unique(inputs, return_inverse=True)
    if len(distinct) < FEWEST_INPUTS:
        raise InvalidInputError(
            f"x has {len(distinct)} distinct values, too few to hold some out and fit the rest: "
            f"choosing alpha needs at least {FEWEST_INPUTS}. Give alpha yourself."
        )
    inner = len(distinct) - 2
    n_folds = min(n_folds, inner)
    fold = np.full(len(distinct), -1)
    fold[1:-1] = np.arange(inner) % n_folds
    fold = fold[place]

    top = alpha_max(inputs, problem.Y, loss=loss, sample_weight=weight)
    decades = -np.log10(GRID_DEPTH)
    # Data on straight lines have alpha_max = 0: then every alpha gives the same fit.
    grid = (top or 1.0) * np.geomspace(1.0, GRID_DEPTH, round(decades * GRID_PER_DECADE) + 1)

    scores = np.empty((len(grid), n_folds))
    for f in range(n_folds):
        out = fold == f
        kept = weight[~out].sum() / weight.sum()
        for a, alpha in enumerate(grid):
            solution = solve(
                inputs[~out],
                problem.Y[~out],
                alpha * kept,
                loss=problem.loss,
                tol=tol,
                sample_weight=weight[~out],
            )
            losses = problem.loss.value(problem.Y[out], solution.network(inputs[out, None]))
            scores[a, f] = np.average(losses.mean(axis=1), weights=weight[out])
            if progress is not None:
                progress(f * len(grid) + a + 1, scores.size)
    mean = scores.mean(axis=1)
    chosen = grid[np.argmax(mean <= (1.0 + AS_GOOD) * mean.min())]
    held_out = np.array([(fold == f).sum() for f in range(n_folds)])
    return Selection(float(chosen), grid, scores, held_out)
