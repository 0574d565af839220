"""Which neurons a solver is offered: values by their definition, the maximum by brute force."""

import itertools

import numpy as np
import pytest

from mtrelu.oracles.arrangement import ArrangementOracle
from mtrelu.oracles.plane import PlaneOracle
from mtrelu.solvers.pricing import Pricing

both_skips = pytest.mark.parametrize("skip", ["affine", "constant"])
NONE = np.zeros((0, 3)), np.zeros(0)


def random(n, d, n_tasks, skip, seed=0):
    """Inputs and a dual variable that meets the constraints of the skip connection."""
    rng = np.random.default_rng(seed)
    X, P = rng.standard_normal((n, d)), rng.standard_normal((n, n_tasks))
    functions = np.column_stack([np.ones(n), X]) if skip == "affine" else np.ones((n, 1))
    basis = np.linalg.qr(functions)[0]
    return X, P - basis @ (basis.T @ P)


def dual_function(X, P, w, b):
    return np.linalg.norm(np.maximum(X @ w.T + b, 0.0).T @ P, axis=1)


def brute_force(X, P, n_directions=4000):
    """A little below the maximum: every hyperplane through a sample, many directions."""
    d = X.shape[1]
    w = np.random.default_rng(1).standard_normal((n_directions, d))
    # Through d samples, where maxima of piecewise smooth functions often lie.
    for rows in itertools.combinations(range(len(X)), d):
        normal = np.linalg.svd(X[list(rows[1:])] - X[rows[0]])[2][-1]
        w = np.vstack([w, normal, -normal])
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    return max(dual_function(X, P, w, -w @ x).max() for x in X)


@both_skips
@pytest.mark.parametrize(("d", "n_tasks"), [(1, 1), (1, 3), (2, 1), (2, 3)])
def test_up_to_two_inputs_all_is_exact(d, n_tasks, skip):
    X, P = random(9, d, n_tasks, skip)
    pricing = Pricing(X, skip, 0)
    assert isinstance(pricing.exact, PlaneOracle)
    found = pricing.peaks(P, 0.0, NONE[0][:, :d], NONE[1])
    largest = brute_force(X, P)
    assert found.exactness == "exact"
    assert largest * (1 - 1e-12) <= found.value <= largest * (1 + 1e-3)
    np.testing.assert_allclose(found.g, dual_function(X, P, found.w, found.b), rtol=1e-9)
    assert np.all(np.diff(found.g) <= 0) and found.g[0] == pytest.approx(found.value)
    proof = pricing.confirm(P, 0.0, found.value)
    assert proof.exactness == "exact" and proof.value == pytest.approx(found.value, rel=1e-12)


@both_skips
def test_a_target_leaves_out_what_is_below(skip):
    X, P = random(12, 2, 2, skip)
    pricing = Pricing(X, skip, 0)
    every = pricing.peaks(P, 0.0, NONE[0][:, :2], NONE[1])
    for target in (0.3 * every.value, 0.9 * every.value, 1.1 * every.value):
        some = pricing.peaks(P, target, NONE[0][:, :2], NONE[1])
        assert np.all(some.g > target) and some.exactness == "exact"
        assert some.value == pytest.approx(every.value, rel=1e-9)
        assert some.g.size == np.count_nonzero(every.g > target)


@both_skips
@pytest.mark.parametrize("d", [3, 4])
def test_more_inputs_are_searched_first_and_proved_last(d, skip):
    X, P = random(9, d, 2, skip, seed=d)
    pricing = Pricing(X, skip, 0)
    found = pricing.peaks(P, 0.0, np.zeros((0, d)), np.zeros(0))
    assert found.exactness == "estimate"
    np.testing.assert_allclose(np.linalg.norm(found.w, axis=1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(found.g, dual_function(X, P, found.w, found.b), rtol=1e-9)
    assert np.all(np.diff(found.g) <= 0)
    assert isinstance(pricing.exact, ArrangementOracle)
    proof = pricing.confirm(P, 0.0, found.value)
    largest = brute_force(X, P)
    assert proof.exactness == "exact"
    assert proof.value >= largest * (1 - 1e-12)
    assert found.value <= proof.value * (1 + 1e-12)
    assert found.value >= 0.99 * largest  # on problems as small as these, the search is good


@both_skips
def test_neurons_in_use_are_starting_points(skip):
    """A climb from given neurons finds values at least as large, whatever the search misses."""
    X, P = random(30, 6, 3, skip)
    rng = np.random.default_rng(2)
    w = rng.standard_normal((5, 6))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    b = -np.sum(w * X[:5], axis=1)
    start = dual_function(X, P, w, b)
    pricing = Pricing(X, skip, 0)
    alone = pricing.peaks(P, 0.0, np.zeros((0, 6)), np.zeros(0))
    found = pricing.peaks(P, 0.0, w, b)
    assert found.value >= max(start.max(), alone.value) * (1 - 1e-9)
    assert found.g.size >= alone.g.size
    np.testing.assert_allclose(found.g, dual_function(X, P, found.w, found.b), rtol=1e-9)
    # Only what is worth adding comes back.
    high = pricing.peaks(P, 0.9 * found.value, w, b)
    assert np.all(high.g > 0.9 * found.value)


def test_the_exact_oracle_is_left_out_where_it_costs_too_much():
    X, P = random(100, 8, 1, "affine")
    pricing = Pricing(X, "affine", 0)
    assert pricing.exact is None
    found = pricing.peaks(P, 0.0, np.zeros((0, 8)), np.zeros(0))
    assert found.exactness == "estimate"
    # Then other starts, more of them, take the place of a proof.
    again = [pricing.confirm(P, 0.0, found.value) for _ in range(2)]
    for each in again:
        assert each.exactness == "estimate" and each.value >= found.value and each.g.size > 1
        np.testing.assert_allclose(each.g, dual_function(X, P, each.w, each.b), rtol=1e-9)
    assert again[0].w.shape != again[1].w.shape or not np.allclose(again[0].w, again[1].w)


def test_the_dimension_that_counts_is_that_of_the_hull():
    X, P = random(12, 2, 2, "affine")
    across = np.array([[0.6, 0.0, 0.8, 0.0], [0.0, 1.0, 0.0, 0.0]])
    pricing = Pricing(X @ across + 3.0, "affine", 0)
    found = pricing.peaks(P, 0.0, np.zeros((0, 4)), np.zeros(0))
    plane = Pricing(X, "affine", 0).peaks(P, 0.0, np.zeros((0, 2)), np.zeros(0))
    assert found.exactness == "exact"
    assert found.value == pytest.approx(plane.value, rel=1e-9)
    # Nothing points across the hull.
    np.testing.assert_allclose(found.w @ across.T @ across, found.w, atol=1e-9)


def test_the_seed_decides():
    X, P = random(40, 5, 2, "affine")
    none = np.zeros((0, 5)), np.zeros(0)
    first, again, other = (Pricing(X, "affine", seed).peaks(P, 0.0, *none) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.w, again.w)
    assert first.value == again.value
    assert other.value == pytest.approx(first.value, rel=0.1)
