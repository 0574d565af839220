"""Output weights over fixed neurons against a cone solver, closed forms and extreme data."""

import warnings

import cvxpy as cp
import numpy as np
import pytest

from mtrelu.solvers.master import solve_master


def random(n, n_neurons, n_tasks, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, n_neurons)), rng.standard_normal((n, n_tasks))


def hinges(n, n_neurons, n_tasks):
    """Features as they come from neurons: sparse, correlated, of unequal sizes."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, 2))
    w = rng.standard_normal((n_neurons, 2))
    b = -np.sum(w * X[rng.integers(n, size=n_neurons)], axis=1)
    return np.maximum(X @ w.T + b, 0.0), rng.standard_normal((n, n_tasks))


def twice():
    Phi, Y = random(12, 6, 3)
    return np.hstack([Phi, Phi, Phi[:, :2]]), Y


def with_zeros():
    Phi, Y = random(12, 6, 3)
    Phi[:, [0, 4]] = 0.0
    return Phi, Y


CASES = {
    "random": random(20, 10, 3),
    "more neurons than samples": random(8, 25, 4),
    "one neuron": random(10, 1, 5),
    "one task": random(15, 10, 1),
    "many tasks": random(12, 8, 200),
    "hinges": hinges(30, 40, 6),
    "duplicates": twice(),
    "features that are zero": with_zeros(),
    "large features": (1e6 * random(15, 9, 3)[0], random(15, 9, 3)[1]),
    "small labels": (random(15, 9, 3)[0], 1e-7 * random(15, 9, 3)[1]),
}


def largest_alpha(Phi, Y):
    return np.linalg.norm(Phi.T @ Y, axis=1).max()


def objective(Phi, Y, alpha, V):
    return 0.5 * np.sum((Y - Phi @ V) ** 2) + alpha * np.linalg.norm(V, axis=1).sum()


def optimum(Phi, Y, alpha):
    """By Clarabel, in units where everything is of order one."""
    size, length = np.linalg.norm(Y), np.linalg.norm(Phi, axis=0).max()
    Phi, Y, alpha = Phi / length, Y / size, alpha / size / length
    V = cp.Variable((Phi.shape[1], Y.shape[1]))
    cost = 0.5 * cp.sum_squares(Y - Phi @ V) + alpha * cp.sum(cp.norm(V, 2, axis=1))
    task = cp.Problem(cp.Minimize(cost))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": to 1e-11
        task.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return task.value * size**2


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
@pytest.mark.parametrize("case", CASES)
def test_the_optimum_is_that_of_a_cone_solver(case, share):
    Phi, Y = CASES[case]
    alpha = share * largest_alpha(Phi, Y)
    expected = optimum(Phi, Y, alpha)
    master = solve_master([(Phi, Y)], alpha, gap=1e-9 * expected)
    np.testing.assert_allclose(master.residual, Y - Phi @ master.V, atol=1e-12 * np.abs(Y).max())
    value = objective(Phi, Y, alpha, master.V)
    assert master.gap <= 1e-9 * expected
    assert value == pytest.approx(expected, rel=1e-8)
    # Smoothed norms are positive, and near the norms of neurons that do something.
    assert np.all(master.eta > 0)
    used = Phi.any(axis=0)
    norms = np.linalg.norm(master.V[used], axis=1)
    np.testing.assert_allclose(master.eta[used], norms, atol=1e-3 * norms.sum())


@pytest.mark.parametrize("asked", [1e-1, 1e-3, 1e-6, 1e-12])
@pytest.mark.parametrize("case", CASES)
def test_the_gap_is_never_too_small(case, asked):
    Phi, Y = CASES[case]
    alpha = 0.05 * largest_alpha(Phi, Y)
    expected = optimum(Phi, Y, alpha)
    master = solve_master([(Phi, Y)], alpha, gap=asked * expected)
    excess = objective(Phi, Y, alpha, master.V) - expected
    assert excess <= master.gap + 1e-9 * expected  # of the cone solver
    if asked >= 1e-6:
        assert master.gap <= asked * expected


@pytest.mark.parametrize("case", CASES)
def test_a_looser_gap_is_not_solved_further_than_needed(case):
    """What early rounds of column generation rely on: the gap falls with what is asked."""
    Phi, Y = CASES[case]
    alpha = 0.05 * largest_alpha(Phi, Y)
    gaps = [
        solve_master([(Phi, Y)], alpha, gap=share * objective(Phi, Y, alpha, 0 * Phi.T @ Y)).gap
        for share in (0.5, 1e-8)
    ]
    assert gaps[1] < gaps[0] or gaps[0] == 0


@pytest.mark.parametrize("case", ["random", "duplicates", "hinges", "many tasks"])
@pytest.mark.parametrize("share", [1e-5, 1e-7])
def test_tiny_penalty(case, share):
    Phi, Y = CASES[case]
    alpha = share * largest_alpha(Phi, Y)
    master = solve_master([(Phi, Y)], alpha, gap=0.0)
    value = objective(Phi, Y, alpha, master.V)
    assert np.isfinite(master.V).all()
    assert master.gap <= 1e-5 * value  # rounding ends the work
    # Between the least squares error, and that of the least squares fit plus its penalty.
    V = np.linalg.lstsq(Phi, Y, rcond=None)[0]
    least = 0.5 * np.sum((Y - Phi @ V) ** 2)
    assert least * (1 - 1e-9) <= value <= objective(Phi, Y, alpha, V) * (1 + 1e-9)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("share", [1.0, 1.0 + 1e-12, 3.0, 1e6])
def test_from_the_largest_penalty_on_nothing_is_used(case, share):
    Phi, Y = CASES[case]
    master = solve_master([(Phi, Y)], share * largest_alpha(Phi, Y) * (1 + 1e-15), gap=0.0)
    assert not master.V.any() and master.gap == 0.0
    np.testing.assert_array_equal(master.residual, Y)


def test_just_below_the_largest_penalty_something_is_used():
    for Phi, Y in CASES.values():
        alpha = 0.999 * largest_alpha(Phi, Y)
        master = solve_master([(Phi, Y)], alpha, gap=0.0)
        assert objective(Phi, Y, alpha, master.V) < objective(Phi, Y, alpha, 0 * master.V)
        assert np.linalg.norm(master.V, axis=1).argmax() == np.linalg.norm(
            Phi.T @ Y, axis=1
        ).argmax() or np.isclose(master.V, 0).all(axis=1).sum() < len(master.V)


def test_without_neurons():
    Y = np.ones((4, 2))
    for Phi in (np.zeros((4, 0)), np.zeros((4, 3))):
        master = solve_master([(Phi, Y)], 0.1, gap=1e-9)
        assert master.V.shape == (Phi.shape[1], 2) and not master.V.any()
        assert master.gap == 0.0
        np.testing.assert_array_equal(master.residual, Y)


@pytest.mark.parametrize("alpha", [1e-6, 0.3, 2.0])
def test_orthonormal_features_shrink_each_group(alpha):
    rng = np.random.default_rng(0)
    Phi = np.linalg.qr(rng.standard_normal((12, 7)))[0]
    Y = rng.standard_normal((12, 3))
    cross = Phi.T @ Y
    sizes = np.linalg.norm(cross, axis=1, keepdims=True)
    expected = np.maximum(1.0 - alpha / sizes, 0.0) * cross
    master = solve_master([(Phi, Y)], alpha, gap=0.0)
    np.testing.assert_allclose(master.V, expected, atol=1e-6)


@pytest.mark.parametrize("guess", ["exact", "zero", "wrong", "huge"])
def test_a_guess_changes_nothing_but_the_way(guess):
    Phi, Y = CASES["hinges"]
    alpha = 0.05 * largest_alpha(Phi, Y)
    cold = solve_master([(Phi, Y)], alpha, gap=0.0)
    value = objective(Phi, Y, alpha, cold.V)
    start = {
        "exact": np.linalg.norm(cold.V, axis=1),
        "zero": np.zeros(len(cold.V)),
        "wrong": np.random.default_rng(0).uniform(0, 1, len(cold.V)),
        "huge": np.full(len(cold.V), 1e6),
    }[guess]
    warm = solve_master([(Phi, Y)], alpha, gap=1e-9 * value, eta=start)
    assert warm.gap <= 1e-9 * value
    assert objective(Phi, Y, alpha, warm.V) == pytest.approx(value, rel=2e-9)


@pytest.mark.parametrize("scale", [1e-100, 1e-8, 1e8, 1e100])
def test_units_change_nothing(scale):
    Phi, Y = CASES["random"]
    alpha = 0.1 * largest_alpha(Phi, Y)
    expected = solve_master([(Phi, Y)], alpha, gap=0.0).V
    labels = solve_master([(Phi, scale * Y)], scale * alpha, gap=0.0).V
    np.testing.assert_allclose(labels, scale * expected, atol=1e-6 * scale * np.abs(expected).max())
    features = solve_master([(scale * Phi, Y)], scale * alpha, gap=0.0).V
    np.testing.assert_allclose(
        features, expected / scale, atol=1e-6 * np.abs(expected).max() / scale
    )
