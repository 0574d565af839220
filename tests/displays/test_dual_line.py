import matplotlib
import numpy as np
import pytest

import mtrelu
from mtrelu.api import Solution
from mtrelu.displays import DualLineDisplay
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.validation import InvalidInputError

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def solved(skip="affine", n=12, T=3, K=5, alpha=0.7, dual=None, **options):
    """Some network as if it were a solution: pictures draw what they are given."""
    rng = np.random.default_rng(1)
    A = rng.standard_normal((T, 1)) if skip == "affine" else np.zeros((T, 1))
    w, v = rng.standard_normal((K, 1)), rng.standard_normal((K, T))
    network = ReLUNetwork(w, -w[:, 0] * rng.uniform(5, 7, K), v, A, rng.standard_normal(T))
    X = rng.choice(np.linspace(4, 8, 30), (n, 1))  # some of them equal
    Y = network(X) + rng.standard_normal((n, T))
    return Solution(Problem.make(X, Y, alpha, skip=skip, **options), network, None, 1, dual)


def projected(solution, P):
    X = solution.problem.X
    ones = np.ones((len(X), 1))
    basis = np.hstack([ones, X]) if solution.problem.skip == "affine" else ones
    return P - basis @ np.linalg.lstsq(basis, P, rcond=None)[0]


def brute_force(solution, P, w, s):
    """‖Σ p_i (w(x_i − s))₊‖ by the definition."""
    x = solution.problem.X[:, 0]
    return np.linalg.norm(sum(p * max(w * (xi - s), 0.0) for p, xi in zip(P, x, strict=True)))


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("T", [1, 3, 100])
def test_g_is_the_dual_function_over_alpha(skip, T):
    solution = solved(skip, T=T)
    display = DualLineDisplay.from_solution(solution, n_grid=11)
    P = projected(solution, solution.problem.Y - solution.network(solution.problem.X))
    assert display.g.shape == (len(display.grid), 1 if skip == "affine" else 2)
    for m, s in enumerate(display.grid):
        for w in (1.0, -1.0):
            column = 0 if skip == "affine" else int(w < 0.0)
            expected = brute_force(solution, P, w, s) / 0.7
            assert display.g[m, column] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("skip", ["affine", "constant"])
def test_knots_lie_on_the_curve_of_their_side(skip):
    solution = solved(skip, K=9)
    display = DualLineDisplay.from_solution(solution)
    P = projected(solution, solution.problem.Y - solution.network(solution.problem.X))
    net, x = solution.network, solution.problem.X[:, 0]
    places = -net.b / net.w[:, 0]
    inside = (places >= x.min()) & (places <= x.max())
    assert 0 < inside.sum() == len(display.knots)
    assert np.allclose(display.knots, places[inside])
    for k, height, strength in zip(
        np.flatnonzero(inside), display.heights, display.strengths, strict=True
    ):
        side = np.sign(net.w[k, 0])
        assert height == pytest.approx(brute_force(solution, P, side, places[k]) / 0.7, abs=1e-9)
        assert strength == pytest.approx(abs(net.w[k, 0]) * np.linalg.norm(net.v[k]))


def test_the_dual_of_the_solution_goes_first():
    P = np.random.default_rng(0).standard_normal((12, 3))
    solution = solved(dual=P)
    display = DualLineDisplay.from_solution(solution, n_grid=7)
    expected = brute_force(solution, projected(solution, P), 1.0, display.grid[5]) / 0.7
    assert display.g[5, 0] == pytest.approx(expected)


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_at_an_optimum_it_is_nowhere_above_one_and_one_at_the_knots(loss):
    rng = np.random.default_rng(3)
    x, Y = rng.uniform(0, 9, 40), rng.standard_normal((40, 2)).cumsum(axis=0)
    solution = mtrelu.solve(x, Y, 0.8, loss=loss, tol=1e-10)
    display = DualLineDisplay.from_solution(solution)
    assert display.g.max() == pytest.approx(solution.certificate.violation, abs=1e-4)
    assert display.g.max() <= 1.0 + 1e-4
    strong = display.strengths > 1e-3 * display.strengths.max()
    assert np.allclose(display.heights[strong], 1.0, atol=1e-3)


def test_labels_that_are_not_used_have_no_dual_variable():
    rng = np.random.default_rng(4)
    x, Y = np.arange(15.0), rng.standard_normal((15, 3)).cumsum(axis=0)
    Y[2:5, 0], Y[9, 2] = np.nan, np.nan
    solution = mtrelu.solve(x, Y, 0.6, nan_policy="omit", tol=1e-9)
    display = DualLineDisplay.from_solution(solution, n_grid=5)
    P = np.where(np.isnan(Y), 0.0, np.nan_to_num(Y) - solution.network(x))
    basis = np.column_stack([np.ones(15), x])
    for t in range(3):
        rows = ~np.isnan(Y[:, t])
        P[rows, t] -= basis[rows] @ np.linalg.lstsq(basis[rows], P[rows, t], rcond=None)[0]
    for m in (3, 7, 11):
        expected = brute_force(solution, P, 1.0, display.grid[m]) / 0.6
        assert display.g[m, 0] == pytest.approx(expected, abs=1e-7)


class TestInterpolation:
    @pytest.mark.parametrize("T", [1, 2, 30])
    def test_the_dual_bounds_the_path_norm_from_below(self, T):
        rng = np.random.default_rng(T)
        x, Y = np.arange(12.0), rng.standard_normal((12, T))
        solution = mtrelu.solve(x, Y, 0)
        display = DualLineDisplay.from_solution(solution, n_grid=23)  # every half
        slopes = np.diff(Y, axis=0) / np.diff(x)[:, None]
        assert display.g.max() <= 1.0 + 1e-12
        # Where g is 1 is where the connect-the-dots interpolant bends.
        assert np.diff(slopes, axis=0).any(axis=1).all()
        assert np.allclose(display.heights, 1.0)
        # Half way between two bends, the mean of their directions; this is linear between them.
        bends = np.diff(slopes, axis=0)
        directions = bends / np.linalg.norm(bends, axis=1, keepdims=True)
        half = display.g[3:-3:2, 0]
        expected = np.linalg.norm((directions[1:] + directions[:-1]) / 2, axis=1)
        assert np.allclose(half, expected)
        assert display.g[0, 0] == display.g[-1, 0] == 0.0

    def test_straight_labels_bend_nowhere(self):
        display = DualLineDisplay.from_solution(mtrelu.solve([0.0, 1.0, 2.0], [1.0, 2.0, 3.0], 0))
        assert not display.g.any() and len(display.knots) == 0
        display.plot().figure_.canvas.draw()

    def test_points_on_a_segment_do_not_count_as_knots(self):
        # The slope changes at 2 only, between two points on either side.
        solution = mtrelu.solve([0.0, 1, 2, 3, 4], [0.0, 1, 2, 1, 0], 0)
        display = DualLineDisplay.from_solution(solution, n_grid=5)
        assert np.allclose(display.g[:, 0], [0.0, 0.5, 1.0, 0.5, 0.0])


@pytest.mark.parametrize(("skip", "lines"), [("affine", 1), ("constant", 2)])
def test_drawn(skip, lines):
    display = DualLineDisplay.from_solution(solved(skip), input_name="year").plot()
    curves = [each for each in display.ax_.lines if len(each.get_xdata()) == len(display.grid)]
    assert len(curves) == lines
    for curve, column in zip(curves, display.g.T, strict=True):
        assert np.array_equal(curve.get_ydata(), column)
    points = display.ax_.collections[-1].get_offsets()
    assert np.array_equal(points, np.column_stack([display.knots, display.heights]))
    assert "year" in display.ax_.get_xlabel()
    level = [each for each in display.ax_.lines if list(each.get_ydata()) == [1.0, 1.0]]
    assert len(level) == 1
    display.figure_.canvas.draw()


@pytest.mark.parametrize("case", ["one sample", "equal inputs", "no neurons"])
def test_little_to_draw(case):
    X = {"one sample": [[1.0]], "equal inputs": [[2.0]] * 3}.get(case, [[0.0], [1.0], [2.0]])
    Y = np.arange(float(len(X)))[:, None]
    nothing = ReLUNetwork(np.zeros((0, 1)), np.zeros(0), np.zeros((0, 1)), [[0.0]], [0.0])
    solution = Solution(Problem.make(X, Y, 1.0), nothing, None, 0, None)
    display = DualLineDisplay.from_solution(solution).plot()
    assert np.isfinite(display.g).all()
    display.figure_.canvas.draw()


def test_an_estimator_is_judged_on_its_own_data_or_on_others():
    rng = np.random.default_rng(2)
    X, y = np.arange(20.0)[:, None], rng.standard_normal(20).cumsum()
    model = mtrelu.ReLURegressor(alpha=0.5, tol=1e-10).fit(X, y)
    own, same, other = (
        DualLineDisplay.from_estimator(model, *data) for data in ((), (X, y), (X, 3.0 * y))
    )
    assert np.allclose(own.g, same.g, atol=1e-6)
    assert other.g.max() > 1.1


def test_two_inputs_are_refused():
    solution = mtrelu.solve(np.eye(3)[:, :2], [0.0, 1.0, 2.0], 0.5)
    with pytest.raises(InvalidInputError, match="for two use DualFunctionDisplay"):
        DualLineDisplay.from_solution(solution)


def test_axes_given_are_used_and_pyplot_is_left_alone():
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert DualLineDisplay.from_solution(solved()).plot(ax).ax_ is ax
    assert pyplot.get_fignums() == []
