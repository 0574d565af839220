"""What a duality gap proves, against dense linear algebra and against optima found by others."""

from __future__ import annotations

from dataclasses import replace

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtrelu.network import ReLUNetwork
from mtrelu.optimal_set import OptimalSet, Verdict
from mtrelu.problem import Problem
from mtrelu.uniqueness import _feasible, _gap, _moments, _residual_norms, _values_follow, prove


def second_differences(x):
    slopes = np.diff(np.eye(x.size), axis=0) / np.diff(x)[:, None]
    return np.diff(slopes, axis=0)


def optimum(problem):
    """Fitted values at sorted distinct inputs, by Clarabel; with the sum of its losses."""
    x, y, w = problem.X[:, 0], problem.Y, problem.sample_weight[:, None]
    values = cp.Variable(y.shape)
    if problem.loss.name == "squared":
        losses = 0.5 * cp.square(values - y)
    elif problem.loss.name == "huber":
        losses = 0.5 * cp.huber(values - y, problem.loss.delta)
    else:
        losses = cp.logistic(values) - cp.multiply(y, values)
    cost = cp.sum(cp.norm(second_differences(x) @ values, 2, axis=1))
    program = cp.Problem(cp.Minimize(cp.sum(cp.multiply(w, losses)) + problem.alpha * cost))
    tol = 1e-8 if problem.loss.name == "logistic" else 1e-10
    program.solve(solver=cp.CLARABEL, tol_gap_abs=tol, tol_gap_rel=tol, tol_feas=tol)
    return values.value


def sample_problem(seed, loss="squared", n=15, n_tasks=2, alpha=0.3):
    rng = np.random.default_rng([seed, n_tasks])
    x = np.cumsum(rng.uniform(0.3, 1.5, n))
    Y = np.sin(x[:, None] + rng.uniform(0, 6, n_tasks)) + 0.1 * rng.standard_normal((n, n_tasks))
    if loss == "logistic":
        Y = (Y > 0).astype(float) * 0.8 + 0.1
    return Problem.make(x, Y, alpha, loss=loss, sample_weight=rng.uniform(0.5, 2.0, n))


def network_through(x, values):
    changes = second_differences(x) @ values
    slope = (values[1] - values[0]) / (x[1] - x[0])
    bends = changes.any(axis=1)
    return ReLUNetwork.from_knots(x[1:-1][bends], changes[bends], slope, values[0] - slope * x[0])


# The pieces


@pytest.mark.parametrize("n", [2, 3, 7, 40])
def test_residual_norms_are_those_of_weighted_least_squares(n):
    rng = np.random.default_rng(n)
    x, w = np.cumsum(10.0 ** rng.uniform(-2, 1, n)), rng.uniform(0.1, 3.0, n)
    hinge, step = _residual_norms(x, w)
    root = np.sqrt(w)[:, None]
    affine = root * np.column_stack([np.ones(n), x - x.mean()])

    def left_over(f):
        target = root[:, 0] * f
        return np.linalg.norm(target - affine @ np.linalg.lstsq(affine, target)[0])

    expected = [left_over(np.maximum(x - knot, 0)) for knot in x[1:-1]]
    np.testing.assert_allclose(hinge, expected, rtol=1e-5, atol=1e-5 * np.ptp(x))
    assert np.all(hinge >= np.array(expected) * (1 - 1e-9))
    expected = [left_over((x > a).astype(float)) for a in x[:-1]]
    np.testing.assert_allclose(step, expected, rtol=1e-4, atol=2e-5)


def test_feasible_points_are_feasible_and_their_moments_right():
    for loss in ("squared", "huber", "logistic", "quantile"):
        problem = sample_problem(0, loss if loss != "quantile" else "logistic")
        problem = Problem.make(
            problem.X, problem.Y, 0.2, loss=loss, sample_weight=problem.sample_weight
        )
        x = problem.X[:, 0]
        start = 5.0 * np.random.default_rng(1).standard_normal(problem.Y.shape)
        P, U, Q = _feasible(problem, x, np.arange(x.size), start)
        np.testing.assert_allclose(P.sum(axis=0), 0, atol=1e-13)
        np.testing.assert_allclose(x @ P, 0, atol=1e-12)
        hinges = np.maximum(x[:, None] - x, 0)
        np.testing.assert_allclose(U, hinges.T @ P, atol=1e-12)
        np.testing.assert_allclose(Q, np.diff(U, axis=0) / np.diff(x)[:, None], atol=1e-11)
        assert np.linalg.norm(U, axis=1).max() <= 0.2 * (1 + 1e-12)
        assert np.linalg.norm(U, axis=1).max() > 0.1 or loss != "squared"
        assert np.isfinite(problem.dual_value(P))


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic"])
def test_gap_is_primal_minus_dual(loss):
    problem = sample_problem(1, loss)
    x = problem.X[:, 0]
    values = np.random.default_rng(2).standard_normal(problem.Y.shape)
    P, U, _ = _feasible(problem, x, np.arange(x.size), problem.dual_variable(values))
    network = network_through(x, values)
    expected = problem.objective(network) - problem.dual_value(P)
    gap = _gap(problem, values, second_differences(x) @ values, P, U)
    assert gap == pytest.approx(expected, rel=1e-11)
    assert gap > 0


def test_sizes_of_moments_bound_them():
    rng = np.random.default_rng(3)
    x, P = np.cumsum(rng.uniform(0.5, 1, 30)), rng.standard_normal((30, 1))
    U, Q = _moments(x, P)
    sizes, slopes = _moments(x, np.abs(P), absolute=True)
    assert np.all(np.abs(U) <= sizes)
    assert np.all(np.abs(Q) <= slopes)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_values_follow_iff_the_spline_basis_has_full_rank(data):
    n = data.draw(st.integers(2, 9))
    possible = np.array(data.draw(st.lists(st.booleans(), min_size=n - 2, max_size=n - 2)), bool)
    fixed = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), bool)
    x = np.cumsum(np.random.default_rng(n).uniform(0.5, 1.5, n))
    knots = x[1:-1][possible]
    basis = np.column_stack([np.ones(n), x, np.maximum(x[:, None] - knots, 0)])[fixed]
    determined = np.linalg.matrix_rank(basis) == 2 + knots.size
    group = np.arange(n)
    assert _values_follow(x, group, fixed[:, None], possible[:, None]) == determined
    both = np.column_stack([np.ones(n, bool), fixed])
    assert _values_follow(x, group, both, np.column_stack([possible, possible])) == determined


# The claims, from pairs that are not optimal, against the optimum


@pytest.mark.parametrize("loss", ["squared", "huber", "logistic"])
@pytest.mark.parametrize("n_tasks", [1, 2])
@pytest.mark.parametrize("blur", [1e-1, 1e-3, 1e-5, 1e-7])
def test_claims_hold_for_the_optimum(loss, n_tasks, blur):
    claimed = 0
    for seed in range(4):
        problem = sample_problem(seed, loss, n_tasks=n_tasks)
        x, group = problem.X[:, 0], np.arange(problem.n_samples)
        values = optimum(problem)
        D = second_differences(x)
        true = D @ values
        true[np.linalg.norm(true, axis=1) < 1e-5 * np.abs(true).max()] = 0.0
        rough = values + blur * np.random.default_rng(seed).standard_normal(values.shape)
        proof = prove(problem, x, group, rough, D @ rough, problem.dual_variable(rough))
        bent = np.linalg.norm(true, axis=1) > 0
        assert not np.any(bent & proof.absent)
        units = true / np.where(bent, np.linalg.norm(true, axis=1), 1.0)[:, None]
        together = np.linalg.norm(np.diff(units, axis=0), axis=1) < 1e-6
        varies = bent[:-1] & bent[1:] & together
        assert not np.any(varies & proof.straight[1:-1])
        if n_tasks == 1:
            signs = np.sign(true[:, 0])
            assert np.all((proof.bent == 0) | (proof.bent == signs))
            claimed += np.count_nonzero(proof.bent)
        claimed += np.count_nonzero(proof.absent)
        # The proof is about the optimum: its gap bounds the rough objective's excess.
        excess = problem.objective(network_through(x, rough)) - problem.objective(
            network_through(x, values)
        )
        assert proof.gap >= excess - 1e-7
    if blur <= 1e-5:
        assert claimed > 0


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_good_pairs_decide(loss):
    verdicts = set()
    for seed in range(4):
        for n_tasks in (1, 3):
            problem = sample_problem(seed, loss, n_tasks=n_tasks, alpha=0.05)
            network = network_through(problem.X[:, 0], optimum(problem))
            optima = OptimalSet.of_fit(problem, network)
            if n_tasks == 1:
                assert optima.verdict is not Verdict.UNIQUE
            else:
                assert optima.verdict is not Verdict.NOT_UNIQUE
            verdicts.add(optima.verdict)
    assert Verdict.NOT_UNIQUE in verdicts


def test_huber_loss_with_outliers_is_unique_when_the_other_points_pin_the_curve():
    # The value at an outlier follows from its neighbours, unless a knot could be there.
    rng = np.random.default_rng(0)
    x = np.arange(15.0)
    Y = np.column_stack([np.abs(x - 5.0), np.maximum(x - 9.0, 0.0)])
    Y += 0.1 * rng.standard_normal(Y.shape)
    Y[2, 0] += 50.0
    Y[12, 1] -= 30.0
    problem = Problem.make(x, Y, 0.5, loss="huber")
    values = optimum(problem)
    network = network_through(x, values)
    saturated = np.abs(problem.dual_variable(network(x))) > 1.35 - 1e-6
    assert saturated[2, 0] and saturated[12, 1]
    assert OptimalSet.of_fit(problem, network).verdict is Verdict.UNIQUE
    # Confirmed: the heights at the outliers cannot move without losing optimality.
    best = problem.objective(network)
    for shift in (-0.05, 0.05):
        for row, task in ((2, 0), (12, 1)):
            moved = values.copy()
            moved[row, task] += shift
            assert problem.objective(network_through(x, moved)) > best + 1e-3


def test_huber_loss_that_leaves_the_line_free_is_not_called_unique():
    # Between two labels far apart every height costs the same.
    problem = Problem.make([0.0, 0.0, 1.0, 1.0], [0.0, 100.0, 0.0, 100.0], 1.0, loss="huber")
    network = ReLUNetwork.from_knots([], np.zeros((0, 1)), [0.0], [50.0])
    optima = OptimalSet.of_fit(problem, network)
    assert optima.verdict is Verdict.UNDECIDED
    assert "whether they agree" in optima.reason
    assert optima.intervals == [(0.0, 1.0)]


def test_duplicate_rows_count_like_weights():
    problem = sample_problem(5, n_tasks=1, alpha=0.05)
    x, y, w = problem.X[:, 0], problem.Y, problem.sample_weight
    network = network_through(x, optimum(problem))
    once = OptimalSet.of_fit(problem, network)
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(x.size), 2))
    doubled = Problem.make(x[order], y[order], 0.05, sample_weight=0.5 * w[order])
    twice = OptimalSet.of_fit(doubled, network)
    assert twice.verdict is once.verdict
    assert twice.intervals == once.intervals
    assert twice.tolerance == pytest.approx(once.tolerance, rel=1e-3)


def test_an_offset_of_the_labels_changes_nothing():
    problem = sample_problem(6, n_tasks=2)
    x, Y = problem.X[:, 0], problem.Y
    network = network_through(x, optimum(problem))
    shifted = ReLUNetwork(network.w, network.b, network.v, network.A, network.c + 2.0**20)
    there = Problem.make(x, Y + 2.0**20, problem.alpha, sample_weight=problem.sample_weight)
    here = OptimalSet.of_fit(problem, network)
    moved = OptimalSet.of_fit(there, shifted)
    assert moved.verdict is here.verdict
    assert moved.tolerance == pytest.approx(here.tolerance, abs=1e-8)


# Numbers whose squares leave float64


@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("unit", [1e-145, 1e-150, 1e-160, 1e-170, 1e-200])
def test_a_gap_that_underflows_proves_nothing(loss, unit):
    x = np.arange(20.0)
    labels = unit * np.abs(x - 9.0)[:, np.newaxis]
    small = Problem.make(x, np.zeros(20), 1e-2 * unit, loss=loss)
    problem = replace(small, Y=labels)  # beyond what `make` takes
    line = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], [float(labels.mean())])
    for network in (line, network_through(x, labels)):
        optima = OptimalSet.of_fit(problem, network)
        assert optima.verdict is Verdict.UNDECIDED and not optima.range_is_proved
        assert optima.tolerance >= 1e-290


def test_labels_that_are_zero_leave_a_gap_of_zero():
    problem = Problem.make(np.arange(5.0), np.zeros(5), 1e-200)
    zero = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], [0.0])
    optima = OptimalSet.of_fit(problem, zero)
    assert optima.verdict is Verdict.UNIQUE and optima.tolerance == 0.0


@pytest.mark.parametrize("unit", [1e-140, 1e-80, 1e80, 1e120, 1e150])
def test_the_verdict_does_not_hang_on_the_unit_of_the_inputs(unit):
    problem = sample_problem(3, n=12)
    x, width = problem.X[:, 0], 2.0 ** round(np.log2(unit))
    scaled = replace(problem, X=width * problem.X, alpha=width * problem.alpha)
    values = optimum(problem)
    found = OptimalSet.of_fit(problem, network_through(x, values))
    again = OptimalSet.of_fit(scaled, network_through(width * x, values))  # warnings are errors
    assert found.verdict is again.verdict is not Verdict.UNDECIDED
    assert again.tolerance == pytest.approx(found.tolerance, rel=1e-6)


def test_what_overflows_proves_nothing():
    x, labels = 1e150 * np.arange(6.0), 1e100 * np.abs(np.arange(6.0) - 2.0)
    problem = Problem.make(x, labels, 1e-3 * 1e250)
    line = ReLUNetwork.from_knots([], np.empty((0, 1)), [0.0], [1e100])
    assert OptimalSet.of_fit(problem, line).verdict is Verdict.UNDECIDED
