"""Ridge regression of one task under any convex loss: an interior point method on the dual.

With G = Φ √n (N, K), a = v / √n and c(p) = ℓ*(y, −p) the problem and its dual are

    minimise over a, θ   Σ_i w_i ℓ(y_i, z_i) + (α/2) ‖a‖²,     z = Bθ + Ga,
    minimise over p      Σ_i w_i c(p_i) + ‖Gᵀ P‖² / (2α)   subject to   Bᵀ P = 0,   lo <= p <= hi,

with P = w p. Bounds have multipliers above and below, so that kinks need no smoothing, and the
method follows the path on which all products of multiplier and room are equal (Mehrotra's predictor
and corrector). With D = w / (c″(p) + above / (hi − p) + below / (p − lo)) every Newton step solves

    D⁻¹ dP + G da + B dθ = r₁,     Gᵀ dP − α da = r₂,     Bᵀ dP = r₃.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mtrelu.losses import Loss
from mtrelu.solvers._newton_systems import ByNeurons, longest_step, onto_skip_constraints
from mtrelu.validation import FloatArray

_EPS = float(np.finfo(np.float64).eps)
_TINY = float(np.finfo(np.float64).tiny)
# How much of the way to the boundary a step goes.
_SHORT = 0.99
_MAX_ITER = 100
# Steps after the gap is small enough: weights are as near as the square root of the gap, and each
# step brings two more of their digits.
_EXTRA = 3
# Steps without a gap that is smaller by a tenth before rounding is taken to have ended progress.
_PATIENCE = 10


@dataclass(frozen=True, eq=False)
class TaskFit:
    """Weights a (K, 1) and coefficients θ (q, 1), feasible P (N, 1), and objective minus dual."""

    a: FloatArray
    theta: FloatArray
    P: FloatArray
    gap: float


# Overflow and division by zero on the way lead to a point that is not kept.
@np.errstate(all="ignore")
def fit_task(
    y: FloatArray,
    weights: FloatArray,
    loss: Loss,
    G: FloatArray,
    B: FloatArray,
    alpha: float,
    tol: float,
) -> TaskFit:
    """Fit labels (N, 1) with weights (N, 1) > 0, until the gap is this share of the objective.

    B is orthonormal with respect to the weights. The best point found is returned.
    """
    shift = np.zeros((B.shape[1], 1))
    if loss.of_residual:  # large offsets then cost no digits
        shift = B.T @ (weights * y)
        y = y - B @ shift
    # The minimum is in the span of the rows of G, which has no more dimensions than samples.
    frame = None
    if G.shape[1] > len(G):
        frame, R = np.linalg.qr(G.T)
        G = R.T
    task = _Task(y, weights, loss, G, B, alpha)
    point = task.start()
    best, _ = task.zero()
    stalled = extra = 0
    for _ in range(_MAX_ITER):
        newton = task.linearise(point)
        found, objective = task.feasible(point, newton)
        stalled = 0 if found.gap < 0.9 * best.gap else stalled + 1
        if found.gap <= max(tol * objective, task.noise):
            best = found
            extra += 1
        elif found.gap < best.gap:
            best = found
        if extra > _EXTRA or stalled > _PATIENCE:
            break
        moved = task.step(point, newton)
        if moved is None:
            break
        point = moved
    a = best.a if frame is None else frame @ best.a
    return replace(best, a=a, theta=best.theta + shift)


@dataclass
class _Point:
    """An iterate: p and the multipliers of its bounds (N, 1), a (K, 1) and θ (q, 1)."""

    p: FloatArray
    a: FloatArray
    theta: FloatArray
    above: FloatArray
    below: FloatArray


@dataclass
class _Newton:
    """What a step needs of a point: z + c′(p) and D (N, 1), and the room up to the bounds."""

    misfit: FloatArray
    D: FloatArray
    room_above: FloatArray
    room_below: FloatArray


class _Task:
    """The problem of one task."""

    def __init__(
        self,
        y: FloatArray,
        weights: FloatArray,
        loss: Loss,
        G: FloatArray,
        B: FloatArray,
        alpha: float,
    ) -> None:
        self.y, self.weights, self.loss = y, weights, loss
        self.G, self.B, self.alpha = G, B, alpha
        self.lo, self.hi = np.broadcast_arrays(*loss.dual_bounds(y))
        self.n_bounds = int(np.isfinite(self.lo).sum() + np.isfinite(self.hi).sum())
        self.scale = float(np.sum(weights * loss.value(y, np.zeros_like(y))))
        self.careful = False  # whether steps are solved without squares of condition numbers
        # A gap is a sum of differences of terms that add up to about the scale.
        self.noise = _EPS * self.scale
        self.ridge = _Ridge(alpha, G.shape[1])

    def zero(self) -> tuple[TaskFit, float]:
        """The zero function and the zero dual variable, which is feasible; and the objective."""
        a, theta = np.zeros((self.G.shape[1], 1)), np.zeros((self.B.shape[1], 1))
        return self._judged(a, theta, np.zeros_like(self.y))

    def start(self) -> _Point:
        """A point strictly inside all bounds, with equal products."""
        p = self._inside(-self.loss.gradient(self.y, np.zeros_like(self.y)))
        mu = max(self.scale / max(1, self.n_bounds), _TINY)
        return _Point(
            p=p,
            a=np.zeros((self.G.shape[1], 1)),
            theta=np.zeros((self.B.shape[1], 1)),
            above=mu / (self.weights * (self.hi - p)),
            below=mu / (self.weights * (p - self.lo)),
        )

    def _inside(self, p: FloatArray) -> FloatArray:
        """The middle between two bounds, else p, a typical distance away from a single bound."""
        finite_lo, finite_hi = np.isfinite(self.lo), np.isfinite(self.hi)
        typical = float(np.max(np.abs(p), initial=0.0)) or 1.0
        p = np.where(finite_lo, np.maximum(p, self.lo + typical), p)
        p = np.where(finite_hi, np.minimum(p, self.hi - typical), p)
        return np.where(finite_lo & finite_hi, 0.5 * (self.lo + self.hi), p)

    def feasible(self, point: _Point, newton: _Newton) -> tuple[TaskFit, float]:
        """The fit at a point, with its dual variable moved into the constraints; its objective."""
        P, good = onto_skip_constraints(self.weights * point.p, self.B, newton.D)
        p = P / self.weights
        # Zero is feasible, and is all there is where skip functions separate the classes.
        if not (good.all() and np.all((p >= self.lo) & (p <= self.hi))):
            P = np.zeros_like(P)
        return self._judged(point.a, point.theta, P)

    def linearise(self, point: _Point) -> _Newton:
        """Prepare a step."""
        fitted, slope = self.loss.dual_fit(self.y, point.p)
        z = self.B @ point.theta + self.G @ point.a
        room_above, room_below = self.hi - point.p, point.p - self.lo
        slope = slope + point.above / room_above + point.below / room_below
        return _Newton(z - fitted, self.weights / slope, room_above, room_below)

    def step(self, point: _Point, newton: _Newton) -> _Point | None:
        """One predictor and corrector step, or None where rounding allows none."""
        weights, room_above, room_below = self.weights, newton.room_above, newton.room_below
        n_columns = self.G.shape[1]
        try:
            system = ByNeurons(self.G, self.B, newton.D, self.ridge, self.careful)
        except np.linalg.LinAlgError:
            return None
        P = weights * point.p
        r2 = np.vstack([self.alpha * point.a - self.G.T @ P, -self.B.T @ P])
        products = _total(weights * point.above, room_above)
        products += _total(weights * point.below, room_below)
        target = 0.0
        second = np.zeros((2, *P.shape))
        for phase in range(2):
            goal_above = target / weights + second[0]
            goal_below = target / weights - second[1]
            r1 = goal_below / room_below - goal_above / room_above - newton.misfit
            dP, dx, useful = system.solve(r1, r2)
            if not (useful or self.careful):
                self.careful = True
                return self.step(point, newton)
            dp = dP / weights
            d_above = (goal_above + point.above * dp) / room_above - point.above
            d_below = (goal_below - point.below * dp) / room_below - point.below
            longest = min(
                longest_step(room_above, -dp),
                longest_step(room_below, dp),
                longest_step(point.above, d_above),
                longest_step(point.below, d_below),
            )
            if phase == 0:
                target = (1.0 - min(1.0, longest)) ** 3 * products / max(1, self.n_bounds)
                second = np.stack([d_above * dp, d_below * dp])
        step = min(1.0, _SHORT * longest)
        moved = _Point(
            p=point.p + step * dp,
            a=point.a + step * dx[:n_columns],
            theta=point.theta + step * dx[n_columns:],
            above=point.above + step * d_above,
            below=point.below + step * d_below,
        )
        return moved if self._is_inside(moved) else None

    def _is_inside(self, point: _Point) -> bool:
        """Whether rounding left the point finite, and strictly inside all bounds."""
        finite = np.isfinite(point.p).all() and np.isfinite(point.a).all()
        within = np.all((point.p > self.lo) & (point.p < self.hi))
        within &= np.all((point.above > 0.0) | (self.hi == np.inf))
        within &= np.all((point.below > 0.0) | (self.lo == -np.inf))
        return bool(finite and np.isfinite(point.theta).all() and within)

    def _judged(self, a: FloatArray, theta: FloatArray, P: FloatArray) -> tuple[TaskFit, float]:
        """The fit with its gap, a sum of terms none of which is negative; and its objective."""
        z, p = self.B @ theta + self.G @ a, P / self.weights
        value = self.loss.value(self.y, z)
        fenchel = value + self.loss.conjugate(self.y, -p) + p * z
        lag = self.alpha * a - self.G.T @ P
        gap = float(np.sum(self.weights * np.maximum(fenchel, 0.0)))
        gap += float(np.sum(lag * lag)) / (2.0 * self.alpha)
        gap += float(np.sum(np.abs(theta * (self.B.T @ P))))
        objective = float(np.sum(self.weights * value)) + 0.5 * self.alpha * float(np.sum(a * a))
        return TaskFit(a, theta, P, gap if math.isfinite(gap) else math.inf), objective


@dataclass(frozen=True)
class _Ridge:
    """S = α for all of the neurons."""

    alpha: float
    n_neurons: int

    def schur(self) -> FloatArray:
        return np.full((self.n_neurons, 1, 1), self.alpha)

    def schur_root(self) -> FloatArray:
        return np.full((self.n_neurons, 1, 1), math.sqrt(self.alpha))

    def schur_product(self, dx: FloatArray) -> FloatArray:
        out = np.zeros_like(dx)
        out[: self.n_neurons] = self.alpha * dx[: self.n_neurons]
        return out


def _total(multipliers: FloatArray, room: FloatArray) -> float:
    """Sum of the products with bounds that exist."""
    return float(np.sum(multipliers * np.where(np.isfinite(room), room, 0.0)))
