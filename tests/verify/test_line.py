"""Certificates against optima from CVXPY, exact rational arithmetic, and closed forms."""

import functools
import json
import math
import subprocess
import sys
import warnings
from dataclasses import replace
from fractions import Fraction

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtrelu.losses import HuberLoss, QuantileLoss
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError
from mtrelu.verify import Certificate, verify

LOSSES = {
    "squared": "squared",
    "huber": HuberLoss(delta=0.3),
    "logistic": "logistic",
    "quantile": QuantileLoss(quantile=0.3),
}


def reference_loss(problem, F):
    """The sum of losses as a CVXPY expression, written from the definitions."""
    Y, w = problem.Y, problem.sample_weight
    R, weights = Y - F, np.repeat(w[:, None], Y.shape[1], axis=1)
    name = problem.loss.name
    if name == "squared":
        terms = 0.5 * cp.square(R)
    elif name == "huber":
        terms = 0.5 * cp.huber(R, problem.loss.delta)
    elif name == "logistic":
        terms = cp.logistic(F) - cp.multiply(Y, F)
    else:
        q = problem.loss.quantile
        terms = cp.maximum(q * R, (q - 1) * R)
    return cp.sum(cp.multiply(weights, terms))


def reference(problem):
    """Optimal value and predictions at the distinct inputs, by group trend filtering."""
    x, rows = np.unique(problem.X[:, 0], return_inverse=True)
    F = cp.Variable((x.size, problem.Y.shape[1]))
    h = np.diff(x)
    slopes = cp.multiply(F[1:] - F[:-1], np.repeat(1 / h[:, None], F.shape[1], axis=1))
    changes = slopes[1:] - slopes[:-1]
    cost = reference_loss(problem, F[rows]) + problem.alpha * cp.sum(cp.norm(changes, 2, axis=1))
    task = cp.Problem(cp.Minimize(cost))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "may be inaccurate": 1e-8 is enough here
        task.solve(
            solver=cp.CLARABEL,
            tol_gap_abs=1e-11,
            tol_gap_rel=1e-11,
            tol_feas=1e-11,
            reduced_tol_gap_abs=1e-8,
            reduced_tol_gap_rel=1e-8,
        )
    assert task.status in ("optimal", "optimal_inaccurate")
    return float(task.value), x, np.asarray(F.value)


def connect(x, F):
    """The network that connects the dots."""
    slopes = np.diff(F, axis=0) / np.diff(x)[:, None]
    return ReLUNetwork.from_knots(
        x[1:-1], np.diff(slopes, axis=0), slopes[0], F[0] - slopes[0] * x[0]
    )


def make_data(name, n=14, n_tasks=2, seed=0):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-1, 1, size=n))
    Y = np.sin(4 * x)[:, None] * rng.standard_normal(n_tasks) + 0.3 * rng.standard_normal(
        (n, n_tasks)
    )
    if name == "logistic":
        Y = (Y > 0).astype(float)
        Y[::3] = 1 - Y[::3]  # not separable by few knots
    return x, Y


def random_network(rng, n_neurons, n_tasks, scale=1.0):
    return ReLUNetwork(
        scale * rng.standard_normal((n_neurons, 1)),
        rng.standard_normal(n_neurons),
        rng.standard_normal((n_neurons, n_tasks)),
        rng.standard_normal((n_tasks, 1)),
        rng.standard_normal(n_tasks),
    )


@functools.cache
def solved(name, alpha, seed=0, n_tasks=2):
    x, Y = make_data(name, n_tasks=n_tasks, seed=seed)
    problem = Problem.make(x, Y, alpha, loss=LOSSES[name])
    return problem, *reference(problem)


# --- the bound holds, and it is tight -----------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.3, 0.03, 0.003])
@pytest.mark.parametrize("n_tasks", [1, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_optimal_networks_are_certified(name, n_tasks, alpha):
    problem, optimum, x, F = solved(name, alpha, n_tasks=n_tasks)
    certificate = verify(problem, connect(x, F), tol=1e-4)
    assert certificate.status is Status.CERTIFIED
    slack = 1e-7 * optimum  # what Clarabel is good for
    assert certificate.dual <= optimum + slack
    assert certificate.primal >= optimum - slack
    assert certificate.primal == pytest.approx(optimum, rel=1e-6)
    assert certificate.gap == pytest.approx(certificate.primal - certificate.dual, abs=1e-13)


@pytest.mark.parametrize("name", LOSSES)
def test_perturbed_optima_have_a_gap_of_at_least_what_they_lost(name):
    problem, optimum, x, F = solved(name, 0.03)
    rng = np.random.default_rng(1)
    for size in 10.0 ** np.arange(-5.0, 1.0):
        network = connect(x, F + size * rng.standard_normal(F.shape))
        certificate = verify(problem, network)
        lost = problem.objective(network) - optimum
        assert certificate.gap >= lost - 1e-7 * optimum
        assert certificate.gap <= certificate.primal * (1 + 1e-12)
        if lost > 1e-5 * certificate.primal:
            assert certificate.status is not Status.CERTIFIED


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(LOSSES)), st.sampled_from([1.0, 0.05, 1e-3]))
def test_bounds_of_random_networks_enclose_the_optimum(seed, name, alpha):
    problem, optimum, _, F = solved(name, alpha)
    rng = np.random.default_rng(seed)
    network = random_network(rng, int(rng.integers(0, 30)), F.shape[1])
    hint = rng.standard_normal(F.shape) if seed % 2 else None
    certificate = verify(problem, network, dual=hint)
    assert certificate.dual <= optimum * (1 + 1e-7)
    assert certificate.primal >= optimum * (1 - 1e-7)
    assert certificate.primal == pytest.approx(problem.objective(network), rel=1e-12)
    assert certificate.status is Status.NOT_OPTIMAL
    assert certificate.relative_gap >= 1 - optimum / certificate.primal - 1e-7


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(LOSSES)), st.floats(-3, 0))
def test_bounds_hold_on_random_data_with_ties_and_weights(seed, name, log_alpha):
    rng = np.random.default_rng(seed)
    n, n_tasks = int(rng.integers(3, 10)), int(rng.integers(1, 4))
    x = rng.integers(0, 6, size=n) + 0.1 * rng.integers(0, 2, size=n)
    x[:3] = [0.0, 2.0, 5.0]
    Y = rng.uniform(size=(n, n_tasks)).round(int(rng.integers(0, 3)))
    if name == "logistic":
        Y = 0.1 + 0.8 * Y  # labels of 0 and 1 alone may be separable: then there is no optimum
    problem = Problem.make(
        x, Y, 10.0**log_alpha, loss=LOSSES[name], sample_weight=rng.uniform(0.2, 3, size=n)
    )
    optimum, nodes, F = reference(problem)
    best = verify(problem, connect(nodes, F))
    rough = verify(problem, connect(nodes, F + 0.1 * rng.standard_normal(F.shape)))
    for certificate in (best, rough):
        assert certificate.dual <= optimum + 1e-7 * max(optimum, 1e-3)
        assert certificate.primal >= optimum - 1e-7 * max(optimum, 1e-3)
    if name != "quantile":  # with ties its dual variable may take a hint to find
        assert best.gap <= 1e-3 * max(optimum, 1e-3)


@pytest.mark.parametrize("name", LOSSES)
def test_wrong_hints_change_nothing_for_the_worse(name):
    problem, optimum, x, F = solved(name, 0.03)
    network = connect(x, F + 0.1)
    plain = verify(problem, network)
    rng = np.random.default_rng(2)
    hints = [
        np.zeros(F.shape),
        np.full(F.shape, 1e12),
        1e-300 * rng.standard_normal(F.shape),
        *(scale * rng.standard_normal(F.shape) for scale in (1e-3, 1.0, 1e8)),
    ]
    for hint in hints:
        certificate = verify(problem, network, dual=hint)
        assert certificate.gap <= plain.gap
        assert certificate.dual <= optimum * (1 + 1e-7)


@pytest.mark.parametrize("name", LOSSES)
def test_a_good_hint_gives_a_good_bound_for_a_bad_network(name):
    problem, optimum, x, F = solved(name, 0.03)
    shuffle = np.random.default_rng(3).permutation(x.size)
    shuffled = Problem.make(problem.X[shuffle], problem.Y[shuffle], 0.03, loss=problem.loss)
    P = best_dual(problem)
    bad = connect(x, F + np.sin(9 * x)[:, None])
    assert verify(shuffled, bad, dual=P[shuffle]).dual == pytest.approx(optimum, rel=1e-5)
    assert verify(shuffled, bad).dual < 0.9999 * optimum


def best_dual(problem):
    """An optimal dual variable, from CVXPY, written as a problem of its own."""
    x, Y, name = problem.X[:, 0], problem.Y, problem.loss.name
    P = cp.Variable(Y.shape)
    ramps = np.maximum(x[:, None] - x[None, :], 0.0)
    bounds = [cp.norm(ramps.T @ P, 2, axis=1) <= problem.alpha, cp.sum(P, axis=0) == 0, x @ P == 0]
    value = cp.sum(cp.multiply(P, Y))
    if name in ("squared", "huber"):
        value -= 0.5 * cp.sum_squares(P)
    if name == "huber":
        bounds.append(cp.abs(P) <= problem.loss.delta)
    if name == "quantile":
        bounds += [P <= problem.loss.quantile, P >= problem.loss.quantile - 1]
    if name == "logistic":
        value = cp.sum(cp.entr(Y - P) + cp.entr(1 - Y + P))
    cp.Problem(cp.Maximize(value), bounds).solve(solver=cp.CLARABEL)
    return np.asarray(P.value)


@pytest.mark.parametrize("name", LOSSES)
def test_networks_are_judged_as_functions_and_parameters(name):
    # the same function written with other neurons: same loss, cost at least as large
    problem, optimum, x, F = solved(name, 0.03)
    best = connect(x, F)
    turned = ReLUNetwork(
        np.vstack([-0.5 * best.w, 3.0 * best.w]),
        np.concatenate([-0.5 * best.b, 3.0 * best.b]),
        np.vstack([best.v, best.v / 6.0]),
        best.A + best.v.sum(axis=0)[:, None] * 0.5,
        best.c + best.v.T @ best.b * 0.5,
    )
    np.testing.assert_allclose(turned(x), F, atol=1e-9)  # (u)+ = (-u)+ + u, half and half
    split = verify(problem, turned)
    assert split.primal == pytest.approx(optimum, rel=1e-6)
    wasteful = ReLUNetwork(
        np.vstack([best.w, [[1.0]], [[1.0]]]),
        np.concatenate([best.b, [0.0, 0.0]]),
        np.vstack([best.v, [[1.0, 1.0]], [[-1.0, -1.0]]]),
        best.A,
        best.c,
    )
    certificate = verify(problem, wasteful)
    assert certificate.gap == pytest.approx(2 * math.sqrt(2) * 0.03, rel=1e-3)
    assert certificate.status is Status.NOT_OPTIMAL


# --- closed forms -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_affine_fits_are_optimal_for_large_alpha(name):
    x, Y = make_data(name, n=30, n_tasks=3)
    problem = Problem.make(x, Y, 1e3, loss=LOSSES[name])
    A, c, P = problem.affine_fit()
    line = ReLUNetwork(np.empty((0, 1)), np.empty(0), np.empty((0, 3)), A, c)
    certificate = verify(problem, line, dual=P, tol=1e-12)
    assert certificate.status is Status.CERTIFIED
    assert certificate.relative_gap <= 1e-13
    assert certificate.violation < 1


def test_tent_by_hand():
    # y = 0, 1, 0: P = p (-1, 2, -1) with |p| <= alpha, so that dual = 2p - 3p^2
    x, Y = [0.0, 1.0, 2.0], [0.0, 1.0, 0.0]
    alpha = 0.1
    problem = Problem.make(x, Y, alpha)
    y = np.array([0.0, 1.0, 0.0]) - alpha * np.array([-1.0, 2.0, -1.0])
    certificate = verify(problem, connect(np.array(x), y[:, None]), tol=1e-14)
    assert certificate.primal == pytest.approx(2 * alpha - 3 * alpha**2, rel=1e-15)
    assert certificate.status is Status.CERTIFIED
    assert certificate.violation == pytest.approx(1.0, rel=1e-12)
    w, b = certificate.most_violated
    assert w.tolist() == [1.0] and b == -1.0


def test_violation_names_the_missing_neuron():
    x = np.arange(9.0)
    Y = np.abs(x - 4.0)
    problem = Problem.make(x, Y, 0.01)
    A, c, _ = problem.affine_fit()
    certificate = verify(
        problem, ReLUNetwork(np.empty((0, 1)), np.empty(0), np.empty((0, 1)), A, c)
    )
    assert certificate.violation > 100
    assert certificate.most_violated[1] == -4.0


@pytest.mark.parametrize("x", [[2.0], [2.0, 2.0, 2.0], [1.0, 3.0]])
@pytest.mark.parametrize("name", ["squared", "huber", "quantile"])
def test_few_distinct_inputs(x, name):
    Y = np.array([1.0, 5.0, 3.0])[: len(x)]
    problem = Problem.make(x, Y, 0.5, loss="quantile" if name == "quantile" else name)
    if len(x) == 3:
        centre = 3.0
        network = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], [centre])
        spread = {"squared": 4.0, "huber": 2 * 1.35 * (2 - 1.35 / 2), "quantile": 2.0}[name]
        assert verify(problem, network).primal == pytest.approx(spread)
    elif len(x) == 2:
        network = ReLUNetwork.from_knots([], np.empty((0, 1)), [2.0], [-1.0])
    else:
        network = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], [1.0])
    assert verify(problem, network).status is Status.CERTIFIED
    off = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], [7.0])
    assert verify(problem, off).status is Status.NOT_OPTIMAL


def test_exactly_affine_labels_are_certified_though_the_objective_is_rounding():
    x = np.linspace(0.1, 0.9, 50)
    for alpha in (0.0, 1e-3, 1.0):
        problem = Problem.make(x, 0.1 * x + 0.3, alpha)
        network = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.1], [0.3])
        certificate = verify(problem, network)
        assert certificate.status is Status.CERTIFIED
        assert certificate.primal < 1e-28
        wrong = ReLUNetwork.from_knots([0.5], [[1e-6]], [0.1], [0.3])
        assert verify(problem, wrong).status is not Status.CERTIFIED


def test_only_affine_labels_have_a_negligible_objective():
    # alpha so small that the objective is less than rounding of the labels would make it
    x, Y = np.arange(8.0), np.array([0.0, 1.0, 0.0, 2.0, -1.0, 0.0, 0.0, 1.0])
    problem = Problem.make(x, Y, 1e-32)
    network = connect(x, Y[:, None])
    # residuals of zero say nothing about the dual variable; its second sums are ±alpha at knots
    u = np.concatenate([[0.0], 1e-32 * np.sign(network.slope_changes()[:, 0]), [0.0]])
    hint = np.convolve(u, [1.0, -2.0, 1.0], mode="same")[:, None]
    hint[[0, -1], 0] = u[1], u[-2]
    assert verify(problem, network, dual=hint).status is Status.CERTIFIED
    wasteful = ReLUNetwork.from_knots(
        np.append(network.knots(), [0.25, 0.5, 0.75]),
        np.vstack([network.slope_changes(), [[10.0], [-20.0], [10.0]]]),
        network.A[:, 0],
        network.c,
    )
    certificate = verify(problem, wasteful, dual=hint)
    assert np.all(wasteful(x)[:, 0] == Y)
    assert certificate.status is Status.NOT_OPTIMAL
    assert certificate.gap == pytest.approx(40e-32, rel=1e-6)


def test_a_wide_huber_loss_is_the_squared_loss():
    # two ways through the code, one answer
    rng = np.random.default_rng(15)
    x, Y = make_data("squared", n=40, n_tasks=3)
    weights = rng.uniform(0.5, 2.0, size=40)
    for network in (random_network(rng, 8, 3), connect(x[::4], Y[::4])):
        squared, huber = (
            verify(Problem.make(x, 5 + Y, 0.02, loss=loss, sample_weight=weights), network)
            for loss in ("squared", HuberLoss(delta=1e6))
        )
        assert huber.primal == pytest.approx(squared.primal, rel=1e-15)
        assert huber.dual == pytest.approx(squared.dual, rel=1e-11)
        assert huber.violation == pytest.approx(squared.violation, rel=1e-6)


# --- rounding -----------------------------------------------------------------------------------


def exact_objective(problem, network):
    """Squared loss plus penalty of one task, without any rounding."""
    value = Fraction(0)
    for x, y, weight in zip(
        problem.X[:, 0].tolist(), problem.Y[:, 0].tolist(), problem.sample_weight, strict=True
    ):
        f = Fraction(network.A[0, 0]) * Fraction(x) + Fraction(network.c[0])
        for w, b, v in zip(network.w[:, 0], network.b, network.v[:, 0], strict=True):
            f += Fraction(v) * max(Fraction(w) * Fraction(x) + Fraction(b), 0)
        value += Fraction(weight) * (Fraction(y) - f) ** 2 / 2
    cost = sum(
        abs(Fraction(v) * Fraction(w))
        for v, w in zip(network.v[:, 0], network.w[:, 0], strict=True)
    )
    return value + Fraction(problem.alpha) * cost


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e10])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_primal_is_that_of_the_parameters(offset, scale):
    rng = np.random.default_rng(4)
    x = scale * (offset + np.sort(rng.uniform(0, 20, size=25)))
    w = rng.standard_normal(12) / scale
    knots = rng.choice(x, size=12)
    network = ReLUNetwork(
        w[:, None], -w * knots, rng.standard_normal((12, 1)), [[0.3 / scale]], [-0.3 * offset]
    )
    problem = Problem.make(x, rng.standard_normal(25), 0.1, sample_weight=rng.uniform(1, 2, 25))
    exact = exact_objective(problem, network)
    assert verify(problem, network).primal == pytest.approx(float(exact), rel=4e-16)


@pytest.mark.parametrize("offset", [0.0, 1e10])
@pytest.mark.parametrize("x_scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("y_scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("name", ["squared", "huber", "quantile"])
def test_units_and_offsets_do_not_matter(offset, x_scale, y_scale, name):
    # knots on a dyadic grid: shifting and scaling by powers of two is exact
    x_scale, y_scale = 2.0 ** round(math.log2(x_scale)), 2.0 ** round(math.log2(y_scale))
    rng = np.random.default_rng(5)
    x = np.arange(16.0)
    Y = rng.integers(-8, 9, size=(16, 2)) / 4.0
    losses = {"huber": (HuberLoss(0.5), HuberLoss(0.5 * y_scale))}.get(name, (name, name))
    knots, changes = x[2:14:3], rng.integers(-4, 5, size=(4, 2)) / 8.0
    slope = np.array([0.25, -0.5])
    origin = x_scale * offset
    plain = verify(
        Problem.make(x, Y, 0.25, loss=losses[0]),
        ReLUNetwork.from_knots(knots, changes, slope, [1.0, 0.0]),
    )
    power = 1 if name == "quantile" else 2
    unit = y_scale**power
    moved_slope = slope * y_scale / x_scale
    moved = verify(
        Problem.make(
            origin + x_scale * x,
            y_scale * Y,
            0.25 * unit * x_scale / y_scale,
            loss=losses[1],
        ),
        ReLUNetwork.from_knots(
            origin + x_scale * knots,
            changes * y_scale / x_scale,
            moved_slope,
            np.array([1.0, 0.0]) * y_scale - moved_slope * origin,
        ),
    )
    assert moved.primal / unit == pytest.approx(plain.primal, rel=1e-13)
    assert moved.dual / unit == pytest.approx(plain.dual, rel=1e-9)
    assert moved.violation == pytest.approx(plain.violation, rel=1e-9)


def test_tiny_gaps_are_resolved():
    # A chord of length 1e-9 moves the optimum by a known amount: gap follows it
    problem, _, x, F = solved("squared", 0.03, n_tasks=1)
    tight = []
    for size in (1e-5, 1e-6, 1e-7):
        bump = np.zeros_like(F)
        bump[5] = size
        tight.append(verify(problem, connect(x, F + bump)).relative_gap)
    assert tight[0] > tight[1] > tight[2]


def test_a_gap_of_1e_14_is_possible():
    # an affine fit above alpha_max, whose dual is exact; a shift d costs N d^2 / 2 and no more
    rng = np.random.default_rng(6)
    x, Y = np.sort(rng.uniform(size=400)), rng.standard_normal((400, 3))
    problem = Problem.make(x, Y, 1e4)
    A, c, _ = problem.affine_fit()
    none = np.empty((0, 1)), np.empty(0), np.empty((0, 3))
    at_optimum = verify(problem, ReLUNetwork(*none, A, c))
    assert at_optimum.relative_gap <= 4e-15
    for d in (1e-3, 1e-4, 1e-5, 1e-6):
        certificate = verify(problem, ReLUNetwork(*none, A, c + d))
        lost = 400 * 3 * d**2 / 2
        assert certificate.gap == pytest.approx(lost, rel=1e-2, abs=1e-14 * certificate.primal)


def test_overflow_and_underflow_prove_nothing():
    x = np.array([0.0, 1.0, 2.0, 4.0])
    network = ReLUNetwork.from_knots([1.0], [[1.0]], [0.0], [0.0])
    for unit in (1e200, 1e-200, 1e-170, 1e-155):
        labels = unit * np.array([0.0, 1.0, 0.0, 3.0])
        scaled = ReLUNetwork(network.w, network.b, unit * network.v, network.A, network.c)
        for loss in ("squared", "huber"):
            small = Problem.make(x, np.zeros(4), 0.1 * unit, loss=loss)
            problem = replace(small, Y=labels[:, np.newaxis])  # beyond what `make` takes
            certificate = verify(problem, scaled)
            assert certificate.status is not Status.CERTIFIED
            assert json.dumps(certificate.to_dict(), allow_nan=False)


def test_offset_of_the_labels():
    rng = np.random.default_rng(8)
    x, Y = np.arange(12.0), 1e9 + rng.integers(-8, 9, size=(12, 2)) / 4.0
    problem = Problem.make(x, Y, 0.125)
    knots, changes = x[3:9:2], rng.integers(-2, 3, size=(3, 2)) / 8.0
    network = ReLUNetwork.from_knots(knots, changes, [0.0, 0.0], [1e9, 1e9])
    near = Problem.make(x, Y - 1e9, 0.125)
    plain = verify(near, ReLUNetwork.from_knots(knots, changes, [0.0, 0.0], [0.0, 0.0]))
    assert verify(problem, network).dual == pytest.approx(plain.dual, rel=1e-12)


# --- invariances --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_order_weights_and_duplicates(name):
    x, Y = make_data(name, n=12)
    rng = np.random.default_rng(9)
    network = random_network(rng, 6, 2)
    copies = rng.integers(1, 4, size=12)
    weighted = verify(Problem.make(x, Y, 0.1, loss=LOSSES[name], sample_weight=copies), network)
    shuffle = rng.permutation(copies.sum())
    rows = np.repeat(np.arange(12), copies)[shuffle]
    repeated = verify(Problem.make(x[rows], Y[rows], 0.1, loss=LOSSES[name]), network)
    assert repeated.primal == pytest.approx(weighted.primal, rel=1e-14)
    assert repeated.dual == pytest.approx(weighted.dual, rel=1e-7)
    ignored = Problem.make(
        np.append(x, 5.0),
        np.vstack([Y, [[1.0, 0.0]]]),
        0.1,
        loss=LOSSES[name],
        sample_weight=np.append(copies, 0),
    )
    assert verify(ignored, network).dual == weighted.dual


def test_rotating_tasks_changes_nothing():
    rng = np.random.default_rng(10)
    x, Y = make_data("squared", n=20, n_tasks=4)
    rotation = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    network = random_network(rng, 5, 4)
    turned = ReLUNetwork(
        network.w, network.b, network.v @ rotation, rotation.T @ network.A, rotation.T @ network.c
    )
    plain = verify(Problem.make(x, Y, 0.1), network)
    rotated = verify(Problem.make(x, Y @ rotation, 0.1), turned)
    assert rotated.dual == pytest.approx(plain.dual, rel=1e-12)
    assert rotated.primal == pytest.approx(plain.primal, rel=1e-12)


def test_many_tasks_are_treated_in_blocks():
    # more entries than one block holds; zero tasks add nothing but their loss
    rng = np.random.default_rng(11)
    x, Y = make_data("squared", n=20, n_tasks=2)
    network = random_network(rng, 5, 2)
    n_tasks = (1 << 20) // 20 + 1000
    where = [7, n_tasks - 3]  # in different blocks
    wide = np.zeros((20, n_tasks))
    wide[:, where] = Y
    v, A, c = np.zeros((5, n_tasks)), np.zeros((n_tasks, 1)), np.zeros(n_tasks)
    v[:, where], A[where], c[where] = network.v, network.A, network.c
    plain = verify(Problem.make(x, Y, 0.1), network)
    certificate = verify(Problem.make(x, wide, 0.1), ReLUNetwork(network.w, network.b, v, A, c))
    assert certificate.primal == pytest.approx(plain.primal, rel=1e-14)
    assert certificate.dual == pytest.approx(plain.dual, rel=1e-12)


# --- interpolation ------------------------------------------------------------------------------


def test_connect_the_dots_is_certified():
    rng = np.random.default_rng(12)
    for n, n_tasks in ((1, 1), (2, 3), (3, 2), (50, 1), (500, 4)):
        x, Y = np.sort(rng.uniform(size=n)), rng.standard_normal((n, n_tasks))
        network = (
            connect(x, Y) if n > 1 else ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], Y[0])
        )
        certificate = verify(Problem.make(x, Y, 0.0), network, tol=1e-12)
        assert certificate.status is Status.CERTIFIED
        assert certificate.interpolation_error < 1e-11
        slopes = np.diff(Y, axis=0) / np.diff(x)[:, None]
        expected = np.linalg.norm(np.diff(slopes, axis=0), axis=1).sum()
        assert certificate.dual == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("offset", [0.0, 1e10])
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_interpolation_at_large_offsets_and_odd_scales(offset, scale):
    rng = np.random.default_rng(13)
    x = scale * (offset + np.cumsum(rng.uniform(0.5, 1.5, size=40)))
    Y = rng.standard_normal((40, 3))
    certificate = verify(Problem.make(x, Y, 0.0), connect(x, Y))
    assert certificate.status is Status.CERTIFIED


def test_interpolation_optimum_is_exact():
    rng = np.random.default_rng(14)
    x = 1e6 + np.sort(rng.uniform(size=30))
    Y = 1e3 + rng.standard_normal((30, 1))
    t, y = [Fraction(a) for a in x], [Fraction(a) for a in Y[:, 0]]
    slopes = [(y[i + 1] - y[i]) / (t[i + 1] - t[i]) for i in range(29)]
    exact = sum(abs(slopes[i + 1] - slopes[i]) for i in range(28))
    certificate = verify(Problem.make(x, Y, 0.0), connect(x, Y))
    assert certificate.dual == pytest.approx(float(exact), rel=4e-16)


def test_interpolation_ignores_equal_rows_and_order():
    x, Y = np.array([2.0, 0.0, 1.0, 2.0, 3.0]), np.array([1.0, 0.0, 2.0, 1.0, 5.0])
    certificate = verify(
        Problem.make(x, Y, 0.0), connect(np.arange(4.0), np.array([[0.0], [2.0], [1.0], [5.0]]))
    )
    assert certificate.status is Status.CERTIFIED
    assert certificate.dual == 8.0


def test_other_optimal_interpolants_are_certified_and_wasteful_ones_are_not():
    # slope changes 1, 1: the two knots at 1 and 2 may become one at 1.5 (Theorem 3.1)
    x, Y = np.arange(4.0), np.array([0.0, 0.0, 1.0, 3.0])
    problem = Problem.make(x, Y, 0.0)
    moved = ReLUNetwork.from_knots([1.5], [[2.0]], [0.0], [0.0])
    assert verify(problem, moved).status is Status.CERTIFIED
    wiggly = ReLUNetwork.from_knots(
        [0.4, 0.5, 0.6, 1.5], [[1.0], [-2.0], [1.0], [2.0]], [0.0], [0.0]
    )
    certificate = verify(problem, wiggly)
    assert certificate.status is Status.NOT_OPTIMAL
    assert certificate.gap == pytest.approx(4.0)
    assert certificate.relative_gap == pytest.approx(2 / 3)


@pytest.mark.parametrize("miss", [1e-10, 1e-6, 1.0])
def test_networks_that_miss_the_labels_are_infeasible(miss):
    x, Y = make_data("squared", n=20)
    F = Y.copy()
    F[7, 1] += miss
    certificate = verify(Problem.make(x, Y, 0.0), connect(x, F))
    assert certificate.status is Status.INFEASIBLE
    assert certificate.gap == math.inf and certificate.relative_gap == math.inf
    assert certificate.interpolation_error == pytest.approx(miss / np.abs(Y).max(), rel=1e-4)
    assert "does not" in certificate.in_words()


def test_undercutting_the_optimum_is_never_certified():
    # smoothing within the tolerance of interpolation lowers the cost: that is no better network
    x = np.concatenate([np.arange(10.0), np.arange(10) + 1e-13])
    x.sort()
    Y = np.tile([0.0, 1e-15], 10)[:, None] + 1.0
    flat = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], [1.0])
    bent = np.sin(np.arange(20.0))[:, None]
    certificate = verify(Problem.make(x, Y + bent, 0.0), flat)
    assert certificate.status is Status.INFEASIBLE
    problem = Problem.make(x, Y + 0.5 * (x[:, None] > 4.5), 0.0)
    F = 1.0 + 0.5 * (x > 4.5)
    certificate = verify(problem, connect(x, F[:, None]))
    assert certificate.status in (Status.INFEASIBLE, Status.NOT_OPTIMAL)


# --- statuses, words, storage -------------------------------------------------------------------


def test_status_follows_the_gap():
    problem, _, x, F = solved("squared", 0.03)
    network = connect(x, F + 1e-3)
    gap = verify(problem, network).relative_gap
    for tol, limit_reached, status in (
        (2 * gap, False, Status.CERTIFIED),
        (2 * gap, True, Status.CERTIFIED),
        (gap / 2, False, Status.ALMOST),
        (gap / 2, True, Status.LIMIT_REACHED),
        (gap / 900, False, Status.ALMOST),
        (gap / 1100, False, Status.NOT_OPTIMAL),
        (gap / 1100, True, Status.LIMIT_REACHED),
    ):
        certificate = verify(problem, network, tol=tol, limit_reached=limit_reached)
        assert certificate.status is status, (tol, limit_reached)
        assert certificate.relative_gap == gap and certificate.tol == tol


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_certificates_survive_json(alpha):
    x, Y = make_data("squared", n=6)
    for network in (connect(x, Y), connect(x, Y + np.arange(6.0)[:, None] ** 2)):
        certificate = verify(Problem.make(x, Y, alpha), network)
        copy = Certificate.from_dict(json.loads(json.dumps(certificate.to_dict(), allow_nan=False)))
        for name in Certificate.__dataclass_fields__:
            if name != "most_violated":
                assert getattr(copy, name) == getattr(certificate, name)
        assert copy.most_violated[1] == certificate.most_violated[1]
        np.testing.assert_array_equal(copy.most_violated[0], certificate.most_violated[0])
        assert type(copy.primal) is float
        assert copy.in_words() == certificate.in_words()


@pytest.mark.parametrize(
    "broken", [{}, {"primal": "x"}, {"status": "perfect"}, {"most_violated": [1]}, {"alpha": None}]
)
def test_broken_storage_is_refused(broken):
    x, Y = make_data("squared", n=6)
    plain = verify(Problem.make(x, Y, 0.1), connect(x, Y)).to_dict()
    plain = plain | broken if broken else {}
    with pytest.raises(InvalidInputError, match="stored certificate"):
        Certificate.from_dict(plain)


def test_words_are_for_people():
    problem, _, x, F = solved("squared", 0.03)
    words = verify(problem, connect(x, F), tol=1e-4).in_words()
    assert "no network of any width" in words
    assert words.count("proved") >= 2
    for jargon in ("dual", "primal", "oracle", "nan", "inf "):
        assert jargon not in words
    poor = verify(problem, connect(x, F + 1.0)).in_words()
    assert "%" in poor and "globally optimal" not in poor
    labels = verify(Problem.make(x, F, 0.0), connect(x, F)).in_words()
    assert "passes through all labels" in labels


def test_numbers_are_plain_floats():
    for alpha, name in ((0.1, "squared"), (0.1, "huber"), (0.0, "squared")):
        x, Y = make_data(name)
        certificate = verify(Problem.make(x, Y, alpha, loss=name), connect(x, Y))
        for value in (certificate.primal, certificate.dual, certificate.gap):
            assert type(value) is float
        assert type(certificate.relative_gap) is float and type(certificate.violation) is float
        assert certificate.oracle == "exact"
        assert (certificate.n_samples, certificate.n_tasks) == (14, 2)


# --- bad input ----------------------------------------------------------------------------------


def test_what_cannot_be_certified_is_refused():
    line = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], [0.0])
    x, Y = [0.0, 1.0, 2.0], [0.0, 1.0, 0.0]
    with pytest.raises(InvalidInputError, match="not attained"):
        verify(Problem.make(x, Y, 0.1, skip="none"), line)
    problem = Problem.make(x, Y, 0.1)
    two = ReLUNetwork.from_knots([], np.empty((0, 2)), [0.0, 0.0], [0.0, 0.0])
    with pytest.raises(InvalidInputError, match="network has"):
        verify(problem, two)
    with pytest.raises(InvalidInputError, match="dual has shape"):
        verify(problem, line, dual=np.zeros((2, 1)))
    with pytest.raises(InvalidInputError, match="not finite"):
        verify(problem, line, dual=np.array([[0.0], [np.nan], [1.0]]))
    for tol in (0.0, -1.0, math.nan):
        with pytest.raises(InvalidInputError, match="tol"):
            verify(problem, line, tol=tol)


def test_inputs_are_left_as_they_are():
    x, Y = make_data("quantile")
    problem = Problem.make(x[::-1], Y[::-1], 0.1, loss="quantile")
    network = connect(x, Y)
    hint = np.random.default_rng(0).standard_normal(Y.shape)
    arrays = (problem.X, problem.Y, problem.sample_weight, network.v, network.b, hint)
    before = [array.copy() for array in arrays]
    verify(problem, network, dual=hint)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_read_only_arrays_are_fine():
    x, Y = make_data("squared")
    problem = Problem.make(x, Y, 0.1)
    hint = np.ones(Y.shape)
    for array in (problem.X, problem.Y, problem.sample_weight, hint):
        array.flags.writeable = False
    assert verify(problem, connect(x, Y), dual=hint).status is Status.NOT_OPTIMAL


def test_import_compiles_nothing():
    code = "import sys, mtrelu.verify; sys.exit('numba' in sys.modules or 'cvxpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
