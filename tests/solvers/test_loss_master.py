"""Fixed neurons under any loss against CVXPY, closed forms and extreme data."""

import time
import warnings

import cvxpy as cp
import numpy as np
import pytest

from mtrelu.losses import HuberLoss, LogisticLoss, QuantileLoss, SquaredLoss
from mtrelu.solvers.loss_master import fit_fixed_neurons

LOSSES = {
    "squared": SquaredLoss(),
    "huber": HuberLoss(delta=0.4),
    "logistic": LogisticLoss(),
    "quantile": QuantileLoss(quantile=0.3),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


class Data:
    """Features of random neurons with their lines through data points, and an affine skip."""

    def __init__(self, loss, seed=0, N=30, T=2, K=8, d=2, weights=None):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((N, d))
        W = rng.standard_normal((K, d))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        offsets = np.sum(X[rng.integers(0, N, K)] * W, axis=1)
        self.Phi = np.maximum(X @ W.T - offsets, 0.0)
        smooth = np.sin(2.0 * X @ rng.standard_normal((d, T)))
        self.Y = smooth + 0.3 * rng.standard_normal((N, T))
        if loss.name == "logistic":
            self.Y = (self.Y > 0).astype(np.float64)
        self.w = np.ones(N) if weights is None else weights(rng, N)
        self.loss = loss
        self.skip(np.column_stack([np.ones(N), X]))

    def skip(self, functions):
        root = np.sqrt(self.w)[:, None]
        self.B = np.linalg.qr(root * functions)[0] / root
        return self

    def fit(self, alpha, gap=0.0, **options):
        return fit_fixed_neurons(
            self.Y, self.w, self.loss, self.Phi, self.B, alpha, gap=gap, **options
        )

    def largest_alpha(self):
        """Above it no neuron is used: the largest ‖Φᵀ P‖ of the skip functions alone."""
        none = self.Phi[:, :0]
        alone = fit_fixed_neurons(self.Y, self.w, self.loss, none, self.B, 1.0, gap=0.0)
        return np.linalg.norm(self.Phi.T @ alone.P, axis=1).max()

    def objective(self, fit, alpha):
        Z = self.B @ fit.theta + self.Phi @ fit.V
        R = self.Y - Z
        terms = {
            "squared": lambda: R**2 / 2,
            "huber": lambda: np.where(np.abs(R) < 0.4, R**2 / 2, 0.4 * np.abs(R) - 0.08),
            "logistic": lambda: np.logaddexp(0.0, Z) - self.Y * Z,
            "quantile": lambda: np.maximum(0.3 * R, -0.7 * R),
        }[self.loss.name]()
        return self.w @ terms.sum(axis=1) + alpha * np.linalg.norm(fit.V, axis=1).sum()

    def dual_value(self, fit):
        """The dual objective in its textbook form; -inf outside its domain."""
        p = fit.P / self.w[:, None]
        if self.loss.name in ("squared", "huber"):
            if self.loss.name == "huber" and np.abs(p).max() > 0.4 * (1 + 1e-15):
                return -np.inf
            terms = self.Y * p - p**2 / 2
        elif self.loss.name == "quantile":
            if p.min() < -0.7 or p.max() > 0.3:
                return -np.inf
            terms = self.Y * p
        else:
            s = self.Y - p
            if s.min() < 0 or s.max() > 1:
                return -np.inf
            entropy = -cp.entr(s).value - cp.entr(1 - s).value
            terms = -np.asarray(entropy)
        return self.w @ terms.sum(axis=1)

    def optimum(self, alpha):
        """The optimal value by an interior point solver for cone programs."""
        T = self.Y.shape[1]
        theta, V = cp.Variable((self.B.shape[1], T)), cp.Variable((self.Phi.shape[1], T))
        Z = self.B @ theta + self.Phi @ V
        R = self.Y - Z
        terms = {
            "squared": lambda: 0.5 * cp.square(R),
            "huber": lambda: 0.5 * cp.huber(R, 0.4),
            "logistic": lambda: cp.logistic(Z) - cp.multiply(self.Y, Z),
            "quantile": lambda: cp.maximum(0.3 * R, -0.7 * R),
        }[self.loss.name]()
        weighted = cp.sum(cp.multiply(np.tile(self.w[:, None], T), terms))
        task = cp.Problem(cp.Minimize(weighted + alpha * cp.sum(cp.norm(V, 2, axis=1))))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate"
            task.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
        return task.value

    def check_proof(self, fit, alpha):
        """The dual variable is feasible, and the gap is what the two values differ by."""
        assert np.isfinite(fit.V).all() and np.isfinite(fit.theta).all()
        rounding = 1e-14 * np.linalg.norm(np.abs(self.Phi).T @ np.abs(fit.P), axis=1)
        assert np.all(np.linalg.norm(self.Phi.T @ fit.P, axis=1) <= alpha + rounding)
        rounding = 1e-12 * (np.abs(self.B).T @ np.abs(fit.P)) + 1e-300
        assert np.all(np.abs(self.B.T @ fit.P) <= rounding)
        objective = self.objective(fit, alpha)
        noise = 1e-12 * (objective + self.w @ (self.Y**2).sum(axis=1))
        dual = self.dual_value(fit)
        assert np.isfinite(dual)
        assert fit.gap == pytest.approx(objective - dual, rel=1e-6, abs=noise)
        return objective


@every_loss
@pytest.mark.parametrize("fraction", [0.5, 0.05, 1e-3])
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_a_cone_solver(loss, fraction, seed):
    data = Data(loss, seed)
    alpha = fraction * data.largest_alpha()
    fit = data.fit(alpha)
    objective = data.check_proof(fit, alpha)
    assert fit.gap <= 1e-8 * objective
    assert fit.n_iter <= 30
    assert objective == pytest.approx(data.optimum(alpha), rel=1e-6)


def spread(rng, N):
    return 10.0 ** rng.uniform(-3, 3, N)


NASTY = {
    "unequal weights": dict(weights=spread),
    "more neurons than samples": dict(N=12, K=40, T=3),
    "one task": dict(T=1),
    "more tasks than samples": dict(N=8, T=20, K=12),
    "as many samples as skip functions": dict(N=3, K=4),
    "one sample": dict(N=1, K=2, d=1),
}


@every_loss
@pytest.mark.parametrize("case", NASTY.values(), ids=NASTY)
def test_nasty_shapes_agree_with_a_cone_solver(loss, case):
    data = Data(loss, 5, **case)
    for alpha in (0.3, 0.003):
        fit = data.fit(alpha)
        objective = data.check_proof(fit, alpha)
        # Labels that the skip functions alone can fit leave nothing to be relative to.
        assert objective <= data.optimum(alpha) * (1 + 1e-6) + 1e-6
        assert fit.gap <= 1e-7 * objective + 1e-10 * data.w.sum() * data.Y.shape[1]


@every_loss
@pytest.mark.parametrize("noise", [0.0, 1e-12, 1e-9, 1e-6])
def test_neurons_that_nearly_coincide_change_nothing(loss, noise):
    rng = np.random.default_rng(3)
    data = Data(loss, 3)
    alpha = 0.05 * data.largest_alpha()
    alone = data.objective(data.fit(alpha), alpha)
    data.Phi = np.hstack([data.Phi, data.Phi, data.Phi[:, :3]])
    data.Phi[:, 8:] *= 1 + noise * rng.standard_normal(data.Phi[:, 8:].shape)
    fit = data.fit(alpha)
    objective = data.check_proof(fit, alpha)
    assert fit.gap <= 1e-6 * objective
    assert objective == pytest.approx(alone, rel=1e-6 + 100 * noise)


@every_loss
@pytest.mark.parametrize("seed", [0, 1])
def test_features_that_depend_on_the_skip_functions(loss, seed):
    """On a line a neuron less its mirror image is affine; the penalty alone makes V unique."""
    data = Data(loss, seed, N=51, T=4, K=20, d=1, weights=spread)
    assert np.linalg.matrix_rank(np.hstack([data.Phi, data.B]), tol=1e-9) < 22
    for alpha in (0.1, 1e-3, 1e-4):
        fit = data.fit(alpha)
        objective = data.check_proof(fit, alpha)
        assert fit.gap <= 1e-6 * objective


@every_loss
@pytest.mark.parametrize("fraction", [1e-4, 1e-6])
def test_tiny_penalties(loss, fraction):
    for data in (Data(loss, 1), Data(loss, 1, N=15, K=30, T=3), Data(loss, 1, weights=spread)):
        alpha = fraction * data.largest_alpha()
        fit = data.fit(alpha)
        objective = data.check_proof(fit, alpha)
        assert fit.gap <= 1e-6 * objective


@every_loss
def test_no_neuron_is_used_at_or_above_the_largest_penalty(loss):
    data = Data(loss, 2)
    top = data.largest_alpha()
    for alpha in (1.01 * top, 100 * top):
        fit = data.fit(alpha, gap=1e-6)
        assert not fit.V.any()
        assert data.check_proof(fit, alpha) - data.optimum(100 * top) <= 1e-6
        assert fit.gap <= 1e-6
    assert data.fit(0.9 * top, gap=1e-9).V.any()


@every_loss
def test_no_neurons_give_the_best_skip_function(loss):
    data = Data(loss, 4, K=0)
    fit = data.fit(1.0)
    objective = data.check_proof(fit, 1.0)
    assert fit.V.shape == (0, 2) and fit.gap <= 1e-9 * objective
    if loss.name == "squared":
        expected = np.linalg.lstsq(data.B, data.Y, rcond=None)[0]
        assert np.allclose(data.B @ fit.theta, data.B @ expected, rtol=0, atol=1e-12)


@every_loss
def test_other_skip_functions(loss):
    data = Data(loss, 6)
    for functions in (np.ones((30, 1)), np.empty((30, 0))):
        data.skip(functions)
        fit = data.fit(0.2)
        objective = data.check_proof(fit, 0.2)
        assert fit.gap <= 1e-8 * objective
        assert objective == pytest.approx(data.optimum(0.2), rel=1e-6)


def test_one_neuron_and_squared_loss_in_closed_form():
    rng = np.random.default_rng(0)
    phi, Y = rng.standard_normal((20, 1)), rng.standard_normal((20, 4))
    alpha = 0.4 * np.linalg.norm(phi.T @ Y)
    fit = fit_fixed_neurons(Y, np.ones(20), SquaredLoss(), phi, np.empty((20, 0)), alpha, gap=0.0)
    u = phi.T @ Y
    expected = 0.6 * u / (phi**2).sum()
    assert np.allclose(fit.V, expected, rtol=0, atol=1e-6)
    assert np.allclose(fit.P, Y - phi @ expected, rtol=0, atol=1e-6)


def test_a_sample_of_no_weight_counts_for_nothing():
    for loss in LOSSES.values():
        data = Data(loss, 7)
        w = np.append(data.w, 0.0)
        Y = np.vstack([data.Y, np.ones((1, 2))])
        Phi, B = (np.vstack([A, np.full((1, A.shape[1]), 3.0)]) for A in (data.Phi, data.B))
        fit = fit_fixed_neurons(Y, w, loss, Phi, B, 0.2, gap=0.0)
        assert not fit.P[-1].any()
        assert data.objective(fit, 0.2) == pytest.approx(
            data.objective(data.fit(0.2), 0.2), rel=1e-9
        )


def test_duplicate_samples_equal_weights():
    for loss in LOSSES.values():
        data = Data(loss, 8)
        once = data.objective(data.fit(0.2), 0.2)
        data.Y, data.Phi, data.w = (
            np.tile(data.Y, (2, 1)),
            np.tile(data.Phi, (2, 1)),
            np.ones(60) / 2,
        )
        data.B = np.tile(data.B, (2, 1))
        fit = data.fit(0.2)
        assert data.check_proof(fit, 0.2) == pytest.approx(once, rel=1e-7)


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_an_offset_of_the_labels_costs_no_digits(offset):
    for name in ("squared", "huber", "quantile"):
        data = Data(LOSSES[name], 9)
        before = data.fit(0.2)
        data.Y = data.Y + offset
        fit = data.fit(0.2)
        assert fit.gap <= 1e-8 * offset * before.gap / max(before.gap, 1e-300) + 1e-7
        assert np.allclose(fit.V, before.V, rtol=0, atol=1e-4 + 1e-9 * offset)
        assert np.linalg.norm(data.Phi.T @ fit.P, axis=1).max() <= 0.2 * (1 + 1e-13)


@every_loss
@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_of_weights_and_penalty(loss, unit):
    data = Data(loss, 10)
    expected = data.objective(data.fit(0.2), 0.2)
    data.w = unit * data.w
    data.B = data.B / np.sqrt(unit)
    fit = data.fit(0.2 * unit)
    assert data.objective(fit, 0.2 * unit) == pytest.approx(unit * expected, rel=1e-7)
    assert fit.gap <= 1e-8 * unit * expected


@pytest.mark.parametrize("fraction", [0.1, 1e-3, 1e-5])
def test_classes_that_neurons_separate(fraction):
    data = Data(LOSSES["logistic"], 11, N=30, K=40, T=3)  # more functions than samples
    alpha = fraction * data.largest_alpha()
    fit = data.fit(alpha)
    objective = data.check_proof(fit, alpha)
    assert fit.gap <= 1e-7 * objective
    assert objective <= data.optimum(alpha) * (1 + 1e-6)


def test_classes_that_the_skip_functions_separate_leave_the_other_tasks_solved():
    data = Data(LOSSES["logistic"], 12)
    noisy = data.objective(data.fit(0.2), 0.2)
    data.Y = np.column_stack([data.Y, data.B[:, 1] > 0])  # no minimum: its loss falls for ever
    fit = data.fit(0.2)
    assert data.check_proof(fit, 0.2) == pytest.approx(noisy, rel=1e-4)
    assert fit.gap <= 1e-4 * noisy
    assert not fit.P[:, 2].any()


def test_soft_labels():
    data = Data(LOSSES["logistic"], 13)
    data.Y = np.random.default_rng(0).uniform(size=data.Y.shape)
    data.Y[0] = 0.0, 1.0
    fit = data.fit(0.05)
    assert data.check_proof(fit, 0.05) == pytest.approx(data.optimum(0.05), rel=1e-6)


@every_loss
def test_the_gap_is_honest_however_early_it_stops(loss):
    data = Data(loss, 14)
    alpha = 0.05 * data.largest_alpha()
    best = data.objective(data.fit(alpha), alpha)
    gaps = []
    for max_iter in (0, 1, 2, 4, 8, 100):
        fit = data.fit(alpha, max_iter=max_iter)
        objective = data.check_proof(fit, alpha)
        assert fit.n_iter <= max_iter
        assert objective - fit.gap <= best * (1 + 1e-9)
        gaps.append(fit.gap)
    assert gaps == sorted(gaps, reverse=True)
    loose = data.fit(alpha, gap=1e-2 * best)
    assert loose.gap <= 1e-2 * best and loose.n_iter < 20


@every_loss
def test_neurons_that_do_not_count_are_zero(loss):
    data = Data(loss, 15, N=60, K=25)
    alpha = 0.4 * data.largest_alpha()
    fit = data.fit(alpha, gap=1e-6)
    used = np.linalg.norm(fit.V, axis=1) > 0
    assert 0 < used.sum() < 25
    norms = np.linalg.norm(data.Phi.T @ fit.P, axis=1)
    assert np.all(norms[used] > 0.999 * alpha)


@every_loss
def test_numbers_beyond_the_range_of_floats_end_in_an_answer(loss):
    data = Data(loss, 16)
    data.Phi = data.Phi * 1e200
    fit = data.fit(1e-200)
    assert np.isfinite(fit.V).all() and fit.P.shape == data.Y.shape
    assert fit.gap >= 0


@every_loss
@pytest.mark.parametrize("shape", [(400, 3, 60), (100, 10, 80)])
def test_time(loss, shape):
    N, T, K = shape
    data = Data(loss, 17, N=N, T=T, K=K)
    alpha = 0.05 * data.largest_alpha()
    start = time.perf_counter()
    fit = data.fit(alpha)
    assert time.perf_counter() - start < 8  # about 0.4 s where nothing else runs
    assert fit.gap <= 1e-7 * data.check_proof(fit, alpha)


@pytest.mark.slow
@every_loss
def test_many_random_problems(loss):
    for seed in range(60):
        rng = np.random.default_rng(seed)
        N, T, K, d = (
            rng.integers(2, 60),
            rng.integers(1, 6),
            rng.integers(1, 40),
            rng.integers(1, 4),
        )
        data = Data(loss, seed, N, T, K, d, weights=spread if seed % 3 == 0 else None)
        alpha = 10.0 ** rng.uniform(-4, 1)
        fit = data.fit(alpha)
        objective = data.check_proof(fit, alpha)
        assert fit.gap <= 1e-6 * objective + 1e-9 * data.w.sum(), seed
