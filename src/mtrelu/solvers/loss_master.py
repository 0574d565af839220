"""Any convex loss over a fixed set of neurons: a primal-dual interior point method on the dual.

Over fixed neurons with features Φ (N, K) and a basis B (N, q) of the skip functions the problem is

    minimise over V, Θ   Σ_it w_i ℓ(y_it, z_it) + α Σ_k ‖v_k‖₂,     Z = BΘ + ΦV,

and its dual, with c(p) = ℓ*(y, −p) and P = w p, entry by entry,

    minimise over P   Σ_it w_i c(p_it)   subject to   Bᵀ P = 0,   ‖Φ_kᵀ P‖₂ <= α,   lo <= p <= hi.

The dual variable of every label is an unknown, so that kinks need no smoothing. The constraint of a
neuron says that s_k = (α, Φ_kᵀ P) is in a second-order cone, with the multiplier x_k = (e_k, −v_k)
in the same cone; bounds on p have multipliers above and below. The method follows the path on which
all products of slack and multiplier are equal (Nesterov-Todd scaling, Mehrotra's predictor and
corrector). With D = w / (c″(p) + above / (hi − p) + below / (p − lo)) every Newton step solves

    D⁻¹ dP + Φ dV + B dΘ = r₁,     Φ_kᵀ dP − S_k dv_k = r₂,     Bᵀ dP = r₃,

where S_k (T, T) is a multiple of one plus a matrix of rank one: as one positive definite matrix in
dV and dΘ, or in dP where there are fewer samples than neurons.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, lapack

from mtrelu.losses import Loss
from mtrelu.validation import FloatArray

_EPS = float(np.finfo(np.float64).eps)
# How much of the way to the boundary a step goes.
_SHORT = 0.99
# A start near zero would be near the bounds that the logistic loss has there.
_SMALLEST_START = 1e-2
# Steps without a smaller gap before the method gives up: rounding has ended its progress.
_PATIENCE = 10
# Most times that a Newton direction is refined.
_REFINEMENTS = 8
# What is added to a diagonal of ones until a factorisation exists.
_RIDGES = (0.0, 1e-15, 1e-14, 1e-12, 1e-10)


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
        Objective minus dual value of `P`, in units of the objective: a proof of how far the
        objective can be from its minimum over these neurons. Infinite if no `P` was found.
    n_iter : int
        Newton steps taken.
    """

    V: FloatArray
    theta: FloatArray
    P: FloatArray
    gap: float
    n_iter: int


# Overflow and division by zero on the way give a point that is not kept.
@np.errstate(all="ignore")
def fit_fixed_neurons(
    Y: FloatArray,
    weights: FloatArray,
    loss: Loss,
    Phi: FloatArray,
    B: FloatArray,
    alpha: float,
    *,
    tol: float = 1e-6,
    start: FixedFit | None = None,
    max_iter: int = 100,
) -> FixedFit:
    """Minimise Σ w ℓ(Y, BΘ + ΦV) + α Σ_k ‖v_k‖₂ over V and Θ.

    Parameters
    ----------
    Y : ndarray of shape (N, T)
        Labels.
    weights : ndarray of shape (N,)
        Weights of the samples, > 0.
    loss : Loss
        Any loss.
    Phi : ndarray of shape (N, K)
        Features of the neurons; K can be 0, and columns can coincide.
    B : ndarray of shape (N, q)
        Skip functions on the data, orthonormal with respect to the weights.
    alpha : float
        Penalty, > 0.
    tol : float
        Gap, relative to the objective, at which to stop.
    start : FixedFit, optional
        The fit of a similar problem of the same shape, for instance with rows of zeros in V for
        new neurons.
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
    >>> fit = fit_fixed_neurons(Y, one, SquaredLoss(), np.eye(2), np.empty((2, 0)), 1.0, tol=1e-9)
    >>> fit.V.ravel().round(6), fit.P.ravel().round(6)
    (array([2., 0.]), array([1. , 0.5]))
    """
    column = weights[:, np.newaxis]
    shift = np.zeros((B.shape[1], Y.shape[1]))
    if loss.of_residual:  # large offsets then cost no digits
        shift = B.T @ (column * Y)
        Y = Y - B @ shift
    problem = _FixedNeurons(Y, column, loss, Phi, B, alpha)
    point = problem.cold_start() if start is None else problem.warm_start(start, shift)
    best = rest = problem.rest()
    stalled = 0
    n_iter = 0
    for n_iter in range(max_iter + 1):
        newton = problem.linearise(point)
        found = problem.feasible(point, newton)
        stalled = 0 if found.gap < 0.9 * best.gap else stalled + 1
        if found.gap < best.gap:
            best = found
        if best.gap <= problem.allowed(best, tol) or (stalled > _PATIENCE and best.gap < 0.5 * rest.gap) or n_iter == max_iter:
            break
        moved = problem.step(point, newton)
        if moved is None:
            break
        point = moved
    best = problem.without_idle(best, tol)
    return FixedFit(best.V, best.theta + shift, best.P, best.gap, n_iter)


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
    """What the equations of a step need of a point."""

    stationarity: FloatArray
    slope: FloatArray
    D: FloatArray
    room_above: FloatArray
    room_below: FloatArray


class _Scaling:
    """Nesterov-Todd scaling W of many second-order cones: λ = W x = W⁻¹ s.

    W = η [[w₀, w₁ᵀ], [w₁, I + w₁w₁ᵀ / (1 + w₀)]] with w₀² − ‖w₁‖² = 1.
    """

    def __init__(self, s: FloatArray, x: FloatArray) -> None:
        root_s, root_x = _root_of_determinant(s), _root_of_determinant(x)
        s_bar, x_bar = s / root_s, x / root_x
        gamma = np.sqrt(0.5 * (1.0 + np.einsum("kt,kt->k", s_bar, x_bar)))[:, np.newaxis]
        self.eta = np.sqrt(root_s / root_x)
        self.w1 = (s_bar[:, 1:] - x_bar[:, 1:]) / (2.0 * gamma)
        self.norm2 = np.einsum("kt,kt->k", self.w1, self.w1)[:, np.newaxis]
        self.w0 = np.sqrt(1.0 + self.norm2)
        self.root = np.sqrt(root_s * root_x)  # square root of the determinant of λ
        weight_x, weight_s = gamma + s_bar[:, :1], gamma + x_bar[:, :1]
        vector = weight_x * x_bar[:, 1:] + weight_s * s_bar[:, 1:]
        vector /= s_bar[:, :1] + x_bar[:, :1] + 2.0 * gamma
        self.unit = np.hstack([gamma, vector])  # λ over `root`

    def apply(self, a: FloatArray) -> FloatArray:
        """W a."""
        inner = np.einsum("kt,kt->k", self.w1, a[:, 1:])[:, np.newaxis]
        first = self.w0 * a[:, :1] + inner
        rest = a[:, 1:] + (a[:, :1] + inner / (1.0 + self.w0)) * self.w1
        return np.asarray(self.eta * np.hstack([first, rest]))

    def first(self, rho0: FloatArray, dV: FloatArray) -> FloatArray:
        """de from the first row ρ₀ of W² (de, −dv)."""
        inner = np.einsum("kt,kt->k", self.w1, dV)[:, np.newaxis]
        return np.asarray((rho0 / self.eta**2 + 2.0 * self.w0 * inner) / (1.0 + 2.0 * self.norm2))

    def divide(self, a: FloatArray) -> FloatArray:
        """The solution b of λ ∘ b = a, where ∘ is the product of the Jordan algebra."""
        l0, l1 = self.unit[:, :1], self.unit[:, 1:]
        inner = np.einsum("kt,kt->k", l1, a[:, 1:])[:, np.newaxis]
        first = l0 * a[:, :1] - inner  # the determinant of `unit` is 1
        rest = (a[:, 1:] - first * l1) / l0
        return np.asarray(np.hstack([first, rest]) / self.root)

    def longest(self, change: FloatArray) -> float:
        """Largest step from λ along a scaled change that stays in the cones."""
        if not len(change):
            return math.inf
        change = change / self.root
        l0, l1 = self.unit[:, :1], self.unit[:, 1:]
        first = l0 * change[:, :1] - np.einsum("kt,kt->k", l1, change[:, 1:])[:, np.newaxis]
        rest = change[:, 1:] - (first + change[:, :1]) / (1.0 + l0) * l1
        fastest = float(np.max(np.linalg.norm(rest, axis=1) - first[:, 0]))
        return 1.0 / fastest if fastest > 0.0 else math.inf

    def schur(self) -> FloatArray:
        """S = η² (I − 2 w₁w₁ᵀ / (1 + 2 ‖w₁‖²)) (K, T, T): W² without its first row and column."""
        outer = self.w1[:, :, np.newaxis] * self.w1[:, np.newaxis, :]
        outer *= (-2.0 / (1.0 + 2.0 * self.norm2))[:, :, np.newaxis]
        return np.asarray((self.eta**2)[:, :, np.newaxis] * (np.eye(outer.shape[1]) + outer))

    def schur_product(self, dx: FloatArray) -> FloatArray:
        """S dV for the rows of dx that belong to neurons, 0 for those of the skip functions."""
        out = np.zeros_like(dx)
        dV = dx[: len(self.w1)]
        inner = np.einsum("kt,kt->k", self.w1, dV)[:, np.newaxis]
        out[: len(dV)] = self.eta**2 * (dV - 2.0 * inner / (1.0 + 2.0 * self.norm2) * self.w1)
        return out

    def inverse_schur(self) -> FloatArray:
        """S⁻¹ = (I + 2 w₁w₁ᵀ) / η² (K, T, T)."""
        outer = 2.0 * self.w1[:, :, np.newaxis] * self.w1[:, np.newaxis, :]
        return np.asarray((np.eye(outer.shape[1]) + outer) / (self.eta**2)[:, :, np.newaxis])

    def inverse_schur_product(self, a: FloatArray) -> FloatArray:
        """S⁻¹ a for (K, T) a."""
        inner = np.einsum("kt,kt->k", self.w1, a)[:, np.newaxis]
        return np.asarray((a + 2.0 * inner * self.w1) / self.eta**2)


class _FixedNeurons:
    """The problem, with labels (N, T) and weights (N, 1)."""

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
        self.lo, self.hi = np.broadcast_arrays(*loss.dual_bounds(Y))
        self.bounded = bool(np.isfinite(self.lo).any())
        self.n_products = Phi.shape[1] + (2 * Y.size if self.bounded else 0)
        # Functions smaller than this on all data are zero by rounding.
        self.noise = _EPS * float(np.sum(weights * np.abs(loss.value(Y, np.zeros_like(Y)))))

    # --- points ---------------------------------------------------------------------------------

    def cold_start(self) -> _Point:
        """A point inside all cones and bounds, with equal products."""
        lo, hi = self.lo, self.hi
        # Only the squared loss has no bounds: then the best fit of the skip functions alone.
        p = 0.5 * (lo + hi) if self.bounded else self.Y
        u = self.Phi.T @ (self.weights * p)
        largest = float(np.max(np.linalg.norm(u, axis=1), initial=0.0))
        share = 0.9 * min(1.0, self.alpha / largest) if largest > 0.0 else 1.0
        p = p * (max(share, _SMALLEST_START) if self.bounded else share)
        theta = np.zeros((self.B.shape[1], self.Y.shape[1]))
        scale = float(np.sum(self.weights * self.loss.value(self.Y, np.zeros_like(self.Y))))
        mu = scale / max(1, self.n_products)
        return self._centred(p, theta, np.zeros((self.Phi.shape[1], self.Y.shape[1])), mu)

    def warm_start(self, start: FixedFit, shift: FloatArray) -> _Point:
        """The point of another fit, moved inside all cones and bounds."""
        inside = self.cold_start().p
        p = inside + 0.99 * (start.P / self.weights - inside)
        if self.bounded:
            p = np.clip(p, *(inside + 0.999 * (bound - inside) for bound in (self.lo, self.hi)))
        theta = start.theta - shift
        z = self.B @ theta + self.Phi @ start.V
        path = float(np.sum(np.linalg.norm(start.V, axis=1)))
        gap = self._misfit(z, p) + 0.01 * self.alpha * path
        return self._centred(p, theta, start.V, gap / max(1, self.n_products))

    def _centred(self, p: FloatArray, theta: FloatArray, V: FloatArray, mu: float) -> _Point:
        """A point with products of about ``mu``."""
        mu = max(mu, self.noise / max(1, self.n_products), float(np.finfo(np.float64).tiny))
        u = self.Phi.T @ (self.weights * p)
        size = np.linalg.norm(u, axis=1, keepdims=True)
        u *= np.minimum(1.0, 0.9 * self.alpha / np.where(size > 0.0, size, 1.0))
        norms = np.linalg.norm(V, axis=1, keepdims=True)
        e = norms + mu / self.alpha
        unbounded = np.zeros_like(p)
        room_above, room_below = self.hi - p, p - self.lo
        return _Point(
            p=p,
            theta=theta,
            s=np.hstack([np.full((len(u), 1), self.alpha), u]),
            x=np.hstack([e, -V]),
            above=mu / (self.weights * room_above) if self.bounded else unbounded,
            below=mu / (self.weights * room_below) if self.bounded else unbounded,
        )

    def _misfit(self, z: FloatArray, p: FloatArray) -> float:
        """Σ w (ℓ(y, z) + ℓ*(y, −p) + p z), the loss's share of a gap; no term is negative."""
        loss, Y = self.loss, self.Y
        terms = loss.value(Y, z) + loss.conjugate(Y, -p) + p * z
        return float(np.sum(self.weights * np.maximum(terms, 0.0)))

    def gap(self, V: FloatArray, theta: FloatArray, P: FloatArray) -> float:
        """Objective minus dual value, summed from terms that are small where both are optimal."""
        z = self.B @ theta + self.Phi @ V
        along = np.einsum("kt,kt->k", V, self.Phi.T @ P)
        path = self.alpha * np.linalg.norm(V, axis=1) - along
        excess = float(np.sum(np.abs(theta * (self.B.T @ P))))
        return self._misfit(z, P / self.weights) + float(np.sum(np.maximum(path, 0.0))) + excess

    def objective(self, V: FloatArray, theta: FloatArray) -> float:
        z = self.B @ theta + self.Phi @ V
        misfit = float(np.sum(self.weights * self.loss.value(self.Y, z)))
        return misfit + self.alpha * float(np.sum(np.linalg.norm(V, axis=1)))

    def allowed(self, fit: FixedFit, tol: float) -> float:
        """The gap at which a fit is good enough, or as good as rounding lets it be."""
        return max(tol * self.objective(fit.V, fit.theta), self.noise)

    def rest(self) -> FixedFit:
        """The zero function and the zero dual variable: feasible for every problem."""
        n_tasks = self.Y.shape[1]
        V = np.zeros((self.Phi.shape[1], n_tasks))
        theta = np.zeros((self.B.shape[1], n_tasks))
        P = np.zeros_like(self.Y)
        return FixedFit(V, theta, P, self.gap(V, theta, P), 0)

    def feasible(self, point: _Point, newton: _Newton) -> FixedFit:
        """The fit at a point, with its dual variable moved into the constraints."""
        V = -point.x[:, 1:]
        P = self.weights * point.p
        if self.B.shape[1]:
            for _ in range(2):  # the second round removes the rounding of the first
                gram = np.einsum("ni,nt,nj->tij", self.B, newton.D, self.B, optimize=True)
                try:
                    move = np.linalg.solve(gram, (self.B.T @ P).T[:, :, np.newaxis])[:, :, 0].T
                except np.linalg.LinAlgError:
                    break
                P = P - newton.D * (self.B @ move)
        p = P / self.weights
        P[:, np.any((p < self.lo) | (p > self.hi), axis=0)] = 0.0
        largest = float(np.max(np.linalg.norm(self.Phi.T @ P, axis=1), initial=0.0))
        if largest > self.alpha:
            P = P * (self.alpha / largest)
        gap = self.gap(V, point.theta, P)
        return FixedFit(V, point.theta, P, gap if math.isfinite(gap) else math.inf, 0)

    def without_idle(self, fit: FixedFit, tol: float) -> FixedFit:
        """The fit without the neurons that only the interior keeps off zero, if it is as good."""
        norms = np.linalg.norm(fit.V, axis=1)
        slack = 1.0 - np.linalg.norm(self.Phi.T @ fit.P, axis=1) / self.alpha
        idle = norms < slack * np.max(norms, initial=0.0)
        V = np.where(idle[:, np.newaxis], 0.0, fit.V)
        gap = self.gap(V, fit.theta, fit.P)
        good = gap <= max(fit.gap, tol * self.objective(V, fit.theta))
        return FixedFit(V, fit.theta, fit.P, gap, 0) if good else fit

    # --- Newton steps ---------------------------------------------------------------------------

    def linearise(self, point: _Point) -> _Newton:
        fitted, slope = self.loss.dual_fit(self.Y, point.p)
        z = self.B @ point.theta - self.Phi @ point.x[:, 1:]
        room_above, room_below = self.hi - point.p, point.p - self.lo
        if self.bounded:
            slope = slope + point.above / room_above + point.below / room_below
        return _Newton(z - fitted, slope, self.weights / slope, room_above, room_below)

    def step(self, point: _Point, newton: _Newton) -> _Point | None:
        """One predictor and corrector step, or None where rounding allows none."""
        n_neurons = self.Phi.shape[1]
        scaling = _Scaling(point.s, point.x)
        by = _BySamples if len(self.Y) < n_neurons + self.B.shape[1] else _ByNeurons
        try:
            system = by(self.Phi, self.B, newton.D, scaling)
        except np.linalg.LinAlgError:
            return None
        P = self.weights * point.p
        lag = point.s.copy()  # the slack that the cones have too much
        lag[:, :1] -= self.alpha
        lag[:, 1:] -= self.Phi.T @ P
        lam2 = scaling.root**2 * _product(scaling.unit, scaling.unit)
        products = float(np.sum(point.s * point.x))
        if self.bounded:
            products += float(np.sum(self.weights * point.above * newton.room_above))
            products += float(np.sum(self.weights * point.below * newton.room_below))
        mu = products / max(1, self.n_products)
        if not math.isfinite(mu):
            return None
        target = 0.0
        second = np.zeros_like(point.s)
        dp = d_above = d_below = np.zeros_like(point.p)
        for phase in range(2):
            wanted = -lam2 - second
            wanted[:, :1] += target
            g = scaling.divide(wanted)
            rho = lag + scaling.apply(g)
            share = 2.0 * scaling.w0 * rho[:, :1] / (1.0 + 2.0 * scaling.norm2)
            r1 = -newton.stationarity
            if self.bounded:
                goal_above = target / self.weights + d_above * dp
                goal_below = target / self.weights - d_below * dp
                r1 = r1 - goal_above / newton.room_above + goal_below / newton.room_below
            r2 = np.vstack([rho[:, 1:] - share * scaling.w1, -self.B.T @ P])
            dP, dx = system.solve(r1, r2)
            dp, dV, d_theta = dP / self.weights, dx[:n_neurons], dx[n_neurons:]
            d_cone = np.hstack([scaling.first(rho[:, :1], dV), -dV])
            scaled_x = scaling.apply(d_cone)
            scaled_s = g - scaled_x
            longest = min(scaling.longest(scaled_s), scaling.longest(scaled_x))
            if self.bounded:
                d_above = (goal_above + point.above * dp) / newton.room_above - point.above
                d_below = (goal_below - point.below * dp) / newton.room_below - point.below
                for room, change in (
                    (newton.room_above, -dp),
                    (newton.room_below, dp),
                    (point.above, d_above),
                    (point.below, d_below),
                ):
                    longest = min(longest, _longest(room, change))
            if phase == 0:
                reach = min(1.0, longest)
                target = (1.0 - reach) ** 3 * mu
                second = _product(scaled_s, scaled_x)
        step = min(1.0, _SHORT * longest)
        moved = _Point(
            p=point.p + step * dp,
            theta=point.theta + step * d_theta,
            s=point.s + step * scaling.apply(scaled_s),
            x=point.x + step * d_cone,
            above=point.above + step * d_above,
            below=point.below + step * d_below,
        )
        return moved if self._inside(moved) else None

    def _inside(self, point: _Point) -> bool:
        """Whether rounding left a point strictly inside all cones and bounds."""
        cones = np.vstack([point.s, point.x])
        inside = bool(np.all(cones[:, 0] > np.linalg.norm(cones[:, 1:], axis=1)))
        inside &= bool(np.isfinite(point.p).all() and np.isfinite(point.theta).all())
        if self.bounded:
            inside &= bool(np.all((point.p > self.lo) & (point.p < self.hi)))
            inside &= bool(np.all((point.above > 0.0) & (point.below > 0.0)))
        return inside


class _System(ABC):
    """The equations D⁻¹ dP + A dx = r₁, Aᵀ dP − S dx = r₂ with A = (Φ, B); S is zero for B."""

    def __init__(self, Phi: FloatArray, B: FloatArray, D: FloatArray, scaling: _Scaling) -> None:
        self.A = np.hstack([Phi, B])
        self.D = D
        self.scaling = scaling

    @abstractmethod
    def eliminate(self, r1: FloatArray, r2: FloatArray) -> tuple[FloatArray, FloatArray]:
        """dP (N, T) and dx (K + q, T), as accurate as the factors are."""

    def solve(self, r1: FloatArray, r2: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The same, refined while the equations come to hold better."""
        root = np.sqrt(self.D)
        unit = np.sqrt(np.einsum("nk,nt->kt", self.A**2, self.D) + 1.0)
        dP, dx = np.zeros_like(r1), np.zeros_like(r2)
        e1, e2, wrong = r1, r2, math.inf
        for _ in range(_REFINEMENTS):
            more_P, more_x = self.eliminate(e1, e2)
            new_P, new_x = dP + more_P, dx + more_x
            e1 = r1 - new_P / self.D - self.A @ new_x
            e2 = r2 - self.A.T @ new_P + self.scaling.schur_product(new_x)
            now = float(np.linalg.norm(root * e1) + np.linalg.norm(e2 / unit))
            if not now < 0.5 * wrong:
                break
            dP, dx, wrong = new_P, new_x, now
        return dP, dx


class _ByNeurons(_System):
    """Elimination of dP: a matrix of (K + q) T rows."""

    def __init__(self, Phi: FloatArray, B: FloatArray, D: FloatArray, scaling: _Scaling) -> None:
        super().__init__(Phi, B, D, scaling)
        n_tasks, n_columns = D.shape[1], self.A.shape[1]
        blocks = np.zeros((n_columns, n_tasks, n_columns, n_tasks))
        for t in range(n_tasks):
            blocks[:, t, :, t] = self.A.T @ (D[:, t : t + 1] * self.A)
        each = np.arange(Phi.shape[1])
        blocks[each, :, each, :] += scaling.schur()
        self.factor = _Cholesky(blocks.reshape(n_columns * n_tasks, -1))

    def eliminate(self, r1: FloatArray, r2: FloatArray) -> tuple[FloatArray, FloatArray]:
        right = self.A.T @ (self.D * r1) - r2
        dx = self.factor.solve(right.reshape(-1, 1)).reshape(right.shape)
        return self.D * (r1 - self.A @ dx), dx


class _BySamples(_System):
    """Elimination of dx: a matrix of N T rows."""

    def __init__(self, Phi: FloatArray, B: FloatArray, D: FloatArray, scaling: _Scaling) -> None:
        super().__init__(Phi, B, D, scaling)
        (n_samples, n_tasks), n_neurons = D.shape, Phi.shape[1]
        pairs = (Phi[:, np.newaxis, :] * Phi).reshape(-1, n_neurons)
        blocks = pairs @ scaling.inverse_schur().reshape(n_neurons, -1)
        blocks = blocks.reshape(n_samples, n_samples, n_tasks, n_tasks).transpose(0, 2, 1, 3)
        matrix = blocks.reshape(n_samples * n_tasks, -1)
        matrix.flat[:: len(matrix) + 1] += 1.0 / D.ravel()
        self.factor = _Cholesky(matrix)
        self.Phi = Phi
        self.skip = np.kron(B, np.eye(n_tasks))
        self.skip_solved = self.factor.solve(self.skip)
        self.skip_factor = _Cholesky(self.skip.T @ self.skip_solved)

    def eliminate(self, r1: FloatArray, r2: FloatArray) -> tuple[FloatArray, FloatArray]:
        n_neurons = self.Phi.shape[1]
        right = r1 + self.Phi @ self.scaling.inverse_schur_product(r2[:n_neurons])
        free = self.factor.solve(right.reshape(-1, 1))
        lack = self.skip.T @ free - r2[n_neurons:].reshape(-1, 1)
        d_theta = self.skip_factor.solve(lack)
        dP = (free - self.skip_solved @ d_theta).reshape(r1.shape)
        dV = self.scaling.inverse_schur_product(self.Phi.T @ dP - r2[:n_neurons])
        return dP, np.vstack([dV, d_theta.reshape(-1, r1.shape[1])])


class _Cholesky:
    """Factor of a positive definite matrix, made a little more so where rounding spoils it."""

    def __init__(self, matrix: FloatArray) -> None:
        diagonal = matrix.diagonal()
        self.scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
        scaled = self.scale[:, np.newaxis] * matrix * self.scale
        self.lower = np.empty_like(matrix)
        for ridge in _RIDGES:
            scaled.flat[:: len(matrix) + 1] = 1.0 + ridge
            self.lower, failed = lapack.dpotrf(scaled, lower=1) if len(matrix) else (scaled, 0)
            if not failed:
                return
        raise np.linalg.LinAlgError

    def solve(self, right: FloatArray) -> FloatArray:
        """One solution for each column."""
        if not right.size:
            return right
        solved = cho_solve((self.lower, True), self.scale[:, np.newaxis] * right, check_finite=False)
        return np.asarray(self.scale[:, np.newaxis] * solved)


def _root_of_determinant(a: FloatArray) -> FloatArray:
    """√(a₀² − ‖a₁‖²) of every row (K, 1)."""
    size = np.linalg.norm(a[:, 1:], axis=1, keepdims=True)
    return np.asarray(np.sqrt((a[:, :1] - size) * (a[:, :1] + size)))


def _product(a: FloatArray, b: FloatArray) -> FloatArray:
    """a ∘ b of every row: (a·b, a₀ b₁ + b₀ a₁)."""
    first = np.einsum("kt,kt->k", a, b)[:, np.newaxis]
    return np.hstack([first, a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:]])


def _longest(room: FloatArray, change: FloatArray) -> float:
    """Largest step along a change that leaves all room positive."""
    shrinking = change < 0.0
    return float(np.min(-room[shrinking] / change[shrinking], initial=math.inf))
