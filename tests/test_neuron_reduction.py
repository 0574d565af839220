"""Fewer neurons, the same outputs: against rank bounds, enumeration and a cone solver."""

from __future__ import annotations

import itertools

import cvxpy as cp
import numpy as np
import pytest

from mtrelu.network import ReLUNetwork
from mtrelu.neuron_reduction import reduce_neurons
from mtrelu.validation import InvalidInputError

SKIPS = ["affine", "constant", "none"]


def random_network(rng, n_neurons, d, n_tasks, n_directions=None):
    v = rng.standard_normal((n_neurons, n_tasks))
    if n_directions is not None:
        v = rng.standard_normal((n_directions, n_tasks))[rng.integers(0, n_directions, n_neurons)]
        v *= rng.uniform(0.1, 2.0, (n_neurons, 1))
    return ReLUNetwork(
        rng.standard_normal((n_neurons, d)),
        rng.standard_normal(n_neurons),
        v,
        rng.standard_normal((n_tasks, d)),
        rng.standard_normal(n_tasks),
    )


def skip_matrix(X, skip):
    ones = np.ones((X.shape[0], 1))
    return {"affine": np.hstack([ones, X]), "constant": ones, "none": ones[:, :0]}[skip]


def span(network, X, skip):
    """Dimension of the span of φ_k u_kᵀ modulo the skip connection, by singular values."""
    unit = network.unit_norm()
    B = skip_matrix(X, skip)
    project = np.eye(X.shape[0]) - B @ np.linalg.pinv(B)
    features = project @ np.maximum(X @ unit.w.T + unit.b, 0)
    matrices = [np.outer(f, v).ravel() for f, v in zip(features.T, unit.v, strict=True)]
    return int(np.linalg.matrix_rank(np.array(matrices), tol=1e-9)) if matrices else 0


def check(network, X, skip):
    small = reduce_neurons(network, X, skip=skip)
    size = np.abs(network(X)).max() + network.path_cost() * (1 + np.abs(X).max())
    np.testing.assert_allclose(small(X), network(X), rtol=0, atol=1e-13 * size)
    assert small.path_cost() <= network.path_cost() * (1 + 1e-13)
    assert small.n_neurons <= span(network, X, skip)
    if skip != "affine":
        np.testing.assert_array_equal(small.A, network.A)
    return small


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("n_tasks", [1, 3])
def test_as_many_neurons_as_the_span_has_dimensions(skip, d, n_tasks):
    rng = np.random.default_rng(d + 10 * n_tasks)
    X = rng.standard_normal((7, d))
    small = check(random_network(rng, 60, d, n_tasks), X, skip)
    rank = np.linalg.matrix_rank(skip_matrix(X, skip)) if skip != "none" else 0
    assert small.n_neurons <= n_tasks * (7 - rank)


@pytest.mark.parametrize("skip", SKIPS)
def test_few_directions_of_tasks_need_no_more_than_their_span(skip):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((6, 2))
    network = random_network(rng, 80, 2, 40, n_directions=2)
    assert check(network, X, skip).n_neurons <= 2 * 6


def test_the_path_norm_is_the_least_of_all_with_these_neurons():
    rng = np.random.default_rng(4)
    X = rng.standard_normal((6, 2))
    network = random_network(rng, 25, 2, 2)
    small = check(network, X, "constant")
    unit = network.unit_norm()
    u = unit.v / np.linalg.norm(unit.v, axis=1, keepdims=True)
    features = np.maximum(X @ unit.w.T + unit.b, 0)
    c, shift = cp.Variable(25, nonneg=True), cp.Variable((1, 2))
    outputs = features @ cp.diag(c) @ u + np.ones((6, 1)) @ shift
    target = network(X) - X @ network.A.T
    best = cp.Problem(cp.Minimize(cp.sum(c)), [outputs == target]).solve(solver="CLARABEL")
    assert small.path_cost() == pytest.approx(best, rel=1e-7)


def test_an_independent_network_is_not_touched():
    rng = np.random.default_rng(5)
    X = rng.standard_normal((30, 2))
    network = random_network(rng, 6, 2, 3)
    small = check(network, X, "affine")
    assert small.n_neurons == 6
    assert small.path_cost() == pytest.approx(network.path_cost(), rel=1e-13)


def test_neurons_of_one_hyperplane_are_merged_first():
    X = np.random.default_rng(6).standard_normal((20, 2))
    w = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    v = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    network = ReLUNetwork(w, [0.1, 0.2, 0.0], v, np.zeros((2, 2)), np.zeros(2))
    assert check(network, X, "none").n_neurons == 2


def test_neurons_that_are_affine_on_the_data_go_into_the_skip_connection():
    X = np.random.default_rng(7).uniform(-1, 1, (10, 2))
    w = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    network = ReLUNetwork(w, [5.0, -5.0, 0.0], np.ones((3, 1)), np.zeros((1, 2)), np.zeros(1))
    assert check(network, X, "affine").n_neurons == 1


@pytest.mark.parametrize("skip", SKIPS)
def test_lattices_duplicates_and_deficient_columns(skip):
    grid = np.array(list(itertools.product([0.0, 1.0, 2.0], repeat=2)))
    rng = np.random.default_rng(8)
    w = rng.integers(-2, 3, (70, 2)).astype(float)
    b = rng.integers(-3, 4, 70).astype(float)
    v = rng.integers(-2, 3, (70, 2)).astype(float)
    network = ReLUNetwork(w, b, v, np.zeros((2, 2)), np.zeros(2))
    check(network, np.vstack([grid, grid[:4]]), skip)
    flat = ReLUNetwork(np.hstack([w, np.ones((70, 1))]), b, v, np.zeros((2, 3)), np.zeros(2))
    small = check(flat, np.hstack([grid, np.full((9, 1), 7.0)]), skip)
    rank = {"affine": 3, "constant": 1, "none": 0}[skip]
    assert small.n_neurons <= 2 * (9 - rank)


def test_far_from_the_origin_and_badly_scaled():
    rng = np.random.default_rng(9)
    X = rng.standard_normal((8, 2))
    near = random_network(rng, 40, 2, 2)
    far = 1e6 * np.array([1.0, -1.0])
    moved = ReLUNetwork(near.w, near.b - near.w @ far, 1e-6 * near.v, near.A, near.c)
    small = reduce_neurons(moved, X + far, skip="affine")
    assert small.n_neurons <= 2 * 5
    np.testing.assert_allclose(small(X + far), moved(X + far), rtol=0, atol=1e-8)


@pytest.mark.parametrize("skip", SKIPS)
def test_wide_networks_are_reduced_in_reasonable_time(skip):
    rng = np.random.default_rng(10)
    X = rng.standard_normal((20, 3))
    check(random_network(rng, 800, 3, 5), X, skip)


def test_no_neurons_and_one_sample():
    empty = ReLUNetwork(np.zeros((0, 2)), [], np.zeros((0, 1)), [[1.0, 2.0]], [3.0])
    assert reduce_neurons(empty, [[1.0, 1.0]]).n_neurons == 0
    rng = np.random.default_rng(11)
    assert (
        check(random_network(rng, 5, 2, 2), rng.standard_normal((1, 2)), "constant").n_neurons == 0
    )


def test_what_cannot_work_is_named():
    network = random_network(np.random.default_rng(0), 3, 2, 1)
    with pytest.raises(InvalidInputError, match="X has 3 columns"):
        reduce_neurons(network, np.zeros((4, 3)))
    with pytest.raises(InvalidInputError, match="skip is 'linear'"):
        reduce_neurons(network, np.zeros((4, 2)), skip="linear")
