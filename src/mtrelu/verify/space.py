"""The certificate of several inputs, or of a constant skip connection. Private.

Sums run in float64 (and partly in doubled precision), and every rounding that matters is bounded
a priori and added to the gap: of predictions, of sums, of the scaled dual variable, and of the
constraints, which a float64 matrix cannot satisfy exactly (`mtrelu.verify._skip`). The bound is
that of an exactly feasible dual variable nearby. Inputs that are flat in some direction up to
rounding count as flat there; a network whose slope in such a direction is so large that it matters
gets no small gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mtrelu._flat_tasks import FlatTasks
from mtrelu.certificate import Certificate
from mtrelu.losses import SquaredLoss
from mtrelu.network import ReLUNetwork
from mtrelu.oracles import OracleResult
from mtrelu.oracles.base import Oracle
from mtrelu.oracles.branch_and_bound import BranchAndBoundOracle
from mtrelu.problem import Problem
from mtrelu.status import Status
from mtrelu.validation import TINY, FloatArray
from mtrelu.verify._common import EPS, KINK_TOLERANCES, LARGEST, conclude, minimise_convex
from mtrelu.verify._evaluation import Evaluation
from mtrelu.verify._skip import SkipConstraints

_ENTROPY = 160 * EPS  # what rounding of its argument can move x log x, and twice that


def verify_space(
    problem: Problem,
    network: ReLUNetwork,
    hint: FloatArray | None,
    tol: float,
    limit_reached: bool,
    oracle: Oracle,
) -> Certificate:
    """Certify a network of a problem that was checked, with an oracle for its inputs."""
    judge = _Judge(problem, network, oracle)
    if problem.alpha == 0:
        return _verify_interpolation(judge, hint, tol, limit_reached)
    return _verify_fit(judge, hint, tol, limit_reached)


@dataclass(frozen=True, eq=False)
class _Dual:
    """A dual variable that satisfies the skip constraints to rounding.

    An exactly feasible one differs from P by at most ``distance``, entry by entry, and
    ``overlap`` is its inner product with the hidden part of the predictions, up to
    ``overlap_error``. ``sizes`` and ``moves`` are the row norms of P and ``distance``. Along
    directions in which the inputs of a task are flat, Σ_i p_i x_i is at most ``tilt``.
    """

    P: FloatArray
    distance: FloatArray
    sizes: FloatArray
    moves: FloatArray
    overlap: float
    overlap_error: float
    tilt: float


@dataclass(frozen=True, eq=False)
class _Bound:
    """A gap that a dual variable proves, and the oracle's answer for that variable.

    Both dual variable and answer are in units of ``unit``, a power of two.
    """

    gap: float
    dual: _Dual
    found: OracleResult
    unit: float = 1.0


class _Judge:
    """What the bounds of all guesses have in common."""

    def __init__(self, problem: Problem, network: ReLUNetwork, oracle: Oracle) -> None:
        from mtrelu._line_exact import row_norms

        self.problem, self.network, self.oracle = problem, network, oracle
        self.hull = oracle.hull
        self._flat_tasks = FlatTasks.of(problem, self.hull.axes.shape[1])
        self.constraints = SkipConstraints(self.hull, problem.skip, self._flat_tasks)
        self.at_data = Evaluation.of(problem, network, self.hull)
        self.weights = problem.weights
        D, axes = problem.X - self.hull.centre, self.hull.axes
        across = row_norms(D - (D @ axes) @ axes.T) + 8 * EPS * problem.n_inputs * row_norms(D)
        self._diameter = 2 * float(row_norms(D).max())
        # Inputs that are equal but for rounding have no coordinates for the oracle to search.
        self._unsearched = 0.0 if axes.shape[1] else 2 * float(across.max())
        # An affine map may use directions that are flat up to rounding, which P does not cancel.
        self._flat = np.zeros(problem.n_samples)
        if problem.skip == "affine" and self.hull.axes.shape[1] < problem.n_inputs:
            self._flat = across * float(np.linalg.norm(network.A))

    def dual(self, P: FloatArray, freedom: FloatArray) -> _Dual:
        """Project P onto the skip constraints and bound what rounding makes of its products."""
        from mtrelu._line_exact import row_norms
        from mtrelu.doubled import total

        P, distance = self.constraints.project(P, freedom)
        if not bool(np.all(np.isfinite(P)) and np.all(np.isfinite(distance))):
            P, distance = np.zeros(P.shape), np.zeros(P.shape)
        sizes, moves, hidden = row_norms(P), row_norms(distance), row_norms(self.at_data.hidden)
        products = P * self.at_data.hidden
        error = (
            4 * EPS * float(np.abs(products).sum())
            + float((sizes + moves) @ (self.at_data.hidden_error + self._flat))
            + float(moves @ hidden)
        )
        tilt = 0.0
        for flat in self._flat_tasks:
            each = flat.across() @ np.abs(P[np.ix_(flat.rows, flat.tasks)])
            tilt += float(each.sum())
            error += float(each @ row_norms(self.network.A[flat.tasks]))
        return _Dual(P, distance, sizes, moves, float(total(products.ravel())), error, tilt)

    def largest(self, dual: _Dual, value: float) -> float:
        """Bound the dual function of the exactly feasible neighbour by that of P.

        The neighbour's largest value lies at a hyperplane through a data point, where no hinge
        exceeds the diameter, and so does that of P up to the constraints that it violates.
        """
        value += self._unsearched * float(dual.sizes.sum()) + dual.tilt
        return value * (1 + 4 * EPS) + 2 * self._diameter * float(dual.moves.sum())


# --- alpha > 0 ----------------------------------------------------------------------------------


def _verify_fit(
    judge: _Judge, hint: FloatArray | None, tol: float, limit_reached: bool
) -> Certificate:
    problem = judge.problem
    fit = _Fit(judge)
    nowhere = np.empty(0)
    found, unit = OracleResult(math.inf, "exact", nowhere, nowhere, nowhere), 1.0
    primal, dual, gap = math.inf, 0.0, math.inf  # zero bounds every objective
    estimated, imbalance = None, LARGEST
    if math.isfinite(fit.primal) and math.isfinite(fit.primal_error):
        imbalance, own = min(
            ((fit.stationarity(P), P) for P in fit.subgradients(hint)), key=lambda pair: pair[0]
        )
        target = _target(judge.oracle, problem.alpha, tol)
        guesses = [own] if hint is None else [own, hint]
        best = min((fit.bound(guess, target) for guess in guesses), key=lambda bound: bound.gap)
        found, unit = best.found, best.unit
        if math.isfinite(best.gap):
            primal, gap = fit.primal, fit.allowed(best.gap)
            dual = primal - gap
    relative_gap = gap / max(1e-300, primal) if gap < math.inf else math.inf
    proved = relative_gap <= tol and found.exactness != "estimate"
    certified = proved or _is_only_rounding(judge, primal)
    if found.exactness == "estimate":
        estimated = relative_gap
    elif found.exactness == "bound" and not certified and gap < math.inf:
        found, value = _estimate(judge, best.dual, found)
        estimated = fit.allowed(fit.gap_for(best.dual, value)) / max(1e-300, primal)
    return Certificate(
        primal=primal,
        dual=dual,
        gap=gap,
        relative_gap=relative_gap,
        oracle=found.exactness,
        violation=found.value * (unit / problem.alpha),
        most_violated=(found.w[0], float(found.b[0])) if found.b.size else None,
        interpolation_error=None,
        tol=tol,
        status=conclude(relative_gap, estimated, tol, certified, limit_reached),
        alpha=problem.alpha,
        n_samples=problem.n_samples,
        n_tasks=problem.n_tasks,
        stationarity=imbalance,
        estimated_relative_gap=estimated,
    )


class _Fit:
    """Gaps for alpha > 0, for any loss.

    With labels y and predictions z (for a loss of the residual: r and 0) and a scale s,

        gap(s) = Σ_it w_i [ℓ(y, z) + ℓ*(y, −s p/w_i) + s p z/w_i]
                 + (α Σ_k ‖v_k‖‖w_k‖ − s ⟨P, hidden⟩)

    where all terms of the first sum, and the second part, are non-negative: P is orthogonal to
    whatever the skip connection contributes.
    """

    def __init__(self, judge: _Judge) -> None:
        from mtrelu.doubled import total

        self._judge, problem, at_data = judge, judge.problem, judge.at_data
        self._loss, self._weights, self._error = problem.loss, judge.weights, at_data.error
        by_residual = self._loss.of_residual
        self._labels = at_data.residuals if by_residual else problem.Y
        self._predictions = np.zeros((1, 1)) if by_residual else at_data.predictions
        self._losses = self._weights * self._loss.value(self._labels, self._predictions)
        self._own = 0.0 - self._weights * self._loss.gradient(self._labels, self._predictions)
        self._misfit = float(total(self._losses.ravel()))
        self._cost = problem.alpha * at_data.cost
        self._cost_error = problem.alpha * at_data.cost_error
        self.primal = self._misfit + self._cost
        self.primal_error = (
            self._moved_by_rounding(self._own)
            + 8 * EPS * (self._misfit + self.primal)
            + self._cost_error
        )

    def allowed(self, gap: float) -> float:
        """Return a gap with room for the rounding of the objective; no loss is negative."""
        gap = max(gap, 0.0) + self.primal_error + TINY
        return min(gap, self.primal) if TINY < self.primal else gap

    def subgradients(self, hint: FloatArray | None) -> list[FloatArray]:
        """The network's own dual variable; several where the loss has a kink."""
        found = [self._own]
        if math.isfinite(self._loss.smoothness):
            return found
        from mtrelu.verify._guesses import stationarity_conditions, stationary_at_kinks

        problem, network = self._judge.problem, self._judge.network
        sizes = np.abs(self._judge.at_data.residuals)
        reach = max(float(np.ptp(problem.Y, axis=0).max()), float(sizes.max()))
        for tolerance in KINK_TOLERANCES:
            small = tolerance * reach
            features, targets = stationarity_conditions(problem, network, self._judge.hull, small)
            guess = stationary_at_kinks(
                problem, self._own, sizes, small, features, problem.alpha * targets
            )
            if guess is not None:
                found.append(guess)
            if hint is not None:
                lo, hi = problem.dual_bounds()
                found.append(np.where(sizes <= small, np.clip(hint, lo, hi), self._own))
        return found

    def stationarity(self, P: FloatArray) -> float:
        """How far from stationary the network is, judged by one of its dual variables."""
        from mtrelu.verify._stationarity import Stationarity

        imbalance = Stationarity(self._judge.problem, self._judge.network)
        imbalance.add(P)
        return imbalance.value()

    def bound(self, guess: FloatArray, target: float) -> _Bound:
        """Project a guess of the dual variable, and return the gap that it proves."""
        unit = self._unit(guess)
        dual = self._dual(guess / unit)
        found = self._judge.oracle.search(dual.P, target=target / unit)
        return _Bound(self.gap_for(dual, found.value), dual, found, unit)

    def gap_for(self, dual: _Dual, value: float) -> float:
        """Return the least gap over all scales, if the dual function of P is at most ``value``."""
        value = self._judge.largest(dual, value)
        limit = self._judge.problem.alpha / value if value > 0 else math.inf
        lo, hi = self._judge.problem.dual_bounds()
        for bound, reached in ((hi, dual.P + dual.distance), (-lo, dual.distance - dual.P)):
            beyond = reached > 0
            limit = min(limit, float(np.min(bound[beyond] / reached[beyond], initial=math.inf)))
        limit = max(limit * (1 - 4 * EPS), 0.0)

        def gap(scale: float) -> float:
            return self._gap(dual, scale)

        if isinstance(self._loss, SquaredLoss):
            return gap(min(limit, self._best_scale(dual)))
        return minimise_convex(gap, min(limit, 1e6))

    def _unit(self, guess: FloatArray) -> float:
        """A power of two that brings squares of extreme numbers into range."""
        size = float(np.abs(guess).max())
        # Other losses say themselves how large a dual variable can be.
        if not isinstance(self._loss, SquaredLoss) or size == 0.0 or 1e-100 < size < 1e100:
            return 1.0
        return math.ldexp(1.0, max(min(math.frexp(size)[1], 1000), -1000))

    def _dual(self, guess: FloatArray) -> _Dual:
        judge = self._judge
        if not isinstance(self._loss, SquaredLoss):
            lo, hi = judge.problem.dual_bounds()
            P, freedom = judge.constraints.towards(np.clip(guess, lo, hi), lo, hi, self._weights)
            return judge.dual(P, freedom)
        if not judge.problem.shares_weights:  # 0 for labels that are not used
            guess = np.where(judge.problem.used, guess, 0.0)
        return judge.dual(guess, self._weights)

    def _best_scale(self, dual: _Dual) -> float:
        """The scale that is best for the squared loss, were it not for the constraint."""
        from mtrelu.doubled import total

        gain = float(total((dual.P * self._labels).ravel())) + dual.overlap
        square = float(total((dual.P * self._judge.problem.per_weight(dual.P)).ravel()))
        return gain / square if gain > 0 and square > 0 else 0.0

    def _gap(self, dual: _Dual, scale: float) -> float:
        from mtrelu.doubled import total

        loss, w = self._loss, self._weights
        P = scale * dual.P
        q = self._judge.problem.per_weight(P)
        conjugate = w * loss.conjugate(self._labels, -q)
        cross = P * self._predictions
        first = float(total((self._losses + conjugate + cross).ravel()))
        # Rounding of these terms, in the losses and inside the conjugates;
        sizes = self._losses + np.abs(P) * (np.abs(self._labels) + np.abs(q)) + np.abs(cross)
        first += 8 * EPS * float(sizes.sum())
        if not loss.of_residual:
            first += _ENTROPY * P.shape[1] * float(w.sum())
        # of the predictions, to which the terms are as sensitive as they are far from zero;
        first += self._moved_by_rounding(self._own - P)
        # and of P, where the prediction that it stands for differs.
        moved = scale * (dual.distance + (4 * EPS * np.abs(dual.P) if loss.of_residual else 0.0))
        with np.errstate(all="ignore"):
            stands_for, slope = loss.dual_fit(self._labels, q)
            change = moved * (np.abs(stands_for - self._predictions) + 2 * moved * slope / w)
        first += float(np.sum(np.where(moved > 0, change, 0.0)))
        second = self._cost + self._cost_error - scale * (dual.overlap - dual.overlap_error)
        gap = first + second
        return gap if math.isfinite(gap) else math.inf

    def _moved_by_rounding(self, sensitivity: FloatArray) -> float:
        """How far rounding of the predictions moves a sum with this derivative (N, T) in them."""
        w, n_tasks = self._judge.problem.row_weight, self._own.shape[1]
        if math.isfinite(self._loss.smoothness):
            rates = np.linalg.norm(sensitivity, axis=1) + w * self._loss.smoothness * self._error
        else:  # slopes at most 1, of either sign
            rates = np.linalg.norm(sensitivity, axis=1) + 2 * w * math.sqrt(n_tasks)
        return float(rates @ self._error)


def _target(oracle: Oracle, limit: float, tol: float) -> float:
    """What an oracle need not resolve; an exact one is asked for the maximum alone."""
    return limit * (1 + 0.1 * tol) if isinstance(oracle, BranchAndBoundOracle) else 0.0


def _estimate(judge: _Judge, dual: _Dual, found: OracleResult) -> tuple[OracleResult, float]:
    """Return the oracle's answer with the worst neuron that a search found, and its value."""
    from mtrelu.oracles.ascent import AscentOracle

    tried = AscentOracle(judge.problem.X, judge.problem.skip).search(dual.P)
    worst = tried if not found.g.size or tried.value > found.g[0] else found
    value = tried.value if worst is tried else float(found.g[0])
    return OracleResult(found.value, found.exactness, worst.w, worst.b, worst.g), value


# --- alpha = 0 ----------------------------------------------------------------------------------


def _verify_interpolation(
    judge: _Judge, hint: FloatArray | None, tol: float, limit_reached: bool
) -> Certificate:
    problem, network, at_data = judge.problem, judge.network, judge.at_data
    errors = np.nan_to_num(np.abs(at_data.residuals), nan=math.inf, posinf=math.inf)
    feasible = bool(np.all(errors <= _parameter_rounding(problem, network)))
    primal = at_data.cost
    feasible = feasible and math.isfinite(primal)
    best = min(_interpolation_bounds(judge, hint, tol), key=lambda bound: bound.gap, default=None)
    if best is None:
        nothing = np.empty(0)
        found, gap = OracleResult(0.0, "exact", nothing, nothing, nothing), primal
    else:
        found, gap = best.found, min(best.gap, primal)
    # A network may undercut the optimum only by missing the labels.
    # Where inputs nearly coincide the noise is large, but a path norm that shows is no rounding.
    width = 2.0 * judge.hull.scale * float(np.linalg.norm(judge.hull.Z, axis=1).max(initial=0.0))
    noise = _cost_of_rounding(judge)
    if width > 0:
        noise = min(noise, tol * float(np.linalg.norm(np.abs(problem.Y).max(axis=0))) / width)
    feasible = feasible and (gap >= -tol * primal or primal <= noise)
    gap = max(gap, 0.0) + (at_data.cost_error + 8 * EPS * primal if primal > 0 else 0.0)
    dual = max(primal - gap, 0.0)
    gap = min(gap, primal) if feasible else math.inf
    relative_gap = gap / max(1e-300, primal) if feasible else math.inf
    proved = relative_gap <= tol and found.exactness != "estimate"
    certified = proved or (feasible and primal <= noise)
    estimated = relative_gap if feasible and found.exactness == "estimate" else None
    if best is not None and found.exactness == "bound" and not certified and feasible:
        found, value = _estimate(judge, best.dual, found)
        estimated = max(_interpolation_gap(judge, best.dual, value), 0.0) / max(1e-300, primal)
    size = float(np.abs(problem.Y).max())
    return Certificate(
        primal=primal if math.isfinite(primal) else math.inf,
        dual=dual if math.isfinite(dual) else 0.0,
        gap=gap,
        relative_gap=relative_gap,
        oracle=found.exactness,
        violation=found.value,
        most_violated=(found.w[0], float(found.b[0])) if found.b.size else None,
        interpolation_error=float(errors.max()) / (size if size > 0 else 1.0),
        tol=tol,
        status=(
            conclude(relative_gap, estimated, tol, certified, limit_reached)
            if feasible
            else Status.INFEASIBLE
        ),
        alpha=0.0,
        n_samples=problem.n_samples,
        n_tasks=problem.n_tasks,
        stationarity=0.0,
        estimated_relative_gap=estimated,
    )


def _interpolation_bounds(judge: _Judge, hint: FloatArray | None, tol: float) -> list[_Bound]:
    from mtrelu.verify._guesses import least_norm, stationarity_conditions

    conditions = stationarity_conditions(judge.problem, judge.network, judge.hull, 0.0)
    guesses = []
    if bool(np.all(np.isfinite(conditions[0]))):
        guesses.append(least_norm(*conditions))
    if hint is not None:
        guesses.append(np.ldexp(hint, -math.frexp(float(np.abs(hint).max()))[1]))
    bounds = []
    for guess in guesses:
        dual = judge.dual(guess, judge.weights)
        # At the size where ⟨P, Y⟩ is the path norm, a largest value of 1 leaves no gap.
        gain = float(np.sum(dual.P * (judge.at_data.hidden + judge.at_data.residuals)))
        if gain > 0 and math.isfinite(judge.at_data.cost / gain):
            dual = judge.dual(dual.P * (judge.at_data.cost / gain), judge.weights)
        found = judge.oracle.search(dual.P, target=_target(judge.oracle, 1.0, tol))
        bounds.append(_Bound(_interpolation_gap(judge, dual, found.value), dual, found))
    return bounds


def _interpolation_gap(judge: _Judge, dual: _Dual, value: float) -> float:
    """Return Σ_k ‖v_k‖‖w_k‖ − s ⟨P, Y⟩ for the largest feasible s; ⟨P, Y⟩ = ⟨P, hidden + R⟩."""
    from mtrelu.doubled import total

    at_data = judge.at_data
    value = judge.largest(dual, value)
    products = dual.P * at_data.residuals
    missed = float(total(products.ravel()))
    error = 4 * EPS * float(np.abs(products).sum())
    error += float((dual.sizes + dual.moves) @ at_data.error)
    error += float(dual.moves @ np.linalg.norm(at_data.residuals, axis=1))
    gain = dual.overlap - dual.overlap_error + missed - error
    if not (value > 0 and gain > 0):
        return at_data.cost
    return at_data.cost - gain / value * (1 - 8 * EPS)


def _parameter_rounding(problem: Problem, network: ReLUNetwork) -> FloatArray:
    """How far rounding of the parameters can move each task, (T,): the rule of `verify`."""
    x_size = float(np.linalg.norm(problem.X, axis=1).max())
    w_size = np.linalg.norm(network.w, axis=1)
    y_size = np.abs(problem.Y).max(axis=0)
    size = (
        y_size
        + (w_size * x_size + np.abs(network.b)) @ np.abs(network.v)
        + x_size * np.linalg.norm(network.A, axis=1)
        + np.abs(network.c)
    )
    of_labels = np.maximum(16 * EPS * y_size, 1e-3 * np.ptp(problem.Y, axis=0))
    return np.asarray(np.minimum(16 * EPS * size, of_labels))


# --- labels that are affine up to rounding ------------------------------------------------------


def _affine_rounding(judge: _Judge) -> FloatArray | None:
    """How far rounding moves an affine function through the labels, (T,).

    None if rounding is not all that keeps the labels from being one (constant, if the skip
    connection is).
    """
    from mtrelu._line_exact import row_norms

    problem, hull = judge.problem, judge.hull
    size = np.abs(problem.Y).max(axis=0)
    if problem.skip == "affine" and hull.Z.shape[1]:
        x_size = float(np.linalg.norm(problem.X, axis=1).max())
        for tasks, rows, part in problem.by_weights():
            Z, Y = hull.Z[rows], part.Y
            slopes = np.linalg.lstsq(Z - Z.mean(axis=0), Y - Y.mean(axis=0), rcond=None)[0]
            size[tasks] += x_size / hull.scale * np.linalg.norm(slopes, axis=0)
    rounding = 16 * EPS * size
    free = np.ones((problem.n_samples, 1))
    if not problem.shares_weights:
        free = problem.used.astype(np.float64)
    rest, _ = judge.constraints.project(problem.Y, free)
    is_affine = row_norms(rest.T) <= math.sqrt(problem.n_samples) * rounding
    return rounding if bool(np.all(is_affine)) else None


def _is_only_rounding(judge: _Judge, primal: float) -> bool:
    """Whether labels are affine up to rounding, and the objective is no more than that makes."""
    loss = judge.problem.loss
    if not loss.of_residual or not math.isfinite(primal):
        return False
    rounding = _affine_rounding(judge)
    if rounding is None:
        return False
    noise = loss.value(rounding, np.zeros(1))
    weights = np.broadcast_to(judge.problem.weights.sum(axis=0), noise.shape)
    return primal <= float(weights @ noise)


def _cost_of_rounding(judge: _Judge) -> float:
    """Path norm that interpolates rounding of affine labels; 0 if that is not all there is.

    Along any direction that tells the inputs apart, Σ 1/h over the gaps times the size of the
    rounding is enough; the best of a few directions is taken.
    """
    rounding = _affine_rounding(judge)
    Z = np.unique(judge.hull.Z, axis=0)
    if rounding is None or Z.shape[0] < 3:
        return 0.0
    directions = np.random.default_rng(0).standard_normal((Z.shape[1], 32))
    directions /= np.linalg.norm(directions, axis=0)
    gaps = np.diff(np.sort(Z @ directions, axis=0), axis=0) * judge.hull.scale
    with np.errstate(divide="ignore"):
        inverse = np.sum(1 / gaps[1:] + 1 / gaps[:-1], axis=0)
    inverse = inverse[np.isfinite(inverse)]
    return float(np.linalg.norm(rounding) * inverse.min()) if inverse.size else 0.0
