from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

from mtrelu.api import Solution
from mtrelu.displays import RangeWidthDisplay
from mtrelu.estimators import ReLURegressor
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.scaling import Scaling

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def solved(seed=0, n=30, T=2, K=6, d=2):
    """Some network as if it were a solution: pictures draw what they are given."""
    rng = np.random.default_rng(seed)
    network = ReLUNetwork(
        rng.standard_normal((K, d)), 0.5 * rng.standard_normal(K), rng.standard_normal((K, T)),
        rng.standard_normal((T, d)), rng.standard_normal(T),
    )  # fmt: skip
    X = rng.standard_normal((n, d))
    problem = Problem.make(X, network(X) + 0.1 * rng.standard_normal((n, T)), 1.0)
    return Solution(problem, network, None, 1, None)


class Optima:
    """A range that is known in closed form: 0 to t + |x1 x2|."""

    verdict = SimpleNamespace(value="not unique")

    def __init__(self, T):
        self.T = T

    def range(self, X):
        product = np.abs(X[:, 0] * X[:, 1])
        return np.zeros((len(X), self.T)), product[:, None] + np.arange(self.T)


def test_the_width_is_that_of_the_range():
    solution = solved()
    display = RangeWidthDisplay.from_solution(
        solution, 1, optimal_set=Optima(2), n_grid=5, tasks=["a", "b"]
    )
    for j, x2 in enumerate(display.grid[1]):
        for i, x1 in enumerate(display.grid[0]):
            assert display.width[j, i] == pytest.approx(abs(x1 * x2) + 1.0)
    assert display.task == "b"


def test_own_units():
    scaling = Scaling(np.array([100.0, 0.0]), np.array([50.0, 2.0]), np.array([7.0, 3.0]))
    plain = RangeWidthDisplay.from_solution(solved(), 1, optimal_set=Optima(2), n_grid=5)
    own = RangeWidthDisplay.from_solution(
        solved(), 1, optimal_set=Optima(2), n_grid=5, scaling=scaling
    )
    np.testing.assert_allclose(own.width, 3.0 * plain.width)


def test_drawn_with_the_verdict():
    display = RangeWidthDisplay.from_solution(solved(), optimal_set=Optima(2), n_grid=6).plot()
    assert "not unique" in display.ax_.get_title()
    np.testing.assert_array_equal(
        np.asarray(display.ax_.collections[0].get_array()).reshape(6, 6), display.width
    )
    display.figure_.canvas.draw()


def test_unbounded_and_zero_widths():
    display = RangeWidthDisplay.from_solution(solved(), optimal_set=Optima(2), n_grid=6)
    display.width = np.zeros((6, 6))
    display.plot().figure_.canvas.draw()
    display.width[2:] = np.inf
    display.plot().figure_.canvas.draw()


def test_an_estimator_is_drawn_in_the_range_of_all_its_optima():
    square = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    X, y = np.vstack([square, square / 2]), np.repeat([0.0, 1.0], 4)
    model = ReLURegressor(alpha=1e-3).fit(X, y)
    display = RangeWidthDisplay.from_estimator(model, X, y, tasks=["height"], n_grid=3)
    assert display.task == "height" and display.verdict == "not unique"
    points = np.array([[x1, x2] for x2 in display.grid[1] for x1 in display.grid[0]])
    low, high = model.optimal_range(points)
    assert np.allclose(display.width.ravel(), high - low, atol=1e-9)
    assert display.width.max() > 1.0
