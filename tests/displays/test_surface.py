import matplotlib
import numpy as np
import pytest

from mtrelu.api import Solution
from mtrelu.displays import SurfaceDisplay
from mtrelu.estimators import ReLURegressor
from mtrelu.estimators.classifier import ReLUClassifier
from mtrelu.network import ReLUNetwork
from mtrelu.problem import Problem
from mtrelu.scaling import Scaling
from mtrelu.validation import InvalidInputError

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


def test_values_are_those_of_the_network_at_the_grid():
    solution = solved()
    display = SurfaceDisplay.from_solution(solution, 1, n_grid=17)
    for j, x2 in enumerate(display.grid[1]):
        for i, x1 in enumerate(display.grid[0]):
            assert display.values[j, i] == pytest.approx(solution.network([[x1, x2]])[0, 1])
    assert np.array_equal(display.X, solution.problem.X)
    assert np.array_equal(display.y, solution.problem.Y[:, 1])


def test_the_grid_holds_all_data():
    display = SurfaceDisplay.from_solution(solved())
    for j, axis in enumerate(display.grid):
        assert axis[0] < display.X[:, j].min() and display.X[:, j].max() < axis[-1]
        assert (np.diff(axis) > 0).all()


def test_own_units():
    solution = solved()
    scaling = Scaling(np.array([100.0, -3.0]), np.array([50.0, 0.01]), np.array([7.0, 1.0]))
    plain = SurfaceDisplay.from_solution(solution, n_grid=9)
    own = SurfaceDisplay.from_solution(solution, scaling=scaling, n_grid=9)
    np.testing.assert_allclose(own.values, 7.0 * plain.values, rtol=1e-9)
    np.testing.assert_allclose(own.y, 7.0 * plain.y)
    np.testing.assert_allclose(scaling.inputs(own.X), plain.X, atol=1e-12)
    np.testing.assert_allclose(own.strengths, plain.strengths)
    segments, neurons = own.neuron_lines()
    expected, same = plain.neuron_lines()
    assert np.array_equal(neurons, same)
    np.testing.assert_allclose(
        np.sort(scaling.inputs(segments.reshape(-1, 2)).reshape(-1, 4), axis=1),
        np.sort(expected.reshape(-1, 4), axis=1),
        atol=1e-9,
    )


def test_lines_are_where_neurons_switch_and_end_at_the_frame():
    display = SurfaceDisplay.from_solution(solved(K=40, seed=3))
    display.b *= 6.0  # some lines now lie outside
    segments, neurons = display.neuron_lines()
    low = np.array([axis[0] for axis in display.grid])
    high = np.array([axis[-1] for axis in display.grid])
    for segment, k in zip(segments, neurons, strict=True):
        np.testing.assert_allclose(segment @ display.w[k] + display.b[k], 0.0, atol=1e-9)
        assert (segment >= low - 1e-9).all() and (segment <= high + 1e-9).all()
        to_frame = np.minimum(np.abs(segment - low), np.abs(segment - high)).min(axis=1)
        np.testing.assert_allclose(to_frame, 0.0, atol=1e-9)
    # Exactly the neurons whose sign changes between two corners have a line.
    corners = np.array([[x, y] for x in (low[0], high[0]) for y in (low[1], high[1])])
    signs = np.sign(corners @ display.w.T + display.b)
    assert np.array_equal(neurons, np.flatnonzero(np.abs(signs.sum(axis=0)) < 4))
    assert 0 < len(neurons) < 40


@pytest.mark.parametrize("w", [[1.0, 0.0], [0.0, -2.0]])
def test_lines_along_the_axes(w):
    solution = solved()
    X = solution.problem.X
    along = int(np.argmax(np.abs(w)))
    b = -np.median(X[:, along]) * w[along]
    display = SurfaceDisplay.from_solution(
        Solution(
            solution.problem,
            ReLUNetwork([w, w], [b, 1e3], np.ones((2, 2)), np.zeros((2, 2)), np.zeros(2)),
            None, 1, None,
        )
    )  # fmt: skip
    segments, neurons = display.neuron_lines()
    assert neurons.tolist() == [0]
    np.testing.assert_allclose(segments[0, :, along], np.median(X[:, along]), atol=1e-12)
    other = display.grid[1 - along]
    assert sorted(segments[0, :, 1 - along]) == pytest.approx([other[0], other[-1]])


def test_wider_lines_are_stronger_neurons():
    display = SurfaceDisplay.from_solution(solved(K=12, seed=5)).plot()
    _, neurons = display.neuron_lines()
    strengths = np.linalg.norm(display.w, axis=1)  # unit weights in the units of the fit
    np.testing.assert_allclose(strengths, 1.0)
    drawn = display.ax_.collections
    lines = [c for c in drawn if type(c).__name__ == "LineCollection"][-1]
    assert len(lines.get_segments()) == len(neurons)
    widths = np.asarray(lines.get_linewidths())
    order = np.argsort(display.strengths[neurons])
    assert (np.diff(widths[order]) >= 0).all()


def test_drawn_and_labelled():
    display = SurfaceDisplay.from_solution(
        solved(), 1, tasks=["a", "b"], input_names=["power", "weight"]
    ).plot()
    ax = display.ax_
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("power", "weight", "b")
    points = ax.collections[-1]
    assert np.array_equal(points.get_offsets(), display.X)
    assert np.array_equal(points.get_array(), display.y)
    display.figure_.canvas.draw()


def test_dots_and_fit_share_their_colours():
    display = SurfaceDisplay.from_solution(solved()).plot()
    filled, points = display.ax_.collections[0], display.ax_.collections[-1]
    assert filled.norm.vmin == points.norm.vmin and filled.norm.vmax == points.norm.vmax
    assert filled.norm.vmin <= display.y.min() and display.y.max() <= filled.norm.vmax


def test_surface():
    display = SurfaceDisplay.from_solution(solved()).plot(kind="surface")
    assert display.ax_.name == "3d" and display.ax_.get_zlabel() == "task 1"
    display.figure_.canvas.draw()


@pytest.mark.parametrize("case", ["a line", "one point", "constant task", "no neurons"])
def test_degenerate_data(case):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((8, 2))
    y = rng.standard_normal(8)
    K = 0 if case == "no neurons" else 1
    if case == "a line":
        X[:, 1] = 3.0
    if case == "one point":
        X, y = X[:1], y[:1]
    if case == "constant task":
        y[:] = 2.0
    network = ReLUNetwork(
        np.ones((K, 2)), np.zeros(K), np.ones((K, 1)), np.zeros((1, 2)), np.zeros(1)
    )
    solution = Solution(Problem.make(X, y, 1.0), network, None, 1, None)
    for kind in ("contour", "surface"):
        SurfaceDisplay.from_solution(solution).plot(kind=kind).figure_.canvas.draw()


def test_axes_given_are_used_and_pyplot_is_left_alone():
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.add_subplot()
    display = SurfaceDisplay.from_solution(solved()).plot(ax)
    assert display.ax_ is ax and display.figure_ is figure
    assert pyplot.get_fignums() == []


def test_bad_arguments():
    display = SurfaceDisplay.from_solution(solved())
    with pytest.raises(InvalidInputError, match="kind is 'wire'"):
        display.plot(kind="wire")
    from matplotlib.figure import Figure

    with pytest.raises(InvalidInputError, match='projection="3d"'):
        display.plot(Figure().add_subplot(), kind="surface")
    with pytest.raises(InvalidInputError, match="task is 2, but there are 2 tasks"):
        SurfaceDisplay.from_solution(solved(), 2)
    with pytest.raises(InvalidInputError, match="tasks has 1 names"):
        SurfaceDisplay.from_solution(solved(), tasks=["only"])


@pytest.mark.parametrize("d", [1, 3])
def test_two_inputs_only(d):
    with pytest.raises(
        InvalidInputError, match="there is one input" if d == 1 else "there are 3 inputs"
    ):
        SurfaceDisplay.from_solution(solved(d=d))


def test_an_estimator_is_drawn_with_its_data_and_the_names_of_their_columns():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    X = pandas.DataFrame(rng.standard_normal((15, 2)), columns=["power", "weight"])
    Y = pandas.DataFrame({"range": np.abs(X["power"]), "price": X["weight"] ** 2})
    model = ReLURegressor(alpha=0.5).fit(X, Y)
    new, labels = X.iloc[:9] + 1.0, Y.iloc[:9] - 3.0
    display = SurfaceDisplay.from_estimator(model, new, labels, task=1, n_grid=7)
    assert display.input_names == ["power", "weight"]
    assert display.task == "price"
    assert np.array_equal(display.X, new)
    assert np.array_equal(display.y, labels["price"])
    at = pandas.DataFrame([[display.grid[0][2], display.grid[1][4]]], columns=X.columns)
    assert display.values[4, 2] == pytest.approx(model.predict(at)[0, 1])
    unit = model.network_.w / np.linalg.norm(model.network_.w, axis=1, keepdims=True)
    assert np.allclose(display.w, unit)
    sizes = np.linalg.norm(model.network_.v, axis=1) * np.linalg.norm(model.network_.w, axis=1)
    assert np.allclose(display.strengths, sizes)


def test_of_a_classifier_the_probability_of_one_class_is_drawn():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((40, 2))
    y = np.where(np.abs(X[:, 0]) + 0.5 * rng.standard_normal(40) > 0.8, "far", "near")
    model = ReLUClassifier(alpha=0.5).fit(X, y)
    display = SurfaceDisplay.from_estimator(model, X, y, n_grid=5)
    assert display.task == "class near"
    assert np.array_equal(display.y, y == "near")
    at = np.array([[display.grid[0][3], display.grid[1][1]]])
    assert display.values[1, 3] == pytest.approx(model.predict_proba(at)[0, 1])


@pytest.mark.parametrize("missing", ["raw", "solution"])
def test_labels_that_are_missing_are_not_drawn(missing):
    rng = np.random.default_rng(2)
    X, Y = rng.standard_normal((20, 2)), rng.standard_normal((20, 2))
    Y[3, 1] = np.nan
    model = ReLURegressor(alpha=1.0, nan_policy="omit").fit(X, Y)
    display = (
        SurfaceDisplay.from_estimator(model, X, Y, task=1, n_grid=6)
        if missing == "raw"
        else SurfaceDisplay.from_solution(model._solution, 1, n_grid=6)
    )
    assert np.isnan(display.y[3]) and np.isfinite(np.delete(display.y, 3)).all()
    display.plot().figure_.canvas.draw()


def test_what_cannot_be_drawn_is_refused():
    X, y = np.eye(3)[:, :2], np.arange(3.0)
    with pytest.raises(InvalidInputError, match="without a fitted network"):
        SurfaceDisplay.from_estimator(ReLURegressor(), X, y)
    model = ReLURegressor().fit(X, y)
    with pytest.raises(InvalidInputError, match="task is 1, but there are 1 tasks"):
        SurfaceDisplay.from_estimator(model, X, y, task=1)
    with pytest.raises(InvalidInputError, match="y has 2 columns"):
        SurfaceDisplay.from_estimator(model, X, np.column_stack([y, y]))
    line = ReLURegressor().fit(X[:, :1], y)
    with pytest.raises(InvalidInputError, match="use FittedCurvesDisplay"):
        SurfaceDisplay.from_estimator(line, X[:, :1], y)
