"""Verdicts and ranges for several inputs, against dictionaries of neurons and one-input theory."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import linprog

import mtrelu
from mtrelu.network import ReLUNetwork
from mtrelu.optimal_polytope import OptimalPolytope
from mtrelu.optimal_set import OptimalSet, Verdict
from mtrelu.problem import Problem
from mtrelu.solvers.columns import fit_columns
from mtrelu.solvers.pricing import Pricing
from mtrelu.validation import InvalidInputError

CORNERS = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)])
SQUARES = np.vstack([CORNERS, 0.5 * CORNERS])


def two_squares(n_tasks, skip="affine", seed=0):
    Y = np.repeat([0.0, 1.0], 4)[:, None]
    more = np.random.default_rng(seed).integers(0, 2, size=(8, n_tasks - 1))
    return Problem.make(SQUARES, np.hstack([Y, more]), 1e-3, skip=skip)


def skip_basis(problem):
    ones = np.ones((problem.n_samples, 1))
    return np.hstack([ones, problem.X]) if problem.skip == "affine" else ones


def master(problem, w, b):
    """Best output weights of fixed neurons, by a cone solver."""
    basis, features = skip_basis(problem), np.maximum(problem.X @ w.T + b, 0)
    V, S = cp.Variable((b.size, problem.n_tasks)), cp.Variable((basis.shape[1], problem.n_tasks))
    root = np.sqrt(problem.sample_weight)[:, None]
    fit = cp.sum_squares((root * features) @ V + (root * basis) @ S - root * problem.Y)
    cost = 0.5 * fit + problem.alpha * cp.sum(cp.norm(V, 2, axis=1))
    for tol in (1e-13, 1e-11, 1e-9):
        try:
            cp.Problem(cp.Minimize(cost)).solve(
                solver="CLARABEL", tol_gap_abs=0.1 * tol, tol_gap_rel=tol, tol_feas=tol
            )
            break
        except cp.error.SolverError:
            continue
    A = S.value[1:].T if problem.skip == "affine" else np.zeros((problem.n_tasks, w.shape[1]))
    return ReLUNetwork(w, b, V.value, A, S.value[0])


@pytest.fixture(autouse=True)
def inaccurate_cone_solutions(recwarn):
    """The cone solver warns when it does not reach the last digits, which is checked here."""
    yield
    recwarn.clear()


def optimum(problem):
    """A network and a dual variable with a tiny gap."""
    small, back = problem.compressed()
    fit = fit_columns(small, Pricing(small.X, small.skip, 0), tol=1e-12)
    network, P = fit.network, fit.dual
    if back is not None:
        network = ReLUNetwork(
            network.w, network.b, network.v @ back.T, back @ network.A, back @ network.c
        )
        P = P @ back.T
    return network, P


def objective(problem, network):
    """The objective [12] of the squared loss, written out."""
    values = np.maximum(problem.X @ network.w.T + network.b, 0) @ network.v
    values = values + problem.X @ network.A.T + network.c
    sizes = np.linalg.norm(network.v, axis=1) * np.linalg.norm(network.w, axis=1)
    loss = 0.5 * np.sum(problem.sample_weight[:, None] * (problem.Y - values) ** 2)
    return loss + problem.alpha * sizes.sum()


def grid(n):
    side = np.linspace(-1, 1, n)
    return np.array([(x, y) for x in side for y in side])


def check_members(optima, problem, best, rtol=1e-9):
    """Whatever is said to be optimal has the optimal objective."""
    members = [*optima.sample(4, 0), optima.sparsest(), optima.network]
    if optima.witness() is not None:
        members.append(optima.witness())
    for network in members:
        assert objective(problem, network) == pytest.approx(best, rel=rtol)
    return members


@pytest.mark.parametrize("skip", ["affine", "constant"])
def test_two_squares_one_task_is_not_unique(skip):
    problem = two_squares(1, skip)
    network, P = optimum(problem)
    optima = OptimalPolytope.of_solution(problem, network, P)
    assert optima.verdict is Verdict.NOT_UNIQUE
    points = grid(61)
    low, high = optima.range(points)
    assert np.max(high - low) == pytest.approx(1.996, abs=1e-6)
    for member in check_members(optima, problem, 4e-3 - 4e-6):
        values = member(points)
        assert np.all(values >= low - 1e-8) and np.all(values <= high + 1e-8)
    assert np.abs(optima.witness()(points) - network(points)).max() > 0.4
    assert optima.sparsest().n_neurons == {"affine": 1, "constant": 2}[skip]
    assert optima.sparsest_is_exact


@pytest.mark.parametrize("skip", ["affine", "constant"])
def test_two_squares_with_a_hundred_more_tasks_is_unique(skip):
    problem = two_squares(101, skip)
    network, P = optimum(problem)
    best = {"affine": 0.069667438667217, "constant": 0.070434729994226}[skip]
    assert objective(problem, network) == pytest.approx(best, rel=1e-10)
    optima = OptimalPolytope.of_solution(problem, network, P)
    assert optima.verdict is Verdict.UNIQUE, optima.reason
    assert optima.witness() is None
    low, high = optima.range(grid(15))
    np.testing.assert_array_equal(low, high)
    np.testing.assert_allclose(low, network(grid(15)), rtol=0, atol=1e-5)
    check_members(optima, problem, best)


def dictionary_range(problem, network, w, b, x):
    """Extremes of f(x) over one-task networks of these neurons with this fit and path norm."""
    features, basis = np.maximum(problem.X @ w.T + b, 0), skip_basis(problem)
    at = np.concatenate([[1.0], x]) if problem.skip == "affine" else np.ones(1)
    query = np.maximum(w @ x + b, 0)
    cost = np.concatenate([query, -query, at, -at])
    equations = np.hstack([features, -features, basis, -basis])
    norm = np.concatenate([np.ones(2 * b.size), np.zeros(2 * basis.shape[1])])
    cap = network.path_cost() * (1 + 1e-7)
    fit = network(problem.X)[:, 0]
    kwargs = {
        "A_ub": np.vstack([norm, equations, -equations]),
        "b_ub": np.concatenate([[cap], fit + 1e-7, 1e-7 - fit]),
    }
    return linprog(cost, **kwargs).fun, -linprog(-cost, **kwargs).fun


@pytest.mark.parametrize("skip", ["affine", "constant"])
def test_range_against_a_dense_dictionary_of_neurons(skip):
    problem = two_squares(1, skip)
    network, P = optimum(problem)
    optima = OptimalPolytope.of_solution(problem, network, P)
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    for x in np.array([[0.9, 0.0], [0.0, 0.0], [0.3, -0.8], [1.0, 1.0], [2.0, 0.1]]):
        through = np.vstack([SQUARES, x])
        w = np.repeat(directions, len(through), axis=0)
        b = -np.einsum("kd,kd->k", w, np.tile(through, (len(directions), 1)))
        low, high = dictionary_range(problem, network, w, b, x)
        mine = optima.range(x[None])
        np.testing.assert_allclose([mine[0][0, 0], mine[1][0, 0]], [low, high], atol=2e-5)


@pytest.mark.parametrize("seed", range(6))
def test_one_input_agrees_with_the_closed_form(seed):
    rng = np.random.default_rng(seed)
    X, Y = np.sort(rng.uniform(0, 6, 12)), rng.standard_normal((12, 1 + seed % 2))
    if seed < 3:
        Y = np.abs(X[:, None] - 3) ** 1.5 + 0.1 * Y  # bends one way often
    problem = Problem.make(X, Y, 0.05)
    solution = mtrelu.solve(X, Y, 0.05, tol=1e-12)
    known = OptimalSet.of_fit(problem, solution.network)
    optima = OptimalPolytope.of_solution(problem, solution.network)
    assert {known.verdict, optima.verdict} != {Verdict.UNIQUE, Verdict.NOT_UNIQUE}
    points = np.linspace(X[0] - 1, X[-1] + 1, 400)
    for mine, theirs in zip(optima.range(points), known.range(points), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)
    if optima.complete:
        assert optima.sparsest().n_neurons <= known.sparsest().n_neurons
    check_members(optima, problem, objective(problem, solution.network))


@pytest.mark.parametrize("seed", range(3))
def test_random_data_with_several_tasks_are_unique_and_no_other_neurons_help(seed):
    rng = np.random.default_rng(seed)
    problem = Problem.make(rng.standard_normal((12, 2)), rng.standard_normal((12, 4)), 1.0)
    network, P = optimum(problem)
    optima = OptimalPolytope.of_solution(problem, network, P)
    assert optima.verdict is not Verdict.NOT_UNIQUE
    np.testing.assert_array_equal(*optima.range(rng.standard_normal((5, 2))))
    # Another optimum, from a dictionary in which the neurons of this one are not.
    w = rng.standard_normal((400, 2))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    b = -np.einsum("kd,kd->k", w, problem.X[rng.integers(0, 12, 400)])
    other = master(problem, w, b)
    gap = objective(problem, other) - objective(problem, network)
    assert gap >= -1e-9
    far = np.abs(other(problem.X) - optima.network(problem.X)).max()
    assert far <= np.sqrt(2 * gap) + 1e-6


def test_a_verdict_of_unique_rests_on_the_gap():
    problem = two_squares(101)
    network, _ = optimum(problem)
    rng = np.random.default_rng(0)
    for size in (1e-2, 1e-4, 1e-6):
        rough = ReLUNetwork(
            network.w, network.b, network.v * (1 + size * rng.standard_normal(network.v.shape)),
            network.A, network.c,
        )  # fmt: skip
        optima = OptimalPolytope.of_solution(problem, rough)
        assert optima.verdict is not Verdict.NOT_UNIQUE
        if size >= 1e-4:
            assert optima.verdict is Verdict.UNDECIDED and not optima.range_is_proved


def test_inputs_in_a_hyperplane_leave_a_slope_free():
    rng = np.random.default_rng(1)
    line = rng.standard_normal(9)
    X = np.column_stack([line, 2 * line + 1])
    Y = np.sin(3 * line)[:, None]
    problem = Problem.make(X, Y, 0.05)
    network, P = optimum(problem)
    optima = OptimalPolytope.of_solution(problem, network, P)
    assert optima.verdict is Verdict.NOT_UNIQUE and "span only 1 of 2" in optima.reason
    low, high = optima.range([[0.0, 1.0], [0.0, 3.0]])
    assert np.isfinite(low[0]).all() and np.isfinite(high[0]).all()
    assert low[1, 0] == -np.inf and high[1, 0] == np.inf
    assert np.abs(optima.witness()([[0.0, 3.0]]) - optima.network([[0.0, 3.0]])).max() > 0.1
    check_members(optima, problem, objective(problem, network))
    constant = Problem.make(X, Y, 0.05, skip="constant")
    optima = OptimalPolytope.of_solution(constant, *optimum(constant))
    assert np.isfinite(optima.range([[0.0, 3.0]])).all()


def test_no_neurons_above_alpha_max():
    rng = np.random.default_rng(2)
    X, Y = rng.standard_normal((10, 2)), rng.standard_normal((10, 3))
    problem = Problem.make(X, Y, 1e3)
    A, c, P = problem.affine_fit()
    flat = ReLUNetwork(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 3)), A, c)
    optima = OptimalPolytope.of_solution(problem, flat, P)
    assert optima.verdict is Verdict.UNIQUE and optima.sparsest().n_neurons == 0


def test_duplicated_rows_and_weights_are_one_problem():
    problem = two_squares(101)
    doubled = Problem.make(np.vstack([SQUARES, SQUARES]), np.vstack([problem.Y, problem.Y]), 2e-3)
    weighted = Problem.make(SQUARES, problem.Y, 2e-3, sample_weight=np.full(8, 2.0))
    network, P = optimum(problem)
    for other, dual in ((doubled, np.vstack([P, P])), (weighted, 2 * P)):
        optima = OptimalPolytope.of_solution(other, network, dual)
        assert optima.verdict is Verdict.UNIQUE, optima.reason


def test_linear_data_with_a_constant_skip_can_bend_anywhere_outside():
    rng = np.random.default_rng(3)
    X = rng.uniform(-1, 1, (10, 2))
    problem = Problem.make(X, X @ [[1.0], [2.0]], 1e-2, skip="constant")
    optima = OptimalPolytope.of_solution(problem, *optimum(problem))
    assert optima.verdict is Verdict.NOT_UNIQUE
    low, high = optima.range(np.vstack([X, [[3.0, 3.0]]]))
    np.testing.assert_allclose(low[:-1], high[:-1], rtol=0, atol=1e-6)
    assert high[-1, 0] - low[-1, 0] > 1.0


def test_interpolation_is_never_called_unique():
    problem = Problem.make(SQUARES, two_squares(1).Y, 0.0)
    tiny = Problem.make(SQUARES, problem.Y, 1e-6)
    network, P = optimum(tiny)
    # The same neurons through the labels, and the dual variable that goes with them.
    scale = 1.0 / np.ptp(network(SQUARES))
    exact = ReLUNetwork(
        network.w, network.b, scale * network.v, scale * network.A, scale * network.c
    )
    shift = exact(SQUARES)[0]
    exact = ReLUNetwork(exact.w, exact.b, exact.v, exact.A, exact.c - shift)
    optima = OptimalPolytope.of_solution(problem, exact, P / 1e-6)
    assert optima.verdict is not Verdict.UNIQUE


@pytest.mark.parametrize("n_copies", [1, 3])
def test_one_distinct_input(n_copies):
    X, Y = np.tile([[3e-9, -1e-8]], (n_copies, 1)), np.tile([[1.0, 2.0]], (n_copies, 1))
    beside = [[3e-9, -1e-8], [1.0, 0.0]]
    constant = mtrelu.solve(X, Y, 0.01, skip="constant").optimal_set()
    assert constant.verdict is Verdict.UNIQUE and constant.sparsest().n_neurons == 0
    for values in (*constant.range(beside), constant.sample()[0](beside)):
        np.testing.assert_allclose(values, [[1.0, 2.0]] * 2, rtol=1e-15)
    affine = mtrelu.solve(X, Y, 0.01).optimal_set()
    assert affine.verdict is Verdict.NOT_UNIQUE
    low, high = affine.range(beside)
    np.testing.assert_allclose([low[0], high[0]], [[1.0, 2.0]] * 2, rtol=1e-12)
    assert np.all(low[1] == -np.inf) and np.all(high[1] == np.inf)
    witness = affine.witness()
    np.testing.assert_allclose(witness(X), Y, rtol=1e-14)
    assert np.abs(witness(X + 1e-8) - affine.network(X + 1e-8)).max() > 0.1
    assert mtrelu.solve(X, 0 * Y, 0.01).optimal_set().verdict is Verdict.NOT_UNIQUE


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("apart", [1e-9, 1e-8, 1e-6])
def test_close_pairs_of_points_do_not_spoil_samples(skip, apart):
    rng = np.random.default_rng(5)
    for n_inputs, n_tasks in ((4, 3), (2, 1), (2, 2)):
        half = rng.standard_normal((3, n_inputs))
        X = np.vstack([half, half + apart * rng.standard_normal(half.shape)])
        problem = Problem.make(X, rng.standard_normal((6, n_tasks)), 0.5, skip=skip)
        network, P = optimum(problem)
        optima = OptimalPolytope.of_solution(problem, network, P)
        best = objective(problem, network)
        members = [*optima.sample(4, 0), optima.sparsest(), optima.network]
        # An affine function with slopes of the size of 1/apart is evaluated to some digits only.
        room = 1e-9 + 1e-15 * np.abs(network.A).max()
        assert all(objective(problem, member) <= best * (1 + room) for member in members)
        low, high = optima.range(half + 0.3)
        for member in members:
            values = member(half + 0.3)
            assert np.all(values >= low - 1e-6) and np.all(values <= high + 1e-6)


def test_no_network_is_shown_that_is_worse_than_the_one_given():
    # A combination of neurons, one of which is far too long, that vanishes only nearly.
    problem = two_squares(1, "constant")
    optima = OptimalPolytope.of_solution(problem, *optimum(problem))
    coefficients = optima._family.coefficients
    wrong = np.eye(coefficients.start.size)[:, [int(np.argmax(coefficients.start))]]
    spoilt = replace(coefficients, null=wrong)
    optima = replace(optima, _family=replace(optima._family, coefficients=spoilt))
    best = objective(problem, optima.network)
    for network in (*optima.sample(5, 0), optima.sparsest()):
        assert objective(problem, network) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize(("x_scale", "y_scale"), [(1e8, 1.0), (1.0, 1e-8), (1e-8, 1e8)])
def test_a_free_slope_is_as_large_as_those_of_the_labels(x_scale, y_scale):
    rng = np.random.default_rng(7)
    X = x_scale * np.column_stack([rng.standard_normal(8), np.full(8, 3.0)])
    for Y in (rng.standard_normal((8, 2)), X / x_scale @ [[1.0, 2.0], [0.0, 1.0]]):
        problem = Problem.make(X, y_scale * Y, 0.1 * x_scale * y_scale)
        optima = mtrelu.solve(X, problem.Y, problem.alpha).optimal_set()
        assert optima.verdict is Verdict.NOT_UNIQUE, optima.reason
        network, witness = optima.network, optima.witness()
        rounding = 0.5 * problem.Y.size * (1e-14 * y_scale) ** 2
        assert objective(problem, witness) <= objective(problem, network) * (1 + 1e-9) + rounding
        np.testing.assert_allclose(witness(X), network(X), rtol=0, atol=1e-13 * y_scale)
        beside = X + np.array([0.0, x_scale])
        assert np.abs(witness(beside) - network(beside)).max() > 0.1 * y_scale


def test_inputs_in_a_hyperplane_are_no_excuse_for_networks_that_are_not_optimal():
    line = np.random.default_rng(1).standard_normal(9)
    problem = Problem.make(np.column_stack([line, line]), np.sin(3 * line), 0.05)
    A, c, _ = problem.affine_fit()
    flat = ReLUNetwork(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 1)), A, c)
    optima = OptimalPolytope.of_solution(problem, flat)
    assert optima.verdict is Verdict.UNDECIDED and optima.witness() is None
    assert not optima.range_is_proved
    assert "span only 1 of 2" in optima.reason and "gap" in optima.reason


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("size", [1e-6, 1e-9, 1e-12])
def test_nearly_symmetric_squares_are_not_called_symmetric(skip, size):
    rng = np.random.default_rng(3)
    exact = two_squares(1, skip)
    for moved in (0.0, size):
        X = SQUARES + moved * rng.standard_normal((8, 2))
        Y = exact.Y + (size - moved) * rng.standard_normal((8, 1))
        problem = Problem.make(X, Y, exact.alpha, skip=skip)
        network, P = optimum(problem)
        optima = OptimalPolytope.of_solution(problem, network, P)
        # With the symmetry goes what makes functions of one and of the other input equally good.
        if optima.verdict is Verdict.NOT_UNIQUE:
            points = grid(21)
            apart = np.abs(optima.witness()(points) - optima.network(points)).max()
            assert apart < 0.9, optima.reason
        check_members(optima, problem, objective(problem, network))


@pytest.mark.parametrize("size", [1e-3, 1e-5, 1e-7, 1e-9, 1e-11, 1e-13])
def test_a_second_task_decides_however_small_it_is(size):
    """Its columns φ_k u_kᵀ are independent, so the optimum is unique; others cost size² only."""
    x = np.arange(-3.0, 4.0)
    y = np.array([2, 1, 0.5, 0.3, 0.5, 1, 2])
    more = size * np.random.default_rng(1).standard_normal(7)
    for Y, expected in ((np.c_[y, 0 * y], "not unique"), (np.c_[y, more], "unique")):
        problem = Problem.make(x, Y, 0.1, skip="constant")
        optima = OptimalPolytope.of_solution(problem, *optimum(problem))
        assert optima.verdict in (expected, "undecided"), optima.reason
        assert optima.verdict == expected or Y[0, 1] != 0.0


def test_what_cannot_work_is_named():
    problem = two_squares(1)
    network = ReLUNetwork(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 1)), np.zeros((1, 2)), [0.0])
    with pytest.raises(InvalidInputError, match="dual has shape"):
        OptimalPolytope.of_solution(problem, network, np.zeros((3, 1)))
    with pytest.raises(InvalidInputError, match="dual is missing"):
        OptimalPolytope.of_solution(Problem.make(SQUARES, problem.Y, 0.0), network)
    with pytest.raises(InvalidInputError, match='skip is "none"'):
        OptimalPolytope.of_solution(Problem.make(SQUARES, problem.Y, 1.0, skip="none"), network)
    optima = OptimalPolytope.of_solution(Problem.make(SQUARES, problem.Y, 1e3), network)
    with pytest.raises(InvalidInputError, match="X has 3 columns"):
        optima.range(np.zeros((2, 3)))
    with pytest.raises(InvalidInputError, match="n is -1"):
        optima.sample(-1)
