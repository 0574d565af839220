"""Solutions for a falling sequence of penalties, each certified."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrelu.api import Solution, solve
from mtrelu.losses import Loss
from mtrelu.problem import alpha_max
from mtrelu.validation import FloatArray, InvalidInputError, refuse_time_limit


@dataclass(frozen=True, eq=False)
class AlphaPath:
    """Solutions along a path of penalties, made by `alpha_path`.

    Attributes
    ----------
    alphas : ndarray of shape (A,)
        Penalties that were solved, descending.
    solutions : list of Solution
        One a penalty, with its certificate.
    objectives : ndarray of shape (A,)
        Σ loss + α Σ_k ‖v_k‖₂‖w_k‖₂ [12].
    losses : ndarray of shape (A,)
        Σ loss alone.
    path_norms : ndarray of shape (A,)
        Σ_k ‖v_k‖₂‖w_k‖₂.
    n_neurons : ndarray of shape (A,), int
        Neurons of the network.
    relative_gaps : ndarray of shape (A,)
        Certified distance of each objective from the optimum, divided by the objective.
    left_out : ndarray
        Penalties that the time limit left no time for, descending; empty for a complete path.
    """

    alphas: FloatArray
    solutions: list[Solution]
    objectives: FloatArray
    losses: FloatArray
    path_norms: FloatArray
    n_neurons: np.ndarray
    relative_gaps: FloatArray
    left_out: FloatArray

    def __repr__(self) -> str:
        """Say how far it came."""
        done, asked = self.alphas.size, self.alphas.size + self.left_out.size
        end = "" if done == asked else ", stopped by the time limit"
        return f"AlphaPath({done} of {asked} penalties{end})"


def alpha_path(
    X: Any,
    Y: Any,
    alphas: Any = None,
    *,
    n_alphas: int = 20,
    alpha_min_ratio: float = 1e-3,
    loss: str | Loss = "squared",
    skip: str = "affine",
    tol: float = 1e-6,
    sample_weight: Any = None,
    nan_policy: str = "raise",
    time_limit: float | None = None,
    callback: Callable[[Solution], None] | None = None,
) -> AlphaPath:
    """Solve [12] for one penalty after the other, each fit starting from the one before.

    Parameters
    ----------
    X, Y, loss, skip, tol, sample_weight, nan_policy
        As in `mtrelu.solve`.
    alphas : array_like of shape (A,), optional
        Penalties, positive, in any order. By default ``n_alphas`` in equal ratios from
        `mtrelu.alpha_max`, where the first neuron is about to appear, down to ``alpha_min_ratio``
        times that.
    n_alphas : int
        At least 2; not used with ``alphas``.
    alpha_min_ratio : float
        Between 0 and 1; not used with ``alphas``.
    time_limit : float, optional
        Seconds for the whole path. The fit under way stops, with the certificate it has by then,
        and smaller penalties are left out. At least one fit is returned.
    callback : callable, optional
        Called with each `Solution`.

    Returns
    -------
    AlphaPath

    Raises
    ------
    InvalidInputError
        As `mtrelu.solve`; penalties or numbers that make no path.

    Examples
    --------
    >>> path = alpha_path([0, 1, 2, 3, 4], [0, 1, 2, 1, 0], n_alphas=4)
    >>> path, path.n_neurons
    (AlphaPath(4 of 4 penalties), array([0, 1, 1, 1]))
    """
    started = time.monotonic()
    if time_limit is not None:
        refuse_time_limit(time_limit)
    if alphas is None:
        top = alpha_max(
            X, Y, loss=loss, skip=skip, sample_weight=sample_weight, nan_policy=nan_policy
        )
        penalties = _in_equal_ratios(top, n_alphas, alpha_min_ratio)
    else:
        penalties = descending(alphas)
    solutions: list[Solution] = []
    for alpha in penalties:
        left = None
        if time_limit is not None:
            left = max(time_limit - (time.monotonic() - started), 0.0)
            if left == 0.0 and solutions:
                break
        solution = solve(
            X,
            Y,
            float(alpha),
            loss=loss,
            skip=skip,
            tol=tol,
            sample_weight=sample_weight,
            nan_policy=nan_policy,
            time_limit=left,
            warm_start=solutions[-1].network if solutions else None,
        )
        solutions.append(solution)
        if callback is not None:
            callback(solution)
    done = len(solutions)
    objectives = np.array([solution.certificate.primal for solution in solutions])
    path_norms = np.array([solution.network.path_cost() for solution in solutions])
    losses = [
        solution.problem.loss_value(solution.network(solution.problem.X)) for solution in solutions
    ]
    return AlphaPath(
        alphas=penalties[:done],
        solutions=solutions,
        objectives=objectives,
        losses=np.array(losses),
        path_norms=path_norms,
        n_neurons=np.array([solution.network.n_neurons for solution in solutions]),
        relative_gaps=np.array([solution.certificate.relative_gap for solution in solutions]),
        left_out=penalties[done:],
    )


def _in_equal_ratios(top: float, n_alphas: int, ratio: float) -> FloatArray:
    """Penalties from the top down to ratio times the top."""
    if isinstance(n_alphas, bool) or not isinstance(n_alphas, int | np.integer) or n_alphas < 2:
        raise InvalidInputError(
            f"n_alphas is {n_alphas!r}, but a path has two ends; pass a whole number of at least 2."
        )
    share: Any = ratio
    if not (isinstance(share, float) and 0.0 < share < 1.0):
        raise InvalidInputError(
            f"alpha_min_ratio is {ratio!r}, but penalties fall from the largest to that share of "
            "it; pass a number between 0 and 1."
        )
    if not top * ratio > 0.0:
        raise InvalidInputError(
            "Y is fitted exactly without neurons, so every penalty gives the same network; pass "
            "alphas if you want it all the same."
        )
    return np.asarray(np.geomspace(top, ratio * top, n_alphas))


def descending(alphas: Any) -> FloatArray:
    """Penalties as given, distinct and descending."""
    try:
        penalties = np.asarray(alphas, dtype=np.float64)
    except (TypeError, ValueError):
        penalties = np.empty(0)
    if penalties.ndim != 1 or penalties.size == 0:
        raise InvalidInputError(
            "alphas is not a list of at least one number; pass penalties, such as [1.0, 0.1, 0.01]."
        )
    if not np.all((penalties > 0) & np.isfinite(penalties)):
        raise InvalidInputError(
            "alphas has entries that are not positive numbers; pass penalties > 0, and call "
            "mtrelu.solve with alpha=0 to interpolate."
        )
    return np.asarray(np.unique(penalties)[::-1])
