"""Fit a network and judge any network: `solve` and `certify`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtrelu.certificate import Certificate
from mtrelu.losses import Loss, SquaredLoss
from mtrelu.network import ReLUNetwork
from mtrelu.optimal_set import OptimalSet
from mtrelu.problem import Problem
from mtrelu.solvers.progress import Progress
from mtrelu.status import Status
from mtrelu.validation import FloatArray, InvalidInputError, as_inputs
from mtrelu.verify import refuse_uncertifiable, verify

METHODS = ("auto", "interpolation", "spline")

# The verdict on uniqueness is a proof from the duality gap, and this gap decides nearly all cases.
VERDICT_TOL = 1e-11


@dataclass(frozen=True)
class Solution:
    """An optimal network and the proof.

    Attributes
    ----------
    problem : Problem
        What was solved.
    network : ReLUNetwork
        The network found.
    certificate : Certificate
        How far from optimal it can be; computed by code that shares nothing with the solver.
    n_iter : int
        Rounds of the solver; 0 for a closed form.
    dual : ndarray of shape (N, T) or None
        The solver's dual variable, where the network alone does not determine one.
    """

    problem: Problem
    network: ReLUNetwork
    certificate: Certificate
    n_iter: int
    dual: FloatArray | None

    @property
    def status(self) -> Status:
        """What the certificate concludes, with advice."""
        return self.certificate.status

    def optimal_set(self) -> OptimalSet:
        """Return every optimal network: verdict, exact range of predictions, samples.

        For ``alpha > 0`` the problem is solved again to a relative gap of 1e-11 when the one at
        hand does not decide whether the optimum is the only one.

        Examples
        --------
        >>> import mtrelu
        >>> solution = mtrelu.solve([0, 1, 2, 3], [0, 0, 1, 3], alpha=0)
        >>> solution.optimal_set().verdict.value
        'not unique'
        """
        if self.problem.alpha == 0.0:
            return OptimalSet.of_interpolation(self.problem.X, self.problem.Y)
        found = OptimalSet.of_fit(self.problem, self.network, self.dual)
        if found.verdict != "undecided" or self.certificate.tol <= VERDICT_TOL:
            return found
        network, dual, _, _ = _fit(self.problem, VERDICT_TOL, None, None, None)
        hint = None if _residuals_suffice(self.problem) else dual()
        return OptimalSet.of_fit(self.problem, network, hint)


def solve(
    X: Any,
    Y: Any,
    alpha: float,
    *,
    loss: str | Loss = "squared",
    skip: str = "affine",
    method: str = "auto",
    tol: float = 1e-6,
    sample_weight: Any = None,
    max_iter: int | None = None,
    time_limit: float | None = None,
    random_state: Any = None,
    callback: Callable[[Progress], None] | None = None,
) -> Solution:
    """Fit a multi-task ReLU network to global optimality [12], [9], or [3] for ``alpha = 0``.

    Parameters
    ----------
    X : array_like of shape (N,) or (N, 1)
        Inputs.
    Y : array_like of shape (N, T) or (N,)
        Labels, one column a task.
    alpha : float
        Penalty on Σ_k ‖v_k‖‖w_k‖, the λ of [12] for losses that are summed over samples and tasks;
        0 interpolates.
    loss : str or Loss
        ``"squared"``, ``"huber"``, ``"logistic"``, ``"quantile"`` or an instance.
    skip : {"affine"}
        The part of the network that is not penalised.
    method : {"auto", "interpolation", "spline"}
        ``"interpolation"`` is the closed form for ``alpha = 0``, ``"spline"`` the working-set
        method for ``alpha > 0``; ``"auto"`` picks the one that applies.
    tol : float
        Relative duality gap at which the network counts as certified.
    sample_weight : array_like of shape (N,), optional
        Multiplies the loss of each sample.
    max_iter, time_limit : optional
        Rounds and seconds after which the best network so far is returned, with its certificate.
    random_state : optional
        Not used with one input, where nothing is random.
    callback : callable, optional
        Called with a :class:`mtrelu.solvers.progress.Progress` after each round.

    Returns
    -------
    Solution

    Raises
    ------
    InvalidInputError
        Data or options that cannot work; the message says why and what to try.

    Examples
    --------
    >>> import mtrelu
    >>> solution = mtrelu.solve([0, 1, 2, 3, 4], [0, 1, 2, 1, 0], alpha=0.1)
    >>> solution.network.knots(), solution.status.name
    (array([2.]), 'CERTIFIED')
    """
    problem = _one_input_problem(X, Y, alpha, loss, skip, sample_weight)
    refuse_uncertifiable(problem, tol)
    _refuse_options(problem, method, max_iter, time_limit)
    network, find_dual, n_iter, stopped = _fit(problem, tol, max_iter, time_limit, callback)
    # For the squared loss the solver's dual variable is not asked for unless it is needed.
    dual = None if _residuals_suffice(problem) else find_dual()
    certificate = verify(problem, network, dual=dual, tol=tol, limit_reached=stopped)
    if certificate.status is not Status.CERTIFIED and dual is None:
        dual = find_dual()
        if dual is not None:
            certificate = verify(problem, network, dual=dual, tol=tol, limit_reached=stopped)
    return Solution(problem, network, certificate, n_iter, dual)


def certify(
    network: ReLUNetwork,
    X: Any,
    Y: Any,
    alpha: float,
    *,
    loss: str | Loss = "squared",
    skip: str = "affine",
    sample_weight: Any = None,
    tol: float = 1e-6,
) -> Certificate:
    """Bound how far any network is from the global optimum.

    Parameters
    ----------
    network : ReLUNetwork
        Any network, however it was trained.
    X, Y, alpha, loss, skip, sample_weight
        The problem, as in :func:`solve`.
    tol : float
        Relative gap at which the network counts as certified.

    Returns
    -------
    Certificate

    Raises
    ------
    InvalidInputError
        Data, options or a network that cannot work.

    Examples
    --------
    >>> import mtrelu
    >>> flat = mtrelu.ReLUNetwork.from_knots([2.0], [[0.0]], [0.0], [1.0])
    >>> certificate = mtrelu.certify(flat, [0, 1, 2, 3, 4], [0, 1, 2, 1, 0], alpha=0.1)
    >>> certificate.status.name, bool(certificate.relative_gap > 0.5)
    ('NOT_OPTIMAL', True)
    """
    problem = _one_input_problem(X, Y, alpha, loss, skip, sample_weight)
    return verify(problem, network, tol=tol)


def _one_input_problem(
    X: Any, Y: Any, alpha: float, loss: str | Loss, skip: str, sample_weight: Any
) -> Problem:
    """Return the checked problem, refusing several inputs and numbers too large to work with."""
    inputs = as_inputs(X)
    if inputs.shape[1] != 1:
        raise InvalidInputError(
            f"X has {inputs.shape[1]} columns, but only one input is supported so far; pass one "
            "column."
        )
    problem = Problem.make(inputs, Y, alpha, loss=loss, skip=skip, sample_weight=sample_weight)
    for name, values in (("X", problem.X), ("Y", problem.Y)):
        largest = max(float(values.max()), -float(values.min()))
        if largest > np.sqrt(np.finfo(np.float64).max / values.size):
            raise InvalidInputError(
                f"{name} has values up to {largest:.3g}, whose squares float64 cannot add up; "
                f"divide {name} by a constant."
            )
    return problem


def _fit(
    problem: Problem,
    tol: float,
    max_iter: int | None,
    time_limit: float | None,
    callback: Callable[[Progress], None] | None,
) -> tuple[ReLUNetwork, Callable[[], FloatArray | None], int, bool]:
    """Network, a way to the dual variable, rounds, and whether a limit ended the work."""
    if problem.alpha == 0.0:
        from mtrelu.solvers.interpolation import interpolate

        return interpolate(problem.X, problem.Y).network(), lambda: None, 0, False
    from mtrelu.solvers.spline import fit_spline

    fit = fit_spline(problem, tol=tol, max_iter=max_iter, time_limit=time_limit, callback=callback)
    return fit.network, fit.dual, fit.n_iter, fit.stopped


def _residuals_suffice(problem: Problem) -> bool:
    """Whether a network's residuals are nearly always as good a dual variable as the solver's."""
    return isinstance(problem.loss, SquaredLoss)


def _refuse_options(
    problem: Problem, method: str, max_iter: int | None, time_limit: float | None
) -> None:
    if method not in METHODS:
        raise InvalidInputError(f"method is {method!r}; choose one of {', '.join(METHODS)}.")
    needed = "interpolation" if problem.alpha == 0.0 else "spline"
    if method not in ("auto", needed):
        raise InvalidInputError(
            f"method is {method!r}, which does not apply to alpha={problem.alpha:g}; pass "
            f"method='auto' or '{needed}'."
        )
    if max_iter is not None and max_iter < 1:
        raise InvalidInputError(f"max_iter is {max_iter}; pass a whole number of at least 1.")
    if time_limit is not None and not time_limit >= 0:
        raise InvalidInputError(f"time_limit is {time_limit}; pass seconds, at least 0.")
