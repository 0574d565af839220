"""Fit a network and judge any network: `solve` and `certify`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mtrelu.certificate import Certificate
from mtrelu.losses import Loss, SquaredLoss
from mtrelu.network import ReLUNetwork
from mtrelu.optimal_polytope import OptimalPolytope
from mtrelu.optimal_set import OptimalSet
from mtrelu.oracles.base import Oracle
from mtrelu.problem import Problem
from mtrelu.solvers.progress import Progress
from mtrelu.status import Status
from mtrelu.validation import (
    FloatArray,
    InvalidInputError,
    as_generator,
    refuse_time_limit,
)
from mtrelu.verify import refuse_uncertifiable, verify

METHODS = ("auto", "interpolation", "spline", "columns")

# The verdict on uniqueness is a proof from the duality gap, and this gap decides nearly all cases.
VERDICT_TOL = 1e-11
PATIENCE = 2.0  # seconds for branch and bound after a fit
SPACE_VERDICT_TOL = 1e-12  # several inputs: places of neurons are known to about its root


@dataclass(frozen=True, eq=False)
class Solution:
    """An optimal network and the proof.

    Attributes
    ----------
    problem : Problem
        What was solved.
    network : ReLUNetwork
        The network found.
    certificate : Certificate
        How far from optimal it can be; computed by code that shares nothing with the solver but,
        with several inputs, the oracle.
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

    def __repr__(self) -> str:
        """Return the conclusion and the sizes; the arrays can be long."""
        return f"<Solution: {self.status.value}, {self.network!r}>"

    @property
    def status(self) -> Status:
        """What the certificate concludes, with advice."""
        return self.certificate.status

    def optimal_set(self) -> OptimalSet | OptimalPolytope:
        """Return every optimal network: verdict, exact range of predictions, samples.

        For ``alpha > 0`` the problem is solved again to a relative gap of 1e-11 when the one at
        hand does not decide whether the optimum is the only one; with several inputs to 1e-12, if
        an exact oracle is affordable. That is done once; further calls return the same object.

        Returns
        -------
        OptimalSet or OptimalPolytope
            The former for one input and an affine skip connection.

        Examples
        --------
        >>> import mtrelu
        >>> solution = mtrelu.solve([0, 1, 2, 3], [0, 0, 1, 3], alpha=0)
        >>> solution.optimal_set().verdict.value
        'not unique'
        """
        return self._optimal_set

    @cached_property
    def _optimal_set(self) -> OptimalSet | OptimalPolytope:
        problem = self.problem
        if not _on_line(problem):
            network, dual = self.network, self.dual
            provable = self.certificate.oracle == "exact"
            if provable and self.certificate.relative_gap > SPACE_VERDICT_TOL:
                fit = _fit(problem, SPACE_VERDICT_TOL, start=network)
                network, dual = fit.network, fit.dual()
            return OptimalPolytope.of_solution(problem, network, dual)
        if problem.alpha == 0.0:
            return OptimalSet.of_interpolation(problem.X, problem.Y)
        found = OptimalSet.of_fit(problem, self.network, self.dual)
        if found.verdict != "undecided" or self.certificate.tol <= VERDICT_TOL:
            return found
        fit = _fit(problem, VERDICT_TOL)
        hint = None if _residuals_suffice(problem) else fit.dual()
        return OptimalSet.of_fit(problem, fit.network, hint)


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
    nan_policy: str = "raise",
    max_iter: int | None = None,
    time_limit: float | None = None,
    random_state: Any = None,
    callback: Callable[[Progress], None] | None = None,
    warm_start: ReLUNetwork | None = None,
) -> Solution:
    """Fit a multi-task ReLU network to global optimality [12], [9], or [2], [3] for ``alpha = 0``.

    Parameters
    ----------
    X : array_like of shape (N, d) or (N,)
        Inputs.
    Y : array_like of shape (N, T) or (N,)
        Labels, one column a task.
    alpha : float
        Penalty on Σ_k ‖v_k‖‖w_k‖, the λ of [12] for losses that are summed over samples and tasks;
        0 interpolates.
    loss : str or Loss
        ``"squared"``, ``"huber"``, ``"logistic"``, ``"quantile"`` or an instance.
    skip : {"affine", "constant"}
        The part of the network that is not penalised.
    method : {"auto", "interpolation", "spline", "columns"}
        For one input and an affine skip connection ``"interpolation"`` is the closed form for
        ``alpha = 0`` and ``"spline"`` the working-set method for ``alpha > 0``, in time O(N T).
        ``"columns"``, which generates neurons, applies to everything, and ``"auto"`` picks it only
        where the others do not.
    tol : float
        Relative duality gap at which the network counts as certified.
    sample_weight : array_like of shape (N,) or (N, T), optional
        Multiplies the loss of each sample, or of each label; 0 leaves it out.
    nan_policy : {"raise", "omit"}
        With ``"omit"`` labels that are NaN are left out: each task is fitted to the labels that it
        has. What has no label costs nothing, so the certificate is as exact as without gaps.
    max_iter, time_limit : optional
        Rounds and seconds after which the best network so far is returned, with its certificate;
        ``"columns"`` stops after 200 rounds if nothing else is said.
        A round under way is finished first. The certificate comes on top: where only branch and
        bound can prove something, it takes up to 2 seconds, or ``time_limit`` if that is less;
        :func:`certify` takes as long as it is told.
    random_state : int, Generator or None
        Seed of the heuristic search for neurons where the inputs span more than two dimensions, or
        are too many for an exact search; None is 0. Nothing else is random.
    callback : callable, optional
        Called with a :class:`mtrelu.solvers.progress.Progress` after each round. Where neurons
        are generated for ``alpha = 0``, that is the progress for one of a falling sequence of
        penalties.
    warm_start : ReLUNetwork, optional
        A network for a similar problem, whose neurons are tried first by ``"columns"``; the other
        methods do not need it.

    Returns
    -------
    Solution

    Raises
    ------
    InvalidInputError
        Data or options that cannot work; the message says why and what to try.

    Notes
    -----
    How well an optimum can be proved depends on the dimension q of the affine hull of the inputs.
    For q ≤ 2 each round costs O(N² (log N + T)) and the certificate is exact up to some thousand
    samples. For q > 2 a heuristic search generates the neurons, and the certificate is exact while
    :func:`mtrelu.oracles.choice.exact_oracle` is affordable (N ≤ 171 for q = 3, 29 for q = 5); for
    larger problems the proof comes from branch and bound, whose bound may be far from tight. Then
    the status is ``UNCERTIFIED`` when the heuristic finds nothing left to gain.

    Examples
    --------
    >>> import mtrelu
    >>> solution = mtrelu.solve([0, 1, 2, 3, 4], [0, 1, 2, 1, 0], alpha=0.1)
    >>> solution.network.knots(), solution.status.name
    (array([2.]), 'CERTIFIED')

    The absolute value of the sum of two inputs takes one neuron:

    >>> X = [[0, 0], [1, 0], [0, 1], [1, 1], [-1, 0], [0, -1], [-1, -1]]
    >>> solution = mtrelu.solve(X, [0, 1, 1, 2, 1, 1, 2], alpha=0)
    >>> solution.network.n_neurons, round(solution.certificate.dual, 6), solution.status.name
    (1, 2.828427, 'CERTIFIED')
    """
    problem = Problem.make(
        X, Y, alpha, loss=loss, skip=skip, sample_weight=sample_weight, nan_policy=nan_policy
    )
    refuse_uncertifiable(problem, tol)
    _refuse_options(problem, method, max_iter, time_limit, callback)
    seed = 0 if random_state is None else int(as_generator(random_state).integers(2**31))
    if warm_start is not None:
        problem.check_network(_as_start(warm_start))
    columns = method == "columns" or not _on_line(problem)
    fit = _fit(problem, tol, max_iter, time_limit, callback, seed, warm_start, columns)
    # For the squared loss the solver's dual variable is not asked for unless it is needed.
    dual = fit.dual() if columns or not _residuals_suffice(problem) else None
    patience = PATIENCE if time_limit is None else min(time_limit, PATIENCE)

    def judged(hint: FloatArray | None) -> Certificate:
        return verify(
            problem, fit.network, dual=hint, tol=tol, limit_reached=fit.stopped,
            time_limit=patience, oracle=fit.oracle(),
        )  # fmt: skip

    certificate = judged(dual)
    if certificate.status is not Status.CERTIFIED and dual is None:
        dual = fit.dual()
        if dual is not None:
            certificate = judged(dual)
    return Solution(problem, fit.network, certificate, fit.n_iter, dual)


def certify(
    network: Any,
    X: Any,
    Y: Any,
    alpha: float,
    *,
    loss: str | Loss = "squared",
    skip: str = "affine",
    sample_weight: Any = None,
    nan_policy: str = "raise",
    tol: float = 1e-6,
    time_limit: float = 10.0,
) -> Certificate:
    """Bound how far any network is from the global optimum.

    Parameters
    ----------
    network : ReLUNetwork, ReLURegressor, torch module or MLPRegressor
        Any network of one hidden ReLU layer, however it was trained; see
        :func:`mtrelu.conversion.as_network`.
    X, Y, alpha, loss, skip, sample_weight, nan_policy
        The problem, as in :func:`solve`.
    tol : float
        Relative gap at which the network counts as certified.
    time_limit : float
        Seconds for branch and bound, where no exact search for a better neuron is affordable, and
        for the fit that ``alpha = 0`` may need.

    Returns
    -------
    Certificate
        For ``alpha = 0`` the residuals say nothing about a dual variable; where the network's
        parameters do not determine a good one, it comes from `solve`.

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
    from mtrelu.conversion import as_network

    problem = Problem.make(
        X, Y, alpha, loss=loss, skip=skip, sample_weight=sample_weight, nan_policy=nan_policy
    )
    candidate = as_network(network, n_inputs=problem.n_inputs)
    certificate = verify(problem, candidate, tol=tol, time_limit=time_limit)
    settled = certificate.status in (Status.CERTIFIED, Status.INFEASIBLE)
    if problem.alpha == 0.0 and not _on_line(problem) and not settled:
        fit = _fit(problem, tol, time_limit=time_limit)
        found = verify(
            problem, candidate, dual=fit.dual(), tol=tol, time_limit=time_limit,
            oracle=fit.oracle(),
        )  # fmt: skip
        certificate = min(certificate, found, key=lambda each: each.gap)
    return certificate


@dataclass(frozen=True)
class _Fit:
    """What any solver returns."""

    network: ReLUNetwork
    dual: Callable[[], FloatArray | None]  # asked for only where it is needed
    n_iter: int
    stopped: bool
    oracle: Callable[[], Oracle | None]


def _fit(
    problem: Problem,
    tol: float,
    max_iter: int | None = None,
    time_limit: float | None = None,
    callback: Callable[[Progress], None] | None = None,
    seed: int = 0,
    start: ReLUNetwork | None = None,
    columns: bool = False,
) -> _Fit:
    if columns or not _on_line(problem):
        return _fit_columns(problem, tol, max_iter, time_limit, callback, seed, start)
    if problem.alpha == 0.0:
        from mtrelu.solvers.interpolation import interpolate

        network = interpolate(problem.X, problem.Y).network()
        return _Fit(network, lambda: None, 0, False, lambda: None)
    from mtrelu.solvers.spline import fit_spline

    fit = fit_spline(problem, tol=tol, max_iter=max_iter, time_limit=time_limit, callback=callback)
    return _Fit(fit.network, fit.dual, fit.n_iter, fit.stopped, lambda: None)


def _fit_columns(
    problem: Problem,
    tol: float,
    max_iter: int | None,
    time_limit: float | None,
    callback: Callable[[Progress], None] | None,
    seed: int,
    start: ReLUNetwork | None,
) -> _Fit:
    from threadpoolctl import threadpool_limits

    from mtrelu.solvers.columns import fit_columns
    from mtrelu.solvers.continuation import fit_interpolant, interpolates
    from mtrelu.solvers.duplicates import Distinct
    from mtrelu.solvers.pricing import Pricing

    distinct = Distinct.of(problem)
    pricing = Pricing(distinct.problem.X, problem.skip, seed)
    # On matrices of some hundred rows BLAS threads wait for each other longer than they work.
    with threadpool_limits(1, user_api="blas"):
        if interpolates(distinct.problem, pricing):
            found = fit_interpolant(
                distinct.problem, pricing, tol=tol, max_iter=max_iter, time_limit=time_limit,
                callback=callback, start=start,
            )  # fmt: skip
        else:
            found = fit_columns(
                distinct.problem, pricing, tol=tol, max_iter=max_iter, time_limit=time_limit,
                callback=callback, start=start, constant=distinct.constant,
            )  # fmt: skip
    dual = distinct.dual(found.dual)
    merged = distinct.problem is not problem
    # An oracle for other inputs is of no use to the verifier.
    return _Fit(
        found.network, lambda: dual, found.n_iter, found.stopped,
        lambda: None if merged else pricing.exact,
    )  # fmt: skip


def _on_line(problem: Problem) -> bool:
    """Whether the optimum is a spline: linear algorithms, closed forms."""
    return problem.n_inputs == 1 and problem.skip == "affine"


def _residuals_suffice(problem: Problem) -> bool:
    """Whether a network's residuals are nearly always as good a dual variable as the solver's."""
    return isinstance(problem.loss, SquaredLoss)


def _as_start(warm_start: object) -> ReLUNetwork:
    if not isinstance(warm_start, ReLUNetwork):
        raise InvalidInputError(
            f"warm_start is a {type(warm_start).__name__}, but only the neurons of a ReLUNetwork "
            "can be tried first; pass mtrelu.as_network(model), or leave it out."
        )
    return warm_start


def _refuse_options(
    problem: Problem,
    method: str,
    max_iter: int | None,
    time_limit: float | None,
    callback: object,
) -> None:
    if method not in METHODS:
        raise InvalidInputError(f"method is {method!r}; choose one of {', '.join(METHODS)}.")
    if not _on_line(problem):
        needed, case = "columns", f'{problem.n_inputs} input(s) with skip="{problem.skip}"'
    else:
        needed = "interpolation" if problem.alpha == 0.0 else "spline"
        case = f"one input and alpha={problem.alpha:g}"
    if method not in ("auto", "columns", needed):
        raise InvalidInputError(
            f"method is {method!r}, which does not apply to {case}; pass method='auto' or "
            f"'{needed}'."
        )
    rounds: Any = max_iter  # which may be anything
    whole = isinstance(rounds, int | np.integer) and not isinstance(rounds, bool)
    if rounds is not None and not (whole and rounds >= 1):
        raise InvalidInputError(
            f"max_iter is {max_iter!r}, but rounds are counted; pass a whole number of at least 1, "
            "or None for no limit."
        )
    if time_limit is not None:
        refuse_time_limit(time_limit)
    if callback is not None and not callable(callback):
        raise InvalidInputError(
            f"callback is {callback!r}, which cannot be called; pass a function of one Progress."
        )
