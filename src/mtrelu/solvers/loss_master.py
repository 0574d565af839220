"""Any convex loss over a fixed set of neurons: a primal-dual interior point method on the dual.

Over fixed neurons with features Φ (N, K) and a basis B (N, q) of the skip functions the problem is

    minimise over V, Θ   Σ_it w_it ℓ(y_it, z_it) + α Σ_k ‖v_k‖₂,     Z = BΘ + ΦV,

and its dual, with c(p) = ℓ*(y, −p) and P = w p, entry by entry,

    minimise over P   Σ_it w_it c(p_it)   subject to   Bᵀ P = 0,   ‖Φ_kᵀ P‖₂ <= α,   lo <= p <= hi.

The dual variable of every label is an unknown, so that kinks need no smoothing. The constraint of a
neuron says that s_k = (α, Φ_kᵀ P) is in a second-order cone, with the multiplier x_k = (e_k, −v_k)
in the same cone; bounds on p have multipliers above and below. The method follows the path on which
all products of slack and multiplier are equal (Nesterov-Todd scaling, Mehrotra's predictor and
corrector). With D = w / (c″(p) + above / (hi − p) + below / (p − lo)) every Newton step solves

    D⁻¹ dP + Φ dV + B dΘ = r₁,     Φ_kᵀ dP − S_k dv_k = r₂,     Bᵀ dP = r₃,

where S_k (T, T) is a multiple of one plus a matrix of rank one; see `_newton_systems`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mtrelu.losses import Loss
from mtrelu.solvers._cones import Scaling, inside, jordan_product
from mtrelu.solvers._newton_systems import (
    ByNeurons,
    BySamples,
    NewtonSystem,
    longest_step,
    onto_skip_constraints,
)
from mtrelu.validation import FloatArray

_EPS = float(np.finfo(np.float64).eps)
# How much of the way to the boundary a step goes.
_SHORT = 0.99
# A start near zero would be near the bounds that the logistic loss has there.
_SMALLEST_START = 1e-2
# Steps without a gap that is smaller by a tenth before rounding is taken to have ended progress.
_PATIENCE = 10


@dataclass(frozen=True, eq=False)
class FixedFit:
    """Output weights over fixed neurons, with a proof of how good they are.

    Attributes
    ----------
    V : ndarray of shape (K, T)
        Output weights of the neurons.
    theta : ndarray of shape (q, T)
        Coefficients of the skip functions.
    P : ndarray of shape (N, T)
        Feasible dual variable: in the domain of the conjugate, Bᵀ P = 0 up to rounding, and
        ‖Φ_kᵀ P‖₂ <= α.
    gap : float
        Objective minus the dual value of `P`, in units of the objective: a proof of how far the
        objective can be from its minimum over these neurons.
    n_iter : int
        Newton steps taken.
    """

    V: FloatArray
    theta: FloatArray
    P: FloatArray
    gap: float
    n_iter: int


# Overflow and division by zero on the way lead to a point that is not kept.
@np.errstate(all="ignore")
def fit_fixed_neurons(
    Y: FloatArray,
    weights: FloatArray,
    loss: Loss,
    Phi: FloatArray,
    B: FloatArray,
    alpha: float,
    *,
    gap: float,
    max_iter: int = 100,
) -> FixedFit:
    """Minimise Σ w ℓ(Y, BΘ + ΦV) + α Σ_k ‖v_k‖₂ over V and Θ.

    Parameters
    ----------
    Y : ndarray of shape (N, T)
        Labels.
    weights : ndarray of shape (N,) or (N, T)
        Weights of the samples or of the labels, >= 0.
    loss : Loss
        Any loss.
    Phi : ndarray of shape (N, K)
        Features of the neurons; K can be 0, and columns can coincide.
    B : ndarray of shape (N, q)
        Skip functions on the data, orthonormal with respect to the weights.
    alpha : float
        Penalty, > 0.
    gap : float
        Duality gap, in units of the objective, at which to stop.
    max_iter : int
        Most Newton steps.

    Returns
    -------
    FixedFit
        The best point found. Its gap is larger than asked for where `max_iter` or rounding end the
        work, and where no minimum exists (logistic loss, labels that the skip functions separate).

    Examples
    --------
    >>> from mtrelu.losses import SquaredLoss
    >>> Y, one = np.array([[3.0], [0.5]]), np.ones(2)
    >>> fit = fit_fixed_neurons(Y, one, SquaredLoss(), np.eye(2), np.empty((2, 0)), 1.0, gap=1e-9)
    >>> fit.V.ravel().round(6), fit.P.ravel().round(6)
    (array([2., 0.]), array([1. , 0.5]))
    """
    weights = weights.reshape(len(weights), -1)
    counted = weights.any(axis=1)
    column = weights[counted]
    labels, skip = Y[counted], B[counted]
    shift = np.zeros((B.shape[1], Y.shape[1]))
    if loss.of_residual:  # large offsets then cost no digits
        shift = skip.T @ (column * labels)
        if column.shape[1] > 1:
            gram = np.einsum("ni,nt,nj->tij", skip, column, skip, optimize=True)
            shift = np.einsum("tij,jt->it", np.linalg.pinv(gram, hermitian=True), shift)
        labels = labels - skip @ shift
    problem = _FixedNeurons(labels, column, loss, Phi[counted], skip, alpha)
    point = problem.start()
    best = zero = problem.zero()
    wanted = max(gap, problem.noise)
    stalled = 0
    for n_iter in range(max_iter + 1):
        newton = problem.linearise(point)
        found = problem.feasible(point, newton)
        stalled = 0 if found.gap < 0.9 * best.gap else stalled + 1
        best = found if found.gap < best.gap else best
        # Until the path has been reached gaps need not fall.
        stuck = stalled > _PATIENCE and best.gap < 0.5 * zero.gap
        if best.gap <= wanted or stuck or n_iter == max_iter:
            break
        moved = problem.step(point, newton)
        if moved is None:
            break
        point = moved
    best = problem.without_idle(best, wanted)
    P = np.zeros_like(Y)
    P[counted] = best.P
    return replace(best, theta=best.theta + shift, P=P, n_iter=n_iter)


@dataclass
class _Point:
    """An iterate: p, Θ, and slacks and multipliers of cones (K, 1 + T) and bounds (N, T)."""

    p: FloatArray
    theta: FloatArray
    s: FloatArray
    x: FloatArray
    above: FloatArray
    below: FloatArray


@dataclass
class _Newton:
    """What a step needs of a point: z + c′(p) and D (N, T), and the room up to the bounds."""

    misfit: FloatArray
    D: FloatArray
    room_above: FloatArray
    room_below: FloatArray


class _FixedNeurons:
    """The problem, with labels (N, T) and weights (N, 1) or (N, T).

    A label of weight 0 has p = 0, which no step moves, and no bounds that could stop one.
    """

    def __init__(
        self,
        Y: FloatArray,
        weights: FloatArray,
        loss: Loss,
        Phi: FloatArray,
        B: FloatArray,
        alpha: float,
    ) -> None:
        self.Y, self.weights, self.loss, self.alpha = Y, weights, loss, alpha
        self.Phi, self.B = Phi, B
        self.unused = np.broadcast_to(weights == 0.0, Y.shape)
        self.lo, self.hi = np.broadcast_arrays(*loss.dual_bounds(Y))
        self.bounded = bool(np.isfinite(self.lo).any())
        self.divisor = weights
        if self.unused.any():
            # With weight 1 where something is divided by it, and bounds around p = 0.
            self.divisor = np.where(weights > 0.0, weights, 1.0)
            self.lo, self.hi = (
                np.where(self.unused, side, bound)
                for side, bound in ((-1.0, self.lo), (1.0, self.hi))
            )
        n_bounds = 2 * np.count_nonzero(~self.unused) if self.bounded else 0
        self.n_products = max(1, Phi.shape[1] + n_bounds)
        self.scale = float(np.sum(weights * loss.value(Y, np.zeros_like(Y))))
        self.careful = False  # whether steps are solved without squares of condition numbers
        # A gap is a sum of differences of terms that add up to about the scale.
        self.noise = _EPS * self.scale

    def zero(self) -> FixedFit:
        """The zero function and the zero dual variable, which is feasible for every problem."""
        n_tasks = self.Y.shape[1]
        V = np.zeros((self.Phi.shape[1], n_tasks))
        theta = np.zeros((self.B.shape[1], n_tasks))
        P = np.zeros_like(self.Y)
        return FixedFit(V, theta, P, self._gap(V, theta, P), 0)

    def start(self) -> _Point:
        """A point strictly inside all cones and bounds, with equal products."""
        # Only the squared loss has no bounds: then the residual of the skip functions alone.
        p = 0.5 * (self.lo + self.hi) if self.bounded else np.where(self.unused, 0.0, self.Y)
        largest = self._largest_norm(self.weights * p)
        share = 0.9 * min(1.0, self.alpha / largest) if largest > 0.0 else 1.0
        p = p * (max(share, _SMALLEST_START) if self.bounded else share)
        u = self.Phi.T @ (self.weights * p)
        largest = self._largest_norm(self.weights * p)
        u *= 0.9 * min(1.0, self.alpha / largest) if largest > 0.0 else 1.0
        mu = max(self.scale / self.n_products, float(np.finfo(np.float64).tiny))
        multiplier = np.zeros((len(u), 1 + u.shape[1]))
        multiplier[:, 0] = mu / self.alpha
        return _Point(
            p=p,
            theta=np.zeros((self.B.shape[1], p.shape[1])),
            s=np.hstack([np.full((len(u), 1), self.alpha), u]),
            x=multiplier,
            above=mu / (self.divisor * (self.hi - p)),
            below=mu / (self.divisor * (p - self.lo)),
        )

    def feasible(self, point: _Point, newton: _Newton) -> FixedFit:
        """The fit at a point, with its dual variable moved into the constraints."""
        V, P = -point.x[:, 1:], self.weights * point.p
        P, good = onto_skip_constraints(P, self.B, newton.D)
        # The zero dual variable of a task is feasible, and is all there is where skip functions
        # separate its classes.
        p = P / self.divisor
        good &= np.all((p >= self.lo) & (p <= self.hi), axis=0)
        P = np.where(good, P, 0.0)
        largest = self._largest_norm(P)
        if largest > self.alpha:
            P *= self.alpha / largest
        gap = self._gap(V, point.theta, P)
        return FixedFit(V, point.theta, P, gap if math.isfinite(gap) else math.inf, 0)

    def without_idle(self, fit: FixedFit, wanted: float) -> FixedFit:
        """The fit without the neurons that only the interior keeps off zero, if it is as good."""
        path = self.alpha * np.linalg.norm(fit.V, axis=1)
        z = self.B @ fit.theta + self.Phi @ fit.V
        objective = np.sum(self.weights * self.loss.value(self.Y, z)) + np.sum(path)
        slack = 1.0 - np.linalg.norm(self.Phi.T @ fit.P, axis=1) / self.alpha
        idle = path < slack * objective
        V = np.where(idle[:, np.newaxis], 0.0, fit.V)
        gap = self._gap(V, fit.theta, fit.P)
        return replace(fit, V=V, gap=gap) if gap <= max(fit.gap, wanted) else fit

    def linearise(self, point: _Point) -> _Newton:
        """Prepare a step."""
        fitted, slope = self.loss.dual_fit(self.Y, point.p)
        z = self.B @ point.theta - self.Phi @ point.x[:, 1:]
        room_above, room_below = self.hi - point.p, point.p - self.lo
        slope = slope + point.above / room_above + point.below / room_below
        misfit, D = z - fitted, self.weights / slope
        misfit[self.unused] = D[self.unused] = 0.0
        return _Newton(misfit, D, room_above, room_below)

    def step(self, point: _Point, newton: _Newton) -> _Point | None:
        """One predictor and corrector step, or None where rounding allows none."""
        weights, room_above, room_below = self.weights, newton.room_above, newton.room_below
        n_neurons = self.Phi.shape[1]
        scaling = Scaling(point.s, point.x)
        parts = (self.Phi, self.B, newton.D, scaling)
        few_samples = len(self.Y) < n_neurons + self.B.shape[1]
        system: NewtonSystem
        try:
            system = BySamples(*parts) if few_samples else ByNeurons(*parts, self.careful)
        except np.linalg.LinAlgError:
            return None
        P = weights * point.p
        lag = point.s.copy()  # how far the slacks of the cones are from (α, Φ_kᵀ P)
        lag[:, 0] -= self.alpha
        lag[:, 1:] -= self.Phi.T @ P
        products = float(np.sum(point.s * point.x))
        if self.bounded:
            products += float(np.sum(weights * point.above * room_above))
            products += float(np.sum(weights * point.below * room_below))
        target = 0.0
        second_cone, second_bound = np.zeros_like(point.s), np.zeros((2, *P.shape))
        for phase in range(2):
            # λ ∘ (W dx + W⁻¹ ds) = target − λ ∘ λ − (second order), and the same for the bounds.
            right = -jordan_product(scaling.point, scaling.point) - second_cone
            right[:, 0] += target
            sides = scaling.divide(right)
            rho = lag + scaling.apply(sides)
            goal_above = target / self.divisor + second_bound[0]
            goal_below = target / self.divisor - second_bound[1]
            r1 = goal_below / room_below - goal_above / room_above - newton.misfit
            r2 = np.vstack([scaling.reduced(rho), -self.B.T @ P])
            dP, dx, useful = system.solve(r1, r2)
            if not (useful or self.careful or few_samples):
                self.careful = True
                return self.step(point, newton)
            dp, dV, d_theta = dP / self.divisor, dx[:n_neurons], dx[n_neurons:]
            d_cone = np.hstack([scaling.first(rho, dV), -dV])
            scaled_x = scaling.apply(d_cone)
            scaled_s = sides - scaled_x
            d_above = (goal_above + point.above * dp) / room_above - point.above
            d_below = (goal_below - point.below * dp) / room_below - point.below
            d_above[self.unused] = d_below[self.unused] = 0.0
            longest = min(scaling.longest(scaled_s), scaling.longest(scaled_x))
            if self.bounded:
                longest = min(
                    longest,
                    longest_step(room_above, -dp),
                    longest_step(room_below, dp),
                    longest_step(point.above, d_above),
                    longest_step(point.below, d_below),
                )
            if phase == 0:
                target = (1.0 - min(1.0, longest)) ** 3 * products / self.n_products
                second_cone = jordan_product(scaled_s, scaled_x)
                second_bound = np.stack([d_above * dp, d_below * dp])
        step = min(1.0, _SHORT * longest)
        moved = _Point(
            p=point.p + step * dp,
            theta=point.theta + step * d_theta,
            s=point.s + step * scaling.apply(scaled_s),
            x=point.x + step * d_cone,
            above=point.above + step * d_above,
            below=point.below + step * d_below,
        )
        return moved if self._is_inside(moved) else None

    def _is_inside(self, point: _Point) -> bool:
        """Whether rounding left the point finite, and strictly inside all cones and bounds."""
        finite = bool(np.isfinite(point.p).all() and np.isfinite(point.theta).all())
        within = bool(np.all((point.p > self.lo) & (point.p < self.hi)))
        if self.bounded:
            within &= bool(np.all((point.above > 0.0) & (point.below > 0.0)))
        return finite and within and inside(point.s) and inside(point.x)

    def _largest_norm(self, P: FloatArray) -> float:
        """max_k ‖Φ_kᵀ P‖₂, 0 without neurons."""
        return float(np.max(np.linalg.norm(self.Phi.T @ P, axis=1), initial=0.0))

    def _gap(self, V: FloatArray, theta: FloatArray, P: FloatArray) -> float:
        """Objective minus dual value, as a sum of terms none of which is negative."""
        z, p = self.B @ theta + self.Phi @ V, P / self.divisor
        fenchel = self.loss.value(self.Y, z) + self.loss.conjugate(self.Y, -p) + p * z
        path = self.alpha * np.linalg.norm(V, axis=1) - np.einsum("kt,kt->k", V, self.Phi.T @ P)
        total = float(np.sum(self.weights * np.maximum(fenchel, 0.0)))
        total += float(np.sum(np.maximum(path, 0.0)))
        return total + float(np.sum(np.abs(theta * (self.B.T @ P))))
