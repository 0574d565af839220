"""How far from optimal is a network? A duality gap, computed from data and parameters alone.

Nothing here is shared with the solvers. Any dual variable P that satisfies the constraints of
mathematics.md, section 2, bounds the optimum from below. `verify` takes P from the network itself,
projects it onto the constraints of the skip connection, shrinks it until the largest value of the
dual function is alpha, and reports the difference between objective and bound.

The difference is not taken between two large numbers. With predictions Z and residuals R = Y − Z,

    gap = Σ_i w_i [ℓ(y_i, z_i) + ℓ*(y_i, −p_i/w_i) + ⟨p_i, z_i⟩/w_i]  +  (α Σ_k ‖v_k‖‖w_k‖ − ⟨P, Z⟩)

has two non-negative parts, and for a loss of the residual alone the first needs only R. Sums run
in doubled precision, so a relative gap of 1e-12 means what it says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real

import numpy as np

from mtrelu.certificate import Certificate
from mtrelu.losses import SquaredLoss
from mtrelu.network import ReLUNetwork
from mtrelu.oracles import OracleResult
from mtrelu.problem import Problem
from mtrelu.status import Status
from mtrelu.validation import FloatArray, InvalidInputError

__all__ = ["Certificate", "verify"]

_EPS = float(np.finfo(np.float64).eps)
# How near a kink of the loss a residual, relative to the largest, is taken to be on it.
_KINK_TOLERANCES = (1e-10, 1e-8, 1e-6, 1e-4)
_BLOCK_ENTRIES = 1 << 20  # 8 MB an array: memory of that size is reused, not returned and faulted


def verify(
    problem: Problem,
    network: ReLUNetwork,
    *,
    dual: FloatArray | None = None,
    tol: float = 1e-6,
    limit_reached: bool = False,
) -> Certificate:
    """Bound how much better than ``network`` any network can be.

    For ``alpha = 0`` the optimum is known in closed form: the path norm Σ_i ‖δ_i‖₂ of the
    connect-the-dots spline. No network with float64 parameters passes through labels exactly, so
    there the network must pass through them up to the rounding of parameters: within
    ``16 eps (max|y| + max|x| (|s_1| + (Σ_i δ_i²)^½))`` in each task, s and δ being slopes and slope
    changes of the data, and within a thousandth of the range of the labels. A network that misses
    by more, or that undercuts the optimum by more than ``tol`` (which only a network that misses
    can), is `Status.INFEASIBLE`, and its gap infinite.

    For labels that are affine in x up to rounding, the objective itself is rounding, and no
    relative gap means anything: where it is at most the loss (for ``alpha = 0`` the path norm) of
    errors of ``16 eps (max|y| + max|x| |s_1|)``, the status is `Status.CERTIFIED` on that ground.

    Parameters
    ----------
    problem : Problem
        One input, ``skip="affine"``.
    network : ReLUNetwork
        Any network, however it was made.
    dual : ndarray of shape (N, T), optional
        A guess of an optimal dual variable, rows in the order of ``problem``. It is projected and
        scaled as the network's own is, so it can tighten the bound but never make it wrong.
    tol : float
        Relative gap at which the network counts as certified, > 0.
    limit_reached : bool
        Whether the network comes from a solver that stopped early.

    Returns
    -------
    Certificate

    Raises
    ------
    InvalidInputError
        More than one input; a skip connection other than ``"affine"``; a network that does not
        fit the data; a ``dual`` of another shape or not finite; ``tol`` that is not positive.

    Examples
    --------
    >>> problem = Problem.make([0.0, 1.0, 2.0], [0.0, 1.0, 0.0], alpha=0.1)
    >>> zero = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], [0.0])
    >>> certificate = verify(problem, zero)
    >>> certificate.status.name, certificate.primal, round(certificate.dual, 12)
    ('NOT_OPTIMAL', 0.5, 0.17)
    """
    refuse_uncertifiable(problem, tol)
    _refuse_misfits(problem, network, dual)
    problem, dual = _ascending(problem, dual)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is never certified
        if problem.alpha == 0:
            return _verify_interpolation(problem, network, tol, limit_reached)
        return _verify_fit(problem, network, dual, tol, limit_reached)


@dataclass(frozen=True)
class _Bound:
    """A gap that some dual variable proves, and the oracle's answer for that variable."""

    gap: float
    found: OracleResult


def _verify_fit(
    problem: Problem,
    network: ReLUNetwork,
    hint: FloatArray | None,
    tol: float,
    limit_reached: bool,
) -> Certificate:
    measure = _measure_squared if isinstance(problem.loss, SquaredLoss) else _measure
    primal, bounds = measure(problem, network, hint)
    best = min(bounds, key=lambda bound: bound.gap)
    if math.isfinite(primal) and math.isfinite(best.gap):
        # Room for the rounding of the terms, and for what underflowed to zero on the way.
        allowance = 8 * _EPS * primal + (1e-290 if best.found.value > 0 else 0.0)
        gap = max(best.gap, 0.0) + allowance
        if allowance < primal:
            gap = min(gap, primal)  # no loss is negative
        dual = primal - gap
    else:
        primal, dual, gap = math.inf, 0.0, math.inf  # zero bounds every objective
    relative_gap = gap / max(1e-300, primal) if gap < math.inf else math.inf
    certified = relative_gap <= tol or _is_only_rounding(problem, primal)
    return Certificate(
        primal=primal,
        dual=dual,
        gap=gap,
        relative_gap=relative_gap,
        oracle=best.found.exactness,
        violation=best.found.value / problem.alpha,
        most_violated=(best.found.w[0], float(best.found.b[0])) if best.found.b.size else None,
        interpolation_error=None,
        tol=tol,
        status=_status(relative_gap, tol, certified, limit_reached),
        alpha=problem.alpha,
        n_samples=problem.n_samples,
        n_tasks=problem.n_tasks,
    )


def _verify_interpolation(
    problem: Problem, network: ReLUNetwork, tol: float, limit_reached: bool
) -> Certificate:
    from mtrelu._line_exact import predict, row_norms, slope_changes
    from mtrelu.doubled import total

    x, Y = problem.X[:, 0], problem.Y
    _, _, residuals = predict(x, Y, network)
    errors = np.abs(residuals)
    _, rounding, is_affine, noise = _label_rounding(x, Y)
    x, Y = _distinct(x, Y)
    norms = row_norms(slope_changes(x, Y))
    primal, dual = _path_cost(network), total(norms)
    if not math.isfinite(dual):
        primal, dual = math.inf, 0.0  # zero bounds every path norm

    meets_labels = bool(np.all(errors <= rounding))
    undercuts = dual - primal > tol * dual and not is_affine
    # Where a network violates the constraints its objective is infinite.
    feasible = meets_labels and not undercuts and math.isfinite(primal)
    gap = max(primal - dual, 0.0) if feasible else math.inf
    relative_gap = gap / max(1e-300, primal) if feasible else math.inf
    certified = relative_gap <= tol or (feasible and is_affine and primal <= noise)
    size = float(np.abs(Y).max())
    return Certificate(
        primal=primal,
        dual=dual,
        gap=gap,
        relative_gap=relative_gap,
        oracle="exact",
        violation=1.0,
        most_violated=(np.ones(1), float(-x[np.argmax(norms) + 1])) if dual > 0 else None,
        interpolation_error=float(errors.max()) / (size if size > 0 else 1.0),
        tol=tol,
        status=(
            _status(relative_gap, tol, certified, limit_reached) if feasible else Status.INFEASIBLE
        ),
        alpha=problem.alpha,
        n_samples=problem.n_samples,
        n_tasks=problem.n_tasks,
    )


def _status(relative_gap: float, tol: float, certified: bool, limit_reached: bool) -> Status:
    if certified:
        return Status.CERTIFIED
    if limit_reached:
        return Status.LIMIT_REACHED
    return Status.ALMOST if relative_gap <= 1e3 * tol else Status.NOT_OPTIMAL


def _measure_squared(
    problem: Problem, network: ReLUNetwork, hint: FloatArray | None
) -> tuple[float, list[_Bound]]:
    """Objective and bounds for the squared loss, in one pass over the tasks.

    Here gap(s) = primal − s(⟨P, R⟩ + ⟨P, Z⟩) + ½s² Σ_i ‖p_i‖²/w_i, whose best s is known once all
    sums are; and blocks of tasks that stay in the cache are several times faster.
    """
    from mtrelu._line_exact import predict, products
    from mtrelu.doubled import inner
    from mtrelu.oracles.line import dual_function, peaks, project

    x, weights = problem.X[:, 0], problem.sample_weight[:, np.newaxis]
    n_hints = 1 if hint is None else 2
    if hint is not None:  # its size is free here, and squares of tiny numbers would underflow
        hint = np.ldexp(hint, -int(np.frexp(np.abs(hint).max())[1]))
    g = np.zeros((n_hints, x.size))
    gains, squares = [0.0] * n_hints, [0.0] * n_hints
    loss = 0.0
    step = max(16, _BLOCK_ENTRIES // x.size)
    for start in range(0, problem.n_tasks, step):
        tasks = slice(start, start + step)
        Y = problem.Y if step >= problem.n_tasks else problem.Y[:, tasks].copy()
        part = ReLUNetwork(
            network.w, network.b, network.v[:, tasks], network.A[tasks], network.c[tasks]
        )
        Z, Z_low, R = predict(x, Y, part)
        own = weights * R
        loss += 0.5 * products(own, R, problem.sample_weight)[0]
        for k, guess in enumerate([own] if hint is None else [own, hint[:, tasks]]):
            P, P_low = project(x, guess, weights)
            g[k] = np.hypot(g[k], dual_function(x, P, P_low)) * (1 + 2 * _EPS)
            gain, square = products(P, R, problem.sample_weight)
            gains[k] += gain + inner(P, P_low, Z, Z_low)
            squares[k] += square
    primal = loss + problem.alpha * _path_cost(network)

    bounds = []
    for k in range(n_hints):
        found = peaks(x, g[k], problem.n_tasks)
        limit = problem.alpha / found.value if found.value > 0 else math.inf
        scale = min(gains[k] / squares[k], limit * (1 - 4 * _EPS)) if squares[k] > 0 else 0.0
        scale = max(scale, 0.0)
        gap = primal - scale * (gains[k] - 0.5 * scale * squares[k])
        bounds.append(_Bound(gap, found))
    return primal, bounds


def _measure(
    problem: Problem, network: ReLUNetwork, hint: FloatArray | None
) -> tuple[float, list[_Bound]]:
    """Objective and bounds for any loss."""
    from mtrelu._line_duals import stationary_at_kinks
    from mtrelu._line_exact import predict
    from mtrelu.doubled import total

    x, weights, loss = problem.X[:, 0], problem.sample_weight[:, np.newaxis], problem.loss
    Z, Z_low, residuals = predict(x, problem.Y, network)
    by_residual = loss.of_residual
    labels, predictions = (residuals, np.zeros((1, 1))) if by_residual else (problem.Y, Z)
    losses = weights * loss.value(labels, predictions)
    primal = total(losses.ravel()) + problem.alpha * _path_cost(network)
    if not (math.isfinite(primal) and bool(np.all(np.isfinite(residuals)))):
        nowhere = np.empty(0)
        return math.inf, [
            _Bound(math.inf, OracleResult(math.inf, "exact", nowhere, nowhere, nowhere))
        ]

    own = -weights * loss.gradient(labels, predictions)
    guesses = [own] if hint is None else [own, hint]
    if not math.isfinite(loss.smoothness):
        sizes = np.abs(residuals)
        for tolerance in _KINK_TOLERANCES:
            guess = stationary_at_kinks(problem, network, own, sizes, tolerance)
            if guess is not None:
                guesses.append(guess)
    values = (Z, Z_low) if by_residual else None
    return primal, [_bound_from(problem, P, labels, values, primal) for P in guesses]


def _bound_from(
    problem: Problem,
    guess: FloatArray,
    labels: FloatArray,
    predictions: tuple[FloatArray, FloatArray] | None,
    primal: float,
) -> _Bound:
    """Project and scale a guess of the dual variable, and return the gap that it proves.

    With ``predictions`` (in doubled precision) the labels are residuals, and
    gap(s) = primal + Σ_i w_i ℓ*(r_i, −s p_i/w_i) − s⟨P, Z⟩; else Y, and the last term is absent.
    """
    from mtrelu._line_duals import towards_constraints
    from mtrelu.doubled import inner, total
    from mtrelu.oracles.line import project, search

    x, weights = problem.X[:, 0], problem.sample_weight[:, np.newaxis]
    lo, hi = problem.loss.dual_bounds(problem.Y)
    lo, hi = weights * lo, weights * hi
    P, freedom = towards_constraints(x, np.clip(guess, lo, hi), lo, hi, weights)
    P, P_low = project(x, P, freedom)
    found = search(x, P, P_low)
    linear = inner(P, P_low, *predictions) if predictions is not None else 0.0

    # The largest scale that keeps sP feasible, and inside the domain of the conjugate.
    limit = problem.alpha / found.value if found.value > 0 else math.inf
    for bound, beyond in ((hi, P > 0), (lo, P < 0)):
        limit = min(limit, float(np.min(bound[beyond] / P[beyond], initial=math.inf)))
    limit = min(max(limit * (1 - 4 * _EPS), 0.0), 1e6)

    def gap(scale: float) -> float:
        conjugate = weights * problem.loss.conjugate(labels, -(scale * P) / weights)
        return primal + float(total(conjugate.ravel())) - scale * linear

    return _Bound(_minimise_convex(gap, limit), found)


def _minimise_convex(function: Callable[[float], float], limit: float) -> float:
    """Least value found of a convex function on [0, limit]; its minimum is most often at limit."""
    at_limit = function(limit)
    if at_limit <= function(limit * (1 - 1e-6)):
        return at_limit
    if limit > 1:  # then the dual variable may be optimal as it is
        at_one = function(1.0)
        if at_one <= function(1 - 1e-6) and at_one <= function(1 + 1e-6):
            return at_one
    golden = 0.5 * (math.sqrt(5.0) - 1)
    lo, hi = 0.0, limit
    left, right = hi - golden * (hi - lo), lo + golden * (hi - lo)
    at_left, at_right = function(left), function(right)
    best = min(at_limit, function(0.0), at_left, at_right)
    for _ in range(60):
        if at_left <= at_right:
            hi, right, at_right = right, left, at_left
            left = hi - golden * (hi - lo)
            at_left = function(left)
        else:
            lo, left, at_left = left, right, at_right
            right = lo + golden * (hi - lo)
            at_right = function(right)
        best = min(best, at_left, at_right)
        if hi - lo <= 1e-8 * limit:
            break
    return best


def _path_cost(network: ReLUNetwork) -> float:
    from mtrelu._line_exact import row_norms
    from mtrelu.doubled import total

    # Rows are brought to size 1 first: a norm near 1e-310 would have few digits left.
    exponent = np.frexp(np.abs(network.v).max(axis=1, initial=0.0))[1]
    norms = row_norms(np.ldexp(network.v, -exponent[:, np.newaxis]))
    return float(total(norms * np.ldexp(np.abs(network.w[:, 0]), exponent)))


def _distinct(x: FloatArray, Y: FloatArray) -> tuple[FloatArray, FloatArray]:
    first = np.flatnonzero(np.diff(x, prepend=-math.inf))
    return x[first], Y[first]


def _label_rounding(x: FloatArray, Y: FloatArray) -> tuple[FloatArray, FloatArray, bool, float]:
    """How far rounding can move things, judged by the data alone.

    Returns
    -------
    of_affine : ndarray of shape (T,)
        How far it moves an affine function through the labels.
    of_network : ndarray of shape (T,)
        How far it moves an interpolating network.
    is_affine : bool
        Whether rounding is all that keeps the labels from being affine in x.
    cost : float
        The path norm that rounding alone makes then.
    """
    from mtrelu._line_exact import slope_changes

    x, Y = _distinct(x, Y)
    changes = slope_changes(x, Y)
    size = np.abs(Y).max(axis=0)
    reach = max(abs(x[0]), abs(x[-1]))
    h = np.diff(x)
    if h.size:
        size = size + reach * np.abs((Y[1] - Y[0]) / h[0])
    of_affine = 16 * _EPS * size
    of_network = of_affine + 16 * _EPS * reach * np.linalg.norm(changes, axis=0)
    of_network = np.minimum(of_network, np.maximum(of_affine, 1e-3 * np.ptp(Y, axis=0)))
    inverse_gaps = 1 / h[:-1] + 1 / h[1:]
    is_affine = bool(np.all(np.abs(changes) <= np.outer(inverse_gaps, of_affine)))
    return of_affine, of_network, is_affine, float(np.linalg.norm(of_affine) * inverse_gaps.sum())


def _is_only_rounding(problem: Problem, primal: float) -> bool:
    """Whether labels are affine up to rounding, and the objective is no more than that makes."""
    if not problem.loss.of_residual:
        return False
    x, Y = problem.X[:, 0], problem.Y
    # Few samples rule it out most often, before all are looked at.
    if not _label_rounding(x[:100], Y[:100])[2]:
        return False
    rounding, _, is_affine, _ = _label_rounding(x, Y)
    noise = problem.loss.value(rounding, np.zeros(1))
    return is_affine and primal <= float(problem.sample_weight.sum() * noise.sum())


def _ascending(problem: Problem, dual: FloatArray | None) -> tuple[Problem, FloatArray | None]:
    """Sort the samples by input, in arrays as the compiled kernels take them."""
    x = problem.X[:, 0]
    order = slice(None) if bool(np.all(x[1:] >= x[:-1])) else np.argsort(x, kind="stable")

    def rows(array: FloatArray) -> FloatArray:
        return np.require(array[order], dtype=np.float64, requirements=["C", "W"])

    ordered = replace(
        problem,
        X=rows(problem.X),
        Y=rows(problem.Y),
        sample_weight=rows(problem.sample_weight),
    )
    return ordered, None if dual is None else rows(np.asarray(dual))


def refuse_uncertifiable(problem: Problem, tol: object) -> None:
    """Raise `InvalidInputError` for a problem or a tolerance no certificate can be given for.

    Examples
    --------
    >>> refuse_uncertifiable(Problem.make([0.0, 1.0], [0.0, 1.0], alpha=1.0), tol=1e-6)
    """
    if problem.n_inputs != 1:
        raise InvalidInputError(
            f"X has {problem.n_inputs} columns, but certificates for several inputs are not "
            "available yet; pass one input column."
        )
    if problem.skip == "none":
        raise InvalidInputError(
            'skip is "none", but without a skip connection the minimum is in general not '
            "attained: constants cost nothing only in the limit of infinite biases. "
            'Pass skip="affine" for a certificate.'
        )
    if problem.skip != "affine":
        raise InvalidInputError(
            f'skip is "{problem.skip}", but certificates are available only for an affine skip '
            'connection so far; pass skip="affine".'
        )
    if not (isinstance(tol, Real) and math.isfinite(tol) and float(tol) > 0):
        raise InvalidInputError(
            f"tol is {tol!r}, but a relative gap is compared with it; "
            "pass a number > 0 such as 1e-6."
        )


def _refuse_misfits(problem: Problem, network: ReLUNetwork, dual: FloatArray | None) -> None:
    if not isinstance(network, ReLUNetwork):
        raise InvalidInputError(
            f"network is a {type(network).__name__}, but only the weights of a ReLUNetwork can be "
            "judged; pass ReLUNetwork(w, b, v, A, c)."
        )
    problem.check_network(network)
    if dual is not None and (
        np.shape(dual) != problem.Y.shape
        or np.asarray(dual).dtype.kind not in "fiu"
        or not bool(np.all(np.isfinite(dual)))
    ):
        raise InvalidInputError(
            f"dual has shape {np.shape(dual)} or entries that are not finite numbers, but a "
            f"guess of the dual variable needs shape {problem.Y.shape} and finite entries; leave "
            "it out if in doubt."
        )
