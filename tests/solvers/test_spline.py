"""The spline solver against CVXPY, a second solver, invariances and extreme data."""

import warnings

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mtrelu
from mtrelu.losses import HuberLoss, QuantileLoss
from mtrelu.problem import Problem
from mtrelu.solvers import _spline_algebra as algebra
from mtrelu.solvers._group_newton import (
    _coupled_step,
    _coupling_factor,
    _precondition_factor,
    saddle_factor,
)
from mtrelu.solvers.spline import fit_spline

LOSSES = {
    "squared": "squared",
    "huber": HuberLoss(delta=0.4),
    "logistic": "logistic",
    "quantile": QuantileLoss(quantile=0.3),
}


def walk():
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.uniform(0.5, 1.5, 40))
    return x, rng.standard_normal((40, 3)).cumsum(axis=0)


def make_labels(name, rng, n, n_tasks):
    Y = rng.standard_normal((n, n_tasks)).cumsum(axis=0)
    return 1 / (1 + np.exp(-Y)) if name == "logistic" else Y


def optimum_by_cvxpy(x, Y, alpha, loss, weights):
    """Group trend filtering in the slope changes, from the definitions."""
    at, rows = np.unique(x, return_inverse=True)
    F = cp.Variable((at.size, Y.shape[1]))
    slopes = cp.multiply(F[1:] - F[:-1], 1 / np.diff(at)[:, None])
    Z = F[rows]
    name = loss if isinstance(loss, str) else loss.name
    terms = {
        "squared": lambda: 0.5 * cp.square(Y - Z),
        "huber": lambda: 0.5 * cp.huber(Y - Z, loss.delta),
        "logistic": lambda: cp.logistic(Z) - cp.multiply(Y, Z),
        "quantile": lambda: cp.maximum(loss.quantile * (Y - Z), (loss.quantile - 1) * (Y - Z)),
    }[name]()
    cost = cp.sum(cp.multiply(weights[:, None], terms))
    if at.size > 2:
        cost += alpha * cp.sum(cp.norm(slopes[1:] - slopes[:-1], 2, axis=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate"
        task = cp.Problem(cp.Minimize(cost))
        task.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    return float(task.value)


def solved(x, Y, alpha, **options):
    solution = mtrelu.solve(x, Y, alpha, **{"tol": 1e-10, **options})
    assert solution.status is mtrelu.Status.CERTIFIED
    return solution


@pytest.mark.parametrize("tol", [1e-6, 1e-9, 1e-11])
def test_reference_optimum(tol):
    x, Y = walk()
    problem = Problem.make(x, Y, alpha=2.0)
    value = problem.objective(fit_spline(problem, tol=tol).network)
    assert value == pytest.approx(30.7976672987, rel=max(tol, 1e-10))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("share", [0.5, 0.05, 1e-3])
@pytest.mark.parametrize("n_tasks", [1, 3])
def test_agrees_with_cvxpy(name, share, n_tasks):
    rng = np.random.default_rng(17)
    x = np.sort(np.round(rng.uniform(0, 5, 25), 1))  # with duplicates
    Y, weights = make_labels(name, rng, 25, n_tasks), rng.uniform(0.2, 2.0, 25)
    alpha = share * mtrelu.alpha_max(x, Y, loss=LOSSES[name], sample_weight=weights)
    expected = optimum_by_cvxpy(x, Y, alpha, LOSSES[name], weights)
    solution = mtrelu.solve(x, Y, alpha, loss=LOSSES[name], sample_weight=weights, tol=1e-8)
    assert solution.status is mtrelu.Status.CERTIFIED
    assert solution.certificate.primal == pytest.approx(expected, rel=2e-7)
    assert solution.certificate.dual <= expected * (1 + 2e-7)


def test_agrees_with_proximal_gradient_on_the_dual():
    """Accelerated projected gradient over slopes of the dual: plain, and sharing no formula."""
    rng = np.random.default_rng(3)
    x, Y, alpha = np.arange(12.0), rng.standard_normal((12, 2)).cumsum(axis=0), 0.7
    D = np.diff(np.eye(12), n=2, axis=0)
    step = 1 / np.linalg.norm(D, 2) ** 2
    U = V = np.zeros((10, 2))
    for k in range(20000):
        G = V - step * D @ (D.T @ V - Y)
        new = G * np.minimum(1, alpha / np.linalg.norm(G, axis=1))[:, None]
        V, U = new + k / (k + 3) * (new - U), new
    F = Y - D.T @ U
    expected = 0.5 * np.sum((Y - F) ** 2) + alpha * np.linalg.norm(D @ F, axis=1).sum()
    solution = solved(x, Y, alpha)
    assert solution.certificate.primal == pytest.approx(expected, rel=1e-8)
    np.testing.assert_allclose(solution.network(x), F, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    scale=st.sampled_from([1e-6, 1e-2, 3.0, 1e7]),
    height=st.sampled_from([1e-7, 0.3, 1e6]),
    shift=st.sampled_from([-100.0, 0.0, 7.0]),
)
def test_invariances_of_the_squared_loss(seed, scale, height, shift):
    rng = np.random.default_rng(seed)
    n, n_tasks = 20, 3
    x = rng.permutation(np.cumsum(rng.uniform(0.1, 2, n)))
    Y, weights = rng.standard_normal((n, n_tasks)), rng.uniform(0.5, 2, n)
    base = solved(x, Y, 0.5, sample_weight=weights)
    value, fitted = base.certificate.primal, base.network(x)

    order = rng.permutation(n)
    permuted = solved(x[order], Y[order], 0.5, sample_weight=weights[order])
    assert permuted.certificate.primal == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(permuted.network(x), fitted, atol=1e-4)

    # f(x) = height * g((x - shift) / scale) costs height / scale for each unit of slope change.
    scaled = solved(scale * (x + shift), height * Y, 0.5 * height * scale, sample_weight=weights)
    assert scaled.certificate.primal == pytest.approx(height**2 * value, rel=1e-9)
    np.testing.assert_allclose(scaled.network(scale * (x + shift)) / height, fitted, atol=1e-4)

    # An affine function added to the labels is free.
    line = np.outer(x, [1.0, -2.0, 0.5]) + np.array([3.0, 0.0, -1.0])
    tilted = solved(x, Y + line, 0.5, sample_weight=weights)
    assert tilted.certificate.primal == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(tilted.network(x) - line, fitted, atol=1e-4)

    Q = np.linalg.qr(rng.standard_normal((n_tasks, n_tasks)))[0]
    rotated = solved(x, Y @ Q, 0.5, sample_weight=weights)
    assert rotated.certificate.primal == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(rotated.network(x), fitted @ Q, atol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_a_row_given_twice_weighs_double(name):
    rng = np.random.default_rng(5)
    x, Y = np.cumsum(rng.uniform(0.5, 1.5, 15)), make_labels(name, rng, 15, 2)
    weights = np.ones(15)
    weights[[2, 7]] = 2.0
    rows = np.r_[np.arange(15), 2, 7]
    alpha = 0.1 * mtrelu.alpha_max(x, Y, loss=LOSSES[name])
    once = mtrelu.solve(x, Y, alpha, loss=LOSSES[name], sample_weight=weights, tol=1e-9)
    twice = mtrelu.solve(x[rows], Y[rows], alpha, loss=LOSSES[name], tol=1e-9)
    assert once.certificate.primal == pytest.approx(twice.certificate.primal, rel=3e-9)


@pytest.mark.parametrize("n_tasks", [1, 2, 5])
@pytest.mark.parametrize("common_gram", [True, False])
def test_eliminations_give_the_same_newton_step(n_tasks, common_gram):
    """All of them against one dense matrix."""
    rng = np.random.default_rng(n_tasks)
    m, K = 12, 10
    h = rng.uniform(0.5, 2, m - 1)
    rows = np.stack([1 / h[:-1], 1 / h[1:]], axis=1)
    shape = (m, 1) if common_gram else (m, n_tasks)
    diagonal = np.broadcast_to(rng.uniform(1, 2, shape), (m, n_tasks)).copy()
    off = np.broadcast_to(rng.uniform(0.1, 0.4, (m - 1, shape[1])), (m - 1, n_tasks)).copy()
    u = rng.standard_normal((K, n_tasks))
    u *= rng.uniform(0.3, 0.95, (K, 1)) / np.linalg.norm(u, axis=1, keepdims=True)
    s, e = 0.5 * (1 - np.sum(u**2, axis=1)), rng.uniform(0.01, 1, K)
    r1, r2 = rng.standard_normal((m, n_tasks)), rng.standard_normal((K, n_tasks))
    centre = rng.standard_normal(K)

    D = np.zeros((K, m))
    for k in range(K):
        D[k, k : k + 3] = rows[k, 0], -rows[k].sum(), rows[k, 1]
    size_c, size_u = m * n_tasks, K * n_tasks
    M = np.zeros((size_c + size_u, size_c + size_u))
    for t in range(n_tasks):
        G = np.diag(diagonal[:, t]) + np.diag(off[:, t], 1) + np.diag(off[:, t], -1)
        C_t = np.arange(m) * n_tasks + t
        u_t = size_c + np.arange(K) * n_tasks + t
        M[np.ix_(C_t, C_t)] = G
        M[np.ix_(u_t, C_t)], M[np.ix_(C_t, u_t)] = D, D.T
    for k in range(K):
        at = size_c + k * n_tasks + np.arange(n_tasks)
        M[np.ix_(at, at)] = -e[k] * (np.eye(n_tasks) + np.outer(u[k], u[k]) / s[k])
    right = np.concatenate([r1.ravel(), (r2 + u * centre[:, None]).ravel()])
    solution = np.linalg.solve(M, right)
    expected_C = solution[:size_c].reshape(m, n_tasks)
    expected_u = solution[size_c:].reshape(K, n_tasks)
    expected_e = centre + e / s * np.sum(u * expected_u, axis=1)

    def check():
        np.testing.assert_allclose(dC, expected_C, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(du, expected_u, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(de, expected_e, rtol=1e-8, atol=1e-9)

    blocks = [np.empty((m, n_tasks, n_tasks)) for _ in range(3)]
    algebra.block_assemble(diagonal, off, rows, u, e, s, *blocks)
    assert algebra.block_factor(*blocks)
    dC, du, de = np.empty_like(r1), np.empty_like(r2), np.empty(K)
    algebra.block_step(*blocks, rows, u, e, s, r1, r2.copy(), centre, dC, du, de)
    check()

    saddle = np.empty((2 * m - 2, 4, n_tasks, n_tasks))
    assert algebra.saddle_block_factor(diagonal, off, rows, u, e, s, saddle)
    dC, du, de = np.empty_like(r1), np.empty_like(r2), np.empty(K)
    algebra.saddle_block_step(saddle, u, e, s, r1, r2, centre, dC, du, de)
    check()

    if common_gram:
        band = np.empty((2 * m - 2, 4))
        saddle_factor(diagonal[:, 0], off[:, 0], rows, e, band)
        lower, definite = _coupling_factor(band, u, e, s)
        near = np.zeros((K, 4))
        assert definite and _precondition_factor(band, u, e, s, near)
        for factor in (lower, np.empty((0, 0))):  # dense, then conjugate gradients
            dC, du, de = np.empty_like(r1), np.empty_like(r2), np.empty(K)
            assert _coupled_step(
                band, near, factor, u, e, s, r1, r2, centre, np.full(K, 1e-12), dC, du, de
            )
            check()


def test_elimination_in_the_order_of_x_survives_vanishing_weights():
    """Where e is next to nothing the spline is affine, and the Gram matrix still decides which."""
    rng = np.random.default_rng(0)
    x = np.cumsum(rng.uniform(0.5, 2, 8))
    m, K = 8, 6
    rows = np.stack([1 / np.diff(x)[:-1], 1 / np.diff(x)[1:]], axis=1)
    diagonal, off = np.ones((m, 2)), np.zeros((m - 1, 2))
    u, e = 0.3 * rng.standard_normal((K, 2)), np.full(K, 1e-20)
    s = 0.5 * (1 - np.sum(u**2, axis=1))
    r1, r2 = rng.standard_normal((m, 2)), np.zeros((K, 2))
    dC, du, de = np.empty((m, 2)), np.empty((K, 2)), np.empty(K)

    blocks = [np.empty((m, 2, 2)) for _ in range(3)]
    algebra.block_assemble(diagonal, off, rows, u, e, s, *blocks)
    if algebra.block_factor(*blocks):
        algebra.block_step(*blocks, rows, u, e, s, r1, r2.copy(), np.zeros(K), dC, du, de)
        assert algebra.step_misfit(diagonal, off, rows, r1, dC, du) > 1e-3

    saddle = np.empty((2 * m - 2, 4, 2, 2))
    assert algebra.saddle_block_factor(diagonal, off, rows, u, e, s, saddle)
    algebra.saddle_block_step(saddle, u, e, s, r1, r2, np.zeros(K), dC, du, de)
    H = np.stack([np.ones(m), x], axis=1)
    np.testing.assert_allclose(dC, H @ np.linalg.lstsq(H, r1, rcond=None)[0], atol=1e-10)
    assert algebra.step_misfit(diagonal, off, rows, r1, dC, du) < 1e-20


def test_more_tasks_than_samples_equals_the_uncompressed_problem():
    rng = np.random.default_rng(8)
    x, Y = np.cumsum(rng.uniform(0.5, 1.5, 9)), rng.standard_normal((9, 30))
    wide = solved(x, Y, 1.5)
    # Samples that lie on the network's own continuation change nothing, but with more samples than
    # tasks there is no compression.
    far = x[-1] + np.arange(1, 31)
    line = wide.network(far)
    long = mtrelu.solve(np.r_[x, far], np.r_[Y, line], 1.5, tol=1e-10)
    assert long.certificate.primal == pytest.approx(wide.certificate.primal, rel=1e-8)
    np.testing.assert_allclose(long.network(x), wide.network(x), atol=1e-4)
    narrow = Problem.make(x, Y, alpha=1.5)
    assert narrow.objective(wide.network) == pytest.approx(wide.certificate.primal, rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("exponent", [0, -1, -3, -5, -7])
def test_every_strength_of_the_penalty(name, exponent):
    rng = np.random.default_rng(11)
    x, Y = np.cumsum(rng.uniform(0.1, 2, 40)), make_labels(name, rng, 40, 2)
    alpha = 10.0**exponent * mtrelu.alpha_max(x, Y, loss=LOSSES[name])
    solution = mtrelu.solve(x, Y, alpha, loss=LOSSES[name])
    assert solution.status is mtrelu.Status.CERTIFIED
    assert (solution.network.n_neurons == 0) == (exponent == 0)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("factor", [1.0, 3.0, 1e6])
@pytest.mark.parametrize("shape", [(3, 1), (6, 2), (30, 1), (200, 3)])
def test_no_neuron_from_alpha_max_on(name, factor, shape):
    rng = np.random.default_rng(2)
    x, Y = np.sort(rng.uniform(0, 1, shape[0])), make_labels(name, rng, *shape)
    alpha = factor * mtrelu.alpha_max(x, Y, loss=LOSSES[name])
    solution = mtrelu.solve(x, Y, alpha, loss=LOSSES[name])
    assert solution.status is mtrelu.Status.CERTIFIED
    assert solution.network.n_neurons == 0


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("limit", [{"time_limit": 0.0}, {"max_iter": 1}])
def test_limits_give_an_honest_certificate(name, limit):
    rng = np.random.default_rng(4)
    x, Y = np.cumsum(rng.uniform(0.5, 1.5, 200)), make_labels(name, rng, 200, 2)
    alpha = 0.01 * mtrelu.alpha_max(x, Y, loss=LOSSES[name])
    stopped = mtrelu.solve(x, Y, alpha, loss=LOSSES[name], **limit)
    optimum = mtrelu.solve(x, Y, alpha, loss=LOSSES[name], tol=1e-8).certificate
    assert stopped.status is mtrelu.Status.LIMIT_REACHED
    assert stopped.n_iter == 1
    assert np.isfinite(stopped.network(x)).all()
    assert stopped.certificate.dual <= optimum.primal
    assert stopped.certificate.primal >= optimum.dual
    assert stopped.certificate.relative_gap > 1e-6


def test_callback_follows_the_iterations():
    x, Y = walk()
    seen = []
    solution = mtrelu.solve(x, Y, 0.5, callback=seen.append)
    assert [p.iteration for p in seen] == list(range(1, solution.n_iter + 1))
    assert min(p.relative_gap for p in seen) <= 1e-6
    best = min(seen, key=lambda p: p.relative_gap)
    assert best.objective == pytest.approx(solution.certificate.primal, rel=1e-6)


@pytest.mark.parametrize("share", [0.3, 1e-2, 1e-5])
def test_ten_thousand_samples_to_nine_digits(share):
    rng = np.random.default_rng(6)
    x = np.cumsum(rng.uniform(0.1, 1, 10000))
    Y = np.sin(x / 500)[:, None] * rng.standard_normal(4) + 0.3 * rng.standard_normal((10000, 4))
    solution = mtrelu.solve(x, Y, share * mtrelu.alpha_max(x, Y), tol=1e-9)
    assert solution.certificate.relative_gap <= 1e-9


@pytest.mark.parametrize("name", LOSSES)
def test_affine_labels_need_no_neuron(name):
    x = np.arange(7.0) * 1e5
    Y = 0.5 + np.stack([x, -x], axis=1) * (0.0 if name == "logistic" else 1e-6)
    solution = mtrelu.solve(x, Y, 0.1, loss=LOSSES[name])
    assert solution.status is mtrelu.Status.CERTIFIED
    assert solution.network.n_neurons == 0


def hard_problem(rng, most):
    """Inputs of every kind, scales from 1e-8 to 1e8, alpha down to 1e-7 alpha_max."""
    n, n_tasks = int(rng.integers(3, most)), int(rng.choice([1, 2, 3, 5]))
    kind = rng.choice(["even", "jittered", "gaps", "cauchy", "duplicates"])
    x = {
        "even": lambda: np.arange(n) * 1.0,
        "jittered": lambda: np.cumsum(rng.uniform(0.1, 1.9, n)),
        "gaps": lambda: np.cumsum(10.0 ** rng.uniform(-9, 0, n)),
        "cauchy": lambda: np.sort(rng.standard_cauchy(n)),
        "duplicates": lambda: np.floor(np.cumsum(rng.uniform(0, 1, n))),
    }[kind]()
    name = str(rng.choice(list(LOSSES)))
    Y = make_labels(name, rng, n, n_tasks)
    if rng.random() < 0.3 and name != "logistic":
        Y = np.round(Y)
    loss, height = LOSSES[name], 1.0
    if name != "logistic":
        height = 10.0 ** rng.choice([-8, -3, 0, 3, 8])
        loss = HuberLoss(0.4 * height) if name == "huber" else loss
    x = (x - x[0] + rng.choice([0, 0, 1e3])) * 10.0 ** rng.choice([-8, -3, 0, 3, 8])
    return x, height * Y, loss, rng.uniform(0.1, 3, n), 10.0 ** rng.uniform(-7, 0)


@pytest.mark.slow
def test_nearly_every_hard_problem_is_certified():
    rng = np.random.default_rng(2024)
    missed, n_problems = [], 0
    for trial in range(400):
        x, Y, loss, weights, share = hard_problem(rng, 100)
        limit = mtrelu.alpha_max(x, Y, loss=loss, sample_weight=weights)
        if x[0] == x[-1] or limit <= 0:
            continue
        n_problems += 1
        solution = mtrelu.solve(x, Y, share * limit, loss=loss, sample_weight=weights)
        if solution.status is not mtrelu.Status.CERTIFIED:
            missed.append((trial, solution.certificate.relative_gap))
    assert n_problems >= 300
    assert len(missed) <= 0.01 * n_problems, missed


@pytest.mark.slow
def test_nothing_is_certified_wrongly():
    rng = np.random.default_rng(7)
    compared = 0
    for _ in range(300):
        n = int(rng.integers(3, 15))
        name = str(rng.choice(list(LOSSES)))
        x = np.sort(np.round(rng.uniform(0, 3, n), 2))
        Y, weights = make_labels(name, rng, n, 2), rng.uniform(0.1, 3, n)
        if np.ptp(x) == 0:
            continue
        limit = mtrelu.alpha_max(x, Y, loss=LOSSES[name], sample_weight=weights)
        if limit <= 1e-12:
            continue
        alpha = limit * 10.0 ** rng.uniform(-3, 0.3)
        certificate = mtrelu.solve(
            x, Y, alpha, loss=LOSSES[name], sample_weight=weights
        ).certificate
        expected = optimum_by_cvxpy(x, Y, alpha, LOSSES[name], weights)
        slack = 1e-6 * abs(expected) + 1e-8
        assert certificate.dual <= expected + slack
        assert certificate.primal >= expected - slack
        compared += 1
    assert compared >= 250


def test_block_coordinate_descent_on_hinges_finds_the_same_optimum():
    # skglm knows nothing of splines: it gets one column a hinge, projected off lines.
    from skglm.estimators import MultiTaskLasso

    rng = np.random.default_rng(4)
    x = np.sort(rng.uniform(0.0, 10.0, 20))
    Y = rng.standard_normal((20, 3)).cumsum(axis=0)
    alpha = 0.1 * mtrelu.alpha_max(x, Y)
    lines = np.linalg.qr(np.column_stack([np.ones(20), x]))[0]
    hinges = np.maximum(x[:, np.newaxis] - x[1:-1], 0.0)
    hinges, labels = (matrix - lines @ (lines.T @ matrix) for matrix in (hinges, Y))
    peer = MultiTaskLasso(alpha / 20, fit_intercept=False, tol=1e-9, max_iter=500).fit(
        hinges, labels
    )
    changes = peer.coef_.T
    misfit = labels - hinges @ changes
    objective = 0.5 * np.sum(misfit**2) + alpha * np.linalg.norm(changes, axis=1).sum()
    ours = mtrelu.solve(x, Y, alpha, tol=1e-9).certificate.primal
    assert ours <= objective * (1 + 1e-12)
    assert objective == pytest.approx(ours, rel=1e-6)
