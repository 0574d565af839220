"""Certificates of interpolation with several inputs, against interpolants from CVXPY."""

import math
from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest

from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.status import Status
from mtrelu.verify import verify

SKIPS = ("affine", "constant")
CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
SQUARES = np.vstack([CORNERS, CORNERS / 2])
INNER = np.repeat([0.0, 1.0], 4)[:, None]


def two_ridges(alpha):
    """An optimal network for the two squares and one task: ridges along the first axis."""
    slope = -2 * (1 - 2 * alpha)
    return ReLUNetwork(
        [[1.0, 0.0], [-1.0, 0.0]], [-0.5, -0.5], [[slope], [slope]], [[0.0, 0.0]], [1 - alpha]
    )


def cheapest(problem, n_directions):
    """The cheapest interpolant with neurons in these directions, through a data point each."""
    X, Y, n_tasks = problem.X, problem.Y, problem.n_tasks
    angles = 2 * np.pi * np.arange(n_directions) / n_directions
    w = np.repeat(np.column_stack([np.cos(angles), np.sin(angles)]), len(X), axis=0)
    b = -np.einsum("kd,kd->k", w, np.tile(X, (n_directions, 1)))
    V, c, A = cp.Variable((b.size, n_tasks)), cp.Variable((1, n_tasks)), cp.Variable((2, n_tasks))
    F = np.maximum(X @ w.T + b, 0.0) @ V + np.ones((len(X), 1)) @ c
    if problem.skip == "affine":
        F = F + X @ A
    cp.Problem(cp.Minimize(cp.sum(cp.norm(V, 2, axis=1))), [F == Y]).solve(solver=cp.CLARABEL)
    slopes = A.value.T if problem.skip == "affine" else np.zeros((n_tasks, 2))
    return ReLUNetwork(w, b, V.value, slopes, c.value[0])


def random_network(rng, d, n_tasks, skip, n_neurons=6, scale=1.0):
    return ReLUNetwork(
        rng.standard_normal((n_neurons, d)),
        rng.standard_normal(n_neurons),
        scale * rng.standard_normal((n_neurons, n_tasks)),
        (skip == "affine") * rng.standard_normal((n_tasks, d)),
        rng.standard_normal(n_tasks),
    )


def through(problem, network):
    """The network with the same neurons that passes through the labels exactly, nearly."""
    features = np.column_stack(
        [np.maximum(problem.X @ network.w.T + network.b, 0), np.ones(problem.n_samples)]
    )
    if problem.skip == "affine":
        features = np.hstack([features, problem.X])
    solution = np.linalg.lstsq(features, problem.Y, rcond=None)[0]
    k = network.n_neurons
    A = solution[k + 1 :].T if problem.skip == "affine" else np.zeros(network.A.shape)
    return ReLUNetwork(network.w, network.b, solution[:k], A, solution[k])


@pytest.mark.parametrize("offset", [0.0, 1e4])
@pytest.mark.parametrize("skip", SKIPS)
def test_two_squares_interpolated(skip, offset):
    problem = Problem.make(SQUARES + offset, INNER, 0.0, skip=skip)
    ridges = two_ridges(0.0)
    network = replace(ridges, b=ridges.b - offset * ridges.w.sum(axis=1))
    certificate = verify(problem, network)
    assert certificate.status is Status.CERTIFIED and certificate.interpolation_error < 1e-12
    assert certificate.primal == 4.0 and certificate.dual <= 4.0
    assert certificate.violation == pytest.approx(1.0)
    wasteful = ReLUNetwork(
        np.vstack([network.w, network.w[:1], network.w[:1]]),
        np.append(network.b, [network.b[0]] * 2),
        np.vstack([network.v, [[1.0], [-1.0]]]),
        network.A,
        network.c,
    )
    hint = np.linalg.norm(SQUARES, axis=1)[:, None] < 1  # inside up, outside down
    certificate = verify(problem, wasteful, dual=np.where(hint, 2.0, -2.0) * 0.5)
    assert certificate.status is Status.NOT_OPTIMAL
    assert certificate.dual == pytest.approx(4.0) and certificate.gap == pytest.approx(2.0)


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("n_tasks", [1, 4])
def test_interpolation_is_bounded_by_any_interpolant(skip, n_tasks):
    rng = np.random.default_rng(7)
    X, Y = rng.standard_normal((7, 2)), rng.standard_normal((7, n_tasks))
    problem = Problem.make(X, Y, 0.0, skip=skip)
    best = cheapest(problem, 48)
    ceiling = best.path_cost() * (1 + 1e-7)
    network = through(problem, best.pruned(1e-5))
    certificate = verify(problem, network)
    assert certificate.status is not Status.INFEASIBLE
    assert 0.3 * ceiling < certificate.dual <= ceiling <= certificate.primal * (1 + 1e-4)
    for scale in (1e-9, 1.0, 1e9):
        hinted = verify(problem, network, dual=scale * rng.standard_normal(Y.shape))
        assert certificate.dual <= hinted.dual <= ceiling
    for seed in range(5):
        some = through(problem, random_network(np.random.default_rng(seed), 2, n_tasks, skip, 9))
        other = verify(problem, some)
        assert other.dual <= ceiling and other.primal >= certificate.dual


def test_networks_that_miss_the_labels_are_infeasible():
    problem = Problem.make(SQUARES, INNER, 0.0)
    for miss in (1e-10, 1e-3, 1.0):
        network = replace(two_ridges(0.0), c=np.array([1.0 + miss]))
        certificate = verify(problem, network)
        assert certificate.status is Status.INFEASIBLE
        assert certificate.gap == math.inf == certificate.relative_gap
        assert certificate.interpolation_error == pytest.approx(miss, rel=1e-4)
        assert certificate.dual <= 4.0


def test_undercutting_the_optimum_is_never_certified():
    # huge slopes that cancel make room for rounding, not for a cheaper network
    line = np.linspace(-1, 1, 9)
    X = np.column_stack([line, np.ones(9)])
    Y = np.abs(line)[:, None]
    flat = ReLUNetwork(np.zeros((0, 2)), [], np.zeros((0, 1)), [[0.0, 1e16]], [-1e16 + 0.5])
    assert verify(Problem.make(X, Y, 0.0), flat).status is Status.INFEASIBLE
    Y = 1.0 + 1e-15 * np.abs(line)[:, None]
    certificate = verify(Problem.make(X, Y + line[:, None] ** 2, 0.0), flat)
    assert certificate.status is Status.INFEASIBLE


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 1.0])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_affine_labels_are_certified_with_an_affine_network(alpha, offset):
    rng = np.random.default_rng(8)
    X = rng.standard_normal((30, 2)) + offset
    A, c = rng.standard_normal((3, 2)), rng.standard_normal(3)
    network = ReLUNetwork(np.zeros((0, 2)), [], np.zeros((0, 3)), A, c)
    for rounding in (0.0, 1e-16):
        Y = (X @ A.T + c) * (1 + rounding * rng.standard_normal((30, 3)))
        certificate = verify(Problem.make(X, Y, alpha), network)
        assert certificate.status is Status.CERTIFIED
    if alpha == 0:  # a neuron that is worth no more than rounding of the labels
        faint = ReLUNetwork([[1.0, 0.0]], [-offset], np.full((1, 3), 1e-17), A, c)
        assert verify(Problem.make(X, Y, 0.0), faint).status is Status.CERTIFIED
    bent = Y + 1e-3 * np.abs(X[:, :1] - offset)
    assert verify(Problem.make(X, bent, alpha), network).status is not Status.CERTIFIED or alpha > 0
