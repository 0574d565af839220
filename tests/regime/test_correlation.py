"""Two correlated tasks, against a second-order cone program and Theorem 3.1."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

from mtrelu.regime.correlation import correlated_tasks, fit_price, second_task
from mtrelu.validation import InvalidInputError

SQUARES = np.array([(1, 1), (1, -1), (-1, 1), (-1, -1)]) * np.repeat([1.0, 0.5], 4).reshape(2, 4, 1)
SQUARES = SQUARES.reshape(8, 2)
DECADES = 1.0 - 10.0 ** -np.arange(9.0)


def line(seed, n=10):
    """Noise at jittered inputs, but for two data points in the middle that both bend upwards."""
    rng = np.random.default_rng(seed)
    x = np.arange(n) + rng.uniform(-0.2, 0.2, n)
    y = rng.standard_normal(n)
    y[3:7] = np.array([1.0, -0.3, -0.5, 0.8]) + rng.uniform(-0.1, 0.1, 4)
    return x, y


def cone_program(x, Y, query=None, value=None, more_knots=()):
    """Least cost [3] over networks with knots at the data and the query, as a cone program.

    With a query, the first task passes through the value there; the others are free.
    """
    knots = np.unique(np.concatenate([x, [] if query is None else [query], more_knots]))
    v = cp.Variable((knots.size, Y.shape[1]))
    slope, constant = cp.Variable((1, Y.shape[1])), cp.Variable((1, Y.shape[1]))

    def f(points):
        points = np.asarray(points, dtype=float)[:, np.newaxis]
        return (
            np.maximum(points - knots, 0.0) @ v + points @ slope + np.ones_like(points) @ constant
        )

    constraints = [f(x) == Y]
    if query is not None:
        constraints.append(f([query])[0, 0] == value)
    tolerance = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10}
    return cp.Problem(cp.Minimize(cp.sum(cp.norm(v, 2, axis=1))), constraints).solve(
        solver=cp.CLARABEL, **tolerance
    )


# The second task


@pytest.mark.parametrize("rho", [-1.0, -0.3, 0.0, 0.5, 1.0 - 1e-8, 1.0])
def test_correlation_mean_and_variance_are_exact(rho):
    y = 1e3 + np.random.default_rng(0).standard_normal(7)
    other = second_task(y, rho, random_state=1)
    assert np.corrcoef(y, other)[0, 1] == pytest.approx(rho, abs=1e-12)
    assert other.mean() == pytest.approx(y.mean(), rel=1e-14)
    assert other.std() == pytest.approx(y.std(), rel=1e-12)


def test_noise_keeps_its_digits_near_one():
    """What is not y has a norm of √(1 − ρ²), and the same direction for every ρ."""
    y = np.random.default_rng(0).standard_normal(9)
    y -= y.mean()
    rho = 1.0 - 1e-12
    left = second_task(y, rho, random_state=3) - rho * y
    expected = np.sqrt((1.0 - rho) * (1.0 + rho)) * np.linalg.norm(y)
    assert np.linalg.norm(left) == pytest.approx(expected, rel=1e-8)
    noise = second_task(y, 0.0, random_state=3)
    np.testing.assert_allclose(left / np.linalg.norm(left), noise / np.linalg.norm(y), atol=1e-8)


# One input: the price


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rho", [0.0, 0.9, 0.99, -0.9])
def test_price_on_the_line_is_that_of_a_cone_program(seed, rho):
    x, y = line(seed)
    found = correlated_tasks(x, y, [rho], n_draws=1, tol=1e-6, random_state=seed)
    draw = np.random.default_rng(seed).integers(2**63, size=1)[0]
    Y = np.column_stack([y, second_task(y, rho, int(draw))])
    best = cone_program(x, Y)
    middle, reach = 0.5 * (found.low + found.high), 0.5 * (found.high - found.low)
    for q, share in enumerate(found.shares):
        ends = (middle - share * reach, middle + share * reach)
        dearest = max(cone_program(x, Y, found.query[0], value) for value in ends)
        price = dearest / best - 1.0
        assert found.price_low[0, 0, q] <= price + 1e-8
        assert found.price_high[0, 0, q] >= price - 1e-8
        assert found.price_high[0, 0, q] <= found.price_low[0, 0, q] * (1 + 1e-5)


def test_further_knots_do_not_make_it_cheaper():
    """The cone program of the tests has all the knots that it needs (Lemma 3.2)."""
    x, y = line(0)
    found = correlated_tasks(x, y, [0.9], n_draws=1, random_state=0)
    draw = int(np.random.default_rng(0).integers(2**63, size=1)[0])
    Y = np.column_stack([y, second_task(y, 0.9, draw)])
    few = cone_program(x, Y, found.query[0], found.low)
    many = cone_program(x, Y, found.query[0], found.low, np.linspace(-1, 1, 40))
    assert many == pytest.approx(few, rel=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_the_ends_of_the_range_are_optimal_for_one_task_and_nothing_beyond_is(seed):
    x, y = line(seed)
    found = correlated_tasks(x, y, [0.5], n_draws=1, random_state=0)
    Y = y[:, np.newaxis]
    best = cone_program(x, Y)
    beyond = 0.01 * (found.high - found.low)
    for end, outward in ((found.low, -beyond), (found.high, beyond)):
        assert cone_program(x, Y, found.query[0], end) == pytest.approx(best, rel=1e-8)
        assert cone_program(x, Y, found.query[0], end + outward) > best * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_price_falls_as_the_correlation_rises_and_is_nothing_for_one_task(seed):
    x, y = line(seed)
    rho = np.concatenate([DECADES[1:], [1.0, -1.0]])
    # Far from 1 the noise of the second task decides what it costs.
    found = correlated_tasks(x, y, rho, n_draws=3, random_state=seed)
    assert np.all(found.price_high[2:-2] < found.price_low[1:-3])
    assert np.all(found.price_low <= found.price_high)
    assert np.all(found.price_low[-2:] == 0.0)
    assert np.all(found.price_high[-2:] < 1e-11)
    # More of the range cannot cost less.
    assert np.all(found.price_high[..., 1] >= found.price_low[..., 0])


def test_the_two_laws():
    """Inside the range the price goes with 1 − ρ, at its ends with the root of it."""
    x, y = line(0)
    found = correlated_tasks(x, y, DECADES, n_draws=6, tol=1e-4, random_state=0)
    inside, ends = (
        fit_price(found.rho, found.price_low[..., q], found.price_high[..., q]) for q in (0, 1)
    )
    assert inside.exponent == pytest.approx(-1.0, abs=0.03)
    assert ends.exponent == pytest.approx(-0.5, abs=0.03)
    # From decade to decade the ratios tend to 10 and to √10.
    last = found.price_high[-2] / found.price_high[-1]
    np.testing.assert_allclose(last, np.tile([10.0, np.sqrt(10.0)], (6, 1)), rtol=0.02)


# One input: verdicts, by Theorem 3.1


@pytest.mark.parametrize("seed", range(6))
def test_theorem_3_1_returns_uniqueness_at_once(seed):
    x, y = line(seed)
    rho = [1.0, -1.0, 1.0 - 1e-15, 1.0 - 1e-8, -1.0 + 1e-8, 0.5, 0.0]
    found = correlated_tasks(x, y, rho, n_draws=2, random_state=seed)
    assert (found.verdicts[:2] == "not unique").all()
    assert (found.verdicts[2:] == "unique").all()
    np.testing.assert_array_equal(found.widths[2:], 0.0)
    np.testing.assert_allclose(found.widths[:2], found.high - found.low, rtol=1e-12)


def test_width_is_the_depth_of_the_corner():
    """Slopes 0, 1, 2: the outer lines of the bent segment meet half below its middle."""
    found = correlated_tasks([0, 1, 2, 3], [0, 0, 1, 3], [1.0, 0.0], n_draws=1, random_state=0)
    assert (found.query.tolist(), found.low, found.high) == ([1.5], 0.0, 0.5)
    assert found.widths.tolist() == [[0.5], [0.0]]


def test_units_do_not_matter():
    x, y = line(1)
    first = correlated_tasks(x, y, [0.99], n_draws=2, tol=1e-5, random_state=0)
    second = correlated_tasks(
        5.0 + 100.0 * x, 1e-3 * y, [0.99], n_draws=2, tol=1e-5, random_state=0
    )
    np.testing.assert_allclose(second.price_high, first.price_high, rtol=2e-5)
    assert second.query[0] == pytest.approx(5.0 + 100.0 * first.query[0])


def test_a_penalty_on_the_line():
    """With α > 0 the fitted values are the labels, and they too let the network choose."""
    x, y = line(2)
    found = correlated_tasks(x, y, [1.0, 0.9], alpha=1e-3, n_draws=1, random_state=0)
    assert found.verdicts[0, 0] == "not unique"
    assert found.price_high[0, 0, 1] < 1e-9
    assert found.price_low[1, 0, 0] > 1e-6


# Two inputs


@pytest.fixture(scope="module")
def squares():
    y = np.repeat([0.0, 1.0], 4)
    return correlated_tasks(
        SQUARES, y, [1.0, 1.0 - 1e-3], alpha=1e-3, n_draws=1, shares=[1.0], tol=0.05, random_state=0
    )


def test_the_two_squares_leave_the_midpoints_of_edges_free(squares):
    """By symmetry the range is as wide there as it is for interpolation: from 0 to 2."""
    assert sorted(np.abs(squares.query)) == pytest.approx([0.0, 1.0])
    assert (squares.low, squares.high) == (pytest.approx(1e-3, abs=1e-6), pytest.approx(1.997))
    assert squares.verdicts[0, 0] == "not unique"
    assert squares.widths[0, 0] == pytest.approx(1.996, rel=1e-2)


def test_price_in_the_plane(squares):
    """Nothing at ρ = 1; at its ends it costs something as soon as ρ < 1."""
    assert np.all(squares.price_high[0] < 1e-7)
    low, high = squares.price_low[1, 0, 0], squares.price_high[1, 0, 0]
    assert 1e-4 < low <= high < low * 1.06


def test_price_in_the_plane_against_a_cone_program(squares):
    """Neurons on a fine grid of the directions bound the least cost from above."""
    y = np.repeat([1e-3, 0.999], 4)
    draw = int(np.random.default_rng(0).integers(2**63, size=1)[0])
    Y = np.column_stack([y, second_task(y, 1.0 - 1e-3, draw)])
    angles = np.linspace(0.0, np.pi, 360, endpoint=False)
    w = np.column_stack([np.cos(angles), np.sin(angles)])
    X = np.vstack([SQUARES, squares.query])
    # Each hyperplane passes through a data point or the query.
    Phi = np.maximum(X @ w.T - (X @ w.T)[:, np.newaxis], 0.0)
    Phi = np.hstack([part.T for part in np.transpose(Phi, (0, 2, 1))])
    Phi = np.unique(Phi.round(14), axis=1)
    v, affine = cp.Variable((Phi.shape[1], 2)), cp.Variable((3, 2))
    f = Phi @ v + np.column_stack([np.ones(9), X]) @ affine
    cost = cp.Minimize(cp.sum(cp.norm(v, 2, axis=1)))
    fits = f[:8] == Y
    best = cp.Problem(cost, [fits]).solve(solver=cp.CLARABEL)
    far = max(
        cp.Problem(cost, [fits, f[8, 0] == end]).solve(solver=cp.CLARABEL)
        for end in (squares.low, squares.high)
    )
    low, high = squares.price_low[1, 0, 0], squares.price_high[1, 0, 0]
    grid = 2e-4  # what a grid of half a degree makes of a cost
    assert low - grid <= far / best - 1.0 <= high + grid


# Bad input

X4, Y4 = [0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 1.0, 3.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X4, Y4, [0.5, 1.1]), "rho is"),
        ((X4, Y4, [-1.0001]), "from -1 to 1"),
        ((X4, Y4, [np.nan]), "rho"),
        ((X4, [2.0] * 4, [0.5]), "y is constant"),
        ((X4[:2], Y4[:2], [0.5]), "needs three"),
        ((X4[:3], Y4[:3], [0.5]), "no uniqueness to return"),
        ((X4, [0.0, 1.0, 0.0, 1.0], [0.5]), "no uniqueness to return"),
        ((X4, [0.0, 1.0, 2.0, 3.0], [0.5]), "no uniqueness to return"),
        ((X4, np.column_stack([Y4, Y4]), [0.5]), "one task"),
        (([0.0, 1.0, 1.0, 3.0], [0.0, 1.0, 1.0, 3.0], [0.5]), "equal inputs"),
        ((X4[:3], Y4, [0.5]), "y has 4 rows"),
        ((SQUARES, np.repeat([0.0, 1.0], 4), [0.5]), "alpha is 0"),
    ],
)
def test_what_cannot_work_is_refused(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        correlated_tasks(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_draws": 0}, "n_draws is 0"),
        ({"n_draws": 1.5}, "n_draws is 1.5"),
        ({"shares": []}, "shares"),
        ({"shares": [0.0, 1.0]}, "shares"),
        ({"shares": [1.5]}, "shares"),
        ({"alpha": -1.0}, "alpha"),
        ({"random_state": "x"}, "random_state"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InvalidInputError, match=message):
        correlated_tasks(X4, Y4, [0.5], **options)


def test_prices_that_are_not_known_are_not_fitted():
    """A bracket from nothing to the price says nothing."""
    rho, price = DECADES[2:8], (1.0 - DECADES[2:8])[:, np.newaxis] * np.ones(4)
    vague = price.copy()
    vague[4:] = 1e-3
    low = np.where(vague == price, price, 0.0)
    assert fit_price(rho, low, vague).exponent == pytest.approx(-1.0, abs=1e-9)
    assert np.isnan(fit_price([0.5, 0.9], price[:2], price[:2]).exponent)  # none is near to 1
    with pytest.raises(InvalidInputError, match="one row a correlation"):
        fit_price(rho, price.T, price.T)
