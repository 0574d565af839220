"""The allowances for rounding, against exact rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtrelu.network import ReLUNetwork
from mtrelu.oracles.base import Hull
from mtrelu.problem import Problem
from mtrelu.verify._evaluation import Evaluation
from mtrelu.verify._skip import SkipConstraints


def exactly(array):
    return np.vectorize(Fraction, otypes=[object])(np.asarray(array, dtype=np.float64))


def size_of_rows(errors):
    """Euclidean norms of rows of fractions, to float precision."""
    return np.sqrt(np.array([float(sum(e * e for e in row)) for row in errors]))


def exact_projection(X, P, freedom):
    """P − F B (Bᵀ F B)⁻¹ Bᵀ P with B = [1, X], by Gaussian elimination over the rationals."""
    B = np.column_stack([exactly(np.ones(len(X))), exactly(X)])
    F, P = exactly(freedom), exactly(P)
    M, rest = B.T @ (F[:, None] * B), B.T @ P
    m = M.shape[0]
    for i in range(m):
        pivot = next(j for j in range(i, m) if M[j, i] != 0)
        M[[i, pivot]], rest[[i, pivot]] = M[[pivot, i]], rest[[pivot, i]]
        for j in range(m):
            if j != i:
                factor = M[j, i] / M[i, i]
                M[j], rest[j] = M[j] - factor * M[i], rest[j] - factor * rest[i]
    solution = np.array([rest[i] / M[i, i] for i in range(m)])
    return P - F[:, None] * (B @ solution)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([0.0, 1.0, 1e3, 1e6, 1e9]),
    st.sampled_from([1e-6, 1.0, 1e6]),
)
def test_predictions_are_within_their_bounds(seed, offset, spread):
    rng = np.random.default_rng(seed)
    n, d, k, n_tasks = (int(rng.integers(1, high)) for high in (6, 5, 12, 4))
    X = rng.standard_normal((n, d)) * spread + offset
    w = rng.standard_normal((k, d)) * 10.0 ** rng.uniform(-3, 3, size=(k, 1))
    network = ReLUNetwork(
        w,
        rng.standard_normal(k) - w @ X[rng.integers(n)],
        rng.standard_normal((k, n_tasks)) * 10.0 ** rng.uniform(-3, 3, size=(k, 1)),
        rng.standard_normal((n_tasks, d)),
        rng.standard_normal(n_tasks),
    )
    Y = rng.standard_normal((n, n_tasks))
    found = Evaluation.of(Problem.make(X, Y, 1.0), network, Hull.of(X))

    pre = exactly(X) @ exactly(w).T + exactly(network.b)
    hidden = np.where(pre > 0, pre, Fraction(0)) @ exactly(network.v)
    F = hidden + exactly(X) @ exactly(network.A).T + exactly(network.c)
    for name, exact, bound in (
        ("hidden", hidden, found.hidden_error),
        ("predictions", F, found.error),
        ("residuals", exactly(Y) - F, found.error),
    ):
        errors = size_of_rows(exactly(getattr(found, name)) - exact)
        assert np.all(errors <= bound), name
    # and are no looser than the parameters explain
    assert np.all(
        found.error
        <= 1e-12
        * (
            1
            + network.path_cost() * np.abs(X - X.mean(0)).max()
            + float(np.abs(network.b + w @ X.mean(0)) @ np.linalg.norm(network.v, axis=1))
            + np.abs(network.A @ X.T).max()
            + np.abs(Y).max()
        )
    )


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e6])
@pytest.mark.parametrize("weights", ["equal", "unequal", "one heavy"])
@pytest.mark.parametrize("shape", ["ball", "needle"])
def test_an_exactly_feasible_dual_variable_is_that_near(shape, weights, offset):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        n, d = int(rng.integers(4, 9)), int(rng.integers(1, 4))
        n = max(n, d + 2)
        X = rng.standard_normal((n, d))
        if shape == "needle" and d > 1:
            X[:, -1] = X[:, 0] + 1e-5 * X[:, -1]
        X += offset
        f = np.ones(n)
        if weights == "unequal":
            f = 10.0 ** rng.uniform(-6, 6, size=n)
        elif weights == "one heavy":
            f[0] = 1e12
        guess = f[:, None] * rng.standard_normal((n, 2))
        constraints = SkipConstraints(Hull.of(X), "affine")
        P, distance = constraints.project(guess, f[:, None])
        exact = exact_projection(X, P, f)
        moved = np.abs((exact - exactly(P)).astype(float))
        assert np.all(moved <= distance)
        # P is what was asked for, and the distance is near rounding
        target = exact_projection(X, guess, f).astype(float)
        scale = np.abs(guess).max()
        if shape == "ball" and weights == "equal":
            np.testing.assert_allclose(P, target, atol=1e-9 * scale)
            assert distance.max() <= (1e-12 if offset < 10 else 1e-8) * scale
        per_task, far = constraints.project(guess, np.repeat(f[:, None], 2, axis=1))
        np.testing.assert_allclose(per_task, P, atol=1e-9 * scale)
        assert np.all(
            np.abs((exact_projection(X, per_task, f) - exactly(per_task)).astype(float)) <= far
        )


def test_constant_skip_constrains_the_sum_alone():
    rng = np.random.default_rng(0)
    X, guess = rng.standard_normal((6, 2)), rng.standard_normal((6, 3))
    P, distance = SkipConstraints(Hull.of(X), "constant").project(guess, np.ones((6, 1)))
    np.testing.assert_allclose(P, guess - guess.mean(axis=0), atol=1e-15)
    assert 0 < distance.max() < 1e-13


def test_entries_on_their_bounds_stay_there():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((20, 2))
    lo, hi = np.full((20, 2), -0.3), np.full((20, 2), 0.7)
    guess = np.clip(rng.standard_normal((20, 2)) * 0.3, lo, hi)
    guess[:4] = 0.7
    constraints = SkipConstraints(Hull.of(X), "affine")
    P, freedom = constraints.towards(guess, lo, hi, np.ones((20, 1)))
    P, distance = constraints.project(P, freedom)
    assert np.all(P + distance <= hi + 1e-15) and np.all(P - distance >= lo - 1e-15)
    np.testing.assert_array_equal(P[:4], 0.7)
    np.testing.assert_allclose(np.column_stack([np.ones(20), X]).T @ P, 0, atol=1e-13)


def test_too_few_free_entries_give_the_zero_dual_variable():
    X = np.random.default_rng(2).standard_normal((5, 2))
    freedom = np.zeros((5, 1))
    freedom[:2] = 1.0
    P, distance = SkipConstraints(Hull.of(X), "affine").project(np.ones((5, 1)), freedom)
    assert not P.any() and not distance.any()
