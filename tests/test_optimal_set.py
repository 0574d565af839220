"""Theorem 3.1 and the whole optimal set, against linear and second-order cone programs."""

from __future__ import annotations

import itertools
import subprocess
import sys

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from mtrelu.network import ReLUNetwork
from mtrelu.optimal_set import OptimalSet, Verdict
from mtrelu.problem import Problem
from mtrelu.validation import InvalidInputError


def spline(x, changes, slope=None):
    """Values at x of the piecewise-linear function with these changes at the inner points."""
    slope = np.zeros(changes.shape[1]) if slope is None else slope
    hinges = np.maximum(x[:, None] - x[1:-1], 0.0)
    return hinges @ changes + np.outer(x - x[0], slope)


def generic(rng, n, n_tasks):
    """Slope changes of which no two neighbours are aligned."""
    if n_tasks == 1:
        return ((-1.0) ** np.arange(n) * rng.uniform(0.5, 2, n))[:, None]
    return rng.standard_normal((n, n_tasks))


def with_run(rng, n_tasks, length, before=2, after=2):
    """Data whose only aligned neighbours are a run of ``length``; returns x, Y, interval."""
    n = before + length + after
    changes = generic(rng, n, n_tasks)
    u = rng.standard_normal(n_tasks)
    u /= np.linalg.norm(u)
    if n_tasks == 1:
        # The neighbours of the run have the other sign, and alternate from there.
        u = np.ones(1)
        changes[:before] = (-1.0) ** np.arange(before, 0, -1)[:, None]
        changes[before + length :] = (-1.0) ** np.arange(1, after + 1)[:, None]
    run = slice(before, before + length)
    changes[run] = rng.uniform(0.5, 2.0, (length, 1)) * u
    x = np.cumsum(rng.uniform(0.5, 1.5, n + 2))
    Y = spline(x, changes, rng.standard_normal(n_tasks))
    return x, Y, (x[before + 1], x[before + length])


def check_optimal(network, x, Y, cost):
    """A network is optimal iff it interpolates at the optimal cost."""
    scale = np.abs(Y).max() + 1.0
    np.testing.assert_allclose(network(x), Y, rtol=0, atol=1e-12 * scale * len(x))
    assert network.path_cost() == pytest.approx(cost, rel=1e-12)


def program_range(x, Y, queries, grid_factor=0):
    """Smallest and largest optimal value at each query, by linear programs; one task.

    Knots may sit at data points, at queries, and at further points; that is enough, because an
    optimal function stays optimal when it is connected at these points (Lemma 3.2).
    """
    more = [np.linspace(a, b, grid_factor + 2) for a, b in itertools.pairwise(x)]
    knots = np.unique(np.concatenate([x, queries, [x[0] - 1, x[-1] + 1], *more]))
    columns = [np.maximum(x[:, None] - knots, 0)] * 2
    A = np.hstack([columns[0], -columns[1], np.ones((x.size, 1)), x[:, None]])
    price = np.append(np.ones(2 * knots.size), [0, 0])
    bounds = [(0, None)] * (2 * knots.size) + [(None, None)] * 2
    best = linprog(price, A_eq=A, b_eq=Y, bounds=bounds)
    assert best.status == 0
    low, high = [], []
    for query in queries:
        hinge = np.maximum(query - knots, 0)
        value = np.concatenate([hinge, -hinge, [1.0, query]])
        ends = [
            linprog(
                sign * value,
                A_ub=price[None],
                b_ub=[best.fun * (1 + 1e-10)],
                A_eq=A,
                b_eq=Y,
                bounds=bounds,
            )
            for sign in (1, -1)
        ]
        assert ends[0].status == ends[1].status == 0
        low.append(ends[0].fun)
        high.append(-ends[1].fun)
    return np.array(low), np.array(high), best.fun


def cone_range(x, Y, query, direction, slack=1e-7):
    """Range of direction·f(query) over nearly optimal functions of several tasks, by SOCP."""
    middles = 0.5 * (x[1:] + x[:-1])
    knots = np.unique(np.concatenate([x, middles, [query]]))
    changes = cp.Variable((knots.size, Y.shape[1]))
    slope, intercept = cp.Variable((1, Y.shape[1])), cp.Variable((1, Y.shape[1]))
    fitted = np.maximum(x[:, None] - knots, 0) @ changes + x[:, None] @ slope
    constraints = [fitted + np.ones((x.size, 1)) @ intercept == Y]
    cost = cp.sum(cp.norm(changes, 2, axis=1))
    best = cp.Problem(cp.Minimize(cost), constraints).solve(solver=cp.CLARABEL)
    value = np.maximum(query - knots, 0)[None] @ changes + query * slope + intercept
    value = cp.sum(value @ direction)
    nearly = [*constraints, cost <= best * (1 + slack)]
    low = cp.Problem(cp.Minimize(value), nearly).solve(solver=cp.CLARABEL)
    high = cp.Problem(cp.Maximize(value), nearly).solve(solver=cp.CLARABEL)
    return low, high, best


# Theorem 3.1, case by case


@pytest.mark.parametrize("n_tasks", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("length", range(2, 9))
@pytest.mark.parametrize(("before", "after"), [(0, 0), (2, 3), (40, 25)])
def test_aligned_runs_are_found_wherever_they_are(n_tasks, length, before, after):
    rng = np.random.default_rng([n_tasks, length, before])
    x, Y, interval = with_run(rng, n_tasks, length, before, after)
    optima = OptimalSet.of_interpolation(x, Y)
    assert optima.verdict is Verdict.NOT_UNIQUE
    assert optima.intervals == [interval]
    assert f"x = {interval[0]:.10g}" in optima.reason
    assert "1e-09" in optima.reason


@pytest.mark.parametrize("n_tasks", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("length", range(1, 9))
def test_anti_aligned_neighbours_leave_one_optimum(n_tasks, length):
    rng = np.random.default_rng([n_tasks, length, 1])
    u = rng.standard_normal(n_tasks)
    changes = np.outer((-1.0) ** np.arange(length) * rng.uniform(0.5, 2, length), u)
    x = np.cumsum(rng.uniform(0.5, 1.5, length + 2))
    optima = OptimalSet.of_interpolation(x, spline(x, changes, rng.standard_normal(n_tasks)))
    assert optima.verdict is Verdict.UNIQUE
    assert optima.intervals == []
    assert optima.witness() is None


@pytest.mark.parametrize("n_tasks", [1, 2, 5])
@pytest.mark.parametrize("zeros", [1, 2, 5])
def test_zero_slope_changes_separate_aligned_ones(n_tasks, zeros):
    rng = np.random.default_rng([n_tasks, zeros])
    u = rng.standard_normal(n_tasks)
    changes = np.vstack([u, np.zeros((zeros, n_tasks)), 2 * u, np.zeros((zeros, n_tasks)), u])
    x = np.cumsum(rng.uniform(0.5, 1.5, len(changes) + 2))
    Y = spline(x, changes, rng.standard_normal(n_tasks))
    optima = OptimalSet.of_interpolation(x, Y)
    assert optima.verdict is Verdict.UNIQUE
    sparse = optima.sparsest()
    assert sparse.n_neurons == 3
    check_optimal(sparse, x, Y, optima.curve.cost)


def test_zero_beside_an_aligned_pair_does_not_extend_it():
    u = np.array([3.0, 4.0])
    changes = np.array([[0, 0], u, 2 * u, [0, 0], u])
    x = np.arange(7.0)
    optima = OptimalSet.of_interpolation(x, spline(x, changes))
    assert optima.intervals == [(2.0, 3.0)]
    assert optima.sparsest().n_neurons == 2


@pytest.mark.parametrize("n_tasks", [1, 3])
def test_affine_labels_have_one_optimum(n_tasks):
    rng = np.random.default_rng(n_tasks)
    x = np.cumsum(rng.uniform(0.5, 1.5, 200))
    Y = np.outer(x, rng.standard_normal(n_tasks)) + rng.standard_normal(n_tasks)
    optima = OptimalSet.of_interpolation(x, Y)
    assert optima.verdict is Verdict.UNIQUE
    assert optima.sparsest().n_neurons == 0
    np.testing.assert_allclose(optima.sparsest()(x), Y, atol=1e-11)


@pytest.mark.parametrize("n", [2, 3])
def test_two_and_three_points_have_one_optimum(n):
    optima = OptimalSet.of_interpolation(np.arange(n), np.arange(n) ** 2)
    assert optima.verdict is Verdict.UNIQUE
    assert f"With {n} data points" in optima.reason
    low, high = optima.range([-1.0, 0.5, 9.0])
    np.testing.assert_array_equal(low, high)
    assert optima.sample(1, 0)[0].n_neurons == n - 2
    first, second = optima.extremes()
    assert first.same_function(second)


def test_one_point_leaves_every_slope_free():
    optima = OptimalSet.of_interpolation([2.0], [[1.0, -1.0]])
    assert optima.verdict is Verdict.NOT_UNIQUE
    assert optima.intervals == [(-np.inf, np.inf)]
    low, high = optima.range([2.0, 3.0])
    np.testing.assert_array_equal(low, [[1, -1], [-np.inf, -np.inf]])
    np.testing.assert_array_equal(high, [[1, -1], [np.inf, np.inf]])
    networks = [*optima.sample(3, 0), optima.sparsest(), optima.witness(), *optima.extremes()]
    for network in networks:
        np.testing.assert_allclose(network([2.0]), [[1.0, -1.0]])
        assert network.n_neurons == 0
    assert not networks[0].same_function(networks[1])
    assert not optima.witness().same_function(optima.connect_the_dots())


# In floating point


@pytest.mark.parametrize("scale_x", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("scale_y", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("n_tasks", [1, 2, 4])
def test_verdict_does_not_depend_on_units(scale_x, scale_y, n_tasks):
    for seed in range(10):
        rng = np.random.default_rng([seed, n_tasks])
        x, Y, interval = with_run(rng, n_tasks, 3, before=5, after=5)
        optima = OptimalSet.of_interpolation(scale_x * x, scale_y * Y)
        assert optima.verdict is Verdict.NOT_UNIQUE
        np.testing.assert_allclose(optima.intervals, [np.multiply(interval, scale_x)])
        Y = spline(x, generic(rng, x.size - 2, n_tasks))
        assert OptimalSet.of_interpolation(scale_x * x, scale_y * Y).verdict is Verdict.UNIQUE


@pytest.mark.parametrize("offset_x", [0.0, 1e10])
@pytest.mark.parametrize("offset_y", [0.0, 1e10])
@pytest.mark.parametrize("n_tasks", [1, 2, 3])
def test_offsets_never_turn_one_verdict_into_the_other(offset_x, offset_y, n_tasks):
    for seed in range(20):
        rng = np.random.default_rng([seed, n_tasks, 7])
        x, Y, _ = with_run(rng, n_tasks, 3, before=5, after=5)
        aligned = OptimalSet.of_interpolation(x + offset_x, Y + offset_y).verdict
        assert aligned is not Verdict.UNIQUE
        Y = spline(x, generic(rng, x.size - 2, n_tasks))
        unaligned = OptimalSet.of_interpolation(x + offset_x, Y + offset_y).verdict
        assert unaligned is not Verdict.NOT_UNIQUE
        if offset_x == offset_y == 0.0:
            assert (aligned, unaligned) == (Verdict.NOT_UNIQUE, Verdict.UNIQUE)


def test_one_task_is_decided_by_signs_at_any_offset():
    x = np.arange(8.0)
    changes = np.array([1.0, 3, -1, 1, -2, -1])[:, None]
    optima = OptimalSet.of_interpolation(x + 1e10, spline(x, changes) + 1e10)
    assert optima.verdict is Verdict.NOT_UNIQUE
    assert optima.intervals == [(1e10 + 1, 1e10 + 2), (1e10 + 5, 1e10 + 6)]


@pytest.mark.parametrize("factor", [1.0, 2.0, 0.3, -1.7])
def test_tasks_that_are_multiples_of_one_are_decided_like_one(factor):
    # On a fine grid no single direction is clear, but all of them together are.
    x = np.linspace(0, 6, 20_001)
    y = np.sin(x)
    optima = OptimalSet.of_interpolation(x, np.column_stack([y, factor * y + 0.1 * x]))
    assert optima.verdict is Verdict.NOT_UNIQUE
    assert np.all(optima.curve.knots == 0)
    single = OptimalSet.of_interpolation(x, y)
    np.testing.assert_allclose(optima.intervals, single.intervals, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("offset", [0.0, 1e10])
@pytest.mark.parametrize("angle", [1e-7, -1e-7, 1e-6, 1e-4])
def test_nearly_aligned_is_not_aligned(scale, offset, angle):
    for seed in range(20):
        rng = np.random.default_rng([seed, 3])
        changes = generic(rng, 8, 2)
        changes[4] = changes[3] * rng.uniform(0.5, 2)
        c, s = np.cos(angle), np.sin(angle)
        changes[4] = changes[4] @ np.array([[c, s], [-s, c]])
        x = np.cumsum(rng.uniform(0.5, 1.5, 10)) + offset
        verdict = OptimalSet.of_interpolation(scale * x, scale * spline(x, changes)).verdict
        assert verdict is not Verdict.NOT_UNIQUE
        if offset == 0.0:
            assert verdict is Verdict.UNIQUE


def test_one_pair_on_one_axis_may_be_a_coincidence():
    # Far from the origin two directions look alike; it takes more of them to be sure.
    u = np.array([0.6, 0.8])
    for n, expected in ((4, Verdict.UNDECIDED), (12, Verdict.NOT_UNIQUE)):
        x = np.arange(float(n))
        Y = spline(x, np.outer(np.arange(1.0, n - 1), u))
        assert OptimalSet.of_interpolation(x + 1e10, Y).verdict is expected


def test_precision_decides_what_rounded_labels_can_tell():
    u, other = np.array([0.31, 0.52, -0.77]), np.array([0.4, 0.9, 0.2])
    x = np.arange(5.0)
    rounded = spline(x, np.array([u, 1.7 * u, other]), slope=-1.2 * u).astype(np.float32)
    assert OptimalSet.of_interpolation(x, rounded).verdict is Verdict.UNIQUE
    optima = OptimalSet.of_interpolation(x, rounded, precision=6e-8)
    assert optima.verdict is Verdict.NOT_UNIQUE
    assert optima.intervals == [(1.0, 2.0)]
    assert "6e-08" in optima.reason
    # Far out the labels are large, and so is their rounding.
    x, Y, interval = with_run(np.random.default_rng(0), 3, 4, before=20, after=0)
    optima = OptimalSet.of_interpolation(x, Y.astype(np.float32), precision=6e-8)
    assert optima.verdict is Verdict.UNDECIDED
    assert optima.intervals == [interval]


def test_undecided_names_where_and_gives_the_wider_range():
    x, Y, interval = with_run(np.random.default_rng(2), 2, 2, before=4, after=4)
    optima = OptimalSet.of_interpolation(x, Y + 1e10)
    assert optima.verdict is Verdict.UNDECIDED
    assert optima.intervals == [interval]
    assert "beyond the precision of the data, 2e-16" in optima.reason
    assert not optima.range_is_proved and OptimalSet.of_interpolation(x, Y).range_is_proved
    middle = [0.5 * (interval[0] + interval[1])]
    low, high = optima.range(middle)
    expected_low, expected_high = OptimalSet.of_interpolation(x, Y).range(middle)
    np.testing.assert_allclose(high - low, expected_high - expected_low, atol=1e-4)
    assert optima.witness() is None


def test_smooth_curves_on_fine_grids_are_never_called_not_unique():
    # The direction of the second derivative of (sin, cos 2x) turns back, where neighbours are
    # aligned to second order in the spacing; exactly aligned they are nowhere.
    for n in (100, 1000, 10_000, 100_000):
        x = np.linspace(0, 6, n)
        Y = np.column_stack([np.sin(x), np.cos(2 * x)])
        assert OptimalSet.of_interpolation(x, Y).verdict is not Verdict.NOT_UNIQUE


# The range


@pytest.mark.parametrize("length", range(2, 9))
def test_range_of_one_task_is_that_of_a_linear_program(length):
    rng = np.random.default_rng(length)
    x, Y, _ = with_run(rng, 1, length, before=2, after=2)
    Y = Y * (-1.0) ** length
    queries = np.concatenate([rng.uniform(x[0] - 2, x[-1] + 2, 14), x[2:4]])
    low, high = OptimalSet.of_interpolation(x, Y).range(queries)
    expected_low, expected_high, cost = program_range(x, Y[:, 0], queries, grid_factor=2)
    assert OptimalSet.of_interpolation(x, Y).curve.cost == pytest.approx(cost, rel=1e-8)
    np.testing.assert_allclose(low[:, 0], expected_low, atol=2e-7)
    np.testing.assert_allclose(high[:, 0], expected_high, atol=2e-7)
    assert np.count_nonzero(high - low > 1e-3) >= 2


def test_range_of_random_single_task_data_is_that_of_a_linear_program():
    for seed in range(8):
        rng = np.random.default_rng([seed, 11])
        n = int(rng.integers(4, 12))
        x = np.cumsum(rng.uniform(0.2, 1.5, n))
        y = rng.integers(-3, 4, n).astype(float)
        queries = rng.uniform(x[0] - 1, x[-1] + 1, 6)
        low, high = OptimalSet.of_interpolation(x, y).range(queries)
        expected_low, expected_high, _ = program_range(x, y, queries)
        np.testing.assert_allclose(low[:, 0], expected_low, atol=2e-7)
        np.testing.assert_allclose(high[:, 0], expected_high, atol=2e-7)


@pytest.mark.parametrize("n_tasks", [2, 3])
@pytest.mark.parametrize("length", [2, 3])
def test_range_of_several_tasks_is_that_of_a_cone_program(n_tasks, length):
    rng = np.random.default_rng([n_tasks, length, 5])
    x, Y, interval = with_run(rng, n_tasks, length, before=2, after=2)
    optima = OptimalSet.of_interpolation(x, Y)
    query = interval[0] + 0.4 * (x[np.searchsorted(x, interval[0]) + 1] - interval[0])
    low, high = optima.range([query])
    for t in range(n_tasks):
        expected_low, expected_high, cost = cone_range(x, Y, query, np.eye(n_tasks)[t])
        assert optima.curve.cost == pytest.approx(cost, rel=1e-6)
        assert low[0, t] == pytest.approx(expected_low, abs=5e-3)
        assert high[0, t] == pytest.approx(expected_high, abs=5e-3)
    assert (high - low).max() > 0.05


@pytest.mark.parametrize("n_tasks", [2, 3])
def test_unique_verdicts_are_confirmed_by_a_cone_program(n_tasks):
    for seed in range(3):
        rng = np.random.default_rng([seed, n_tasks, 6])
        x = np.cumsum(rng.uniform(0.5, 1.5, 7))
        Y = spline(x, generic(rng, 5, n_tasks))
        optima = OptimalSet.of_interpolation(x, Y)
        assert optima.verdict is Verdict.UNIQUE
        query = rng.uniform(x[1], x[-2])
        low, high, _ = cone_range(x, Y, query, rng.standard_normal(n_tasks), slack=1e-8)
        assert high - low < 5e-3


# Optimal networks


def networks_of(optima, n=5):
    return [
        *optima.sample(n, 0),
        optima.sparsest(),
        optima.connect_the_dots(),
        *optima.extremes(),
    ]


@pytest.mark.parametrize("n_tasks", [1, 2, 5])
@pytest.mark.parametrize("length", range(2, 9))
def test_every_network_interpolates_at_the_same_cost(n_tasks, length):
    rng = np.random.default_rng([n_tasks, length, 8])
    x, Y, (start, stop) = with_run(rng, n_tasks, length, before=6, after=4)
    optima = OptimalSet.of_interpolation(x, Y)
    queries = np.linspace(x[0] - 1, x[-1] + 1, 3001)
    low, high = optima.range(queries)
    dots = optima.curve(queries)
    outside = (queries <= start) | (queries >= stop)
    for network in networks_of(optima):
        check_optimal(network, x, Y, optima.curve.cost)
        values = network(queries)
        assert np.all(values >= low - 1e-10)
        assert np.all(values <= high + 1e-10)
        np.testing.assert_allclose(values[outside], dots[outside], atol=1e-10)
    assert not optima.witness().same_function(optima.connect_the_dots())
    first, second = optima.sample(2, 1)
    assert not first.same_function(second)
    # Mixtures of optima are optima.
    mixture = ReLUNetwork(
        np.vstack([first.w, second.w]),
        np.append(first.b, second.b),
        np.vstack([0.3 * first.v, 0.7 * second.v]),
        0.3 * first.A + 0.7 * second.A,
        0.3 * first.c + 0.7 * second.c,
    )
    check_optimal(mixture.canonical(), x, Y, optima.curve.cost)


@pytest.mark.parametrize("length", range(2, 9))
def test_sparsest_needs_half_the_knots_of_a_run(length):
    rng = np.random.default_rng([length, 9])
    x, Y, _ = with_run(rng, 3, length, before=3, after=4)
    sparse = OptimalSet.of_interpolation(x, Y).sparsest()
    assert sparse.n_neurons == 7 + (length + 1) // 2


@pytest.mark.parametrize("length", [3, 4, 5])
def test_no_optimum_on_fewer_knots_than_the_sparsest(length):
    # One task, all choices of knots on a grid that holds those of the sparsest network.
    rng = np.random.default_rng(length)
    x, Y, _ = with_run(rng, 1, length, before=0, after=0)
    sparse = OptimalSet.of_interpolation(x, Y).sparsest()
    assert sparse.n_neurons == (length + 1) // 2
    grid = np.union1d(np.linspace(x[0], x[-1], 25)[1:-1], sparse.knots())
    for few in range(sparse.n_neurons):
        for knots in itertools.combinations(grid, few):
            columns = np.maximum(x[:, None] - np.array(knots), 0)
            basis = np.column_stack([np.ones_like(x), x, columns])
            missed = Y - basis @ np.linalg.lstsq(basis, Y)[0]
            assert np.abs(missed).max() > 1e-6


@pytest.mark.parametrize("length", range(2, 9))
def test_extremes_reach_as_far_as_any_optimum(length):
    rng = np.random.default_rng([length, 10])
    x, Y, (start, stop) = with_run(rng, 2, length, before=3, after=3)
    optima = OptimalSet.of_interpolation(x, Y)
    queries = np.linspace(start, stop, 4001)
    dots, corner = optima.extremes()
    low, high = optima.range(queries)
    width = np.linalg.norm(high - low, axis=1)
    reached = np.linalg.norm(corner(queries) - dots(queries), axis=1)
    assert reached.max() == pytest.approx(width.max(), rel=1e-3)
    assert reached.max() >= max(
        np.linalg.norm(f(queries) - dots(queries), axis=1).max() for f in optima.sample(50, 3)
    )


def test_figure_1_extends_the_outer_lines_until_they_meet():
    x, y = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0, 0.0])
    optima = OptimalSet.of_interpolation(x, y)
    dots, corner = optima.extremes()
    np.testing.assert_allclose(dots([0.0]), [[1.0]])
    np.testing.assert_allclose(corner([0.0]), [[2.0]])
    assert corner.n_neurons == 1
    low, high = optima.range([0.0, 0.5])
    np.testing.assert_allclose(low, [[1.0], [1.0]])
    np.testing.assert_allclose(high, [[2.0], [1.5]])


def test_samples_cover_the_range_and_repeat_with_the_seed():
    x, y = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0, 0.0])
    optima = OptimalSet.of_interpolation(x, y)
    middle = np.array([f([0.0])[0, 0] for f in optima.sample(2000, 4)])
    assert middle.min() < 1.02
    assert middle.max() > 1.9
    again = np.array([f([0.0])[0, 0] for f in optima.sample(2000, 4)])
    np.testing.assert_array_equal(middle, again)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_random_single_task_data(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 40))
    x = np.cumsum(10.0 ** rng.uniform(-3, 1, n))
    y = np.cumsum(rng.standard_normal(n))
    optima = OptimalSet.of_interpolation(x, y)
    slopes = np.diff(y) / np.diff(x)
    signs = np.sign(np.diff(slopes))
    pairs = np.flatnonzero(signs[:-1] * signs[1:] > 0)
    assert (optima.verdict is Verdict.NOT_UNIQUE) == bool(pairs.size)
    covered = [any(a <= x[k + 1] and x[k + 2] <= b for a, b in optima.intervals) for k in pairs]
    assert all(covered)
    steep = np.abs(slopes).max()
    for network in networks_of(optima, 2):
        np.testing.assert_allclose(network(x)[:, 0], y, rtol=0, atol=1e-13 * steep * x[-1] * n)
        assert network.path_cost() == pytest.approx(optima.curve.cost, rel=1e-12)


def test_large_sets_are_fast_and_exact():
    rng = np.random.default_rng(12)
    x = np.cumsum(rng.uniform(0.5, 1.5, 200_000))
    y = rng.standard_normal(200_000)
    optima = OptimalSet.of_interpolation(x, y)
    signs = np.sign(np.diff(np.diff(y) / np.diff(x)))
    starts = np.flatnonzero(np.append(True, signs[1:] != signs[:-1]))
    lengths = np.diff(np.append(starts, signs.size))
    assert optima.sparsest().n_neurons == np.sum((lengths + 1) // 2)
    check_optimal(optima.sample(1, 0)[0], x, y[:, None], optima.curve.cost)


def test_repr_is_one_sentence():
    optima = OptimalSet.of_interpolation([0, 1, 2, 3], [0, 0, 1, 3])
    assert repr(optima) == "<OptimalSet: not unique, intervals [(1.0, 2.0)]>"
    assert repr(optima.curve) == "Interpolant(n_samples=4, n_tasks=1, cost=2)"


def test_importing_loads_no_compiler():
    code = "import sys, mtrelu.optimal_set; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# α > 0, through the fitted values


def solve(x, Y, alpha, weights=None):
    """Group trend filtering by Clarabel; returns the network and the dual variable."""
    nodes, row = np.unique(x, return_inverse=True)
    weights = np.ones(x.size) if weights is None else weights
    slopes = np.diff(np.eye(nodes.size), axis=0) / np.diff(nodes)[:, None]
    D = np.diff(slopes, axis=0)
    values = cp.Variable((nodes.size, Y.shape[1]))
    loss = 0.5 * cp.sum_squares(cp.multiply(np.sqrt(weights)[:, None], values[row] - Y))
    cost = cp.sum(cp.norm(D @ values, 2, axis=1))
    program = cp.Problem(cp.Minimize(loss + alpha * cost))
    program.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    changes = D @ values.value
    strength = np.linalg.norm(changes, axis=1)
    knots = nodes[1:-1][strength > 1e-5 * strength.max()]
    # Newton's method on these knots, to the last digits.
    T, basis = Y.shape[1], np.maximum(x[:, None] - knots, 0)
    basis = np.column_stack([np.ones_like(x), x - x.mean(), basis])
    theta = np.linalg.lstsq(basis, values.value[row])[0]
    for _ in range(8):
        P = weights[:, None] * (Y - basis @ theta)
        gradient = -basis.T @ P
        hessian = np.kron(basis.T @ (weights[:, None] * basis), np.eye(T))
        for k in range(knots.size):
            size = np.linalg.norm(theta[2 + k])
            u = theta[2 + k] / size
            gradient[2 + k] += alpha * u
            block = slice((2 + k) * T, (3 + k) * T)
            hessian[block, block] += alpha / size * (np.eye(T) - np.outer(u, u))
        theta = theta - np.linalg.solve(hessian, gradient.ravel()).reshape(theta.shape)
    intercept = theta[0] - theta[1] * x.mean()
    network = ReLUNetwork.from_knots(knots, theta[2:], theta[1], intercept)
    return network, weights[:, None] * (Y - basis @ theta)


def trend(seed, n, n_tasks, noise=0.1):
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.uniform(0.5, 1.5, n))
    phase = rng.uniform(0, 6, n_tasks)
    return x, np.sin(0.5 * x[:, None] + phase) + noise * rng.standard_normal((n, n_tasks))


@pytest.mark.parametrize("seed", range(3))
def test_fit_of_several_tasks_is_proved_unique(seed):
    x, Y = trend(seed, 20, 3)
    network, P = solve(x, Y, 0.5)
    problem = Problem.make(x, Y, 0.5)
    optima = OptimalSet.of_fit(problem, network, P)
    assert optima.verdict is Verdict.UNIQUE
    assert optima.intervals == []
    assert f"{optima.tolerance:.2g}" in optima.reason and optima.range_is_proved
    assert optima.witness() is None
    queries = np.linspace(x[0] - 1, x[-1] + 1, 200)
    low, high = optima.range(queries)
    np.testing.assert_array_equal(low, high)
    np.testing.assert_allclose(low, network(queries), atol=1e-11)
    assert optima.sparsest().same_function(network)


@pytest.mark.parametrize("seed", range(4))
def test_fit_of_one_task_is_proved_not_unique_and_its_optima_are_optimal(seed):
    x, Y = trend(seed, 20, 1, noise=0.01)
    weights = np.random.default_rng(seed).uniform(0.5, 2, 20)
    network, P = solve(x, Y, 0.05, weights)
    problem = Problem.make(x, Y, 0.05, sample_weight=weights)
    optima = OptimalSet.of_fit(problem, network, P)
    assert optima.verdict is Verdict.NOT_UNIQUE
    best = problem.objective(network)
    for other in networks_of(optima):
        assert problem.objective(other) == pytest.approx(best, rel=1e-10)
        np.testing.assert_allclose(other(x), network(x), atol=1e-10)
    assert not optima.witness().same_function(network)
    assert optima.sparsest().n_neurons < network.n_neurons
    middles = np.array([0.5 * (a + b) for a, b in optima.intervals])
    low, high = optima.range(middles)
    assert np.any(high - low > 1e-4)
    # The range is that of interpolating the fitted values.
    expected_low, expected_high, _ = program_range(x, network(x)[:, 0], middles)
    np.testing.assert_allclose(low[:, 0], expected_low, atol=1e-6)
    np.testing.assert_allclose(high[:, 0], expected_high, atol=1e-6)


def test_tasks_that_are_multiples_of_one_are_proved_not_unique():
    x, Y = trend(0, 20, 1, noise=0.01)
    u = np.array([[0.6, -0.8]])
    line = np.outer(x, [1.0, 2.0]) + np.array([3.0, -1.0])
    network, P = solve(x, Y, 0.05)
    several = ReLUNetwork(
        network.w, network.b, network.v @ u, (network.A @ u).T + np.array([[1.0], [2.0]]),
        network.c @ u + np.array([3.0, -1.0]),
    )  # fmt: skip
    optima = OptimalSet.of_fit(Problem.make(x, Y @ u + line, 0.05), several, P @ u)
    single = OptimalSet.of_fit(Problem.make(x, Y, 0.05), network, P)
    assert optima.verdict is single.verdict is Verdict.NOT_UNIQUE
    assert optima.intervals == single.intervals
    assert "multiples of one" in optima.reason
    assert optima.range_is_proved and single.range_is_proved


def test_one_run_that_is_proved_does_not_prove_the_range_elsewhere():
    # Far apart, a run that is plain to see and one that a rough dual variable leaves open.
    x, Y = trend(0, 20, 1, noise=0.01)
    network, P = solve(x, Y, 0.05)
    problem = Problem.make(x, Y, 0.05)
    proved = OptimalSet.of_fit(problem, network, P)
    verdicts = set()
    for size in np.geomspace(1e-8, 1e-1, 30):
        rough = ReLUNetwork(network.w, network.b, (1 + size) * network.v, network.A, network.c)
        optima = OptimalSet.of_fit(problem, rough)
        verdicts.add((optima.verdict, optima.range_is_proved))
        if optima.range_is_proved:
            assert optima.intervals == proved.intervals
    assert (Verdict.NOT_UNIQUE, True) in verdicts and (Verdict.UNDECIDED, False) in verdicts
    assert (Verdict.NOT_UNIQUE, False) in verdicts and (Verdict.UNDECIDED, True) not in verdicts


def test_a_rough_fit_proves_nothing():
    x, Y = trend(1, 20, 1, noise=0.01)
    network, _ = solve(x, Y, 0.05)
    rough = ReLUNetwork(network.w, network.b, 1.05 * network.v, network.A, network.c)
    optima = OptimalSet.of_fit(Problem.make(x, Y, 0.05), rough)
    assert optima.verdict is Verdict.UNDECIDED and not optima.range_is_proved
    assert "smaller tol" in optima.reason
    assert optima.intervals


def test_knots_between_data_points_are_moved_onto_them():
    x, Y = trend(2, 20, 1, noise=0.01)
    network, P = solve(x, Y, 0.05)
    problem = Problem.make(x, Y, 0.05)
    expected = OptimalSet.of_fit(problem, network, P)
    moved = OptimalSet.of_fit(problem, expected.sample(1, 0)[0], P)
    assert moved.verdict is expected.verdict
    assert moved.intervals == expected.intervals
    assert moved.connect_the_dots().same_function(network)
    outside = ReLUNetwork.from_knots([-50.0, 99.0], [[1.0], [1.0]], [-1.0], [-50.0])
    dots = OptimalSet.of_fit(Problem.make(x, 0 * Y, 1.0), outside).connect_the_dots()
    assert dots.n_neurons == 0
    np.testing.assert_allclose(dots(x), 0.0, atol=1e-12)


def test_affine_fit_above_alpha_max_is_unique():
    x, Y = trend(3, 20, 2)
    problem = Problem.make(x, Y, 1e3)
    A, c, P = problem.affine_fit()
    network = ReLUNetwork.from_knots([], np.zeros((0, 2)), A[:, 0], c)
    assert OptimalSet.of_fit(problem, network, P).verdict is Verdict.UNIQUE


def test_fit_to_a_single_input_leaves_the_slope_free():
    problem = Problem.make([1.0, 1.0, 1.0], [0.0, 1.0, 2.0], 0.5)
    network = ReLUNetwork.from_knots([], np.zeros((0, 1)), [0.0], [1.0])
    optima = OptimalSet.of_fit(problem, network)
    assert optima.verdict is Verdict.NOT_UNIQUE
    assert "any slope is free" in optima.reason


def test_two_inputs_leave_no_choice():
    problem = Problem.make([0.0, 1.0, 1.0], [0.0, 1.0, 2.0], 0.5)
    network = ReLUNetwork.from_knots([], np.zeros((0, 1)), [1.5], [0.0])
    assert OptimalSet.of_fit(problem, network).verdict is Verdict.UNIQUE


def test_quantile_loss_is_undecided_and_says_why():
    problem = Problem.make(np.arange(4.0), np.arange(4.0), 0.5, loss="quantile")
    network = ReLUNetwork.from_knots([], np.zeros((0, 1)), [1.0], [0.0])
    optima = OptimalSet.of_fit(problem, network)
    assert optima.verdict is Verdict.UNDECIDED
    assert "kinks" in optima.reason


@pytest.mark.parametrize(
    "changes",
    [{"alpha": 0.0}, {"skip": "constant"}, {"X": np.ones((4, 2)) * np.arange(4)[:, None]}],
)
def test_of_fit_refuses_what_it_is_not_about(changes):
    arguments = {"X": np.arange(4.0), "Y": np.arange(4.0), "alpha": 1.0} | changes
    problem = Problem.make(**arguments)
    network = ReLUNetwork.from_knots([], np.zeros((0, 1)), [1.0], [0.0])
    with pytest.raises(InvalidInputError, match="one input, an affine skip"):
        OptimalSet.of_fit(problem, network)


@pytest.mark.parametrize(
    ("n", "seed", "word"), [(-1, 0, "n is -1"), (1.5, 0, "n is 1.5"), (1, "a", "random_state")]
)
def test_sample_refuses_what_it_cannot_draw(n, seed, word):
    with pytest.raises(InvalidInputError, match=word):
        OptimalSet.of_interpolation([0, 1, 2, 3], [0, 0, 1, 3]).sample(n, seed)
