import numpy as np
import pytest
from scipy.optimize import linprog

import mtrelu
from mtrelu.paper._line import (
    aligned_pairs,
    cost,
    dual_proof,
    mixture,
    slope_changes,
    slopes,
    through,
)


def data(seed, N, T):
    rng = np.random.default_rng(seed)
    return np.sort(rng.standard_normal(N)), rng.standard_normal((N, T))


@pytest.mark.parametrize(("N", "T"), [(2, 1), (3, 2), (7, 4)])
def test_through_points(N, T):
    x, Y = data(0, N, T)
    f = through(x, Y)
    grid = np.linspace(x[0], x[-1], 50)
    expected = np.column_stack([np.interp(grid, x, Y[:, t]) for t in range(T)])
    np.testing.assert_allclose(f(grid), expected, atol=1e-12)
    step = x[-1] - x[-2]
    np.testing.assert_allclose(f([x[-1] + step]), [2 * Y[-1] - Y[-2]], atol=1e-12)
    np.testing.assert_allclose(f.path_cost(), cost(np.diff(slopes(x, Y), axis=0)), rtol=1e-12)


def test_through_points_with_a_slope_before_them():
    f = through(np.array([0.0, 1.0, 3.0]), np.array([[1.0], [2.0], [2.0]]), first=np.array([-2.0]))
    np.testing.assert_allclose(f([-1.0, 0.0, 1.0, 4.0]).ravel(), [3.0, 1.0, 2.0, 2.0])
    assert f.path_cost() == pytest.approx(3.0 + 1.0)


ALIGNED = {
    "one task, same sign": ([0, 1, 2, 3], [[0], [0], [1], [3]], [1]),
    "one task, other sign": ([0, 1, 2, 3], [[0], [0], [1], [0]], []),
    "a straight piece": ([0, 1, 2, 3, 4], [[0], [0], [1], [2], [4]], []),
    "all three": ([0, 1, 2, 3, 4], [[0], [0], [1], [3], [6]], [1, 2]),
    "two tasks along (1, 2)": ([0, 1, 2, 3], [[0, 0], [0, 0], [1, 2], [4, 8]], [1]),
    "two tasks against it": ([0, 1, 2, 3], [[0, 0], [0, 0], [1, 2], [1, 2]], []),
    "two tasks, nearly": ([0, 1, 2, 3], [[0, 0], [0, 0], [1, 2], [4, 8 + 2**-40]], []),
    "first entry zero": ([0, 1, 2, 3], [[0, 0], [0, 0], [0, 2], [0, 8]], [1]),
    "zero against not": ([0, 1, 2, 3], [[0, 0], [0, 0], [0, 2], [1, 8]], []),
    "too few points": ([0, 1, 2], [[0], [0], [1]], []),
}


@pytest.mark.parametrize("case", ALIGNED)
def test_alignment_in_fractions(case):
    x, Y, pairs = ALIGNED[case]
    assert aligned_pairs(np.array(x, dtype=float), np.array(Y, dtype=float)) == pairs


def test_the_last_digit_decides():
    x = np.array([0.0, 0.1, 0.2, 0.3])
    Y = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 2.0], [3.0, 6.0]])
    assert aligned_pairs(x, Y) == [1]
    Y[3, 1] = np.nextafter(6.0, 7.0)
    assert aligned_pairs(x, Y) == []


def cheapest(x, Y):
    """The least Σ|slope changes| of one task, over knots on a fine grid: a linear program."""
    knots = np.union1d(x, np.linspace(x[0] - 1, x[-1] + 1, 201))
    hinges = np.maximum(x[:, np.newaxis] - knots, 0.0)
    A = np.hstack([hinges, -hinges, np.column_stack([np.ones_like(x), x])])
    found = linprog(
        [*np.ones(2 * knots.size), 0, 0], A_eq=A, b_eq=Y[:, 0],
        bounds=[(0, None)] * (2 * knots.size) + [(None, None)] * 2,
    )  # fmt: skip
    return found.fun


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_is_what_a_linear_program_finds(seed):
    x, Y = data(seed, 8, 1)
    total = cost(np.diff(slopes(x, Y), axis=0))
    assert dual_proof(x, Y).bound == pytest.approx(total, rel=1e-12)
    assert cheapest(x, Y) == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("T", [1, 3])
def test_the_bound_is_that_of_a_dual_variable(T):
    """P itself, with Σ p_i (x_i − b)₊ = U(b), and what it says of interpolants."""
    x, Y = np.cumsum(np.random.default_rng(T).uniform(0.5, 1.5, 7)), data(T, 7, T)[1]
    changes = np.diff(slopes(x, Y), axis=0)
    U = np.zeros_like(Y)
    U[1:-1] = changes / np.linalg.norm(changes, axis=1, keepdims=True)
    steps = slopes(x, U)
    P = np.diff(np.vstack([0 * steps[:1], steps, 0 * steps[:1]]), axis=0)
    b = np.linspace(x[0] - 1.0, x[-1] + 1.0, 997)
    at_b = np.maximum(x - b[:, np.newaxis], 0.0) @ P
    expected = np.column_stack([np.interp(b, x, each, left=0.0, right=0.0) for each in U.T])
    np.testing.assert_allclose(at_b, expected, atol=1e-12)
    assert np.linalg.norm(at_b, axis=1).max() <= 1.0 + 1e-12
    # No free line: P sees neither constants nor slopes.
    np.testing.assert_allclose(np.vstack([np.ones(7), x]) @ P, 0.0, atol=1e-12)
    assert dual_proof(x, Y).bound == pytest.approx(float(np.sum(P * Y)), rel=1e-12)
    # Every other interpolant costs at least as much.
    for seed in range(20):
        extra = np.random.default_rng(seed).uniform(x[0], x[-1], 3)
        knots = np.sort(np.append(x, extra))
        values = through(x, Y)(knots)
        bent = np.isin(knots, extra)
        values[bent] += np.random.default_rng(seed).standard_normal((3, T))
        other = cost(np.diff(slopes(knots, values), axis=0))
        assert other >= dual_proof(x, Y).bound * (1.0 - 1e-12)


@pytest.mark.parametrize("apart", [1e-6, 1e-9, 1e-12])
def test_the_bound_survives_inputs_that_nearly_coincide(apart):
    x, Y = data(4, 20, 3)
    x[11] = x[10] + apart
    gap = through(x, Y).path_cost() / dual_proof(x, Y).bound - 1.0
    assert abs(gap) < 1e-13


def test_slope_changes_without_rounding():
    x, Y = np.array([0.0, 0.1, 0.3, 1.0]), np.array([[1.0], [0.2], [0.3], [7.0]])
    exact = slope_changes(x, Y)
    np.testing.assert_allclose(
        np.array(exact, dtype=float), np.diff(slopes(x, Y), axis=0), rtol=1e-12
    )
    # Along a straight line of any floating-point numbers they are exactly zero.
    straight = np.array([0.1, 0.2, 0.3])[:, np.newaxis]
    assert slope_changes(straight[:, 0], 2.0 * straight) == [[0]]


@pytest.mark.parametrize("T", [1, 2, 5])
def test_the_margin_says_where_knots_can_be(T):
    seen = set()
    for seed in range(40):
        x, Y = data(seed, 6, T)
        proof, unique = dual_proof(x, Y), not aligned_pairs(x, Y)
        total = cost(np.diff(slopes(x, Y), axis=0))
        assert proof.bound == pytest.approx(total, rel=1e-10)
        assert (proof.margin is not None) == unique
        assert proof.margin is None or 0.0 < proof.margin <= 1.0
        seen.add(unique)
    assert seen == ({True, False} if T == 1 else {True})


def test_mixtures():
    x, Y = data(3, 6, 2)
    f, g = through(x, Y), through(x, Y[::-1].copy())
    h = mixture(f, g, 0.3)
    grid = np.linspace(-3, 3, 41)
    np.testing.assert_allclose(h(grid), 0.7 * f(grid) + 0.3 * g(grid), atol=1e-12)
    assert h.path_cost() == pytest.approx(0.7 * f.path_cost() + 0.3 * g.path_cost())
    assert isinstance(h, mtrelu.ReLUNetwork)
