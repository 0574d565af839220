"""Verdicts and ranges for several inputs, against dictionaries of neurons and one-input theory."""

from __future__ import annotations

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
            assert optima.verdict is Verdict.UNDECIDED


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
