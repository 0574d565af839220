import matplotlib
import numpy as np
import pytest

from mtrelu.api import Solution
from mtrelu.displays import DualFunctionDisplay
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.validation import InvalidInputError

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def solved(skip="affine", n=12, T=3, K=5, alpha=0.7, dual=None):
    rng = np.random.default_rng(1)
    A = rng.standard_normal((T, 2)) if skip == "affine" else np.zeros((T, 2))
    network = ReLUNetwork(
        rng.standard_normal((K, 2)), rng.standard_normal(K), rng.standard_normal((K, T)), A,
        rng.standard_normal(T),
    )  # fmt: skip
    X = rng.standard_normal((n, 2)) + 5.0
    Y = network(X) + rng.standard_normal((n, T))
    return Solution(Problem.make(X, Y, alpha, skip=skip), network, None, 1, dual)


def brute_force(solution, P, angle, offset):
    """‖Σ p_i (w·(x_i − mean) − s)₊‖ by the definition."""
    X = solution.problem.X - solution.problem.X.mean(axis=0)
    w = [np.cos(np.radians(angle)), np.sin(np.radians(angle))]
    return np.linalg.norm(sum(p * max(x @ w - offset, 0.0) for p, x in zip(P, X, strict=True)))


def projected(solution, P):
    X = solution.problem.X
    ones = np.ones((len(X), 1))
    basis = np.hstack([ones, X]) if solution.problem.skip == "affine" else ones
    return P - basis @ np.linalg.lstsq(basis, P, rcond=None)[0]


@pytest.mark.parametrize("skip", ["affine", "constant"])
@pytest.mark.parametrize("T", [1, 3, 40])
def test_g_is_the_dual_function_over_alpha(skip, T):
    solution = solved(skip, T=T)
    display = DualFunctionDisplay.from_solution(solution, n_grid=11)
    residual = solution.problem.Y - solution.network(solution.problem.X)
    P = projected(solution, residual)
    for a, angle in enumerate(display.angles):
        for s, offset in enumerate(display.offsets):
            expected = brute_force(solution, P, angle, offset) / 0.7
            assert display.g[s, a] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("skip", "turn"), [("affine", 180.0), ("constant", 360.0)])
def test_neurons_are_where_their_weights_say(skip, turn):
    solution = solved(skip, K=9)
    display = DualFunctionDisplay.from_solution(solution)
    assert display.angles[[0, -1]].tolist() == [0.0, turn]
    assert (0 <= display.neuron_angles).all() and (display.neuron_angles < turn).all()
    residual = solution.problem.Y - solution.network(solution.problem.X)
    P = projected(solution, residual)
    network = solution.network
    for k in range(9):
        size = np.linalg.norm(network.w[k])
        hidden = np.maximum(solution.problem.X @ network.w[k] + network.b[k], 0.0) / size
        angle, offset = display.neuron_angles[k], display.neuron_offsets[k]
        assert brute_force(solution, P, angle, offset) == pytest.approx(
            np.linalg.norm(hidden @ P), abs=1e-9
        )
        assert display.strengths[k] == pytest.approx(size * np.linalg.norm(network.v[k]))


def test_the_dual_of_the_solution_goes_first():
    P = np.random.default_rng(0).standard_normal((12, 3))
    solution = solved(dual=P)
    display = DualFunctionDisplay.from_solution(solution, n_grid=7)
    expected = brute_force(solution, projected(solution, P), display.angles[2], display.offsets[3])
    assert display.g[3, 2] == pytest.approx(expected / 0.7)


def test_interpolation_needs_a_dual():
    with pytest.raises(InvalidInputError, match="no dual variable"):
        DualFunctionDisplay.from_solution(solved(alpha=0.0))
    P = np.random.default_rng(0).standard_normal((12, 3))
    solution = solved(alpha=0.0, dual=P)
    display = DualFunctionDisplay.from_solution(solution, n_grid=7)  # the level is 1
    expected = brute_force(solution, projected(solution, P), 60.0, display.offsets[3])
    assert display.g[3, 2] == pytest.approx(expected)


def test_data_on_a_line():
    solution = solved()
    X = solution.problem.X.copy()
    X[:, 1] = 2 * X[:, 0]
    flat = Solution(Problem.make(X, solution.problem.Y, 1.0), solution.network, None, 1, None)
    display = DualFunctionDisplay.from_solution(flat, n_grid=9)
    P = projected(flat, flat.problem.Y - flat.network(X))
    expected = brute_force(flat, P, display.angles[3], display.offsets[4])
    assert display.g[4, 3] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("K", [0, 5])
def test_drawn(K):
    display = DualFunctionDisplay.from_solution(solved(K=K), n_grid=40).plot()
    assert "degrees" in display.ax_.get_xlabel()
    points = display.ax_.collections[-1].get_offsets()
    assert np.array_equal(points, np.column_stack([display.neuron_angles, display.neuron_offsets]))
    display.figure_.canvas.draw()


def test_axes_given_are_used_and_pyplot_is_left_alone():
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    assert DualFunctionDisplay.from_solution(solved(), n_grid=20).plot(ax).ax_ is ax
    assert pyplot.get_fignums() == []
