"""The certificate of one input with an affine skip connection, in linear time. Private.

Sums run in doubled precision, so a relative gap of 1e-12 means what it says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mtrelu.certificate import Certificate
from mtrelu.losses import SquaredLoss
from mtrelu.network import ReLUNetwork
from mtrelu.oracles import OracleResult
from mtrelu.problem import Problem
from mtrelu.status import Status
from mtrelu.validation import TINY, FloatArray
from mtrelu.verify._common import (
    BLOCK_ENTRIES,
    EPS,
    KINK_TOLERANCES,
    LARGEST,
    conclude,
    minimise_convex,
)
from mtrelu.verify._stationarity import Stationarity


def verify_line(
    problem: Problem,
    network: ReLUNetwork,
    hint: FloatArray | None,
    tol: float,
    limit_reached: bool,
) -> Certificate:
    """Certify a network of a problem that was checked."""
    problem, hint = _ascending(problem, hint)
    if problem.alpha == 0:
        return _verify_interpolation(problem, network, tol, limit_reached)
    return _verify_fit(problem, network, hint, tol, limit_reached)


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
    primal, imbalance, bounds = measure(problem, network, hint)
    best = min(bounds, key=lambda bound: bound.gap)
    if math.isfinite(primal) and math.isfinite(best.gap):
        # Room for the rounding of the terms, and for what underflowed to zero on the way.
        allowance = 8 * EPS * primal + (TINY if best.found.value > 0 else 0.0)
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
        status=conclude(relative_gap, None, tol, certified, limit_reached),
        alpha=problem.alpha,
        n_samples=problem.n_samples,
        n_tasks=problem.n_tasks,
        stationarity=imbalance,
        estimated_relative_gap=None,
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
    # Where inputs nearly coincide the noise is large, but a path norm that shows is no rounding.
    width = float(x[-1] - x[0])
    if width > 0:
        noise = min(noise, tol * float(np.linalg.norm(np.abs(Y).max(axis=0))) / width)
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
            conclude(relative_gap, None, tol, certified, limit_reached)
            if feasible
            else Status.INFEASIBLE
        ),
        alpha=problem.alpha,
        n_samples=problem.n_samples,
        n_tasks=problem.n_tasks,
        stationarity=0.0,
        estimated_relative_gap=None,
    )


def _measure_squared(
    problem: Problem, network: ReLUNetwork, hint: FloatArray | None
) -> tuple[float, float, list[_Bound]]:
    """Objective, stationarity and bounds for the squared loss, in one pass over the tasks.

    Here gap(s) = primal − s(⟨P, R⟩ + ⟨P, Z⟩) + ½s² Σ_i ‖p_i‖²/w_i, whose best s is known once all
    sums are; and blocks of tasks that stay in the cache are several times faster.
    """
    from mtrelu._line_exact import predict, products
    from mtrelu.doubled import inner
    from mtrelu.oracles.line import dual_function, peaks, project

    x, weights = problem.X[:, 0], problem.weights
    n_hints = 1 if hint is None else 2
    if hint is not None:  # its size is free here, and squares of tiny numbers would underflow
        hint = _on_used(problem, hint)
        hint = np.ldexp(hint, -int(np.frexp(np.abs(hint).max())[1]))
    g = np.zeros((n_hints, x.size))
    gains, squares = [0.0] * n_hints, [0.0] * n_hints
    loss, imbalance = 0.0, Stationarity(problem, network)
    step = max(16, BLOCK_ENTRIES // x.size)
    for start in range(0, problem.n_tasks, step):
        tasks = slice(start, start + step)
        Y = problem.Y if step >= problem.n_tasks else problem.Y[:, tasks].copy()
        part = ReLUNetwork(
            network.w, network.b, network.v[:, tasks], network.A[tasks], network.c[tasks]
        )
        Z, Z_low, R = predict(x, Y, part)
        w = weights if problem.shares_weights else weights[:, tasks]
        own = w * R
        imbalance.add(own, tasks)
        loss += 0.5 * products(own, R, w)[0]
        for k, guess in enumerate([own] if hint is None else [own, hint[:, tasks]]):
            P, P_low = project(x, guess, w)
            g[k] = np.hypot(g[k], dual_function(x, P, P_low)) * (1 + 2 * EPS)
            gain, square = products(P, R, w)
            gains[k] += gain + inner(P, P_low, Z, Z_low)
            squares[k] += square
    primal = loss + problem.alpha * _path_cost(network)

    bounds = []
    for k in range(n_hints):
        found = peaks(x, g[k], problem.n_tasks)
        limit = problem.alpha / found.value if found.value > 0 else math.inf
        scale = min(gains[k] / squares[k], limit * (1 - 4 * EPS)) if squares[k] > 0 else 0.0
        scale = max(scale, 0.0)
        gap = primal - scale * (gains[k] - 0.5 * scale * squares[k])
        bounds.append(_Bound(gap, found))
    return primal, imbalance.value(), bounds


def _measure(
    problem: Problem, network: ReLUNetwork, hint: FloatArray | None
) -> tuple[float, float, list[_Bound]]:
    """Objective, stationarity and bounds for any loss."""
    from mtrelu._line_duals import stationary_at_kinks
    from mtrelu._line_exact import predict
    from mtrelu.doubled import total

    x, weights, loss = problem.X[:, 0], problem.weights, problem.loss
    Z, Z_low, residuals = predict(x, problem.Y, network)
    by_residual = loss.of_residual
    labels, predictions = (residuals, np.zeros((1, 1))) if by_residual else (problem.Y, Z)
    losses = weights * loss.value(labels, predictions)
    primal = total(losses.ravel()) + problem.alpha * _path_cost(network)
    if not (math.isfinite(primal) and bool(np.all(np.isfinite(residuals)))):
        nowhere = np.empty(0)
        found = OracleResult(math.inf, "exact", nowhere, nowhere, nowhere)
        return math.inf, LARGEST, [_Bound(math.inf, found)]

    own = -weights * loss.gradient(labels, predictions)
    guesses = [own]
    if not math.isfinite(loss.smoothness):
        sizes = np.abs(residuals)
        for tolerance in KINK_TOLERANCES:
            guess = stationary_at_kinks(problem, network, own, sizes, tolerance)
            if guess is not None:
                guesses.append(guess)
    imbalance = min(_stationarity(problem, network, P) for P in guesses)
    if hint is not None:
        guesses.insert(1, hint)
    values = (Z, Z_low) if by_residual else None
    return primal, imbalance, [_bound_from(problem, P, labels, values, primal) for P in guesses]


def _stationarity(problem: Problem, network: ReLUNetwork, P: FloatArray) -> float:
    imbalance = Stationarity(problem, network)
    imbalance.add(P)
    return imbalance.value()


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

    x, weights = problem.X[:, 0], problem.weights
    lo, hi = problem.dual_bounds()
    P, freedom = towards_constraints(x, np.clip(guess, lo, hi), lo, hi, weights)
    P, P_low = project(x, P, freedom)
    found = search(x, P, P_low)
    linear = inner(P, P_low, *predictions) if predictions is not None else 0.0

    # The largest scale that keeps sP feasible, and inside the domain of the conjugate.
    limit = problem.alpha / found.value if found.value > 0 else math.inf
    for bound, beyond in ((hi, P > 0), (lo, P < 0)):
        limit = min(limit, float(np.min(bound[beyond] / P[beyond], initial=math.inf)))
    limit = min(max(limit * (1 - 4 * EPS), 0.0), 1e6)

    def gap(scale: float) -> float:
        conjugate = weights * problem.loss.conjugate(labels, -problem.per_weight(scale * P))
        return primal + float(total(conjugate.ravel())) - scale * linear

    return _Bound(minimise_convex(gap, limit), found)


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
    of_affine = 16 * EPS * size
    of_network = of_affine + 16 * EPS * reach * np.linalg.norm(changes, axis=0)
    of_network = np.minimum(of_network, np.maximum(of_affine, 1e-3 * np.ptp(Y, axis=0)))
    inverse_gaps = 1 / h[:-1] + 1 / h[1:]
    is_affine = bool(np.all(np.abs(changes) <= np.outer(inverse_gaps, of_affine)))
    return of_affine, of_network, is_affine, float(np.linalg.norm(of_affine) * inverse_gaps.sum())


def _is_only_rounding(problem: Problem, primal: float) -> bool:
    """Whether labels are affine up to rounding, and the objective is no more than that makes."""
    if not problem.loss.of_residual:
        return False
    allowed = 0.0
    for _, _, part in problem.by_weights():
        x, Y = part.X[:, 0], part.Y
        # Few samples rule it out most often, before all are looked at.
        if not _label_rounding(x[:100], Y[:100])[2]:
            return False
        rounding, _, is_affine, _ = _label_rounding(x, Y)
        if not is_affine:
            return False
        noise = problem.loss.value(rounding, np.zeros(1))
        allowed += float(part.sample_weight.sum() * noise.sum())
    return primal <= allowed


def _on_used(problem: Problem, P: FloatArray) -> FloatArray:
    """A dual variable is 0 for labels that are not used."""
    return P if problem.shares_weights else np.where(problem.used, P, 0.0)


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
