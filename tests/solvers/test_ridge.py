"""Ridge regression over fixed neurons against CVXPY, exact rational arithmetic and refits."""

import math
import time
import warnings
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import minimize

from mtrelu.losses import HuberLoss, LogisticLoss, Loss, QuantileLoss, SquaredLoss
from mtrelu.solvers._ridge_squared import Rows
from mtrelu.solvers.ridge import RidgeFit, RidgePath, fit_ridge
from mtrelu.validation import InvalidInputError

SQUARED = SquaredLoss()
LOSSES = {
    "squared": SQUARED,
    "huber": HuberLoss(delta=0.4),
    "logistic": LogisticLoss(),
    "quantile": QuantileLoss(quantile=0.3),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def spread(rng, N):
    return 10.0 ** rng.uniform(-2, 2, N)


class Data:
    """Features of random neurons with their lines near data points, and an affine skip."""

    def __init__(self, loss=SQUARED, seed=0, N=20, T=2, K=6, d=2, q=None, weights=None, own=False):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((N, d))
        W = rng.standard_normal((K, d))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        # Every line passes between the samples, so that no neuron is affine on the data.
        offsets = np.diag(np.quantile(X @ W.T, rng.uniform(0.3, 0.7, K), axis=0))
        self.Phi = np.maximum(X @ W.T - offsets, 0.0)
        self.Y = np.sin(2.0 * X @ rng.standard_normal((d, T))) + 0.3 * rng.standard_normal((N, T))
        if loss.name == "logistic":
            self.Y = (self.Y + rng.standard_normal((N, T)) > 0).astype(np.float64)
        self.w = np.ones(N) if weights is None else weights(rng, N)
        self.n = rng.uniform(0.1, 2.0, (K, T) if own else K)
        self.loss = loss
        self.skip(np.column_stack([np.ones(N), X])[:, :q])

    def skip(self, functions):
        root = np.sqrt(self.w)[:, None]
        self.B = np.linalg.qr(root * functions)[0] / root

    def fit(self, alpha, **options):
        return fit_ridge(self.Y, self.w, self.loss, self.Phi, self.B, self.n, alpha, **options)

    def path(self):
        return RidgePath(self.Y, self.w, self.Phi, self.B, self.n)

    def strengths(self):
        shape = (len(self.n), self.Y.shape[1])
        return np.broadcast_to(self.n if self.n.ndim == 2 else self.n[:, None], shape)

    def objective(self, fit, alpha):
        Z = self.B @ fit.theta + self.Phi @ fit.V
        R = self.Y - Z
        terms = {
            "squared": lambda: R**2 / 2,
            "huber": lambda: np.where(np.abs(R) < 0.4, R**2 / 2, 0.4 * np.abs(R) - 0.08),
            "logistic": lambda: np.logaddexp(0.0, Z) - self.Y * Z,
            "quantile": lambda: np.maximum(0.3 * R, -0.7 * R),
        }[self.loss.name]()
        return self.w @ terms.sum(axis=1) + alpha / 2 * self.penalty(fit)

    def penalty(self, fit):
        usable = self.strengths() > 0
        assert not fit.V[~usable].any()
        return np.sum(fit.V[usable] ** 2 / self.strengths()[usable])

    def dual_value(self, fit, alpha):
        """The dual objective in its textbook form; -inf outside its domain."""
        p = fit.P / self.w[:, None]
        if self.loss.name in ("squared", "huber"):
            inside = self.loss.name == "squared" or np.abs(p).max() <= 0.4 * (1 + 1e-15)
            terms = self.Y * p - p**2 / 2
        elif self.loss.name == "quantile":
            inside, terms = p.min() >= -0.7 and p.max() <= 0.3, self.Y * p
        else:
            s = self.Y - p
            inside = s.min() >= 0 and s.max() <= 1
            terms = np.asarray(cp.entr(s).value + cp.entr(1 - s).value)
        norm = np.sum(self.strengths() * (self.Phi.T @ fit.P) ** 2)
        return self.w @ terms.sum(axis=1) - norm / (2 * alpha) if inside else -np.inf

    def optimum(self, alpha):
        """The optimal value by an interior point solver for cone programs."""
        T = self.Y.shape[1]
        # A column of zeros stands in for neurons or skip functions that there are none of.
        none = np.zeros((len(self.Y), 1))
        Phi, B = (part if part.size else none for part in (self.Phi, self.B))
        root = np.sqrt(self.strengths()) if self.Phi.size else np.ones((1, T))
        theta, A = cp.Variable((B.shape[1], T)), cp.Variable((Phi.shape[1], T))
        # With V = √n A the penalty is ‖A‖², and a strength of 0 is a weight of 0.
        Z = B @ theta + Phi @ cp.multiply(root, A)
        R = self.Y - Z
        terms = {
            "squared": lambda: 0.5 * cp.square(R),
            "huber": lambda: 0.5 * cp.huber(R, 0.4),
            "logistic": lambda: cp.logistic(Z) - cp.multiply(self.Y, Z),
            "quantile": lambda: cp.maximum(0.3 * R, -0.7 * R),
        }[self.loss.name]()
        weighted = cp.sum(cp.multiply(np.tile(self.w[:, None], T), terms))
        task = cp.Problem(cp.Minimize(weighted + alpha / 2 * cp.sum_squares(A)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate"
            task.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
        return task.value

    def check_proof(self, fit, alpha):
        """The dual variable is feasible, and the gap is what the two values differ by."""
        rounding = 1e-12 * (np.abs(self.B).T @ np.abs(fit.P)) + 1e-300
        assert np.all(np.abs(self.B.T @ fit.P) <= rounding)
        objective = self.objective(fit, alpha)
        dual = self.dual_value(fit, alpha)
        noise = 1e-13 * (objective + self.w @ (self.Y**2).sum(axis=1))
        assert fit.gap >= 0
        assert fit.gap == pytest.approx(objective - dual, rel=1e-6, abs=noise)
        return objective


# --- every loss ---------------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("alpha", [3.0, 0.03])
def test_agrees_with_a_cone_solver(loss, own, alpha):
    data = Data(loss, 1, own=own)
    fit = data.fit(alpha)
    objective = data.check_proof(fit, alpha)
    assert fit.gap <= 1e-10 * objective
    assert objective == pytest.approx(data.optimum(alpha), rel=1e-7)


NASTY = {
    "unequal weights": dict(weights=spread),
    "more neurons than samples": dict(N=8, K=25, T=3),
    "more neurons than samples, own strengths": dict(N=8, K=25, T=3, own=True),
    "own strengths, few neurons": dict(N=25, K=3, T=3, own=True, weights=spread),
    "more tasks than samples": dict(N=6, T=12, K=9),
    "as many samples as skip functions": dict(N=3, K=4),
    "one sample": dict(N=1, K=2, d=1, q=1),
    "one sample, no skip": dict(N=1, K=2, d=1, q=0),
    "no skip": dict(q=0),
    "constant skip": dict(q=1),
    "no neurons": dict(K=0),
    "no neurons, own strengths": dict(K=0, own=True),
    "neither": dict(K=0, q=0),
}


@every_loss
@pytest.mark.parametrize("case", NASTY.values(), ids=NASTY)
def test_nasty_shapes_agree_with_a_cone_solver(loss, case):
    data = Data(loss, 5, **case)
    fit = data.fit(0.1)
    objective = data.check_proof(fit, 0.1)
    # Labels that the skip functions separate or take leave nothing to be relative to.
    assert objective <= data.optimum(0.1) * (1 + 1e-7) + 1e-7
    assert fit.gap <= 1e-9 * objective + 1e-10 * data.w.sum()


@every_loss
@pytest.mark.parametrize("shape", [dict(), dict(N=8, K=25), dict(own=True)])
@pytest.mark.parametrize("alpha", [1.0, 1e-4])
def test_optimality_conditions(loss, shape, alpha):
    """v = (n/α) Φᵀ P, with the first power of the strengths, and P = −w ∂ℓ/∂z [18]."""
    data = Data(loss, 2, weights=spread, **shape)
    fit = data.fit(alpha, tol=1e-14)
    expected = data.strengths() / alpha * (data.Phi.T @ fit.P)
    assert np.allclose(fit.V, expected, rtol=0, atol=1e-6 * np.abs(fit.V).max())
    if loss.name != "quantile":
        slope = loss.gradient(data.Y, data.B @ fit.theta + data.Phi @ fit.V)
        size = np.abs(fit.P).max()
        assert np.allclose(fit.P, -data.w[:, None] * slope, rtol=0, atol=1e-6 * size)


@every_loss
def test_the_kernel_form(loss):
    """F = κ P / α + Bθ with κ = Σ n φ φ', so that all that matters of the neurons is the kernel."""
    data = Data(loss, 3, N=10, K=25)
    fit = data.fit(0.05, tol=1e-14)
    gram = (data.Phi * data.n) @ data.Phi.T
    F = gram @ fit.P / 0.05 + data.B @ fit.theta
    assert np.allclose(data.B @ fit.theta + data.Phi @ fit.V, F, rtol=0, atol=1e-6)
    # Other neurons with the same kernel, as many as samples, of strength one.
    values, vectors = np.linalg.eigh(gram)
    data.Phi, data.n = vectors * np.sqrt(np.maximum(values, 0)), np.ones(10)
    other = data.fit(0.05, tol=1e-14)
    assert np.allclose(data.B @ other.theta + data.Phi @ other.V, F, rtol=0, atol=1e-6)


@every_loss
def test_weights_count_as_repeated_samples(loss):
    data = Data(loss, 4, weights=lambda rng, N: rng.integers(1, 4, N).astype(float))
    once = data.fit(0.1, tol=1e-14)
    rows = np.repeat(np.arange(20), data.w.astype(int))
    data.Y, data.Phi, data.B, data.w = (
        data.Y[rows],
        data.Phi[rows],
        data.B[rows],
        np.ones(len(rows)),
    )
    again = data.fit(0.1, tol=1e-14)
    assert np.allclose(again.V, once.V, rtol=0, atol=1e-6)
    assert np.allclose(again.theta, once.theta, rtol=0, atol=1e-6)


@every_loss
@pytest.mark.parametrize("own", [False, True])
def test_a_sample_of_no_weight_counts_for_nothing(loss, own):
    data = Data(loss, 6, own=own)
    fit = data.fit(0.1)
    Y, w = np.vstack([data.Y, np.ones((1, 2))]), np.append(data.w, 0.0)
    Phi, B = (np.vstack([A, np.full((1, A.shape[1]), 3.0)]) for A in (data.Phi, data.B))
    more = fit_ridge(Y, w, loss, Phi, B, data.n, 0.1)
    assert np.array_equal(more.V, fit.V) and np.array_equal(more.theta, fit.theta)
    assert not more.P[-1].any() and np.array_equal(more.P[:-1], fit.P)


@every_loss
@pytest.mark.parametrize("own", [False, True])
def test_a_strength_of_zero_removes_the_neuron(loss, own):
    data = Data(loss, 7, own=own)
    data.n[2] = 0.0
    fit = data.fit(0.1)
    assert not fit.V[2].any()
    kept = np.arange(6) != 2
    alone = fit_ridge(data.Y, data.w, loss, data.Phi[:, kept], data.B, data.n[kept], 0.1)
    assert np.allclose(fit.V[kept], alone.V, rtol=0, atol=1e-9)
    none = fit_ridge(data.Y, data.w, loss, data.Phi, data.B, 0.0 * data.n, 0.1)
    assert not none.V.any()


@every_loss
@pytest.mark.parametrize("K", [5, 40])
def test_tasks_do_not_see_each_other(loss, K):
    data = Data(loss, 8, N=15, K=K, T=3, own=True)
    fit = data.fit(0.1, tol=1e-13)
    for t in range(3):
        parts = (data.Phi, data.B, data.n[:, t], 0.1)
        alone = fit_ridge(data.Y[:, [t]], data.w, loss, *parts, tol=1e-13)
        assert np.allclose(fit.V[:, [t]], alone.V, rtol=0, atol=1e-12)
        assert np.allclose(fit.P[:, [t]], alone.P, rtol=0, atol=1e-12)


@every_loss
def test_neurons_that_coincide_share_their_strengths(loss):
    data = Data(loss, 9)
    once = data.fit(0.1, tol=1e-14)
    data.Phi = np.hstack([data.Phi, data.Phi])
    data.n = np.concatenate([0.25 * data.n, 0.75 * data.n])
    twice = data.fit(0.1, tol=1e-14)
    assert np.allclose(twice.V, np.vstack([0.25 * once.V, 0.75 * once.V]), rtol=0, atol=1e-6)


@every_loss
@pytest.mark.parametrize("size", [1e-12, 1e-8, 1e8])
@pytest.mark.parametrize("K", [6, 40])
def test_extreme_penalties(loss, size, K):
    data = Data(loss, 10, N=15, K=K, weights=spread)
    alpha = size * data.path().alpha_scale
    fit = data.fit(alpha)
    objective = data.check_proof(fit, alpha)
    noise = 1e-14 * data.w @ (data.Y**2).sum(axis=1)
    assert fit.gap <= 1e-9 * objective + noise
    if size == 1e8:
        assert np.abs(fit.V).max() < 1e-5


@every_loss
@pytest.mark.parametrize("K", [6, 40])
def test_strengths_of_very_different_sizes(loss, K):
    data = Data(loss, 11, N=15, K=K, own=True)
    data.n = 10.0 ** np.linspace(-12, 0, 2 * K).reshape(2, K).T
    fit = data.fit(1e-3)
    objective = data.check_proof(fit, 1e-3)
    assert fit.gap <= 1e-10 * objective
    assert objective <= data.optimum(1e-3) * (1 + 1e-6)


@every_loss
@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_of_weights_and_penalty(loss, unit):
    data = Data(loss, 12)
    expected = data.fit(0.1, tol=1e-14)
    data.w, data.B = unit * data.w, data.B / math.sqrt(unit)
    fit = data.fit(0.1 * unit, tol=1e-14)
    assert np.allclose(fit.V, expected.V, rtol=0, atol=1e-7)
    assert fit.gap <= 1e-12 * data.objective(fit, 0.1 * unit)


@pytest.mark.parametrize("name", ["squared", "huber", "quantile"])
@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_an_offset_of_the_labels_costs_no_more_digits_than_the_labels_lose(name, offset):
    data = Data(LOSSES[name], 13)
    before = data.fit(0.1, tol=1e-13)
    data.Y = data.Y + offset
    fit = data.fit(0.1, tol=1e-13)
    assert np.allclose(fit.V, before.V, rtol=0, atol=1e-12 * offset + 1e-6)
    assert fit.gap <= 1e-10 + 1e-15 * offset


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("unit", [1e-100, 1e100, 1e145])
def test_unit_of_the_labels(unit, own):
    # Powers of the unit that cancel in the gap may not overflow on the way.
    data = Data(own=own)
    expected = data.fit(0.1)
    data.Y, data.n = unit * data.Y, unit * data.n
    fit = data.fit(0.1 * unit)
    np.testing.assert_allclose(fit.V / unit, expected.V, rtol=1e-9, atol=1e-12)
    assert fit.gap / unit <= 1e-13 * unit


@every_loss
@pytest.mark.parametrize("K", [6, 40])
def test_the_gap_is_honest_however_early_it_stops(loss, K):
    data = Data(loss, 17, K=K)
    for tol in (10.0, 0.3, 1e-2, 1e-4):
        fit = data.fit(0.05, tol=tol)
        assert fit.gap <= tol * data.check_proof(fit, 0.05)


def test_classes_that_the_skip_functions_separate_are_told_by_the_gap():
    data = Data(LOSSES["logistic"], 14)
    noisy = data.fit(0.1)
    data.Y = np.column_stack([data.Y, data.B[:, 1] > 0])  # no minimum: its loss falls for ever
    fit = data.fit(0.1)
    assert np.array_equal(fit.V[:, :2], noisy.V)
    assert fit.gap >= data.objective(fit, 0.1) - data.dual_value(fit, 0.1) - 1e-12
    assert not fit.P[:, 2].any() and fit.gap < 1e-3


@every_loss
def test_many_tasks_take_little_time(loss):
    data = Data(loss, 15, N=8, T=200, K=20, own=True)
    start = time.perf_counter()
    fit = data.fit(1e-3)
    assert time.perf_counter() - start < 10  # about 1 s where nothing else runs
    assert fit.gap <= 1e-9 * data.objective(fit, 1e-3)


@dataclass(frozen=True)
class ExpectileLoss(Loss):
    """Squares of residuals, those below weighted less: a loss without dual bounds."""

    name: ClassVar[str] = "expectile"
    smoothness: ClassVar[float] = 1.6
    strictly_convex: ClassVar[bool] = True
    piecewise_quadratic: ClassVar[bool] = False
    of_residual: ClassVar[bool] = True

    def _rate(self, sign):
        return np.where(np.asarray(sign) > 0, 1.6, 0.4)

    def value(self, y, z):
        return 0.5 * self._rate(y - z) * (y - z) ** 2

    def gradient(self, y, z):
        return -self._rate(y - z) * (y - z)

    def conjugate(self, y, q):
        return q * y + 0.5 * q * q / self._rate(-q)

    def dual_bounds(self, y):
        return np.full(np.shape(y), -np.inf), np.full(np.shape(y), np.inf)

    def dual_fit(self, y, p):
        return y - p / self._rate(p), 1.0 / self._rate(p)


@dataclass(frozen=True)
class PoissonLoss(Loss):
    """Counts with a log link, ℓ = eᶻ − yz: a dual variable with one bound, p < y."""

    name: ClassVar[str] = "poisson"
    smoothness: ClassVar[float] = math.inf
    strictly_convex: ClassVar[bool] = True
    piecewise_quadratic: ClassVar[bool] = False
    of_residual: ClassVar[bool] = False

    def value(self, y, z):
        return np.exp(z) - y * z

    def gradient(self, y, z):
        return np.exp(z) - y

    def conjugate(self, y, q):
        rate = np.maximum(y + q, 0.0)
        return np.where(y + q < 0, np.inf, rate * np.log(np.where(rate > 0, rate, 1.0)) - rate)

    def dual_bounds(self, y):
        return np.full(np.shape(y), -np.inf), np.asarray(y, dtype=np.float64)

    def dual_fit(self, y, p):
        return np.log(y - p), 1.0 / (y - p)


@dataclass(frozen=True)
class LinexLoss(Loss):
    """ℓ = eʳ − r − 1 with r = z − y: linear on one side, with the bound p < 1."""

    name: ClassVar[str] = "linex"
    smoothness: ClassVar[float] = math.inf
    strictly_convex: ClassVar[bool] = True
    piecewise_quadratic: ClassVar[bool] = False
    of_residual: ClassVar[bool] = False  # so that nothing shifts the labels

    def value(self, y, z):
        return np.expm1(z - y) - (z - y)

    def gradient(self, y, z):
        return np.expm1(z - y)

    def conjugate(self, y, q):
        rate = np.maximum(1.0 + q, 0.0)
        value = q * y + rate * np.log(np.where(rate > 0, rate, 1.0)) - q
        return np.where(q < -1.0, np.inf, value)

    def dual_bounds(self, y):
        return np.full(np.shape(y), -np.inf), np.ones(np.shape(y))

    def dual_fit(self, y, p):
        return y + np.log1p(-p), 1.0 / (1.0 - p)


OTHER_LOSSES = {"expectile": ExpectileLoss(), "poisson": PoissonLoss(), "linex": LinexLoss()}


@pytest.mark.parametrize("loss", OTHER_LOSSES.values(), ids=OTHER_LOSSES)
@pytest.mark.parametrize("alpha", [1.0, 1e-3])
def test_losses_of_other_people(loss, alpha):
    data = Data(loss, 16, N=25, K=4)
    if loss.name == "poisson":
        data.Y = np.random.default_rng(0).poisson(np.exp(data.Y)).astype(np.float64)
    if loss.name == "linex":
        data.Y += 60.0  # where the prediction zero has a dual variable on the bound
    fit = data.fit(alpha)
    assert fit.gap <= 1e-9
    for t in range(2):
        y, n, K = data.Y[:, t], data.n, 4

        def value(u, y=y, n=n, K=K):
            z = data.Phi @ u[:K] + data.B @ u[K:]
            return np.sum(loss.value(y, z)) + alpha / 2 * np.sum(u[:K] ** 2 / n)

        ours = value(np.concatenate([fit.V[:, t], fit.theta[:, t]]))
        start = np.concatenate([np.zeros(K), data.B.T @ y if loss.name == "linex" else np.zeros(3)])
        best = minimize(value, start, method="BFGS", options=dict(gtol=1e-7)).fun
        assert ours == pytest.approx(best, rel=1e-8)


# --- the squared loss ---------------------------------------------------------------------------


def exact_weights(data, alpha):
    """V by exact rational arithmetic on the kernel's linear system, rounded at the end."""
    rational = np.vectorize(Fraction, otypes=[object])
    n, q = rational(data.n), data.B.shape[1]
    Phi, B, Y = (rational(A) if A.size else A for A in (data.Phi, data.B, data.Y))
    N = len(Y)
    M = np.full((N + q, N + q + Y.shape[1]), Fraction(0), dtype=object)
    M[:N, :N] = (Phi * n) @ Phi.T
    M[range(N), range(N)] += Fraction(alpha) / rational(data.w)
    M[:N, N : N + q], M[N : N + q, :N], M[:N, N + q :] = B, B.T, Y
    for i in range(N + q):
        pivot = next(k for k in range(i, N + q) if M[k, i] != 0)
        M[[i, pivot]] = M[[pivot, i]]
        M[i] = M[i] / M[i, i]
        for k in range(N + q):
            if k != i and M[k, i] != 0:
                M[k] = M[k] - M[k, i] * M[i]
    return (n[:, None] * (Phi.T @ M[:N, N + q :])).astype(np.float64)


@pytest.mark.parametrize("K", [3, 20])
@pytest.mark.parametrize("decades", [0, 12])
@pytest.mark.parametrize("size", [1.0, 1e-6, 1e-12])
def test_all_digits_of_the_weights(K, decades, size):
    for seed in range(2):
        data = Data(seed=seed, N=8, K=K, weights=spread if seed else None)
        data.n = 10.0 ** np.random.default_rng(seed).uniform(-decades, 0, K)
        alpha = size * data.path().alpha_scale
        expected = exact_weights(data, alpha)
        fit = data.fit(alpha)
        assert np.abs(fit.V - expected).max() <= 1e-12 * np.abs(expected).max()
        own = fit_ridge(data.Y, data.w, SQUARED, data.Phi, data.B, data.strengths(), alpha)
        assert np.abs(own.V - expected).max() <= 1e-12 * np.abs(expected).max()
        # A loss that is square where it matters, by the interior point method.
        huber = fit_ridge(data.Y, data.w, HuberLoss(1e4), data.Phi, data.B, data.n, alpha, tol=0.0)
        assert np.abs(huber.V - expected).max() <= 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("size", [1e-6, 1e-12])
def test_the_digits_of_every_neuron_however_weak(size):
    """A decomposition that is accurate for the whole matrix only would have 6 digits here."""
    for seed in range(2):
        data = Data(seed=seed, N=8, K=20)
        data.n = 10.0 ** np.random.default_rng(seed).uniform(-24, 0, 20)
        alpha = size * data.path().alpha_scale
        expected = exact_weights(data, alpha)
        largest = np.abs(expected).max(axis=1, keepdims=True)
        assert np.all(np.abs(data.fit(alpha).V - expected) <= 1e-10 * largest)


@pytest.mark.parametrize("own", [False, True])
def test_the_gap_of_weights_that_are_not_optimal(own):
    data = Data(own=own, weights=spread)
    rng = np.random.default_rng(0)
    rows = Rows(data.Y, data.w, data.Phi, data.B)
    V, core = rng.standard_normal((6, 2)), rng.standard_normal(rows.core_labels.shape)
    fit = RidgeFit(*rows.assemble(V, core, data.n, 0.3))
    assert np.array_equal(fit.V, V) and fit.gap > 1
    data.check_proof(fit, 0.3)


def test_the_gap_is_far_below_the_objective_however_small_it_is():
    data = Data(N=8, K=20)
    for size in (1.0, 1e-6, 1e-12):
        alpha = size * data.path().alpha_scale
        fit = data.fit(alpha)
        assert fit.gap <= 1e-14 * data.check_proof(fit, alpha)


def test_a_path_is_its_fits():
    data = Data(seed=3, weights=spread)
    path = data.path()
    for alpha in (0.0, 1e-8, 0.1, 100.0):
        if alpha == 0.0:
            data.Phi, data.n = np.hstack([data.Phi, np.eye(20)]), np.ones(26)
            path = data.path()
        fit, again = path.fit(alpha), data.fit(alpha)
        for name in ("V", "theta", "P", "gap"):
            assert np.array_equal(getattr(fit, name), getattr(again, name))


def test_the_scale_of_the_penalty_is_the_largest_eigenvalue_of_the_kernel_off_the_skip():
    data = Data(weights=spread)
    root = np.sqrt(data.w)[:, None]
    off = np.eye(20) - (root * data.B) @ (root * data.B).T
    gram = off @ (root * ((data.Phi * data.n) @ data.Phi.T) * root.T) @ off
    assert data.path().alpha_scale == pytest.approx(np.linalg.eigvalsh(gram)[-1], rel=1e-12)
    assert Data(K=0).path().alpha_scale == 0.0


def test_neurons_that_are_skip_functions_on_the_data_get_no_weight():
    data = Data(N=8, K=5)
    x = np.linspace(1, 2, 8)
    data.skip(np.column_stack([np.ones(8), x]))
    data.Phi[:, 1] = 0.7 * x + 0.1
    for alpha in (1e-14, 1.0):  # rounding of the feature alone would be worth 1e-16 / alpha
        assert np.abs(data.fit(alpha).V[1]).max() <= 1e-12


# --- no penalty ---------------------------------------------------------------------------------


def least_norm(data):
    """The interpolant of least Σ v²/n, by a pseudo-inverse off the skip functions."""
    off = np.eye(len(data.Y)) - data.B @ np.linalg.pinv(data.B)
    root = np.sqrt(data.n)[:, None]
    return root * (np.linalg.pinv(off @ (data.Phi * root.T), rcond=1e-12) @ off @ data.Y)


@every_loss
@pytest.mark.parametrize("own", [False, True])
def test_no_penalty_gives_the_interpolant_of_least_norm(loss, own):
    data = Data(loss, 1, N=8, K=25)
    expected = least_norm(data)
    data.n = data.strengths() if own else data.n
    fit = data.fit(0.0)
    assert np.allclose(fit.V, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    assert np.allclose(data.B @ fit.theta + data.Phi @ fit.V, data.Y, rtol=0, atol=1e-12)
    assert fit.gap <= 1e-24 and not fit.P.any()
    near = Data(SQUARED, 1, N=8, K=25)
    near.Y, near.n = data.Y, data.n
    limit = near.fit(1e-13).V
    assert np.allclose(fit.V, limit, rtol=0, atol=1e-7 * np.abs(limit).max())


def test_a_singular_kernel_without_penalty():
    data = Data(seed=2, N=8, K=3)
    data.Phi = np.hstack([data.Phi, data.Phi, data.Phi[:, :1] + data.B[:, :1]])
    data.n = np.random.default_rng(0).uniform(0.5, 1, 7)
    data.Y = data.Phi @ np.random.default_rng(1).standard_normal((7, 2)) + 3 * data.B[:, :2]
    fit = data.fit(0.0)
    expected = least_norm(data)
    assert np.allclose(fit.V, expected, rtol=0, atol=1e-11)
    assert np.allclose(data.B @ fit.theta + data.Phi @ fit.V, data.Y, rtol=0, atol=1e-12)


@every_loss
@pytest.mark.parametrize("own", [False, True])
def test_labels_that_the_neurons_cannot_take(loss, own):
    data = Data(loss, 3, own=own)
    with pytest.raises(InvalidInputError, match=r"cannot take the labels.*residual of .*row \d+"):
        data.fit(0.0)
    if not own:
        with pytest.raises(InvalidInputError, match="alpha is 0"):
            data.path().fit(0.0)
        with pytest.raises(InvalidInputError, match="alpha is 0"):
            data.path().leave_one_out([0.0])


def test_a_small_contradiction_is_named():
    data = Data(seed=4, N=10, K=30, T=3)
    for A in (data.Y, data.Phi, data.B):
        A[1] = A[0]
    assert data.fit(0.0).gap < 1e-20
    data.Y[1, 2] += 1e-6
    with pytest.raises(InvalidInputError, match=r"residual of -?5e-07 .*row [01], task 2"):
        data.fit(0.0)
    data.Y = data.Y[:, 2:]
    with pytest.raises(InvalidInputError, match=r"residual of -?5e-07 .*\(row [01]\)"):
        data.fit(0.0)


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e12])
def test_a_contradiction_is_measured_without_what_the_skip_functions_fit(offset):
    data = Data(seed=4, N=10, K=3)
    data.Y = data.Y + offset
    with pytest.raises(InvalidInputError, match="cannot take the labels"):
        data.fit(0.0)
    V = np.random.default_rng(0).standard_normal((3, 2))
    data.Y = data.Phi @ V + offset
    assert np.abs(data.fit(0.0).V - V).max() < 1e-9 + 1e-14 * abs(offset)


# --- leave-one-out ------------------------------------------------------------------------------


def refitted(data, alpha):
    """Every label minus what a fit to the other samples predicts for it."""
    residuals = np.empty_like(data.Y)
    for i in range(len(data.Y)):
        others = np.arange(len(data.Y)) != i
        root = np.sqrt(data.w[others])[:, None]
        B, R = np.linalg.qr(root * data.B[others])
        fit = fit_ridge(
            data.Y[others], data.w[others], SQUARED, data.Phi[others], B / root, data.n, alpha
        )
        own = np.linalg.solve(R.T, data.B[i]) if R.size else np.zeros(0)
        residuals[i] = data.Y[i] - own @ fit.theta - data.Phi[i] @ fit.V
    return residuals


LEFT_OUT = {
    "few neurons": dict(N=15, K=4),
    "weights": dict(N=15, K=4, weights=spread),
    "many neurons": dict(N=9, K=30),
    "many neurons, weights": dict(N=9, K=30, weights=spread),
    "no skip": dict(N=9, K=4, q=0),
    "no neurons": dict(N=9, K=0),
    "neither": dict(N=5, K=0, q=0),
}


@pytest.mark.parametrize("case", LEFT_OUT.values(), ids=LEFT_OUT)
def test_leave_one_out_against_refits(case):
    data = Data(seed=1, **case)
    alphas = [10.0, 0.1, 1e-4, 1e-9]
    residuals = data.path().leave_one_out(alphas)
    assert residuals.shape == (4, *data.Y.shape)
    for found, alpha in zip(residuals, alphas, strict=True):
        expected = refitted(data, alpha)
        assert np.allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_leave_one_out_without_penalty():
    data = Data(seed=2, N=8, K=30)
    expected = refitted(data, 0.0)
    found = data.path().leave_one_out([0.0])[0]
    assert np.allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    # Two equal samples determine each other, and the others do not.
    for A in (data.Y, data.Phi, data.B):
        A[1] = A[0]
    expected = refitted(data, 0.0)
    found = data.path().leave_one_out([0.0])[0]
    assert np.abs(found[:2]).max() < 1e-12
    assert np.allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("K", [3, 30])
def test_leave_one_out_of_a_sample_far_away(K):
    """Its leverage is nearly one: a difference 1 − h would have lost all digits."""
    data = Data(seed=3, N=14, K=K)
    data.Phi[0, :] *= 1e7
    data.Phi[:, 0] = np.where(np.arange(14) == 0, 1e7, 0.0)  # this neuron is the sample's own
    alphas = [1e-3, 1e3]
    for found, alpha in zip(data.path().leave_one_out(alphas), alphas, strict=True):
        expected = refitted(data, alpha)
        assert np.allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("K", [2, 30])
def test_leave_one_out_where_a_sample_alone_determines_a_skip_function(K):
    data = Data(seed=4, N=10, K=K)
    alone = np.zeros(10)
    alone[4] = 1.0
    data.skip(np.column_stack([np.ones(10), alone]))
    found = data.path().leave_one_out([0.1, 1e-6])
    assert np.isnan(found[:, 4]).all() and np.isfinite(np.delete(found, 4, axis=1)).all()
    assert np.isnan(Data(N=3, K=K).path().leave_one_out([0.1])).all()


def test_leave_one_out_of_a_sample_of_no_weight_is_its_residual():
    data = Data(seed=5, N=12)
    kept = data.path().leave_one_out([0.1])[0]
    Y, w = np.vstack([np.ones((1, 2)), data.Y]), np.append(0.0, data.w)
    Phi, B = (np.vstack([np.full((1, A.shape[1]), 2.0), A]) for A in (data.Phi, data.B))
    path = RidgePath(Y, w, Phi, B, data.n)
    found, fit = path.leave_one_out([0.1])[0], path.fit(0.1)
    assert np.allclose(found[1:], kept, rtol=0, atol=1e-13)
    assert np.allclose(found[0], 1 - 2 * fit.theta.sum(axis=0) - 2 * fit.V.sum(axis=0))


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -1.0])
def test_strengths_that_are_none(wrong):
    data = Data()
    data.n[3] = wrong
    with pytest.raises(InvalidInputError, match=rf"strengths has the entry {wrong}.*>= 0"):
        data.fit(0.1)
    with pytest.raises(InvalidInputError, match="strengths has the entry"):
        data.path()


def test_strengths_of_the_wrong_shape():
    data = Data(T=3)
    for shape in ((5,), (6, 2), (3, 6), (1, 6)):
        data.n = np.ones(shape)
        with pytest.raises(InvalidInputError, match=r"pass shape \(6,\) or \(6, 3\)"):
            data.fit(0.1)
    data.n = np.ones((6, 3))
    with pytest.raises(InvalidInputError, match=r"all tasks share; pass shape \(6,\)"):
        data.path()
