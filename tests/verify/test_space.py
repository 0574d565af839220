"""Certificates of several inputs against CVXPY, closed forms, and the certificate of one input."""

import functools
import itertools
import math
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
from mtrelu.oracles.plane import PlaneOracle
from mtrelu.problem import Problem
from mtrelu.status import Status
from mtrelu.validation import InvalidInputError
from mtrelu.verify import verify
from mtrelu.verify.space import verify_space

LOSSES = {
    "squared": "squared",
    "huber": HuberLoss(delta=0.3),
    "logistic": "logistic",
    "quantile": QuantileLoss(quantile=0.3),
}
SKIPS = ("affine", "constant")
CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
SQUARES = np.vstack([CORNERS, CORNERS / 2])
INNER = np.repeat([0.0, 1.0], 4)[:, None]
LABELS_101 = np.hstack([INNER, np.random.default_rng(0).integers(0, 2, size=(8, 100))])


def fitted(problem, w, b):
    """The best network with these neurons, unit w, by CVXPY: its objective bounds the optimum."""
    X, Y, (n, n_tasks) = problem.X, problem.Y, problem.Y.shape
    hidden = np.maximum(X @ w.T + b, 0.0)
    V, c = cp.Variable((b.size, n_tasks)), cp.Variable((1, n_tasks))
    A = cp.Variable((X.shape[1], n_tasks))
    F = hidden @ V + np.ones((n, 1)) @ c
    if problem.skip == "affine":
        F = F + X @ A
    R, name = Y - F, problem.loss.name
    if name == "squared":
        terms = 0.5 * cp.square(R)
    elif name == "huber":
        terms = 0.5 * cp.huber(R, problem.loss.delta)
    elif name == "logistic":
        terms = cp.logistic(F) - cp.multiply(Y, F)
    else:
        terms = cp.maximum(problem.loss.quantile * R, (problem.loss.quantile - 1) * R)
    weights = np.repeat(problem.sample_weight[:, None], n_tasks, axis=1)
    cost = cp.sum(cp.norm(V, 2, axis=1))
    if problem.alpha > 0:
        task = cp.Problem(
            cp.Minimize(cp.sum(cp.multiply(weights, terms)) + problem.alpha * cost), []
        )
    else:
        task = cp.Problem(cp.Minimize(cost), [F == Y])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an inaccurate point is an upper bound too
        task.solve(
            solver=cp.CLARABEL,
            tol_gap_abs=1e-11,
            tol_gap_rel=1e-11,
            tol_feas=1e-11,
            reduced_tol_gap_abs=1e-7,
            reduced_tol_gap_rel=1e-7,
        )
    slopes = A.value.T if problem.skip == "affine" else np.zeros((n_tasks, X.shape[1]))
    return ReLUNetwork(w, b, V.value, slopes, c.value[0])


def dictionary(X, n_directions):
    """Unit neurons whose hyperplane passes through a data point, many directions."""
    d = X.shape[1]
    if d == 1:
        directions = np.array([[1.0], [-1.0]])
    elif d == 2:
        angles = 2 * np.pi * np.arange(n_directions) / n_directions
        directions = np.column_stack([np.cos(angles), np.sin(angles)])
    else:
        directions = np.random.default_rng(0).standard_normal((n_directions, d))
        directions /= np.linalg.norm(directions, axis=1)[:, None]
    w = np.repeat(directions, X.shape[0], axis=0)
    return w, -np.einsum("kd,kd->k", w, np.tile(X, (directions.shape[0], 1)))


def labels_for(name, rng, n, n_tasks):
    if name == "logistic":
        return 0.1 + 0.8 * (rng.uniform(size=(n, n_tasks)) < 0.5)
    return rng.standard_normal((n, n_tasks))


def random_network(rng, d, n_tasks, skip, n_neurons=6, scale=1.0):
    return ReLUNetwork(
        rng.standard_normal((n_neurons, d)),
        rng.standard_normal(n_neurons),
        scale * rng.standard_normal((n_neurons, n_tasks)),
        (skip == "affine") * rng.standard_normal((n_tasks, d)),
        rng.standard_normal(n_tasks),
    )


def in_space(problem, network, hint=None, tol=1e-6):
    """The certificate of several inputs, also where verify would take that of one."""
    with np.errstate(over="ignore", invalid="ignore"):
        oracle = PlaneOracle(problem.X, problem.skip)
        return verify_space(problem, network, hint, tol, False, oracle)


# --- known optima -------------------------------------------------------------------------------


def two_ridges(alpha):
    """An optimal network for the two squares and one task: ridges along the first axis."""
    slope = -2 * (1 - 2 * alpha)
    return ReLUNetwork(
        [[1.0, 0.0], [-1.0, 0.0]], [-0.5, -0.5], [[slope], [slope]], [[0.0, 0.0]], [1 - alpha]
    )


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("alpha", [2.0**-1, 2.0**-10, 2.0**-30])
def test_two_squares_with_one_task(alpha, skip):
    # 4 alpha - 4 alpha^2 while that network is optimal; all numbers are dyadic, so this is exact
    problem = Problem.make(SQUARES, INNER, alpha, skip=skip)
    optimum = 4 * Fraction(alpha) * (1 - Fraction(alpha))
    certificate = verify(problem, two_ridges(alpha))
    if alpha < 0.2:
        assert certificate.status is Status.CERTIFIED and certificate.oracle == "exact"
        assert certificate.relative_gap < 1e-10 if alpha > 1e-6 else 1e-6
        assert certificate.stationarity < 1e-10
    assert Fraction(certificate.dual) <= optimum
    assert Fraction(certificate.primal) * (1 + Fraction(1, 10**14)) >= optimum


@pytest.mark.parametrize(
    ("skip", "optimum"), [("affine", 0.069667438667217), ("constant", 0.070434729994226)]
)
def test_two_squares_with_101_tasks(skip, optimum):
    problem = Problem.make(SQUARES, LABELS_101, 1e-3, skip=skip)
    network = fitted(problem, *dictionary(SQUARES, 16))
    certificate = verify(problem, network)
    assert certificate.dual <= optimum * (1 + 1e-13)
    assert certificate.primal >= optimum * (1 - 1e-13)
    if skip == "affine":  # whose optimal neurons are along the axes and diagonals
        assert certificate.relative_gap < 1e-9
    assert certificate.relative_gap < 1e-3


@pytest.mark.parametrize("skip", SKIPS)
def test_two_cubes(skip):
    # three inputs; two ridges of slope 2 (1 - alpha) leave residuals alpha/2 and are optimal
    cube = np.array(list(itertools.product([1.0, -1.0], repeat=3)))
    X, alpha = np.vstack([cube, cube / 2]), 2.0**-10
    problem = Problem.make(X, np.repeat([0.0, 1.0], 8), alpha, skip=skip)
    slope = -2 * (1 - alpha)
    network = ReLUNetwork(
        [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]],
        [-0.5, -0.5],
        [[slope], [slope]],
        np.zeros((1, 3)),
        [1 - alpha / 2],
    )
    for tol in (1e-6, 1e-9):
        certificate = verify(problem, network, tol=tol)
        assert certificate.status is Status.CERTIFIED and certificate.oracle == "exact"
        assert Fraction(certificate.dual) <= 4 * Fraction(alpha) - 2 * Fraction(alpha) ** 2
    w, b = dictionary(X, 40)
    assert certificate.dual <= problem.objective(fitted(problem, w, b))


# --- against the certificate of one input, which shares next to nothing -------------------------


def on_line(name, alpha, n_tasks=2, seed=0, weights=False):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(-1, 1, size=12))
    sample_weight = rng.uniform(0.2, 3, size=12) if weights else None
    return Problem.make(
        x, labels_for(name, rng, 12, n_tasks), alpha, loss=LOSSES[name], sample_weight=sample_weight
    )


@functools.cache
def solved_on_line(name, alpha, weights=False):
    problem = on_line(name, alpha, weights=weights)
    return problem, fitted(problem, *dictionary(problem.X, 2))


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("alpha", [0.3, 0.01])
@pytest.mark.parametrize("name", LOSSES)
def test_one_input_seen_as_space(name, alpha, weights):
    problem, network = solved_on_line(name, alpha, weights)
    on_a_line, found = verify(problem, network), in_space(problem, network)
    assert found.primal == pytest.approx(on_a_line.primal, rel=1e-13)
    if name != "quantile":  # where the guesses differ
        assert found.relative_gap == pytest.approx(on_a_line.relative_gap, rel=1e-3, abs=1e-9)
    assert found.relative_gap < 1e-5
    rng = np.random.default_rng(1)
    for hint in (None, rng.standard_normal(problem.Y.shape)):
        poor = random_network(rng, 1, 2, "affine")
        on_a_line, found = verify(problem, poor, dual=hint), in_space(problem, poor, hint)
        assert found.gap == pytest.approx(on_a_line.gap, rel=1e-6 if name != "quantile" else 0.1)
        if name != "quantile":
            assert found.stationarity == pytest.approx(on_a_line.stationarity, rel=1e-9)


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("name", LOSSES)
def test_inputs_on_a_line_in_space(name, skip):
    # rank one, a constant column, an offset: the same problem in other coordinates
    problem, _ = solved_on_line(name, 0.03)
    X = problem.X * [1.0, 2.0, 0.0, 2.0] + [1e3, -5.0, 7.0, 0.0]
    line = Problem.make(3 * problem.X, problem.Y, 0.03, loss=problem.loss, skip=skip)
    along = np.array([[1.0, 2.0, 0.0, 2.0]]) / 3
    network = fitted(line, *dictionary(line.X, 2))
    w, A = network.w @ along, network.A @ along
    shift = np.array([1e3, -5.0, 7.0, 0.0])
    moved = ReLUNetwork(w, network.b - w @ shift, network.v, A, network.c - A @ shift)
    certificate = verify(Problem.make(X, line.Y, 0.03, loss=line.loss, skip=skip), moved)
    reached = 1e-4 if name == "logistic" else 1e-5  # by Clarabel
    assert certificate.relative_gap < reached and certificate.oracle == "exact"
    optimum = verify(line, network).primal
    assert certificate.primal == pytest.approx(optimum, rel=1e-9)
    rng = np.random.default_rng(2)
    for _ in range(5):
        poor = random_network(rng, 4, 2, skip)
        assert verify(Problem.make(X, line.Y, 0.03, loss=line.loss, skip=skip), poor).dual < optimum


# --- the bound holds ----------------------------------------------------------------------------


@functools.cache
def planar(name, skip, alpha, n_tasks=2):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((8, 2))
    problem = Problem.make(
        X,
        labels_for(name, rng, 8, n_tasks),
        alpha,
        loss=LOSSES[name],
        skip=skip,
        sample_weight=rng.uniform(0.5, 2, size=8),
    )
    return problem, fitted(problem, *dictionary(X, 40))


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("name", LOSSES)
def test_a_fine_dictionary_comes_near_the_bound(name, skip):
    problem, network = planar(name, skip, 0.1)
    certificate = verify(problem, network)
    assert certificate.status in (Status.ALMOST, Status.NOT_OPTIMAL)
    assert certificate.relative_gap < 0.06
    assert certificate.stationarity < 1e-3
    assert certificate.violation > 1
    coarse = fitted(problem, *dictionary(problem.X, 3))
    assert verify(problem, coarse).gap >= problem.objective(coarse) - certificate.primal


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(sorted(LOSSES)), st.sampled_from(SKIPS))
def test_no_bound_is_above_any_objective(seed, name, skip):
    problem, best = planar(name, skip, 0.1)
    ceiling = problem.objective(best)
    rng = np.random.default_rng(seed)
    network = random_network(rng, 2, 2, skip, int(rng.integers(0, 9)), 10.0 ** rng.uniform(-3, 1))
    hint = rng.standard_normal((8, 2)) * 10.0 ** rng.uniform(-9, 9) if seed % 2 else None
    certificate = verify(problem, network, dual=hint)
    assert 0 <= certificate.dual <= ceiling
    assert certificate.primal == pytest.approx(problem.objective(network), rel=1e-12)
    assert certificate.gap == pytest.approx(certificate.primal - certificate.dual, rel=1e-9)
    assert certificate.status is not Status.CERTIFIED
    assert math.isfinite(certificate.stationarity)


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("name", LOSSES)
def test_wrong_hints_change_nothing_for_the_worse(name, skip):
    problem, best = planar(name, skip, 0.1)
    ceiling = problem.objective(best)
    network = replace(best, c=best.c + 0.1)
    plain = verify(problem, network)
    rng = np.random.default_rng(2)
    for hint in (
        np.zeros((8, 2)),
        np.full((8, 2), 1e12),
        np.full((8, 2), 1e300),
        1e-310 * rng.standard_normal((8, 2)),
        rng.integers(-3, 4, size=(8, 2)),
        *(scale * rng.standard_normal((8, 2)) for scale in (1e-3, 1.0, 1e8)),
    ):
        certificate = verify(problem, network, dual=hint)
        if name != "quantile":
            assert certificate.gap <= plain.gap
        assert certificate.dual <= ceiling


@pytest.mark.parametrize("skip", SKIPS)
def test_a_good_hint_gives_a_good_bound_for_a_bad_network(skip):
    problem, best = planar("squared", skip, 0.1)
    P = problem.dual_variable(best(problem.X))
    bad = replace(best, v=1.2 * best.v, c=best.c - 1)
    assert verify(problem, bad, dual=P).dual == pytest.approx(verify(problem, best).dual, rel=1e-9)
    assert verify(problem, bad).dual < 0.99 * verify(problem, best).dual


# --- units, offsets, weights, shapes ------------------------------------------------------------


@pytest.mark.parametrize("skip", SKIPS)
def test_units_change_nothing(skip):
    problem, best = planar("squared", skip, 0.1)
    plain = verify(problem, best)
    for length, height in ((2.0**20, 1.0), (2.0**-20, 2.0**7), (1.0, 2.0**-30)):
        # X -> cX, Y -> tY, alpha -> tc alpha multiplies the objective by t^2
        scaled = Problem.make(
            length * problem.X,
            height * problem.Y,
            0.1 * length * height,
            skip=skip,
            sample_weight=problem.sample_weight,
        )
        network = ReLUNetwork(
            best.w,
            length * best.b,
            height / length * best.v,
            height / length * best.A,
            height * best.c,
        )
        certificate = verify(scaled, network)
        assert certificate.primal == pytest.approx(height**2 * plain.primal, rel=1e-13)
        assert certificate.dual == pytest.approx(height**2 * plain.dual, rel=1e-11)
        assert certificate.stationarity == pytest.approx(plain.stationarity, rel=1e-4)


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e9])
@pytest.mark.parametrize("skip", SKIPS)
def test_offsets_cost_little(offset, skip):
    offset = 2.0 ** round(math.log2(offset))
    problem = Problem.make(SQUARES + np.array([offset, -offset]), INNER, 2.0**-10, skip=skip)
    ridges = two_ridges(2.0**-10)
    shifted = replace(ridges, b=ridges.b - ridges.w @ [offset, -offset])
    certificate = verify(problem, shifted)
    assert certificate.relative_gap < 1e-9
    assert Fraction(certificate.dual) <= 4 * Fraction(1, 2**10) * (1 - Fraction(1, 2**10))


@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("name", LOSSES)
def test_weights_of_very_different_size(name, skip):
    rng = np.random.default_rng(3)
    x = np.linspace(0, 2, 9)
    weights = 10.0 ** rng.uniform(-3, 3, size=9)
    line = Problem.make(
        x, labels_for(name, rng, 9, 2), 0.5, loss=LOSSES[name], skip=skip, sample_weight=weights
    )
    certificate = in_space(line, fitted(line, *dictionary(line.X, 2)))
    assert certificate.relative_gap < (1e-3 if name == "quantile" else 1e-5)
    extreme = Problem.make(
        planar(name, skip, 0.1)[0].X,
        planar(name, skip, 0.1)[0].Y,
        0.1,
        loss=LOSSES[name],
        skip=skip,
        sample_weight=10.0 ** rng.uniform(-6, 6, size=8),
    )
    network = random_network(rng, 2, 2, skip)
    certificate = verify(extreme, network)
    best = fitted(
        replace(extreme, sample_weight=extreme.sample_weight.clip(None, 1e3)),
        *dictionary(extreme.X, 40),
    )
    assert certificate.dual <= extreme.objective(best)


@pytest.mark.parametrize("skip", SKIPS)
def test_many_tasks_cost_no_square_of_them(skip):
    rng = np.random.default_rng(4)
    X, Y = rng.standard_normal((7, 2)), rng.standard_normal((7, 20000))
    problem = Problem.make(X, Y, 3.0, skip=skip)
    small, W = problem.compressed()
    network = fitted(small, *dictionary(X, 12))
    wide = ReLUNetwork(network.w, network.b, network.v @ W.T, W @ network.A, W @ network.c)
    certificate, compressed = verify(problem, wide), verify(small, network)
    assert certificate.primal == pytest.approx(compressed.primal, rel=1e-11)
    assert certificate.dual == pytest.approx(compressed.dual, rel=1e-9)


@pytest.mark.parametrize("skip", SKIPS)
def test_few_samples_and_degenerate_inputs(skip):
    rng = np.random.default_rng(6)
    for X in (
        np.ones((1, 2)),
        np.ones((4, 3)),
        rng.standard_normal((2, 5)),
        np.column_stack([rng.standard_normal(6), np.full(6, 7.0)]),
        np.repeat(rng.standard_normal((3, 2)), 3, axis=0),
        np.array([[0.1, 0.3], [0.2, 0.6], [0.7, 2.1]]),
    ):
        Y = rng.standard_normal((X.shape[0], 3))
        problem = Problem.make(X, Y, 0.1, skip=skip)
        zero = ReLUNetwork(
            np.zeros((0, X.shape[1])), [], np.zeros((0, 3)), np.zeros((3, X.shape[1])), np.zeros(3)
        )
        best = fitted(problem, *dictionary(X, 16))
        for network in (zero, best, random_network(rng, X.shape[1], 3, skip)):
            certificate = verify(problem, network)
            assert certificate.dual <= problem.objective(best) * (1 + 1e-9) + 1e-12
        if skip == "constant" and np.ptp(X) == 0:
            mean = replace(zero, c=Y.mean(axis=0))
            assert verify(problem, mean).status is Status.CERTIFIED


def test_slopes_that_live_on_rounding_are_not_certified():
    # the third column is 0.1 (x + y) but for rounding, of which a slope of 1e15 makes a feature
    rng = np.random.default_rng(0)
    X = rng.standard_normal((12, 2))
    X = np.column_stack([X, 0.1 * (X[:, 0] + X[:, 1])])
    Y = rng.standard_normal((12, 1))
    noise = np.linalg.svd(X - X.mean(axis=0))[2][2]
    A = 1e15 * noise[None, :]
    network = ReLUNetwork(np.zeros((0, 3)), [], np.zeros((0, 1)), A, [-(A @ X.mean(axis=0))[0]])
    certificate = verify(Problem.make(X, Y, 1e3), network)
    assert certificate.status is not Status.CERTIFIED


# --- stationarity and words ---------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_stationarity_grows_with_what_is_wrong(name):
    problem, best = planar(name, "affine", 0.1)
    base = verify(problem, best).stationarity
    assert base < 1e-3
    for wrong in (
        replace(best, v=1.3 * best.v),
        replace(best, c=best.c + 0.3),
        replace(best, A=best.A + 0.3),
    ):
        assert verify(problem, wrong).stationarity > max(1e-2, 3 * base)


def test_stationarity_is_about_output_weights_alone():
    # the best output weights for three random neurons: stationary, and far from optimal
    problem, _ = planar("squared", "affine", 0.1)
    rng = np.random.default_rng(0)
    w = rng.standard_normal((3, 2))
    w /= np.linalg.norm(w, axis=1)[:, None]
    certificate = verify(problem, fitted(problem, w, 0.3 * rng.standard_normal(3)))
    assert certificate.stationarity < 1e-5 < 0.1 < certificate.relative_gap
    words = certificate.in_words()
    assert "promises most" in words and "output weights" not in words
    assert np.linalg.norm(certificate.most_violated[0]) == pytest.approx(1)


def test_the_neuron_named_lowers_the_score():
    problem, _ = planar("squared", "constant", 0.1)
    rng = np.random.default_rng(1)
    w = rng.standard_normal((3, 2))
    w /= np.linalg.norm(w, axis=1)[:, None]
    network = fitted(problem, w, 0.3 * rng.standard_normal(3))
    certificate = verify(problem, network)
    w, b = certificate.most_violated
    with_it = fitted(problem, np.vstack([network.w, w]), np.append(network.b, b))
    assert problem.objective(with_it) < 0.99 * problem.objective(network)
    assert f"b = {b:.4g}" in certificate.in_words()


# --- bad input ----------------------------------------------------------------------------------


def test_what_overflows_is_never_certified():
    problem = Problem.make(SQUARES, INNER, 0.1)
    for scale in (1e160, 1e300):
        ridges = two_ridges(0.1)
        for network in (replace(ridges, v=scale * ridges.v), replace(ridges, w=scale * ridges.w)):
            certificate = verify(problem, network)
            assert certificate.status is Status.NOT_OPTIMAL and not certificate.relative_gap < 0.5
            assert not math.isnan(certificate.gap) and math.isfinite(certificate.stationarity)
    for X in (1e200 * SQUARES, 1e-200 * SQUARES):
        certificate = verify(replace(problem, X=X), two_ridges(0.1))
        assert not math.isnan(certificate.gap) and certificate.dual <= 1.0


def test_tiny_labels_are_not_certified_by_underflow():
    for size in (1e-170, 1e-200, 1e-300):
        fine = Problem.make(SQUARES, INNER, 1e-3 * size)
        problem = replace(fine, Y=size * fine.Y)  # beyond what `make` takes
        ridges = two_ridges(1e-3)
        wrong = replace(ridges, v=2 * size * ridges.v, c=size * ridges.c)
        assert verify(problem, wrong).status is not Status.CERTIFIED


def test_what_cannot_be_certified_is_refused():
    network = two_ridges(0.1)
    with pytest.raises(InvalidInputError, match="not attained"):
        verify(Problem.make(SQUARES, INNER, 0.1, skip="none"), network)
    sloped = replace(network, A=np.ones((1, 2)))
    with pytest.raises(InvalidInputError, match="linear part A"):
        verify(Problem.make(SQUARES, INNER, 0.1, skip="constant"), sloped)
    with pytest.raises(InvalidInputError, match="2 inputs"):
        verify(Problem.make(SQUARES[:, :1], INNER, 0.1), network)
    with pytest.raises(InvalidInputError, match="dual has shape"):
        verify(Problem.make(SQUARES, INNER, 0.1), network, dual=np.full((8, 1), np.nan))


def test_inputs_are_left_as_they_are():
    for name in LOSSES:
        problem, best = planar(name, "affine", 0.1)
        hint = np.ones((8, 2))
        arrays = (problem.X, problem.Y, problem.sample_weight, best.v, best.w, best.b, hint)
        before = [array.copy() for array in arrays]
        verify(problem, best, dual=hint)
        for array, copy in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, copy)


# --- a wide sweep -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_no_bound_is_above_the_best_of_a_fine_dictionary(seed):
    rng = np.random.default_rng(seed)
    n, n_tasks = int(rng.integers(2, 10)), int(rng.choice([1, 2, 6, 30]))
    X = rng.standard_normal((n, 2))
    if seed % 3 == 0:
        X = rng.integers(-2, 3, size=(n, 2)).astype(float)  # lattices: ties and duplicates
    elif seed % 3 == 1:
        X[:, 1] *= 10.0 ** rng.uniform(-8, 0)
    name = sorted(LOSSES)[seed % 4]
    problem = Problem.make(
        X,
        labels_for(name, rng, n, n_tasks),
        10.0 ** rng.uniform(-3, 1),
        loss=LOSSES[name],
        skip=SKIPS[seed % 2],
        sample_weight=10.0 ** rng.uniform(-2, 2, size=n) if rng.uniform() < 0.3 else None,
    )
    best = fitted(problem, *dictionary(X, 24))
    ceiling = problem.objective(best) * (1 + 1e-12)
    P = problem.dual_variable(best(X))
    networks = [best] + [
        random_network(rng, 2, n_tasks, problem.skip, 5, 10.0 ** rng.uniform(-4, 0))
        for _ in range(4)
    ]
    for network in networks:
        for hint in (None, P, P * (1 + 0.1 * rng.standard_normal(P.shape))):
            assert verify(problem, network, dual=hint).dual <= ceiling
