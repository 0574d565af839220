"""Choose alpha by cross-validation over held-out points."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mtrelu.api import solve
from mtrelu.losses import Loss
from mtrelu.network import ReLUNetwork
from mtrelu.path import descending
from mtrelu.problem import Problem, alpha_max
from mtrelu.validation import FloatArray, InvalidInputError, as_labels, as_weights

__all__ = ["RULES", "Selection", "select_alpha"]

RULES = ("one_percent", "one_se", "min")

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
    n_alphas: int
    n_folds: int
    tol: float
    stops_early: bool


ONE_INPUT = _Plan(depth=1e-5, n_alphas=26, n_folds=10, tol=1e-6, stops_early=False)
# On the shipped cars a gap of 1e-2 moves the held-out losses near the least by below 0.2 %.
SEVERAL_INPUTS = _Plan(depth=1e-4, n_alphas=13, n_folds=5, tol=1e-2, stops_early=True)


@dataclass(frozen=True, eq=False)
class Selection:
    """How well each alpha predicts points that the fit has not seen.

    Attributes
    ----------
    alpha : float
        The choice.
    alphas : ndarray of shape (A,)
        Those tried, falling.
    scores : ndarray of shape (A, F)
        Held-out loss of each alpha and fold, per label (per unit of weight).
    n_held_out : ndarray of shape (F,), int
        Held-out samples in each fold.
    relative_gaps : ndarray of shape (A, F)
        The certified relative gap of each of these fits.
    """

    alpha: float
    alphas: np.ndarray
    scores: np.ndarray
    n_held_out: np.ndarray
    relative_gaps: np.ndarray

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
    alphas: Any = None,
    *,
    n_alphas: int | None = None,
    rule: str = "one_percent",
    loss: str | Loss = "squared",
    skip: str = "affine",
    sample_weight: Any = None,
    nan_policy: str = "raise",
    n_folds: int | None = None,
    folds: Iterable[tuple[Any, Any]] | None = None,
    tol: float | None = None,
    max_iter: int | None = None,
    time_limit: float | None = None,
    random_state: Any = None,
    n_jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Selection:
    """Choose alpha by holding points out and predicting them.

    With one input the distinct inputs strictly between the two ends are dealt to the folds in turn,
    so that a held-out point nearly always lies between kept neighbours: what is scored is how well
    the curves fill gaps, not how they go on beyond the data. With several inputs all distinct ones
    are dealt, in an order shuffled once and always the same; unless `alphas` are given, smaller
    ones are not tried once the held-out loss has risen 5 % above the least. Equal inputs are held
    out together, and the same division is used for every alpha. A fold is fitted with alpha in
    proportion to the weight it keeps, since losses are sums, and starts from the neurons that it
    had for the alpha before.

    Parameters
    ----------
    X : array-like of shape (N, d) or (N,)
        Inputs, in any order, on one scale.
    Y : array-like of shape (N,) or (N, T)
        Labels, one column per task.
    alphas : array-like of shape (A,), optional
        Penalties to try, positive, in any order. By default `n_alphas` in equal ratios from
        `mtrelu.alpha_max` down, over five decades with one input and four with several.
    n_alphas : int, optional
        At least 2; not used with `alphas`. By default 26 with one input, 13 with several.
    rule : {"one_percent", "one_se", "min"}, default="one_percent"
        Which alpha to choose: the largest whose mean held-out loss is within 1 % of the least, or
        within one standard error of it (of the mean over folds, at the least), since a stronger
        penalty that predicts as well is the simpler fit; or the one with the least.
    loss : str or Loss, default="squared"
        The loss that is fitted and scored.
    skip : {"affine", "constant"}, default="affine"
        The part of the network that is not penalised.
    sample_weight : array-like of shape (N,) or (N, T), optional
        Weight of each sample, or of each label, in the fits and in the scores.
    nan_policy : {"raise", "omit"}, default="raise"
        As in `mtrelu.solve`; missing labels are neither fitted nor scored.
    n_folds : int, optional
        Number of folds, ≥ 2; fewer are made where there are fewer inputs to deal. By default 10
        with one input, 5 with several. Not used with `folds`.
    folds : iterable of (train, test), optional
        Positions of samples to fit and to hold out, as scikit-learn's splitters yield them; at
        least two.
    tol : float, optional
        Relative duality gap of the fits; by default 1e-6 with one input, 1e-2 with several.
    max_iter, time_limit, random_state : optional
        As in `mtrelu.solve`, for each of the fits.
    n_jobs : int, optional
        How many folds to fit at the same time, as for `joblib.Parallel`; None is one, -1 all
        cores. The result is the same, unless a time limit intervenes.
    progress : callable, optional
        Called with (fits done, fits in all) after every fit.

    Returns
    -------
    Selection
        The chosen alpha, the grid and the score of each.

    Raises
    ------
    InvalidInputError
        Data or options that cannot work, among them fewer than five distinct inputs where folds
        have to be made, fewer than two folds, and folds that keep or hold out no label.

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
    from joblib import Parallel, delayed

    if rule not in RULES:
        raise InvalidInputError(
            f"rule is {rule!r}, which is not known; choose one of {', '.join(RULES)}."
        )
    problem = Problem.make(
        X, Y, 1.0, loss=loss, skip=skip, sample_weight=sample_weight, nan_policy=nan_policy
    )
    plan = ONE_INPUT if problem.n_inputs == 1 else SEVERAL_INPUTS
    if folds is None:
        divisions = _own_folds(problem.X, plan.n_folds if n_folds is None else n_folds)
    else:
        counted = _counted(Y, problem, len(X), sample_weight, nan_policy)
        divisions = [_in_problem(fold, counted) for fold in folds]
    _refuse_folds(divisions, problem)
    stops_early = plan.stops_early and alphas is None
    grid = _grid(problem, plan, n_alphas) if alphas is None else descending(alphas)

    options = {
        "tol": plan.tol if tol is None else tol,
        "max_iter": max_iter,
        "time_limit": time_limit,
        "random_state": random_state,
    }
    scores, gaps = np.empty((2, len(grid), len(divisions)))
    starts: list[ReLUNetwork | None] = [None] * len(divisions)
    n_done, n_tried = 0, len(grid)
    with Parallel(n_jobs=n_jobs, return_as="generator") as parallel:
        for a, alpha in enumerate(grid):
            jobs = (
                delayed(_held_out)(problem, alpha, fold, start, options)
                for fold, start in zip(divisions, starts, strict=True)
            )
            for f, (score, gap, network) in enumerate(parallel(jobs)):
                scores[a, f], gaps[a, f], starts[f] = score, gap, network
                n_done += 1
                if progress is not None:
                    progress(n_done, scores.size)
            mean = scores[: a + 1].mean(axis=1)
            if stops_early and mean[-1] > (1.0 + WORSE) * mean.min():
                n_tried = a + 1
                break
    held_out = np.array([len(test) for _, test in divisions])
    found = Selection(np.nan, grid[:n_tried], scores[:n_tried], held_out, gaps[:n_tried])
    return replace(found, alpha=_choice(found, rule))


def _held_out(
    problem: Problem,
    alpha: float,
    fold: tuple[np.ndarray, np.ndarray],
    start: ReLUNetwork | None,
    options: dict[str, Any],
) -> tuple[float, float, ReLUNetwork]:
    """Fit one part, predict the other: the loss per label, the certified gap, the network."""
    from threadpoolctl import threadpool_limits

    train, test = fold
    # The same in every process: sums over other numbers of threads round otherwise.
    with threadpool_limits(1, user_api="blas"):
        solution = solve(
            problem.X[train],
            problem.Y[train],
            alpha * _share(problem, train),
            loss=problem.loss,
            skip=problem.skip,
            sample_weight=problem.sample_weight[train],
            warm_start=start,
            **options,
        )
        losses = problem.loss.value(problem.Y[test], solution.network(problem.X[test]))
    weights = np.broadcast_to(problem.weights[test], losses.shape)
    gap = solution.certificate.relative_gap
    return float(np.average(losses, weights=weights)), float(gap), solution.network


def _share(problem: Problem, rows: np.ndarray) -> float:
    """Which part of the weight some samples have."""
    return float(problem.weights[rows].sum() / problem.weights.sum())


def _choice(found: Selection, rule: str) -> float:
    mean = found.mean
    least = int(np.argmin(mean))
    slack = {
        "one_percent": AS_GOOD * mean[least],
        "one_se": found.standard_error[least],
        "min": 0.0,
    }[rule]
    return float(found.alphas[np.argmax(mean <= mean[least] + slack)])


def _grid(problem: Problem, plan: _Plan, n_alphas: int | None) -> FloatArray:
    n: Any = plan.n_alphas if n_alphas is None else n_alphas  # which may be anything
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 2:
        raise InvalidInputError(
            f"n_alphas is {n_alphas!r}, but there must be several to choose from; pass a whole "
            "number of at least 2, or alphas."
        )
    top = alpha_max(
        problem.X, problem.Y, loss=problem.loss, skip=problem.skip,
        sample_weight=problem.sample_weight,
    )  # fmt: skip
    # Data on straight lines have alpha_max = 0: then every alpha gives the same fit.
    return np.asarray((top or 1.0) * np.geomspace(1.0, plan.depth, n))


def _counted(
    Y: Any, problem: Problem, n_samples: int, sample_weight: Any, nan_policy: str
) -> np.ndarray:
    """Where each sample is in the problem, shape (N,); −1 for those without a label that counts."""
    labels = as_labels(Y, n_samples, nan_policy=nan_policy)
    weights = as_weights(sample_weight, *labels.shape).reshape(n_samples, -1)
    counts = ((weights > 0.0) & ~np.isnan(labels)).any(axis=1)
    return np.where(counts, np.cumsum(counts) - 1, -1)


def _in_problem(fold: tuple[Any, Any], counted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two parts of a given fold as positions in the problem."""
    try:
        train, test = (counted[np.asarray(part) if len(part) else slice(0)] for part in fold)
    except (IndexError, TypeError, ValueError) as error:
        raise InvalidInputError(
            f"folds has an entry that divides no {len(counted)} samples ({error}); pass pairs of "
            "positions to fit and to hold out, as a splitter of scikit-learn yields them."
        ) from None
    return train[train >= 0], test[test >= 0]


def _own_folds(X: np.ndarray, n_folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Deal the distinct inputs to folds."""
    if n_folds < 2:
        raise InvalidInputError(
            f"n_folds is {n_folds}, but choosing alpha needs points to fit and points to check; "
            "use at least 2, or give alpha yourself."
        )
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
    of_sample = fold[place.reshape(-1)]
    return [
        (np.flatnonzero(of_sample != f), np.flatnonzero(of_sample == f))
        for f in range(int(fold.max()) + 1)
    ]


def _refuse_folds(divisions: list[tuple[np.ndarray, np.ndarray]], problem: Problem) -> None:
    if len(divisions) < 2:
        raise InvalidInputError(
            f"folds has {len(divisions)} division(s) of the samples, but choosing alpha compares "
            "several; pass at least two, or give alpha yourself."
        )
    for f, (train, test) in enumerate(divisions):
        weights = np.broadcast_to(problem.weights[train], (len(train), problem.n_tasks))
        empty = np.flatnonzero(~weights.any(axis=0))
        if test.size == 0 or empty.size:
            lacks = "holds out no label" if test.size == 0 else f"keeps none of task {empty[0]}"
            raise InvalidInputError(
                f"fold {f} {lacks} that counts, so alpha cannot be judged there; use fewer folds, "
                "folds that divide the labels more evenly, or give alpha yourself."
            )
